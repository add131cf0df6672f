//! Liveness and readiness.

use super::*;

#[tokio::test]
async fn a_master_is_ready_while_its_store_takes_commits_and_says_why_not() {
    let fake = Fake::start().await;
    let ready = fake.get("/readyz").await;
    assert_eq!((ready.status.as_u16(), ready.text().as_str()), (200, "ready\n"));
    fake.health.send_replace(StoreHealth { trouble: Some("no commit goes through: disk full".into()) });
    let away = fake.get("/readyz").await;
    let reason = "not ready\nstore: no commit goes through: disk full\n";
    assert_eq!((away.status.as_u16(), away.text().as_str()), (503, reason));
    assert_eq!(away.headers["content-type"], "text/plain; charset=utf-8");
    assert_eq!(fake.get("/livez").await.text(), "ok\n", "it lives all the same");
    fake.health.send_replace(StoreHealth::default());
    assert_eq!(fake.get("/readyz").await.status, 200);
    fake.handle.shared.stopping.cancel();
    assert_eq!(fake.get("/readyz").await.text(), "not ready\nthe master is stopping\n");
}

#[tokio::test]
async fn a_master_without_an_engine_is_not_ready() {
    let Fake { handle, health, .. } = Fake::start().await;
    drop(health);
    let request = Request::get("/readyz").body(Body::empty()).unwrap();
    let response = router(handle, true).oneshot(request).await.unwrap();
    assert_eq!(response.status(), 503);
    let body = to_bytes(response.into_body(), 1 << 10).await.unwrap();
    assert_eq!(body, "not ready\nthe engine has ended\n");
}

#[tokio::test]
async fn a_long_wait_is_answered_when_the_master_stops() {
    let fake = Fake::start().await;
    let id = fake.task().await;
    let path = format!("/api/v1/tasks/{id}?wait_s=60");
    let wait = fake.get(&path);
    let stop = async { fake.handle.shared.stopping.cancel() };
    let both = async { tokio::join!(wait, stop).0 };
    let answer = tokio::time::timeout(std::time::Duration::from_secs(30), both).await.expect("it waits on");
    assert_eq!(answer.json::<dto::Task>().status, "queued");
}
