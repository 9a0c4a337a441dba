//! Running commands inside containers.
//!
//! The engine has no way to end such a command: one that takes too long is given up on, and goes on until it ends or its
//! container does.

use std::time::Duration;

use bollard::exec::{CreateExecOptions, StartExecOptions, StartExecResults};
use futures_util::TryStreamExt;

use super::super::{EngineError, Executed};
use super::DockerEngine;

/// How much of a command's output is kept: its end, which is where errors are.
const OUTPUT_BYTES_MAX: usize = 4 * 1024;

impl DockerEngine {
    pub(super) async fn execute(
        &self,
        container: &str,
        argv: &[String],
        timeout: Duration,
    ) -> Result<Executed, EngineError> {
        let action = format!("run `{}` in container `{container}`", argv.join(" "));
        let (code, output) =
            self.execute_keeping(container, argv, timeout, &action, OUTPUT_BYTES_MAX).await?;
        Ok(Executed { code, output: String::from_utf8_lossy(&output).into_owned() })
    }

    /// The exit code and the last `bytes_max` of what the command wrote.
    pub(super) async fn execute_keeping(
        &self,
        container: &str,
        argv: &[String],
        timeout: Duration,
        action: &str,
        bytes_max: usize,
    ) -> Result<(i64, Vec<u8>), EngineError> {
        let run = self.run_to_end(container, argv, action, bytes_max);
        tokio::time::timeout(timeout, run).await.unwrap_or_else(|_| {
            Err(EngineError::Refused {
                action: action.to_owned(),
                message: format!("it took longer than {timeout:?}"),
            })
        })
    }

    async fn run_to_end(
        &self,
        container: &str,
        argv: &[String],
        action: &str,
        bytes_max: usize,
    ) -> Result<(i64, Vec<u8>), EngineError> {
        let what = format!("container `{container}`");
        let options = CreateExecOptions {
            cmd: Some(argv.to_vec()),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            ..Default::default()
        };
        let exec = self.call(action, &what, self.client.create_exec(container, options)).await?.id;
        let start = self.client.start_exec(&exec, None::<StartExecOptions>);
        let mut kept = Vec::new();
        if let StartExecResults::Attached { mut output, .. } = self.call(action, &what, start).await? {
            while let Some(piece) = output
                .try_next()
                .await
                .map_err(|error| super::error::explain(&self.endpoint, action, &what, error))?
            {
                kept.extend_from_slice(&piece.into_bytes());
                kept.drain(..kept.len().saturating_sub(bytes_max));
            }
        }
        let ended = self.call(action, &what, self.client.inspect_exec(&exec)).await?;
        // The engine knows the code once the output has ended, but for a command that could not be started.
        Ok((ended.exit_code.unwrap_or_default(), kept))
    }
}
