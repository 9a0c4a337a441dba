//! Files in and out of containers, and connections to their ports.

use std::io;
use std::time::Duration;

use bollard::body_try_stream;
use bollard::query_parameters::{DownloadFromContainerOptionsBuilder, UploadToContainerOptionsBuilder};
use futures_util::stream::{self, StreamExt};
use tokio::net::TcpStream;

use super::super::{Connection, ContextStream, EngineError};
use super::DockerEngine;
use super::error::explain;

/// How long a port may take to accept a connection: it is on this machine, or next to it.
const DIAL_TIME_MAX: Duration = Duration::from_secs(5);

impl DockerEngine {
    pub(super) async fn download(&self, container: &str, path: &str) -> Result<ContextStream, EngineError> {
        let what = format!("`{path}` in container `{container}`");
        let options = DownloadFromContainerOptionsBuilder::default().path(path).build();
        let mut pieces = Box::pin(self.client.download_from_container(container, Some(options)));
        // The first tells whether it is there.
        let first =
            match self.call(&format!("read {what}"), &what, async { pieces.next().await.transpose() }).await?
            {
                Some(first) => first,
                None => return Err(EngineError::NotFound { what }),
            };
        let rest = pieces.map(|piece| piece.map_err(io::Error::other));
        Ok(stream::iter([Ok(first)]).chain(rest).boxed())
    }

    pub(super) async fn upload(
        &self,
        container: &str,
        folder: &str,
        archive: ContextStream,
    ) -> Result<(), EngineError> {
        let what = format!("folder `{folder}` in container `{container}`");
        let options = UploadToContainerOptionsBuilder::default().path(folder).build();
        let upload = self.client.upload_to_container(container, Some(options), body_try_stream(archive));
        upload.await.map_err(|error| explain(&self.endpoint, &format!("write to {what}"), &what, error))
    }

    pub(super) async fn connect_to(&self, container: &str, port: u16) -> Result<Connection, EngineError> {
        let action = format!("connect to port {port}");
        let refused = |message: String| EngineError::Refused { action: action.clone(), message };
        let missing = || EngineError::NotFound { what: format!("container `{container}`") };
        let found = self.inspect(container).await?.ok_or_else(missing)?;
        let addr = self.address(port, &found.network_settings.unwrap_or_default()).ok_or_else(|| {
            refused(if self.is_bridge_reachable {
                "the container has no address: it does not run".to_owned()
            } else {
                "this engine's containers cannot be dialled, but for ports that the manifest names".to_owned()
            })
        })?;
        match tokio::time::timeout(DIAL_TIME_MAX, TcpStream::connect(addr)).await {
            Ok(Ok(stream)) => {
                // Whatever goes through has been put together by somebody else already.
                let _ = stream.set_nodelay(true);
                Ok(Box::pin(stream))
            }
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => Err(refused(
                "nothing in the container accepts connections there (on 0.0.0.0, not on localhost)"
                    .to_owned(),
            )),
            Ok(Err(error)) => Err(refused(error.to_string())),
            Err(_) => Err(refused(format!("no answer within {} s", DIAL_TIME_MAX.as_secs()))),
        }
    }
}
