//! Pulls from a registry that wants a password, with the credentials of this host's Docker configuration.

#![allow(clippy::unwrap_used)] // helpers of tests, too

mod support;

mod docker {
    use crate::support::registry::{PASSWORD, Registry, USER, limiting};
    use crate::support::{Engine, docker, identity, job, run, unique, with};
    use async_trait::async_trait;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use cloudai_core::spec::PullPolicy;
    use cloudai_core::task::{Cause, Outcome};
    use cloudai_worker::executor::docker::{DockerOptions, Logins};
    use cloudai_worker::executor::login::{ImageLogins, Password, StoredLogin};
    use serde_json::{Value, json};
    use std::path::Path;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;
    use tokio::time::timeout;

    /// Logins of a folder with this `config.json`; helpers are looked for beside it.
    fn logins(dir: &Path, config: &Value) -> Logins {
        std::fs::write(dir.join("config.json"), config.to_string()).unwrap();
        let path = format!("{}:/usr/bin:/bin", dir.display());
        Logins { dir: Some(dir.to_owned()), path: Some(path.into()) }
    }

    fn auths(host: &str, password: &str) -> Value {
        json!({"auths": {host: {"auth": STANDARD.encode(format!("{USER}:{password}"))}}})
    }

    /// How a task ends whose image must be pulled with these logins.
    async fn pulled(image: &str, logins: Logins) -> Outcome {
        let cluster = format!("test-{:x}", unique());
        let options = DockerOptions { logins, ..DockerOptions::from_env() };
        let engine = Engine::of(identity(&cluster, "w1"), &options).await;
        let job = with(job(&engine.identity, image, engine.out.path()), |spec| {
            spec.container.command = vec!["true".into()];
            spec.container.pull_policy = PullPolicy::Always;
        });
        run(&engine.executor, &job).await.outcome
    }

    async fn denied(image: &str, logins: Logins) -> String {
        let outcome = pulled(image, logins).await;
        // A registry that gives nothing to this worker for now is reached by others, perhaps.
        let limited = outcome.message.contains("limits how often");
        let cause = if limited { Cause::ImagePull } else { Cause::ImageAbsent };
        assert_eq!(outcome.cause, cause, "{}", outcome.message);
        assert!(!outcome.message.contains(PASSWORD), "{}", outcome.message);
        outcome.message
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_private_image_is_pulled_with_the_hosts_login() {
        let registry = Registry::start();
        let dir = tempfile::tempdir().unwrap();
        let outcome = pulled(&registry.image, logins(dir.path(), &auths(&registry.host, PASSWORD))).await;
        assert_eq!((outcome.cause, outcome.exit_code), (Cause::Exited, Some(0)), "{}", outcome.message);
        assert!(outcome.used.pulled.is_some(), "how long that took is told");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_private_image_is_pulled_with_a_helpers_login() {
        let registry = Registry::start();
        let dir = tempfile::tempdir().unwrap();
        let answer = json!({"ServerURL": registry.host, "Username": USER, "Secret": PASSWORD});
        let script = format!("[ \"$1 $(cat)\" = \"get {}\" ] && echo '{answer}'", registry.host);
        crate::support::registry::program(&dir.path().join("docker-credential-test"), &script);
        let config = json!({"auths": {}, "credHelpers": {registry.host.as_str(): "test"}});
        let outcome = pulled(&registry.image, logins(dir.path(), &config)).await;
        assert_eq!((outcome.cause, outcome.exit_code), (Cause::Exited, Some(0)), "{}", outcome.message);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_refused_pull_says_which_credentials_were_tried_and_what_to_run() {
        let registry = Registry::start();
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config.json").display().to_string();
        let login = format!("docker login {}", registry.host);
        let wrong = format!("{PASSWORD}x");
        let helper = json!({"credsStore": "absent"});
        let rows = [
            (auths(&registry.host, &wrong), format!("the credentials in {file} were refused")),
            (json!({}), format!("{file} has no credentials for it")),
            (helper, "docker-credential-absent is not installed".into()),
        ];
        for (config, said) in rows {
            let message = denied(&registry.image, logins(dir.path(), &config)).await;
            for words in [&registry.image, &login, &said] {
                assert!(message.contains(words.as_str()), "{words}: {message}");
            }
        }
        let message = denied(&registry.image, Logins::default()).await;
        assert!(message.contains("neither DOCKER_CONFIG nor HOME is set"), "{message}");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn an_image_that_is_not_there_is_told_from_one_that_is_denied() {
        let registry = Registry::start();
        let dir = tempfile::tempdir().unwrap();
        let image = format!("{}/private:nosuch", registry.host);
        let message = denied(&image, logins(dir.path(), &auths(&registry.host, PASSWORD))).await;
        assert!(message.contains("check its name and tag"), "{message}");
        assert!(!message.contains("docker login"), "{message}");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_registry_that_limits_pulls_is_told_as_that() {
        let image = format!("{}/any:1", limiting().await);
        let message = denied(&image, Logins::default()).await;
        assert!(message.contains("limits how often images are pulled"), "{message}");
    }

    /// What is stored, and how often it was asked for.
    #[derive(Debug)]
    struct Stored {
        host: String,
        asked: AtomicU32,
    }

    #[async_trait]
    impl ImageLogins for Stored {
        async fn of_image(&self) -> Result<Option<StoredLogin>, String> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            let password = Password(PASSWORD.into());
            Ok(Some(StoredLogin { host: self.host.clone(), username: USER.into(), password, of_cluster: false }))
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_is_stored_goes_before_the_hosts_login_and_is_asked_for_only_when_an_image_is_pulled() {
        let registry = Registry::start();
        let dir = tempfile::tempdir().unwrap();
        let logins = logins(dir.path(), &auths(&registry.host, "wrong"));
        let options = DockerOptions { logins, ..DockerOptions::from_env() };
        let engine = Engine::of(identity(&format!("test-{:x}", unique()), "w1"), &options).await;
        let stored = Arc::new(Stored { host: registry.host.clone(), asked: AtomicU32::new(0) });
        for (policy, asked) in [(PullPolicy::Always, 1), (PullPolicy::Missing, 1), (PullPolicy::Never, 1)] {
            let mut job = with(job(&engine.identity, &registry.image, engine.out.path()), |spec| {
                spec.container.command = vec!["true".into()];
                spec.container.pull_policy = policy;
            });
            job.logins = stored.clone();
            let outcome = run(&engine.executor, &job).await.outcome;
            assert_eq!((outcome.cause, outcome.exit_code), (Cause::Exited, Some(0)), "{}", outcome.message);
            assert_eq!(stored.asked.load(Ordering::Relaxed), asked, "{policy:?}");
        }
    }

    /// Whether the engine has an image.
    fn is_here(image: &str) -> bool {
        std::process::Command::new("docker").args(["image", "inspect", image]).output().unwrap().status.success()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn only_images_that_were_pulled_and_that_nothing_uses_are_removed_the_oldest_first() {
        let registry = Registry::start();
        let dir = tempfile::tempdir().unwrap();
        let [first, second, named, there] =
            ["first:1", "second:1", "named:1", "there:1"].map(|name| registry.offer(name));
        let cluster = format!("test-{:x}", unique());
        let logins = logins(dir.path(), &auths(&registry.host, PASSWORD));
        let options =
            DockerOptions { logins, images: Some(dir.path().join("images.json")), ..DockerOptions::from_env() };
        let engine = Engine::of(identity(&cluster, "w1"), &options).await;
        // Somebody has this one already: it is pulled again, and stays his.
        let login = ["--config", dir.path().to_str().unwrap(), "pull", "--quiet", &there];
        docker(&login);
        let mut jobs = Vec::new();
        for image in [&first, &second, &named, &there] {
            let job = with(job(&engine.identity, image, engine.out.path()), |spec| {
                spec.container.command = vec!["true".into()];
                spec.container.pull_policy = PullPolicy::Missing;
                if *image == there {
                    spec.container.pull_policy = PullPolicy::Always;
                }
            });
            let outcome = run(&engine.executor, &job).await.outcome;
            assert_eq!((outcome.cause, outcome.exit_code), (Cause::Exited, Some(0)), "{}", outcome.message);
            jobs.push(job);
        }
        let listed = engine.executor.images().await.unwrap();
        assert_eq!(
            listed[..4],
            [&there, &named, &second, &first].map(String::as_str),
            "the one that was used last is first"
        );
        let unused = async || engine.executor.remove_unused_image().await.unwrap();
        assert_eq!(unused().await, None, "each has a container, though it has ended");
        for job in &jobs {
            engine.executor.remove(job.attempt, job.identity.incarnation).await.unwrap();
        }
        // Somebody gave this one a name of his own, and took ours away.
        let his = format!("{}/his:1", registry.host);
        docker(&["tag", &named, &his]);
        docker(&["image", "rm", &named]);
        // A worker that starts again knows what it pulled.
        let again = Engine::of(identity(&cluster, "w1"), &options).await;
        let removed = async || again.executor.remove_unused_image().await.unwrap();
        assert_eq!(removed().await.as_ref(), Some(&first));
        assert_eq!(removed().await.as_ref(), Some(&second));
        assert_eq!(removed().await, None);
        let moved = async || timeout(Duration::from_secs(1), again.executor.images_moved()).await.is_ok();
        assert!(moved().await && !moved().await, "what it removed is told");
        let left = again.executor.images().await.unwrap();
        assert_eq!([&first, &second, &his, &there].map(|image| left.contains(image)), [false, false, true, true]);
        assert_eq!([&first, &second, &his, &there].map(|image| is_here(image)), [false, false, true, true]);
        docker(&["image", "rm", &his, &there]);
    }
}
