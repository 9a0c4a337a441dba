//! `minipaas metrics`: how many requests there were since the daemon started, and how they went.

use std::time::Duration;

use super::Session;
use super::args::AppArgs;
use super::failure::Failure;
use super::output::{Table, size};
use super::project;
use crate::api::{CallTraffic, Latency, PortTraffic, RouteTraffic, TrafficQuery, UpstreamTraffic};

pub(crate) async fn run(session: &Session, args: &AppArgs) -> Result<(), Failure> {
    let out = session.out;
    let app = project::named_app(session, args);
    let traffic = session.client().traffic(&query(app.as_ref())).await?;
    if out.is_json() {
        out.json(&traffic)?;
        return Ok(());
    }
    let header = ["APP", "ROUTE", "REQUESTS", "ERRORS", "P50", "P95", "P99", "IN-FLIGHT", "IN", "OUT"];
    let mut table = Table::new(header);
    for route in &traffic.routes {
        let RouteTraffic { app, route: name, in_flight, bytes_in, bytes_out, .. } = route;
        let first = [app.clone(), name.clone(), route.total().to_string(), errors(route)];
        let last = [in_flight.to_string(), size(*bytes_in), size(*bytes_out)];
        table.row(first.into_iter().chain(quantiles(&route.latency)).chain(last));
    }
    out.table(&table)?;
    if !traffic.ports.is_empty() {
        let header = ["APP", "PORT", "CONNECTIONS", "FAILED", "P50", "P95", "P99", "OPEN", "IN", "OUT"];
        let mut table = Table::new(header);
        for found in &traffic.ports {
            let PortTraffic { app, port, connections, failed, open, bytes_in, bytes_out, .. } = found;
            let first = [app.clone(), port.to_string(), connections.to_string(), failed.to_string()];
            let last = [open.to_string(), size(*bytes_in), size(*bytes_out)];
            table.row(first.into_iter().chain(quantiles(&found.duration)).chain(last));
        }
        out.line("")?;
        out.table(&table)?;
    }
    if !traffic.calls.is_empty() {
        let mut table = Table::new(["CALLER", "APP", "REQUESTS", "ERRORS"]);
        for CallTraffic { caller, app, requests } in &traffic.calls {
            let errors = requests.get("5xx").copied().unwrap_or_default();
            let total: u64 = requests.values().sum();
            table.row([caller.clone(), app.clone(), total.to_string(), share(errors, total)]);
        }
        out.line("")?;
        out.table(&table)?;
    }
    if app.is_some() && !traffic.upstreams.is_empty() {
        let mut table = Table::new(["SLOT", "RELEASE", "REQUESTS", "FAILED", "EJECTED", "IN-FLIGHT"]);
        for upstream in &traffic.upstreams {
            let UpstreamTraffic { slot, release, requests, failures, ejections, in_flight, .. } = upstream;
            let numbers = [requests, failures, ejections, in_flight].map(ToString::to_string);
            table.row([slot.clone(), release.clone()].into_iter().chain(numbers));
        }
        out.line("")?;
        out.table(&table)?;
    }
    Ok(())
}

/// Asks for one app's traffic, or everybody's.
pub(crate) fn query(app: Option<&crate::name::AppName>) -> TrafficQuery {
    TrafficQuery { app: app.map(ToString::to_string) }
}

/// The share of requests that failed: `0.25%`.
pub(crate) fn errors(route: &RouteTraffic) -> String {
    route.error_share().map_or_else(|| "-".to_owned(), |share| format!("{:.2}%", share * 100.0))
}

fn share(errors: u64, total: u64) -> String {
    match total {
        0 => "-".to_owned(),
        total => format!("{:.2}%", errors as f64 / total as f64 * 100.0),
    }
}

/// How long half, 95 and 99 of a hundred took at most.
pub(crate) fn quantiles(latency: &Latency) -> [String; 3] {
    [0.5, 0.95, 0.99].map(|share| latency.quantile(share).map_or_else(|| "-".to_owned(), duration))
}

fn duration(duration: Duration) -> String {
    match duration.as_secs_f64() * 1e3 {
        millis if millis < 10.0 => format!("{millis:.1}ms"),
        millis if millis < 1000.0 => format!("{millis:.0}ms"),
        millis => format!("{:.1}s", millis / 1e3),
    }
}
