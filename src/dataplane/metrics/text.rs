//! A snapshot as Prometheus reads it: OpenMetrics text, which `prometheus-client` writes.
//!
//! Names follow Prometheus' rules: a prefix, the base unit, `_total` for what only grows. Of a route's labels `route` is host
//! and path; of an upstream's, `slot` and `id` rather than `instance`, which is Prometheus' own word for what it scrapes.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType::{self, Counter, Gauge, Histogram};
use prometheus_client::registry::{Registry, Unit};

use super::histogram::{BOUNDS, Distribution};
use super::limits;
use super::series::STATUSES;
use super::{PortSample, RouteSample, Snapshot, UpstreamSample};

/// What [`Snapshot::to_text`] is.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

const PREFIX: &str = "minipaas";

impl Snapshot {
    /// The text that is scraped.
    #[must_use]
    pub fn to_text(self) -> String {
        let mut registry = Registry::with_prefix(PREFIX);
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        text::encode(&mut text, &registry).expect("memory takes it");
        text
    }
}

impl Collector for Snapshot {
    fn encode(&self, mut to: DescriptorEncoder<'_>) -> fmt::Result {
        self.encode_routes(&mut to)?;
        self.encode_upstreams(&mut to)?;
        self.encode_ports(&mut to)?;
        self.encode_calls(&mut to)?;
        self.encode_certificates(&mut to)?;
        self.encode_global(&mut to)
    }
}

impl Snapshot {
    fn encode_routes(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut family = to.encode_descriptor(
            "http_requests",
            "Requests that have ended, by class of status; 499 are those whose client went away before it was answered.",
            None,
            Counter,
        )?;
        for route in &self.routes {
            for (status, count) in STATUSES.iter().zip(route.ended) {
                let labels = [("app", &*route.app), ("route", &*route.route), ("status", *status)];
                counter(&mut family, &labels, count)?;
            }
        }
        let mut family = to.encode_descriptor(
            "http_request_duration",
            "Time from the head of a request to the last byte of its response.",
            Some(&Unit::Seconds),
            Histogram,
        )?;
        for route in &self.routes {
            histogram(&mut family, &labels_of(route), &route.latency)?;
        }
        self.each_route(
            to,
            "http_requests_in_flight",
            "Requests that have not ended.",
            None,
            Gauge,
            |route| route.in_flight,
        )?;
        let bytes = Some(&Unit::Bytes);
        self.each_route(to, "http_request_body", "Bytes of requests' bodies.", bytes, Counter, |route| {
            route.bytes_in
        })?;
        self.each_route(to, "http_response_body", "Bytes of responses' bodies.", bytes, Counter, |route| {
            route.bytes_out
        })?;
        self.each_route(to, "http_retries", "Requests that were sent again.", None, Counter, |route| {
            route.retries
        })?;
        self.each_route(to, "http_held", "Requests that waited for an upstream.", None, Counter, |route| {
            route.held
        })
    }

    fn each_route(
        &self,
        to: &mut DescriptorEncoder<'_>,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        kind: MetricType,
        value: impl Fn(&RouteSample) -> u64,
    ) -> fmt::Result {
        let is_gauge = matches!(kind, Gauge);
        let mut family = to.encode_descriptor(name, help, unit, kind)?;
        for route in &self.routes {
            let write = if is_gauge { gauge } else { counter };
            write(&mut family, &labels_of(route), value(route))?;
        }
        Ok(())
    }

    fn encode_upstreams(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        type Value = fn(&UpstreamSample) -> u64;
        let families: [(&str, &str, MetricType, Value); 5] = [
            ("upstream_requests", "Requests that were sent to the instance, and have ended.", Counter, |u| {
                u.requests
            }),
            (
                "upstream_failures",
                "Requests to the instance without a whole response, or with one of status 500 and above.",
                Counter,
                |u| u.failures,
            ),
            ("upstream_ejections", "How often the instance was left alone as it failed.", Counter, |u| {
                u.ejections
            }),
            ("upstream_requests_in_flight", "Requests that the instance has now.", Gauge, |u| u.in_flight),
            ("upstream_ejected", "Whether the instance is left alone now.", Gauge, |u| u.is_ejected.into()),
        ];
        for (name, help, kind, value) in families {
            let write = if matches!(kind, Gauge) { gauge } else { counter };
            let mut family = to.encode_descriptor(name, help, None, kind)?;
            for upstream in &self.upstreams {
                let UpstreamSample { app, slot, release, instance, .. } = upstream;
                let labels = [("app", &**app), ("slot", slot), ("release", release), ("id", instance)];
                write(&mut family, &labels, value(upstream))?;
            }
        }
        Ok(())
    }

    fn encode_ports(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        type Value = fn(&PortSample) -> u64;
        // Most boxes have none.
        if self.ports.is_empty() {
            return Ok(());
        }
        let bytes = Some(&Unit::Bytes);
        let families: [(&str, &str, Option<&Unit>, MetricType, Value); 5] = [
            ("tcp_connections", "Connections to the port.", None, Counter, |port| port.opened),
            ("tcp_connections_failed", "Those that reached no instance.", None, Counter, |port| port.failed),
            ("tcp_connections_open", "Those that have not ended.", None, Gauge, |port| port.open),
            ("tcp_received", "Bytes of clients whose connections have ended.", bytes, Counter, |port| {
                port.bytes_in
            }),
            ("tcp_sent", "Bytes to clients whose connections have ended.", bytes, Counter, |port| {
                port.bytes_out
            }),
        ];
        for (name, help, unit, kind, value) in families {
            let write = if matches!(kind, Gauge) { gauge } else { counter };
            let mut family = to.encode_descriptor(name, help, unit, kind)?;
            for port in &self.ports {
                write(&mut family, &[("app", &port.app), ("port", &port.listen.to_string())], value(port))?;
            }
        }
        let help = "How long connections to the port were open.";
        let mut family =
            to.encode_descriptor("tcp_connection_duration", help, Some(&Unit::Seconds), Histogram)?;
        for port in &self.ports {
            let listen = port.listen.to_string();
            histogram(&mut family, &[("app", &port.app), ("port", &listen)], &port.duration)?;
        }
        Ok(())
    }

    fn encode_calls(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        // Most boxes have none.
        if self.calls.is_empty() {
            return Ok(());
        }
        let help = "Requests of one app to another that have ended, by class of status.";
        let mut family = to.encode_descriptor("app_calls", help, None, Counter)?;
        for call in &self.calls {
            for (status, count) in STATUSES.iter().zip(call.ended) {
                let labels = [("app", &*call.app), ("caller", &*call.caller), ("status", *status)];
                counter(&mut family, &labels, count)?;
            }
        }
        Ok(())
    }

    fn encode_certificates(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let known = || self.certificates.iter().take(limits::CERTIFICATES_MAX);
        let help = "When certificates run out, those of the box's own CA apart.";
        let mut family =
            to.encode_descriptor("certificate_expiry_timestamp", help, Some(&Unit::Seconds), Gauge)?;
        for sample in known() {
            if let Some(not_after) = sample.not_after {
                gauge(&mut family, &[("name", &*sample.name)], not_after)?;
            }
        }
        let help = "Whether a certificate, or its successor, cannot be had.";
        let mut family = to.encode_descriptor("certificate_problem", help, None, Gauge)?;
        for sample in known() {
            gauge(&mut family, &[("name", &*sample.name)], sample.has_problem.into())?;
        }
        Ok(())
    }

    fn encode_global(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let global = &self.global;
        let listeners = [("http", global.http), ("https", global.https)];
        let mut family = to.encode_descriptor("connections", "Connections accepted.", None, Counter)?;
        for (name, listener) in listeners {
            counter(&mut family, &[("listener", name)], listener.opened)?;
        }
        let mut family = to.encode_descriptor("connections_open", "Connections open.", None, Gauge)?;
        for (name, listener) in listeners {
            gauge(&mut family, &[("listener", name)], listener.open)?;
        }
        let help = "Connections closed at once, because their client had enough.";
        to.encode_descriptor("connections_refused", help, None, Counter)?
            .encode_counter::<NoLabelSet, u64, u64>(&global.refused, None)?;
        let mut family = to.encode_descriptor("tls_handshakes", "TLS handshakes.", None, Counter)?;
        counter(&mut family, &[("result", "ok")], global.handshakes)?;
        counter(&mut family, &[("result", "failed")], global.handshakes_failed)?;
        let help = "Requests that no app answered, by the code of the error.";
        let mut family = to.encode_descriptor("errors", help, None, Counter)?;
        for (code, count) in &global.errors {
            counter(&mut family, &[("code", *code)], *count)?;
        }
        let help = "Lines that the access log had no room for.";
        to.encode_descriptor("access_log_dropped", help, None, Counter)?
            .encode_counter::<NoLabelSet, u64, u64>(&global.log_dropped, None)?;
        let help = "Routes, upstreams and ports that were too many to be counted here.";
        to.encode_descriptor("metrics_left_out", help, None, Counter)?
            .encode_counter::<NoLabelSet, u64, u64>(&self.left_out, None)
    }
}

fn labels_of(route: &RouteSample) -> [(&'static str, &str); 2] {
    [("app", &route.app), ("route", &route.route)]
}

fn counter(family: &mut MetricEncoder<'_>, labels: &[(&str, &str)], value: u64) -> fmt::Result {
    family.encode_family(&labels)?.encode_counter::<NoLabelSet, u64, u64>(&value, None)
}

fn histogram(
    family: &mut MetricEncoder<'_>,
    labels: &[(&str, &str)],
    distribution: &Distribution,
) -> fmt::Result {
    let bounds = BOUNDS.iter().map(std::time::Duration::as_secs_f64).chain([f64::INFINITY]);
    let buckets: Vec<_> = bounds.zip(distribution.buckets).collect();
    let sum = distribution.sum_micros as f64 / 1e6;
    let count = distribution.count();
    family.encode_family(&labels)?.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
}

fn gauge(family: &mut MetricEncoder<'_>, labels: &[(&str, &str)], value: u64) -> fmt::Result {
    family.encode_family(&labels)?.encode_gauge(&value)
}
