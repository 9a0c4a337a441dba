//! `minipaas top`: the traffic of the last second, drawn again every second; where there is no terminal, once.

use std::time::Duration;

use serde::Serialize;

use super::Session;
use super::args::AppArgs;
use super::failure::Failure;
use super::metrics::{errors, quantiles, query};
use super::output::{Table, size};
use super::project;
use crate::api::{RouteTraffic, Traffic};

/// Between two readings.
const INTERVAL: Duration = Duration::from_secs(1);

/// What a program gets of one route.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Row<'t> {
    app: &'t str,
    route: &'t str,
    requests_per_second: f64,
    /// Between 0 and 1.
    error_share: Option<f64>,
    p50_ms: Option<f64>,
    p95_ms: Option<f64>,
    p99_ms: Option<f64>,
    in_flight: u64,
    bytes_in_per_second: f64,
    bytes_out_per_second: f64,
}

pub(crate) async fn run(session: &Session, args: &AppArgs) -> Result<(), Failure> {
    let (out, client) = (session.out, session.client());
    let query = query(project::named_app(session, args).as_ref());
    let mut before = client.traffic(&query).await?;
    loop {
        tokio::time::sleep(INTERVAL).await;
        let now = client.traffic(&query).await?;
        let sample = now.since(&before);
        let secs = seconds(&before, &now);
        if out.is_json() {
            let rows: Vec<_> = sample.routes.iter().map(|route| row(route, secs)).collect();
            out.json(&rows)?;
            return Ok(());
        }
        let table = table(&sample, secs);
        if !out.is_screen() {
            out.table(&table)?;
            return Ok(());
        }
        out.screen(&table)?;
        before = now;
    }
}

/// How long it was between two readings; clocks may have been set meanwhile.
fn seconds(before: &Traffic, now: &Traffic) -> f64 {
    match now.at.saturating_sub(before.at) {
        0 => INTERVAL.as_secs_f64(),
        millis => millis as f64 / 1e3,
    }
}

fn table(sample: &Traffic, secs: f64) -> Table {
    let header = ["APP", "ROUTE", "REQ/S", "ERRORS", "P50", "P95", "P99", "IN-FLIGHT", "IN/S", "OUT/S"];
    let mut table = Table::new(header);
    for route in &sample.routes {
        let per_second = |count: u64| (count as f64 / secs) as u64;
        let rate = format!("{:.1}", route.total() as f64 / secs);
        let first = [route.app.clone(), route.route.clone(), rate, errors(route)];
        let bytes = [route.bytes_in, route.bytes_out].map(|count| size(per_second(count)));
        let last = [route.in_flight.to_string()].into_iter().chain(bytes);
        table.row(first.into_iter().chain(quantiles(&route.latency)).chain(last));
    }
    table
}

fn row(route: &RouteTraffic, secs: f64) -> Row<'_> {
    let millis = |share| route.latency.quantile(share).map(|found| found.as_secs_f64() * 1e3);
    Row {
        app: &route.app,
        route: &route.route,
        requests_per_second: route.total() as f64 / secs,
        error_share: route.error_share(),
        p50_ms: millis(0.5),
        p95_ms: millis(0.95),
        p99_ms: millis(0.99),
        in_flight: route.in_flight,
        bytes_in_per_second: route.bytes_in as f64 / secs,
        bytes_out_per_second: route.bytes_out as f64 / secs,
    }
}
