//! What is different on Podman, beside the suite that every executor passes.

mod support;

mod docker {
    use crate::support::podman::Podman;
    use crate::support::{IMAGE, job, run, with};
    use cloudai_core::task::{Cause, Outcome};
    use cloudai_worker::executor::Job;
    use std::time::Duration;

    fn fact(outcome: &Outcome) -> (Cause, Option<i32>) {
        (outcome.cause, outcome.exit_code)
    }

    fn program(podman: &Podman, word: &str) -> Job {
        let engine = &podman.engine;
        with(job(&engine.identity, IMAGE, engine.out.path()), |spec| spec.container.command = vec![word.into()])
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn it_is_known_by_its_name() {
        let podman = Podman::new().await;
        let engine = podman.engine.executor.engine().await.unwrap();
        assert!(engine.starts_with("podman ") && engine.len() > 7, "{engine}");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_log_that_is_unread_when_its_container_ends_is_whole() {
        let podman = Podman::new().await;
        let expected: String = (1..=20_000).map(|number| format!("{number}\n")).collect();
        for round in 0..6 {
            let ended = podman.engine.run_sh("seq 1 20000").await;
            assert!(ended.stdout() == expected, "{} bytes in round {round}", ended.stdout().len());
            assert!(ended.outcome.log.complete);
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn bytes_and_line_ends_are_kept_as_they_are() {
        let podman = Podman::new().await;
        let script = "head -c 100000 /dev/urandom > /out/bytes; cat /out/bytes; printf 'a\\r\\n\\nb'";
        let ended = podman.engine.run_sh(script).await;
        let mut expected = std::fs::read(podman.engine.out.path().join("bytes")).unwrap();
        expected.extend(b"a\r\n\nb");
        assert!(ended.stream(false) == expected, "bytes differ");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_program_that_can_not_be_begun_is_127_or_126_and_says_so() {
        let podman = Podman::new().await;
        let rows = [("nosuch", 127, "is not in the image"), ("/etc/passwd", 126, "can not be executed")];
        for (word, code, said) in rows {
            let outcome = run(&podman.engine.executor, &program(&podman, word)).await.outcome;
            assert_eq!(fact(&outcome), (Cause::Exited, Some(code)), "{}", outcome.message);
            assert!(outcome.message.contains(word) && outcome.message.contains(said), "{}", outcome.message);
        }
        let own = podman.engine.run_sh("exit 1").await.outcome;
        assert_eq!(fact(&own), (Cause::Exited, Some(1)), "{}", own.message);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn who_is_not_root_has_no_capabilities() {
        let podman = Podman::new().await;
        let script = "grep -E '^(CapEff|CapBnd|NoNewPrivs)' /proc/self/status | tr -d '\\t'; ls /sys/class/net";
        let root = podman.engine.run_sh(script).await;
        assert_eq!(root.stdout(), "CapEff:00000000000004eb\nCapBnd:00000000000004eb\nNoNewPrivs:1\nlo\n");
        let nobody = with(podman.engine.sh(script), |spec| spec.container.user = Some("65534:65534".into()));
        let nobody = run(&podman.engine.executor, &nobody).await;
        let none = "CapEff:0000000000000000\nCapBnd:0000000000000000\nNoNewPrivs:1\nlo\n";
        assert_eq!(nobody.stdout(), none, "{}", nobody.outcome.message);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_log_is_seen_while_its_container_runs() {
        let podman = Podman::new().await;
        let job = podman.engine.sh("echo up; exec sleep 1000000");
        let mut live = crate::support::Live::start(&podman.engine.executor, &job);
        live.until_records(1).await;
        live.wish(Duration::ZERO);
        assert_eq!(live.end().await.stdout(), "up\n");
    }
}
