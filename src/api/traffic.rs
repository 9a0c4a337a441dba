//! The traffic of a box, as the wire says it.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whose traffic is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct TrafficQuery {
    /// Of this app alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
}

/// What was counted since the daemon started, at one moment. Rates are the difference of two.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Traffic {
    /// The moment, in milliseconds since the Unix epoch.
    pub at: u64,
    /// By app, host and path.
    pub routes: Vec<RouteTraffic>,
    /// The instances that the routes lead to.
    pub upstreams: Vec<UpstreamTraffic>,
    /// By app and TCP port.
    #[serde(default)]
    pub ports: Vec<PortTraffic>,
    /// From app to app.
    #[serde(default)]
    pub calls: Vec<CallTraffic>,
}

/// The traffic of one route.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct RouteTraffic {
    /// The app.
    pub app: String,
    /// Host and path: `shop.example.com/api`.
    pub route: String,
    /// Requests that have begun and not ended.
    pub in_flight: u64,
    /// Requests that have ended, by class: `2xx`; `499` are those whose client went away before it was answered.
    pub requests: BTreeMap<String, u64>,
    /// From the head of a request to the last byte of its response.
    pub latency: Latency,
    /// Of requests' bodies.
    pub bytes_in: u64,
    /// Of responses' bodies.
    pub bytes_out: u64,
    /// Requests that were sent again.
    pub retries: u64,
    /// Requests that waited for an upstream.
    pub held: u64,
}

/// How long requests took.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Latency {
    /// The buckets' upper bounds, in milliseconds.
    pub bounds: Vec<u64>,
    /// How many fell into each bucket, not added up; one more for what is above the last bound.
    pub counts: Vec<u64>,
    /// All of them together, in microseconds.
    pub sum_micros: u64,
}

/// The traffic of one instance.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct UpstreamTraffic {
    /// The app.
    pub app: String,
    /// `web.1`.
    pub slot: String,
    /// `v3`.
    pub release: String,
    /// The instance's id.
    pub id: String,
    /// Requests that were sent to it, and have ended.
    pub requests: u64,
    /// Those of them without a whole response, or with one of status 500 and above.
    pub failures: u64,
    /// How often it was left alone because it failed.
    pub ejections: u64,
    /// Requests that it has now.
    pub in_flight: u64,
}

/// The traffic of one TCP port.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct PortTraffic {
    /// The app.
    pub app: String,
    /// The port of the box.
    pub port: u16,
    /// Connections that were accepted.
    pub connections: u64,
    /// Those that have not ended.
    pub open: u64,
    /// Those that reached no instance.
    pub failed: u64,
    /// How long the others were open, once they have ended.
    pub duration: Latency,
    /// Bytes of clients whose connections have ended.
    pub bytes_in: u64,
    /// Bytes to them.
    pub bytes_out: u64,
}

/// What went from one app to another.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct CallTraffic {
    /// The app that calls.
    pub caller: String,
    /// The app that is called.
    pub app: String,
    /// Requests that have ended, by class of status.
    pub requests: BTreeMap<String, u64>,
}

// === impl Traffic ===

impl Traffic {
    /// What was counted after `earlier`. What was not known then counts from zero; what is in flight stays as it is.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut since = self.clone();
        for route in &mut since.routes {
            let known =
                earlier.routes.iter().find(|known| known.app == route.app && known.route == route.route);
            if let Some(known) = known {
                route.subtract(known);
            }
        }
        for upstream in &mut since.upstreams {
            if let Some(known) = earlier.upstreams.iter().find(|known| known.id == upstream.id) {
                upstream.requests = upstream.requests.saturating_sub(known.requests);
                upstream.failures = upstream.failures.saturating_sub(known.failures);
                upstream.ejections = upstream.ejections.saturating_sub(known.ejections);
            }
        }
        for call in &mut since.calls {
            let known =
                earlier.calls.iter().find(|known| known.caller == call.caller && known.app == call.app);
            for (class, count) in &mut call.requests {
                let known = known.and_then(|known| known.requests.get(class)).copied().unwrap_or_default();
                *count = count.saturating_sub(known);
            }
        }
        for port in &mut since.ports {
            let known = earlier.ports.iter().find(|known| known.app == port.app && known.port == port.port);
            if let Some(known) = known {
                port.subtract(known);
            }
        }
        since
    }
}

// === impl PortTraffic ===

impl PortTraffic {
    fn subtract(&mut self, earlier: &Self) {
        self.duration.subtract(&earlier.duration);
        let counters = [
            (&mut self.connections, earlier.connections),
            (&mut self.failed, earlier.failed),
            (&mut self.bytes_in, earlier.bytes_in),
            (&mut self.bytes_out, earlier.bytes_out),
        ];
        for (count, earlier) in counters {
            *count = count.saturating_sub(earlier);
        }
    }
}

// === impl RouteTraffic ===

impl RouteTraffic {
    /// Requests that have ended.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.requests.values().sum()
    }

    /// The share of them that ended with a status of 500 and above; `None` when there are none.
    #[must_use]
    pub fn error_share(&self) -> Option<f64> {
        let errors = self.requests.get("5xx").copied().unwrap_or_default();
        let total = self.total();
        (total > 0).then(|| errors as f64 / total as f64)
    }

    fn subtract(&mut self, earlier: &Self) {
        for (class, count) in &mut self.requests {
            *count = count.saturating_sub(earlier.requests.get(class).copied().unwrap_or_default());
        }
        self.latency.subtract(&earlier.latency);
        let counters = [
            (&mut self.bytes_in, earlier.bytes_in),
            (&mut self.bytes_out, earlier.bytes_out),
            (&mut self.retries, earlier.retries),
            (&mut self.held, earlier.held),
        ];
        for (count, earlier) in counters {
            *count = count.saturating_sub(earlier);
        }
    }
}

// === impl Latency ===

impl Latency {
    /// What this share of the requests did not exceed, spread evenly in its bucket; `None` when there are none.
    ///
    /// What is above the last bound is told as that bound: nobody knows how far above. `share` is between 0 and 1.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let count: u64 = self.counts.iter().sum();
        if count == 0 {
            return None;
        }
        let rank = share * count as f64;
        let (mut below, mut lower) = (0, Duration::ZERO);
        for (bound, in_bucket) in self.bounds.iter().zip(&self.counts) {
            let upper = Duration::from_millis(*bound);
            if *in_bucket > 0 && (below + in_bucket) as f64 >= rank {
                let into = (rank - below as f64).max(0.0) / *in_bucket as f64;
                return Some(lower + (upper - lower).mul_f64(into));
            }
            below += in_bucket;
            lower = upper;
        }
        Some(lower)
    }

    fn subtract(&mut self, earlier: &Self) {
        for (count, earlier) in self.counts.iter_mut().zip(&earlier.counts) {
            *count = count.saturating_sub(*earlier);
        }
        self.sum_micros = self.sum_micros.saturating_sub(earlier.sum_micros);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_spread_evenly_in_their_bucket() {
        let check = |counts: [u64; 4], share: f64, expected: Option<u64>| {
            let latency = Latency { bounds: vec![1, 50, 500], counts: counts.to_vec(), sum_micros: 0 };
            let found = latency.quantile(share).map(|found| u64::try_from(found.as_millis()).unwrap());
            assert_eq!(found, expected, "{counts:?} {share}");
        };
        check([0, 0, 0, 0], 0.5, None);
        check([0, 2, 0, 0], 0.5, Some(25));
        check([0, 2, 0, 0], 1.0, Some(50));
        check([3, 0, 1, 0], 0.99, Some(482));
        check([0, 0, 0, 1], 0.5, Some(500));
    }

    #[test]
    fn a_difference_counts_what_is_new_from_zero() {
        let route = |name: &str, ok: u64, in_flight: u64| RouteTraffic {
            route: name.to_owned(),
            requests: BTreeMap::from([("2xx".to_owned(), ok), ("5xx".to_owned(), 1)]),
            in_flight,
            ..RouteTraffic::default()
        };
        let earlier = Traffic { at: 1_000, routes: vec![route("a", 5, 3)], ..Traffic::default() };
        let later =
            Traffic { at: 2_000, routes: vec![route("a", 8, 2), route("b", 3, 0)], ..Traffic::default() };
        let since = later.since(&earlier);
        let found: Vec<_> = since.routes.iter().map(|r| (r.total(), r.in_flight, r.error_share())).collect();
        assert_eq!(found, [(3, 2, Some(0.0)), (4, 0, Some(0.25))]);
    }
}
