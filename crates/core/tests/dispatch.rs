//! What a dispatcher's rules mean, on a board.

use cloudai_core::images::Images;
use cloudai_core::strategy::board::{Board, Data, Device, Image, Job, Seat, Wanted, Wish};
use cloudai_core::strategy::rules::{Blocked, Order, Seating};
use cloudai_core::strategy::{ALL, Knobs, Ruled, Rules, Started, Strategy, by_name, make, place};
use std::collections::{BTreeMap, BTreeSet};

/// A board of workers with so many cores.
fn board(cores: &[u64]) -> Board {
    let mut board = Board::default();
    for (worker, cores) in cores.iter().enumerate() {
        board.set_seat(worker, Seat::plain([*cores, 100, 100, 0]));
    }
    board
}

/// A job of so many cores that runs for so many seconds; its order is the number of jobs before it.
fn wait(board: &mut Board, order: u64, cores: u64, seconds: u64) -> usize {
    job(board, order, cores, seconds, |_| {})
}

fn job(board: &mut Board, order: u64, cores: u64, seconds: u64, change: impl Fn(&mut Job)) -> usize {
    let class = board.class(Wanted { amounts: [cores, 1, 1, 0], ..Wanted::default() });
    let mut job = Job { arrival: board.now(), order, ..Job::plain(class, seconds * 1000) };
    change(&mut job);
    board.wait(job)
}

fn started(strategy: &mut dyn Strategy, board: &mut Board) -> Vec<usize> {
    place(strategy, board, usize::MAX).into_iter().map(|Started { job, .. }| job).collect()
}

#[test]
fn in_strict_order_a_task_without_room_holds_up_all_others_and_priority_does_not_count() {
    let mut board = board(&[4]);
    let mut greedy = by_name("greedy").unwrap();
    let first = wait(&mut board, 0, 2, 10);
    wait(&mut board, 1, 4, 10);
    job(&mut board, 2, 1, 10, |job| job.priority = 100);
    assert_eq!(started(&mut *greedy, &mut board), [first]);
}

#[test]
fn a_form_that_skips_goes_by_priority_and_passes_what_has_no_room() {
    let mut board = board(&[4]);
    let mut skip = by_name("greedy_skip").unwrap();
    wait(&mut board, 0, 8, 10);
    let low = wait(&mut board, 1, 2, 10);
    let high = job(&mut board, 2, 2, 10, |job| job.priority = 1);
    assert_eq!(started(&mut *skip, &mut board), [high, low]);
}

#[test]
fn what_waited_too_long_is_passed_no_more() {
    for name in ["greedy_skip", "ai"] {
        let mut board = board(&[4]);
        let mut strategy = make(name, &Knobs { patience: 1.0, ..Knobs::default() }).unwrap();
        let running = wait(&mut board, 0, 2, 1000);
        assert_eq!(started(&mut *strategy, &mut board), [running]);
        let large = wait(&mut board, 1, 4, 60);
        assert!(started(&mut *strategy, &mut board).is_empty());
        board.set_now(120_000);
        let long = wait(&mut board, 2, 2, 5000);
        assert!(started(&mut *strategy, &mut board).is_empty(), "{name}: it would delay the large one");
        let short = wait(&mut board, 3, 2, 100);
        assert_eq!(started(&mut *strategy, &mut board), [short], "{name}: it ends before");
        board.remove(running, true);
        board.remove(short, true);
        assert_eq!(started(&mut *strategy, &mut board), [large], "{name}");
        board.remove(large, true);
        assert_eq!(started(&mut *strategy, &mut board), [long], "{name}");
    }
}

#[test]
fn a_task_whose_deadline_is_near_goes_before_shorter_ones() {
    let mut board = board(&[1]);
    let mut strategy = by_name("ai_predictive").unwrap();
    let running = wait(&mut board, 0, 1, 10);
    assert_eq!(started(&mut *strategy, &mut board), [running]);
    wait(&mut board, 1, 1, 5);
    let due = job(&mut board, 2, 1, 30, |job| job.deadline = Some(50_000));
    assert!(started(&mut *strategy, &mut board).is_empty());
    board.set_now(10_000);
    board.remove(running, true);
    assert_eq!(started(&mut *strategy, &mut board), [due]);
}

#[test]
fn who_had_much_lately_goes_later_than_who_had_nothing() {
    let mut board = board(&[4]);
    let mut strategy = make("ai", &Knobs { fair_share: 1.0, ..Knobs::default() }).unwrap();
    let hog = wait(&mut board, 0, 4, 2000);
    assert_eq!(started(&mut *strategy, &mut board), [hog]);
    let again = wait(&mut board, 1, 4, 10);
    let other = job(&mut board, 2, 4, 15, |job| job.user = 1);
    assert!(started(&mut *strategy, &mut board).is_empty());
    board.set_now(2_000_000);
    board.remove(hog, true);
    let next = started(&mut *strategy, &mut board);
    assert_eq!(next, [again], "nobody had less when it was given: there was one user");
    board.set_now(2_010_000);
    board.remove(again, true);
    assert_eq!(started(&mut *strategy, &mut board), [other]);
    let (mine, others) = (wait(&mut board, 3, 4, 10), job(&mut board, 4, 4, 15, |job| job.user = 1));
    assert!(started(&mut *strategy, &mut board).is_empty());
    board.set_now(2_030_000);
    board.remove(other, true);
    assert_eq!(started(&mut *strategy, &mut board), [others], "the first user had far more");
    board.remove(others, true);
    assert_eq!(started(&mut *strategy, &mut board), [mine]);
}

#[test]
fn a_refused_start_is_tried_again() {
    let mut board = board(&[4]);
    for name in ["greedy", "greedy_skip", "ai"] {
        let mut strategy = by_name(name).unwrap();
        board.retell();
        let job = wait(&mut board, 0, 4, 10);
        assert_eq!(started(&mut *strategy, &mut board), [job], "{name}");
        board.take_back(job);
        assert_eq!(started(&mut *strategy, &mut board), [job], "{name}");
        board.remove(job, true);
    }
}

#[test]
fn a_round_that_was_full_is_gone_on_with_in_the_next() {
    for name in ["greedy_skip", "ai"] {
        let mut board = board(&[4, 2]);
        let mut strategy = by_name(name).unwrap();
        let running = wait(&mut board, 0, 4, 10);
        assert_eq!(started(&mut *strategy, &mut board), [running]);
        wait(&mut board, 1, 3, 1);
        let small = [wait(&mut board, 2, 1, 10), wait(&mut board, 3, 1, 10)];
        let rounds: Vec<_> = (0..3).flat_map(|_| place(&mut *strategy, &mut board, 1)).map(|start| start.job).collect();
        assert_eq!(rounds, small, "{name}");
    }
}

#[test]
fn of_workers_that_are_equal_the_one_that_has_the_image_is_taken() {
    the_one_that_has_it(|image| Box::new(move |job: &mut Job| job.image = Image::of(image)));
}

#[test]
fn of_workers_that_are_equal_the_one_that_has_the_inputs_is_taken_whatever_image_it_has() {
    the_one_that_has_it(|input| {
        Box::new(move |job: &mut Job| (job.image, job.data) = (Image::of("the same"), Data::of(input)))
    });
}

#[test]
fn of_workers_that_are_equal_the_one_that_tells_that_it_has_the_image_is_taken_and_not_one_that_removed_it() {
    let mut board = board(&[4, 4, 4]);
    let mut strategy = by_name("ai").unwrap();
    let mut taken = |board: &mut Board, order| {
        let job = job(board, order, 1, 10, |job| job.image = Image::of("docker.io/library/busybox"));
        let worker = place(&mut *strategy, board, 9)[0].worker;
        board.remove(job, true);
        worker
    };
    board.set_images(1, &Images::of(["busybox", "a"]));
    assert_eq!(taken(&mut board, 0), 1);
    board.set_images(1, &Images::of(["a"]));
    board.set_images(2, &Images::of(["busybox"]));
    assert_eq!(taken(&mut board, 1), 2, "the first used it and has it no more");
    // A worker that is set anew has what it had.
    board.set_seat(2, Seat::plain([4, 100, 100, 0]));
    assert_eq!(taken(&mut board, 2), 2);
}

fn the_one_that_has_it(of: impl Fn(&'static str) -> Box<dyn Fn(&mut Job)>) {
    let mut board = board(&[4, 4, 4]);
    let Some(mut strategy) = by_name("ai") else { panic!() };
    let first: Vec<usize> = ["a", "b", "c"].map(|word| job(&mut board, 0, 4, 10, of(word))).into();
    let on: Vec<usize> = place(&mut *strategy, &mut board, 9).iter().map(|start| start.worker).collect();
    first.into_iter().for_each(|job| board.remove(job, true));
    for (at, word) in ["a", "b", "c"].into_iter().enumerate().rev() {
        job(&mut board, 1, 4, 10, of(word));
        let start = place(&mut *strategy, &mut board, 9);
        assert_eq!(start[0].worker, on[at], "{word} was fetched there");
    }
}

#[test]
fn on_large_clusters_too_the_workers_that_are_liked_most_come_first() {
    for (name, _) in ALL {
        let (mut board, mut strategy) = (board(&[4; 200]), by_name(name).unwrap());
        for (worker, need) in [(150, 0), (151, 1), (17, 2)] {
            board.set_meets(worker, [need].into_iter().collect());
        }
        let wish = |need, weight| Wish { need, weight };
        let wishes = board.add_wishes(vec![wish(0, 50), wish(1, 10), wish(2, -1)]);
        let class = board.class(Wanted { amounts: [4, 1, 1, 0], wishes: Some(wishes), ..Wanted::default() });
        for order in 0..5 {
            job(&mut board, order, 4, 10, |job| job.class = class);
        }
        let on: Vec<usize> = place(&mut *strategy, &mut board, 9).iter().map(|start| start.worker).collect();
        assert_eq!((on.len(), &on[..2]), (5, &[150, 151][..]), "{name}");
        assert!(!on.contains(&17), "{name}: {on:?}");
        assert_eq!([150, 151, 17, 0].map(|worker| board.liking(class, worker)), [50, 10, -1, 0]);
        // One that is liked most has room again: it is taken in the next round.
        board.remove(board.seats()[150].runs[0].job, true);
        job(&mut board, 9, 4, 10, |job| job.class = class);
        assert_eq!(place(&mut *strategy, &mut board, 9)[0].worker, 150, "{name}");
    }
}

#[test]
fn a_worker_that_comes_back_with_another_model_of_gpu_gets_what_waits_for_that() {
    let seat = |model| Seat { devices: vec![Device { model, left: 1000 }], ..Seat::plain([4, 4, 4, 1000]) };
    for (name, _) in ALL {
        let (mut board, mut strategy) = (Board::default(), by_name(name).unwrap());
        board.set_seat(0, seat(0));
        let waits = on_gpus(&mut board, 0, 1, 1, 1);
        assert_eq!(started(&mut *strategy, &mut board), [], "{name}");
        board.set_seat(0, seat(1));
        assert_eq!(started(&mut *strategy, &mut board), [waits], "{name}");
    }
}

/// A job that takes whole devices of a model.
fn on_gpus(board: &mut Board, order: u64, devices: u64, model: u32, seconds: u64) -> usize {
    let class = board.class(Wanted { amounts: [1, 1, 1, devices * 1000], model: Some(model), ..Wanted::default() });
    job(board, order, 1, seconds, |job| job.class = class)
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(12))]

    /// Workers have two devices of one of two models each; run times are as their users say.
    #[test]
    fn the_first_that_has_no_room_starts_when_what_ran_then_has_ended_whoever_passes_it(
        workers in 2..6usize,
        jobs in proptest::collection::vec((0..10u64, 0..2u32, 1..100u64, 0..60u64), 300..900),
    ) {
        let rules = Rules { blocked: Blocked::Reserved, seating: Seating::Level, ..Rules::default() };
        let (mut strategy, mut board) = (Ruled::new("test", rules), Board::default());
        for worker in 0..workers {
            let model = u32::try_from(worker % 2).unwrap();
            board.set_seat(worker, Seat { devices: vec![Device { model, left: 1000 }; 2], ..Seat::plain([4, 4, 4, 2000]) });
        }
        let (mut coming, mut order, mut first) = (jobs.into_iter().peekable(), 0, 0);
        let (mut ends, mut at) = (BTreeSet::new(), 0);
        let mut waits = BTreeMap::new();
        let mut due = None;
        loop {
            let next = ends.first().map(|(end, _): &(u64, usize)| *end);
            let Some(now) = next.into_iter().chain(coming.peek().map(|(.., gap)| at + gap)).min() else { break };
            board.set_now(now);
            while let Some((_, job)) = ends.first().copied().filter(|(end, _)| *end <= now) {
                ends.pop_first();
                board.remove(job, true);
            }
            while let Some((devices, model, seconds, gap)) = coming.next_if(|(.., gap)| at + gap <= now) {
                at += gap;
                let devices = if devices == 0 { 2 } else { 1 };
                waits.insert(on_gpus(&mut board, order, devices, model, seconds), (order, seconds));
                order += 1;
            }
            for start in strategy.place(&mut board, usize::MAX) {
                let (_, seconds) = waits.remove(&start.job).unwrap();
                ends.insert((now + seconds * 1000, start.job));
            }
            let head = waits.values().map(|(order, _)| *order).min();
            if head != Some(first) || due.is_none() {
                due = ends.last().map(|(end, _)| *end);
                first = head.unwrap_or(first);
            }
            let late = head.is_some() && due.is_some_and(|due| due < now);
            proptest::prop_assert!(!late, "job {} waits at {} since before {:?}", first, now, due);
        }
        proptest::prop_assert!(waits.is_empty());
    }
}

/// What happens between two rounds: jobs come (cores, seconds, user), others end, by place.
type Step = (Vec<(u64, u64, usize)>, Vec<usize>);

fn steps() -> impl proptest::strategy::Strategy<Value = Vec<Step>> {
    use proptest::collection::vec;
    vec((vec((1..6u64, 1..1000u64, 0..3usize), 0..8), vec(0..64usize, 0..4)), 1..30)
}

proptest::proptest! {
    #[test]
    fn who_passes_what_has_no_room_leaves_nothing_waiting_that_has(
        steps in steps(),
        workers in proptest::collection::vec(1..8u64, 1..100),
        seating in proptest::sample::select(vec![Seating::First, Seating::Turn, Seating::Level]),
        fair_share in proptest::sample::select(vec![0.0, 4.0]),
    ) {
        let order = Order::Size { length: 1.0, pool: 1.0, share: -1.0 };
        let rules = Rules { order, seating, blocked: Blocked::Passed, fair_share, ..Rules::default() };
        let (mut strategy, mut board) = (Ruled::new("test", rules), board(&workers));
        let (mut running, mut order) = (Vec::new(), 0);
        for (come, end) in steps {
            board.set_now(board.now() + 100_000);
            for (cores, seconds, user) in come {
                job(&mut board, order, cores, seconds, |job| job.user = user);
                order += 1;
            }
            for place in end {
                if !running.is_empty() {
                    board.remove(running.swap_remove(place % running.len()), true);
                }
            }
            loop {
                let starts = strategy.place(&mut board, 3);
                if starts.is_empty() {
                    break;
                }
                running.extend(starts.iter().map(|start| start.job));
            }
            for job in board.each_waiting() {
                proptest::prop_assert_eq!(board.next_fit(board.job(job).class, 0), None, "job {}", job);
            }
        }
    }
}
