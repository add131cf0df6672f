//! What a strategy sees: a mirror of the committed state, kept current row by row.

mod claims;
mod gangs;
mod pinned;
mod wanted;

use super::board::{Amounts, Board, Data, Device, Image, Job, Lately, Length, Seat};
use super::needs::Needs;
use super::preempt::Ranks;
use super::rules::Source;
use super::tails::Tails;
use super::tasks::Tasks;
use super::{Fleet, Knobs, ROUND, Seen, Started, Strategy, make, place};
use crate::effect::Row;
use crate::event::Placement;
use crate::ids::{Attempt, TaskId, UserId, WorkerId};
use crate::predict::{self, Learner, run_of};
use crate::queue::Place;
use crate::resources::Kind;
use crate::spec::{Input, TaskSpec};
use crate::state::Phase;
use crate::task::{Active, State, TaskRecord};
use crate::time::{Timestamp, millis};
use claims::Claims;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The committed cluster as placing needs it: what waits, what runs, and what workers have left, as
/// records and as the [`Board`] on which strategies work.
///
/// Cost of a row is in proportion to the change, never to the cluster; only when a worker comes for
/// the first time, or is taken out, everything is numbered anew, once a round. The first task of a job whose tasks need
/// each other, of which the row of the plan comes before, costs in proportion to the plan.
#[derive(Clone, Debug, Default)]
pub struct View {
    version: u64,
    fleet: Fleet,
    tasks: Tasks,
    pinned: BTreeSet<(Place, TaskId)>,
    /// Of workers the first task that is pinned there and had no room in the last round.
    blocked: BTreeMap<WorkerId, TaskId>,
    /// Room that is being made for tasks.
    claims: Claims,
    ranks: Ranks,
    board: Board,
    /// Workers in the order of their names: what the board numbers.
    order: Vec<WorkerId>,
    /// Numbers of workers of which something changed since the last round, or was to change by it.
    touched: Vec<usize>,
    /// What the last round proposed.
    proposed: Vec<TaskId>,
    users: BTreeMap<UserId, usize>,
    models: BTreeMap<Arc<str>, u32>,
    needs: Needs,
    tails: Tails,
    gangs: gangs::Gangs,
    renumber: bool,
    learner: Learner,
    knobs: Knobs,
    /// Up to which state of the learner all predictions on the board are, or will be after `looks`.
    looked_at: u64,
    /// Where the look through all predictions goes on; none when it is over.
    looks: Option<usize>,
    /// Whose word the strategy goes by: what nobody asks for is not predicted.
    source: Source,
}

/// Numbers of tasks of which the prediction is made anew in one round after something was learned: some
/// microseconds each, less where tasks alike share it.
const LOOKS: usize = 128;

/// What the board was told of how long a task would run; that may be nothing.
type Told = Option<Length>;

/// A task that waits for a place now.
#[derive(Clone, Debug)]
pub struct Waiting(Arc<TaskRecord>);

impl Waiting {
    /// This task.
    pub(super) fn of(record: &Arc<TaskRecord>) -> Self {
        Self(Arc::clone(record))
    }

    pub(super) fn id(&self) -> TaskId {
        self.0.id
    }

    /// The attempt that a placement would make.
    #[must_use]
    pub fn attempt(&self) -> Attempt {
        Attempt { task: self.0.id, number: self.0.number() + 1 }
    }

    /// The task.
    #[must_use]
    pub fn record(&self) -> &TaskRecord {
        &self.0
    }

    /// What it asks for.
    #[must_use]
    pub fn spec(&self) -> &Arc<TaskSpec> {
        &self.0.spec
    }

    fn waits(&self) -> bool {
        matches!(&self.0.state, State::Queued(queued) if queued.phase == Phase::WaitingCapacity)
    }

    fn active(&self) -> Option<&Active> {
        match &self.0.state {
            State::Active(active) => Some(active),
            State::Queued(_) | State::Finished(_) => None,
        }
    }
}

impl View {
    /// Takes a committed row in; older versions must not come after newer ones.
    pub fn apply(&mut self, row: &Row) {
        self.version += 1;
        match row {
            Row::Task(task) => self.apply_task(task),
            Row::Worker(worker) => {
                self.renumber |= self.fleet.get(&worker.id).is_none();
                self.touch(&worker.id);
            }
            Row::WorkerRemoved(_) => self.renumber = true,
            Row::Job(..) | Row::JobPlanned(..) | Row::JobRemoved(_) => self.apply_job(row),
            Row::Outputs(..) | Row::TaskRemoved(..) => {}
        }
        self.tails.apply(row);
        self.fleet.apply(row);
    }

    /// How many rows were taken in: names a state of the view.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.version
    }

    fn apply_task(&mut self, task: &Arc<TaskRecord>) {
        let now = Waiting::of(task);
        self.gangs.note(task);
        let (before, number) = self.tasks.known(&task.id).unzip();
        let number = number.flatten();
        let was_at = before.as_ref().and_then(Waiting::active).map(|active| &active.worker);
        let is_at = now.active().map(|active| &active.worker);
        was_at.into_iter().chain(is_at).for_each(|worker| self.touch(worker));
        self.note(before.as_ref().map(|before| &*before.0), task);
        if task.spec.worker_id.is_some() {
            self.pinned.remove(&(Place::of(task), task.id));
        }
        if before.is_some() && task.finished().is_some() {
            if let Some((number, run)) = number.zip(run_of(task)) {
                // Where predictions count the board was told of all that there were at the start.
                let learned = if self.source == Source::Predicted { None } else { self.foreseen(task) };
                self.board.ran(number, run, learned);
            }
            self.learner.learn(task);
        }
        let keeps = number.is_some_and(|number| match is_at {
            Some(worker) => {
                self.board.runs_on(number).is_some_and(|at| self.order.get(at) == Some(worker))
                    && (task.spec.alternatives.is_empty() || self.board.held(number) == self.class(task))
            }
            None => now.waits() && self.board.waits(number),
        });
        let number = if keeps {
            number
        } else {
            number.into_iter().for_each(|number| self.board.remove(number, false));
            self.put(&now, None)
        };
        if let (Some(number), Some(_)) = (number, is_at) {
            self.board.set_started(number, started(task));
        }
        if !now.waits() && is_at.is_none() {
            self.tasks.remove(&task.id);
            return;
        }
        if number.is_none() && now.waits() {
            self.pinned.insert((Place::of(task), task.id));
        }
        self.tasks.put(now, number);
    }

    /// One that has no number yet has everything numbered anew.
    fn touch(&mut self, worker: &WorkerId) {
        self.touched.extend(self.order.binary_search(worker));
    }

    /// Puts a task on the board, with what was thought of its length before; nothing of one that neither waits for
    /// any worker nor has one.
    fn put(&mut self, task: &Waiting, thought: Option<Told>) -> Option<usize> {
        let record = &task.0;
        match task.active() {
            Some(active) => {
                let worker = self.order.binary_search(&active.worker).ok()?;
                let job = self.job(record, thought);
                Some(self.board.run(job, worker, started(record)))
            }
            None if task.waits() && record.spec.worker_id.is_none() => {
                let job = self.job(record, thought);
                Some(self.board.wait(job))
            }
            None => None,
        }
    }

    fn job(&mut self, task: &TaskRecord, thought: Option<Told>) -> Job {
        let class = self.class(task);
        let next = self.users.len();
        Job {
            class,
            arrival: task.created_at.as_millis(),
            order: task.order,
            priority: task.spec.priority,
            user: *self.users.entry(task.owner.clone()).or_insert(next),
            estimate: task.spec.estimate.map(|estimate| millis(estimate).max(1)),
            predicted: thought.unwrap_or_else(|| self.predicted(task)),
            deadline: task.due_at().map(Timestamp::as_millis),
            tail: self.tails.behind(task, &self.learner),
            image: Image::of(&task.spec.image),
            data: data(&task.spec.container.inputs),
        }
    }

    /// What was learned of a task's length, where that counts.
    fn predicted(&mut self, task: &TaskRecord) -> Option<Length> {
        let counts = self.source == Source::Predicted || task.spec.estimate.is_none();
        if counts { Length::learned(self.learner.predict(task)) } else { None }
    }

    /// Brings the board up to the rows that came since the last round.
    fn settle(&mut self) {
        self.end_claims();
        if std::mem::take(&mut self.renumber) {
            self.touched.clear();
            self.proposed.clear();
            return self.number_anew();
        }
        // First what was refused: what a seat is set to already leaves it out.
        for task in std::mem::take(&mut self.proposed) {
            let Some(known) = self.tasks.get(&task).filter(|known| known.waits()).cloned() else { continue };
            let Some(number) = self.tasks.number(&task) else { continue };
            if known.spec().worker_id.is_some() {
                self.board.remove(number, true);
                self.tasks.put(known, None);
            } else {
                self.board.take_back(number);
            }
        }
        let mut touched = std::mem::take(&mut self.touched);
        touched.sort_unstable();
        touched.dedup();
        let mut other_traits = false;
        for number in touched {
            if let Some(seen) = self.fleet.get(&self.order[number]) {
                self.board.set_seat(number, seat(seen, &mut self.models, &self.claims));
                self.board.set_images(number, &seen.record().about.images);
                if self.needs.known(number, seen.record()) {
                    self.board.set_meets(number, self.needs.met_by(number));
                    other_traits = true;
                }
            }
        }
        if other_traits {
            self.tell_domains();
        }
    }

    fn number_anew(&mut self) {
        let now = self.board.now();
        let before = std::mem::replace(&mut self.board, Board::new(now));
        self.board.learn_from(&before);
        let lately = before.seats().iter().map(|seat| seat.lately.clone());
        let mut lately: BTreeMap<WorkerId, Lately> = std::mem::take(&mut self.order).into_iter().zip(lately).collect();
        self.needs.begin_anew();
        self.tails.begin_anew();
        self.gangs.each().for_each(|(number, size)| self.board.set_gang(number, size));
        for (number, seen) in self.fleet.each().enumerate() {
            let id = &seen.record().id;
            self.needs.known(number, seen.record());
            self.board.set_seat(number, seat(seen, &mut self.models, &self.claims));
            self.board.set_lately(number, lately.remove(id).unwrap_or_default());
            self.board.set_images(number, &seen.record().about.images);
            self.order.push(id.clone());
        }
        let thought = |number: usize| before.job(number).predicted;
        let tasks = self.tasks.each().map(|task| (task.clone(), self.tasks.number(&task.id()).map(thought)));
        let mut tasks: Vec<(Waiting, Option<Told>)> = tasks.collect();
        tasks.sort_by_key(|(task, _)| task.0.order);
        for (task, thought) in tasks {
            let number = self.put(&task, thought);
            self.tasks.put(task, number);
        }
        self.needs.are_all();
        self.board.retell();
        self.looks = self.looks.map(|_| 0);
    }

    /// One whole round: tasks for which room was made go there, pinned ones where they must, the strategy places the
    /// others, and thinks on the spot. By the next round the view must have taken in the rows of the proposals that
    /// were taken.
    pub fn round(&mut self, strategy: &mut dyn Strategy, now: Timestamp) -> Vec<Placement> {
        self.round_by(strategy, now, place)
    }

    /// As [`View::round`]; what the strategy wants thought about is left to the caller.
    pub fn quick_round(&mut self, strategy: &mut dyn Strategy, now: Timestamp) -> Vec<Placement> {
        self.round_by(strategy, now, |strategy, board, most| strategy.place(board, most))
    }

    fn round_by(
        &mut self,
        strategy: &mut dyn Strategy,
        now: Timestamp,
        place: impl FnOnce(&mut dyn Strategy, &mut Board, usize) -> Vec<Started>,
    ) -> Vec<Placement> {
        let other = std::mem::replace(&mut self.source, strategy.source()) != strategy.source();
        self.settle_at(now);
        self.learner.begin_round();
        if other {
            self.looks = Some(0);
            self.look_at_predictions(usize::MAX);
        }
        self.look_at_predictions(LOOKS);
        let mut placements = self.place_claimed();
        if placements.is_empty() {
            placements = self.place_pinned();
        }
        if placements.is_empty() {
            for started in place(strategy, &mut self.board, ROUND) {
                let Some(task) = self.tasks.of_number(started.job) else { continue };
                let worker = self.order[started.worker].clone();
                placements.push(Placement { attempt: task.attempt(), worker });
            }
        }
        // Whatever becomes of a proposal, its worker has what the rows say, not what was thought.
        for Placement { attempt, worker } in &placements {
            self.proposed.push(attempt.task);
            self.touch(worker);
        }
        placements
    }

    /// Makes some predictions of waiting tasks anew, when something was learned. What runs is held to what was
    /// thought at its start: reservations that move with every task that ends cost more than they know better.
    fn look_at_predictions(&mut self, most: usize) {
        if self.looks.is_none() && self.looked_at != self.learner.version() {
            self.looked_at = self.learner.version();
            self.looks = Some(0);
        }
        let Some(from) = self.looks else { return };
        let to = from.saturating_add(most).min(self.tasks.numbers());
        self.looks = Some(to).filter(|to| *to < self.tasks.numbers());
        for number in (from..to).filter(|number| self.board.waits(*number)).collect::<Vec<_>>() {
            let Some(task) = self.tasks.of_number(number).map(|task| Arc::clone(&task.0)) else { continue };
            if let Some(predicted) = self.predicted(&task) {
                self.board.set_predicted(number, predicted);
            }
        }
    }

    /// How long a task is thought to run by what was learned; nothing where nothing was.
    pub(super) fn foreseen(&self, task: &TaskRecord) -> Option<Length> {
        Length::learned(self.learner.foresee(task))
    }

    /// How long tasks are thought to run.
    #[must_use]
    pub const fn learner(&self) -> &Learner {
        &self.learner
    }

    /// The same, to be set or stored.
    pub const fn learner_mut(&mut self) -> &mut Learner {
        &mut self.learner
    }

    /// A strategy of this name as it would be with the knobs that were set.
    pub(super) fn strategy(&self, name: &str) -> Option<Box<dyn Strategy>> {
        make(name, &self.knobs)
    }

    /// Sets the knobs: what they say about predictions, and what is asked of strategies.
    pub fn set_knobs(&mut self, knobs: &Knobs) {
        let ranked = std::mem::replace(&mut self.knobs, *knobs).margin().is_some();
        if ranked != self.margin().is_some() {
            self.rank_anew();
        }
        let predictor = predict::Knobs { upper_permille: knobs.upper_permille(), ..self.learner.knobs() };
        self.learner.set_knobs(predictor);
    }

    /// What is on the board may be wrong: it is made anew from the records before the next round.
    pub const fn begin_anew(&mut self) {
        self.renumber = true;
    }

    /// Another strategy takes over: it is told everything.
    pub fn retell(&mut self) {
        self.board.retell();
    }

    /// Of workers the first task that is pinned there and had no room in the last round.
    pub(super) const fn blocked(&self) -> &BTreeMap<WorkerId, TaskId> {
        &self.blocked
    }

    /// Every waiting task, pinned and impossible ones too, in no order.
    pub fn each_waiting(&self) -> impl Iterator<Item = &Waiting> {
        self.tasks.each().filter(|task| task.waits())
    }

    /// Every task that waits for a place or has one, as it was committed, in no order.
    pub fn records(&self) -> impl Iterator<Item = &Arc<TaskRecord>> {
        self.tasks.each().map(|task| &task.0)
    }

    /// The workers.
    #[must_use]
    pub const fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    /// The problem in numbers.
    #[must_use]
    pub const fn board(&self) -> &Board {
        &self.board
    }

    /// Brings the board up to the rows and the time, as a round does first.
    pub(super) fn settle_at(&mut self, now: Timestamp) {
        self.board.set_now(now.as_millis());
        self.settle();
    }

    /// The same, and lets the strategy hear of it.
    pub(super) fn listen(&mut self, strategy: &mut dyn Strategy, now: Timestamp) {
        self.settle_at(now);
        strategy.hear(&mut self.board);
    }

    /// Pinned tasks that wait, in order.
    pub(super) fn pinned(&self) -> impl Iterator<Item = &(Place, TaskId)> {
        self.pinned.iter()
    }

    /// Which of its requests a task was given by the last round, from 0 on, as the board has it.
    #[must_use]
    pub fn given(&self, id: &TaskId) -> usize {
        let Some(number) = self.number(id) else { return 0 };
        let held = self.board.held(number);
        self.board.chain(self.board.job(number).class).position(|class| class == held).unwrap_or(0)
    }

    /// Takes for committed what the last round proposed: for copies that go on alone.
    pub(super) fn believe(&mut self) {
        self.touched.clear();
        for id in std::mem::take(&mut self.proposed) {
            if let Some(task) = self.tasks.get(&id) {
                self.pinned.remove(&(Place::of(&task.0), id));
            }
        }
    }

    /// A task that waits for a place or has one.
    pub(super) fn task(&self, id: &TaskId) -> Option<&TaskRecord> {
        self.tasks.get(id).map(|task| &*task.0)
    }

    #[cfg(test)]
    pub(super) const fn tails(&self) -> &Tails {
        &self.tails
    }

    /// A task's number on the board; none for a pinned one that waits.
    pub(super) fn number(&self, id: &TaskId) -> Option<usize> {
        self.tasks.number(id)
    }

    /// The task of a number.
    pub(super) fn named(&self, number: usize) -> Option<TaskId> {
        self.tasks.of_number(number).map(Waiting::id)
    }

    /// The worker of a seat.
    pub(super) fn seated(&self, seat: usize) -> Option<&WorkerId> {
        self.order.get(seat)
    }
}

/// Since when a task's attempt holds its worker.
pub(super) fn started(task: &TaskRecord) -> u64 {
    let last = task.attempts.last();
    last.map_or(0, |attempt| attempt.started_at.unwrap_or(attempt.assigned_at).as_millis())
}

/// The last input stands for all: working directories come first, and are small.
fn data(inputs: &[Input]) -> Data {
    inputs.last().map_or_else(Data::default, |input| Data::of(&input.from.to_string()))
}

fn number_of(models: &mut BTreeMap<Arc<str>, u32>, model: &Arc<str>) -> u32 {
    let next = u32::try_from(models.len()).unwrap_or(u32::MAX);
    *models.entry(Arc::clone(model)).or_insert(next)
}

fn seat(seen: &Seen, models: &mut BTreeMap<Arc<str>, u32>, claims: &Claims) -> Seat {
    let (record, free) = (seen.record(), seen.free());
    let total: Amounts = Kind::ALL.map(|kind| record.capacity.amount(kind));
    let device =
        |(gpu, left): &(crate::resources::Gpu, u64)| Device { model: number_of(models, &gpu.model), left: *left };
    let devices = free.devices().iter().map(device).collect();
    Seat {
        // What is kept for one is closed to all others.
        open: record.takes_work() && !claims.are_on(&record.id),
        single: !record.duty.is_open(),
        total,
        free: Kind::ALL.map(|kind| free.amount(kind)),
        devices,
        ..Seat::default()
    }
}
