//! Nodes die by SIGKILL under load and come back: never overdrawn, and after all is back the books are exact. Not here:
//! nodes that live but cannot be reached (`partition`).

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tests::{
    Api, Books, Cluster, NOT_SENT, PATIENCE, Spent, Tally, assert_conserved, credits, eventually, text,
};
use tokio::task::JoinHandle;
use types::Credits;

const CLIENTS_PER_NODE: usize = 8;
const USERS: u64 = 20;
/// Largest price of a consume, in micro-credits: while nodes die, and once the pool is to run dry.
const SMALL: u64 = 20_000;
const LARGE: u64 = 3_000_000;

/// Clients of all nodes at full speed. Users 0–9 are asked for with keys, and whatever became of no known end is asked
/// again in the end; the others without.
struct Load {
    stop: Arc<AtomicBool>,
    counts: Arc<Counts>,
    clients: Vec<JoinHandle<Client>>,
}

#[derive(Default)]
struct Counts {
    allowed: AtomicU64,
    exhausted: AtomicU64,
    most_micros: AtomicU64,
}

/// What one client was told, by user, and what it must ask again.
#[derive(Default)]
struct Client {
    users: BTreeMap<String, Tally>,
    open: Vec<Open>,
}

/// A keyed consume of which it is not known whether it was done.
struct Open {
    user: String,
    amount: Credits,
    key: String,
}

impl Load {
    fn start(cluster: &Cluster) -> Self {
        let (stop, counts) = (Arc::<AtomicBool>::default(), Arc::<Counts>::default());
        counts.most_micros.store(SMALL, Ordering::Relaxed);
        let clients = cluster.numbers().flat_map(|node| [node; CLIENTS_PER_NODE]).zip(0_u64..);
        let clients = clients
            .map(|(node, seed)| tokio::spawn(spend(cluster.api(node), seed, stop.clone(), counts.clone())));
        Self { stop: stop.clone(), counts: counts.clone(), clients: clients.collect() }
    }

    /// Waits until so many more consumes were allowed.
    async fn goes_on(&self, what: &str, more: u64) {
        let allowed = &self.counts.allowed;
        let from = allowed.load(Ordering::Relaxed);
        let what = format!("{more} more consumes {what}");
        let done = async || (allowed.load(Ordering::Relaxed) >= from + more).then_some(());
        eventually(&what, PATIENCE, done).await;
    }

    /// From now on at prices that soon leave nothing.
    fn asks_for_much(&self) {
        self.counts.most_micros.store(LARGE, Ordering::Relaxed);
    }

    /// Waits until so many more consumes were refused because nothing is left.
    async fn runs_dry(&self, times: u64) {
        let exhausted = &self.counts.exhausted;
        let from = exhausted.load(Ordering::Relaxed);
        let done = async || (exhausted.load(Ordering::Relaxed) >= from + times).then_some(());
        eventually("the pool runs dry", PATIENCE, done).await;
    }

    /// Ends it with all nodes back, and asks for what is open, each time at some other node.
    async fn stop(self, cluster: &Cluster) -> BTreeMap<String, Tally> {
        self.stop.store(true, Ordering::Relaxed);
        let mut users: BTreeMap<String, Tally> = BTreeMap::new();
        let mut nodes = cluster.numbers().cycle();
        for client in self.clients {
            let Client { users: told, open } = client.await.expect("a client's tallies");
            for (user, told) in told {
                users.entry(user).or_default().add(&told);
            }
            for Open { user, amount, key } in open {
                let mut api = cluster.api(nodes.next().expect("nodes"));
                let spent = api.consume_for_sure("acme", &user, &amount.to_string(), &key).await;
                users.entry(user).or_default().note(amount, &spent);
            }
        }
        users
    }
}

async fn spend(mut api: Api, seed: u64, stop: Arc<AtomicBool>, counts: Arc<Counts>) -> Client {
    let mut random = StdRng::seed_from_u64(seed);
    let mut client = Client::default();
    let mut count = 0;
    while !stop.load(Ordering::Relaxed) {
        let most = counts.most_micros.load(Ordering::Relaxed);
        let amount = Credits::from_micros(random.random_range(1..=most)).expect("small");
        let number = random.random_range(0..USERS);
        let user = format!("user-{number:02}");
        count += 1;
        let key = (number < USERS / 2).then(|| format!("client-{seed}-{count}"));
        let spent = api.consume_as("acme", &user, &amount.to_string(), key.as_deref(), None).await;
        if matches!(spent, Spent::Allowed { .. }) {
            counts.allowed.fetch_add(1, Ordering::Relaxed);
        } else {
            let is_dry = matches!(&spent, Spent::Refused { code, .. } if code == "exhausted");
            counts.exhausted.fetch_add(u64::from(is_dry), Ordering::Relaxed);
            // Whoever finds his node dead does not ask it again at once.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        match (spent, key) {
            (Spent::Unknown | Spent::Refused { .. }, Some(key)) => {
                client.open.push(Open { user, amount, key });
            }
            (spent, _) => client.users.entry(user).or_default().note(amount, &spent),
        }
    }
    client
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_leader_and_then_a_holder_are_killed_and_every_credit_is_found_again() {
    let mut cluster = Cluster::start(3).await;
    cluster.api(1).make_workspace("acme", "1000").await;
    let load = Load::start(&cluster);
    load.goes_on("from the start", 500).await;

    let leader = cluster.shard().await.leader;
    cluster.node(leader).kill();
    load.goes_on("without the leader", 500).await;
    cluster.all_back().await;
    load.goes_on("with the old leader back", 200).await;

    let leader = cluster.shard().await.leader;
    let holder = cluster.numbers().find(|node| *node != leader).expect("three nodes");
    cluster.node(holder).kill();
    load.goes_on("without a holder", 500).await;
    cluster.all_back().await;
    load.goes_on("with the holder back", 200).await;

    // Once more, while the pool runs dry.
    load.asks_for_much();
    cluster.node(holder).kill();
    cluster.all_back().await;
    load.runs_dry(20).await;
    let users = load.stop(&cluster).await;
    exact(&cluster, &users, &["exhausted"]).await;
    spend_the_rest(&cluster, &users).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_told_to_end_hands_the_lead_over_before_it_goes() {
    let mut cluster = Cluster::start(3).await;
    cluster.api(1).make_workspace("acme", "1000").await;
    let load = Load::start(&cluster);
    load.goes_on("from the start", 500).await;
    let leader = cluster.shard().await.leader;
    let (status, log) = cluster.node(leader).terminate(PATIENCE).await;
    assert!(status.success() && log.contains("draining") && !log.contains("nobody took the lead"), "{log}");
    let survivor = cluster.numbers().find(|node| *node != leader).expect("three nodes");
    let groups = cluster.api(survivor).read("/v1/cluster").await["groups"].clone();
    let leads = |group: &Value| group["leader"] == format!("n{leader}");
    assert!(!groups.as_array().expect("a list of groups").iter().any(leads), "{groups}");
    load.goes_on("without the leader", 500).await;
    cluster.all_back().await;
    let users = load.stop(&cluster).await;
    exact(&cluster, &users, &[]).await;
    spend_the_rest(&cluster, &users).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_nodes_are_killed_at_once_and_nothing_is_lost_or_won() {
    let mut cluster = Cluster::start(3).await;
    cluster.api(1).make_workspace("acme", "1000").await;
    let load = Load::start(&cluster);
    for round in 1..=2 {
        load.goes_on(&format!("in round {round}"), 300).await;
        cluster.numbers().for_each(|node| cluster.node(node).kill());
        cluster.all_back().await;
    }
    load.goes_on("after all", 300).await;
    let users = load.stop(&cluster).await;
    exact(&cluster, &users, &[]).await;
    spend_the_rest(&cluster, &users).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_lost_is_forgotten_what_it_held_is_charged_and_its_users_go_on() {
    let mut cluster = Cluster::start(3).await;
    cluster.api(1).make_workspace("acme", "1000").await;
    let leader = cluster.shard().await.leader;
    let lost = cluster.numbers().find(|node| *node != leader).expect("three nodes");
    let mut admin = cluster.api(leader);
    let mut told = Tally::default();
    cluster.decide_at(lost, "ann", &mut told).await;
    let forget = format!("/v1/nodes/n{lost}/forget");
    let refused = admin.write("POST", &forget, "{}").await.expect(409);
    assert!(
        refused.code() == "conflict" && refused.detail().contains("stop its process"),
        "{}",
        refused.text()
    );

    let out = Books::at_rest(&mut admin, "acme", &told).await.leased;
    assert!(out > Credits::ZERO);
    cluster.node(lost).kill();
    let forgotten = eventually("it may be forgotten once it does not answer", PATIENCE, async || {
        let answer = admin.write("POST", &forget, "{}").await;
        (answer.status != 409).then_some(answer)
    })
    .await
    .expect(200)
    .json();
    assert_eq!(credits(&forgotten["written_off"]), out, "{forgotten}");
    // Keyed requests too: whoever was at home there is at home elsewhere.
    for user in 0..12 {
        let user = format!("user-{user}");
        let spent = admin.consume_as("acme", &user, "1", Some("key-1"), None).await;
        told.note(Credits::whole(1).expect("small"), &spent);
        assert_ne!(spent.allowed().1, format!("n{lost}"));
    }
    let charged = told.allowed.checked_add(out).expect("within the bound");
    let books = eventually("all of it is on the books", PATIENCE, async || {
        let books = Books::read(&mut admin, "acme").await;
        assert!(books.used <= charged, "{books:?}");
        (books.used == charged).then_some(books)
    })
    .await;
    let rest = Credits::whole(1_000).expect("small").checked_sub(charged).expect("never more than granted");
    assert_eq!((books.remaining, books.unreachable), (rest, Credits::ZERO));
    told.note(rest, &admin.consume("acme", "heir", &rest.to_string()).await);
    assert_eq!(told.allowed.checked_add(out), Credits::whole(1_000), "{told:?}");
    assert_eq!(admin.consume("acme", "heir", "0.000001").await.refused(), "exhausted");
    for node in cluster.numbers().filter(|node| *node != lost) {
        assert_conserved(&mut cluster.api(node)).await;
    }
    // It does not come back.
    cluster.node(lost).start();
    let status = cluster.node(lost).process().wait(PATIENCE).await;
    assert!(!status.success() && cluster.node(lost).process().log().contains("fenced"), "{status}");
}

/// What each user was told is what the books say of him; for those without keys, as far as it is known.
async fn exact(cluster: &Cluster, users: &BTreeMap<String, Tally>, also: &[&str]) {
    let told = Tally::sum(users.values());
    let passing: Vec<&str> =
        [NOT_SENT, "credits_unreachable", "no_leader"].iter().chain(also).copied().collect();
    assert_eq!(told.refused_otherwise(&passing), [].into(), "nobody was refused for anything else");
    let books = Books::settled(&mut cluster.api(1), "acme", &told).await;
    assert!(told.allowed <= books.granted);
    println!(
        "{} consumes, {} allowed, {} unknown, refused {:?}",
        told.calls, told.allowed, told.unknown, told.refused
    );
    for (user, told) in users {
        let what = format!("{user}: the books reach {told:?}");
        let most = told.allowed.checked_add(told.unknown).expect("small");
        let used = eventually(&what, PATIENCE, async || {
            cluster.api(1).workspace("acme").await;
            let member = cluster.api(1).read(&format!("/v1/workspaces/acme/members/{user}")).await;
            assert_eq!(text(&member["user"]), *user);
            let used = credits(&member["used"]);
            assert!(used <= most, "{user} was charged {used}, told {told:?}");
            (used >= told.allowed).then_some(used)
        })
        .await;
        if told.unknown.is_zero() {
            assert_eq!(used, told.allowed, "{user}: to the micro-credit");
        }
    }
    for node in cluster.numbers() {
        assert_conserved(&mut cluster.api(node)).await;
    }
}

/// Everything that is left can be spent, in one piece, and no more.
async fn spend_the_rest(cluster: &Cluster, users: &BTreeMap<String, Tally>) {
    let mut told = Tally::sum(users.values());
    let books = Books::at_rest(&mut cluster.api(1), "acme", &told).await;
    if !books.remaining.is_zero() {
        let rest = cluster.api(2).consume_reachable("acme", "heir", books.remaining).await;
        told.note(books.remaining, &rest);
        rest.allowed();
    }
    let passing = [NOT_SENT, "credits_unreachable", "no_leader", "exhausted"];
    assert!(told.refused_otherwise(&passing).is_empty(), "{told:?}");
    let books = Books::settled(&mut cluster.api(1), "acme", &told).await;
    assert_eq!((books.used, books.remaining), (books.granted, Credits::ZERO));
    assert_eq!(cluster.api(3).consume("acme", "heir", "0.000001").await.refused(), "exhausted");
}
