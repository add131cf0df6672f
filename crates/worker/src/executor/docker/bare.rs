//! The least that any program has to ask of an engine for one container: what our own way is
//! measured by.

use super::create::{Rights, body};
use super::{DockerExecutor, Fault};
use crate::executor::{EngineError, Job};
use bollard::query_parameters::{
    CreateContainerOptions, RemoveContainerOptionsBuilder, StartContainerOptions, WaitContainerOptions,
};
use futures::StreamExt;

impl DockerExecutor {
    /// Creates, starts, awaits and removes a container with the very body that an attempt gets, and
    /// asks nothing else: no name, no log, no look at how it ended.
    /// # Errors
    /// The first call that failed; the container may be left.
    pub async fn bare(&self, job: &Job) -> Result<(), EngineError> {
        let docker = &self.engine.docker;
        tokio::fs::create_dir_all(&job.out_dir).await.map_err(|error| EngineError::Failed(error.to_string()))?;
        let host = self.engine.host().await?;
        let made = docker.create_container(None::<CreateContainerOptions>, body(job, host, Rights::Few)).await;
        let id = made.map_err(Fault::from)?.id;
        docker.start_container(&id, None::<StartContainerOptions>).await.map_err(Fault::from)?;
        // An exit code that is not 0 comes as an error; it ended either way.
        let _ = docker.wait_container(&id, None::<WaitContainerOptions>).next().await;
        let options = RemoveContainerOptionsBuilder::new().v(true).build();
        Ok(docker.remove_container(&id, Some(options)).await.map_err(Fault::from)?)
    }
}
