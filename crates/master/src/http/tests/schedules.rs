//! Schedules: what is submitted when, once, and what is told of it. The time is told to `look`: no test waits for one.

use super::*;
use crate::schedules::definition;
use crate::schedules::run::look;
use crate::schedules::state::State;
use cloudai_core::rfc3339;
use cloudai_core::spec::Value;
use cloudai_core::testing::cores;
use cloudai_core::time::Timestamp;

const PATH: &str = "/api/v1/schedules/nightly";
const STATE: &str = "schedule.state/local/nightly";

fn at(text: &str) -> Timestamp {
    rfc3339::parse(&format!("2026-01-31T{text}Z")).unwrap()
}

/// Keeps a schedule of every hour at 08:30, with these fields.
async fn keep(fake: &Fake, fields: serde_json::Value) {
    let mut document = serde_json::json!({"cron": "@hourly", "task": {"image": "a"}});
    for (name, value) in fields.as_object().unwrap() {
        document[name] = value.clone();
    }
    let document: Value = serde_json::from_value(document).unwrap();
    let given = definition::read(&document).unwrap();
    let (name, always) = ("nightly".parse().unwrap(), crate::only::Only::Always);
    fake.handle.put_schedule(&Principal::local(), &name, given, at("08:30:00"), &always).await.unwrap();
}

async fn put(fake: &Fake, path: &str, body: serde_json::Value) -> Answer {
    fake.ask(json(Method::PUT, path, &body.to_string())).await
}

/// All tasks, the earliest first.
async fn tasks(fake: &Fake) -> Vec<dto::Task> {
    fake.get("/api/v1/tasks?sort=created").await.json::<dto::List<dto::Task>>().items
}

async fn schedule(fake: &Fake) -> dto::Schedule {
    fake.get(PATH).await.json()
}

/// Lets a master begin anew with this state of the schedule, or with none.
async fn begin_with(fake: &Fake, state: Option<&State>) {
    let shared = &fake.handle.shared;
    match state {
        Some(state) => {
            let text = serde_json::to_string(state).unwrap();
            shared.store.set_fact(fake.handle.facts().term, STATE, &text).await.unwrap();
        }
        None => drop(shared.store.drop_fact(fake.handle.facts().term, STATE).await.unwrap()),
    }
    shared.schedules.load().await.unwrap();
}

#[tokio::test]
async fn a_time_that_comes_submits_once_and_says_whose_it_is() {
    let fake = Fake::start().await;
    keep(&fake, serde_json::json!({})).await;
    look(&fake.handle, at("08:59:59")).await;
    assert!(tasks(&fake).await.is_empty());
    for time in ["09:00:00", "09:00:00", "09:00:05"] {
        look(&fake.handle, at(time)).await;
    }
    let made = tasks(&fake).await;
    assert_eq!(made.len(), 1);
    let labels = [("cloudai.schedule", "nightly"), ("cloudai.schedule.time", "2026-01-31T09:00:00Z")];
    assert_eq!(made[0].labels, BTreeMap::from(labels.map(|(name, value)| (name.to_owned(), value.to_owned()))));
    let schedule = schedule(&fake).await;
    let last = schedule.last.unwrap();
    assert_eq!((schedule.runs, last.time.as_deref()), (1, Some("2026-01-31T09:00:00.000Z")));
    assert_eq!((last.task_id.as_ref(), last.status.as_deref()), (Some(&made[0].id), Some("queued")));
}

#[tokio::test]
async fn a_master_that_ended_between_submitting_and_noting_submits_no_second_time() {
    let fake = Fake::start().await;
    keep(&fake, serde_json::json!({})).await;
    look(&fake.handle, at("09:00:00")).await;
    let first = tasks(&fake).await[0].id.clone();
    let mut before = State::new(at("08:30:00"), false);
    // It ended before anything was noted, then after the time was taken in, then what is submitted was changed as well.
    begin_with(&fake, None).await;
    look(&fake.handle, at("09:10:00")).await;
    assert_eq!(schedule(&fake).await.last.unwrap().task_id.as_ref(), Some(&first));
    before.since = at("09:00:00");
    before.waiting.push_back(at("09:00:00"));
    for changed in [serde_json::json!({}), serde_json::json!({"task": {"image": "b"}})] {
        keep(&fake, changed).await;
        begin_with(&fake, Some(&before)).await;
        look(&fake.handle, at("09:10:00")).await;
        let schedule = schedule(&fake).await;
        assert_eq!((schedule.waiting.len(), schedule.runs), (0, 1));
        assert_eq!(schedule.last.unwrap().task_id.as_ref(), Some(&first));
    }
    assert_eq!(tasks(&fake).await.len(), 1);
    // The state of one that was removed is not that of the next.
    before.of = at("07:00:00");
    begin_with(&fake, Some(&before)).await;
    assert_eq!(schedule(&fake).await.waiting.len(), 0);
}

#[tokio::test]
async fn while_the_last_run_goes_on_a_time_is_left_out_or_waits_or_takes_its_place() {
    for (overlap, at_once, statuses) in [
        ("skip", 1, vec!["cancelled"]),
        ("queue", 1, vec!["cancelled", "queued"]),
        ("replace", 2, vec!["cancelled", "queued"]),
    ] {
        let fake = Fake::start().await;
        keep(&fake, serde_json::json!({"overlap": overlap})).await;
        look(&fake.handle, at("09:00:00")).await;
        look(&fake.handle, at("10:00:00")).await;
        let made = tasks(&fake).await;
        assert_eq!(made.len(), at_once, "{overlap}");
        fake.post(&format!("/api/v1/tasks/{}/cancel", made[0].id), "").await;
        look(&fake.handle, at("10:00:05")).await;
        let made = tasks(&fake).await;
        assert_eq!(made.iter().map(|task| task.status.as_str()).collect::<Vec<_>>(), statuses, "{overlap}");
        assert_eq!(schedule(&fake).await.skipped, u64::from(overlap == "skip"), "{overlap}");
    }
}

#[tokio::test]
async fn what_was_missed_is_run_one_after_the_other_where_all_of_it_is_wanted() {
    let fake = Fake::start().await;
    keep(&fake, serde_json::json!({"catch_up": "all"})).await;
    look(&fake.handle, at("11:30:00")).await;
    assert_eq!((tasks(&fake).await.len(), schedule(&fake).await.waiting.len()), (1, 2));
    for (count, time) in [(1, "11:30:01"), (2, "11:30:02"), (3, "11:30:03")] {
        fake.post(&format!("/api/v1/tasks/{}/cancel", tasks(&fake).await[count - 1].id), "").await;
        look(&fake.handle, at(time)).await;
    }
    let times: Vec<_> =
        tasks(&fake).await.into_iter().map(|task| task.labels["cloudai.schedule.time"].clone()).collect();
    assert_eq!(times, ["2026-01-31T09:00:00Z", "2026-01-31T10:00:00Z", "2026-01-31T11:00:00Z"]);
}

#[tokio::test]
async fn what_can_not_be_submitted_now_is_tried_again_and_what_never_can_waits_for_the_next_time() {
    let fake = Fake::start().await;
    keep(&fake, serde_json::json!({"task": {"image": "a", "cpu_cores": 8}})).await;
    fake.health.send_replace(StoreHealth { trouble: Some("the store did not answer".into()) });
    look(&fake.handle, at("09:00:00")).await;
    let told = schedule(&fake).await;
    let error = told.last_error.unwrap();
    assert!(error.again && error.message.contains("does not answer"), "{error:?}");
    assert_eq!(told.waiting, ["2026-01-31T09:00:00.000Z"]);
    fake.health.send_replace(StoreHealth::default());
    // Not before its pause is over.
    look(&fake.handle, at("09:00:01")).await;
    assert!(tasks(&fake).await.is_empty());
    look(&fake.handle, at("09:00:10")).await;
    assert_eq!((tasks(&fake).await.len(), schedule(&fake).await.last_error.is_none()), (1, true));

    let fake = Fake::start().await;
    fake.cluster(|cluster| cluster.worker("w1", cores(1))).await;
    keep(&fake, serde_json::json!({"task": {"image": "a", "cpu_cores": 8}})).await;
    for time in ["09:00:00", "09:00:59"] {
        look(&fake.handle, at(time)).await;
    }
    let told = schedule(&fake).await;
    let error = told.last_error.unwrap();
    assert!(!error.again && error.message.contains("no worker can run this"), "{error:?}");
    assert_eq!((told.waiting.len(), told.runs, tasks(&fake).await.len()), (0, 0, 0));
    fake.cluster(|cluster| cluster.worker("w2", cores(8))).await;
    look(&fake.handle, at("10:00:00")).await;
    assert_eq!((tasks(&fake).await.len(), schedule(&fake).await.last_error.is_none()), (1, true));
}

#[tokio::test]
async fn a_schedule_of_a_template_takes_its_latest_version_and_says_when_there_is_none() {
    let fake = Fake::start().await;
    let template = |image: &str| {
        format!(r#"{{"params": {{"a": {{"type": "text"}}}}, "task": {{"image": "{image}:${{param.a}}"}}}}"#)
    };
    let path = "/api/v1/templates/t";
    fake.ask(json(Method::PUT, path, &template("one"))).await;
    keep(&fake, serde_json::json!({"task": null, "template": {"name": "t", "params": {"a": "x"}}})).await;
    look(&fake.handle, at("09:00:00")).await;
    fake.ask(json(Method::PUT, path, &template("two"))).await;
    fake.post(&format!("/api/v1/tasks/{}/cancel", tasks(&fake).await[0].id), "").await;
    look(&fake.handle, at("10:00:00")).await;
    let made = tasks(&fake).await;
    assert_eq!([made[0].image.as_str(), made[1].image.as_str()], ["one:x", "two:x"]);
    assert_eq!((made[1].labels["cloudai.template.version"].as_str(), made[1].labels.len()), ("2", 4));
    fake.post(&format!("/api/v1/tasks/{}/cancel", made[1].id), "").await;
    fake.ask(Request::delete(path).body(Body::empty()).unwrap()).await;
    look(&fake.handle, at("11:00:00")).await;
    let error = schedule(&fake).await.last_error.unwrap();
    assert!(!error.again && error.message.contains("no template t is stored"), "{error:?}");
}

#[tokio::test]
async fn a_schedule_is_kept_shown_paused_resumed_run_and_removed() {
    let fake = Fake::start().await;
    let document = serde_json::json!({"cron": "0 7 * * *", "time_zone": "Europe/Berlin", "task": {"image": "a"}});
    assert_eq!(put(&fake, PATH, document.clone()).await.status, 201);
    assert_eq!(put(&fake, PATH, document).await.status, 200);
    let list: dto::List<dto::Schedule> = fake.get("/api/v1/schedules").await.json();
    assert_eq!((list.items.len(), list.items[0].next.len(), list.items[0].task.is_none()), (1, 3, true));
    let told = schedule(&fake).await;
    assert_eq!((told.what.as_str(), &told.task.unwrap()), ("task", &serde_json::json!({"image": "a"})));
    assert!(told.next.is_sorted() && told.last.is_none());
    let paused: dto::Schedule = fake.post(&format!("{PATH}/pause"), "").await.json();
    assert!(paused.paused && paused.next.is_empty());
    // Put again, it stays so.
    put(&fake, PATH, serde_json::json!({"cron": "0 8 * * *", "task": {"image": "b"}})).await;
    assert!(schedule(&fake).await.paused);
    // What somebody asks for comes all the same.
    let answer = fake.post(&format!("{PATH}/run"), "").await;
    let task: dto::Task = answer.json();
    assert_eq!((answer.status.as_u16(), task.image.as_str()), (201, "b"));
    assert_eq!(task.labels["cloudai.schedule"], "nightly");
    let told = schedule(&fake).await;
    let last = told.last.unwrap();
    assert_eq!((told.runs, last.task_id, last.time), (1, Some(task.id), None));
    let resumed: dto::Schedule = fake.post(&format!("{PATH}/resume"), "").await.json();
    assert!(!resumed.paused && resumed.next.len() == 3);
    let delete = async || fake.ask(Request::delete(PATH).body(Body::empty()).unwrap()).await;
    assert_eq!(delete().await.status, 204);
    delete().await.refused(404, "not_found");
    for call in ["pause", "resume", "run"] {
        fake.post(&format!("{PATH}/{call}"), "").await.refused(404, "not_found");
    }
}

#[tokio::test]
async fn what_a_schedule_could_never_do_is_refused_when_it_is_put() {
    let fake = Fake::start().await;
    let template = r#"{"params": {"a": {"type": "integer"}}, "task": {"image": "a", "cpu_cores": "${param.a}"}}"#;
    fake.ask(json(Method::PUT, "/api/v1/templates/t", template)).await;
    let of = |template: serde_json::Value| serde_json::json!({"cron": "@daily", "template": template});
    let rows = [
        (serde_json::json!({"name": "other", "cron": "@daily", "task": {"image": "a"}}), "name"),
        (serde_json::json!({"cron": "@dayly", "task": {"image": "a"}}), "cron"),
        (of(serde_json::json!({"name": "absent"})), "template.name"),
        (of(serde_json::json!({"name": "t", "version": 2})), "template.version"),
        (of(serde_json::json!({"name": "t"})), "template.params.a"),
        (of(serde_json::json!({"name": "t", "params": {"a": 0}})), "template.task.cpu_cores"),
    ];
    for (body, path) in rows {
        let problem = put(&fake, PATH, body).await.problem();
        assert_eq!((problem.status, problem.errors[0].path.as_str()), (400, path), "{}", problem.detail);
    }
    assert_eq!(put(&fake, PATH, of(serde_json::json!({"name": "t", "params": {"a": 1}}))).await.status, 201);
}
