//! The knobs: what the environment tells the test app to do, read once. `main` documents them.

use std::{env, str::FromStr, time::Duration};

use tokio::time::Instant;

/// All knobs, with their defaults filled in.
pub(crate) struct Knobs {
    pub(crate) version: String,
    pub(crate) instance: String,
    pub(crate) port: u16,
    pub(crate) listens: bool,
    pub(crate) tcp_port: Option<u16>,
    pub(crate) start_delay: Duration,
    pub(crate) ready_at: Instant,
    pub(crate) exit: Option<Exit>,
    pub(crate) redirects_probe: bool,
    pub(crate) warns: bool,
    pub(crate) drops_sockets: bool,
    pub(crate) breaks_streams: bool,
    pub(crate) stopping: Stopping,
}

/// A crash to come.
#[derive(Clone, Copy)]
pub(crate) struct Exit {
    pub(crate) after: Duration,
    pub(crate) code: i32,
}

/// What happens on the signal to stop.
#[derive(Clone, Copy)]
pub(crate) struct Stopping {
    pub(crate) ignored: bool,
    pub(crate) delay: Duration,
}

impl Knobs {
    /// Reads the environment; the clock of `READY_AFTER_MS` starts here.
    pub(crate) fn from_env() -> Self {
        Self {
            version: var("VERSION").unwrap_or_else(|| "dev".to_owned()),
            instance: var("HOSTNAME").unwrap_or_else(|| "unknown".to_owned()),
            port: var("LISTEN_PORT").or_else(|| var("PORT")).unwrap_or(8080),
            listens: !is_set("NO_LISTEN"),
            tcp_port: var("TCP_PORT"),
            start_delay: millis("START_DELAY_MS").unwrap_or_default(),
            ready_at: Instant::now() + millis("READY_AFTER_MS").unwrap_or_default(),
            exit: millis("EXIT_AFTER_MS").map(|after| Exit { after, code: var("EXIT_CODE").unwrap_or(1) }),
            redirects_probe: is_set("PROBE_REDIRECT"),
            warns: is_set("WARN"),
            drops_sockets: is_set("WS_SILENT"),
            breaks_streams: is_set("SSE_SILENT"),
            stopping: Stopping {
                ignored: is_set("IGNORE_TERM"),
                delay: millis("TERM_DELAY_MS").unwrap_or_default(),
            },
        }
    }
}

/// A variable's value, if it is there and not empty. One that does not parse is a mistake in a test.
fn var<T: FromStr>(name: &str) -> Option<T> {
    let value = env::var(name).ok().filter(|value| !value.is_empty())?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name}={value} is not what the test app takes there")))
}

fn millis(name: &str) -> Option<Duration> {
    var(name).map(Duration::from_millis)
}

fn is_set(name: &str) -> bool {
    var::<u8>(name).is_some_and(|value| value != 0)
}
