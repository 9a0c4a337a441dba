//! Probes that were set by command, over those of the manifest.
//!
//! A [`ProbeSetting`] keeps the words as they were given, which are those of the manifest: `{ http = "/up", interval = "5s" }`.
//! They are read by the code that reads a `[process.NAME]` table, so that both have the same rules and the same messages. `off`
//! is no probe, whatever the manifest says; that an instance is ready is always asked in some way, and cannot be off.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use toml::de::DeTable;

use super::read::{Report, Table};
use super::{Probe, Process, process};

/// Problems of settings stand in no file.
const FILE: &str = "";
/// What is typed for no probe.
const OFF: &str = "off";
/// A probe is a line; a longer one is no probe.
const TEXT_BYTES_MAX: usize = 4096;

/// Which of a process type's probes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProbeKind {
    /// Whether an instance has started; until then nothing else is asked.
    Startup,
    /// Whether it may receive traffic.
    Ready,
    /// Whether it is to be restarted.
    Live,
}

/// Not a kind of probe.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no probe; there are `startup`, `ready` and `live`")]
pub struct NoSuchProbe(String);

/// A probe as a command has set it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeSetting {
    text: String,
    /// What the text says; `None` is no probe.
    probe: Option<Probe>,
}

/// What commands have set of a process type's probes.
pub type ProbeSettings = BTreeMap<ProbeKind, ProbeSetting>;

impl ProbeKind {
    /// All of them, in the order in which they are asked.
    pub const ALL: [Self; 3] = [Self::Startup, Self::Ready, Self::Live];

    /// The name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Startup => "startup",
            Self::Ready => "ready",
            Self::Live => "live",
        }
    }
}

impl FromStr for ProbeKind {
    type Err = NoSuchProbe;

    fn from_str(text: &str) -> Result<Self, NoSuchProbe> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or_else(|| NoSuchProbe(text.to_owned()))
    }
}

impl fmt::Display for ProbeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl ProbeSetting {
    /// What this text, as the manifest has it or `off`, says of a probe of this kind.
    ///
    /// # Errors
    ///
    /// All that is wrong with it, as a sentence.
    pub fn parse(kind: ProbeKind, text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text == OFF {
            return match kind {
                ProbeKind::Ready => {
                    Err("`ready` cannot be off: something has to say when an instance may receive traffic"
                        .to_owned())
                }
                ProbeKind::Startup | ProbeKind::Live => Ok(Self { text: text.to_owned(), probe: None }),
            };
        }
        if text.len() > TEXT_BYTES_MAX || !super::is_value(text) {
            return Err(format!("`{kind}` is not TOML, such as `{{ http = \"/up\" }}`"));
        }
        let document = format!("{kind} = {text}\n");
        let table = DeTable::parse(&document).map_err(|error| error.message().to_owned())?;
        let mut problems = Vec::new();
        let mut report = Report::new(FILE, &document, &mut problems);
        let mut table = Table::new("the probe", table.get_ref());
        let probe = table.take(kind.as_str()).and_then(|entry| process::probe_of(kind, &entry, &mut report));
        match probe {
            Some(probe) if problems.is_empty() => Ok(Self { text: text.to_owned(), probe: Some(probe) }),
            _ => {
                let say = |problem: &super::Problem| match &problem.hint {
                    Some(hint) => format!("{}; {hint}", problem.message),
                    None => problem.message.clone(),
                };
                Err(problems.iter().map(say).collect::<Vec<_>>().join("; "))
            }
        }
    }

    /// As it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Puts it in the place of what the manifest says.
    pub fn apply(&self, kind: ProbeKind, process: &mut Process) {
        let place = match kind {
            ProbeKind::Startup => &mut process.startup,
            ProbeKind::Ready => &mut process.ready,
            ProbeKind::Live => &mut process.live,
        };
        place.clone_from(&self.probe);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::Check;
    use super::*;

    #[test]
    fn a_setting_is_read_as_the_manifest_is() {
        let text = r#"{ http = "/up", port = 81, interval = "5s", deadline = "2m", failures = 2 }"#;
        let setting = ProbeSetting::parse(ProbeKind::Ready, text).unwrap();
        let mut process = Process::default();
        setting.apply(ProbeKind::Ready, &mut process);
        let expected = Probe {
            interval: Some(Duration::from_secs(5)),
            deadline: Duration::from_secs(120),
            failures: 2,
            ..Probe::new(Check::Http { path: "/up".to_owned(), port: Some(81) })
        };
        assert_eq!((process.ready, process.live, setting.text()), (Some(expected), None, text));
    }

    #[test]
    fn off_is_no_probe() {
        let mut process = Process { live: Some(Probe::new(Check::Docker)), ..Process::default() };
        ProbeSetting::parse(ProbeKind::Live, "off").unwrap().apply(ProbeKind::Live, &mut process);
        assert_eq!(process.live, None);
        assert!(ProbeSetting::parse(ProbeKind::Ready, "off").unwrap_err().contains("cannot be off"));
    }

    #[test]
    fn what_is_wrong_is_said_with_what_is_known() {
        let check = |kind, text: &str, expected: &str| {
            assert_eq!(ProbeSetting::parse(kind, text).unwrap_err(), expected);
        };
        check(
            ProbeKind::Live,
            r#"{ http = "/up", deadline = "1m" }"#,
            "unknown key `deadline` in `live`; known here: `port`, `http`, `tcp`, `command`, `docker`, `grpc`, \
             `hootsuite`, `interval`, `timeout`, `failures`",
        );
        check(
            ProbeKind::Live,
            r#"{ htp = "/up", tcp = true }"#,
            "unknown key `htp` in `live`; did you mean `http`?",
        );
        check(ProbeKind::Ready, "\"/up\"", "`ready` is a string; it takes a table");
        check(ProbeKind::Ready, "{ tcp = true }\nx = 1", "`ready` is not TOML, such as `{ http = \"/up\" }`");
        check(ProbeKind::Ready, "/up", "`ready` is not TOML, such as `{ http = \"/up\" }`");
    }

    #[test]
    fn kinds_have_their_names_back() {
        for kind in ProbeKind::ALL {
            assert_eq!(kind.as_str().parse(), Ok(kind));
        }
        let error = "up".parse::<ProbeKind>().unwrap_err().to_string();
        assert_eq!(error, "`up` is no probe; there are `startup`, `ready` and `live`");
    }
}
