//! A story made from a seed: deploys, crashes and an engine that misbehaves.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use minipaas::controller::{CanaryChange, CanaryError, Change, TrafficChange};
use minipaas::engine::fake::{Behaviour, Fault, Operation};
use minipaas::environment::{EnvironmentChange, Kind as VariableKind, Variable, VariableName};
use minipaas::name::ReleaseId;

use super::world::{Daemon, World, image_of};

const APPS: [&str; 2] = ["shop", "blog"];

/// A seeded story.
pub(super) struct Script {
    dice: Dice,
    steps: usize,
    /// Makes every deploy a change.
    change: u32,
    /// What was ever deployed, so that all of it can be made to behave in the end.
    images: Vec<String>,
}

/// SplitMix64: the same numbers everywhere, for ever.
struct Dice(u64);

/// One step of a story.
#[derive(Debug)]
enum Act {
    Deploy { app: usize, behaviour: Option<Behaviour>, kind: Kind, replicas: u32, waits: bool },
    Change { app: usize, change: Change, waits: bool },
    Canary { app: usize, change: CanaryChange },
    Traffic { app: usize, change: TrafficChange },
    Answers { app: usize, well: u32, failing: u32 },
    Kill,
    Fault(Operation),
    EngineAway { seconds: u64 },
    EngineHangs { seconds: u64 },
    Pass { millis: u64 },
    CrashDaemon,
    Down { app: usize },
}

/// How a release takes over.
#[derive(Debug, Clone, Copy)]
enum Kind {
    StartFirst,
    Volume,
    Canary,
    Watched,
    Both,
}

impl Script {
    pub(super) fn new(seed: u64, steps: usize) -> Self {
        Self { dice: Dice(seed), steps, change: 0, images: Vec::new() }
    }

    pub(super) fn play(mut self) {
        let mut world = World::new();
        let mut left = self.steps;
        while left > 0 {
            left = world.life(async |daemon| self.act_until_crash(daemon, left).await);
        }
        world.life(async |daemon| {
            // From here on everything behaves, and what was started while it did not is started again.
            self.images.iter().for_each(|image| daemon.engine.behave(image.clone(), Behaviour::default()));
            daemon.settle().await;
            self.decide(daemon).await;
            daemon.settle().await;
            for container in daemon.containers().await {
                daemon.engine.kill(&container.labels.instance, 1);
            }
            daemon.settle().await;
            let view = daemon.controller.view();
            let serving: Vec<_> = view
                .apps
                .iter()
                .filter(|app| app.release.is_some())
                .map(|app| app.name.to_string())
                .collect();
            let serving: Vec<_> = serving.iter().map(String::as_str).collect();
            daemon.check_settled(&serving).await;
        });
    }

    /// Has every canary take over, or go.
    async fn decide(&mut self, daemon: &mut Daemon) {
        for app in APPS {
            let change = if self.dice.below(2) == 0 { CanaryChange::Promote } else { CanaryChange::Abort };
            match daemon.canary(app, change).await {
                Ok(_) | Err(CanaryError::None(_) | CanaryError::Unknown(_)) => {}
                Err(error) => panic!("{error}: {:#?}", daemon.engine.log()),
            }
        }
    }

    async fn act_until_crash(&mut self, daemon: &mut Daemon, mut left: usize) -> usize {
        while left > 0 {
            left -= 1;
            let act = self.next_act();
            if matches!(act, Act::CrashDaemon) {
                return left;
            }
            self.act(daemon, act).await;
            daemon.watcher.check();
        }
        left
    }

    async fn act(&mut self, daemon: &mut Daemon, act: Act) {
        match act {
            Act::Deploy { app, behaviour, kind, replicas, waits } => {
                self.change += 1;
                let kind = match kind {
                    Kind::StartFirst => "",
                    Kind::Volume => "[volume.data]\npath = \"/data\"\n",
                    Kind::Canary => "[deploy]\ncanary = { percent = 10 }\n",
                    Kind::Watched => "[deploy]\nwatch_window = \"20s\"\n",
                    Kind::Both => "[deploy]\ncanary = { percent = 10 }\nwatch_window = \"20s\"\n",
                };
                let toml =
                    format!("{kind}[env]\nN = \"{}\"\n[process.web]\nreplicas = {replicas}\n", self.change);
                let image = image_of(APPS[app], &toml);
                daemon.engine.behave(image.clone(), behaviour.unwrap_or_default());
                self.images.push(image);
                let started = daemon.start_deploy(APPS[app], &toml).await;
                if waits {
                    let _ = started.ended().await;
                }
            }
            Act::Change { app, change, waits } => {
                let started = daemon.start_change(APPS[app], change).await;
                if waits {
                    let _ = started.ended().await;
                }
            }
            Act::Canary { app, change } => drop(daemon.canary(APPS[app], change).await),
            Act::Traffic { app, change } => drop(daemon.traffic(APPS[app], change).await),
            Act::Answers { app, well, failing } => {
                daemon.answer(&format!("{}.localhost", APPS[app]), well, failing);
            }
            Act::Kill => {
                let view = daemon.controller.view();
                let instances = view.apps.iter().flat_map(|app| &app.instances);
                let all: Vec<_> = instances.filter_map(|instance| instance.id.clone()).collect();
                if !all.is_empty() {
                    let index = usize::try_from(self.dice.below(all.len() as u64)).unwrap();
                    daemon.engine.kill(&all[index], 1);
                }
            }
            Act::Fault(operation) => daemon.engine.fail_next(operation, Fault::Refused("no".to_owned())),
            Act::EngineAway { seconds } => {
                daemon.engine.disconnect();
                tokio::time::sleep(Duration::from_secs(seconds)).await;
                daemon.engine.reconnect();
            }
            Act::EngineHangs { seconds } => {
                daemon.engine.hang(true);
                tokio::time::sleep(Duration::from_secs(seconds)).await;
                daemon.engine.hang(false);
            }
            Act::Pass { millis } => tokio::time::sleep(Duration::from_millis(millis)).await,
            Act::Down { app } => drop(daemon.start_down(APPS[app]).await),
            Act::CrashDaemon => unreachable!("the caller ends the life"),
        }
    }

    fn next_act(&mut self) -> Act {
        let dice = &mut self.dice;
        match dice.below(26) {
            0..=6 => Act::Deploy {
                app: usize::from(dice.below(2) == 1),
                behaviour: dice.behaviour(),
                kind: dice.kind(),
                replicas: 1 + u32::try_from(dice.below(3)).unwrap(),
                waits: dice.below(2) == 0,
            },
            7..=9 => Act::Kill,
            10 | 11 => {
                const OPERATIONS: [Operation; 6] = [
                    Operation::Create,
                    Operation::Start,
                    Operation::Stop,
                    Operation::Remove,
                    Operation::Inspect,
                    Operation::Volume,
                ];
                Act::Fault(OPERATIONS[usize::try_from(dice.below(6)).unwrap()])
            }
            12 => Act::EngineAway { seconds: dice.below(90) },
            13 => Act::EngineHangs { seconds: dice.below(90) },
            14..=16 => Act::Pass { millis: dice.below(20_000) },
            17 | 18 => Act::CrashDaemon,
            19 | 20 => Act::Canary {
                app: usize::from(dice.below(2) == 1),
                change: match dice.below(5) {
                    0 | 1 => CanaryChange::Promote,
                    2 => CanaryChange::Abort,
                    _ => CanaryChange::Percent(u8::try_from(dice.below(101)).unwrap()),
                },
            },
            21 => Act::Traffic { app: usize::from(dice.below(2) == 1), change: dice.traffic() },
            22 => Act::Answers {
                app: usize::from(dice.below(2) == 1),
                well: u32::try_from(dice.below(100)).unwrap(),
                failing: u32::try_from(dice.below(30)).unwrap(),
            },
            23 | 24 => Act::Change {
                app: usize::from(dice.below(2) == 1),
                change: dice.change(),
                waits: dice.below(2) == 0,
            },
            _ => Act::Down { app: usize::from(dice.below(2) == 1) },
        }
    }
}

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn kind(&mut self) -> Kind {
        match self.below(8) {
            0..=2 => Kind::StartFirst,
            3 | 4 => Kind::Volume,
            5 => Kind::Canary,
            6 => Kind::Watched,
            _ => Kind::Both,
        }
    }

    /// What makes a release without new code.
    fn change(&mut self) -> Change {
        if self.below(2) == 0 {
            let release = ReleaseId::from_number(self.below(6));
            return Change::Rollback(release);
        }
        let name: VariableName = "M".parse().unwrap();
        let value = self.below(3).to_string();
        let variable = Variable::new(&name, value, VariableKind::Plain).unwrap();
        Change::Config(EnvironmentChange { set: [(name, variable)].into(), unset: BTreeSet::new() })
    }

    fn traffic(&mut self) -> TrafficChange {
        match self.below(4) {
            0 => TrafficChange::Maintain(Arc::default()),
            1 => TrafficChange::EndMaintenance,
            2 => TrafficChange::Pause { wait: Duration::from_secs(self.below(300)) },
            _ => TrafficChange::Resume,
        }
    }

    fn behaviour(&mut self) -> Option<Behaviour> {
        let normal = Behaviour::default();
        Some(match self.below(8) {
            0 => Behaviour { ready_after: None, ..normal },
            1 => Behaviour { exits_after: Some((Duration::from_millis(self.below(3000)), 1)), ..normal },
            2 => Behaviour { ready_after: Some(Duration::from_millis(self.below(70_000))), ..normal },
            3 => Behaviour { start_delay: Duration::from_millis(self.below(5000)), ..normal },
            4 => Behaviour { ignores_term: true, ..normal },
            5 => Behaviour { listens_on: Some(9), ..normal },
            _ => return None,
        })
    }
}
