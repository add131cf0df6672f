//! Programs beside an attempt's own, on Docker and on Podman.

#![allow(clippy::unwrap_used)] // helpers of tests, too

mod support;

mod docker {
    use crate::support::podman::Podman;
    use crate::support::{Engine, Live};
    use bytes::Bytes;
    use cloudai_worker::executor::exec::{ExecEnd, ExecError, ExecWish, Execution, WindowSize};
    use cloudai_worker::executor::{Executor, Job};
    use futures::StreamExt;
    use std::sync::Arc;
    use std::time::Duration;
    use tokio::io::AsyncWriteExt;

    /// Longer than anything here takes.
    const PATIENCE: Duration = Duration::from_secs(60);

    /// An attempt that runs until its test is over.
    async fn running(engine: &Engine) -> (Job, Live) {
        let job = engine.sh("trap 'exit 0' TERM; while :; do sleep 0.05; done");
        let mut live = Live::start(&engine.executor, &job);
        live.until_running().await;
        (job, live)
    }

    fn wish(words: &[&str]) -> ExecWish {
        ExecWish { command: words.iter().map(ToString::to_string).collect(), stdin: true, ..ExecWish::default() }
    }

    async fn begin(executor: &Arc<dyn Executor>, job: &Job, wish: &ExecWish) -> Result<Execution, ExecError> {
        let (attempt, incarnation) = job.key();
        tokio::time::timeout(PATIENCE, executor.exec(attempt, incarnation, wish)).await.expect("it hangs")
    }

    /// All output, and how it ended.
    async fn end(mut execution: Execution) -> (Vec<u8>, Vec<u8>, ExecEnd) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let ended = async {
            while let Some(piece) = execution.output.next().await {
                let piece = piece.unwrap();
                if piece.stderr { err.extend(&piece.data) } else { out.extend(&piece.data) }
            }
            execution.process.ended().await
        };
        let ended = tokio::time::timeout(PATIENCE, ended).await.expect("it does not end");
        (out, err, ended)
    }

    async fn keeps_its_promises(engine: &Engine) {
        let executor = &engine.executor;
        let (job, live) = running(engine).await;
        let mut sum = begin(executor, &job, &wish(&["sh", "-c", "wc -c; echo err >&2; exit 7"])).await.unwrap();
        sum.input.write_all(&Bytes::from(vec![0; 1_000_000])).await.unwrap();
        sum.input.shutdown().await.unwrap();
        assert_eq!(end(sum).await, (b"1000000\n".to_vec(), b"err\n".to_vec(), ExecEnd::Exited(7)));
        let quick = begin(executor, &job, &wish(&["true"])).await.unwrap();
        assert_eq!(end(quick).await, (Vec::new(), Vec::new(), ExecEnd::Exited(0)));
        for (word, code) in [("nosuch", 127), ("/etc", 126)] {
            match begin(executor, &job, &wish(&[word])).await {
                Err(ExecError::NotStarted { code: found, why }) => assert!(found == code && !why.is_empty(), "{why}"),
                Ok(execution) => panic!("{word}: {:?}", end(execution).await),
                Err(other) => panic!("{word}: {other:?}"),
            }
        }
        // A terminal: every byte, its size, and what is left when its user goes.
        let (cols, rows) = (77, 33);
        let wish = ExecWish { tty: true, size: Some(WindowSize { cols, rows }), ..wish(&["sh", "-c", SCRIPT]) };
        let mut terminal = begin(executor, &job, &wish).await.unwrap();
        let mut shown = Vec::new();
        let mut resized = false;
        while !shown.ends_with(b"40 100\r\n") {
            let piece = tokio::time::timeout(PATIENCE, terminal.output.next()).await;
            let piece = piece.unwrap_or_else(|_| panic!("it showed {:?}", String::from_utf8_lossy(&shown)));
            shown.extend(piece.unwrap().unwrap().data);
            if !resized && shown.ends_with(b"ready\r\n") {
                terminal.process.resize(WindowSize { cols: 100, rows: 40 }).await;
                resized = true;
            }
        }
        assert!(shown.starts_with(b"\x01\x00\x02\x00"), "{shown:?}");
        tokio::time::timeout(PATIENCE, terminal.process.hang_up()).await.expect("the hang-up hangs");
        assert!(matches!(end(terminal).await.2, ExecEnd::Exited(129 | 137)));
        // It ends with its container.
        let ends = begin(executor, &job, &self::wish(&["sleep", "1000"])).await.unwrap();
        live.wish(Duration::from_secs(1));
        live.end().await;
        assert_eq!(end(ends).await.2, ExecEnd::TaskEnded);
        assert!(matches!(begin(executor, &job, &self::wish(&["true"])).await, Err(ExecError::NotRunning)));
    }

    /// Its first bytes are those that a frame begins with.
    const SCRIPT: &str = "printf '\\001\\000\\002\\000'; while [ \"$(stty size)\" != \"33 77\" ]; do sleep 0.02; done; \
                          echo ready; while [ \"$(stty size)\" != \"40 100\" ]; do sleep 0.02; done; stty size; \
                          while :; do sleep 0.05; done";

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn docker_keeps_them() {
        keeps_its_promises(&Engine::new().await).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn podman_keeps_them() {
        keeps_its_promises(&Podman::new().await.engine).await;
    }
}
