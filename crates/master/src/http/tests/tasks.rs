//! Submitting, listing, waiting, cancelling.

use super::*;
use cloudai_core::task::Step;
use cloudai_core::testing::cores;

#[tokio::test]
async fn a_submitted_task_is_answered_whole_and_found_where_the_answer_says() {
    let fake = Fake::start().await;
    let body = r#"{"image":"busybox","name":"first","cpu_cores":0.5,"labels":{"team":"a"},"command":["date"]}"#;
    let answer = fake.post("/api/v1/tasks", body).await;
    assert_eq!(answer.status, 201);
    let task: dto::Task = answer.json();
    assert_eq!(answer.headers["location"], format!("/api/v1/tasks/{}", task.id));
    assert_eq!((task.status.as_str(), task.phase.as_deref()), ("queued", Some("waiting_capacity")));
    assert_eq!((task.user_id.as_str(), task.attempt, task.resources.cpu_cores), ("local", 0, 0.5));
    let spec = task.spec.unwrap();
    assert_eq!((&spec["image"], &spec["command"][0]), (&"busybox".into(), &"date".into()));
    let found: dto::Task = fake.get(&format!("/api/v1/tasks/{}", task.id)).await.json();
    assert_eq!((found.id, found.name.as_deref()), (task.id, Some("first")));
}

#[tokio::test]
async fn a_submission_under_the_same_key_answers_with_the_first_task() {
    let fake = Fake::start().await;
    let keyed = |body: &str| {
        let mut request = json(Method::POST, "/api/v1/tasks", body);
        request.headers_mut().insert("idempotency-key", "k1".parse().unwrap());
        request
    };
    let first = fake.ask(keyed(r#"{"image":"busybox"}"#)).await;
    let again = fake.ask(keyed(r#"{"image":"busybox"}"#)).await;
    let by_field = fake.post("/api/v1/tasks", r#"{"image":"busybox","idempotency_key":"k1"}"#).await;
    assert_eq!((first.status.as_u16(), again.status.as_u16(), by_field.status.as_u16()), (201, 200, 200));
    let ids = [&first, &again, &by_field].map(|answer| answer.json::<dto::Task>().id);
    assert!(ids.iter().all(|id| *id == ids[0]));
    let other = fake.ask(keyed(r#"{"image":"alpine"}"#)).await;
    assert!(other.refused(409, "conflict").contains(&ids[0]));
    let both = fake.ask(keyed(r#"{"image":"busybox","idempotency_key":"k2"}"#)).await;
    assert!(both.refused(400, "invalid").contains("differs from the header"));
}

#[tokio::test]
async fn every_wrong_field_of_a_task_is_named() {
    let fake = Fake::start().await;
    let body = r#"{"imagee":"a","cpu_cores":-1,"priority":1000,"secrets":{},"name":"a","name":"b"}"#;
    let problem = fake.post("/api/v1/tasks", body).await.problem();
    let paths: Vec<_> = problem.errors.iter().map(|error| error.path.as_str()).collect();
    assert_eq!(problem.code, "invalid");
    for path in ["imagee", "cpu_cores", "priority", "secrets", "name", "image"] {
        assert!(paths.contains(&path), "{path} is not among {paths:?}");
    }
    let cpu = problem.errors.iter().find(|error| error.path == "cpu_cores").unwrap();
    assert_eq!(cpu.value.as_deref(), Some("-1"));
}

#[tokio::test]
async fn a_body_that_is_too_large_or_no_json_is_refused() {
    let fake = Fake::start().await;
    let of = |bytes: usize| format!(r#"{{"image":"{}"}}"#, "a".repeat(bytes));
    assert!(fake.post("/api/v1/tasks", &of(16 << 20)).await.refused(413, "too_large").contains("16 MiB"));
    assert!(fake.post("/api/v1/tasks", "{\"image\"\n:}").await.refused(400, "invalid").contains("line 2, column 2"));
    let plain = Request::post("/api/v1/tasks").header("content-type", "text/plain").body(Body::from("{}")).unwrap();
    fake.ask(plain).await.refused(415, "unsupported");
    let within_a_batch = format!(r#"{{"tasks":[{}]}}"#, of(1 << 20));
    fake.post("/api/v1/tasks/batch", &within_a_batch).await.refused(400, "invalid");
}

#[tokio::test]
async fn what_no_worker_could_ever_run_is_refused_unless_it_may_wait() {
    let fake = Fake::start().await;
    fake.cluster(|cluster| cluster.worker("w1", cores(2))).await;
    let answer = fake.post("/api/v1/tasks", r#"{"image":"a","cpu_cores":64}"#).await;
    answer.refused(422, "unsatisfiable");
    let problem = answer.problem();
    assert!(problem.next.unwrap().contains("--allow-pending"));
    assert!(problem.errors.is_empty(), "it is the whole task, not a field");
    let answer = fake.post("/api/v1/tasks", r#"{"image":"a","cpu_cores":64,"allow_pending":true}"#).await;
    assert_eq!((answer.status.as_u16(), answer.json::<dto::Task>().phase.as_deref()), (201, Some("unsatisfiable")));
    let batch = r#"{"tasks":[{"image":"a"},{"image":"a","cpu_cores":64}]}"#;
    assert_eq!(fake.post("/api/v1/tasks/batch", batch).await.problem().errors[0].path, "tasks[1]");
}

#[tokio::test]
async fn a_batch_is_accepted_whole_or_not_at_all() {
    let fake = Fake::start().await;
    let bad = r#"{"tasks":[{"image":"a"},{"image":""}]}"#;
    assert_eq!(fake.post("/api/v1/tasks/batch", bad).await.problem().errors[0].path, "tasks[1].image");
    assert!(fake.get("/api/v1/tasks").await.json::<dto::List<dto::Task>>().items.is_empty());
    let good = format!(r#"{{"tasks":[{}]}}"#, vec![r#"{"image":"a"}"#; 1000].join(","));
    let mut request = json(Method::POST, "/api/v1/tasks/batch", &good);
    request.headers_mut().insert("idempotency-key", "batch-1".parse().unwrap());
    let answer = fake.ask(request).await;
    let first: dto::List<dto::Submitted> = answer.json();
    assert_eq!((answer.status.as_u16(), first.items.len()), (201, 1000));
    assert!(first.items.iter().all(|task| task.fresh));
    let mut request = json(Method::POST, "/api/v1/tasks/batch", &good);
    request.headers_mut().insert("idempotency-key", "batch-1".parse().unwrap());
    let answer = fake.ask(request).await;
    let again: dto::List<dto::Submitted> = answer.json();
    assert_eq!(answer.status, 200);
    assert!(again.items.iter().zip(&first.items).all(|(again, first)| again.id == first.id && !again.fresh));
}

#[tokio::test]
async fn pages_show_every_task_once_in_both_orders() {
    let fake = Fake::start().await;
    let mut submitted = Vec::new();
    for _ in 0..7 {
        submitted.push(fake.task().await.to_string());
    }
    for (sort, newest_first) in [("-created", true), ("created", false)] {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page: dto::List<dto::Task> =
                fake.get(&format!("/api/v1/tasks?limit=3&sort={sort}&cursor={cursor}")).await.json();
            assert!(page.items.len() <= 3);
            seen.extend(page.items.into_iter().map(|task| task.id));
            match page.next_cursor {
                Some(next) => cursor = next,
                None => break,
            }
        }
        if newest_first {
            seen.reverse();
        }
        assert_eq!(seen, submitted, "{sort}");
    }
}

#[tokio::test]
async fn a_list_is_filtered_and_refuses_what_no_index_serves() {
    let fake = Fake::start().await;
    let (first, second) = (fake.task().await, fake.task().await);
    fake.cluster(|cluster| {
        cluster.worker("w1", cores(4));
        cluster.place(first, "w1");
        cluster.cancel(second).unwrap();
    })
    .await;
    for (query, expected) in [
        ("status=pending", vec![first]),
        ("status=cancelled,failed", vec![second]),
        ("status=running", vec![]),
        ("worker=w1", vec![first]),
        ("user=local", vec![second, first]),
        ("user=ann", vec![]),
    ] {
        let list: dto::List<dto::Task> = fake.get(&format!("/api/v1/tasks?{query}")).await.json();
        let ids: Vec<TaskId> = list.items.iter().map(|task| task.id.parse().unwrap()).collect();
        assert_eq!(ids, expected, "{query}");
    }
    let detail = fake.get("/api/v1/tasks?user=local&worker=w1").await.refused(400, "invalid");
    assert!(detail.contains("no index serves"), "{detail}");
    assert!(fake.get("/api/v1/tasks?state=queued").await.refused(400, "invalid").contains("did you mean"));
}

#[tokio::test]
async fn a_task_is_found_by_a_part_of_its_id() {
    let fake = Fake::start().await;
    let (id, _) = (fake.task().await, fake.task().await);
    let text = id.to_string();
    for part in [&text, &text[text.len() - 8..], &text[text.len() - 8..].to_lowercase()] {
        let found: dto::List<dto::Task> = fake.get(&format!("/api/v1/tasks/resolve?part={part}")).await.json();
        assert_eq!(found.items.iter().map(|task| task.id.as_str()).collect::<Vec<_>>(), [text.as_str()], "{part}");
        assert!(found.next_cursor.is_none());
    }
    fake.get("/api/v1/tasks/resolve?part=abc").await.refused(400, "invalid");
    fake.get("/api/v1/tasks/resolve").await.refused(400, "invalid");
}

#[tokio::test]
async fn a_wait_ends_with_the_task_or_with_its_time() {
    let fake = Fake::start().await;
    let id = fake.task().await;
    let path = format!("/api/v1/tasks/{id}?wait_s=");
    assert_eq!(fake.get(&format!("{path}0")).await.json::<dto::Task>().status, "queued");
    let path = format!("{path}60");
    let (task, ()) = tokio::join!(fake.get(&path), async {
        fake.cluster(|cluster| cluster.cancel(id)).await.unwrap();
    });
    assert_eq!(task.json::<dto::Task>().status, "cancelled");
    fake.get(&format!("/api/v1/tasks/{id}?wait_s=61")).await.refused(400, "invalid");
}

#[tokio::test]
async fn a_cancel_is_accepted_once_and_repeated_without_harm() {
    let fake = Fake::start().await;
    let (queued, running) = (fake.task().await, fake.task().await);
    fake.cluster(|cluster| {
        cluster.worker("w1", cores(4));
        cluster.place(running, "w1");
    })
    .await;
    let cancel = async |id: TaskId| {
        let answer = fake.post(&format!("/api/v1/tasks/{id}/cancel"), "").await;
        (answer.status.as_u16(), answer.json::<dto::Task>())
    };
    let (status, task) = cancel(queued).await;
    assert_eq!((status, task.status.as_str(), task.reason.as_deref()), (202, "cancelled", Some("user")));
    assert_eq!(cancel(queued).await.0, 200);
    let (status, task) = cancel(running).await;
    assert_eq!((status, task.phase.as_deref()), (202, Some("cancelling")));
    fake.post(&format!("/api/v1/tasks/{}/cancel", TaskId::new(9)), "").await.refused(404, "not_found");
}

#[tokio::test]
async fn a_waiting_task_is_held_and_released_and_a_running_one_refuses() {
    let fake = Fake::start().await;
    let (waiting, running) = (fake.task().await, fake.task().await);
    let attempt = fake
        .cluster(|cluster| {
            cluster.worker("w1", cores(4));
            cluster.place(running, "w1")
        })
        .await;
    let ask = async |id: TaskId, verb: &str| fake.post(&format!("/api/v1/tasks/{id}/{verb}"), "").await;
    let held = ask(waiting, "hold").await;
    let task: dto::Task = held.json();
    assert_eq!((held.status.as_u16(), task.phase.as_deref()), (200, Some("held")));
    assert_eq!(task.message, format!("held by local; let it go with: cloudai task release {waiting}"));
    for _ in 0..2 {
        let released = ask(waiting, "release").await;
        let phase = released.json::<dto::Task>().phase;
        assert_eq!((released.status.as_u16(), phase.as_deref()), (200, Some("waiting_capacity")));
    }
    let refused = ask(running, "hold").await;
    assert!(refused.refused(409, "conflict").contains("waits no more: it is pending"));
    assert!(refused.problem().next.unwrap().contains("cloudai task info"));
    assert_eq!(ask(running, "release").await.status, 200);
    fake.end(attempt, 0, vec![]).await;
    for verb in ["hold", "release"] {
        assert!(ask(running, verb).await.refused(409, "conflict").contains("it is completed"));
        ask(TaskId::new(9), verb).await.refused(404, "not_found");
    }
}

#[tokio::test]
async fn an_ended_task_is_submitted_again_once_and_stays_as_it_ended() {
    let fake = Fake::start().await;
    let body = r#"{"image":"a","name":"fit","idempotency_key":"k","retries":{"max":1,"on":["oom"]}}"#;
    let first: dto::Task = fake.post("/api/v1/tasks", body).await.json();
    let retry = async |id: &str| fake.post(&format!("/api/v1/tasks/{id}/retry"), "").await;
    let refused = retry(&first.id).await;
    assert!(refused.refused(409, "conflict").contains("has not ended: it is queued"));
    fake.post(&format!("/api/v1/tasks/{}/cancel", first.id), "").await;
    let answer = retry(&first.id).await;
    let again: dto::Task = answer.json();
    assert_eq!((answer.status.as_u16(), again.status.as_str()), (201, "queued"));
    assert_eq!((again.retry_of.as_ref(), again.name.as_deref()), (Some(&first.id), Some("fit")));
    assert_eq!(again.spec.unwrap()["retries"]["max"], 1);
    let twice = retry(&first.id).await;
    assert_eq!((twice.status.as_u16(), twice.json::<dto::Task>().id), (200, again.id.clone()), "asked twice, run once");
    let old: dto::Task = fake.get(&format!("/api/v1/tasks/{}", first.id)).await.json();
    assert_eq!((old.status.as_str(), old.retried_by), ("cancelled", Some(again.id)));
    let resent: dto::Task = fake.post("/api/v1/tasks", body).await.json();
    assert_eq!(resent.id, first.id, "its own key is still its own");
    retry(&TaskId::new(9).to_string()).await.refused(404, "not_found");
    let refused = fake.get("/api/v1/tasks?dead=true&worker=w1").await;
    assert!(refused.refused(400, "invalid").contains("dead letters"));
}

#[tokio::test]
async fn a_task_is_submitted_again_with_other_limits() {
    let fake = Fake::start().await;
    fake.cluster(|cluster| cluster.worker("w1", cores(2))).await;
    let body = r#"{"image":"a","memory_gb":1,"timeout_s":60,"labels":{"team":"x"}}"#;
    let first: dto::Task = fake.post("/api/v1/tasks", body).await.json();
    let path = format!("/api/v1/tasks/{}", first.id);
    fake.post(&format!("{path}/cancel"), "").await;
    let retry = async |body: &str| fake.post(&format!("{path}/retry"), body).await;
    let problem = retry(r#"{"memory_gb":0.001,"image":"b","priority":500}"#).await.problem();
    let mut wrong: Vec<_> = problem.errors.iter().map(|error| error.path.as_str()).collect();
    wrong.sort_unstable();
    assert_eq!((problem.code.as_str(), wrong), ("invalid", vec!["image", "memory_gb", "priority"]));
    let problem = retry(r#"{"memory_gb":4000}"#).await.problem();
    assert_eq!((problem.code.as_str(), problem.errors.len()), ("unsatisfiable", 0));
    let next = problem.next.unwrap();
    assert!(next.contains("cloudai worker list") && !next.contains("--allow-pending"), "{next}");
    let more = r#"{"memory_gb":2,"timeout_s":120,"priority":7}"#;
    let answer = retry(more).await;
    let again: dto::Task = answer.json();
    let spec = again.spec.unwrap();
    assert_eq!((answer.status.as_u16(), again.retry_of.as_ref()), (201, Some(&first.id)));
    assert_eq!((again.resources.memory_gb, again.priority, &spec["timeout_s"]), (2.0, 7, &120.0.into()));
    assert_eq!(again.labels["team"], "x");
    for body in [more, "", "{}"] {
        let twice = retry(body).await;
        assert_eq!((twice.status.as_u16(), twice.json::<dto::Task>().id), (200, again.id.clone()), "{body}");
    }
    let other = retry(r#"{"memory_gb":4}"#).await;
    assert!(other.refused(409, "conflict").contains(&again.id));
    assert!(other.problem().next.unwrap().contains(&again.id));
    retry("[").await.refused(400, "invalid");
}

#[tokio::test]
async fn a_task_says_when_it_starts() {
    let fake = Fake::start().await;
    let answer = fake.post("/api/v1/tasks", r#"{"image":"a","not_before":"2100-01-31T09:00:00+01:00"}"#).await;
    let task: dto::Task = answer.json();
    assert_eq!(task.phase.as_deref(), Some("waiting_start_time"));
    assert_eq!(task.message, "it starts no earlier than 2100-01-31T08:00:00Z");
    assert_eq!(task.spec.unwrap()["not_before"], "2100-01-31T08:00:00Z");
}

#[tokio::test]
async fn lists_tell_what_users_said_of_a_tasks_times() {
    let fake = Fake::start().await;
    let said = r#"{"image":"a","estimate_s":90.5,"deadline":60,"not_before":"2000-01-31T08:00:00Z"}"#;
    fake.post("/api/v1/tasks", said).await;
    fake.post("/api/v1/tasks", r#"{"image":"a"}"#).await;
    let list: serde_json::Value = fake.get("/api/v1/tasks?sort=created").await.json();
    let (first, second) = (&list["items"][0], &list["items"][1]);
    assert_eq!((&first["estimate_s"], &first["not_before"]), (&90.5.into(), &"2000-01-31T08:00:00.000Z".into()));
    let at = |field: &str| first[field].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    assert_eq!(at("due_at").duration_since(at("created_at")).as_secs(), 60);
    for absent in ["estimate_s", "due_at", "not_before"] {
        assert_eq!(second.get(absent), None, "{absent}: {second:#}");
    }
}

#[tokio::test]
async fn a_task_tells_the_times_that_are_to_come_and_leaves_out_those_that_are_not() {
    let fake = Fake::start().await;
    let body = r#"{"image":"a","timeout_s":60,"queue_timeout_s":30,"total_timeout_s":3600,
        "retries":{"max":1,"on":["exit_code"],"initial_s":10}}"#;
    let id = fake.post("/api/v1/tasks", body).await.json::<dto::Task>().id;
    let later = r#"{"image":"a","not_before":"2100-01-31T08:00:00Z"}"#;
    let later: serde_json::Value = fake.post("/api/v1/tasks", later).await.json();
    assert_eq!((&later["starts_at"], later.get("deadline")), (&"2100-01-31T08:00:00.000Z".into(), None));
    let shown = async || fake.get(&format!("/api/v1/tasks/{id}")).await.json::<serde_json::Value>();
    let after = |task: &serde_json::Value, field: &str, from: &str| {
        let at = |field: &str| task[field].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
        at(field).duration_since(at(from)).as_secs()
    };
    let waits = shown().await;
    assert_eq!((after(&waits, "deadline", "created_at"), waits.get("starts_at")), (30, None));
    let attempt = fake
        .cluster(|cluster| {
            cluster.worker("w1", cores(4));
            let attempt = cluster.place(id.parse().unwrap(), "w1");
            cluster.step(attempt, Step::Running).unwrap();
            attempt
        })
        .await;
    let runs = shown().await;
    assert_eq!((after(&runs, "deadline", "started_at"), runs.get("next_try_at")), (60, None));
    fake.cluster(|cluster| cluster.end(attempt, Outcome::exit(1))).await.unwrap();
    let failed_once = shown().await;
    assert_eq!((failed_once["phase"].as_str(), after(&failed_once, "deadline", "created_at")), (Some("backoff"), 3600));
    assert!((7..=10).contains(&after(&failed_once, "next_try_at", "created_at")), "{failed_once:#}");
    fake.post(&format!("/api/v1/tasks/{id}/cancel"), "").await;
    let ended = shown().await;
    for absent in ["starts_at", "next_try_at", "deadline", "retried_by"] {
        assert_eq!(ended.get(absent), None, "{absent}: {ended:#}");
    }
}

#[tokio::test]
async fn every_answer_about_one_task_names_its_successor() {
    let fake = Fake::start().await;
    let body = r#"{"image":"a","idempotency_key":"k"}"#;
    let first: serde_json::Value = fake.post("/api/v1/tasks", body).await.json();
    assert_eq!(first.get("retried_by"), None);
    let path = format!("/api/v1/tasks/{}", first["id"].as_str().unwrap());
    let cancelled: serde_json::Value = fake.post(&format!("{path}/cancel"), "").await.json();
    assert_eq!(cancelled.get("retried_by"), None);
    let again: dto::Task = fake.post(&format!("{path}/retry"), "").await.json();
    let named =
        [fake.get(&path).await, fake.post(&format!("{path}/cancel"), "").await, fake.post("/api/v1/tasks", body).await];
    for answer in named {
        assert_eq!(answer.json::<dto::Task>().retried_by.as_ref(), Some(&again.id));
    }
}

#[tokio::test]
async fn the_queue_is_shown_in_the_order_of_the_strategy_and_what_has_no_turn_last() {
    let fake = Fake::start().await;
    fake.cluster(|cluster| cluster.worker("w1", cores(1))).await;
    let task = async |fields: &str| {
        fake.post("/api/v1/tasks", &format!(r#"{{"image":"a",{fields}}}"#)).await.json::<dto::Task>().id
    };
    let held = task(r#""priority":100,"hold":true"#).await;
    let large = task(r#""priority":99,"cpu_cores":8,"allow_pending":true"#).await;
    let long = task(r#""estimate_s":3600,"priority":1"#).await;
    let short = task(r#""estimate_s":60"#).await;
    let pinned = task(r#""worker_id":"w1","estimate_s":7200"#).await;
    for (strategy, expected) in [("greedy", [&pinned, &long, &short]), ("ai", [&pinned, &short, &long])] {
        explain::with_strategy(&fake, strategy).await;
        let places = expected.into_iter().cloned().zip((1..).map(Some));
        let last = [&large, &held].into_iter().cloned().zip([None, None]);
        let expected: Vec<(String, Option<u64>)> = places.chain(last).collect();
        for limit in 1..=5 {
            let (mut listed, mut next) = (Vec::new(), Some(String::new()));
            while let Some(cursor) = next {
                let cursor = if cursor.is_empty() { cursor } else { format!("&cursor={cursor}") };
                let list: dto::List<dto::Queued> =
                    fake.get(&format!("/api/v1/queue?limit={limit}{cursor}")).await.json();
                assert!((1..=limit).contains(&list.items.len()));
                listed.extend(list.items.into_iter().map(|queued| (queued.task.id, queued.place)));
                next = list.next_cursor;
            }
            assert_eq!(listed, expected, "{strategy} {limit}");
        }
    }
}
