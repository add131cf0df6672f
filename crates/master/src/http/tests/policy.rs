//! The operator's policy: whatever submits a task is held against it, and everybody may read it.

use super::*;
use crate::schedules::definition;
use crate::schedules::run::look;
use cloudai_core::policy::InForce;
use cloudai_core::rfc3339;
use cloudai_core::spec::Value;

/// Images of one team, two cores, no secrets as variables.
const RULES: &str = r#"{"images": {"allow": ["good/*"]}, "max": {"cpu_cores": 2}}"#;

fn document() -> Value {
    serde_json::from_str(RULES).unwrap()
}

fn policy() -> Policy {
    Policy::from_value(&document()).unwrap()
}

/// The paths of a denial, which says so by status, code and rule.
fn denied(answer: &Answer) -> Vec<String> {
    let problem = answer.problem();
    assert_eq!((problem.status, problem.code.as_str()), (403, "policy_denied"), "{}", problem.detail);
    assert_eq!(problem.next.as_deref(), Some("cloudai policy show"));
    let rule = |error: &dto::FieldProblem| error.problem.starts_with("is denied by ");
    assert!(problem.errors.iter().all(rule), "{:?}", problem.errors);
    problem.errors.into_iter().map(|error| error.path).collect()
}

/// SPEC 9: the policy holds for every task, whichever way it comes.
#[tokio::test]
async fn whatever_submits_a_task_is_denied_by_the_same_rules() {
    let fake = Fake::under(policy()).await;
    let task = r#"{"image": "bad/a", "cpu_cores": 3}"#;
    let template = r#"{"params": {"n": {"type": "text"}}, "task": {"image": "bad/${param.n}"}}"#;
    let of_job = r#"{"params": {"n": {"type": "text"}}, "job": {"tasks": [{"name": "a", "image": "bad/${param.n}"}]}}"#;
    let kept = [
        ("/api/v1/templates/one", template),
        ("/api/v1/templates/several", of_job),
        ("/api/v1/schedules/nightly", r#"{"cron": "@hourly", "task": {"image": "bad/a"}}"#),
    ];
    for (path, body) in kept {
        let answer = fake.ask(json(Method::PUT, path, body)).await;
        assert_eq!(answer.status, 201, "{path}: {}", answer.text());
    }
    let job = r#"{"tasks": [{"name": "a", "image": "good/a"}, {"name": "b", "image": "bad/a"}]}"#;
    let rows = [
        ("/api/v1/tasks", task, vec!["image", "cpu_cores"]),
        ("/api/v1/tasks", r#"{"image": "bad/a", "array": "0-3"}"#, vec!["image"]),
        ("/api/v1/tasks", r#"{"template": "one", "params": {"n": "a"}}"#, vec!["image"]),
        ("/api/v1/tasks/batch", r#"{"tasks": [{"image": "good/a"}, {"image": "bad/a"}]}"#, vec!["tasks[1].image"]),
        ("/api/v1/jobs", job, vec!["tasks[1].image"]),
        ("/api/v1/jobs?dry_run=true", job, vec!["tasks[1].image"]),
        ("/api/v1/templates/one/run", r#"{"params": {"n": "a"}}"#, vec!["image"]),
        ("/api/v1/templates/several/run", r#"{"params": {"n": "a"}}"#, vec!["tasks[0].image"]),
        ("/api/v1/schedules/nightly/run", "", vec!["image"]),
    ];
    for (path, body, paths) in rows {
        assert_eq!(denied(&fake.post(path, body).await), paths, "{path} {body}");
    }
    let tasks: dto::List<dto::Task> = fake.get("/api/v1/tasks").await.json();
    let jobs: dto::List<dto::Job> = fake.get("/api/v1/jobs").await.json();
    assert_eq!((tasks.items.len(), jobs.items.len()), (0, 0), "nothing of it was taken in");
    for (path, body) in [
        ("/api/v1/tasks", r#"{"image": "good/a", "cpu_cores": 2}"#),
        ("/api/v1/jobs", r#"{"tasks": [{"name": "a", "image": "good/a"}]}"#),
    ] {
        assert_eq!(fake.post(path, body).await.status, 201, "{body}");
    }
}

#[tokio::test]
async fn a_time_of_a_schedule_that_the_policy_denies_is_noted_and_not_tried_again() {
    let fake = Fake::under(policy()).await;
    let at = |text: &str| rfc3339::parse(&format!("2026-01-31T{text}Z")).unwrap();
    let document: Value = serde_json::from_str(r#"{"cron": "@hourly", "task": {"image": "bad/a"}}"#).unwrap();
    let given = definition::read(&document).unwrap();
    let (who, name) = (Principal::local(), "nightly".parse().unwrap());
    fake.handle.put_schedule(&who, &name, given, at("08:30:00"), &crate::only::Only::Always).await.unwrap();
    look(&fake.handle, at("09:00:00")).await;
    let schedule: dto::Schedule = fake.get("/api/v1/schedules/nightly").await.json();
    let error = schedule.last_error.unwrap();
    assert!(error.message.contains("images.allow") && !error.again, "{}", error.message);
}

#[tokio::test]
async fn a_policy_holds_from_the_next_submission_on_and_for_what_is_run_again() {
    let sender = watch::Sender::new(Arc::<InForce>::default());
    let fake = Fake::of(Live::default(), crate::feed::KEPT, None, Policies::of(sender.subscribe())).await;
    let body = r#"{"image": "bad/a", "idempotency_key": "k"}"#;
    let first: dto::Task = fake.post("/api/v1/tasks", body).await.json();
    let path = format!("/api/v1/tasks/{}", first.id);
    fake.post(&format!("{path}/cancel"), "").await;
    sender.send_replace(Arc::new(InForce { policy: policy(), ..InForce::default() }));
    assert_eq!(denied(&fake.post(&format!("{path}/retry"), "").await), ["image"]);
    let resent: dto::Task = fake.post("/api/v1/tasks", body).await.json();
    assert_eq!(resent.id, first.id, "what was accepted stays accepted");
    sender.send_replace(Arc::default());
    assert_eq!(fake.post(&format!("{path}/retry"), "").await.status, 201);
}

#[tokio::test]
async fn the_policy_is_shown_with_its_file_and_why_a_later_one_is_not_in_force() {
    let fake = Fake::start().await;
    let none: dto::Policy = fake.get("/api/v1/policy").await.json();
    assert_eq!((none.file, none.rules, none.problem), (None, None, None));
    let now = InForce {
        policy: policy(),
        file: Some("policy.toml".into()),
        document: Some(document()),
        problem: Some("images.alow: is no field".into()),
    };
    let sender = watch::Sender::new(Arc::new(now));
    let fake = Fake::of(Live::default(), crate::feed::KEPT, None, Policies::of(sender.subscribe())).await;
    let shown: dto::Policy = fake.get("/api/v1/policy").await.json();
    assert_eq!(shown.file.as_deref(), Some("policy.toml"));
    assert_eq!(shown.rules, Some(serde_json::from_str(RULES).unwrap()));
    assert!(shown.problem.unwrap().contains("alow"));
}
