//! Programs beside fake tasks: what their users see, whatever ends first.

use crate::cluster::{Cluster, Plan, fake_worker};
use crate::process::{Process, until};
use futures::{SinkExt, StreamExt};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

fn lasting() -> Value {
    json!({"image": "fake:x", "cpu_cores": 0.5, "kill_after_s": 1, "env": {"FAKE_DURATION_MS": "forever"}})
}

async fn running(cluster: &Cluster) -> String {
    let id = cluster.rest.submit(lasting()).await;
    cluster.rest.running(&id).await;
    id
}

/// Begins a program, and waits until it runs.
async fn begin(cluster: &Cluster, id: &str, words: &[&str]) -> Process {
    let before = began(cluster);
    let process = cluster.begin(&[&["task", "exec", id, "--"], words].concat());
    until("the program begins", async || (began(cluster) > before).then_some(())).await;
    process
}

fn began(cluster: &Cluster) -> usize {
    cluster.master_err().matches("exec began").count()
}

async fn hung_up(cluster: &mut Cluster, worker: &str) {
    until("the program is hung up", async || cluster.worker(worker).err().contains("exec hung up").then_some(())).await;
}

#[tokio::test]
async fn a_program_ends_with_its_own_code_and_its_output_is_apart() {
    let cluster = Cluster::of(fake_worker("w1")).await;
    let id = running(&cluster).await;
    let said = cluster.run(&["task", "exec", &id, "--", "echo", "a", "b"]).await;
    assert_eq!((said.code, said.out.as_str(), said.err.as_str()), (0, "a b\n", ""), "{said:?}");
    let warned = cluster.run(&["task", "exec", &id, "--", "warn", "x"]).await;
    assert_eq!((warned.code, warned.out.as_str(), warned.err.as_str()), (0, "", "x\n"), "{warned:?}");
    for code in [1, 7, 126, 255] {
        let ended = cluster.run(&["task", "exec", &id, "--", "exit", &code.to_string()]).await;
        assert_eq!((ended.code, ended.err.as_str()), (code, ""), "{ended:?}");
    }
    // Nothing is said of who may: there is one user. Who, what and where stands in the log.
    let log = cluster.master_err();
    assert!(log.contains("exec began") && log.contains("echo a b") && log.contains(&id), "{log}");
    assert_eq!(cluster.rest.task(&id).await["status"], "running", "the task knows nothing of it");
}

#[tokio::test]
async fn input_is_passed_on_to_its_end_and_only_when_it_is_wanted() {
    let cluster = Cluster::of(fake_worker("w1")).await;
    let id = running(&cluster).await;
    let bytes: Vec<u8> = (0..=255).cycle().take(3_000_000).collect();
    let echoed = cluster.run_with(&["task", "exec", "-i", &id, "--", "cat"], bytes.clone()).await;
    assert_eq!(echoed.code, 0, "{}", echoed.err);
    assert!(echoed.bytes == bytes, "{} bytes came back of {}", echoed.bytes.len(), bytes.len());
    let without = cluster.run_with(&["task", "exec", &id, "--", "cat"], "never read").await;
    assert_eq!((without.code, without.out.as_str()), (0, ""), "{without:?}");
    let shell = cluster.run_with(&["task", "exec", "-i", &id], "echo one\nwarn two\nexit 3\necho three\n").await;
    assert_eq!((shell.code, shell.out.as_str(), shell.err.as_str()), (3, "one\n", "two\n"), "{shell:?}");
}

#[tokio::test]
async fn what_can_not_be_run_says_why_and_has_its_exit_code() {
    let cluster = Cluster::of(fake_worker("w1")).await;
    let id = running(&cluster).await;
    let held = cluster.rest.submit(json!({"image": "fake:x", "hold": true})).await;
    let done = cluster.rest.submit(json!({"image": "fake:x"})).await;
    cluster.rest.completed(&done).await;
    let unknown = format!("task-{}", "0".repeat(26));
    let rows: &[(&[&str], i32, &str)] = &[
        (&["task", "exec", &id, "--", "nosuch"], 127, "executable file not found"),
        (&["task", "exec", "-u", "nosuch", &id, "--", "echo"], 126, "unable to find user nosuch"),
        (&["task", "exec", &held, "--", "echo"], 7, "waits (queued)"),
        (&["task", "exec", &done, "--", "echo"], 7, "cloudai task retry"),
        (&["task", "exec", &unknown, "--", "echo"], 5, "there is no task-"),
        (&["task", "exec", &id, "--", ""], 64, "the command is empty"),
        (&["task", "exec", "-t", &id], 64, "standard input is none"),
        (&["task", "exec", "-w", "tmp", &id, "--", "echo"], 64, "absolute path"),
        (&["task", "exec", "-e", "=x", &id], 64, "NAME=VALUE"),
        (&["task", "exec", "-e", "NO_SUCH_VARIABLE", &id], 64, "its value is taken from here"),
        (&["task", "exec", &id, "echo", "one"], 64, "-- echo one"),
    ];
    for (words, code, said) in rows {
        let ran = cluster.run(words).await;
        assert!(ran.code == *code && ran.err.contains(said), "{words:?}: {ran:?}");
        assert_eq!(ran.out, "", "{words:?}");
    }
    // Over REST, before the connection becomes a WebSocket.
    for (path, status, code) in [
        (format!("/api/v1/tasks/{held}/exec"), 400, "invalid"),
        (format!("/api/v1/tasks/{id}/exec?command=&colls=5"), 400, "invalid"),
    ] {
        let answer = cluster.rest.ask("GET", &path, None).await;
        assert_eq!((answer.status, answer.text("code")), (status, code), "{answer:?}");
    }
}

#[tokio::test]
async fn a_task_that_ends_ends_what_runs_in_it() {
    let cluster = Cluster::of(fake_worker("w1")).await;
    let id = running(&cluster).await;
    let mut sleep = begin(&cluster, &id, &["sleep"]).await;
    cluster.run(&["task", "cancel", &id]).await;
    assert_eq!(sleep.ended().await, 7);
    assert!(sleep.err().contains("ended, and with it what ran in it"), "{}", sleep.err());
    assert!(sleep.err().contains("next: cloudai task info"), "{}", sleep.err());
}

#[tokio::test]
async fn a_user_who_goes_takes_the_program_along() {
    let mut cluster = Cluster::of(fake_worker("w1")).await;
    let id = running(&cluster).await;
    let mut killed = begin(&cluster, &id, &["sleep"]).await;
    killed.kill();
    hung_up(&mut cluster, "w1").await;
    let mut asked = begin(&cluster, &id, &["sleep"]).await;
    asked.signal(Signal::TERM);
    assert_eq!(asked.ended().await, 143);
    until("both ended", async || (cluster.master_err().matches("exec ended").count() == 2).then_some(())).await;
}

#[tokio::test]
async fn a_master_that_dies_is_told_and_the_program_is_ended() {
    let mut cluster = Cluster::of(fake_worker("w1")).await;
    let id = running(&cluster).await;
    let mut sleep = begin(&cluster, &id, &["sleep"]).await;
    cluster.kill_master();
    assert_eq!(sleep.ended().await, 8);
    assert!(sleep.err().contains("connection to the master was lost"), "{}", sleep.err());
    hung_up(&mut cluster, "w1").await;
    cluster.restart_master().await;
    until("its worker is back", async || {
        let said = cluster.run(&["task", "exec", &id, "--", "echo", "again"]).await;
        ((said.code, said.out.as_str()) == (0, "again\n")).then_some(())
    })
    .await;
    // One that stops in good order waits for nobody.
    let mut sleep = begin(&cluster, &id, &["sleep"]).await;
    cluster.stop_master().await;
    assert_eq!(sleep.ended().await, 8);
    assert!(sleep.err().contains("the master is stopping"), "{}", sleep.err());
}

#[tokio::test]
async fn a_worker_that_dies_or_leaves_is_told() {
    let mut cluster = Cluster::of(fake_worker("w1")).await;
    let id = running(&cluster).await;
    let mut sleep = begin(&cluster, &id, &["sleep"]).await;
    cluster.kill_worker("w1");
    assert_eq!(sleep.ended().await, 8);
    assert!(sleep.err().contains("connection to the worker was lost"), "{}", sleep.err());
    cluster.worker_until("w1", "inactive").await;
    let refused = cluster.run(&["task", "exec", &id, "--", "echo"]).await;
    assert!(refused.code == 7 && refused.err.contains("its worker w1 is silent"), "{refused:?}");
    cluster.restart_worker("w1").await;
    let id = running(&cluster).await;
    let mut sleep = begin(&cluster, &id, &["sleep"]).await;
    cluster.stop_worker("w1").await;
    let code = sleep.ended().await;
    assert!([7, 8].contains(&code), "{code}: {}", sleep.err());
}

#[tokio::test]
async fn there_are_no_more_than_there_may_be() {
    let cluster = Cluster::of(fake_worker("w1")).await;
    let (id, other) = (running(&cluster).await, running(&cluster).await);
    let mut open = Vec::new();
    for _ in 0..16 {
        open.push(open_socket(&cluster, &id, "command=sleep").await);
    }
    let refused = cluster.run(&["task", "exec", &id, "--", "echo"]).await;
    assert!(refused.code == 7 && refused.err.contains("16 programs are open in"), "{refused:?}");
    assert_eq!(cluster.run(&["task", "exec", &other, "--", "echo"]).await.code, 0, "in another task there is room");
    open.pop();
    until("there is room again", async || {
        (cluster.run(&["task", "exec", &id, "--", "echo"]).await.code == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_operator_may_forbid_it() {
    let variables = [("CLOUDAI_EXEC_ENABLED".to_owned(), "false".to_owned())];
    let cluster = Plan::new().variables(&variables).worker(fake_worker("w1")).start().await;
    let id = running(&cluster).await;
    let refused = cluster.run(&["task", "exec", &id, "--", "echo"]).await;
    assert!(refused.code == 6 && refused.err.contains("exec.enabled"), "{refused:?}");
    let told = cluster.run(&["worker", "info", "w1"]).await;
    assert!(told.out.contains("exec      off") && told.out.contains("offers    no folders or volumes"), "{told:?}");
}

async fn open_socket(cluster: &Cluster, id: &str, query: &str) -> Socket {
    let url = format!("ws://{}/api/v1/tasks/{id}/exec?{query}", cluster.http());
    connect_async(url).await.unwrap().0
}

/// The next frame that is no ping.
async fn frame(socket: &mut Socket) -> Message {
    loop {
        match tokio::time::timeout(crate::process::PATIENCE, socket.next()).await.unwrap().unwrap().unwrap() {
            Message::Ping(_) | Message::Pong(_) => {}
            other => return other,
        }
    }
}

#[tokio::test]
async fn the_size_of_a_terminal_reaches_the_program_first_and_with_every_change() {
    let cluster = Cluster::of(fake_worker("w1")).await;
    let id = running(&cluster).await;
    let mut socket = open_socket(&cluster, &id, "command=size&tty&stdin&cols=77&rows=33").await;
    assert_eq!(frame(&mut socket).await, Message::Binary(b"\x0133 77\n"[..].into()));
    socket.send(Message::Text(json!({"type": "resize", "cols": 100, "rows": 40}).to_string().into())).await.unwrap();
    assert_eq!(frame(&mut socket).await, Message::Binary(b"\x0140 100\n"[..].into()));
    socket.send(Message::Text(json!({"type": "eof"}).to_string().into())).await.unwrap();
    assert_eq!(frame(&mut socket).await, Message::Text(r#"{"type":"exit","code":0}"#.into()));
    for bad in [Message::Text("{}".into()), Message::Binary(b"\x01x"[..].into()), Message::Binary(b"\0x"[..].into())] {
        let mut socket = open_socket(&cluster, &id, "command=sleep").await;
        socket.send(bad.clone()).await.unwrap();
        let Message::Text(told) = frame(&mut socket).await else { panic!("{bad:?}") };
        assert!(told.contains("bad_frame"), "{bad:?}: {told}");
    }
}

/// Kilobytes that a process has in memory.
fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[tokio::test]
async fn a_user_who_reads_nothing_holds_up_his_program_and_nothing_else() {
    const BYTES: usize = 100_000_000;
    let mut cluster = Cluster::of(fake_worker("w1")).await;
    let id = running(&cluster).await;
    let pids = [cluster.master_pid(), cluster.worker("w1").pid()];
    let before = pids.map(resident);
    let mut socket = open_socket(&cluster, &id, &format!("command=flood&command={BYTES}")).await;
    // Heartbeats come all the while, and others are served.
    let beat = async || cluster.rest.get("/api/v1/workers/w1").await["last_seen"].as_str().map(ToOwned::to_owned);
    for _ in 0..15 {
        let seen = beat().await;
        until("the next heartbeat", async || (beat().await != seen).then_some(())).await;
        assert_eq!(cluster.rest.get("/api/v1/workers/w1").await["status"], "active");
    }
    let said = cluster.run(&["task", "exec", &id, "--", "echo", "beside"]).await;
    assert_eq!((said.code, said.out.as_str()), (0, "beside\n"), "{said:?}");
    let grown: Vec<_> = pids.map(resident).iter().zip(before).map(|(now, then)| now.saturating_sub(then)).collect();
    assert!(grown.iter().all(|kilobytes| *kilobytes < 60_000), "master and worker grew by {grown:?} KB");
    // And all of it is there, in order.
    let (mut read, mut line, mut number) = (0, Vec::new(), 0_u32);
    loop {
        match frame(&mut socket).await {
            Message::Binary(data) => {
                assert_eq!(data[0], 1);
                read += data.len() - 1;
                for byte in &data[1..] {
                    line.push(*byte);
                    if *byte == b'\n' {
                        assert_eq!(line, format!("{number:08}\n").into_bytes());
                        number += 1;
                        line.clear();
                    }
                }
            }
            Message::Text(told) => {
                assert_eq!(told.as_str(), r#"{"type":"exit","code":0}"#);
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(read, BYTES);
}
