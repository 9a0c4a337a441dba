//! From what was typed to an export: the box is asked, and the pure functions do the rest.
//!
//! [`ask`] is the first half and [`Asked::export`] the second. Between them images may be pushed, which have other names afterwards.

use super::subject;
use crate::api::LeftOut;
use crate::cli::Session;
use crate::cli::args::{ExportArgs, SecretsArg};
use crate::cli::failure::{Failure, Kind};
use crate::cli::project::app_of;
use crate::export::secrets::{self, SecretsError};
use crate::export::{
    Entrance, Export, ExportError, External, Note, NoteKind, Options, SecretMode, Subject, TlsSource,
    Version, export,
};
use crate::name::AppName;

/// What the box has said.
#[derive(Debug)]
pub(crate) struct Asked {
    /// The apps, by name.
    pub(crate) subjects: Vec<Subject>,
    /// Those that are only routes, by name.
    externals: Vec<External>,
    /// What is wanted of them.
    pub(crate) options: Options,
    /// Apps that are not among them.
    left_out: Vec<Note>,
}

/// Asks the box for the apps; for values of secrets only where the export will have them.
pub(crate) async fn ask(session: &Session, args: &ExportArgs) -> Result<Asked, Failure> {
    let options = options(args)?;
    let apps = if args.all { None } else { Some([app_of(session, &args.app)?]) };
    let apps = apps.as_ref().map(<[AppName; 1]>::as_slice);
    let client = session.client();
    let reply = match options.secrets {
        SecretMode::Inline | SecretMode::Sealed(_) => client.export_secrets(apps).await?,
        SecretMode::Template | SecretMode::External(_) => client.export(apps).await?,
    };
    let registry = args.registry.as_deref();
    let subjects = reply.apps.iter().map(|app| subject::of(app, registry)).collect::<Result<Vec<_>, _>>()?;
    let externals = reply.external.iter().map(subject::external).collect::<Result<Vec<_>, _>>()?;
    let left_out = reply.left_out.into_iter().filter_map(left_out).collect();
    Ok(Asked { subjects, externals, options, left_out })
}

impl Asked {
    /// Makes the export, with secrets as they are to be handed over.
    pub(crate) fn export(self) -> Result<Export, Failure> {
        let Self { subjects, externals, options, left_out } = self;
        let mut made = export(&subjects, &externals, &options)?;
        made.notes.extend(left_out);
        made.notes.sort_by(|a, b| a.app.cmp(&b.app));
        Ok(secrets::hand_over(made, &options)?)
    }
}

fn options(args: &ExportArgs) -> Result<Options, Failure> {
    let default = Options::default();
    let entrance = match (&args.ingress, &args.gateway) {
        (_, Some(gateway)) => Entrance::Gateway(gateway.clone()),
        (Some(class), None) => Entrance::Ingress(class.clone()),
        (None, None) => default.entrance,
    };
    let tls = match (&args.tls_issuer, &args.tls_secret) {
        _ if args.no_tls => TlsSource::None,
        (_, Some(secret)) => TlsSource::Secret(secret.clone()),
        (Some(issuer), None) => TlsSource::CertManager(issuer.clone()),
        (None, None) => default.tls,
    };
    let secrets = match args.secrets() {
        SecretsArg::Inline => SecretMode::Inline,
        SecretsArg::Template => SecretMode::Template,
        SecretsArg::Sealed => SecretMode::Sealed(certificate(args)?),
        SecretsArg::External => SecretMode::External(args.secret_store.clone().unwrap_or_default()),
    };
    let version = args.kubernetes.unwrap_or(Version::OLDEST);
    Ok(Options { namespace: args.namespace.clone(), version, entrance, tls, secrets })
}

fn certificate(args: &ExportArgs) -> Result<String, Failure> {
    let file = args.sealed_cert.clone().unwrap_or_default();
    std::fs::read_to_string(&file).map_err(|error| {
        let error = anyhow::Error::new(error).context(format!("cannot read `{}`", file.display()));
        Failure::new(Kind::Usage, error)
    })
}

/// An app that cannot be exported is told of as everything else that is not carried over.
fn left_out(left_out: LeftOut) -> Option<Note> {
    let LeftOut { app, failure } = left_out;
    let hints = failure.hints.iter().map(|hint| format!("; {hint}")).collect::<String>();
    Some(Note {
        app: app.parse().ok()?,
        kind: NoteKind::Dropped,
        what: "the app".to_owned(),
        text: format!("{}{hints}", failure.message),
    })
}

impl From<ExportError> for Failure {
    fn from(error: ExportError) -> Self {
        let hints = error.hints();
        hints.into_iter().fold(Self::new(Kind::Usage, error), Self::hint)
    }
}

impl From<SecretsError> for Failure {
    fn from(error: SecretsError) -> Self {
        let hints = error.hints();
        hints.into_iter().fold(Self::new(Kind::Usage, error), Self::hint)
    }
}
