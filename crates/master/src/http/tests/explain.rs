//! Why a task waits.

use super::*;
use cloudai_core::strategy::{Board, Key, Started, Strategy, View, by_name};
use cloudai_core::testing::cores;
use dto::explain::Explanation;

/// A strategy that starts nothing, in front of one that is explained.
#[derive(Debug)]
struct Asleep(Box<dyn Strategy>);

impl Strategy for Asleep {
    fn name(&self) -> &'static str {
        self.0.name()
    }
    fn hear(&mut self, board: &mut Board) {
        self.0.hear(board);
    }
    fn line(&self, board: &Board, after: Option<Key>, most: usize) -> Vec<(Key, usize)> {
        self.0.line(board, after, most)
    }
    fn copy(&self) -> Box<dyn Strategy> {
        self.0.copy()
    }
    fn place(&mut self, board: &mut Board, _: usize) -> Vec<Started> {
        self.hear(board);
        Vec::new()
    }
}

/// The strategy's thread, which has seen all that happened.
pub(super) async fn with_strategy(fake: &Fake, name: &str) {
    let strategy = Box::new(Asleep(by_name(name).unwrap()));
    let mut view = View::default();
    fake.core.lock().await.cluster.rows.iter().for_each(|row| view.apply(row));
    let visit = fake.handle.shared.placing.visit(move |stage| {
        stage.view = view;
        stage.set_strategy(strategy);
    });
    visit.await.unwrap();
}

/// A task of so many cores.
async fn asking(fake: &Fake, cpus: u32) -> String {
    fake.post("/api/v1/tasks", &format!(r#"{{"image":"a","cpu_cores":{cpus}}}"#)).await.json::<dto::Task>().id
}

#[tokio::test]
async fn a_waiting_task_is_explained_worker_by_worker_with_what_would_help() {
    let fake = Fake::start().await;
    fake.cluster(|cluster| cluster.worker("w1", cores(4))).await;
    let running = fake.task().await;
    fake.cluster(|cluster| cluster.place(running, "w1")).await;
    let (large, small) = (asking(&fake, 4).await, asking(&fake, 1).await);
    with_strategy(&fake, "greedy").await;
    let told: Explanation = fake.get(&format!("/api/v1/tasks/{large}/explain")).await.json();
    assert_eq!(
        (told.standing.as_str(), told.strategy.as_str(), told.place, told.of),
        ("waits", "greedy", Some(1), Some(2))
    );
    let w1 = &told.workers[0];
    assert_eq!(
        (w1.id.as_str(), w1.fits, w1.ever, w1.free.cpu_cores, w1.total.cpu_cores),
        ("w1", false, true, 3.0, 4.0)
    );
    let against = &w1.against[0];
    assert_eq!((against.code.as_str(), against.message.as_str()), ("short_of_cpu", "cpu need 4 free 3 of 4"));
    assert_eq!((against.need, against.free, against.total), (Some(4.0), Some(3.0), Some(4.0)));
    assert_eq!((told.counts["short_of_cpu"], told.changes[0].at_most["cpu_cores"]), (1, 3.0));
    let start = told.start.unwrap();
    assert_eq!((start.after, start.guessed), (Some(running.to_string()), true));
    assert_eq!(told.now.unwrap().turn, "no_room");
    let told: Explanation = fake.get(&format!("/api/v1/tasks/{small}/explain?strategy=greedy_skip")).await.json();
    let now = told.now.unwrap();
    assert_eq!((now.turn.as_str(), now.behind.as_deref()), ("behind", Some(large.as_str())));
    assert!(told.message.contains("goes first"), "{}", told.message);
    let other = told.other.unwrap();
    assert_eq!(
        (other.strategy.as_str(), other.turn.as_str(), other.worker_id.as_deref()),
        ("greedy_skip", "now", Some("w1"))
    );
    assert_eq!((told.scores[0].worker_id.as_str(), told.scores[0].used["cpu"]), ("w1", 0.5));
}

#[tokio::test]
async fn a_constraint_that_does_not_hold_is_explained_with_the_label_that_helps_and_a_preference_with_its_weight() {
    let fake = Fake::start().await;
    fake.cluster(|cluster| {
        cluster.worker("w1", cores(4));
        cluster.worker("w2", cores(4));
        cluster.label("w2", &[("disk", "ssd")]);
    })
    .await;
    let submit = async |fields: &str| {
        let body = format!(r#"{{"image":"a",{fields}}}"#);
        fake.post("/api/v1/tasks", &body).await.json::<dto::Task>().id
    };
    let asks = submit(r#""constraints":["zone = eu"],"allow_pending":true"#).await;
    let wishes = submit(r#""affinity":[{"expr":"disk = ssd"}]"#).await;
    with_strategy(&fake, "greedy").await;
    let told: Explanation = fake.get(&format!("/api/v1/tasks/{asks}/explain")).await.json();
    assert_eq!((told.standing.as_str(), told.counts["constraint"]), ("never", 2));
    let against = &told.workers[0].against[0];
    assert_eq!((against.code.as_str(), against.message.as_str()), ("constraint", "does not meet zone = eu"));
    let change = &told.possible[0];
    assert_eq!(
        (change.kind.as_str(), change.worker_id.as_str(), &change.labels["zone"]),
        ("label", "w1", &Some("eu".to_owned()))
    );
    assert_eq!(change.message, "with the labels zone=eu it fits w1: cloudai worker label w1 zone=eu");
    let told: Explanation = fake.get(&format!("/api/v1/tasks/{wishes}/explain")).await.json();
    let scores: Vec<_> = told.scores.iter().map(|score| (score.worker_id.as_str(), score.preference)).collect();
    assert_eq!(scores, [("w2", Some(50)), ("w1", Some(0))]);
}

#[tokio::test]
async fn a_task_with_a_worker_an_ended_one_and_a_wrong_strategy_are_answered_plainly() {
    let fake = Fake::start().await;
    fake.cluster(|cluster| cluster.worker("w1", cores(4))).await;
    let (runs, ended) = (fake.task().await, fake.task().await);
    fake.cluster(|cluster| cluster.place(runs, "w1")).await;
    fake.cluster(|cluster| cluster.cancel(ended)).await.unwrap();
    with_strategy(&fake, "greedy").await;
    let told: Explanation = fake.get(&format!("/api/v1/tasks/{runs}/explain")).await.json();
    assert_eq!(
        (told.standing.as_str(), told.worker_id.as_deref(), told.scores[0].used["cpu"]),
        ("placed", Some("w1"), 0.25)
    );
    let told: Explanation = fake.get(&format!("/api/v1/tasks/{ended}/explain")).await.json();
    assert_eq!((told.standing.as_str(), told.workers.len()), ("ended", 0));
    assert!(told.message.contains("ended as cancelled"), "{}", told.message);
    let wrong = fake.get(&format!("/api/v1/tasks/{runs}/explain?strategy=tetris")).await;
    let said = wrong.refused(400, "invalid");
    assert!(said.contains("allowed are greedy, round_robin"), "{said}");
    fake.get(&format!("/api/v1/tasks/{}/explain", TaskId::new(7))).await.refused(404, "not_found");
}
