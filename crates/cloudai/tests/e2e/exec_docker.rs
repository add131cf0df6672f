//! Programs beside real containers, also on real terminals.

mod docker {
    use crate::cluster::{Cluster, docker_worker};
    use crate::engine::{container_of, docker};
    use crate::path_docker::sh;
    use crate::process::{Process, until};
    use sha2::{Digest, Sha256};
    use std::fmt::Write as _;
    use std::fs::File;
    use std::io::Write as _;
    use std::process::Command;

    async fn running(cluster: &Cluster) -> String {
        let id = cluster.rest.submit(sh("sleep 1000")).await;
        cluster.rest.running(&id).await;
        id
    }

    /// A script of this machine on a terminal of its own.
    struct Terminal {
        process: Process,
        /// What is typed there.
        keys: File,
    }

    impl Terminal {
        fn open(cluster: &Cluster, script: &str) -> Self {
            let (dir, path) = (cluster.dir(), std::env::var("PATH").unwrap());
            let fifo = dir.join("keys");
            if !fifo.exists() {
                assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
            }
            let keys = File::options().read(true).write(true).open(fifo).unwrap();
            let script = script.replace("cloudai ", &format!("{} ", env!("CARGO_BIN_EXE_cloudai")));
            let script = format!("tty > tty; stty rows 33 cols 77; {script}");
            let typed = format!("exec script -qec {} /dev/null < keys", quoted(&script));
            let variables = [
                ("CLOUDAI_ADDR".to_owned(), format!("http://{}", cluster.http())),
                ("PATH".into(), path),
                ("TERM".into(), "xterm".into()),
                ("SHELL".into(), "/bin/sh".into()),
            ];
            let process = Process::start_other(dir, "terminal", &variables, &["sh".into(), "-c".into(), typed]);
            Self { process, keys }
        }

        fn press(&mut self, keys: &str) {
            self.keys.write_all(keys.as_bytes()).unwrap();
        }

        async fn shows(&self, text: &str) {
            let what = format!("the terminal shows {text}");
            until(&what, async || self.process.out().contains(text).then_some(())).await;
        }
    }

    fn quoted(text: &str) -> String {
        format!("'{}'", text.replace('\'', "'\\''"))
    }

    #[tokio::test]
    async fn a_terminal_has_its_size_from_the_start_and_after_each_change_and_is_as_it_was_in_the_end() {
        let cluster = Cluster::of(docker_worker("w1")).await;
        let id = running(&cluster).await;
        // An engine before API 1.42 gives the size a moment after the start.
        let program = "while [ \"$(stty size)\" != \"33 77\" ]; do sleep 0.02; done; trap \"stty size; exit 7\" WINCH; \
                       echo ready $TERM; while :; do sleep 0.05; done";
        let script = format!(
            "stty -g > before; cloudai task exec {id} -- sh -c {}; echo $? > code; stty -g > after",
            quoted(program)
        );
        let mut terminal = Terminal::open(&cluster, &script);
        terminal.shows("ready xterm").await;
        let tty = std::fs::read_to_string(cluster.dir().join("tty")).unwrap();
        let resized = Command::new("stty").args(["-F", tty.trim(), "rows", "40", "cols", "100"]).status().unwrap();
        assert!(resized.success());
        terminal.shows("40 100").await;
        terminal.process.ended().await;
        let told = |name: &str| std::fs::read_to_string(cluster.dir().join(name)).unwrap();
        assert_eq!(told("code").trim(), "7", "{}", terminal.process.out());
        assert_eq!(told("before"), told("after"));
    }

    #[tokio::test]
    async fn what_is_typed_reaches_the_program_ctrl_c_as_well() {
        let cluster = Cluster::of(docker_worker("w1")).await;
        let id = running(&cluster).await;
        let program = "trap \"echo caught; exit 5\" INT; echo ready; while :; do sleep 0.05; done";
        let script = format!("cloudai task exec {id} -- sh -c {}; echo $? > code", quoted(program));
        let mut terminal = Terminal::open(&cluster, &script);
        terminal.shows("ready").await;
        terminal.press("\u{3}");
        terminal.shows("caught").await;
        terminal.process.ended().await;
        assert_eq!(
            std::fs::read_to_string(cluster.dir().join("code")).unwrap().trim(),
            "5",
            "{}",
            terminal.process.out()
        );
        // A shell, with what is typed there.
        let script = format!("stty -g > before; cloudai task exec {id}; echo $? > code; stty -g > after");
        let mut terminal = Terminal::open(&cluster, &script);
        terminal.press("echo sum $((40 + 2))\r");
        terminal.shows("sum 42").await;
        terminal.press("exit 9\r");
        terminal.process.ended().await;
        let told = |name: &str| std::fs::read_to_string(cluster.dir().join(name)).unwrap();
        assert_eq!((told("code").trim(), told("before")), ("9", told("after")), "{}", terminal.process.out());
    }

    #[tokio::test]
    async fn codes_streams_users_and_missing_programs_are_as_of_an_engine() {
        let cluster = Cluster::of(docker_worker("w1")).await;
        let id = running(&cluster).await;
        let rows: &[(&[&str], i32, &str, &str)] = &[
            (&["task", "exec", &id, "--", "sh", "-c", "echo out; echo err >&2; exit 7"], 7, "out\n", "err\n"),
            (
                &["task", "exec", "-w", "/tmp", "-e", "A=b c", &id, "--", "sh", "-c", "pwd; echo $A"],
                0,
                "/tmp\nb c\n",
                "",
            ),
            (&["task", "exec", "-u", "1234:99", &id, "--", "sh", "-c", "id -u; id -g"], 0, "1234\n99\n", ""),
            (&["task", "exec", &id, "--", "sh", "-c", "kill -9 $$"], 137, "", ""),
            (&["task", "exec", &id, "--", "nosuch"], 127, "", "executable file not found"),
            (&["task", "exec", &id, "--", "/etc"], 126, "", "permission denied"),
            (&["task", "exec", "-u", "nosuch", &id, "--", "true"], 126, "", "unable to find user nosuch"),
            (&["task", "exec", "-w", "/nosuch", &id, "--", "true"], 126, "", "no such file or directory"),
            (&["task", "exec", &id, "--", "true"], 0, "", ""),
        ];
        for (words, code, out, err) in rows {
            let ran = cluster.run(words).await;
            assert!(ran.code == *code && ran.out == *out && ran.err.contains(err), "{words:?}: {ran:?}");
            assert_eq!(ran.err.is_empty(), err.is_empty(), "{words:?}: {ran:?}");
        }
        let shell = cluster.run_with(&["task", "exec", "-i", &id], "echo $((6 * 7)); exit 3\n").await;
        assert_eq!((shell.code, shell.out.as_str()), (3, "42\n"), "{shell:?}");
    }

    #[tokio::test]
    async fn a_hundred_megabytes_are_complete_and_in_order_both_ways() {
        const BYTES: usize = 100_000_000;
        let cluster = Cluster::of(docker_worker("w1")).await;
        let id = running(&cluster).await;
        let mut numbers = String::with_capacity(BYTES + 16);
        for number in 1.. {
            if numbers.len() >= BYTES {
                break;
            }
            writeln!(numbers, "{number}").unwrap();
        }
        numbers.truncate(BYTES);
        let expected = hex::encode(Sha256::digest(&numbers));
        let print = format!("seq 1 100000000 | head -c {BYTES}");
        let printed = cluster.run(&["task", "exec", &id, "--", "sh", "-c", &print]).await;
        assert_eq!((printed.code, printed.bytes.len()), (0, BYTES), "{}", printed.err);
        assert_eq!(hex::encode(Sha256::digest(&printed.bytes)), expected);
        let summed = cluster.run_with(&["task", "exec", "-i", &id, "--", "sha256sum"], numbers).await;
        assert_eq!((summed.code, summed.out.split(' ').next()), (0, Some(expected.as_str())), "{}", summed.err);
    }

    #[tokio::test]
    async fn what_a_user_began_ends_when_he_goes_and_when_the_task_ends() {
        let cluster = Cluster::of(docker_worker("w1")).await;
        let id = running(&cluster).await;
        let container = container_of(&id);
        let runs = |what: &str| docker(&["top", &container]).contains(what);
        // It ignores the hang-up, and so do those that it began.
        let stubborn = "trap '' HUP; sleep 4241 & sleep 4242";
        let mut process = cluster.begin(&["task", "exec", &id, "--", "sh", "-c", stubborn]);
        until("it runs", async || (runs("sleep 4241") && runs("sleep 4242")).then_some(())).await;
        process.kill();
        until("nothing of it is left", async || (!runs("sleep 424")).then_some(())).await;
        assert!(runs("sleep 1000"), "the task goes on");
        let mut process = cluster.begin(&["task", "exec", &id, "--", "sleep", "4243"]);
        until("it runs", async || runs("sleep 4243").then_some(())).await;
        cluster.run(&["task", "cancel", &id]).await;
        assert_eq!(process.ended().await, 7, "{}", process.err());
        assert!(process.err().contains("ended, and with it what ran in it"), "{}", process.err());
    }
}
