//! Jobs that take one thing or else another, on a board: classes in chains.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

use cloudai_core::strategy::board::{Amounts, Board, Device, Job, Seat, Wanted};
use cloudai_core::strategy::rules::{Blocked, Order, Seating};
use cloudai_core::strategy::{ALL, Ruled, Rules, Started, Strategy, by_name, place};
use proptest::prelude::*;
use proptest::strategy::Strategy as _;

/// A class that asks for the first of these, else for the next.
fn chain(board: &mut Board, wanted: &[Wanted]) -> usize {
    let class = wanted.iter().rev().fold(None, |or: Option<usize>, wanted| {
        let or = or.map(|or| u32::try_from(or).unwrap());
        Some(board.class(Wanted { or, ..*wanted }))
    });
    class.unwrap()
}

fn of(amounts: Amounts) -> Wanted {
    Wanted { amounts, ..Wanted::default() }
}

/// A job of these that runs for so many seconds waits; its order is the number of those before it.
fn wait(board: &mut Board, order: u64, amounts: &[Amounts], seconds: u64) -> usize {
    let wanted: Vec<Wanted> = amounts.iter().copied().map(of).collect();
    let class = chain(board, &wanted);
    board.wait(Job { arrival: board.now(), order, ..Job::plain(class, seconds * 1000) })
}

fn board(seats: &[Amounts]) -> Board {
    let mut board = Board::default();
    seats.iter().enumerate().for_each(|(worker, amounts)| board.set_seat(worker, Seat::plain(*amounts)));
    board
}

fn started(strategy: &mut dyn Strategy, board: &mut Board) -> Vec<(usize, usize)> {
    place(strategy, board, usize::MAX).into_iter().map(|Started { job, worker }| (job, worker)).collect()
}

fn reserving() -> Ruled {
    Ruled::new("test", Rules { blocked: Blocked::Reserved, ..Rules::default() })
}

const GPU: Amounts = [1, 1, 1, 1000];

#[test]
fn a_refused_start_waits_for_the_first_of_its_choice_again() {
    for (name, _) in ALL {
        let mut board = board(&[[8, 9, 9, 0], [2, 9, 9, 1000]]);
        let mut strategy = by_name(name).unwrap();
        let held = wait(&mut board, 0, &[GPU], 10);
        assert_eq!(started(&mut *strategy, &mut board), [(held, 1)], "{name}");
        let job = wait(&mut board, 1, &[GPU, [8, 1, 1, 0]], 10);
        assert_eq!(started(&mut *strategy, &mut board), [(job, 0)], "{name}");
        assert_ne!(board.held(job), board.job(job).class, "{name}");
        board.take_back(job);
        assert_eq!((board.seats()[0].free, board.held(job)), ([8, 9, 9, 0], board.job(job).class), "{name}");
        board.remove(held, true);
        assert_eq!(started(&mut *strategy, &mut board), [(job, 1)], "{name}: the device is there again");
        assert_eq!(board.seats()[1].free, [1, 8, 8, 0], "{name}");
    }
}

#[test]
fn a_job_is_possible_while_anything_of_its_choice_is() {
    for (name, _) in ALL {
        let mut board = board(&[[4, 9, 9, 0]]);
        let mut strategy = by_name(name).unwrap();
        let job = wait(&mut board, 0, &[GPU, [8, 1, 1, 0]], 10);
        assert_eq!(started(&mut *strategy, &mut board), [], "{name}");
        assert!(!board.possible(board.job(job).class), "{name}");
        board.set_seat(1, Seat::plain([8, 9, 9, 0]));
        assert_eq!(started(&mut *strategy, &mut board), [(job, 1)], "{name}");
        assert!(board.possible(board.job(job).class), "{name}");
    }
}

#[test]
fn room_is_kept_where_anything_of_a_choice_fits_first_and_of_two_that_fit_at_once_for_the_earlier() {
    // The device is free after 100 seconds, four cores after 50: the core that is left there is kept.
    let mut both = board(&[[4, 9, 9, 0], [4, 9, 9, 1000]]);
    wait(&mut both, 0, &[[3, 1, 1, 0]], 50);
    wait(&mut both, 1, &[[4, 1, 1, 1000]], 100);
    let mut strategy = reserving();
    assert_eq!(started(&mut strategy, &mut both).len(), 2);
    wait(&mut both, 2, &[GPU, [4, 1, 1, 0]], 10);
    wait(&mut both, 3, &[[1, 1, 1, 0]], 1000);
    assert_eq!(started(&mut strategy, &mut both), []);
    // Both fit one worker after 50 seconds: what the earlier leaves beside it others may take.
    let cores = [4, 1, 1, 0];
    for (choice, passes) in [([GPU, cores], true), ([cores, GPU], false)] {
        let mut one = board(&[[4, 9, 9, 1000]]);
        let (mut strategy, running) = (reserving(), wait(&mut one, 0, &[GPU], 50));
        assert_eq!(started(&mut strategy, &mut one), [(running, 0)]);
        wait(&mut one, 1, &choice, 10);
        let small = wait(&mut one, 2, &[[3, 1, 1, 0]], 1000);
        let expected: &[(usize, usize)] = if passes { &[(small, 0)] } else { &[] };
        assert_eq!(started(&mut strategy, &mut one), expected, "{choice:?}");
    }
}

#[test]
fn what_has_room_only_where_it_is_kept_takes_the_next_of_its_choice_elsewhere_alone() {
    let mut board = board(&[[4, 9, 9, 0], [0, 1, 9, 1000]]);
    let mut strategy = reserving();
    let running = wait(&mut board, 0, &[[3, 1, 1, 0]], 50);
    assert_eq!(started(&mut strategy, &mut board), [(running, 0)]);
    wait(&mut board, 1, &[[4, 1, 1, 0]], 10);
    let core = [1, 1, 1, 0];
    let elsewhere = wait(&mut board, 2, &[core, [0, 1, 1, 1000]], 1000);
    // The other of this one has room on the first worker alone, where the core would be taken instead.
    wait(&mut board, 3, &[core, [0, 2, 1, 0]], 1000);
    assert_eq!(started(&mut strategy, &mut board), [(elsewhere, 1)]);
}

/// A worker of any amounts, with the models of its devices.
fn seats() -> impl proptest::strategy::Strategy<Value = Vec<(u64, u64, Vec<u32>)>> {
    prop::collection::vec((1..9u64, 1..9u64, prop::collection::vec(0..2u32, 0..3)), 1..6)
}

/// What a job asks for: cores, memory, thousandths of devices, their model.
fn wanted() -> impl proptest::strategy::Strategy<Value = Vec<Wanted>> {
    let gpus = prop::sample::select(vec![0u64, 0, 300, 700, 1000, 2000]);
    let one = (0..6u64, 0..6u64, gpus, prop::option::of(0..2u32));
    let one = one.prop_map(|(cores, memory, gpus, model)| Wanted {
        amounts: [cores, memory, 0, gpus],
        model: model.filter(|_| gpus > 0),
        ..Wanted::default()
    });
    prop::collection::vec(one, 1..4)
}

fn with_devices(seats: &[(u64, u64, Vec<u32>)]) -> Board {
    let mut board = Board::default();
    for (worker, (cores, memory, models)) in seats.iter().enumerate() {
        let devices: Vec<Device> = models.iter().map(|model| Device { model: *model, left: 1000 }).collect();
        let gpus = 1000 * u64::try_from(devices.len()).unwrap();
        board.set_seat(worker, Seat { devices, ..Seat::plain([*cores, *memory, 9, gpus]) });
    }
    board
}

/// What is free is what is left of all by what runs holds.
fn is_true(board: &Board, seats: &[(u64, u64, Vec<u32>)]) -> Result<(), TestCaseError> {
    for (seat, (cores, memory, models)) in board.seats().iter().zip(seats) {
        let mut left = [*cores, *memory, 9, 1000 * u64::try_from(models.len()).unwrap()];
        for run in &seat.runs {
            prop_assert_eq!(run.class, board.held(run.job));
            prop_assert!(board.chain(board.job(run.job).class).any(|class| class == run.class));
            let amounts = board.classes()[run.class].amounts;
            (0..4).for_each(|kind| left[kind] -= amounts[kind]);
        }
        prop_assert_eq!(seat.free, left);
        prop_assert_eq!(seat.devices.iter().map(|device| device.left).sum::<u64>(), left[3]);
    }
    Ok(())
}

proptest! {
    #[test]
    fn what_is_given_back_is_what_was_taken(
        seats in seats(),
        steps in prop::collection::vec((0..4u8, 0..64usize, 0..6usize, wanted()), 1..80),
    ) {
        let mut board = with_devices(&seats);
        let mut jobs: Vec<usize> = Vec::new();
        for (step, job, worker, wanted) in steps {
            let worker = worker % seats.len();
            let job = if jobs.is_empty() { None } else { Some(job % jobs.len()) };
            match (step, job) {
                (0, _) | (_, None) => {
                    let class = chain(&mut board, &wanted);
                    jobs.push(board.wait(Job::plain(class, 1)));
                }
                (1, Some(at)) => {
                    let (number, waits) = (jobs[at], board.waits(jobs[at]));
                    let classes: Vec<usize> = board.chain(board.job(number).class).collect();
                    let first = classes.into_iter().find(|class| board.fits(*class, worker)).filter(|_| waits);
                    prop_assert_eq!(board.start(number, worker), first.is_some());
                    if let Some(first) = first {
                        prop_assert_eq!(board.held(number), first);
                    }
                }
                (2, Some(at)) => board.take_back(jobs[at]),
                (_, Some(at)) => board.remove(jobs.swap_remove(at), true),
            }
            is_true(&board, &seats)?;
        }
        jobs.into_iter().for_each(|job| board.remove(job, true));
        is_true(&board, &seats)?;
        // No class is left of which no job is: each number is used again.
        let known = board.classes().len();
        for cores in (100..).take(known) {
            let class = board.class(of([cores, 1, 1, 0]));
            board.wait(Job::plain(class, 1));
        }
        prop_assert_eq!(board.classes().len(), known);
    }

    #[test]
    fn what_is_taken_is_the_first_that_has_room_anywhere_and_nothing_waits_that_has(
        seats in seats(),
        steps in prop::collection::vec((prop::collection::vec(wanted(), 0..8), prop::collection::vec(0..64usize, 0..4)), 1..20),
        seating in prop::sample::select(vec![Seating::First, Seating::Turn, Seating::Level]),
    ) {
        let order = Order::Size { length: 1.0, pool: 1.0, share: -1.0 };
        let rules = Rules { order, seating, blocked: Blocked::Passed, ..Rules::default() };
        let (mut strategy, mut board) = (Ruled::new("test", rules), with_devices(&seats));
        let (mut running, mut order): (Vec<usize>, u64) = (Vec::new(), 0);
        for (come, end) in steps {
            board.set_now(board.now() + 100_000);
            for wanted in come {
                let class = chain(&mut board, &wanted);
                board.wait(Job { arrival: board.now(), order, ..Job::plain(class, 1000 * (1 + order % 7)) });
                order += 1;
            }
            for at in end {
                if !running.is_empty() {
                    board.remove(running.swap_remove(at % running.len()), true);
                }
            }
            while let Some(start) = strategy.place(&mut board, 1).first().copied() {
                running.push(start.job);
                let taken = board.held(start.job);
                let passed: Vec<usize> =
                    board.chain(board.job(start.job).class).take_while(|class| *class != taken).collect();
                for class in passed {
                    prop_assert_eq!(board.next_fit(class, 0), None, "job {} takes {}", start.job, taken);
                }
            }
            for job in board.each_waiting() {
                let has_room = board.chain(board.job(job).class).any(|class| board.next_fit(class, 0).is_some());
                prop_assert!(!has_room, "job {job}");
            }
            is_true(&board, &seats)?;
        }
    }
}
