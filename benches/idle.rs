//! What nodes cost that nobody asks anything: processor time, with few and with many pools. Not here: memory.

use benches::NotMeasured;
use benches::claim::{Claim, Target, thousands, times};
use benches::node::{Cluster, make_workspace};
use benches::rounds::now;
use std::time::Duration;

/// Pools are made on so many connections at once.
const MAKERS: u64 = 64;
/// Longer than a line stays open that nobody spends from, and than a snapshot takes.
const SETTLE: Duration = Duration::from_secs(15);

/// How the nodes were while nobody asked.
#[derive(Clone, Copy, Debug)]
pub struct Idle {
    /// Cores in use, of one node.
    pub cores: f64,
    /// Entries that the groups of the whole cluster appended per second, each counted once.
    pub entries_per_s: f64,
}

/// Watches the nodes for a while.
pub async fn watch(cluster: &Cluster, seconds: u64) -> Result<Idle, NotMeasured> {
    let (entries, cpu, started) = (entries(cluster).await?, cluster.cpu_seconds(), now());
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let (used, passed) = (cluster.cpu_seconds() - cpu, started.elapsed().as_secs_f64());
    let appended = self::entries(cluster).await? - entries;
    Ok(Idle { cores: used / passed / cluster.apis.len() as f64, entries_per_s: appended / passed })
}

/// Raft entries so far. Each is in the log of all three replicas, so the nodes together count it three times.
pub async fn entries(cluster: &Cluster) -> Result<f64, NotMeasured> {
    let counted = cluster.metrics().await?.get("tranche_log_entries_total").copied();
    let counted = counted.ok_or_else(|| NotMeasured::wrong("the nodes do not count entries"))?;
    Ok(counted / cluster.apis.len() as f64)
}

pub async fn make_pools(cluster: &Cluster, count: u64) -> Result<(), NotMeasured> {
    let mut makers = tokio::task::JoinSet::new();
    for maker in 0..MAKERS {
        let mut connection = cluster.connect(usize::try_from(maker).unwrap_or(0)).await?;
        makers.spawn(async move {
            for pool in (maker..count).step_by(MAKERS as usize) {
                make_workspace(&mut connection, &format!("idle-{pool}"), 1_000).await?;
            }
            Ok::<(), NotMeasured>(())
        });
    }
    while let Some(made) = makers.join_next().await {
        made.map_err(|why| NotMeasured::wrong(why.to_string()))??;
    }
    tokio::time::sleep(SETTLE).await;
    Ok(())
}

pub fn claim(without: Idle, with: Idle, pools: u64, seconds: u64) -> Claim {
    let ratio = with.cores / without.cores;
    let percent = |idle: Idle| idle.cores * 100.0;
    Claim {
        id: "idle",
        what: "processor time of an idle node with many pools",
        against: "the same node without pools",
        target: "flat (≤ 1.2×)",
        bound: Target::AtMost(1.2),
        value: ratio,
        measured: format!("{}: {:.2} % of a core", times(ratio), percent(with)),
        if_missed: String::new(),
        how: format!(
            "3 processes, {seconds} s each: {:.2} % of a core per node with no pool, {:.2} % with {} pools of the cluster; what remains are \
             the heartbeats of nine Raft groups and the clock's tick",
            percent(without),
            percent(with),
            thousands(pools as f64)
        ),
        numbers: vec![
            ("cores_without_pools", without.cores),
            ("cores_with_pools", with.cores),
            ("entries_per_s_idle", with.entries_per_s),
        ],
    }
}
