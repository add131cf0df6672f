//! What only a real engine shows: the kernel's limits, its fences, and the engine's own habits.

mod support;

mod docker {
    use crate::support::proxy::{Proxy, Trick};
    use crate::support::{Ended, Engine, IMAGE, Live, docker, identity, job, run, unique, with};
    use bytes::Bytes;
    use cloudai_core::resources::{GIB, MIB};
    use cloudai_core::spec::{Outputs, PullPolicy};
    use cloudai_core::task::{Cause, Outcome, Step};
    use cloudai_worker::executor::docker::{DockerExecutor, DockerOptions};
    use cloudai_worker::executor::{EngineError, Executor, Job, Progress};
    use cloudai_worker::outputs::{Limits, collect};
    use futures::{StreamExt, stream};
    use sha2::{Digest, Sha256};
    use std::sync::Arc;
    use std::sync::atomic::Ordering;
    use std::time::{Duration, Instant};
    use tokio::io::AsyncReadExt;
    use tokio::sync::Semaphore;

    fn fact(outcome: &Outcome) -> (Cause, Option<i32>, bool) {
        (outcome.cause, outcome.exit_code, outcome.oom_killed)
    }

    /// What the container of an attempt is called.
    fn name(job: &Job) -> String {
        let task = job.attempt.task.to_string();
        format!("cloudai-{}-a{}-i1", task.trim_start_matches("task-"), job.attempt.number)
    }

    fn program(engine: &Engine, words: &[&str]) -> Job {
        let words: Vec<_> = words.iter().map(ToString::to_string).collect();
        with(job(&engine.identity, IMAGE, engine.out.path()), |spec| spec.container.command = words)
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn fast_exit_logs_complete() {
        let engine = Engine::new().await;
        let begin = Instant::now();
        let one = async |number: u32| {
            let job = engine.sh(&format!("echo first {number}; echo err {number} >&2; echo last {number}"));
            let ended = run(&engine.executor, &job).await;
            engine.executor.remove(job.attempt, job.identity.incarnation).await.unwrap();
            assert_eq!(ended.stdout(), format!("first {number}\nlast {number}\n"));
            assert_eq!(ended.stderr(), format!("err {number}\n"));
            assert!(ended.outcome.log.complete);
        };
        stream::iter(0..200).for_each_concurrent(8, one).await;
        eprintln!("200 containers in {:.1} s", begin.elapsed().as_secs_f64());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_hundred_megabytes_of_output_are_complete() {
        // Lines of 64 bytes, then one line of 56 MB: both the many and the long are cut somewhere.
        const SCRIPT: &str = "yes 123456789012345678901234567890123456789012345678901234567890123 | head -n 800000; \
                              yes abcdefg | head -c 64000000 | tr -d '\\n'";
        let engine = Engine::new().await;
        let begin = Instant::now();
        let mut job = engine.sh(SCRIPT);
        job.allocation.storage = GIB;
        let ended = run(&engine.executor, &job).await;
        let took = begin.elapsed().as_secs_f64();
        let mut expected = Sha256::new();
        let line = "123456789012345678901234567890123456789012345678901234567890123\n";
        (0..800_000).for_each(|_| expected.update(line));
        (0..64_000_000 / 8).for_each(|_| expected.update("abcdefg"));
        let mut found = Sha256::new();
        ended.records.iter().filter(|record| !record.stderr).for_each(|record| found.update(&record.data));
        assert_eq!(fact(&ended.outcome), (Cause::Exited, Some(0), false));
        assert_eq!(hex::encode(found.finalize()), hex::encode(expected.finalize()));
        let log = ended.outcome.log;
        assert!(log.complete && log.bytes > 100_000_000);
        eprintln!("{} records, {} bytes in {took:.1} s", log.records, log.bytes);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn binary_output_is_kept_as_it_is() {
        let engine = Engine::new().await;
        let script = "head -c 1000000 /dev/urandom > /out/bytes; cat /out/bytes";
        let ended = engine.run_sh(script).await;
        let expected = std::fs::read(engine.out.path().join("bytes")).unwrap();
        assert!(ended.stream(false) == expected, "bytes differ");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_log_stream_that_breaks_loses_and_repeats_nothing() {
        let proxy = Proxy::start(Trick::CutLogs(50_000));
        let cluster = format!("test-{:x}", unique());
        let engine = Engine::of(identity(&cluster, "w1"), &proxy.options()).await;
        let ended = engine.run_sh("seq 1 20000").await;
        let expected: String = (1..=20_000).map(|number| format!("{number}\n")).collect();
        assert!(ended.stdout() == expected, "{} bytes", ended.stdout().len());
        assert!(ended.outcome.log.complete);
        assert!(proxy.seen.load(Ordering::SeqCst) > 0);
    }

    /// A start that was answered with 500 and runs all the same goes on.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn start_api_500_but_container_runs() {
        let proxy = Proxy::start(Trick::StartAnswers500);
        let cluster = format!("test-{:x}", unique());
        let engine = Engine::of(identity(&cluster, "w1"), &proxy.options()).await;
        let ended = engine.run_sh("echo ran; exit 5").await;
        assert_eq!(fact(&ended.outcome), (Cause::Exited, Some(5), false), "{}", ended.outcome.message);
        assert_eq!(ended.stdout(), "ran\n");
        assert_eq!(proxy.seen.load(Ordering::SeqCst), 1, "it was started once");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_wait_that_breaks_is_asked_again() {
        let proxy = Proxy::start(Trick::CutWaits);
        let cluster = format!("test-{:x}", unique());
        let engine = Engine::of(identity(&cluster, "w1"), &proxy.options()).await;
        let mut live = Live::start(&engine.executor, &engine.sh("echo up; exec sleep 1000000"));
        live.until_records(1).await;
        live.wish(Duration::from_secs(100));
        assert_eq!(fact(&live.end().await.outcome), (Cause::Stopped, Some(143), false));
    }

    #[tokio::test]
    async fn no_engine_is_said_with_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let nowhere = format!("unix://{}", dir.path().join("none.sock").display());
        for address in [nowhere.as_str(), "tcp://192.0.2.1:2375", "ssh://host"] {
            let options = DockerOptions { address: address.into(), ..DockerOptions::default() };
            let error = DockerExecutor::connect(identity("c", "w"), &options).unwrap_err();
            assert!(matches!(error, EngineError::Unreachable { .. }));
            assert!(error.to_string().contains(address), "{error}");
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn an_engine_that_goes_away_is_an_engine_error() {
        let proxy = Proxy::start(Trick::CutWaits);
        let patience = Duration::from_millis(200);
        let options = DockerOptions { patience, ..proxy.options() };
        let executor = DockerExecutor::connect(identity("c", "w"), &options).unwrap();
        let executor: Arc<dyn Executor> = Arc::new(executor);
        let out = tempfile::tempdir().unwrap();
        drop(proxy);
        let outcome = run(&executor, &job(&identity("c", "w"), IMAGE, out.path())).await.outcome;
        assert_eq!(fact(&outcome), (Cause::EngineError, None, false), "{}", outcome.message);
        assert!(matches!(executor.engine().await, Err(EngineError::Unreachable { .. })));
    }

    /// The outcome of a script that the kernel kills for its memory, or has killed a child of.
    ///
    /// A busy engine on cgroup v1 now and then loses the kernel's notice (the kernel counted the
    /// kill, the engine has no event of it); not ours to mend, so one of ten runs has to be told.
    async fn oom(engine: &Engine, script: &str, exit: i32) -> Outcome {
        for _ in 0..10 {
            let outcome = engine.run_sh(script).await.outcome;
            assert_eq!((outcome.cause, outcome.exit_code), (Cause::Exited, Some(exit)), "{}", outcome.message);
            if outcome.oom_killed {
                return outcome;
            }
        }
        panic!("the engine never told of an out-of-memory kill");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn oom_of_the_main_process_is_told() {
        let engine = Engine::new().await;
        let outcome = oom(&engine, "exec tail -c 199999999 /dev/zero", 137).await;
        assert!(outcome.message.contains("64 MiB"), "{}", outcome.message);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn oom_child_exit0_flag() {
        let engine = Engine::new().await;
        // Else the kernel may choose the shell.
        let child = "(echo 1000 >/proc/self/oom_score_adj; exec tail -c 199999999 /dev/zero); exit 0";
        let outcome = oom(&engine, child, 0).await;
        assert!(outcome.message.contains("raise memory_gb"), "{}", outcome.message);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn sigkill_is_not_oom() {
        let engine = Engine::new().await;
        let outcome = engine.run_sh("kill -9 $$").await.outcome;
        assert_eq!(fact(&outcome), (Cause::Exited, Some(137), false), "{}", outcome.message);
        assert!(outcome.message.contains("SIGKILL"), "{}", outcome.message);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_program_that_is_not_in_the_image_is_127_and_says_so() {
        let engine = Engine::new().await;
        let outcome = run(&engine.executor, &program(&engine, &["nosuch"])).await.outcome;
        assert_eq!(fact(&outcome), (Cause::Exited, Some(127), false));
        assert!(outcome.message.contains("nosuch is not in the image"), "{}", outcome.message);
        let outcome = engine.run_sh("nosuch").await.outcome;
        assert_eq!(fact(&outcome), (Cause::Exited, Some(127), false));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_file_that_is_no_program_is_126_and_says_so() {
        let engine = Engine::new().await;
        let outcome = run(&engine.executor, &program(&engine, &["/etc/passwd"])).await.outcome;
        assert_eq!(fact(&outcome), (Cause::Exited, Some(126), false));
        assert!(outcome.message.contains("/etc/passwd"), "{}", outcome.message);
        assert!(outcome.message.contains("can not be executed"), "{}", outcome.message);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_the_engine_refuses_is_a_start_error_in_its_words() {
        let engine = Engine::new().await;
        let user = with(engine.sh("true"), |spec| spec.container.user = Some("nosuchuser".into()));
        let outcome = run(&engine.executor, &user).await.outcome;
        assert_eq!(fact(&outcome), (Cause::StartError, Some(125), false), "{}", outcome.message);
        assert!(outcome.message.contains("nosuchuser"), "{}", outcome.message);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn an_unknown_image_is_an_image_pull_failure() {
        let engine = Engine::new().await;
        let nowhere = "localhost:1/nosuch:1";
        let never = job(&engine.identity, nowhere, engine.out.path());
        let ended = run(&engine.executor, &never).await;
        assert_eq!(fact(&ended.outcome), (Cause::ImageAbsent, None, false));
        assert!(ended.outcome.message.contains("pull_policy"), "{}", ended.outcome.message);
        assert_eq!(ended.steps(), []);
        let pulled = with(never, |spec| spec.container.pull_policy = PullPolicy::Missing);
        let ended = run(&engine.executor, &pulled).await;
        assert_eq!(fact(&ended.outcome), (Cause::ImagePull, None, false));
        assert!(ended.outcome.message.contains(nowhere), "{}", ended.outcome.message);
        assert_eq!(ended.steps(), [Step::Pulling]);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn pull_error_unblocks_waiters() {
        let gate = Arc::new(Semaphore::new(0));
        let proxy = Proxy::start(Trick::FailingPull(gate.clone()));
        let cluster = format!("test-{:x}", unique());
        let engine = Engine::of(identity(&cluster, "w1"), &proxy.options()).await;
        let start = |limit| {
            let job = job(&engine.identity, "localhost:1/slow:1", engine.out.path());
            let job = with(job, |spec| {
                spec.container.pull_policy = PullPolicy::Missing;
                spec.limits.pull = limit;
            });
            Live::start(&engine.executor, &job)
        };
        let long = Duration::from_secs(1000);
        let half = Progress::Detail("pulling 50%".into());
        let (mut first, mut second, mut stopped) = (start(long), start(long), start(long));
        for live in [&mut first, &mut second, &mut stopped] {
            live.until(&half).await;
        }
        // One that stops waiting, or runs out of its own time, takes the pull from nobody.
        stopped.wish(Duration::ZERO);
        assert_eq!(stopped.end().await.outcome.cause, Cause::Stopped);
        let impatient = start(Duration::from_millis(10)).end().await.outcome;
        assert_eq!(impatient.cause, Cause::ImagePull);
        assert!(impatient.message.contains("pull_timeout_s"), "{}", impatient.message);
        assert_eq!(proxy.seen.load(Ordering::SeqCst), 1, "one pull for all");
        gate.add_permits(1);
        for ended in [first.end().await, second.end().await] {
            assert_eq!(ended.outcome.cause, Cause::ImageAbsent);
            assert!(ended.outcome.message.contains("manifest unknown"), "{}", ended.outcome.message);
        }
        gate.add_permits(1);
        assert_eq!(start(long).end().await.outcome.cause, Cause::ImageAbsent);
        assert_eq!(proxy.seen.load(Ordering::SeqCst), 2, "a failed pull is not remembered");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn exited_container_not_restarted() {
        let engine = Engine::new().await;
        let mut job = engine.sh("echo x >> /out/runs");
        run(&engine.executor, &job).await;
        job.resume = true;
        let again = run(&engine.executor, &job).await;
        assert_eq!(fact(&again.outcome), (Cause::Exited, Some(0), false));
        assert_eq!(std::fs::read_to_string(engine.out.path().join("runs")).unwrap(), "x\n");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_container_that_was_only_created_is_started_by_a_resume() {
        let engine = Engine::new().await;
        let mut job = engine.sh("echo started");
        let mut args = vec!["create".to_owned(), "--name".into(), name(&job), "--log-driver".into(), "local".into()];
        for (key, value) in [
            ("cluster", engine.identity.cluster.to_string()),
            ("incarnation", "1".into()),
            ("worker", "w1".into()),
            ("task", job.attempt.task.to_string()),
            ("attempt", "1".into()),
        ] {
            args.extend(["--label".into(), format!("cloudai.{key}={value}")]);
        }
        args.extend([IMAGE, "echo", "started"].map(ToOwned::to_owned));
        docker(&args.iter().map(String::as_str).collect::<Vec<_>>());
        job.resume = true;
        let ended = run(&engine.executor, &job).await;
        assert_eq!((ended.outcome.cause, ended.stdout().as_str()), (Cause::Exited, "started\n"));
        assert_eq!(ended.steps(), [Step::Starting, Step::Running]);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn one_that_is_removed_while_it_runs_comes_to_an_end() {
        let engine = Engine::new().await;
        let job = engine.sh("echo up; exec sleep 1000000");
        let mut live = Live::start(&engine.executor, &job);
        live.until_records(1).await;
        engine.executor.remove(job.attempt, job.identity.incarnation).await.unwrap();
        // The engine kills it and then removes it: either may be what is seen first.
        let outcome = live.end().await.outcome;
        assert!([Cause::Vanished, Cause::EngineError].contains(&outcome.cause), "{outcome:?}");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn one_that_somebody_stops_is_not_the_programs_failure() {
        let engine = Engine::new().await;
        for (script, how) in [
            ("trap 'exit 0' TERM; echo up; while true; do sleep 0.02; done", "stop"),
            ("echo up; exec sleep 1000000", "kill"),
        ] {
            let job = engine.sh(script);
            let mut live = Live::start(&engine.executor, &job);
            live.until_records(1).await;
            docker(&[how, &name(&job)]);
            let outcome = live.end().await.outcome;
            assert_eq!(outcome.cause, Cause::EngineError, "{outcome:?}");
            assert!(outcome.message.contains("somebody stopped the container"), "{}", outcome.message);
        }
        let job = engine.sh("trap 'echo reloaded' HUP; echo up; sleep 1000000 & wait; exit 3");
        let mut live = Live::start(&engine.executor, &job);
        live.until_records(1).await;
        docker(&["kill", "--signal", "HUP", &name(&job)]);
        let outcome = live.end().await.outcome;
        assert_eq!(fact(&outcome), (Cause::Exited, Some(3), false), "a signal that ends nothing is no stop");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn two_agents_one_dockerd() {
        let cluster = format!("test-{:x}", unique());
        let options = DockerOptions::from_env();
        let first = Engine::of(identity(&cluster, "w1"), &options).await;
        let second = Engine::of(identity(&cluster, "w2"), &options).await;
        let other = Engine::new().await;
        let (a, b, c) = (first.sh("true"), second.sh("true"), other.sh("true"));
        tokio::join!(run(&first.executor, &a), run(&second.executor, &b), run(&other.executor, &c));
        for (engine, job) in [(&first, &a), (&second, &b), (&other, &c)] {
            assert_eq!(engine.executor.existing().await.unwrap(), [job.key()]);
        }
        second.executor.remove(a.attempt, a.identity.incarnation).await.unwrap();
        assert_eq!(first.executor.existing().await.unwrap(), [a.key()], "another worker's container stays");
    }

    /// A container of somebody else; removed with the test.
    struct Foreign(String);

    impl Foreign {
        fn named(name: &str) -> Self {
            Self(docker(&["run", "--detach", "--network", "none", "--name", name, IMAGE, "sleep", "1000000"]))
        }

        fn running(&self) -> bool {
            docker(&["inspect", "--format", "{{.State.Running}}", &self.0]) == "true"
        }
    }

    impl Drop for Foreign {
        fn drop(&mut self) {
            let _ = std::process::Command::new("docker").args(["rm", "--force", &self.0]).output();
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_foreign_container_of_the_same_name_is_nobodys_failure_and_stays() {
        let engine = Engine::new().await;
        let mut job = engine.sh("echo ran");
        let foreign = Foreign::named(&name(&job));
        for resume in [false, true] {
            job.resume = resume;
            let outcome = run(&engine.executor, &job).await.outcome;
            assert_eq!(fact(&outcome), (Cause::EngineError, None, false), "{}", outcome.message);
            assert!(outcome.message.contains(&name(&job)), "{}", outcome.message);
        }
        engine.executor.remove(job.attempt, job.identity.incarnation).await.unwrap();
        assert!(foreign.running(), "the foreign container is left alone");
        (job.attempt.number, job.resume) = (2, false);
        assert_eq!(run(&engine.executor, &job).await.stdout(), "ran\n", "the next attempt has another name");
    }

    /// What a script printed, line by line.
    fn words(ended: &Ended) -> Vec<String> {
        assert_eq!(ended.outcome.exit_code, Some(0), "{} {}", ended.outcome.message, ended.stderr());
        ended.stdout().lines().map(ToOwned::to_owned).collect()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn limits_are_really_set() {
        let engine = Engine::new().await;
        let mut job = engine.sh("echo up; exec sleep 1000000");
        job.allocation.cpu_milli = 500;
        let mut live = Live::start(&engine.executor, &job);
        live.until_records(1).await;
        let label = format!("label=cloudai.task={}", job.attempt.task);
        let id = docker(&["ps", "--no-trunc", "--quiet", "--filter", &label]);
        let format = "{{.HostConfig.NanoCpus}} {{.HostConfig.Memory}} {{.HostConfig.MemorySwap}} {{.HostConfig.PidsLimit}} \
                      {{.HostConfig.LogConfig.Type}} {{.HostConfig.AutoRemove}} {{.HostConfig.Privileged}} {{.HostConfig.Init}}";
        let told = docker(&["inspect", "--format", format, &id]);
        let memory = 64 * MIB;
        assert_eq!(told, format!("500000000 {memory} {memory} 4096 local false false true"));
        let read = |v2: &str, v1: &str| {
            let script = format!("cat /sys/fs/cgroup/{v2} 2>/dev/null || cat /sys/fs/cgroup/{v1}");
            docker(&["exec", &id, "sh", "-c", &script])
        };
        let quota = read("cpu.max", "cpu/cpu.cfs_quota_us");
        assert!(["50000", "50000 100000"].contains(&quota.as_str()), "{quota}");
        assert_eq!(read("memory.max", "memory/memory.limit_in_bytes"), memory.to_string());
        assert_eq!(read("pids.max", "pids/pids.max"), "4096");
        live.wish(Duration::ZERO);
        live.end().await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn hardening_is_on() {
        let engine = Engine::new().await;
        let script = "grep -E '^(CapEff|CapBnd|NoNewPrivs)' /proc/self/status | tr -d '\\t'; ls /sys/class/net; \
                      touch /x 2>/dev/null || echo read-only; echo ok > /tmp/f && cat /tmp/f";
        let root = with(engine.sh(script), |spec| spec.container.read_only_root = true);
        // CHOWN 0, DAC_OVERRIDE 1, FOWNER 3, KILL 5, SETGID 6, SETUID 7, NET_BIND_SERVICE 10
        let mask = "00000000000004eb";
        let expected = [&format!("CapEff:{mask}"), &format!("CapBnd:{mask}"), "NoNewPrivs:1", "lo", "read-only", "ok"];
        let mut found = words(&run(&engine.executor, &root).await);
        found.sort_unstable();
        let mut sorted = expected.map(ToOwned::to_owned);
        sorted.sort_unstable();
        assert_eq!(found, sorted);
        let nobody = with(engine.sh("grep CapEff /proc/self/status"), |spec| {
            spec.container.user = Some("65534:65534".into());
        });
        assert_eq!(words(&run(&engine.executor, &nobody).await), ["CapEff:\t0000000000000000"]);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_container_knows_who_it_is() {
        let engine = Engine::new().await;
        let mut job = engine.sh("env | grep -E '^(CLOUDAI|NVIDIA|CUDA|MINE)' | sort");
        job.attempt.task = job.attempt.task.element(7);
        job.attempt.number = 2;
        job.job = Some("job-01JD000000000000007K3M9QZD".parse().unwrap());
        job.allocation.gpus = vec![("3".into(), 1000)];
        let job = with(job, |spec| drop(spec.container.env.insert("MINE".into(), "a=b c".into())));
        let expected = [
            "CLOUDAI_ARRAY_INDEX=7".to_owned(),
            "CLOUDAI_ATTEMPT=2".into(),
            "CLOUDAI_JOB_ID=job-01JD000000000000007K3M9QZD".into(),
            "CLOUDAI_OUTPUT_DIR=/out".into(),
            format!("CLOUDAI_TASK_ID={}", job.attempt.task),
            "CLOUDAI_WORKER_ID=w1".into(),
            "CUDA_VISIBLE_DEVICES=3".into(),
            "MINE=a=b c".into(),
            "NVIDIA_VISIBLE_DEVICES=3".into(),
        ];
        assert_eq!(words(&run(&engine.executor, &job).await), expected);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn any_user_can_leave_its_results() {
        let engine = Engine::new().await;
        let script = "cd /out; mkdir -p a/b; echo 1 > a/b/one; echo two > 2; ln -s /etc/passwd link";
        let job = with(engine.sh(script), |spec| spec.container.user = Some("12345:54321".into()));
        words(&run(&engine.executor, &job).await);
        let found = collect(engine.out.path(), Limits::of_storage(MIB), Arc::new(Outputs::of(None))).await.unwrap();
        let paths: Vec<_> = found.files.iter().map(|file| (file.path.as_str(), file.size)).collect();
        assert_eq!(paths, [("2", 4), ("a/b/one", 2)]);
        assert_eq!(found.notes, ["link was left out: it is a link"]);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_an_ended_container_left_in_its_file_system_is_given_as_an_archive() {
        let engine = Engine::new().await;
        let job =
            engine.sh("mkdir -p /data/run/b; head -c 3000000 /dev/zero > /data/run/b/zeros; echo 1 > /data/run/a");
        words(&run(&engine.executor, &job).await);
        let archive =
            async |path: &str| engine.executor.archive(job.attempt, job.identity.incarnation, path).await.unwrap();
        for (path, expected) in [
            ("/data/run", &[("run/", 0), ("run/a", 2), ("run/b/", 0), ("run/b/zeros", 3_000_000)][..]),
            ("/data/run/a", &[("a", 2)][..]),
        ] {
            let mut bytes = Vec::new();
            archive(path).await.unwrap().read_to_end(&mut bytes).await.unwrap();
            let mut found: Vec<(String, u64)> = Vec::new();
            for entry in tar::Archive::new(bytes.as_slice()).entries().unwrap() {
                let entry = entry.unwrap();
                found.push((entry.path().unwrap().to_string_lossy().into_owned(), entry.size()));
            }
            found.sort();
            let found: Vec<_> = found.iter().map(|(path, size)| (path.as_str(), *size)).collect();
            assert_eq!(found, expected);
        }
        assert!(archive("/nosuch").await.is_none());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn nobody_who_reads_is_no_reason_not_to_end() {
        let engine = Engine::new().await;
        let job = engine.sh("seq 1 100000; exit 4");
        let (steps, mut told) = tokio::sync::mpsc::channel(8);
        let (logs, records) = tokio::sync::mpsc::channel(1);
        let (_stop, stop) = tokio::sync::watch::channel(None);
        let steps = cloudai_worker::executor::Teller::new(job.attempt, steps);
        let io = cloudai_worker::executor::JobIo { steps, logs, stop };
        drop(records);
        let outcome = engine.executor.run(&job, io).await;
        assert_eq!(fact(&outcome), (Cause::Exited, Some(4), false));
        assert!(!outcome.log.complete);
        assert_eq!(told.recv().await, Some((job.attempt, Progress::Step(Step::Starting))));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn line_ends_are_kept_and_an_unfinished_last_line_stays_so() {
        let engine = Engine::new().await;
        let ended = engine.run_sh("printf 'a\\r\\n\\nb'").await;
        let data: Vec<_> = ended.records.iter().map(|record| record.data.clone()).collect();
        assert_eq!(data, ["a\r\n", "\n", "b"].map(|text| Bytes::from_static(text.as_bytes())));
    }
}
