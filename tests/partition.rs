//! Nodes that live but cannot be reached: a holder that is cut off spends exactly what it holds; slow and half-dead
//! links cost time, never a credit. Not here: nodes that die (`failover`).

use futures::future::join_all;
use std::time::Duration;
use tests::{
    Api, Books, Cluster, PATIENCE, Signal, Spent, Tally, Way, assert_conserved, credits, eventually, text,
    whole,
};
use types::Credits;

/// What a node has out, in the words of another one's ledger.
async fn leased_by(api: &mut Api, node: u16) -> Credits {
    let cluster = api.read("/v1/cluster").await;
    let nodes = cluster["nodes"].as_array().expect("a list of nodes");
    let found = nodes.iter().find(|entry| text(&entry["id"]) == format!("n{node}")).expect("it is listed");
    credits(&found["holder"]["leased"])
}

/// Spends single credits until the first refusal, then ever smaller parts of one, so that nothing that could be spent
/// is left. Answers the code of the last refusal.
async fn spend_all(api: &mut Api, user: &str, told: &mut Tally) -> String {
    let mut amount = 1_000_000;
    loop {
        let asked = Credits::from_micros(amount).expect("small");
        let spent = api.consume("acme", user, &asked.to_string()).await;
        told.note(asked, &spent);
        match spent {
            Spent::Allowed { .. } => {}
            Spent::Refused { code, .. } if amount == 1 => return code,
            Spent::Refused { .. } => amount = (amount / 1_000).max(1),
            Spent::Unknown => panic!("an answer was lost"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_holder_that_is_cut_off_spends_exactly_what_it_holds() {
    let cluster = Cluster::start(3).await;
    cluster.api(1).make_workspace("acme", "1000").await;
    let leader = cluster.shard().await.leader;
    let lonely = cluster.numbers().find(|node| *node != leader).expect("three nodes");
    let mut told = Tally::default();
    cluster.decide_at(lonely, "ann", &mut told).await;
    Books::at_rest(&mut cluster.api(leader), "acme", &told).await;
    let held = leased_by(&mut cluster.api(leader), lonely).await;
    assert!(held > Credits::ZERO, "the lease is larger than what was asked");

    cluster.isolate(lonely);
    assert_eq!(leased_by(&mut cluster.api(leader), lonely).await, held, "nothing moved before the cut");
    let before = told.allowed;
    let mut on_its_own = cluster.api(lonely);
    let refused = spend_all(&mut on_its_own, "ann", &mut told).await;
    assert_eq!(told.allowed.checked_sub(before), Some(held), "exactly what it held");
    assert_eq!(refused, "credits_unreachable");
    let problem = on_its_own
        .answer(
            "POST",
            "/v1/workspaces/acme/consume",
            Some(r#"{"user":"ann","feature":"chat","amount":"1"}"#),
        )
        .await
        .expect(503);
    assert!(
        problem.header("retry-after").is_some() && problem.json()["available"] == "0",
        "{}",
        problem.text()
    );

    // The rest of the pool goes on, to its own last credit; what is out is not called exhausted.
    let rest = Books::read(&mut cluster.api(leader), "acme").await.available;
    let others: Vec<u16> = cluster.numbers().filter(|node| *node != lonely).collect();
    let before = told.allowed;
    assert_eq!(spend_all(&mut cluster.api(others[0]), "bob", &mut told).await, "credits_unreachable");
    assert!(told.allowed.checked_sub(before) >= Some(rest), "{rest} were left for the others: {told:?}");
    eventually("the summary says what is unreachable", PATIENCE, async || {
        let books = Books::read(&mut cluster.api(others[1]), "acme").await;
        (books.unreachable == held).then_some(())
    })
    .await;

    cluster.heal();
    cluster.ready().await;
    let mut books = Books::settled(&mut cluster.api(1), "acme", &told).await;
    if !books.remaining.is_zero() {
        told.note(books.remaining, &cluster.api(1).consume_reachable("acme", "bob", books.remaining).await);
        books = Books::settled(&mut cluster.api(1), "acme", &told).await;
    }
    assert_eq!((books.used, told.allowed), (whole(1_000), whole(1_000)));
    for node in cluster.numbers() {
        assert_eq!(cluster.api(node).consume("acme", "ann", "1").await.refused(), "exhausted");
        assert_conserved(&mut cluster.api(node)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_cut_off_and_the_others_never_spend_the_same_credit() {
    let cluster = Cluster::start(3).await;
    cluster.api(1).make_workspace("acme", "1000").await;
    let mut told = Tally::default();
    for node in cluster.numbers() {
        cluster.decide_at(node, "ann", &mut told).await;
    }
    let old = cluster.shard().await.leader;
    cluster.isolate(old);
    let others: Vec<u16> = cluster.numbers().filter(|node| *node != old).collect();
    let spend = cluster.numbers().map(|node| {
        let (mut api, others) = (cluster.api(node), others.clone());
        let mut witness = cluster.api(others[0]);
        tokio::spawn(async move {
            let mut told = Tally::default();
            // The old leader's side goes on at once with what it holds, the others as soon as they have a leader.
            if others.contains(&node) {
                until_led_by_another(&mut witness, old).await;
            }
            let refused = spend_all(&mut api, "ann", &mut told).await;
            assert_eq!(refused, "credits_unreachable", "n{node}");
            told
        })
    });
    for tally in join_all(spend).await {
        told.add(&tally.expect("a tally"));
    }
    assert!(told.allowed <= whole(1_000) && told.allowed > whole(500), "a majority goes on: {told:?}");
    cluster.heal();
    cluster.ready().await;
    let books = Books::settled(&mut cluster.api(old), "acme", &told).await;
    assert_eq!(
        (books.granted, books.used),
        (whole(1_000), told.allowed),
        "what every client was told, exactly"
    );
    if !books.remaining.is_zero() {
        cluster.api(old).consume_reachable("acme", "ann", books.remaining).await.allowed();
    }
    assert_eq!(cluster.api(old).consume("acme", "ann", "1").await.refused(), "exhausted");
    for node in cluster.numbers() {
        assert_conserved(&mut cluster.api(node)).await;
    }
}

/// Waits until a node that hosts the one shard with workspaces follows somebody else. In a task of its own, which
/// `eventually` cannot be in.
async fn until_led_by_another(witness: &mut Api, old: u16) {
    let end = tokio::time::Instant::now() + PATIENCE;
    loop {
        let cluster = witness.get("/v1/cluster").await.json();
        let groups = cluster["groups"].as_array().expect("a list of groups");
        let led = |group: &serde_json::Value| {
            group["workspaces"] == 1
                && group["leader"].as_str().is_some_and(|leader| leader != format!("n{old}"))
        };
        if groups.iter().any(led) {
            return;
        }
        assert!(tokio::time::Instant::now() < end, "no new leader");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_one_way_and_flapping_links_and_a_paused_node_cost_no_credit() {
    let mut cluster = Cluster::start(3).await;
    cluster.api(1).make_workspace("acme", "1000").await;
    let slow = Way { delay: Duration::from_millis(40), ..Way::OPEN };
    for (a, b) in [(1, 2), (1, 3), (2, 3)] {
        cluster.set(a, b, slow, slow);
    }
    let mut told = Tally::default();
    some_from_everywhere(&cluster, &mut told).await;
    // n2 is heard by nobody, but hears; then the other way round; then links flap; then a node stands still.
    for (to_others, from_others) in [(Way::SILENT, Way::OPEN), (Way::OPEN, Way::SILENT)] {
        cluster.set(2, 1, to_others, from_others);
        cluster.set(2, 3, to_others, from_others);
        some_from_everywhere(&cluster, &mut told).await;
        cluster.heal();
    }
    for _ in 0..3 {
        cluster.cut(1, 2);
        cluster.cut(1, 3);
        some_from_everywhere(&cluster, &mut told).await;
        cluster.heal();
    }
    cluster.ready().await;
    cluster.node(3).process().signal(Signal::STOP);
    for node in [1, 2] {
        some_from(&cluster, node, &mut told).await;
    }
    cluster.node(3).process().signal(Signal::CONT);
    cluster.ready().await;
    some_from_everywhere(&cluster, &mut told).await;

    let books = Books::at_rest(&mut cluster.api(1), "acme", &told).await;
    assert!(told.allowed >= whole(60), "most of it went through: {told:?}");
    told.note(books.remaining, &cluster.api(1).consume_reachable("acme", "heir", books.remaining).await);
    let books = Books::settled(&mut cluster.api(1), "acme", &told).await;
    assert_eq!((books.used, books.remaining), (whole(1_000), Credits::ZERO), "{told:?}");
    for node in cluster.numbers() {
        assert_conserved(&mut cluster.api(node)).await;
    }
}

async fn some_from_everywhere(cluster: &Cluster, told: &mut Tally) {
    for node in cluster.numbers() {
        some_from(cluster, node, told).await;
    }
}

async fn some_from(cluster: &Cluster, node: u16, told: &mut Tally) {
    let each = (0..5).map(|user| {
        let mut api = cluster.api(node);
        async move { api.consume("acme", &format!("user-{user}"), "1").await }
    });
    for spent in join_all(each).await {
        told.note(whole(1), &spent);
    }
}
