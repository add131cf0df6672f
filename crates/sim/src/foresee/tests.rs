//! What the look ahead sees.

use super::*;
use cloudai_core::job::{JobFile, StoredJobs};
use cloudai_core::spec::Value;
use cloudai_core::strategy::{Knobs, by_name, predictive};
use cloudai_core::testing::{TestCluster, cores, spec};

fn ask(cluster: &TestCluster, strategy: &str, tasks: &str) -> Ask {
    let text = format!(r#"{{"defaults": {{"image": "a", "cpu_cores": 1}}, "tasks": [{tasks}]}}"#);
    let document: Value = serde_json::from_str(&text).unwrap();
    Ask {
        now: cluster.now,
        workers: cluster.cluster.workers().cloned().collect(),
        tasks: cluster.cluster.tasks().cloned().collect(),
        jobs: jobs(cluster),
        job: JobId::new(1 << 90),
        owner: UserId::local(),
        plan: JobFile::from_value(&document).unwrap_or_else(|error| panic!("{error}")).plan,
        ended: BTreeMap::new(),
        strategy: by_name(strategy).unwrap(),
        learner: Learner::default(),
        bounds: Bounds::default(),
        enough: Arc::default(),
    }
}

/// The live jobs as a store would have them.
fn jobs(cluster: &TestCluster) -> Vec<StoredJob> {
    let (mut stored, mut tasks) = (StoredJobs::default(), BTreeMap::new());
    for row in &cluster.rows {
        stored.apply(row);
        if let Row::Task(task) = row {
            tasks.insert(task.id, Arc::clone(task));
        }
    }
    stored.live(&tasks)
}

fn submit_job(cluster: &mut TestCluster, tasks: &str) {
    let Ask { job, owner, plan, ended, .. } = ask(cluster, "greedy", tasks);
    let job = JobId::new(job.ulid() - 1000);
    let (plan, held, done) = (Arc::new(plan), false, Vec::new());
    let new = NewJob { id: job, owner, plan, held, idempotency_key: None, retry_of: None, done, ended };
    cluster.ok(Event::SubmitJob(Box::new(new)));
}

fn foreseen(cluster: &TestCluster, strategy: &str, tasks: &str) -> Forecast {
    foresee(ask(cluster, strategy, tasks))
}

/// First starts and last ends in seconds.
fn times(forecast: &Forecast) -> Vec<(Option<u64>, Option<u64>)> {
    let seconds = |at: Option<u64>| at.map(|at| at / 1000);
    forecast.groups.iter().map(|group| (seconds(group.first_start), seconds(group.last_end))).collect()
}

fn estimate(seconds: i64, priority: i64) -> Arc<cloudai_core::spec::TaskSpec> {
    spec(&[("estimate_s", Value::Int(seconds)), ("priority", Value::Int(priority))])
}

#[test]
fn what_needs_each_other_runs_one_after_another_and_is_the_longest_way() {
    let mut cluster = TestCluster::default();
    cluster.worker("w1", cores(4));
    let tasks = r#"
        {"name": "split", "estimate_s": 10},
        {"name": "map", "needs": ["split"], "estimate_s": 20},
        {"name": "short", "needs": ["split"], "estimate_s": 5},
        {"name": "reduce", "needs": ["map", "short"]},
        {"name": "mend", "needs": [{"task": "map", "when": "failure"}]}
    "#;
    let forecast = foreseen(&cluster, "greedy", tasks);
    // Nobody says how long reduce takes, and nothing was learned: a minute.
    let expected = [(0, 10), (10, 30), (10, 15), (30, 90)].map(|(start, end)| (Some(start), Some(end)));
    assert_eq!(times(&forecast)[..4], expected);
    assert!(forecast.groups[4].skipped && forecast.groups[4].first_start.is_none());
    let ends_in = forecast.ends_in.map(|at| at / 1000);
    assert_eq!((ends_in, forecast.cut, forecast.most_at_once), (Some(90), false, 2));
    assert_eq!(forecast.critical, [0, 1, 3]);
    assert_eq!(foreseen(&cluster, "greedy", tasks), forecast, "the same question has the same answer");
}

#[test]
fn elements_spread_over_workers_and_those_without_room_follow() {
    let mut cluster = TestCluster::default();
    cluster.worker("w1", cores(2));
    cluster.worker("w2", cores(1));
    let forecast = foreseen(&cluster, "greedy", r#"{"name": "map", "array": 4, "estimate_s": 100}"#);
    let map = &forecast.groups[0];
    let on: Vec<&str> = map.on.iter().map(WorkerId::as_str).collect();
    assert_eq!((map.tasks, map.workers, on), (4, 2, vec!["w1", "w2"]));
    assert_eq!((forecast.most_at_once, forecast.workers, forecast.ends_in), (3, 2, Some(200_000)));
    let forecast = foreseen(&cluster, "greedy", r#"{"name": "map", "array": "0-3%1", "estimate_s": 100}"#);
    assert_eq!((forecast.most_at_once, forecast.ends_in), (1, Some(400_000)));
}

#[test]
fn what_runs_now_is_waited_for_and_so_is_what_waits_with_more_priority() {
    let mut cluster = TestCluster::default();
    cluster.worker("w1", cores(1));
    let running = cluster.submit(1, estimate(600, 0)).unwrap();
    cluster.place(running, "w1");
    let job = r#"{"name": "one", "estimate_s": 60}"#;
    assert_eq!(times(&foreseen(&cluster, "greedy_skip", job)), [(Some(600), Some(660))]);
    cluster.submit(2, estimate(100, 5)).unwrap();
    cluster.submit(3, estimate(1000, -5)).unwrap();
    assert_eq!(times(&foreseen(&cluster, "greedy_skip", job)), [(Some(700), Some(760))]);
    assert_eq!(times(&foreseen(&cluster, "greedy", job)), [(Some(1700), Some(1760))], "it knows no priorities");
}

#[test]
fn tasks_of_other_jobs_come_by_their_needs() {
    let mut cluster = TestCluster::default();
    cluster.worker("w1", cores(1));
    submit_job(&mut cluster, r#"{"name": "a", "estimate_s": 100}, {"name": "b", "needs": ["a"], "estimate_s": 50}"#);
    let job = r#"{"name": "one", "estimate_s": 10}"#;
    assert_eq!(times(&foreseen(&cluster, "greedy", job)), [(Some(150), Some(160))]);
    let alone = Ask { jobs: Vec::new(), ..ask(&cluster, "greedy", job) };
    assert_eq!(times(&foresee(alone)), [(Some(100), Some(110))]);
    // One that is not there yet is waited for as any other.
    let b = JobId::new((1 << 90) - 1000).group(1);
    let job = format!(r#"{{"name": "one", "needs": ["{b}"], "estimate_s": 10}}"#);
    assert_eq!(times(&foreseen(&cluster, "greedy", &job)), [(Some(150), Some(160))]);
}

#[test]
fn what_is_in_backoff_starts_when_that_is_over_and_what_is_held_never_does() {
    let mut cluster = TestCluster::default();
    cluster.worker("w1", cores(4));
    let retries = Value::Map(vec![
        ("max".into(), Value::Int(1)),
        ("on".into(), Value::List(vec![Value::Text("exit_code".into())])),
        ("initial_s".into(), Value::Int(40)),
    ]);
    let again = cluster.submit(1, spec(&[("estimate_s", Value::Int(100)), ("retries", retries)])).unwrap();
    let attempt = cluster.place(again, "w1");
    cluster.end(attempt, Outcome::exit(1)).unwrap();
    let held = cluster.submit(2, spec(&[("hold", Value::Bool(true))])).unwrap();
    let job =
        format!(r#"{{"name": "one", "needs": ["{again}"], "estimate_s": 10}}, {{"name": "two", "needs": ["{held}"]}}"#);
    let forecast = foreseen(&cluster, "greedy", &job);
    let (start, end) = times(&forecast)[0];
    // Up to a quarter is taken off a wait.
    assert!(start.is_some_and(|start| (130..=140).contains(&start)), "{forecast:?}");
    assert_eq!(end, start.map(|start| start + 10));
    assert_eq!(times(&forecast)[1], (None, None));
}

#[test]
fn every_strategy_ends_a_job_that_has_room() {
    let mut cluster = TestCluster::default();
    cluster.worker("w1", cores(2));
    for (name, _) in cloudai_core::strategy::ALL {
        let forecast = foreseen(&cluster, name, r#"{"name": "map", "array": 20, "estimate_s": 10}"#);
        assert_eq!((forecast.ends_in, forecast.most_at_once), (Some(100_000), 2), "{name}");
    }
}

#[test]
fn what_no_worker_could_run_never_starts_and_the_rest_is_told() {
    let mut cluster = TestCluster::default();
    cluster.worker("w1", cores(2));
    let tasks = r#"{"name": "small", "estimate_s": 10}, {"name": "large", "cpu_cores": 64}, {"name": "last", "needs": ["large"]}"#;
    let forecast = foreseen(&cluster, "greedy", tasks);
    assert_eq!(times(&forecast), [(Some(0), Some(10)), (None, None), (None, None)]);
    assert_eq!((forecast.ends_in, forecast.cut), (None, false));
    assert!(forecast.critical.is_empty());
}

#[test]
fn a_look_ahead_that_ends_before_the_job_says_so() {
    let mut cluster = TestCluster::default();
    cluster.worker("w1", cores(1));
    let job = r#"{"name": "map", "array": 100, "estimate_s": 10}"#;
    let near = Bounds { time: Duration::from_secs(25), ..Bounds::default() };
    let few = Bounds { events: 20, ..Bounds::default() };
    for (bounds, enough) in [(near, false), (few, false), (Bounds::default(), true)] {
        let enough = Arc::new(AtomicBool::new(enough));
        let forecast = foresee(Ask { bounds, enough, ..ask(&cluster, "greedy", job) });
        assert_eq!((forecast.cut, forecast.ends_in), (true, None));
        assert_eq!(times(&forecast), [(Some(0), None)]);
    }
}

#[test]
fn what_it_needs_of_others_is_waited_for() {
    let mut cluster = TestCluster::default();
    cluster.worker("w1", cores(4));
    let running = cluster.submit(1, estimate(600, 0)).unwrap();
    cluster.place(running, "w1");
    let gone = cloudai_core::testing::task_id(77);
    let job = format!(r#"{{"name": "one", "needs": ["{running}", "{gone}"], "estimate_s": 10}}"#);
    assert_eq!(times(&foreseen(&cluster, "greedy", &job)), [(Some(600), Some(610))]);
}

#[test]
fn a_long_chain_beside_many_tasks_ends_earlier_where_what_must_follow_counts() {
    let mut cluster = TestCluster::default();
    for number in 1..=4 {
        cluster.worker(&format!("w{number}"), cores(1));
    }
    // All take a minute; the chain is submitted behind the others.
    let needs = |number: i32| if number > 0 { format!(r#""c{}""#, number - 1) } else { String::new() };
    let link = |number| format!(r#"{{"name": "c{number}", "needs": [{}], "estimate_s": 60}}"#, needs(number));
    let chain = (0..10).map(link).collect::<Vec<_>>().join(", ");
    let tasks = format!(r#"{{"name": "many", "array": 100, "estimate_s": 60}}, {chain}"#);
    let minutes = |forecast: Forecast| forecast.ends_in.map(|at| at / 60_000);
    // No moves by chance: lists alone, and what is new on them.
    let knobs = Knobs { planner_evaluations: 0, ..Knobs::default() };
    let ends_in = |rank: f64| {
        let strategy = Box::new(predictive(&knobs, rank));
        minutes(foresee(Ask { strategy, ..ask(&cluster, "ai_predictive", &tasks) }))
    };
    assert_eq!(ends_in(1.0), Some(28), "110 minutes of work on 4 workers");
    assert_eq!(ends_in(0.0), Some(35), "the chain alone is left after 25");
    assert_eq!(minutes(foreseen(&cluster, "ai_predictive", &tasks)), Some(28));
}

#[test]
fn a_gang_is_foreseen_to_start_together() {
    let mut cluster = TestCluster::default();
    cluster.worker("w1", cores(2));
    cluster.worker("w2", cores(2));
    let running = cluster.submit(1, estimate(600, 0)).unwrap();
    cluster.place(running, "w1");
    for (name, _) in cloudai_core::strategy::ALL {
        let job = r#"{"name": "gang", "array": 4, "gang": true, "estimate_s": 10}"#;
        let forecast = foreseen(&cluster, name, job);
        assert_eq!((times(&forecast), forecast.most_at_once), (vec![(Some(600), Some(610))], 4), "{name}");
    }
    let never = foreseen(&cluster, "ai", r#"{"name": "gang", "array": 5, "gang": true}"#);
    assert_eq!(times(&never), [(None, None)]);
}
