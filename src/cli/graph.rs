//! `minipaas status --graph`: which apps call which, and what that means for how they are.
//!
//! An app that is well by itself is degraded when something that it calls is down, however far away. Nothing is done about it:
//! it is told. Circles are allowed, as apps may call each other.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::Session;
use super::failure::Failure;
use super::output::OutputResult;
use crate::api::{App, AppState};

/// How an app is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Health {
    Up,
    Degraded,
    Down,
}

/// One app, as a program gets it.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Node {
    app: String,
    /// Whether there is such an app, and not only a link to it.
    exists: bool,
    /// Whether it runs elsewhere.
    external: bool,
    /// By its own instances.
    health: Health,
    /// With all that it calls.
    transitive: Health,
    /// Which of those are down.
    because: Vec<String>,
    /// The apps that it may call.
    links: Vec<String>,
}

/// Every app of a box, by name.
#[derive(Debug)]
struct Graph(BTreeMap<String, Node>);

pub(crate) async fn run(session: &Session) -> Result<(), Failure> {
    let graph = Graph::of(&session.client().apps().await?);
    if session.out.is_json() {
        session.out.json(&graph.0.values().collect::<Vec<_>>())?;
        return Ok(());
    }
    print(session, &graph)?;
    Ok(())
}

fn print(session: &Session, graph: &Graph) -> OutputResult {
    graph.lines().iter().try_for_each(|line| session.out.line(line))
}

impl Graph {
    fn of(apps: &[App]) -> Self {
        let known = apps.iter().map(|app| Node {
            app: app.name.clone(),
            exists: true,
            external: app.external.is_some(),
            health: own(app.state),
            transitive: own(app.state),
            because: Vec::new(),
            links: app.links.clone(),
        });
        let mut nodes: BTreeMap<_, _> = known.map(|node| (node.app.clone(), node)).collect();
        for link in apps.iter().flat_map(|app| &app.links) {
            nodes.entry(link.clone()).or_insert_with(|| Node {
                app: link.clone(),
                exists: false,
                external: false,
                health: Health::Down,
                transitive: Health::Down,
                because: Vec::new(),
                links: Vec::new(),
            });
        }
        let mut graph = Self(nodes);
        let because: Vec<_> = graph.0.keys().map(|name| (name.clone(), graph.down_below(name))).collect();
        for (name, because) in because {
            let Some(node) = graph.0.get_mut(&name) else { continue };
            if node.health == Health::Up && !because.is_empty() {
                node.transitive = Health::Degraded;
            }
            node.because = because;
        }
        graph
    }

    /// What is down of all that the app calls, itself or through others.
    fn down_below(&self, name: &str) -> Vec<String> {
        let (mut seen, mut open) = (BTreeSet::new(), vec![name]);
        while let Some(name) = open.pop() {
            let links = self.0.get(name).into_iter().flat_map(|node| &node.links);
            open.extend(links.filter(|link| seen.insert(link.as_str())).map(String::as_str));
        }
        seen.remove(name);
        let is_down = |name: &&str| self.0.get(*name).is_some_and(|node| node.health == Health::Down);
        seen.into_iter().filter(is_down).map(str::to_owned).collect()
    }

    /// The apps that nobody calls, each with what it calls below it; then those of circles.
    fn lines(&self) -> Vec<String> {
        let called: BTreeSet<&str> =
            self.0.values().flat_map(|node| &node.links).map(String::as_str).collect();
        let (mut lines, mut told) = (Vec::new(), BTreeSet::new());
        for name in self.0.keys().filter(|name| !called.contains(name.as_str())) {
            self.tell(name, "", "", &mut told, &mut lines);
        }
        for name in self.0.keys() {
            if !told.contains(name.as_str()) {
                self.tell(name, "", "", &mut told, &mut lines);
            }
        }
        lines
    }

    /// `first` stands before the app's own line, `rest` before those below it. What was told is not told again.
    fn tell<'g>(
        &'g self,
        name: &'g str,
        first: &str,
        rest: &str,
        told: &mut BTreeSet<&'g str>,
        lines: &mut Vec<String>,
    ) {
        let Some(node) = self.0.get(name) else { return };
        if !told.insert(name) {
            let above = if node.links.is_empty() { "" } else { ", see above" };
            lines.push(format!("{first}{name}  {}{above}", node.words()));
            return;
        }
        lines.push(format!("{first}{name}  {}", node.words()));
        for (number, link) in node.links.iter().enumerate() {
            let is_last = number + 1 == node.links.len();
            let (branch, trunk) = if is_last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            self.tell(link, &format!("{rest}{branch}"), &format!("{rest}{trunk}"), told, lines);
        }
    }
}

impl Node {
    fn words(&self) -> String {
        let own = match (self.exists, self.health) {
            (false, _) => "is not there",
            (true, Health::Up) => "up",
            (true, Health::Degraded) => "degraded",
            (true, Health::Down) => "down",
        };
        let external = if self.external { " (external)" } else { "" };
        match (self.transitive, self.because.as_slice()) {
            (Health::Degraded, [one]) => format!("{own}{external}, degraded: {one} is down"),
            (Health::Degraded, [_, ..]) => {
                format!("{own}{external}, degraded: {} are down", self.because.join(", "))
            }
            _ => format!("{own}{external}"),
        }
    }
}

fn own(state: AppState) -> Health {
    match state {
        AppState::Serving => Health::Up,
        AppState::Degraded => Health::Degraded,
        AppState::Down | AppState::New => Health::Down,
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(apps: &[(&str, AppState, &[&str])], expected: &Expect) {
        let app = |(name, state, links): &(&str, AppState, &[&str])| App {
            name: (*name).to_owned(),
            release: None,
            state: *state,
            urls: Vec::new(),
            ports: Vec::new(),
            origin: String::new(),
            instances: Vec::new(),
            runs: Vec::new(),
            processes: Default::default(),
            deploy: None,
            traffic: Default::default(),
            canary: None,
            external: None,
            links: links.iter().map(|link| (*link).to_owned()).collect(),
            proxy_by_command: Vec::new(),
        };
        let apps: Vec<_> = apps.iter().map(app).collect();
        expected.assert_eq(&(Graph::of(&apps).lines().join("\n") + "\n"));
    }

    #[test]
    fn what_is_down_degrades_all_that_call_it() {
        use AppState::{Degraded, Down, Serving};
        check(
            &[
                ("billing", Serving, &["db", "mail"]),
                ("db", Serving, &[]),
                ("mail", Down, &[]),
                ("search", Degraded, &["db"]),
                ("shop", Serving, &["billing", "gone", "search"]),
                ("tools", Serving, &["billing"]),
            ],
            &expect![[r"
                shop  up, degraded: gone, mail are down
                ├─ billing  up, degraded: mail is down
                │  ├─ db  up
                │  └─ mail  down
                ├─ gone  is not there
                └─ search  degraded
                   └─ db  up
                tools  up, degraded: mail is down
                └─ billing  up, degraded: mail is down, see above
            "]],
        );
    }

    #[test]
    fn circles_end() {
        use AppState::{Down, Serving};
        check(
            &[("a", Serving, &["b"]), ("b", Serving, &["c"]), ("c", Serving, &["a", "d"]), ("d", Down, &[])],
            &expect![[r"
                a  up, degraded: d is down
                └─ b  up, degraded: d is down
                   └─ c  up, degraded: d is down
                      ├─ a  up, degraded: d is down, see above
                      └─ d  down
            "]],
        );
    }
}
