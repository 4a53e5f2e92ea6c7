//! Each durability is returned and holds against the end of processes. Not here: idempotency (`idempotency`); the end of
//! the machine, against which `disk` holds and `local` does not (`crates/journal/tests/scripts.rs`).

use serde_json::Value;
use tests::{Api, Books, Cluster, PATIENCE, Spent, Tally, eventually, whole};
use types::Credits;

async fn consume(api: &mut Api, user: &str, durability: &str, told: &mut Tally) -> Value {
    let spent = api.consume_as("acme", user, "3", None, Some(durability)).await;
    told.note(whole(3), &spent);
    let (_, _, bytes) = spent.allowed();
    let charge: Value = serde_json::from_slice(&bytes).expect("JSON");
    assert_eq!(charge["durability"], durability);
    charge
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quorum_is_in_the_ledger_before_the_answer() {
    let mut cluster = Cluster::start(3).await;
    cluster.api(1).make_workspace("acme", "1000").await;
    let leader = cluster.shard().await.leader;
    let holder = cluster.numbers().find(|node| *node != leader).expect("three nodes");
    let mut told = Tally::default();
    cluster.decide_at(holder, "ann", &mut told).await;
    let mut api = cluster.api(holder);
    for _ in 0..5 {
        consume(&mut api, "ann", "quorum", &mut told).await;
    }
    cluster.node(holder).kill();
    // Without the holder the ledger knows each of them, and what is left of its leases is out of reach.
    let books = Books::read(&mut cluster.api(leader), "acme").await;
    assert_eq!((books.used, books.unattributed), (told.allowed, Credits::ZERO), "{books:?}");
    cluster.all_back().await;
    assert_eq!(Books::settled(&mut cluster.api(holder), "acme", &told).await.used, told.allowed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quorum_charge_is_confirmed_under_its_key_also_when_its_line_is_folded() {
    let cluster = Cluster::start(3).await;
    let mut api = cluster.api(1);
    api.make_workspace("acme", "1000").await;
    let ask = async |api: &mut Api| {
        api.consume_as("acme", "ann", "3", Some("key-1"), Some("quorum")).await.allowed().2
    };
    let first = ask(&mut api).await;
    eventually("nothing is out any more", PATIENCE, async || {
        Books::read(&mut api, "acme").await.leased.is_zero().then_some(())
    })
    .await;
    for node in cluster.numbers() {
        assert_eq!(ask(&mut cluster.api(node)).await, first, "n{node}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn disk_and_local_are_there_after_the_process_was_killed() {
    let mut cluster = Cluster::start(3).await;
    cluster.api(1).make_workspace("acme", "1000").await;
    let mut told = Tally::default();
    for node in cluster.numbers() {
        let user = format!("user-{node}");
        cluster.decide_at(node, &user, &mut told).await;
    }
    for durability in ["disk", "local"] {
        for node in cluster.numbers() {
            let mut api = cluster.api(node);
            consume(&mut api, &format!("user-{node}"), durability, &mut told).await;
        }
        cluster.numbers().for_each(|node| cluster.node(node).kill());
        cluster.all_back().await;
        let books = Books::settled(&mut cluster.api(1), "acme", &told).await;
        assert_eq!((books.used, books.unattributed), (told.allowed, Credits::ZERO), "{durability}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workspace_says_what_holds_where_a_request_does_not() {
    let cluster = Cluster::start(3).await;
    let mut api = cluster.api(1);
    api.make_workspace("acme", "1000").await;
    for durability in ["quorum", "disk", "local"] {
        let body = format!(r#"{{"durability":"{durability}"}}"#);
        let put = api.write("PUT", "/v1/workspaces/acme", &body).await.expect(200);
        assert_eq!(put.json()["durability"], durability);
        eventually(&format!("consumes are answered {durability}"), PATIENCE, async || {
            let Spent::Allowed { bytes, .. } = api.consume("acme", "ann", "1").await else { return None };
            let charge: Value = serde_json::from_slice(&bytes).expect("JSON");
            (charge["durability"] == durability).then_some(())
        })
        .await;
    }
}
