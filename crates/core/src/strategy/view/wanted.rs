//! What a task asks of its worker, as the number of a class on the board.

use super::{View, number_of};
use crate::kin::Kin;
use crate::label::Preference;
use crate::need::Need;
use crate::resources::{Demand, Kind};
use crate::spec::TaskSpec;
use crate::strategy::board::{Distance, Wanted, Wish};
use crate::strategy::numbers::small;
use crate::task::TaskRecord;

impl View {
    /// The class of what a task asks for: of one that waits the first of its requests, behind which the others follow;
    /// of one that has a worker the one that it was given.
    pub(super) fn class(&mut self, task: &TaskRecord) -> usize {
        let spec = &*task.spec;
        let needs_any = !spec.container.volumes.is_empty() || !spec.constraints.is_empty();
        let needs = needs_any.then(|| self.needs_of(spec.needs()));
        let wishes = (!spec.affinity.is_empty()).then(|| self.wishes_of(&spec.affinity));
        let kin = Kin::of(task).map(|kin| self.kin_of(kin, spec));
        let gang = self.gangs.number(task);
        let wanted = Wanted { needs, wishes, kin, gang, ..Wanted::default() };
        let mut class = self.class_of(&wanted, spec.last_request());
        for demand in spec.demands().rev().take(spec.requests().saturating_sub(task.request().into())).skip(1) {
            class = self.class_of(&Wanted { or: Some(small(class)), ..wanted }, demand);
        }
        class
    }

    /// The class of a demand with what else is wanted.
    fn class_of(&mut self, wanted: &Wanted, demand: &Demand) -> usize {
        let amounts = Kind::ALL.map(|kind| demand.amount(kind));
        let model = demand.gpu_model.as_ref().filter(|_| demand.gpu_milli > 0);
        let model = model.map(|model| number_of(&mut self.models, model));
        self.board.class(Wanted { amounts, model, ..*wanted })
    }

    /// The number of what a task asks of where its kin run.
    fn kin_of(&mut self, kin: Kin, spec: &TaskSpec) -> u32 {
        let kin = self.needs.kindred_mut().kin(kin);
        if let Some(number) = self.needs.kindred().asked(kin, spec) {
            return number;
        }
        let apart = spec.anti_affinity.iter().map(|label| self.key_of(label)).collect();
        let spread = spec.spread.iter().map(|over| (self.key_of(&over.label), over.weight)).collect();
        let number = self.board.add_distance(Distance { kin, apart, spread });
        self.needs.kindred_mut().set_asked(kin, spec, number);
        self.renumber |= self.needs.are_too_many();
        number
    }

    /// The number of a label; of a new one the board is told the domains of workers.
    fn key_of(&mut self, label: &str) -> u32 {
        let (number, is_new) = self.needs.kindred_mut().key(label);
        if is_new {
            self.board.set_domains(number, self.needs.domains(label));
        }
        number
    }

    /// Tells the board who is in one domain with whom by the labels of now.
    pub(super) fn tell_domains(&mut self) {
        for (label, number) in self.needs.kindred().keys() {
            self.board.set_domains(number, self.needs.domains(label));
        }
    }

    /// The number of what is needed of a worker; of a new one the board is told who meets it.
    fn needs_of(&mut self, needs: Vec<Need>) -> u32 {
        let (number, is_new) = self.needs.number(needs.clone());
        if is_new {
            self.needs.meeting(&needs).for_each(|worker| self.board.add_met(worker, number));
            self.renumber |= self.needs.are_too_many();
        }
        number
    }

    /// The number of what a task would rather have; each of its wishes is a need to the board, which nothing must meet.
    fn wishes_of(&mut self, preferences: &[Preference]) -> u32 {
        if let Some(number) = self.needs.wishes(preferences) {
            return number;
        }
        let mut wishes = Vec::with_capacity(preferences.len());
        for Preference { expr, weight } in preferences {
            wishes.push(Wish { need: self.needs_of(vec![Need::Label(expr.clone())]), weight: *weight });
        }
        let number = self.board.add_wishes(wishes);
        self.needs.set_wishes(preferences, number);
        self.renumber |= self.needs.are_too_many();
        number
    }
}
