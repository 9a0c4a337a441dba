//! `minipaas config`: an app's variables, shown and changed.
//!
//! A change is a release, which is followed as any other, unless it is to wait for the next one. Values of secrets are never
//! asked of the daemon, which would not tell them; a secret that is typed into the command line is warned of.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Read as _};
use std::path::Path;

use serde::Serialize;
use zeroize::Zeroizing;

use super::args::{AppArgs, ConfigAction, ConfigArgs, ConfigSetArgs};
use super::failure::{Failure, Kind};
use super::interrupt::Interrupts;
use super::output::{Table, count};
use super::project::app_of;
use super::releases::{follow, print_changed};
use super::{Session, dotenv};
use crate::api::client::ConfigChanged;
use crate::api::{Config, ConfigRequest, ConfigVariable, Deployed, NewVariable};
use crate::environment::VariableName;
use crate::file;
use crate::name::AppName;

/// What editors are tried when neither variable names one.
const EDITOR_DEFAULT: &str = "vi";
/// Columns of a value in the table.
const VALUE_WIDTH: usize = 80;

/// The result of a change that waits, with `--json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Staged<'a> {
    app: &'a str,
    staged: Vec<&'a str>,
}

pub(crate) async fn run(
    session: &Session,
    args: &ConfigArgs,
    interrupts: &mut Interrupts,
) -> Result<(), Failure> {
    let app = app_of(session, &AppArgs { name: None })?;
    match &args.action {
        None | Some(ConfigAction::List) => {
            interrupts.or(list(session, &app, args.shell), Failure::silently_interrupted).await
        }
        Some(ConfigAction::Get { names, shell }) => {
            interrupts.or(get(session, &app, names, *shell), Failure::silently_interrupted).await
        }
        Some(ConfigAction::Set(args)) => {
            let request = set_request(session, args)?;
            change(session, &app, request, interrupts).await
        }
        Some(ConfigAction::Unset { names, no_restart }) => {
            let unset = names.iter().map(ToString::to_string).collect();
            let request = ConfigRequest { set: BTreeMap::new(), unset, stage: *no_restart };
            change(session, &app, request, interrupts).await
        }
        Some(ConfigAction::Edit) => edit(session, &app, interrupts).await,
        Some(ConfigAction::Pull { output, force }) => {
            interrupts.or(pull(session, &app, output, *force), Failure::silently_interrupted).await
        }
        Some(ConfigAction::Push { file, no_restart }) => {
            let variables = dotenv::read(&read(file)?).map_err(|error| unreadable(file, error))?;
            let set = variables.into_iter().map(|(name, value)| (name, plain(value))).collect();
            let request = ConfigRequest { set, unset: Vec::new(), stage: *no_restart };
            if request.set.is_empty() {
                return Err(Failure::usage(format!("there are no variables in `{}`", file.display())));
            }
            change(session, &app, request, interrupts).await
        }
    }
}

async fn list(session: &Session, app: &AppName, as_shell: bool) -> Result<(), Failure> {
    let config = session.client().config(app).await?;
    let out = session.out;
    if out.is_json() {
        let values: BTreeMap<_, _> =
            config.variables.iter().map(|variable| (&variable.name, &variable.value)).collect();
        out.json(&values)?;
        return Ok(());
    }
    if as_shell {
        for (name, value) in shown(&config) {
            out.line(dotenv::line(name, value))?;
        }
        return Ok(());
    }
    if config.variables.is_empty() {
        out.notice(format_args!("`{app}` has no variables; `minipaas config set NAME=value` sets one"));
    } else {
        let mut table = Table::new(["NAME", "VALUE", "FROM"]);
        for variable in &config.variables {
            let value = variable.value.as_deref().map_or_else(|| "(secret)".to_owned(), in_a_line);
            table.row([variable.name.clone(), value, from(variable).to_owned()]);
        }
        out.table(&table)?;
    }
    if !config.staged_out.is_empty() {
        out.notice(format_args!("the next release takes out {}", config.staged_out.join(", ")));
    }
    Ok(())
}

fn from(variable: &ConfigVariable) -> &'static str {
    match (variable.is_manifest, variable.is_staged) {
        (true, _) => "manifest",
        (false, true) => "config, from the next release",
        (false, false) => "config",
    }
}

fn in_a_line(value: &str) -> String {
    let line = value.replace('\n', "\\n");
    if line.chars().count() <= VALUE_WIDTH {
        return line;
    }
    line.chars().take(VALUE_WIDTH).chain(['…']).collect()
}

async fn get(
    session: &Session,
    app: &AppName,
    names: &[VariableName],
    as_shell: bool,
) -> Result<(), Failure> {
    let config = session.client().config(app).await?;
    let found = names.iter().map(|name| Ok((name.as_str(), value_of(&config, app, name)?)));
    let found = found.collect::<Result<Vec<_>, Failure>>()?;
    match found.as_slice() {
        // One is a text, so that a script needs no quotes of it.
        [(_, value)] if session.out.is_json() => session.out.json(value)?,
        found if session.out.is_json() => {
            session.out.json(&found.iter().copied().collect::<BTreeMap<_, _>>())?;
        }
        found => {
            for (name, value) in found {
                match as_shell {
                    true => session.out.line(dotenv::line(name, value))?,
                    false => session.out.line(value)?,
                }
            }
        }
    }
    Ok(())
}

fn value_of<'c>(config: &'c Config, app: &AppName, name: &VariableName) -> Result<&'c str, Failure> {
    let found = config.variables.iter().find(|variable| variable.name == name.as_str());
    let found = found.ok_or_else(|| {
        let near = config.variables.iter().map(|variable| variable.name.as_str());
        let near = near.min_by_key(|known| strsim::damerau_levenshtein(known, name.as_str()));
        let failure = Failure::failed(format!("app `{app}` has no variable `{name}`"));
        match near {
            Some(near) => failure.hint(format!("did you mean `{near}`?")),
            None => failure,
        }
    })?;
    found.value.as_deref().ok_or_else(|| {
        Failure::failed(format!("`{name}` is a secret, which is never shown")).hint(format!(
            "the app finds it in /run/secrets/{name}; `minipaas config set --secret {name}=-` replaces it"
        ))
    })
}

fn set_request(session: &Session, args: &ConfigSetArgs) -> Result<ConfigRequest, Failure> {
    let mut set = BTreeMap::new();
    let mut has_read = false;
    for text in &args.variables {
        let (name, value) = text.split_once('=').ok_or_else(|| {
            // Not the text: it may be a secret that was meant to be a value.
            Failure::usage("a variable is written as NAME=value")
                .hint("`NAME=-` reads the value from standard input")
        })?;
        let name: VariableName =
            name.parse().map_err(|error| Failure::new(Kind::Usage, anyhow::Error::new(error)))?;
        let value = if value == "-" {
            if std::mem::replace(&mut has_read, true) {
                return Err(Failure::usage("standard input is one value; set the others by themselves"));
            }
            stdin_value(session, &name)?
        } else {
            if args.secret {
                session.out.warning(format_args!(
                    "the secret `{name}` is in your shell's history and in the list of processes; `{name}=-` reads it from standard input"
                ));
            }
            value.to_owned()
        };
        set.insert(name.to_string(), NewVariable { value, is_secret: args.secret, is_exported: args.export });
    }
    Ok(ConfigRequest { set, unset: Vec::new(), stage: args.no_restart })
}

/// All of standard input, without the newline at its end that an editor or `echo` adds.
fn stdin_value(session: &Session, name: &VariableName) -> Result<String, Failure> {
    if std::io::stdin().is_terminal() {
        session.out.notice(format_args!("type the value of `{name}`, then Ctrl-D"));
    }
    let mut text = String::new();
    std::io::stdin().lock().read_to_string(&mut text).map_err(|error| unreadable(Path::new("-"), error))?;
    let value = text.strip_suffix('\n').map_or(text.as_str(), |text| text.strip_suffix('\r').unwrap_or(text));
    Ok(value.to_owned())
}

async fn change(
    session: &Session,
    app: &AppName,
    request: ConfigRequest,
    interrupts: &mut Interrupts,
) -> Result<(), Failure> {
    let client = session.client();
    let untouched = || Failure::interrupted(format!("interrupted before `{app}` was changed"));
    let asked = async { Ok(client.change_config(app, &request).await?) };
    match interrupts.or(asked, untouched).await? {
        ConfigChanged::Release(stream) => {
            let deployed: Deployed = follow(session, app, async { Ok(stream) }, interrupts).await?;
            print_changed(session, app, &deployed)
        }
        ConfigChanged::Staged(config) => {
            let staged = config.variables.iter().filter(|variable| variable.is_staged);
            let staged: Vec<_> = staged.map(|variable| variable.name.as_str()).collect();
            let all = staged.len() + config.staged_out.len();
            let when = if config.is_deployed { "next release" } else { "first `minipaas up`" };
            session.out.notice(format_args!(
                "{} of `{app}` {} for the {when}",
                count(all, "change"),
                if all == 1 { "waits" } else { "wait" }
            ));
            if session.out.is_json() {
                let staged = staged.into_iter().chain(config.staged_out.iter().map(String::as_str)).collect();
                session.out.json(&Staged { app: app.as_str(), staged })?;
            }
            Ok(())
        }
    }
}

/// Has an editor change the plain variables, and sends what became different.
async fn edit(session: &Session, app: &AppName, interrupts: &mut Interrupts) -> Result<(), Failure> {
    let config = interrupts
        .or(async { Ok(session.client().config(app).await?) }, Failure::silently_interrupted)
        .await?;
    let before: BTreeMap<_, _> =
        own(&config).map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let lines: String = before.iter().map(|(name, value)| dotenv::line(name, value) + "\n").collect();
    let text = format!(
        "# Variables of {app}: NAME=value lines. Secrets are not here, and stay as they are.\n{lines}"
    );
    let folder = private_folder().map_err(|error| unreadable(Path::new("the editor's file"), error))?;
    let path = folder.0.join(format!("{app}.env"));
    file::replace(&path, file::PRIVATE_MODE, text.as_bytes()).map_err(|error| unreadable(&path, error))?;
    let editor = ["VISUAL", "EDITOR"].iter().find_map(|name| session.env.get(name)).unwrap_or(EDITOR_DEFAULT);
    // As git does: the variable may hold arguments.
    let status = tokio::process::Command::new("/bin/sh")
        .args(["-c", &format!("{editor} \"$1\""), "sh"])
        .arg(&path)
        .status()
        .await
        .map_err(|error| unreadable(&path, error))?;
    if !status.success() {
        return Err(Failure::failed(format!(
            "the editor `{editor}` ended with {status}; nothing was changed"
        )));
    }
    let after = Zeroizing::new(std::fs::read_to_string(&path).map_err(|error| unreadable(&path, error))?);
    let after: BTreeMap<_, _> =
        dotenv::read(&after).map_err(|error| unreadable(&path, error))?.into_iter().collect();
    let unset = before.keys().filter(|name| !after.contains_key(*name)).cloned().collect();
    let set = after.into_iter().filter(|(name, value)| before.get(name) != Some(value));
    let set = set.map(|(name, value)| (name, plain(value))).collect();
    let request = ConfigRequest { set, unset, stage: false };
    if request.set.is_empty() && request.unset.is_empty() {
        session.out.notice("nothing was changed");
        return Ok(());
    }
    change(session, app, request, interrupts).await
}

async fn pull(session: &Session, app: &AppName, path: &Path, force: bool) -> Result<(), Failure> {
    let config = session.client().config(app).await?;
    if path.exists() && !force {
        return Err(Failure::failed(format!("`{}` is there already", path.display()))
            .hint("`--force` replaces it; `-o FILE` writes another"));
    }
    let lines: String = shown(&config).map(|(name, value)| dotenv::line(name, value) + "\n").collect();
    let path = std::path::absolute(path).map_err(|error| unreadable(path, error))?;
    file::replace(&path, file::PRIVATE_MODE, lines.as_bytes()).map_err(|error| unreadable(&path, error))?;
    let secrets = config.variables.iter().filter(|variable| variable.is_secret).count();
    session.out.notice(format_args!(
        "wrote {} to `{}`",
        count(shown(&config).count(), "variable"),
        path.display()
    ));
    if secrets > 0 {
        session.out.notice(format_args!("{} left out: they are never shown", count(secrets, "secret")));
    }
    Ok(())
}

/// Every variable whose value may be shown.
fn shown(config: &Config) -> impl Iterator<Item = (&str, &str)> {
    config.variables.iter().filter_map(|variable| Some((variable.name.as_str(), variable.value.as_deref()?)))
}

/// Those of them that commands have set.
fn own(config: &Config) -> impl Iterator<Item = (&str, &str)> {
    let own = config.variables.iter().filter(|variable| !variable.is_manifest);
    own.filter_map(|variable| Some((variable.name.as_str(), variable.value.as_deref()?)))
}

fn plain(value: String) -> NewVariable {
    NewVariable { value, is_secret: false, is_exported: false }
}

fn read(path: &Path) -> Result<String, Failure> {
    if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().lock().read_to_string(&mut text).map_err(|error| unreadable(path, error))?;
        return Ok(text);
    }
    std::fs::read_to_string(path).map_err(|error| unreadable(path, error))
}

fn unreadable(path: &Path, error: impl std::error::Error + Send + Sync + 'static) -> Failure {
    let context = format!("cannot use `{}`", path.display());
    Failure::new(Kind::Usage, anyhow::Error::new(error).context(context))
}

/// A folder of ours alone, gone with this value.
struct PrivateFolder(std::path::PathBuf);

fn private_folder() -> std::io::Result<PrivateFolder> {
    use std::os::unix::fs::DirBuilderExt as _;
    let path = std::env::temp_dir().join(format!("minipaas-{:032x}", crate::random::bits()));
    std::fs::DirBuilder::new().mode(0o700).create(&path)?;
    Ok(PrivateFolder(path))
}

impl Drop for PrivateFolder {
    fn drop(&mut self) {
        // What is left of it nobody else can read.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
