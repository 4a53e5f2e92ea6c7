//! The administrator's story: limits that are felt at once, raises that are paid for, cuts that wait for what is out.
//! Not here: moving credits between users a thousand times (`reallocation`).

use std::time::Duration;
use tests::{
    Api, Books, Cluster, PATIENCE, Spent, Tally, assert_conserved, credits, eventually, text, whole,
};
use types::Credits;

const ALLOCATION: &str = "/v1/workspaces/acme/allocations/ann";

/// Single amounts from all nodes in turn until one is refused; answers the code.
async fn spend_until_refused(cluster: &Cluster, user: &str, amount: u64, told: &mut Tally) -> String {
    let mut callers: Vec<Api> = cluster.numbers().map(|node| cluster.api(node)).collect();
    for turn in (0..callers.len()).cycle() {
        let spent = callers[turn].consume("acme", user, &amount.to_string()).await;
        told.note(whole(amount), &spent);
        match spent {
            Spent::Allowed { .. } => {}
            Spent::Refused { code, .. } => return code,
            Spent::Unknown => panic!("no node was harmed, yet an answer was lost"),
        }
    }
    unreachable!("the turns have no end")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ann_is_refused_at_her_thousand_gets_two_thousand_more_and_goes_on() {
    let cluster = Cluster::start(3).await;
    let mut admin = cluster.api(2);
    admin.make_workspace("acme", "10000").await;
    let answer = admin.write("PUT", ALLOCATION, r#"{"amount":"1000","overflow":"none"}"#).await.expect(200);
    assert_eq!((&answer.json()["allocation"], &answer.json()["pending"]), (&"1000".into(), &"0".into()));

    let mut told = Tally::default();
    assert_eq!(spend_until_refused(&cluster, "ann", 20, &mut told).await, "allocation_exhausted");
    assert_eq!(told.allowed, whole(1_000));
    for node in cluster.numbers() {
        assert_eq!(
            cluster.api(node).consume("acme", "ann", "0.000001").await.refused(),
            "allocation_exhausted"
        );
    }

    let adjust = format!("{ALLOCATION}/adjust");
    let raised = admin.write("POST", &adjust, r#"{"delta":"2000"}"#).await.expect(200).json();
    assert_eq!((text(&raised["allocation"]), text(&raised["standing"])), ("3000".into(), "1000".into()));
    for node in cluster.numbers() {
        let spent = cluster.api(node).consume("acme", "ann", "1").await;
        told.note(whole(1), &spent);
        spent.allowed();
    }
    let (_, _, body) = cluster.api(1).consume("acme", "ann", "7").await.allowed();
    told.allowed.grow(whole(7));
    let charge: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(charge["sources"], serde_json::json!([{"from": "allocation", "amount": "7"}]));

    // 10,000 less 3,000 of Ann's is shared: one credit more than that is refused and changes nothing.
    let before = (Books::settled(&mut admin, "acme", &told).await, admin.get(ALLOCATION).await.expect(200));
    let refused = admin.write("POST", &adjust, r#"{"delta":"7000.000001"}"#).await.expect(402);
    assert_eq!(
        (refused.code(), text(&refused.json()["available"])),
        ("insufficient_shared".into(), "7000".into())
    );
    let beyond = admin.write("PUT", ALLOCATION, r#"{"amount":"999999999999"}"#).await.expect(402);
    assert_eq!(beyond.code(), "insufficient_shared");
    let after = (Books::read(&mut admin, "acme").await, admin.get(ALLOCATION).await.expect(200));
    assert_eq!(
        (before.0.allocated, before.0.shared, before.0.used),
        (after.0.allocated, after.0.shared, after.0.used)
    );
    assert_eq!(before.1.json(), after.1.json());
    assert_eq!(before.1.header("etag"), after.1.header("etag"), "a refusal is no change");

    // To the very last one it is granted, and Ann can spend all of it while nobody else gets any.
    admin.write("POST", &adjust, r#"{"delta":"7000"}"#).await.expect(200);
    assert_eq!(cluster.api(3).consume("acme", "bob", "0.000001").await.refused(), "exhausted");
    let code = spend_until_refused(&cluster, "ann", 90, &mut told).await;
    assert_eq!(code, "allocation_exhausted");
    let left = whole(10_000).checked_sub(told.allowed).expect("never more than granted");
    told.note(left, &cluster.api(2).consume("acme", "ann", &left.to_string()).await);
    let books = Books::settled(&mut admin, "acme", &told).await;
    assert_eq!((told.allowed, books.used, books.remaining), (whole(10_000), whole(10_000), Credits::ZERO));
    for node in cluster.numbers() {
        assert_conserved(&mut cluster.api(node)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_below_what_is_out_says_what_is_pending_and_is_never_spent_twice() {
    let cluster = Cluster::start(3).await;
    cluster.api(1).make_workspace("acme", "1000").await;
    let leader = cluster.shard().await.leader;
    let holder = cluster.numbers().find(|node| *node != leader).expect("three nodes");
    let mut admin = cluster.api(leader);
    admin.write("PUT", ALLOCATION, r#"{"amount":"1000"}"#).await.expect(200);
    let mut told = Tally::default();
    let mut ann = cluster.api(holder);
    eventually("Ann is decided where she asks", PATIENCE, async || {
        let spent = ann.consume("acme", "ann", "50").await;
        told.note(whole(50), &spent);
        (spent.allowed().1 == format!("n{holder}")).then_some(())
    })
    .await;
    let out = Books::at_rest(&mut admin, "acme", &told).await.leased;
    assert!(out >= whole(50), "a lease covers two of the largest requests: {out}");

    // The holder is cut off; then Ann keeps only what she has used and one credit.
    cluster.isolate(holder);
    let keep = told.allowed.checked_add(whole(1)).expect("small");
    let expected = out.checked_sub(whole(1)).expect("more than one credit was out");
    let body = format!(r#"{{"amount":"{keep}"}}"#);
    let cut = admin.write("PUT", ALLOCATION, &body).await.expect(202).json();
    assert_eq!((credits(&cut["allocation"]), credits(&cut["pending"])), (keep, expected));
    let from = cut["pending_from"].as_array().expect("a list");
    assert_eq!(from.len(), 1, "{cut}");
    assert_eq!((text(&from[0]["node"]), credits(&from[0]["amount"])), (format!("n{holder}"), expected));
    assert!(text(&from[0]["until"]).ends_with('Z'), "until when at the latest: {cut}");

    // Both sides spend all they can get hold of.
    let there = spend_from(&cluster, holder, "ann", &mut told).await;
    assert_eq!(there, out, "behind the partition exactly what is out");
    spend_from(&cluster, leader, "bob", &mut told).await;
    assert!(told.allowed <= whole(1_000), "{told:?}");

    cluster.heal();
    cluster.ready().await;
    eventually("nothing is pending any more", PATIENCE, async || {
        let allocation = cluster.api(leader).read(ALLOCATION).await;
        credits(&allocation["pending"]).is_zero().then_some(())
    })
    .await;
    let books = Books::settled(&mut admin, "acme", &told).await;
    let ann = cluster.api(holder).consume("acme", "ann", "1").await.refused();
    assert_eq!(ann, "allocation_exhausted", "what she spent behind the cut is hers to bear");
    if !books.remaining.is_zero() {
        let spent = cluster.api(leader).consume("acme", "bob", &books.remaining.to_string()).await;
        told.note(books.remaining, &spent);
    }
    let books = Books::settled(&mut admin, "acme", &told).await;
    assert_eq!((books.used, books.remaining), (whole(1_000), Credits::ZERO), "{told:?}");
    for node in cluster.numbers() {
        assert_conserved(&mut cluster.api(node)).await;
    }
}

/// Everything the user can get on one node; answers how much that was.
async fn spend_from(cluster: &Cluster, node: u16, user: &str, told: &mut Tally) -> Credits {
    let (mut api, before) = (cluster.api(node), told.allowed);
    for micros in [10_000_000, 1_000_000, 30_000, 1_000, 30, 1] {
        let amount = Credits::from_micros(micros).expect("small");
        loop {
            let spent = api.consume("acme", user, &amount.to_string()).await;
            told.note(amount, &spent);
            if !matches!(spent, Spent::Allowed { .. }) {
                break;
            }
        }
    }
    told.allowed.checked_sub(before).expect("it only grows")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_is_felt_within_a_second_where_the_holder_is_reachable() {
    let cluster = Cluster::start(3).await;
    let mut admin = cluster.api(1);
    admin.make_workspace("acme", "5000").await;
    admin.write("PUT", ALLOCATION, r#"{"amount":"4000"}"#).await.expect(200);
    let mut told = Tally::default();
    for node in cluster.numbers() {
        let mut ann = cluster.api(node);
        for _ in 0..5 {
            told.note(whole(20), &ann.consume("acme", "ann", "20").await);
        }
    }
    assert_eq!(told.allowed, whole(300));
    let cut = admin.write("PUT", ALLOCATION, r#"{"amount":"100"}"#).await;
    assert!([200, 202].contains(&cut.status), "{}", cut.text());
    let within = Duration::from_secs(1);
    eventually("what was out has come back", within, async || {
        let answer = admin.read(ALLOCATION).await;
        credits(&answer["pending"]).is_zero().then_some(())
    })
    .await;
    for node in cluster.numbers() {
        assert_eq!(
            cluster.api(node).consume("acme", "ann", "0.000001").await.refused(),
            "allocation_exhausted"
        );
    }
    // What she has used stays hers; all the rest is Bob's for the taking, to the last credit.
    let left = whole(4_700);
    told.note(left, &cluster.api(3).consume("acme", "bob", &left.to_string()).await);
    let books = Books::settled(&mut admin, "acme", &told).await;
    assert_eq!((told.allowed, books.used, books.remaining), (whole(5_000), whole(5_000), Credits::ZERO));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_expires_is_taken_back_from_who_goes_on_spending_it() {
    let cluster = Cluster::start(3).await;
    let mut admin = cluster.api(1);
    admin.make_workspace("acme", "0.000001").await;
    let now_ms = jiff::Timestamp::now().as_millisecond();
    let until = jiff::Timestamp::from_millisecond(now_ms + 5_000).expect("soon");
    let body = format!(r#"{{"id":"trial","kind":"trial","amount":"300","expires_at":"{until}"}}"#);
    admin.write("POST", "/v1/workspaces/acme/grants", &body).await.expect(201);
    let mut told = Tally::default();
    let code = eventually("a spender is stopped", PATIENCE, async || {
        match admin.consume("acme", "ann", "0.01").await {
            Spent::Refused { code, .. } => Some(code),
            spent => {
                told.note(Credits::from_micros(10_000).expect("small"), &spent);
                None
            }
        }
    })
    .await;
    assert_eq!(code, "exhausted");
    assert!(jiff::Timestamp::now() >= until && told.allowed > Credits::ZERO, "{told:?}");
    let books = Books::settled(&mut admin, "acme", &told).await;
    assert_eq!((books.used, books.leased), (told.allowed, Credits::ZERO), "{books:?}");
    for node in cluster.numbers() {
        assert_conserved(&mut cluster.api(node)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn access_limits_and_listed_members() {
    let cluster = Cluster::start(3).await;
    let mut admin = cluster.api(1);
    admin.make_workspace("acme", "1000").await;
    let mut ann = cluster.api(3);
    ann.consume("acme", "ann", "5").await.allowed();

    admin.write("PUT", "/v1/workspaces/acme/members/ann", r#"{"ai_access":false}"#).await.expect(200);
    eventually("her access ends", PATIENCE, async || match ann.consume("acme", "ann", "1").await {
        Spent::Refused { code, .. } => {
            assert_eq!(code, "access_disabled");
            Some(())
        }
        Spent::Allowed { .. } | Spent::Unknown => None,
    })
    .await;
    admin.write("PUT", "/v1/workspaces/acme/members/ann", r#"{"ai_access":true}"#).await.expect(200);
    ann.consume("acme", "ann", "1").await.allowed();

    admin.write("PUT", "/v1/workspaces/acme/limits/bob", r#"{"amount":"3"}"#).await.expect(200);
    for node in cluster.numbers() {
        cluster.api(node).consume("acme", "bob", "1").await.allowed();
    }
    for node in cluster.numbers() {
        assert_eq!(cluster.api(node).consume("acme", "bob", "1").await.refused(), "limit_reached");
    }
    admin.write("PUT", "/v1/workspaces/acme/limits/bob", r#"{"amount":null}"#).await.expect(200);
    cluster.api(2).consume("acme", "bob", "1").await.allowed();

    admin.write("PUT", "/v1/workspaces/acme", r#"{"membership":"listed"}"#).await.expect(200);
    assert_eq!(cluster.api(2).consume("acme", "stranger", "1").await.refused(), "unknown_user");
    ann.consume("acme", "ann", "1").await.allowed();
}
