//! Named volumes: an app's data, which outlives its containers.
//!
//! A volume is called `minipaas-<box>-<app>-<name>` and carries the box's and the app's label; only both labels together make
//! it removable here.

use std::collections::HashMap;

use bollard::models::VolumeCreateRequest;
use bollard::query_parameters::{ListVolumesOptionsBuilder, RemoveVolumeOptions};

use super::super::{EngineError, label};
use super::DockerEngine;
use crate::name::AppName;

impl DockerEngine {
    pub(super) async fn create_volume(&self, app: &AppName, volume: &str) -> Result<String, EngineError> {
        let name = format!("{}{app}-{volume}", self.volume_prefix());
        let what = format!("volume `{name}`");
        let labels = [(label::BOX, self.owner.to_string()), (label::APP, app.to_string())];
        let request = VolumeCreateRequest {
            name: Some(name),
            labels: Some(labels.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
            ..Default::default()
        };
        // One that is there already is the answer.
        let made = self.call(&format!("create {what}"), &what, self.client.create_volume(request)).await?;
        Ok(made.name)
    }

    /// How the names of this box's volumes begin.
    pub(super) fn volume_prefix(&self) -> String {
        format!("minipaas-{}-", self.owner)
    }

    pub(super) async fn remove_app_volumes(&self, app: &AppName) -> Result<Vec<String>, EngineError> {
        let options = ListVolumesOptionsBuilder::default().filters(&self.app_filter(app)).build();
        let found = self.call("list volumes", "a volume", self.client.list_volumes(Some(options))).await?;
        let mut names: Vec<String> =
            found.volumes.unwrap_or_default().into_iter().map(|volume| volume.name).collect();
        names.sort();
        for name in &names {
            let what = format!("volume `{name}`");
            let call = self.client.remove_volume(name, None::<RemoveVolumeOptions>);
            match self.call(&format!("remove {what}"), &what, call).await {
                Ok(()) | Err(EngineError::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(names)
    }

    /// The filter that only an app's objects of our box pass.
    pub(super) fn app_filter(&self, app: &AppName) -> HashMap<String, Vec<String>> {
        HashMap::from([("label".to_owned(), vec![self.owner_filter(), format!("{}={app}", label::APP)])])
    }
}
