//! What the rooms of a node count, read when `/metrics` is asked. Not here: what HTTP counts (`api`).

use platform::{AgreedClock, Clock};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use quota::{Counts, Quota};
use replication::Role;
use std::fmt;
use std::sync::{Arc, OnceLock};
use transport::Mux;

pub fn registry(quota: Arc<OnceLock<Quota>>, mux: Arc<Mux>, clock: Arc<AgreedClock>) -> Registry {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(NodeCollector { quota, mux, clock }));
    registry
}

#[derive(Debug)]
struct NodeCollector {
    quota: Arc<OnceLock<Quota>>,
    mux: Arc<Mux>,
    clock: Arc<AgreedClock>,
}

impl Collector for NodeCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let traffic = self.mux.counters();
        let mut counters = vec![
            ("tranche_peer_frames_sent", "Frames written to other nodes", traffic.frames_out.get()),
            ("tranche_peer_frames_received", "Frames read from other nodes", traffic.frames_in.get()),
            ("tranche_peer_bytes_sent", "Bytes written to other nodes", traffic.bytes_out.get()),
            ("tranche_peer_bytes_received", "Bytes read from other nodes", traffic.bytes_in.get()),
        ];
        let mut gauges = Vec::new();
        if let Some(quota) = self.quota.get() {
            let counts = quota.counts();
            counters.push(("tranche_consumes_waited", "Consumes that waited for credits", counts.waited()));
            counters.push((
                "tranche_consumes_forwarded",
                "Consumes passed on to the user's home",
                counts.forwarded(),
            ));
            would_refuse(counts, &mut encoder)?;
            let holder = quota.holder();
            let replica = holder.shards().replica();
            let log = replica.log_counts();
            counters.push(("tranche_log_commits", "Synced transactions of the Raft log", log.commits));
            counters.push(("tranche_log_entries", "Entries appended to the Raft logs", log.entries));
            counters.push((
                "tranche_journal_records",
                "Durable records of the holder's journal",
                holder.journal().sequence(),
            ));
            gauges.push((
                "tranche_active_users",
                "Users whose credits this node holds",
                holder.active_users() as u64,
            ));
            gauges.push((
                "tranche_key_window_bytes",
                "Memory taken by idempotency keys",
                holder.keys().bytes(),
            ));
            gauges.push((
                "tranche_keys_expire",
                "1 when most nodes' clocks were heard since the start; before that keys of earlier starts expire by the time since boot alone",
                u64::from(self.clock.surely().is_some()),
            ));
            let led = replica.groups().filter(|group| group.status().role == Role::Leader).count();
            gauges.push(("tranche_groups_led", "Raft groups this node leads", led as u64));
            let ready = u64::from(quota.ready().is_ok());
            gauges.push(("tranche_ready", "1 when this node decides", ready));
        }
        for (name, help, value) in counters {
            let metric = ConstCounter::new(value);
            metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)?;
        }
        let help =
            "How far this node's clock is behind what the nodes agree on, ms; negative where it is fast";
        let behind = ConstGauge::new(self.clock.correction_ms());
        let descriptor =
            encoder.encode_descriptor("tranche_clock_behind_ms", help, None, behind.metric_type())?;
        behind.encode(descriptor)?;
        for (name, help, value) in gauges {
            let metric = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)?;
        }
        Ok(())
    }
}

/// What would have been refused, by the code of the error table.
fn would_refuse(counts: &Counts, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let help = "Consumes in shadow mode that would have been refused, by code";
    let name = "tranche_would_refuse";
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (code, count) in counts.would_refuse() {
        ConstCounter::new(count).encode(family.encode_family(&[("code", code.as_str())])?)?;
    }
    Ok(())
}
