//! Images of a real registry that wants a password, pulled with stored credentials.

mod docker {
    use crate::cluster::{Cluster, docker_worker};
    use crate::registry::{PASSWORD, Registry, USER, limiting};
    use serde_json::{Value, json};
    use std::process::Command;

    /// An image that the engine must not keep after its test.
    struct Pulled(String);

    impl Drop for Pulled {
        fn drop(&mut self) {
            // It is not there when its test failed before the pull.
            let _ = Command::new("docker").args(["image", "rm", "--force", &self.0]).output();
        }
    }

    async fn login(cluster: &Cluster, host: &str, password: &str, more: &[&str]) {
        let words = [&["registry", "login", host, "--username", USER][..], more].concat();
        let kept = cluster.run_with(&words, password).await;
        assert_eq!(kept.code, 0, "{kept:?}");
    }

    /// How a task with this image ends that is tried once.
    async fn ended(cluster: &Cluster, image: &str) -> Value {
        let document = json!({"image": image, "pull_policy": "always", "command": ["true"], "retries": {"max": 0, "on": ["image_pull"]}});
        let id = cluster.rest.submit(document).await;
        let task = cluster.rest.ended(&id).await;
        assert!(!task.to_string().contains(PASSWORD), "{task:#}");
        task
    }

    fn message(task: &Value) -> &str {
        assert_eq!(task["status"], "failed", "{task:#}");
        task["message"].as_str().unwrap()
    }

    #[tokio::test]
    async fn a_private_image_is_pulled_with_the_owners_login_which_goes_before_the_clusters() {
        let registry = Registry::start();
        let image = Pulled(registry.offer("stored:1"));
        let cluster = Cluster::of(docker_worker("w1")).await;
        let none = ended(&cluster, &image.0).await;
        let said = message(&none);
        for part in ["none are stored for you or the cluster", &format!("cloudai registry login {}", registry.host)] {
            assert!(said.contains(part), "{part}: {said}");
        }
        login(&cluster, &registry.host, PASSWORD, &["--cluster"]).await;
        let task = ended(&cluster, &image.0).await;
        assert_eq!(task["status"], "completed", "{task:#}");
        // The owner's own are taken, right or wrong, and the message says whose they are.
        login(&cluster, &registry.host, "wrong", &[]).await;
        let refused = ended(&cluster, &image.0).await;
        assert!(message(&refused).contains("the credentials stored for you (`cloudai registry login"), "{refused:#}");
        login(&cluster, &registry.host, PASSWORD, &[]).await;
        login(&cluster, &registry.host, "wrong", &["--cluster"]).await;
        let task = ended(&cluster, &image.0).await;
        assert_eq!(task["status"], "completed", "{task:#}");
        assert_eq!(cluster.run(&["registry", "logout", &registry.host]).await.code, 0);
        let refused = ended(&cluster, &image.0).await;
        assert!(message(&refused).contains("the credentials stored for the cluster"), "{refused:#}");
    }

    #[tokio::test]
    async fn a_name_that_is_not_there_and_a_registry_that_limits_pulls_are_told_apart() {
        let registry = Registry::start();
        let cluster = Cluster::of(docker_worker("w1")).await;
        login(&cluster, &registry.host, PASSWORD, &[]).await;
        let absent = ended(&cluster, &format!("{}/private:nosuch", registry.host)).await;
        assert!(message(&absent).contains(&format!("{} does not have it", registry.host)), "{absent:#}");
        let limited = ended(&cluster, &format!("{}/any:1", limiting().await)).await;
        let said = message(&limited);
        assert!(
            said.contains("limits how often images are pulled") && said.contains("a login raises the limit"),
            "{said}"
        );
    }
}
