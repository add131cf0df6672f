//! Pumps before a worker that is the test itself; the clock is tokio's and moves when all wait.

use super::super::outlets::QUEUE;
use super::*;
use cloudai_core::effect::Command;
use cloudai_core::ids::CommandSeq;
use std::sync::atomic::{AtomicU64, Ordering};

/// A master that counts how often a way was opened.
#[derive(Debug)]
struct Master {
    session: AtomicU64,
    opened: mpsc::Sender<WorkerId>,
}

#[async_trait]
impl Home for Master {
    fn is_current(&self, _: &WorkerId, session: Session) -> bool {
        session.0 == self.session.load(Ordering::SeqCst)
    }
    async fn opened(&self, worker: &WorkerId, _: Session) -> bool {
        self.opened.try_send(worker.clone()).is_ok()
    }
    fn orders(&self, _: &WorkerId, _: Session) -> mpsc::Receiver<Order> {
        mpsc::channel(1).1
    }
}

/// A worker that notes what it is brought, and answers as it is told to: not at all, no, yes.
#[derive(Debug)]
struct Worker {
    brought: mpsc::Sender<(Session, Vec<u64>)>,
    answers: Mutex<Vec<Option<Result<(), NotTaken>>>>,
}

#[async_trait]
impl Line for Worker {
    async fn bring(&self, session: Session, commands: Vec<Dispatch>) -> Result<(), NotTaken> {
        let seqs = commands.iter().map(|command| command.seq.0).collect();
        let answer = self.answers.lock().unwrap().pop().unwrap_or(Some(Ok(())));
        self.brought.send((session, seqs)).await.unwrap();
        match answer {
            Some(answer) => answer,
            None => std::future::pending().await,
        }
    }
    async fn order(&self, _: Session, _: Order) -> Result<(), NotTaken> {
        Ok(())
    }
}

type Brought = mpsc::Receiver<(Session, Vec<u64>)>;

struct Bed {
    pushes: Arc<Pushes>,
    master: Arc<Master>,
    opened: mpsc::Receiver<WorkerId>,
}

impl Bed {
    fn new() -> Self {
        let (sender, opened) = mpsc::channel(100);
        let master = Arc::new(Master { session: AtomicU64::new(1), opened: sender });
        Self { pushes: Arc::default(), master, opened }
    }

    /// Begins the present session of a worker that answers so first; then it takes everything in.
    async fn begin(&mut self, name: &str, answers: Vec<Option<Result<(), NotTaken>>>) -> Brought {
        let (sender, brought) = mpsc::channel(100);
        let answers = Mutex::new(answers.into_iter().rev().collect());
        let session = Session(self.master.session.load(Ordering::SeqCst));
        let home = Arc::clone(&self.master) as Arc<dyn Home>;
        self.pushes.begin(worker(name), session, home, Arc::new(Worker { brought: sender, answers }));
        assert_eq!(self.opened.recv().await, Some(worker(name)));
        brought
    }

    /// Sends commands to a worker in its first session.
    fn send(&self, name: &str, seqs: std::ops::RangeInclusive<u64>) {
        assert!(self.pushes.deliver(pings(name, 1, seqs)).is_empty(), "the session has a way");
    }
}

fn worker(name: &str) -> WorkerId {
    name.parse().unwrap()
}

fn pings(name: &str, session: u64, seqs: std::ops::RangeInclusive<u64>) -> Vec<Dispatch> {
    let ping = |seq| Dispatch {
        worker: worker(name),
        session: Session(session),
        seq: CommandSeq(seq),
        command: Command::Ping,
    };
    seqs.map(ping).collect()
}

fn refused() -> Option<Result<(), NotTaken>> {
    Some(Err(NotTaken("not now".into())))
}

async fn next(brought: &mut Brought) -> Vec<u64> {
    brought.recv().await.unwrap().1
}

#[tokio::test(start_paused = true)]
async fn commands_are_brought_in_order_and_again_until_they_were_taken_in() {
    let mut bed = Bed::new();
    let mut brought = bed.begin("w", vec![refused(), None, Some(Ok(()))]).await;
    bed.send("w", 1..=2);
    assert_eq!(next(&mut brought).await, [1, 2]);
    bed.send("w", 3..=3);
    assert_eq!(next(&mut brought).await, [1, 2], "it was refused");
    assert_eq!(next(&mut brought).await, [1, 2], "it was not answered");
    assert_eq!(next(&mut brought).await, [3], "nothing overtakes");
    bed.send("w", 4..=600);
    let rest = [next(&mut brought).await, next(&mut brought).await, next(&mut brought).await];
    assert!(rest.iter().all(|part| part.len() <= COMMANDS));
    assert_eq!(rest.concat(), (4..=600).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_does_not_answer_holds_no_other_up() {
    let mut bed = Bed::new();
    let mut slow = bed.begin("slow", vec![None; 100]).await;
    let mut quick = bed.begin("quick", Vec::new()).await;
    bed.send("slow", 1..=1);
    assert_eq!(next(&mut slow).await, [1]);
    let begin = tokio::time::Instant::now();
    for seq in 1..=50 {
        bed.send("quick", seq..=seq);
        assert_eq!(next(&mut quick).await, [seq]);
    }
    assert_eq!(begin.elapsed(), Duration::ZERO, "nobody waited");
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_is_full_ends_and_the_way_is_opened_again() {
    let mut bed = Bed::new();
    let mut brought = bed.begin("w", vec![None]).await;
    bed.send("w", 1..=1);
    assert_eq!(next(&mut brought).await, [1]);
    let many = u64::try_from(QUEUE).unwrap() + 1;
    bed.send("w", 2..=many);
    assert!(bed.opened.try_recv().is_err());
    bed.send("w", many + 1..=many + 1);
    assert_eq!(bed.pushes.deliver(pings("w", 1, 1..=1)).len(), 1, "there is no way any more");
    let mut last = 1;
    while last < many {
        let part = next(&mut brought).await;
        assert!(part[0] == last || part[0] == last + 1, "{part:?} behind {last}");
        last = *part.last().unwrap();
    }
    assert_eq!(bed.opened.recv().await, Some(worker("w")), "what it has not confirmed is sent again");
    bed.send("w", 9000..=9000);
    assert_eq!(next(&mut brought).await, [9000]);
}

#[tokio::test(start_paused = true)]
async fn commands_of_a_session_that_ended_are_brought_no_more() {
    let mut bed = Bed::new();
    let mut earlier = bed.begin("w", vec![refused(); 100]).await;
    bed.send("w", 1..=1);
    assert_eq!(next(&mut earlier).await, [1]);
    bed.master.session.store(2, Ordering::SeqCst);
    let mut later = bed.begin("w", Vec::new()).await;
    assert_eq!(bed.pushes.deliver(pings("w", 1, 2..=2)).len(), 1);
    assert!(bed.pushes.deliver(pings("w", 2, 1..=1)).is_empty());
    assert_eq!(later.recv().await, Some((Session(2), vec![1])));
    while let Some((session, seqs)) = earlier.recv().await {
        assert_eq!((session, seqs), (Session(1), vec![1]), "it ends with its session");
    }

    bed.master.session.store(3, Ordering::SeqCst);
    assert_eq!(later.recv().await, None, "a pump that has nothing to do notices it, too");
    assert!(bed.pushes.lock().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_earlier_registration_that_is_told_late_does_not_end_a_later_one() {
    let mut bed = Bed::new();
    bed.master.session.store(2, Ordering::SeqCst);
    let mut later = bed.begin("w", Vec::new()).await;
    let (sender, mut earlier) = mpsc::channel(1);
    let line = Arc::new(Worker { brought: sender, answers: Mutex::default() });
    bed.pushes.begin(worker("w"), Session(1), Arc::clone(&bed.master) as Arc<dyn Home>, line);
    assert_eq!(earlier.recv().await, None);
    assert!(bed.pushes.deliver(pings("w", 2, 1..=1)).is_empty());
    assert_eq!(later.recv().await, Some((Session(2), vec![1])));
}

#[tokio::test(start_paused = true)]
async fn a_master_that_stops_waits_for_no_worker() {
    let mut bed = Bed::new();
    let mut brought = bed.begin("w", vec![None; 100]).await;
    bed.send("w", 1..=1);
    assert_eq!(next(&mut brought).await, [1]);
    bed.pushes.close_all();
    bed.pushes.ended().await;
    assert_eq!(brought.recv().await, None);
    assert_eq!(bed.pushes.deliver(pings("w", 1, 2..=2)).len(), 1);
}
