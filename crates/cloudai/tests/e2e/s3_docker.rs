//! Real containers whose inputs and outputs are in a bucket.

mod docker {
    use crate::cluster::{Plan, docker_worker};
    use crate::inputs_docker::docker::split_map_and_reduce;
    use crate::path_docker::sh;
    use crate::s3::variables;
    use crate::s3_server::S3Server;

    #[tokio::test]
    async fn split_map_and_reduce_by_the_command_line_alone_in_a_bucket() {
        let server = S3Server::start();
        let cluster = Plan::new().variables(&variables(&server)).worker(docker_worker("w1")).start().await;
        split_map_and_reduce(&cluster).await;
        assert!(server.contents().len() > 7, "{:?}", server.contents());
    }

    /// SIGKILL for the master while it sends what a task left to the bucket.
    #[tokio::test]
    async fn a_large_output_is_whole_though_the_master_dies_while_it_goes_to_the_bucket() {
        let server = S3Server::start();
        let mut cluster = Plan::new().variables(&variables(&server)).worker(docker_worker("w1")).start().await;
        server.hold("PUT", "partNumber=2");
        let mut task = sh("head -c 50000000 /dev/urandom > /out/big; sha256sum /out/big | cut -d' ' -f1");
        task["storage_gb"] = serde_json::json!(1);
        task["cpu_cores"] = serde_json::json!(1);
        let id = cluster.rest.submit(task).await;
        server.held().await;
        cluster.kill_master();
        server.release();
        cluster.restart_master().await;
        cluster.rest.completed(&id).await;
        let hash = cluster.rest.log(&id, "").await;
        assert_eq!(server.contents(), [hash.trim()]);
        assert_eq!(cluster.run(&["task", "download", &id, "got"]).await.code, 0, "a download checks the hash");
    }
}
