//! P11 to P14 on three real nodes: one pool, spent by a crowd through all of them, to its last credit; and what the
//! same nodes cost while they are idle. Not here: speed through one door (`front`).
//!
//! Each user comes through every node, which is the worst that a balancer can do: each node holds leases of each user.

use crate::idle::{self, Idle};
use benches::claim::{Claim, Target, thousands};
use benches::http::Connection;
use benches::node::{Cluster, runtime};
use benches::rounds::now;
use benches::zipf::Zipf;
use benches::{NotMeasured, Size};
use rand::SeedableRng;
use rand::rngs::SmallRng;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

const NODES: usize = 3;
/// On each node users × 1 lines are open, so about 64 × 3 holders of leases altogether.
const USERS: usize = 64;
const CONNECTIONS: usize = 48;
/// Price of each consume: one credit.
const PATH: &str = "/v1/workspaces/hot/consume";
/// Refusals in a row, over all connections, after which the pool counts as empty.
const REFUSALS_MAX: u64 = 3 * CONNECTIONS as u64;
/// The longest a phase may take.
const PHASE_WITHIN: Duration = Duration::from_secs(300);

pub fn measure(size: Size, target: &Path) -> Result<Vec<Claim>, NotMeasured> {
    let (pool, pools) = (size.of(1_000_000), size.of(10_000));
    let seconds = match size {
        Size::Full => 30,
        Size::Quick => 3,
    };
    let cluster = Cluster::start(NODES, None, target)?;
    runtime()?.block_on(async {
        let without = idle::watch(&cluster, seconds).await?;
        let spent = spend_all(&cluster, pool, without).await?;
        idle::make_pools(&cluster, pools).await?;
        let with = idle::watch(&cluster, seconds).await?;
        let mut claims = spent.claims(pool);
        claims.push(idle::claim(without, with, pools, seconds));
        Ok(claims)
    })
}

/// What became of the pool.
#[derive(Debug)]
struct Spent {
    /// Consumes of the first phase, up to 95 % of the pool, and how long they took.
    first: u64,
    first_s: f64,
    entries: f64,
    waited: f64,
    /// Of those that waited, the ones before a twentieth of the pool was spent: while leases grow to their size.
    waited_early: f64,
    forwarded: f64,
    /// Acknowledged in all.
    acked: u64,
    /// Acknowledged when the first refusal came; `None` where none came.
    first_refusal: Option<u64>,
    /// Answers other than an allowed consume, by code.
    others: BTreeMap<String, u64>,
    /// Credits that were left and on no or some lease when everybody was refused.
    left: f64,
}

/// What the connections share.
struct Crowd {
    to_spend: AtomicU64,
    acked: AtomicU64,
    refused_in_a_row: AtomicU64,
    /// `acked` at the first refusal.
    first_refusal: AtomicU64,
    stop: AtomicBool,
    others: Mutex<BTreeMap<String, u64>>,
    zipf: Zipf,
    until: Instant,
}

const NO_REFUSAL: u64 = u64::MAX;
const WAITED: &str = "tranche_consumes_waited_total";

async fn spend_all(cluster: &Cluster, pool: u64, idle: Idle) -> Result<Spent, NotMeasured> {
    cluster.make_workspace("hot", pool).await?;
    let crowd = Arc::new(Crowd {
        to_spend: AtomicU64::new(0),
        acked: AtomicU64::new(0),
        refused_in_a_row: AtomicU64::new(0),
        first_refusal: AtomicU64::new(NO_REFUSAL),
        stop: AtomicBool::new(false),
        others: Mutex::default(),
        zipf: Zipf::new(USERS, 0.99),
        until: now() + 2 * PHASE_WITHIN,
    });
    let (before, entries, started) = (cluster.metrics().await?, idle::entries(cluster).await?, now());
    phase(cluster, &crowd, pool / 20).await?;
    let early = cluster.metrics().await?;
    phase(cluster, &crowd, pool / 100 * 95 - pool / 20).await?;
    let first_s = started.elapsed().as_secs_f64();
    let (after, appended) = (cluster.metrics().await?, idle::entries(cluster).await? - entries);
    let grew = |to: &BTreeMap<String, f64>, name: &str| match (before.get(name), to.get(name)) {
        (Some(before), Some(after)) => Ok(after - before),
        _ => Err(NotMeasured::wrong(format!("the nodes do not count {name}"))),
    };
    let first = crowd.acked.load(Ordering::Acquire);
    // The second phase ends when everybody is refused; until then there is always something to ask for.
    phase(cluster, &crowd, u64::MAX / 2).await?;
    let summary = cluster.connect(0).await?.get("/v1/workspaces/hot?fresh=true").await?.expect(200)?.json();
    let credits = |name: &str| summary[name].as_str().and_then(|text| text.parse::<f64>().ok());
    let left = credits("leased").zip(credits("available")).map(|(leased, available)| leased + available);
    let first_refusal = crowd.first_refusal.load(Ordering::Acquire);
    let acked = crowd.acked.load(Ordering::Acquire);
    let left = left.ok_or_else(|| NotMeasured::wrong(format!("no summary: {summary}")))?;
    if acked as f64 + left > pool as f64 {
        return Err(NotMeasured::wrong(format!("OVERDRAWN: {acked} acknowledged and {left} left of {pool}")));
    }
    Ok(Spent {
        first,
        first_s,
        entries: (appended - idle.entries_per_s * first_s).max(0.0),
        waited: grew(&after, WAITED)?,
        waited_early: grew(&early, WAITED)?,
        forwarded: grew(&after, "tranche_consumes_forwarded_total")?,
        acked,
        first_refusal: (first_refusal != NO_REFUSAL).then_some(first_refusal),
        others: crowd.others.lock().expect("nobody panics holding it").clone(),
        left,
    })
}

/// Asks `count` times altogether, or until everybody is refused.
async fn phase(cluster: &Cluster, crowd: &Arc<Crowd>, count: u64) -> Result<(), NotMeasured> {
    crowd.to_spend.store(count, Ordering::Release);
    let mut tasks = JoinSet::new();
    for at in 0..CONNECTIONS {
        let (connection, crowd) = (cluster.connect(at).await?, crowd.clone());
        let random = SmallRng::seed_from_u64(count ^ at as u64);
        tasks.spawn(async move { crowd.keep_asking(connection, random).await });
    }
    while let Some(asked) = tasks.join_next().await {
        asked.map_err(|why| NotMeasured::wrong(why.to_string()))??;
    }
    Ok(())
}

impl Crowd {
    async fn keep_asking(&self, mut connection: Connection, mut random: SmallRng) -> Result<(), NotMeasured> {
        let next = |left: u64| left.checked_sub(1);
        while self.to_spend.fetch_update(Ordering::AcqRel, Ordering::Acquire, next).is_ok() {
            if self.stop.load(Ordering::Acquire) {
                return Ok(());
            }
            if now() > self.until {
                return Err(NotMeasured::wrong("the pool was not spent in time"));
            }
            let user = self.zipf.draw(&mut random);
            let body = format!(r#"{{"user":"user-{user}","feature":"chat","amount":"1"}}"#);
            let answer = connection.ask("POST", PATH, &body).await?;
            if answer.status == 200 {
                self.acked.fetch_add(1, Ordering::AcqRel);
                self.refused_in_a_row.store(0, Ordering::Release);
            } else {
                self.note_other(answer.status, answer.code());
            }
        }
        Ok(())
    }

    fn note_other(&self, status: u16, code: String) {
        *self.others.lock().expect("nobody panics holding it").entry(code).or_default() += 1;
        let acked = self.acked.load(Ordering::Acquire);
        let _not_the_first =
            self.first_refusal.compare_exchange(NO_REFUSAL, acked, Ordering::AcqRel, Ordering::Acquire);
        if status == 402 && self.refused_in_a_row.fetch_add(1, Ordering::AcqRel) >= REFUSALS_MAX {
            self.stop.store(true, Ordering::Release);
        }
    }
}

impl Spent {
    fn claims(&self, pool: u64) -> Vec<Claim> {
        vec![self.entries_per_unit(), self.uncoordinated(), self.first_refusal(pool), self.stranded(pool)]
    }

    fn how(&self) -> String {
        format!(
            "3 processes, {CONNECTIONS} connections over all of them, {USERS} users (Zipf 0.99), each through every node, 1 credit a consume, \
             {}/s",
            thousands(self.first as f64 / self.first_s)
        )
    }

    fn entries_per_unit(&self) -> Claim {
        let consumes_per_entry = self.first as f64 / self.entries.max(1.0);
        Claim {
            id: "P11",
            what: "Raft entries per consumed unit",
            against: "1: an entry for each",
            target: "≤ 1/500",
            bound: Target::AtLeast(500.0),
            value: consumes_per_entry,
            measured: format!("1/{}", thousands(consumes_per_entry)),
            if_missed: String::new(),
            how: format!(
                "{}; {} entries for {} consumes until 95 % was spent, reports included, each entry counted once and not once a replica, what \
                 the idle cluster appends taken off",
                self.how(),
                thousands(self.entries),
                thousands(self.first as f64)
            ),
            numbers: vec![
                ("entries", self.entries),
                ("consumes", self.first as f64),
                ("seconds", self.first_s),
            ],
        }
    }

    fn uncoordinated(&self) -> Claim {
        let waited = (self.waited + self.forwarded) / self.first as f64;
        Claim {
            id: "P12",
            what: "decided without coordination until 95 % is spent",
            against: "–",
            target: "≥ 99.9 %",
            bound: Target::AtMost(0.001),
            value: waited,
            measured: format!("{:.3} %", (1.0 - waited) * 100.0),
            if_missed: format!(
                "{} of those that waited did so in the first twentieth, in which each line's leases grow from the smallest to their size",
                thousands(self.waited_early)
            ),
            how: format!(
                "the same run, begun cold: {} of {} consumes waited for credits, the first ones of each user on each node included; {} were \
                 passed on to the user's home, and count as coordinated too",
                thousands(self.waited),
                thousands(self.first as f64),
                thousands(self.forwarded)
            ),
            numbers: vec![
                ("waited", self.waited),
                ("waited_early", self.waited_early),
                ("forwarded", self.forwarded),
            ],
        }
    }

    fn first_refusal(&self, pool: u64) -> Claim {
        let unspent = self.unspent_at_refusal(pool);
        Claim {
            id: "P13",
            what: "first refusal while credits exist elsewhere",
            against: "an ideal single counter",
            target: "after 99.99 % is spent",
            bound: Target::AtMost(0.0001),
            value: unspent,
            measured: format!("after {:.4} %", (1.0 - unspent) * 100.0),
            if_missed: String::new(),
            how: format!(
                "the same run to the end: acknowledged when the first answer that was not 200 came, of {} credits; up to {CONNECTIONS} consumes were on their way. \
                 Not allowed in all: {}",
                thousands(pool as f64),
                self.others_text()
            ),
            numbers: vec![("acked_at_first_refusal", self.first_refusal.unwrap_or(self.acked) as f64)],
        }
    }

    fn stranded(&self, pool: u64) -> Claim {
        let at_refusal = self.unspent_at_refusal(pool);
        let consistent = self.acked as f64 + self.left;
        Claim {
            id: "P14",
            what: "credits stranded when the first refusal came, and when all are refused",
            against: "–",
            target: "≤ 0.01 % / 0",
            bound: Target::AtMost(0.0001),
            // What is left at the end is to be nothing at all.
            value: if self.left > 0.0 { self.left.max(1.0) } else { at_refusal },
            measured: format!("{:.4} % / {}", at_refusal * 100.0, self.left),
            if_missed: String::new(),
            how: format!(
                "the same run: not acknowledged at the first refusal; leased + available after {REFUSALS_MAX} refusals in a row. \
                 Acknowledged + left = {} of {} granted",
                thousands(consistent),
                thousands(pool as f64)
            ),
            numbers: vec![
                ("left", self.left),
                ("acked", self.acked as f64),
                ("at_first_refusal", at_refusal),
            ],
        }
    }

    /// The share of the pool that was not acknowledged when the first refusal came.
    fn unspent_at_refusal(&self, pool: u64) -> f64 {
        pool.saturating_sub(self.first_refusal.unwrap_or(self.acked)) as f64 / pool as f64
    }

    fn others_text(&self) -> String {
        let texts: Vec<String> = self.others.iter().map(|(code, count)| format!("{code} {count}")).collect();
        if texts.is_empty() { "nothing".into() } else { texts.join(", ") }
    }
}
