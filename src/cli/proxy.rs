//! `minipaas proxy`: how an app's requests are treated, who said so, and what is to be otherwise.
//!
//! Keys and values are those of `[proxy]` in the manifest; the daemon reads them as it reads a manifest. A password is read
//! here, hashed here, and neither printed nor sent.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _};
use std::path::Path;

use anyhow::Context as _;
use console::Term;
use serde::Serialize;

use super::Session;
use super::args::{AppArgs, ProxyAction, ProxyArgs};
use super::failure::{Failure, Kind};
use super::output::{Output, Table};
use super::project;
use crate::api::{IgnoredSetting, Layer, Proxy, ProxyRequest, Setting};
use crate::manifest::{Settings, example, setting};
use crate::name::AppName;

/// What `htpasswd` and most others take for people's passwords: some tens of milliseconds for each guess.
const BCRYPT_COST: u32 = 10;
/// What follows is no part of a bcrypt hash.
const PASSWORD_BYTES_MAX: usize = 72;

/// The result with `--json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct ProxyResult<'a> {
    app: &'a str,
    #[serde(flatten)]
    proxy: &'a Proxy,
}

pub(crate) async fn run(session: &Session, args: &ProxyArgs) -> Result<(), Failure> {
    let app = project::app_of(session, &AppArgs { name: None })?;
    let (client, out) = (session.client(), session.out);
    let Some(action) = &args.action else {
        return show(out, &app, &client.proxy(&app).await?);
    };
    let (request, said) = match action {
        ProxyAction::Set { settings, scope } => {
            let Settings { values, files } = read(settings)?;
            let said = format!("set {}", named(values.keys()));
            (ProxyRequest { route: scope.route.clone(), set: values, files, ..ProxyRequest::default() }, said)
        }
        ProxyAction::Unset { keys, scope } => {
            let said = format!("took back {}", named(keys.iter()));
            (
                ProxyRequest { route: scope.route.clone(), unset: keys.clone(), ..ProxyRequest::default() },
                said,
            )
        }
        ProxyAction::Reset { scope } => {
            let said = "took back all that was set by command".to_owned();
            (ProxyRequest { route: scope.route.clone(), reset: true, ..ProxyRequest::default() }, said)
        }
        ProxyAction::Password { user, remove, scope } => {
            let hash = if *remove { None } else { Some(password_hash(out, user).await?) };
            let said = if *remove {
                format!("user `{user}` does not come in any more")
            } else {
                format!("user `{user}` comes in with this password")
            };
            let user = Some((user.clone(), hash));
            (ProxyRequest { route: scope.route.clone(), user, ..ProxyRequest::default() }, said)
        }
    };
    let proxy = client.change_proxy(&app, &request).await?;
    if out.is_json() {
        out.json(&ProxyResult { app: app.as_str(), proxy: &proxy })?;
        return Ok(());
    }
    let at = request.route.as_ref().map_or_else(String::new, |route| format!(", route `{route}`"));
    out.line(format_args!("`{app}`{at}: {said}"))?;
    tell_ignored(out, &proxy.ignored);
    Ok(())
}

/// What commands have set, in a sentence; `None` when that is nothing.
pub(crate) fn sentence(keys: &[String]) -> Option<String> {
    (!keys.is_empty()).then(|| {
        format!("set by command, over the manifest: {}; `minipaas proxy` shows it", named(keys.iter()))
    })
}

fn show(out: Output, app: &AppName, proxy: &Proxy) -> Result<(), Failure> {
    if out.is_json() {
        out.json(&ProxyResult { app: app.as_str(), proxy })?;
        return Ok(());
    }
    let mut table = Table::new(["KEY", "VALUE", "FROM", "ROUTE"]);
    let everywhere = proxy.settings.iter().map(|setting| (setting, String::new()));
    let on_routes =
        proxy.routes.iter().flat_map(|on| on.settings.iter().map(|setting| (setting, on.route.clone())));
    for (Setting { key, value, from }, route) in everywhere.chain(on_routes) {
        let from = match from {
            Layer::Default => "default",
            Layer::Manifest => "manifest",
            Layer::Command => "command",
        };
        table.row([key.clone(), value.clone(), from.to_owned(), route]);
    }
    out.table(&table)?;
    tell_ignored(out, &proxy.ignored);
    Ok(())
}

fn tell_ignored(out: Output, ignored: &[IgnoredSetting]) {
    for IgnoredSetting { route, key, reason } in ignored {
        let at = route.as_ref().map_or_else(String::new, |route| format!(" for `{route}`"));
        out.warning(format_args!("`{key}` was set by command{at} and is ignored: {reason}"));
    }
}

/// What was typed, with the files that it names.
fn read(typed: &[String]) -> Result<Settings, Failure> {
    let mut settings = Settings::default();
    for text in typed {
        let (key, value) = setting(text).map_err(|error| {
            let key = text.split('=').next().unwrap_or_default().trim();
            let failure = Failure::usage(error);
            match example(key) {
                Some(example) => failure.hint(format!("such as `minipaas proxy set {example}`")),
                None => failure,
            }
        })?;
        if settings.values.contains_key(&key) {
            return Err(Failure::usage(format!("`{key}` is set twice")));
        }
        settings.values.insert(key, value);
    }
    let dir = Path::new(".").canonicalize().context("cannot read this folder");
    let dir = dir.map_err(|error| Failure::new(Kind::Failed, error))?;
    let mut files = BTreeMap::new();
    for path in settings.wanted_files() {
        // One that is not there is the daemon's to refuse, as in a manifest.
        if let Some(text) = project::read_named(&dir, &path).map_err(Failure::usage)? {
            files.insert(path, text);
        }
    }
    Ok(Settings { files, ..settings })
}

/// The bcrypt hash of a password that is typed twice, or read from standard input.
async fn password_hash(out: Output, user: &str) -> Result<String, Failure> {
    let user = user.to_owned();
    let work = move || -> Result<String, Failure> {
        let password = if out.can_ask() { typed(&user) } else { piped() };
        let password = password
            .context("cannot read the password")
            .map_err(|error| Failure::new(Kind::Failed, error))?;
        let Some(password) = password else { return Err(Failure::usage("the two passwords differ")) };
        if password.is_empty() {
            let failure = Failure::usage("the password is empty");
            return Err(failure.hint("type it, or pass it on standard input"));
        }
        if password.len() > PASSWORD_BYTES_MAX || password.contains('\0') {
            let message = format!("a password has {PASSWORD_BYTES_MAX} bytes at most, and no NUL");
            return Err(Failure::usage(message));
        }
        bcrypt::hash(password, BCRYPT_COST)
            .context("cannot hash the password")
            .map_err(|error| Failure::new(Kind::Failed, error))
    };
    // Neither the person nor the hash is waited for on a thread of the runtime.
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(Failure::new(Kind::Failed, error)))
}

/// Asked for twice, without an echo; `None` when the two differ.
fn typed(user: &str) -> io::Result<Option<String>> {
    let terminal = Term::stderr();
    terminal.write_str(&format!("Password for {user}: "))?;
    let password = terminal.read_secure_line()?;
    terminal.write_str("Once more: ")?;
    Ok((terminal.read_secure_line()? == password).then_some(password))
}

/// One line, without its end.
fn piped() -> io::Result<Option<String>> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    Ok(Some(line.trim_end_matches(['\r', '\n']).to_owned()))
}

fn named<'k>(keys: impl Iterator<Item = &'k String>) -> String {
    keys.map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ")
}
