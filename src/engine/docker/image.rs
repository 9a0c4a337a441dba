//! Images: looking at them, fetching them, removing them.
//!
//! Nothing is removed by force, so what a container uses (ours or anybody's) stays. Fetching is anonymous.

use std::collections::BTreeSet;
use std::time::Duration;

use bollard::models::{ImageConfig, ImageInspect};
use bollard::query_parameters::{
    CreateImageOptionsBuilder, ListContainersOptionsBuilder, ListImagesOptionsBuilder, RemoveImageOptions,
};
use futures_util::TryStreamExt;

use super::super::{EngineError, Healthcheck, Image};
use super::DockerEngine;
use super::error::{explain, is_disk_full};
use super::progress::LayerProgress;
use crate::name::AppName;

/// Between two runs of a HEALTHCHECK that does not say, and for one of them.
const HEALTHCHECK_TIME: Duration = Duration::from_secs(30);
/// How often a HEALTHCHECK fails that does not say until it is unhealthy.
const HEALTHCHECK_RETRIES: u32 = 3;

impl DockerEngine {
    pub(super) async fn inspect_image(&self, reference: &str) -> Result<Option<Image>, EngineError> {
        let what = format!("image `{reference}`");
        let action = format!("look at {what}");
        check_reference(&action, reference)?;
        match self.call(&action, &what, self.client.inspect_image(reference)).await {
            Ok(found) => Ok(read_image(found)),
            Err(EngineError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn pull_image(
        &self,
        reference: &str,
        log: &(dyn Fn(String) + Send + Sync),
    ) -> Result<(), EngineError> {
        let what = format!("image `{reference}`");
        let action = format!("pull {what}");
        check_reference(&action, reference)?;
        let options = CreateImageOptionsBuilder::default().from_image(&with_tag(reference)).build();
        let mut steps = self.client.create_image(Some(options), None, None);
        let mut progress = LayerProgress::default();
        loop {
            match steps.try_next().await {
                Ok(None) => return Ok(()),
                Ok(Some(step)) => {
                    if let Some(message) = step.error_detail.and_then(|detail| detail.message) {
                        return Err(super::error::refused(&action, &message));
                    }
                    if let Some(line) = progress.line(step.id.as_deref(), step.status.as_deref()) {
                        log(line);
                    }
                }
                // A registry that knows no such image, or does not tell us, is also a 404; its words say which.
                Err(bollard::errors::Error::DockerResponseServerError { message, .. })
                    if !is_disk_full(&message) =>
                {
                    return Err(EngineError::Refused { action, message: message.trim_end().to_owned() });
                }
                Err(error) => return Err(explain(&self.endpoint, &action, &what, error)),
            }
        }
    }

    /// Removes a tag, or an image without tags; whether anything was removed.
    pub(super) async fn untag_image(&self, reference: &str) -> Result<bool, EngineError> {
        let what = format!("image `{reference}`");
        let action = format!("remove {what}");
        check_reference(&action, reference)?;
        let call = self.client.remove_image(reference, None::<RemoveImageOptions>, None);
        match self.call(&action, &what, call).await {
            Ok(_) => Ok(true),
            Err(EngineError::NotFound { .. }) => Ok(false),
            // Used by a container, the base of another image, or known by other names: it stays.
            Err(EngineError::Refused { message, .. }) if message.contains("conflict") => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn remove_app_images(&self, app: &AppName) -> Result<usize, EngineError> {
        let options = ListImagesOptionsBuilder::default().filters(&self.app_filter(app)).build();
        let images = self.call("list images", "an image", self.client.list_images(Some(options))).await?;
        let used = self.images_in_use().await?;
        let mut removed = 0;
        for image in images.into_iter().filter(|image| !used.contains(&image.id)) {
            let tags: Vec<String> =
                image.repo_tags.into_iter().filter(|tag| !tag.contains("<none>")).collect();
            let names = if tags.is_empty() { vec![image.id] } else { tags };
            let mut is_gone = true;
            for name in names {
                is_gone &= self.untag_image(&name).await?;
            }
            removed += usize::from(is_gone);
        }
        Ok(removed)
    }

    async fn images_in_use(&self) -> Result<BTreeSet<String>, EngineError> {
        let options = ListContainersOptionsBuilder::default().all(true).build();
        let containers =
            self.call("list containers", "a container", self.client.list_containers(Some(options))).await?;
        Ok(containers.into_iter().filter_map(|container| container.image_id).collect())
    }
}

/// References become part of a request's path, so what would leave its place there never gets that far.
pub(super) fn check_reference(action: &str, reference: &str) -> Result<(), EngineError> {
    let is_plain =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/' | ':' | '@' | '[' | ']');
    let problem = if let Some(c) = reference.chars().find(|c| !is_plain(*c)) {
        format!("`{}` cannot be part of an image's name", c.escape_debug())
    } else if reference.is_empty()
        || reference.split('/').any(|part| part.is_empty() || part == ".." || part == ".")
    {
        "an image's name has no empty parts and no dots alone".to_owned()
    } else {
        return Ok(());
    };
    Err(EngineError::Refused { action: action.to_owned(), message: problem })
}

/// The reference with the tag that it means: without one an engine would fetch every tag there is.
fn with_tag(reference: &str) -> String {
    let name = reference.rsplit('/').next().unwrap_or(reference);
    if name.contains([':', '@']) { reference.to_owned() } else { format!("{reference}:latest") }
}

fn read_image(found: ImageInspect) -> Option<Image> {
    let config = found.config.unwrap_or_default();
    let healthcheck = healthcheck(&config);
    Some(Image {
        id: found.id?,
        exposed_ports: exposed_ports(&config),
        has_healthcheck: healthcheck.is_some(),
        has_command: is_given(config.cmd.as_ref()) || is_given(config.entrypoint.as_ref()),
        repo_digests: found.repo_digests.unwrap_or_default(),
        user: config.user.unwrap_or_default(),
        entrypoint: config.entrypoint.unwrap_or_default(),
        command: config.cmd.unwrap_or_default(),
        healthcheck,
    })
}

fn exposed_ports(config: &ImageConfig) -> Vec<u16> {
    let ports = config.exposed_ports.iter().flatten();
    let tcp = ports.filter_map(|port| match port.split_once('/') {
        None => port.parse().ok(),
        Some((number, "tcp")) => number.parse().ok(),
        Some(_) => None,
    });
    BTreeSet::<u16>::from_iter(tcp).into_iter().collect()
}

/// With Docker's defaults for what it does not say.
fn healthcheck(config: &ImageConfig) -> Option<Healthcheck> {
    let check = config.healthcheck.as_ref()?;
    let test = check.test.clone().filter(|test| test.first().is_some_and(|kind| kind != "NONE"))?;
    let time = |nanos: Option<i64>, default: Duration| {
        let given = nanos.and_then(|nanos| u64::try_from(nanos).ok()).filter(|nanos| *nanos > 0);
        given.map_or(default, Duration::from_nanos)
    };
    let retries =
        check.retries.and_then(|retries| u32::try_from(retries).ok()).filter(|retries| *retries > 0);
    Some(Healthcheck {
        test,
        interval: time(check.interval, HEALTHCHECK_TIME),
        timeout: time(check.timeout, HEALTHCHECK_TIME),
        start_period: time(check.start_period, Duration::ZERO),
        retries: retries.unwrap_or(HEALTHCHECK_RETRIES),
    })
}

fn is_given(words: Option<&Vec<String>>) -> bool {
    words.is_some_and(|words| !words.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_without_a_tag_means_latest() {
        for (reference, full) in [
            ("nginx", "nginx:latest"),
            ("localhost:5000/a/b", "localhost:5000/a/b:latest"),
            ("localhost:5000/a/b:1", "localhost:5000/a/b:1"),
            ("a@sha256:00", "a@sha256:00"),
        ] {
            assert_eq!(with_tag(reference), full);
        }
    }

    #[test]
    fn a_reference_cannot_name_anything_but_an_image() {
        for bad in ["", "../containers/x", "a/../../b", "a?force=1", "a b", "a//b"] {
            assert!(check_reference("look at it", bad).is_err(), "{bad}");
        }
        for good in ["nginx", "ghcr.io/x/y:1.2_3-a", "a@sha256:00", "sha256:00"] {
            assert!(check_reference("look at it", good).is_ok(), "{good}");
        }
    }
}
