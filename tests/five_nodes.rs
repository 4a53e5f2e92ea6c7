//! Five nodes, three replicas: who hosts no replica of a shard holds its credits like anybody else. Not here: three.

use futures::future::join_all;
use tests::{Books, Cluster, PATIENCE, Spent, Tally, assert_conserved, whole};
use tokio::time::Instant;
use types::Credits;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_five_spend_one_pool_and_two_of_them_may_be_gone() {
    let mut cluster = Cluster::start(5).await;
    cluster.api(4).make_workspace("acme", "1000").await;
    let shard = cluster.shard().await;
    assert_eq!(shard.replicas.len(), 3, "also on five nodes, three replicas: {shard:?}");
    let guests: Vec<u16> = cluster.numbers().filter(|node| !shard.replicas.contains(node)).collect();

    // Everybody decides by himself, guests too.
    let mut told = Tally::default();
    for node in cluster.numbers() {
        let mut api = cluster.api(node);
        let mut deciders = Vec::new();
        for _ in 0..6 {
            let spent = api.consume("acme", &format!("user-{node}"), "1").await;
            told.note(whole(1), &spent);
            deciders.push(spent.allowed().1);
        }
        assert_eq!(deciders.last(), Some(&format!("n{node}")), "{deciders:?}");
    }
    assert_eq!(told.allowed, whole(30));
    Books::settled(&mut cluster.api(guests[0]), "acme", &told).await;

    // One guest and one replica are gone; the pool goes on from the three that are left.
    let replica = shard.leader;
    let gone = [guests[0], replica];
    gone.iter().for_each(|node| cluster.node(*node).kill());
    let left: Vec<u16> = cluster.numbers().filter(|node| !gone.contains(node)).collect();
    for node in &left {
        told.note(whole(1), &spend_for_sure(&cluster, *node).await);
    }
    cluster.all_back().await;

    let clients = cluster.numbers().flat_map(|node| [node; 4]);
    let spend_all = clients.map(|node| {
        let mut api = cluster.api(node);
        tokio::spawn(async move {
            let mut told = Tally::default();
            // Who has just come back may still be out of some node's reach; that is said, and asked again.
            let end = Instant::now() + 2 * PATIENCE;
            while !told.refused.contains_key("exhausted") {
                assert!(Instant::now() < end, "still not exhausted: {told:?}");
                told.note(whole(1), &api.consume("acme", "ann", "1").await);
            }
            told
        })
    });
    for tally in join_all(spend_all).await {
        told.add(&tally.expect("a tally"));
    }
    assert_eq!(told.refused_otherwise(&["exhausted", "credits_unreachable"]), [].into(), "{told:?}");
    assert_eq!((told.allowed, told.unknown), (whole(1_000), Credits::ZERO), "{told:?}");
    let books = Books::settled(&mut cluster.api(guests[1]), "acme", &told).await;
    assert_eq!((books.used, books.remaining), (whole(1_000), Credits::ZERO));
    for node in cluster.numbers() {
        assert_conserved(&mut cluster.api(node)).await;
    }
}

/// One credit with a key, whatever it takes, for a user whose home is alive.
async fn spend_for_sure(cluster: &Cluster, node: u16) -> Spent {
    for n in 0.. {
        let user = format!("other-{node}-{n}");
        let spent = cluster.api(node).consume_as("acme", &user, "1", Some("once"), None).await;
        match spent {
            Spent::Refused { code, .. } if code == "home_unreachable" => {}
            Spent::Allowed { .. } => return spent,
            _ => return cluster.api(node).consume_for_sure("acme", &user, "1", "once").await,
        }
    }
    unreachable!("there is no end of users")
}
