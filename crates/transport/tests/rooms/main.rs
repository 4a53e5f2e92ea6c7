//! The rooms of three nodes that reach each other over real links: replicas, leaders, holders and homes. Not here: a
//! node as it is started (`cluster`), the HTTP it speaks (`api`).

mod node;

use std::collections::BTreeSet;
use std::time::Duration;

use actors::{LeaderAnswer, LeaderRequest, Peers};
use ledger::{AdminCommand, Change, Command, GrantKind, HolderBatch, NewGrant, Outcome, WorkspaceSettings};
use quota::{Charge, Consume, PeerFault, PriceBy, Refusal};
use transport::Heard;
use types::{Credits, DiskId, NodeId, UserId};

use node::{Cluster, Node, SHARD, within};

fn credits(whole: u64) -> Credits {
    Credits::whole(whole).unwrap()
}

async fn administer(node: &Node, change: Change) -> Outcome {
    let command = AdminCommand { workspace: "w".parse().unwrap(), keyed: None, if_match: None, change };
    within(node.quota.administer(command)).await.unwrap()
}

/// A workspace with so many credits, made by whichever node.
async fn workspace(node: &Node, amount: Credits) {
    let settings = WorkspaceSettings { name: Some("W".into()), ..WorkspaceSettings::unchanged() };
    administer(node, Change::PutWorkspace(settings)).await;
    let grant = NewGrant {
        id: "plan".parse().unwrap(),
        kind: GrantKind::Plan,
        amount,
        priority: 50,
        paid: true,
        starts_at: None,
        expires_at: None,
        term: ledger::Term::Lasting,
        price: None,
    };
    administer(node, Change::MakeGrant(grant)).await;
}

fn consume(user: &UserId, amount: Credits, key: Option<&str>) -> Consume {
    Consume {
        workspace: "w".parse().unwrap(),
        user: user.clone(),
        feature: "chat".parse().unwrap(),
        model: None,
        price: PriceBy::Amount(amount),
        durability: None,
        key: key.map(|key| key.parse().unwrap()),
    }
}

async fn spend(node: &Node, user: &UserId, amount: Credits, key: Option<&str>) -> Result<Charge, Refusal> {
    within(node.quota.consume(consume(user, amount, key))).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_elect_and_commit_whoever_is_asked() {
    let cluster = Cluster::start().await;
    let leader = cluster.leader().await;
    workspace(&cluster.nodes[0], credits(100)).await;
    for (i, node) in cluster.nodes.iter().enumerate() {
        let (user, window) = (format!("u{i}").parse().unwrap(), types::Window::Day);
        let set = Change::SetLimit { of: ledger::Subject::User(user), window, amount: Some(credits(1)) };
        assert!(matches!(administer(node, set).await, Outcome::Limits(_)));
        let summary = within(node.quota.workspace(&"w".parse().unwrap(), true)).await.unwrap();
        assert_eq!((summary.view.granted, summary.view.available), (credits(100), credits(100)));
        assert_eq!(summary.view.name, "W");
    }
    let index = cluster.node(leader).group().status().applied_index.unwrap();
    let mut hashes = BTreeSet::new();
    for node in &cluster.nodes {
        within(node.group().applied(index, Duration::from_secs(20))).await.unwrap();
        hashes.insert(node.group().state_hash().digest);
    }
    assert_eq!(hashes.len(), 1, "all replicas have the same state");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_decided_at_home_wherever_it_lands() {
    let cluster = Cluster::start().await;
    workspace(&cluster.nodes[0], credits(1_000)).await;
    for home in [NodeId(1), NodeId(2), NodeId(3)] {
        let user = cluster.users_at(home).next().unwrap();
        let key = format!("key-{home}");
        let mut charges = Vec::new();
        for node in &cluster.nodes {
            charges.push(spend(node, &user, credits(2), Some(&key)).await.unwrap());
        }
        assert_eq!(charges[0].id.node, home);
        assert_eq!(charges[0].charged, credits(2));
        assert!(charges.iter().all(|charge| *charge == charges[0]), "the same answer: {charges:?}");
        for node in &cluster.nodes {
            let other = spend(node, &user, credits(3), Some(&key)).await;
            assert_eq!(other, Err(Refusal::KeyConflict));
        }
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_lies_idle_on_one_node_is_fetched_for_another() {
    let cluster = Cluster::start().await;
    workspace(&cluster.nodes[0], credits(30)).await;
    let leader = cluster.leader().await;
    let mut others = [NodeId(1), NodeId(2), NodeId(3)].into_iter().filter(|node| *node != leader);
    let (first, second) = (others.next().unwrap(), others.next().unwrap());
    let ann = cluster.users_at(first).next().unwrap();
    let bob = cluster.users_at(second).next().unwrap();

    let charge = spend(cluster.node(second), &ann, credits(1), Some("a")).await.unwrap();
    assert_eq!(charge.id.node, first);
    assert!(charge.remaining.at_least >= credits(10), "a lease of at least 20: {charge:?}");
    // More than is left in the pool: the leader recalls what lies idle on the first node.
    let charge = spend(cluster.node(first), &bob, credits(29), Some("b")).await.unwrap();
    assert_eq!((charge.id.node, charge.charged), (second, credits(29)));
    let none = spend(cluster.node(leader), &ann, credits(1), Some("c")).await;
    assert!(matches!(none, Err(Refusal::Exhausted { .. })), "{none:?}");

    let summary = within(cluster.node(first).quota.workspace(&"w".parse().unwrap(), true)).await.unwrap();
    assert_eq!((summary.view.used, summary.view.available), (credits(30), Credits::ZERO));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_home_a_key_is_refused_and_a_stray_is_decided_here() {
    let mut cluster = Cluster::start().await;
    workspace(&cluster.nodes[0], credits(1_000)).await;
    let leader = cluster.leader().await;
    let lost = [NodeId(1), NodeId(2), NodeId(3)].into_iter().find(|node| *node != leader).unwrap();
    let mut users = cluster.users_at(lost);
    let (ann, bob) = (users.next().unwrap(), users.next().unwrap());
    drop(users);
    cluster.kill(lost).await;
    let keyed = spend(cluster.node(leader), &ann, credits(1), Some("k")).await;
    assert_eq!(keyed, Err(Refusal::HomeUnreachable));
    let stray = spend(cluster.node(leader), &bob, credits(1), None).await.unwrap();
    assert_eq!(stray.id.node, leader);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_with_another_disk_learns_that_it_is_known() {
    let cluster = Cluster::start().await;
    let n1 = cluster.node(NodeId(1));
    for other in [NodeId(2), NodeId(3)] {
        let known = within(n1.link.introduce(other, DiskId(999), Duration::from_secs(5))).await;
        assert_eq!(known, Ok(Some(DiskId(1))), "{other} knows it by the disk it registered");
    }
    // And how far that disk's journal was seen to get, what this start wrote included; of another one nothing was seen.
    let heard = async |disk| n1.link.heard(NodeId(2), disk, Duration::from_secs(5)).await;
    let holder = n1.quota.holder();
    let of_this_start = async || loop {
        match heard(DiskId(1)).await {
            Ok(Heard::UpTo { sequence, is_current: true })
                if sequence > holder.journal().registration("meta") =>
            {
                return sequence;
            }
            Ok(Heard::UpTo { .. }) => tokio::task::yield_now().await,
            other => panic!("{other:?}"),
        }
    };
    assert!(within(of_this_start()).await <= holder.journal().sequence());
    assert_eq!(within(heard(DiskId(999))).await, Ok(Heard::UpTo { sequence: 0, is_current: true }));
    // Asked again, the registration of this very start is no older disk's.
    assert_eq!(within(n1.quota.register()).await, Ok(()));
    assert!(cluster.nodes.iter().all(|node| node.group().id() == SHARD));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_speaks_for_the_holder_of_another_node() {
    let cluster = Cluster::start().await;
    let leader = cluster.leader().await;
    let liar = cluster.nodes.iter().find(|node| node.id != leader).expect("three nodes");
    let victim = cluster.node(leader).quota.holder().id();
    let close_all = HolderBatch {
        holder: victim,
        journal_sequence: u64::MAX,
        workspace: "w".parse().unwrap(),
        lines: Vec::new(),
        recalled: false,
    };
    let register = Command::Register { holder: victim, journal_sequence: u64::MAX };
    for request in [
        LeaderRequest::Batch(close_all.clone()),
        LeaderRequest::Renew { holder: victim },
        LeaderRequest::Command(Box::new(register)),
        LeaderRequest::Command(Box::new(Command::Holder(close_all))),
    ] {
        let asked = liar.link.ask_leader(leader, SHARD, request, Duration::from_secs(5));
        assert_eq!(within(asked).await, Err(PeerFault::Unreachable(leader)), "surely not done");
    }
    // For its own it may.
    let own = liar.quota.holder();
    let of_start = own.journal().registration(&SHARD.to_string());
    let register = Command::Register { holder: own.id(), journal_sequence: of_start };
    for request in [LeaderRequest::Command(Box::new(register)), LeaderRequest::Renew { holder: own.id() }] {
        let asked = liar.link.ask_leader(leader, SHARD, request, Duration::from_secs(5));
        let answer = within(asked).await.unwrap().unwrap();
        assert!(matches!(answer, LeaderAnswer::Applied { .. } | LeaderAnswer::Renewed), "{answer:?}");
    }
    cluster.stop().await;
}
