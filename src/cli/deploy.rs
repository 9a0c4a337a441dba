//! Follows a deploy to its end, and takes it back at Ctrl-C.
//!
//! Before the daemon has accepted it, ending the request ends the deploy. After that the deploy is the daemon's: the first
//! Ctrl-C asks for it to be cancelled and goes on following, since only the stream says how it ended; the second one leaves.
//! A stream that is cut off is taken up again where it was.

use std::time::Duration;

use futures_util::StreamExt as _;

use super::failure::{Failure, Kind};
use super::image;
use super::interrupt::Interrupts;
use super::progress::ProgressView;
use crate::api::client::{Client, ClientError, ProgressStream};
use crate::api::{Deployed, Progress};
use crate::name::AppName;

/// The daemon's code for a deploy that was taken back.
const CODE_CANCELLED: &str = "cancelled";
/// The daemon's code for a deploy that is not under way any more.
const CODE_NOT_FOUND: &str = "not-found";

/// The daemon's name of the step in which a release serves and may still be taken back.
const STEP_WATCH: &str = "watch";

/// Times that a stream is asked for anew, one after the other without a word.
const RESUMES_MAX: u32 = 6;
/// Before the first of them; each time twice as long, 32 s in all.
const RESUME_PAUSE: Duration = Duration::from_millis(500);

/// A deploy that the daemon works on.
struct Following<'a> {
    app: &'a AppName,
    client: &'a Client,
    view: &'a mut ProgressView,
    /// The release, once it is accepted.
    release: Option<String>,
    /// Lines of the deploy that were heard.
    heard: u64,
    /// Times in a row that the stream was cut off before it said anything.
    silent_tries: u32,
    is_cancelled: bool,
    /// Whether the release serves already, and is only watched.
    is_watched: bool,
}

/// Follows the deploy of `app` to its end.
pub(crate) async fn follow(
    mut stream: ProgressStream,
    app: &AppName,
    client: &Client,
    view: &mut ProgressView,
    interrupts: &mut Interrupts,
) -> Result<Deployed, Failure> {
    let mut following = Following {
        app,
        client,
        view,
        release: None,
        heard: 0,
        silent_tries: 0,
        is_cancelled: false,
        is_watched: false,
    };
    loop {
        tokio::select! {
            biased;
            () = interrupts.next() => following.interrupted(interrupts).await?,
            event = stream.next() => {
                let Some(event) = event else {
                    return Err(Failure::failed("the daemon ended the deploy without a result"));
                };
                let event = match event {
                    Ok(event) => event,
                    Err(error) => {
                        stream = following.resumed(error, interrupts).await?;
                        continue;
                    }
                };
                following.heard += 1;
                following.silent_tries = 0;
                if let Some(deployed) = following.event(event).await? {
                    return Ok(deployed);
                }
            }
        }
    }
}

impl Following<'_> {
    async fn event(&mut self, event: Progress) -> Result<Option<Deployed>, Failure> {
        match event {
            Progress::Step { step, detail } => {
                self.is_watched = step == STEP_WATCH;
                self.view.step(&step, &detail);
            }
            Progress::Log { line } => self.view.log(&line),
            Progress::Notice { message } => self.view.notice(&message),
            Progress::Accepted { release } => self.release = Some(release),
            Progress::Built { .. }
            | Progress::Reformed { .. }
            | Progress::Ran { .. }
            | Progress::Pushed { .. } => {}
            Progress::Deployed(Deployed { release, .. }) if self.is_cancelled => {
                self.view.finish();
                return Err(Failure::interrupted(format!(
                    "the interrupt came too late: release {release} of `{}` serves",
                    self.app
                )));
            }
            Progress::Deployed(deployed) => {
                self.view.finish();
                return Ok(Some(deployed));
            }
            Progress::Failed { failure } if self.is_cancelled && failure.code == CODE_CANCELLED => {
                self.view.abandon();
                let failure = Failure { kind: Kind::Interrupted, ..failure.into() };
                return Err(if failure.hints.is_empty() {
                    self.with_still_serving(failure).await
                } else {
                    failure
                });
            }
            Progress::Failed { failure } => {
                let failure = image::failed(failure, self.view);
                let kind = if self.is_cancelled { Kind::Interrupted } else { failure.kind };
                return Err(Failure { kind, ..failure });
            }
        }
        Ok(None)
    }

    /// The rest of the stream, after the connection broke: the deploy goes on without us. The daemon may be starting anew.
    async fn resumed(
        &mut self,
        error: ClientError,
        interrupts: &mut Interrupts,
    ) -> Result<ProgressStream, Failure> {
        let Some(release) = self.release.clone().filter(|_| is_broken(&error)) else {
            return Err(error.into());
        };
        self.view.notice("the connection to the daemon broke; asking how the deploy goes on");
        while self.silent_tries < RESUMES_MAX {
            let pause = RESUME_PAUSE * 2_u32.saturating_pow(self.silent_tries);
            self.silent_tries += 1;
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = interrupts.next() => return Err(self.left(&release)),
            }
            match self.client.follow_deploy(self.app, &release, self.heard).await {
                Ok(stream) => return Ok(stream),
                Err(again) if is_broken(&again) => {}
                // A daemon of before there was a way back.
                Err(_) => break,
            }
        }
        let app = self.client.app(self.app).await;
        let hint = match &app {
            Ok(app) if app.release.as_ref() == Some(&release) => format!("{release} serves by now"),
            Ok(app) if app.deploy.is_none() => {
                format!("{release} does not serve; `minipaas events {}` tells why", self.app)
            }
            _ => format!("`minipaas ps {}` shows what became of it", self.app),
        };
        Err(Failure::from(error).hint(hint))
    }

    fn left(&self, release: &str) -> Failure {
        Failure::interrupted(format!("left release {release} of `{}` to the daemon", self.app))
            .hint(format!("`minipaas ps {}` shows what became of it", self.app))
    }

    async fn interrupted(&mut self, interrupts: &mut Interrupts) -> Result<(), Failure> {
        let Some(release) = self.release.clone() else {
            self.view.abandon();
            return Err(Failure::interrupted(format!("interrupted before `{}` was changed", self.app)));
        };
        if self.is_watched {
            self.view.abandon();
            return Err(Failure::interrupted(format!(
                "release {release} of `{}` serves; the daemon goes on watching it",
                self.app
            )));
        }
        if self.is_cancelled {
            self.view.abandon();
            return Err(self.left(&release));
        }
        self.is_cancelled = true;
        self.view.notice(&format!("cancelling release {release}; Ctrl-C again leaves it to the daemon"));
        let asked = tokio::select! {
            asked = self.client.cancel(self.app, &release) => asked,
            () = interrupts.next() => return Err(self.left(&release)),
        };
        match asked {
            // It has just ended; the stream says how.
            Err(ClientError::Failed(failure)) if failure.code == CODE_NOT_FOUND => Ok(()),
            asked => Ok(asked?),
        }
    }

    async fn with_still_serving(&self, failure: Failure) -> Failure {
        match self.client.app(self.app).await.map(|app| app.release) {
            Ok(Some(release)) => failure.hint(format!("{release} is still serving")),
            Ok(None) => failure.hint(format!("no release of `{}` serves", self.app)),
            // The failure itself is what counts; that nobody can say more is seen from the missing hint.
            Err(_) => failure,
        }
    }
}

/// Whether the way to the daemon is what is broken, so that it may be well again soon.
fn is_broken(error: &ClientError) -> bool {
    matches!(error, ClientError::CutOff { .. } | ClientError::Late { .. } | ClientError::Unreachable { .. })
}
