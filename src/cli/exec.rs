//! `minipaas exec`: a command beside what runs in an instance.

use super::args::{AppArgs, ExecArgs};
use super::failure::{Failure, Kind};
use super::interrupt::Interrupts;
use super::{Session, attach, project, terminal};
use crate::api::{App, ExecRequest};
use crate::name::Slot;

/// The instance that is meant when none is named.
pub(crate) const INSTANCE_DEFAULT: &str = "web.1";

pub(crate) async fn run(
    session: &Session,
    args: &ExecArgs,
    interrupts: &mut Interrupts,
) -> Result<(), Failure> {
    let name = project::app_of(session, &AppArgs { name: None })?;
    let client = session.client();
    let (slot, command) = match &args.instance {
        Some(instance) => (instance.to_string(), args.words.clone()),
        None => {
            let asking = async { client.app(&name).await.map_err(Failure::from) };
            let app = interrupts.or(asking, Failure::silently_interrupted).await?;
            split(&app, &args.words)
        }
    };
    if command.is_empty() {
        let failure = Failure::new(Kind::Usage, anyhow::anyhow!("there is no command to run in `{slot}`"));
        return Err(failure.hint(format!("`minipaas exec {slot} sh`, say, where the image has a shell")));
    }
    let has_tty = !args.no_tty && terminal::is_there();
    let request = ExecRequest { command, tty: has_tty.then(terminal::window), has_input: true };
    let connected = attach::connected(client.exec(&name, &slot, &request), interrupts).await?;
    attach::talk(session.out, connected, has_tty, interrupts).await
}

/// The instance and the command. A first word that names an instance names one, and `python3.11` does not, unless the app
/// has a process type `python3`.
pub(crate) fn split(app: &App, words: &[String]) -> (String, Vec<String>) {
    let is_type = |slot: &Slot| {
        let types = app.instances.iter().map(|instance| instance.slot.as_str());
        let runs = app.runs.iter().map(|run| run.slot.as_str());
        let mut known = types.chain(runs).filter_map(|slot| slot.parse::<Slot>().ok());
        slot.process.is_web() || known.any(|known| known.process == slot.process)
    };
    match words.split_first() {
        Some((first, rest)) if first.parse().is_ok_and(|slot| is_type(&slot)) => {
            (first.clone(), rest.to_vec())
        }
        _ => (INSTANCE_DEFAULT.to_owned(), words.to_vec()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{AppState, Instance, TrafficMode};

    fn app(slots: &[&str]) -> App {
        let instance = |slot: &&str| Instance {
            slot: (*slot).to_owned(),
            release: "v1".to_owned(),
            addr: None,
            id: "0000000a".to_owned(),
            state: "ready".to_owned(),
            since: 0,
            detail: None,
            restarts: 0,
            next_start: None,
            memory_bytes: None,
            cpu_millis: None,
        };
        App {
            name: "shop".to_owned(),
            release: Some("v1".to_owned()),
            state: AppState::Serving,
            urls: Vec::new(),
            ports: Vec::new(),
            origin: "/".to_owned(),
            instances: slots.iter().map(instance).collect(),
            runs: Vec::new(),
            links: Vec::new(),
            processes: Default::default(),
            deploy: None,
            traffic: TrafficMode::Open,
            canary: None,
            external: None,
            proxy_by_command: Vec::new(),
        }
    }

    #[track_caller]
    fn check(typed: &str, expected: &str) {
        let words: Vec<_> = typed.split(' ').map(str::to_owned).collect();
        let (slot, command) = split(&app(&["web.1", "worker.1"]), &words);
        assert_eq!(format!("{slot} {}", command.join(" ")), expected);
    }

    #[test]
    fn the_first_word_may_name_the_instance() {
        check("ls -l", "web.1 ls -l");
        check("worker.2 ls", "worker.2 ls");
        check("web.3 ls", "web.3 ls");
        check("python3.11 -c 1", "web.1 python3.11 -c 1");
    }
}
