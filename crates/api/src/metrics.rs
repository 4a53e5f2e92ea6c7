//! What this room counts, and the text of `/metrics`. A user, a workspace or a key is never a label.

use crate::error::Code;
use axum::http::StatusCode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::time::Duration;

/// The metrics of one node: what the other rooms registered, and HTTP's own.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: Family<Served, Counter>,
    seconds: Family<Routed, Histogram, fn() -> Histogram>,
    refusals: Family<Coded, Counter>,
    pub(crate) connections: Gauge,
    pub(crate) turned_away: Counter,
}

/// What is counted with each answer of one route, looked up once.
#[derive(Debug)]
pub(crate) struct RouteMetrics {
    pub route: &'static str,
    ok: Counter,
    seconds: Histogram,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Served {
    route: &'static str,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Routed {
    route: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Coded {
    code: &'static str,
}

/// From a local decision to a slow election.
const BUCKETS_SECONDS: [f64; 14] =
    [0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.0, 10.0];

impl Metrics {
    /// Over a registry in which the other rooms of the node have put what they count.
    pub fn new(mut registry: Registry) -> Self {
        let requests = Family::default();
        let seconds: Family<Routed, Histogram, fn() -> Histogram> =
            Family::new_with_constructor(|| Histogram::new(BUCKETS_SECONDS));
        let refusals = Family::default();
        let connections = Gauge::default();
        let turned_away = Counter::default();
        registry.register("tranche_http_requests", "Requests by route and status", requests.clone());
        registry.register("tranche_http_request_seconds", "Time to answer, by route", seconds.clone());
        registry.register("tranche_http_refusals", "Refusals by code of the error table", refusals.clone());
        registry.register("tranche_http_connections", "Open connections", connections.clone());
        registry.register(
            "tranche_http_connections_turned_away",
            "Connections refused because as many as allowed were open",
            turned_away.clone(),
        );
        Self { registry, requests, seconds, refusals, connections, turned_away }
    }

    pub(crate) fn of_route(&self, route: &'static str) -> RouteMetrics {
        let ok = self.requests.get_or_create(&Served { route, status: 200 }).clone();
        RouteMetrics { route, ok, seconds: self.seconds.get_or_create(&Routed { route }).clone() }
    }

    pub(crate) fn answered(
        &self,
        route: &RouteMetrics,
        status: StatusCode,
        code: Option<Code>,
        took: Duration,
    ) {
        if status == StatusCode::OK {
            route.ok.inc();
        } else {
            self.requests.get_or_create(&Served { route: route.route, status: status.as_u16() }).inc();
        }
        route.seconds.observe(took.as_secs_f64());
        if let Some(code) = code {
            self.refused(code);
        }
    }

    pub(crate) fn refused(&self, code: Code) {
        self.refusals.get_or_create(&Coded { code: code.row().code }).inc();
    }

    /// In the OpenMetrics text format, which Prometheus scrapes.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)
            .expect("a string takes all characters");
        text
    }
}
