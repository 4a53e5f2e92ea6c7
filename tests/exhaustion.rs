//! A pool is spent to the last micro-credit and not one further, from three nodes at once; and nobody is refused while
//! credits lie idle on another node. Not here: nodes that die (`failover`).

use futures::future::join_all;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tests::{Api, Books, Cluster, Spent, Tally, assert_conserved};
use types::Credits;

const CLIENTS_PER_NODE: usize = 8;

fn whole(credits: u64) -> Credits {
    Credits::whole(credits).expect("within the bound")
}

fn micros(micros: u64) -> Credits {
    Credits::from_micros(micros).expect("within the bound")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_single_credits_and_not_one_more() {
    let cluster = Cluster::start(3).await;
    cluster.api(1).make_workspace("acme", "1000").await;
    let clients = cluster.numbers().flat_map(|node| [node; CLIENTS_PER_NODE]);
    let spend_all = clients.map(|node| {
        let mut api = cluster.api(node);
        tokio::spawn(async move {
            let mut told = Tally::default();
            while told.refused.is_empty() {
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
