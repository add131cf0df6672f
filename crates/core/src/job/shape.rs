//! What of a plan matters to how far its job is, laid out for that.

use super::{Elements, Group, JobPlan, On};
use crate::ids::TaskId;
use crate::planted::{self, Fault};
use crate::task::DependsWhen;
use std::collections::BTreeMap;

/// What of a plan progress goes by, made once.
#[derive(Debug)]
pub(super) struct Shape {
    pub(super) counts: Vec<u32>,
    pub(super) at_once: Vec<u32>,
    /// Of each group where its dependents begin in `dependents`; one more than there are groups.
    starts: Vec<u32>,
    dependents: Vec<(u32, DependsWhen)>,
    /// Who waits for tasks outside.
    pub(super) outside: BTreeMap<TaskId, Vec<(u32, DependsWhen)>>,
}

impl Shape {
    pub(super) fn of(plan: &JobPlan) -> Self {
        let groups = plan.groups.len();
        let mut starts = vec![0u32; groups + 1];
        let mut outside: BTreeMap<TaskId, Vec<(u32, DependsWhen)>> = BTreeMap::new();
        let numbered = || plan.groups.iter().zip(0u32..);
        for (group, number) in numbered() {
            for need in &group.needs {
                match need.on {
                    On::Group(on) => starts[on as usize + 1] += 1,
                    On::Task(task) => outside.entry(task).or_default().push((number, need.when)),
                }
            }
        }
        for place in 1..starts.len() {
            starts[place] += starts[place - 1];
        }
        let mut free = starts.clone();
        let mut dependents = vec![(0, DependsWhen::Any); starts.last().map_or(0, |sum| *sum as usize)];
        for (group, number) in numbered() {
            for need in &group.needs {
                if let On::Group(on) = need.on {
                    dependents[free[on as usize] as usize] = (number, need.when);
                    free[on as usize] += 1;
                }
            }
        }
        let at_once = |elements: &Elements| elements.at_once.unwrap_or(u32::MAX);
        Self {
            counts: plan.groups.iter().map(Group::count).collect(),
            at_once: plan.groups.iter().map(|group| group.elements.as_ref().map_or(u32::MAX, at_once)).collect(),
            starts,
            dependents,
            outside,
        }
    }

    pub(super) fn dependents(&self, group: u32) -> &[(u32, DependsWhen)] {
        if planted::is(Fault::ForgetDependents) {
            return &[];
        }
        &self.dependents[self.starts[group as usize] as usize..self.starts[group as usize + 1] as usize]
    }
}
