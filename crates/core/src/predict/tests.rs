//! What the predictor promises, on runs that are made up.

use super::*;
use proptest::prelude::*;

const MINUTE: u64 = 60_000;

fn job(user: u64, estimate: Option<u64>) -> Features {
    Features { user, image: 0, shape: 0, size: 1, estimate }
}

fn predictor() -> Predictor {
    Predictor::new(Knobs::default())
}

/// One that learned these run times of one kind, in this order.
fn taught(features: &Features, runs: impl IntoIterator<Item = u64>) -> Predictor {
    let mut predictor = predictor();
    runs.into_iter().for_each(|run| predictor.learn(features, run));
    predictor
}

/// Numbers without a pattern that are the same each time.
fn scattered(seed: u64) -> impl Iterator<Item = u64> {
    (1..).map(move |i: u64| {
        let mixed = (i.wrapping_add(seed << 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 33
    })
}

fn near(guess: u64, truth: u64, percent: u64) -> bool {
    guess.abs_diff(truth) * 100 <= truth * percent
}

#[test]
fn while_nothing_is_known_the_estimate_is_the_prediction() {
    let cold = predictor().predict(&job(1, Some(5 * MINUTE)));
    let all = Prediction { mean: 5 * MINUTE, upper: 5 * MINUTE, confidence: 0, expert: Expert::Estimate };
    assert_eq!(cold, all);
    let cold = predictor().predict(&job(1, None));
    assert!(near(cold.mean, MINUTE, 1) && near(cold.upper, 4 * MINUTE, 1), "{cold:?}");
    assert_eq!((cold.confidence, cold.expert), (0, Expert::Default));
}

#[test]
fn a_user_who_repeats_a_task_is_predicted_by_its_last_runs() {
    let task = job(1, Some(60 * MINUTE));
    let known = taught(&task, [10 * MINUTE; 30]).predict(&task);
    assert!(near(known.mean, 10 * MINUTE, 1) && near(known.upper, 10 * MINUTE, 1), "{known:?}");
    assert!(known.mean >= 10 * MINUTE, "one more of the same does not outlive it: {known:?}");
    assert!(known.confidence > 40, "{known:?}");
    assert_eq!(known.expert, Expert::Recent);
}

#[test]
fn confidence_grows_with_runs_that_were_predicted_well() {
    let task = job(1, None);
    let confidence = |runs| taught(&task, vec![MINUTE; runs]).predict(&task).confidence;
    assert!(confidence(1) < confidence(10) && confidence(10) < confidence(100));
    assert!(confidence(1000) >= 95);
}

#[test]
fn a_user_with_two_usual_lengths_gets_one_of_them_and_never_what_lies_between() {
    let task = job(1, None);
    let lengths = scattered(3).map(|n| if n % 3 == 0 { MINUTE } else { 100 * MINUTE });
    let mean = taught(&task, lengths.take(40)).predict(&task).mean;
    assert!(near(mean, MINUTE, 1) || near(mean, 100 * MINUTE, 1), "{mean}");
}

/// A share of the estimate that is personal, and rounded up as people do.
fn habits(user: u64, noise: u64) -> (Features, u64) {
    let run = 10_000 + noise % 600_000;
    let factor = 110 + user * 40 + (noise >> 20) % 15;
    let estimate = (run * factor / 100).div_ceil(5_000) * 5_000;
    (job(user, Some(estimate)), run)
}

#[test]
fn the_share_of_their_estimates_that_users_need_is_learned_for_each() {
    let mut predictor = predictor();
    let tasks = || scattered(7).enumerate().map(|(i, noise)| habits(i as u64 % 5, noise));
    tasks().take(500).for_each(|(task, run)| predictor.learn(&task, run));
    let (mut guessed, mut estimated) = (0, 0);
    for (task, run) in tasks().skip(500).take(200) {
        let mean = predictor.predict(&task).mean;
        guessed += mean.abs_diff(run) * 1000 / run;
        estimated += task.estimate.unwrap_or(0).abs_diff(run) * 1000 / run;
    }
    assert!(guessed * 8 < estimated, "{guessed} against {estimated}");
}

#[test]
fn the_expert_that_was_least_wrong_for_the_user_is_asked() {
    let mut predictor = predictor();
    let mut last = [Features { size: 0, ..job(0, None) }, Features { size: 0, ..job(0, None) }];
    for noise in scattered(1).take(400) {
        let exact = 1_000 + noise % 1_000_000;
        last[0] = Features { size: noise, ..job(1, Some(exact)) };
        predictor.learn(&last[0], exact);
        let whatever = Some(MINUTE * (2 + noise % 100_003));
        last[1] = job(2, whatever);
        predictor.learn(&last[1], MINUTE);
    }
    let exact = predictor.predict(&Features { estimate: Some(77_777), ..last[0].clone() });
    assert!(near(exact.mean, 77_777, 1), "estimates that were always right are believed: {exact:?}");
    let repeat = predictor.predict(&Features { estimate: Some(999 * MINUTE), ..last[1].clone() });
    assert!(near(repeat.mean, MINUTE, 1), "estimates that say nothing are not scaled: {repeat:?}");
    assert!(matches!(repeat.expert, Expert::Repeat | Expert::LastTwo), "{repeat:?}");
}

#[test]
fn nothing_is_predicted_above_an_estimate_until_runs_disprove_estimates() {
    let task = job(1, Some(MINUTE));
    let longer = Features { estimate: Some(100 * MINUTE), ..job(1, None) };
    let held = taught(&longer, [50 * MINUTE; 20]).predict(&task);
    assert!(held.mean <= MINUTE && held.upper <= MINUTE, "{held:?}");
    let disproved = taught(&task, [3 * MINUTE; 20]).predict(&task);
    assert!(near(disproved.mean, 3 * MINUTE, 1), "{disproved:?}");
}

#[test]
fn a_run_that_outlives_its_prediction_is_predicted_by_longer_runs_like_it() {
    let task = job(1, Some(300 * MINUTE));
    let lengths = [5 * MINUTE, 5 * MINUTE, 60 * MINUTE, 5 * MINUTE, 5 * MINUTE];
    let predictor = taught(&task, lengths.into_iter().cycle().take(30));
    let first = predictor.predict(&task);
    assert!(near(first.mean, 5 * MINUTE, 1), "{first:?}");
    assert_eq!(predictor.outlived(&task, MINUTE), first, "it is not outlived yet");
    let later = predictor.outlived(&task, 6 * MINUTE);
    assert!(near(later.mean, 60 * MINUTE, 1), "{later:?}");
    assert_eq!(later.expert, Expert::Outlived);
    let unheard_of = predictor.outlived(&task, 100 * MINUTE);
    assert!(near(unheard_of.mean, 141 * MINUTE, 1) && unheard_of.upper == 300 * MINUTE, "{unheard_of:?}");
    let beyond = predictor.outlived(&task, 400 * MINUTE);
    assert!(beyond.mean > 400 * MINUTE, "an estimate that is exceeded limits nothing: {beyond:?}");
}

#[test]
fn the_upper_end_holds_for_the_share_of_runs_that_was_asked_for() {
    let lengths = || scattered(11).map(|n| 1_000 << (n % 10));
    for share in [500, 900] {
        let mut predictor = Predictor::new(Knobs { upper_permille: share, ..Knobs::default() });
        lengths().take(2_000).for_each(|run| predictor.learn(&job(1, None), run));
        let within = predictor.accuracy().recent.within_upper_milli;
        assert!(within + 20 >= u64::from(share), "{within} of {share}");
    }
}

#[test]
fn accuracy_counts_what_was_predicted_before_a_run_was_learned() {
    let task = job(1, Some(4 * MINUTE));
    let accuracy = taught(&task, [MINUTE]).accuracy();
    let quarter = Figures { closeness_milli: 250, within_upper_milli: 1000, log2_error_milli: 2000 };
    assert_eq!(accuracy, Accuracy { runs: 1, total: quarter, recent: quarter });
    let later = taught(&task, [MINUTE; 1000]).accuracy();
    assert_eq!(later.runs, 1000);
    assert!(later.total.closeness_milli > 990 && later.total.log2_error_milli < 10, "{later:?}");
}

#[test]
fn memory_is_bounded_and_the_longest_unused_is_forgotten_first() {
    let mut predictor = Predictor::new(Knobs { classes_max: 100, ..Knobs::default() });
    let regular = job(0, Some(10 * MINUTE));
    for user in 1..1_000 {
        predictor.learn(&job(user, Some(user * MINUTE)), user * 1_000);
        predictor.learn(&regular, MINUTE);
        assert!(predictor.classes().count() <= 100);
    }
    assert!(near(predictor.predict(&regular).mean, MINUTE, 1));
    let users: Vec<_> = predictor.classes().filter(|class| class.level == Level::User).filter_map(|c| c.user).collect();
    assert!(users.contains(&999) && !users.contains(&1), "{users:?}");
}

#[test]
fn classes_tell_how_many_runs_they_saw_and_who_was_best() {
    let predictor = taught(&job(7, None), (1..=40).map(|minutes| minutes * MINUTE));
    let user = predictor.classes().find(|class| class.level == Level::User).unwrap();
    assert_eq!((user.user, user.image, user.runs), (Some(7), None, 40));
    assert!(near(user.lengths[0], 17 * MINUTE, 1) && near(user.lengths[2], 40 * MINUTE, 1), "{user:?}");
    assert!(user.best.is_some());
    assert_eq!(predictor.classes().count(), Level::ALL.len());
}

#[test]
fn the_stored_form_of_another_version_is_refused() {
    let text = serde_json::to_string(&predictor().state()).unwrap();
    let other: State = serde_json::from_str(&text.replace("\"version\":1", "\"version\":2")).unwrap();
    assert_eq!(Predictor::restore(Knobs::default(), other), Err(StateError::Version(2)));
    let unknown = r#""classes":[[9,[null,null,null,null,null],0,[],null]]"#;
    let odd: State = serde_json::from_str(&text.replace(r#""classes":[]"#, unknown)).unwrap();
    assert_eq!(Predictor::restore(Knobs::default(), odd), Err(StateError::Level(0)));
}

#[test]
fn a_stored_form_with_absurd_numbers_breaks_nothing() {
    let text = serde_json::to_string(&taught(&job(1, Some(MINUTE)), [MINUTE; 40]).state()).unwrap();
    let absurd = text.replace("65536", "18446744073709551615").replace(",0]", ",2147483647]");
    assert_ne!(absurd, text);
    let state: State = serde_json::from_str(&absurd).unwrap();
    let mut predictor = Predictor::restore(Knobs::default(), state).unwrap();
    for _ in 0..100 {
        predictor.learn(&job(1, Some(MINUTE)), u64::MAX);
        let prediction = predictor.outlived(&job(1, Some(u64::MAX)), u64::MAX);
        assert!(prediction.mean <= prediction.upper);
    }
}

/// Any time at all, small ones more often.
fn any_time() -> impl Strategy<Value = u64> {
    prop_oneof![0..1_000_u64, 0..10_000_000_u64, any::<u64>()]
}

fn any_features() -> impl Strategy<Value = Features> {
    (0..4_u64, 0..2_u64, 0..2_u64, 0..3_u64, proptest::option::of(any_time()))
        .prop_map(|(user, image, shape, size, estimate)| Features { user, image, shape, size, estimate })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_learned_predictions_keep_their_promises_and_survive_storing(
        runs in proptest::collection::vec((any_features(), any_time()), 0..80),
        asked in any_features(),
        age in any_time(),
        classes_max in 0..300_usize,
    ) {
        let knobs = Knobs { classes_max, ..Knobs::default() };
        let mut predictor = Predictor::new(knobs);
        let mut again = Predictor::new(knobs);
        for (features, run) in &runs {
            predictor.learn(features, *run);
            again.learn(features, *run);
        }
        prop_assert_eq!(&predictor, &again);
        prop_assert!(predictor.classes().count() <= classes_max.max(9));
        let first = predictor.predict(&asked);
        prop_assert!(1 <= first.mean && first.mean <= first.upper && first.confidence <= 100, "{:?}", first);
        let later = predictor.outlived(&asked, age);
        prop_assert!(later.mean > age || age == u64::MAX, "{later:?} at {age}");
        prop_assert!(later.mean <= later.upper, "{later:?}");

        let text = serde_json::to_string(&predictor.state()).unwrap();
        let mut back = Predictor::restore(knobs, serde_json::from_str(&text).unwrap()).unwrap();
        prop_assert_eq!(back.state(), predictor.state());
        prop_assert_eq!(back.predict(&asked), first);
        back.learn(&asked, age);
        predictor.learn(&asked, age);
        prop_assert_eq!(back.state(), predictor.state());
        prop_assert_eq!(back.outlived(&asked, 7), predictor.outlived(&asked, 7));
    }
}
