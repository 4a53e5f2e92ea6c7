//! A pool is spent to the last micro-credit and not one further, from three nodes at once; and nobody is refused while
//! credits lie idle on another node. Not here: nodes that die (`failover`).

use futures::future::join_all;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tests::{Api, Books, Cluster, Spent, Tally, assert_conserved, micros, whole};
use types::Credits;

const CLIENTS_PER_NODE: usize = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_single_credits_and_not_one_more() {
    let cluster = Cluster::start(3).await;
    cluster.api(1).make_workspace("acme", "1000").await;
    let clients = cluster.numbers().flat_map(|node| [node; CLIENTS_PER_NODE]);
    let spend_all = clients.map(|node| {
        let mut api = cluster.api(node);
        tokio::spawn(async move {
            let mut told = Tally::default();
            while told.refused.is_empty() && told.unknown.is_zero() {
                told.note(whole(1), &api.consume("acme", "ann", "1").await);
            }
            told
        })
    });
    let tallies: Vec<Tally> =
        join_all(spend_all).await.into_iter().map(|told| told.expect("a tally")).collect();
    let told = Tally::sum(&tallies);
    assert_eq!(told.refused_otherwise(&["exhausted"]), [].into(), "{tallies:#?}");
    assert_eq!((told.allowed, told.unknown), (whole(1_000), Credits::ZERO));
    finished(&cluster, &told).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_users_with_random_amounts_spend_it_to_the_micro_credit() {
    let cluster = Cluster::start(3).await;
    cluster.api(1).make_workspace("acme", "1000").await;
    let clients = cluster.numbers().flat_map(|node| [node; CLIENTS_PER_NODE]).zip(0_u64..);
    let spend_all = clients.map(|(node, seed)| tokio::spawn(spend_down(cluster.api(node), seed)));
    let tallies: Vec<Tally> =
        join_all(spend_all).await.into_iter().map(|told| told.expect("a tally")).collect();
    let told = Tally::sum(&tallies);
    assert_eq!(told.refused_otherwise(&["exhausted"]), [].into(), "{tallies:#?}");
    assert_eq!((told.allowed, told.unknown), (whole(1_000), Credits::ZERO));
    finished(&cluster, &told).await;
}

/// Random amounts for random users, smaller after each refusal, until not even one micro-credit is to be had.
async fn spend_down(mut api: Api, seed: u64) -> Tally {
    let mut random = StdRng::seed_from_u64(seed);
    let mut told = Tally::default();
    let mut most = 5_000_000;
    loop {
        let amount = micros(random.random_range(1..=most));
        let user = format!("user-{}", random.random_range(0..20));
        let spent = api.consume("acme", &user, &amount.to_string()).await;
        told.note(amount, &spent);
        match (spent, most) {
            (Spent::Allowed { .. }, _) => {}
            (Spent::Refused { .. }, 1) => return told,
            (Spent::Refused { .. }, _) => most = (most / 64).max(1),
            (Spent::Unknown, _) => panic!("no node was harmed, yet an answer was lost"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_credits_of_other_nodes_are_fetched_before_anybody_is_refused() {
    let cluster = Cluster::start(3).await;
    let mut api = cluster.api(1);
    api.make_workspace("acme", "1000").await;
    let mut told = Tally::default();
    // Each node becomes a holder, with more on its lease than was asked for.
    for node in cluster.numbers() {
        let mut api = cluster.api(node);
        for user in ["ann", "bob", "cleo"] {
            for _ in 0..4 {
                told.note(whole(1), &api.consume("acme", user, "1").await);
            }
        }
    }
    let books = Books::settled(&mut api, "acme", &told).await;
    assert_eq!(told.allowed, whole(36));
    assert!(books.leased > Credits::ZERO, "leases are out: {books:?}");
    // One user on one node gets all of it, in one piece; another one on another node finds nothing.
    told.note(books.remaining, &cluster.api(2).consume("acme", "ann", &books.remaining.to_string()).await);
    assert_eq!(told.allowed, whole(1_000), "{told:?}");
    assert_eq!(cluster.api(3).consume("acme", "dora", "0.000001").await.refused(), "exhausted");
    finished(&cluster, &told).await;
}

/// Everybody asks at once, and there is just enough, or a little too little: small leases, no rate known, all waiting.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_at_once_for_the_last_credits_gets_them_all() {
    let cluster = Cluster::start(3).await;
    for turn in 0..30_u16 {
        let workspace = format!("w-{turn}");
        cluster.api(1).make_workspace(&workspace, "10").await;
        let askers = match turn % 4 {
            0 => 10,
            1 | 2 => 12,
            _ => 24,
        };
        let ask_all = (0..askers).map(|asker| {
            let node = if turn % 4 == 2 { 1 + asker % 3 } else { 1 + turn % 3 };
            let user = if turn % 4 == 3 { asker % 6 } else { 0 };
            let (mut api, workspace) = (cluster.api(node), workspace.clone());
            tokio::spawn(async move {
                let mut told = Tally::default();
                told.note(whole(1), &api.consume(&workspace, &format!("user-{user}"), "1").await);
                told
            })
        });
        let tallies: Vec<Tally> =
            join_all(ask_all).await.into_iter().map(|told| told.expect("a tally")).collect();
        let told = Tally::sum(&tallies);
        assert_eq!(told.refused_otherwise(&["exhausted"]), [].into(), "turn {turn}: {told:?}");
        assert_eq!((told.allowed, told.unknown), (whole(10), Credits::ZERO), "turn {turn}: {told:?}");
    }
    for node in cluster.numbers() {
        assert_conserved(&mut cluster.api(node)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_for_too_much_takes_nobody_else_along() {
    let cluster = Cluster::start(3).await;
    for turn in 0..10 {
        let workspace = format!("w-{turn}");
        cluster.api(1).make_workspace(&workspace, "100").await;
        let (mut one, mut other) = (cluster.api(2), cluster.api(2));
        let (large, small) =
            tokio::join!(one.consume(&workspace, "ann", "500"), other.consume(&workspace, "ann", "1"));
        assert_eq!(large.refused(), "exhausted");
        assert_eq!(small.allowed().0, whole(1), "turn {turn}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_of_many_small_grants_is_spent_whole() {
    let cluster = Cluster::start(1).await;
    let mut api = cluster.api(1);
    api.make_workspace("acme", "0.1").await;
    for grant in 1..300 {
        let body = format!(r#"{{"id":"g-{grant}","kind":"pack","amount":"0.1"}}"#);
        api.write("POST", "/v1/workspaces/acme/grants", &body).await.expect(201);
    }
    let mut told = Tally::default();
    for _ in 0..60 {
        told.note(micros(500_000), &api.consume("acme", "ann", "0.5").await);
    }
    assert_eq!(told.allowed, whole(30), "{told:?}");
    assert_eq!(api.consume("acme", "ann", "0.000001").await.refused(), "exhausted");
    assert_conserved(&mut api).await;
}

/// The books say what clients were told, on every node; and every node says no.
async fn finished(cluster: &Cluster, told: &Tally) {
    let books = Books::settled(&mut cluster.api(1), "acme", told).await;
    assert_eq!((books.granted, books.used, books.remaining), (whole(1_000), told.allowed, Credits::ZERO));
    for node in cluster.numbers() {
        let mut api = cluster.api(node);
        assert_eq!(api.consume("acme", "ann", "0.000001").await.refused(), "exhausted");
        assert_conserved(&mut api).await;
    }
}
