//! `cloudai bench docker`: which engine it measures, and what it leaves there.

use crate::bench::{folders, processes, started};
use crate::engine::{IMAGE, docker, need};
use crate::process::{Ran, run, until};
use rustix::process::Signal;
use tempfile::TempDir;

/// Measures little with these words of the command line, in an environment `NAME=value ...`.
async fn bench(variables: &str, words: &str) -> Ran {
    let dir = TempDir::new().unwrap();
    let pairs = variables.split_whitespace().filter_map(|pair| pair.split_once('='));
    let variables: Vec<_> = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let line = format!("bench docker --tasks 1 --rounds 1 --runs 1 {words}");
    run(dir.path(), &variables, &line.split_whitespace().collect::<Vec<_>>()).await
}

#[tokio::test]
async fn the_engine_that_is_measured_is_found_as_a_worker_finds_it() {
    need();
    let rows = [
        ("CLOUDAI_ENGINE=unix:///nope", "", "unix:///nope"),
        ("CLOUDAI_ENGINE=unix:///nope DOCKER_HOST=unix:///other", "", "unix:///nope"),
        ("CLOUDAI_ENGINE=unix:///nope", "--engine unix:///flag", "unix:///flag"),
        ("CLOUDAI_ENGINE=nope", "", "CLOUDAI_ENGINE is \"nope\""),
    ];
    for (variables, words, said) in rows {
        let ran = bench(variables, words).await;
        assert!(ran.code != 0 && ran.err.contains(said), "{}", ran.err);
    }
}

#[tokio::test]
async fn an_image_that_is_not_there_is_told() {
    need();
    let ran = bench("", "--image bench.example/not-there:1").await;
    assert!(ran.code == 1 && ran.err.contains("bench.example/not-there:1"), "{}", ran.err);
    assert!(ran.err.contains("next: "), "{}", ran.err);
}

#[tokio::test]
async fn a_benchmark_that_is_stopped_leaves_no_container() {
    need();
    // A name of its own tells its containers from those of other tests.
    let image = format!("cloudai-bench-stopped:{}", std::process::id());
    docker(&["tag", IMAGE, &image]);
    let ours = || docker(&["ps", "--all", "--format", "{{.Image}}"]).lines().filter(|name| *name == image).count();
    let dir = TempDir::new().unwrap();
    // The first bare containers come after the first tasks: wherever it is, it leaves nothing.
    for signal in [Signal::INT, Signal::TERM] {
        let mut bench = started(dir.path(), &["docker", "--image", &image], 2).await;
        until("a container is there", async || (ours() > 0).then_some(())).await;
        bench.signal(signal);
        assert!(bench.ended().await > 128, "{}", bench.err());
        assert_eq!((processes(dir.path()), folders(dir.path())), (0, vec![]));
        assert_eq!(ours(), 0);
    }
    docker(&["rmi", &image]);
}
