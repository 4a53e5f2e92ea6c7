//! World C: five real processes are killed, paused, cut off, slowed down, filled up and given wrong clocks, while users
//! spend and administrators move credits about; then everything anybody was told is audited. Not here: the faults
//! (`chaos/plan`, `chaos/storm`), the load (`chaos/users`, `chaos/office`), the sentences (`chaos/audit`).
//!
//! `TRANCHE_CHAOS=ci|full` says how long (ci), `TRANCHE_CHAOS_SEED` repeats a run: the same faults at the same times on
//! the same nodes, and clients of the same habits. What real processes make of it differs from run to run.

#[path = "chaos/audit.rs"]
mod audit;
#[path = "chaos/books.rs"]
mod books;
#[path = "chaos/office.rs"]
mod office;
#[path = "chaos/plan.rs"]
mod plan;
#[path = "chaos/storm.rs"]
mod storm;
#[path = "chaos/told.rs"]
mod told;
#[path = "chaos/users.rs"]
mod users;

use crate::books::Books;
use crate::office::{Administrator, Desk};
use crate::plan::{Fault, Length, Plan};
use crate::storm::{Done, Storm};
use crate::told::{Record, Told, WORKSPACES};
use crate::users::Client;
use futures::future::join_all;
use std::collections::BTreeMap;
use std::time::Duration;
use tests::{Api, Cluster, PATIENCE, eventually};
use tokio::time::Instant;

const NODES: u16 = 5;
const DISK_MIB: u32 = 256;
const CLIENTS_PER_NODE: u16 = 4;
/// A cluster on which nothing is wrong any more serves everybody within this.
const CALM_WITHIN: Duration = Duration::from_secs(20);
/// For so long everybody must be served at once.
const CALM: Duration = Duration::from_secs(4);
const DESKS: [Desk; 8] =
    [Desk::Move, Desk::Move, Desk::Move, Desk::Raise, Desk::Cut, Desk::Grant, Desk::Switch, Desk::Read];

/// Prints how to repeat a run that failed, however it did.
#[derive(Debug)]
struct Repeat {
    seed: u64,
    length: Length,
}

impl Drop for Repeat {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self { seed, length } = self;
            eprintln!(
                "repeat it: TRANCHE_CHAOS_SEED={seed} TRANCHE_CHAOS={} cargo test -p tests --test chaos -- --nocapture",
                length.name
            );
        }
    }
}

/// What all rounds were.
#[derive(Debug, Default)]
struct Sum {
    kinds: BTreeMap<&'static str, u32>,
    acknowledged: usize,
    reallocations: usize,
    were_pending: u64,
    repeated: u64,
    went_elsewhere: u64,
    read: usize,
    refused: BTreeMap<String, u64>,
    office: BTreeMap<String, u64>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_told_too_much_whatever_happens_to_five_nodes() {
    let length = match std::env::var("TRANCHE_CHAOS").as_deref() {
        Ok("full") => Length::FULL,
        Ok("ci") | Err(_) => Length::CI,
        Ok(other) => panic!("TRANCHE_CHAOS is ci or full, not {other}"),
    };
    let seed = match std::env::var("TRANCHE_CHAOS_SEED") {
        Ok(seed) => seed.parse().expect("TRANCHE_CHAOS_SEED is a number"),
        Err(_) => jiff::Timestamp::now().as_millisecond().unsigned_abs() % 1_000_000,
    };
    let repeat = Repeat { seed, length };
    tests::say!("world C: seed {seed}, {} ", length.name);
    let (mut plan, mut sum, began) = (Plan::new(seed, length), Sum::default(), Instant::now());
    for round in 0..length.rounds {
        let faults = plan.deal(round);
        play(seed.wrapping_mul(1_000) + round, faults, &mut sum).await;
    }
    let injections: u32 = sum.kinds.values().sum();
    tests::say!(
        "world C: seed {seed}, {injections} injections of {} kinds, {} acknowledged consumes, {} reallocations \
         ({} pending at first), {} keys repeated, {} found their home elsewhere or later, {} ledger answers in order, \
         {:.0} s",
        sum.kinds.len(),
        sum.acknowledged,
        sum.reallocations,
        sum.were_pending,
        sum.repeated,
        sum.went_elsewhere,
        sum.read,
        began.elapsed().as_secs_f64()
    );
    tests::say!("injections {:?}\nrefused {:?}\nadministrators {:?}", sum.kinds, sum.refused, sum.office);
    // A run in which little happened proves little.
    let floors = [
        ("injections", u64::from(injections), length.injections_min),
        ("kinds", sum.kinds.len() as u64, 12),
        ("acknowledged", sum.acknowledged as u64, length.acknowledged_min as u64),
        ("reallocations", sum.reallocations as u64, 100),
        ("pending at first", sum.were_pending, 10),
        ("keys repeated", sum.repeated, 100),
        ("exhausted", sum.refused.get("exhausted").copied().unwrap_or(0), 1),
    ];
    for (what, count, least) in floors {
        assert!(count >= least, "{what}: {count}, and it takes {least} to prove something");
    }
    drop(repeat);
}

/// One cluster from its first start to its last audit.
async fn play(seed: u64, faults: Vec<Fault>, sum: &mut Sum) {
    let mut cluster = Cluster::start_to_be_harmed(NODES, DISK_MIB).await;
    clocks_can_be_wrong(&mut cluster).await;
    let told = Told::new();
    Administrator::new("opening".into(), Desk::Grant, apis(&cluster), seed, &told).open().await;
    let mut tasks = Vec::new();
    for (number, node) in (0..).zip(cluster.numbers().flat_map(|node| [node; CLIENTS_PER_NODE as usize])) {
        let (name, batches) = (format!("c{number}"), number % CLIENTS_PER_NODE == 0);
        let client = Client::new(name, node, apis(&cluster), batches, seed ^ u64::from(number), &told);
        tasks.push(tokio::spawn(client.spend()));
    }
    for (number, desk) in (1_000..).zip(DESKS) {
        let name = format!("{desk:?}-{number}").to_lowercase();
        let administrator = Administrator::new(name, desk, apis(&cluster), seed ^ number, &told);
        tasks.push(tokio::spawn(administrator.work()));
    }
    let mut storm = Storm::new(&mut cluster, seed, &told);
    storm.rage(faults).await;
    let done = std::mem::take(&mut storm.done);
    calms_down(&cluster, &told, seed).await;
    told.calm_down();
    tokio::time::sleep(CALM).await;
    told.end();
    join_all(tasks).await.into_iter().for_each(|task| task.expect("clients and administrators do not panic"));
    let record = std::mem::take(&mut *told.record());
    let mut left = apis(&cluster);
    left.retain(|node, _| !record.lost.contains_key(node));
    judge(record, &done, &mut left, sum).await;
}

fn apis(cluster: &Cluster) -> BTreeMap<u16, Api> {
    cluster.numbers().map(|node| (node, cluster.api(node))).collect()
}

/// A clock that cannot be made wrong would prove nothing.
async fn clocks_can_be_wrong(cluster: &mut Cluster) {
    let (hour, mut api) = (3_600_000, cluster.api(1));
    // What a node shows is what all of them agree on; how far it is off it says itself.
    let behind_ms = async |api: &mut Api| -> i64 {
        let metrics = api.get("/metrics").await.expect(200);
        let text = metrics.text();
        let value = text.lines().find_map(|line| line.strip_prefix("tranche_clock_behind_ms "));
        value.and_then(|value| value.parse().ok()).expect("it is among the metrics")
    };
    cluster.node(1).clock().set_ms(hour);
    let is_off = async || (behind_ms(&mut api).await <= -hour * 9 / 10).then_some(());
    eventually("libfaketime makes a clock wrong", PATIENCE, is_off).await;
    cluster.node(1).clock().set_ms(0);
}

/// Waits until every node that is left decides for every pool, with a key and without.
async fn calms_down(cluster: &Cluster, told: &Told, seed: u64) {
    let lost = told.record().lost.clone();
    let nodes: Vec<u16> = cluster.numbers().filter(|node| !lost.contains_key(node)).collect();
    let mut prober = Client::new("probe".into(), nodes[0], apis(cluster), false, seed, told);
    let (from, mut refused) = (Instant::now(), BTreeMap::<String, u32>::new());
    loop {
        let mut undecided = 0;
        for (node, workspace) in
            nodes.iter().flat_map(|node| (0..WORKSPACES.len()).map(move |ws| (*node, ws)))
        {
            for code in prober.probe(node, workspace).await {
                *refused.entry(format!("n{node}: {code}")).or_default() += 1;
                undecided += 1;
            }
        }
        if undecided == 0 {
            break;
        }
        assert!(
            from.elapsed() < CALM_WITHIN,
            "not everybody is served {CALM_WITHIN:?} after all were ready: {refused:?}"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let took = from.elapsed().as_secs_f64();
    tests::say!("           everybody is served {took:.1} s after all were ready; before that {refused:?}");
}

async fn judge(mut record: Record, done: &Done, left: &mut BTreeMap<u16, Api>, sum: &mut Sum) {
    let api = left.values_mut().next().expect("some nodes are left");
    let final_books = Books::read(api).await;
    let mut broken = std::mem::take(&mut record.broken);
    broken.extend(books::reallocations(api, &record).await);
    broken.extend(books::replicas(left).await);
    // What was given once more though it may have been spent counts like a grant.
    for (pool, books) in record.pools.iter_mut().zip(&final_books.pools) {
        pool.timed.granted.push((done.forgotten.sent, books.exposure));
    }
    broken.extend(audit::pools(&record, &final_books));
    broken.extend(audit::forgotten(&final_books, done.forgotten));
    broken.extend(audit::indexes(&record.seen));
    broken.extend(books::spend_the_rest(left).await);
    tests::say!(
        "           {} acknowledged, {} of no known end, {} starts",
        record.acknowledged(),
        record.unknown(),
        done.starts
    );
    for (kind, count) in &done.kinds {
        *sum.kinds.entry(kind).or_default() += count;
    }
    for (mine, all) in [(&record.refused, &mut sum.refused), (&record.office, &mut sum.office)] {
        mine.iter().for_each(|(word, count)| *all.entry(word.clone()).or_default() += count);
    }
    sum.acknowledged += record.acknowledged();
    sum.reallocations += record.reallocations.values().filter(|accepted| **accepted).count();
    sum.were_pending += record.were_pending;
    sum.repeated += record.repeated;
    sum.went_elsewhere += record.went_elsewhere;
    sum.read += record.seen.len();
    assert!(broken.is_empty(), "{} sentences broke:\n{}", broken.len(), broken.join("\n"));
}
