//! Tries to do what one may not, in the audit log.
//!
//! Whoever is known and refused (403) is an event, `denied`, with the route and why. A script that tries again and again is one
//! event a minute for each route, which says how often it was; so a caller cannot push what matters out of the log.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::events::{News, Outcome, Reporter};
use crate::people::Actor;
use crate::plain::plain;

/// What such an event is called.
const ACTION: &str = "denied";
/// Between two events of one actor and route.
const NOTED_EVERY: Duration = Duration::from_secs(60);
/// Actors and routes that are told apart; with more within a minute, those that are not yet known wait for a place.
const KNOWN_MAX: usize = 1024;
/// What of a refusal is kept.
const DETAIL_CHARS_MAX: usize = 200;

/// Notes who was refused what.
pub(super) struct Denials {
    reporter: Reporter,
    known: Mutex<Known>,
}

/// Who was refused lately, by actor and route.
#[derive(Debug, Default)]
struct Known(HashMap<(Actor, Arc<str>), Lately>);

#[derive(Debug)]
struct Lately {
    noted: Instant,
    /// Refusals since then.
    more: u64,
}

impl Denials {
    pub(super) fn new(reporter: Reporter) -> Self {
        Self { reporter, known: Mutex::default() }
    }

    /// Notes that `news.actor` was refused what the audit log calls `route`; `news.detail` says why.
    pub(super) fn note(&self, route: &Arc<str>, news: News) {
        let before = {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            known.count((news.actor.clone(), Arc::clone(route)), Instant::now())
        };
        let Some(before) = before else { return };
        let again = if before == 0 { String::new() } else { format!(" (and {before} more since the last)") };
        let detail = format!("{}{again}", plain(&format!("{route}: {}", news.detail), DETAIL_CHARS_MAX));
        let outcome = Outcome::Failed("forbidden".to_owned());
        self.reporter.tell(News { action: ACTION.to_owned(), detail, outcome, ..news });
    }
}

impl Known {
    /// Counts a refusal. Returns how many were not noted since the last one that was, if this one is to be.
    fn count(&mut self, what: (Actor, Arc<str>), now: Instant) -> Option<u64> {
        let is_old = |lately: &Lately| now.duration_since(lately.noted) >= NOTED_EVERY;
        if let Some(lately) = self.0.get_mut(&what) {
            if !is_old(lately) {
                lately.more += 1;
                return None;
            }
            lately.noted = now;
            return Some(std::mem::take(&mut lately.more));
        }
        if self.0.len() >= KNOWN_MAX {
            self.0.retain(|_, lately| !is_old(lately));
        }
        if self.0.len() >= KNOWN_MAX {
            return None;
        }
        self.0.insert(what, Lately { noted: now, more: 0 });
        Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_a_minute_for_each_actor_and_route() {
        let (mut known, start) = (Known::default(), Instant::now());
        let mut count = |actor: &str, route: &str, seconds| {
            known.count((Actor::named(actor), route.into()), start + Duration::from_secs(seconds))
        };
        assert_eq!(count("vera", "config-set", 0), Some(0));
        assert_eq!(count("vera", "config-set", 1), None);
        assert_eq!(count("vera", "config-set", 59), None);
        assert_eq!(count("vera", "scale", 59), Some(0), "another route");
        assert_eq!(count("carl", "config-set", 59), Some(0), "somebody else");
        assert_eq!(count("vera", "config-set", 60), Some(2));
        assert_eq!(count("vera", "config-set", 61), None);
        assert_eq!(count("vera", "config-set", 121), Some(1));
    }

    #[test]
    fn who_is_known_is_bounded() {
        let (mut known, start) = (Known::default(), Instant::now());
        for number in 0..=KNOWN_MAX {
            let actor = Actor::named(format!("user{number}"));
            let noted = known.count((actor, "scale".into()), start);
            assert_eq!(noted.is_some(), number < KNOWN_MAX, "{number}");
        }
        let later = start + NOTED_EVERY;
        assert_eq!(known.count((Actor::named("another"), "scale".into()), later), Some(0));
        assert_eq!(known.0.len(), 1, "what is a minute old makes room");
    }
}
