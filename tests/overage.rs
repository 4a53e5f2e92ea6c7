//! Overage on three real nodes: drawn when nothing that is included is left anywhere, to the last credit of its cap, and
//! billed to the credit. Not here: every corner of the books (`ledger`'s scripts), prices in money.

use futures::future::join_all;
use serde_json::{Value, json};
use tests::{
    Api, Books, Cluster, PATIENCE, Real, Spent, Tally, assert_conserved, credits, cycle_is, eventually,
    instant_ms, text, whole,
};
use types::Credits;

const WORKSPACE: &str = "/v1/workspaces/acme";
const OVERAGE: &str = "/v1/workspaces/acme/overage";

async fn set(api: &mut Api, path: &str, rule: &str) -> Value {
    api.write("PUT", path, rule).await.expect(200).json()
}

/// Of one cycle, once nothing of it is out any more.
async fn bill(api: &mut Api, cycle: u64) -> [String; 3] {
    let what = format!("nothing of cycle {cycle}'s overage is out");
    let cycle = eventually(&what, PATIENCE, async || {
        let cycles = api.read(OVERAGE).await["cycles"].as_array().expect("a list").clone();
        cycles.into_iter().find(|known| known["cycle"] == cycle && known["leased"] == "0")
    });
    let cycle = cycle.await;
    ["charged", "paid", "billed"].map(|name| text(&cycle[name]))
}

/// Access off and on: what a user's lines have left comes back at once.
async fn bring_back(api: &mut Api, user: &str) {
    let path = format!("{WORKSPACE}/members/{user}");
    for on in [false, true] {
        api.write("PUT", &path, &json!({ "ai_access": on }).to_string()).await.expect(200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_included_goes_first_from_everywhere_and_the_cap_is_met_to_the_credit() {
    let cluster = Cluster::start(3).await;
    let mut admin = cluster.api(1);
    admin.make_workspace("acme", "1000").await;
    set(&mut admin, OVERAGE, r#"{"mode":"capped","cap":"50"}"#).await;
    let spend_all = cluster.numbers().flat_map(|node| [node; 6]).map(|node| {
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
    assert_eq!(told.refused_otherwise(&["overage_cap_reached"]), [].into(), "{tallies:#?}");
    assert_eq!((told.allowed, told.unknown), (whole(1_050), Credits::ZERO));
    let books = Books::settled(&mut admin, "acme", &told).await;
    assert_eq!((books.used, books.remaining), (whole(1_050), Credits::ZERO));
    bring_back(&mut admin, "ann").await;
    assert_eq!(bill(&mut admin, 1).await, ["50", "0", "50"]);
    let grant = admin.read(&format!("{WORKSPACE}/grants/overage:1")).await;
    assert_eq!([text(&grant["kind"]), text(&grant["used"])], ["overage", "50"], "{grant}");

    // Refusals say what would help, and a raised cap helps at once; so does a pack.
    let body = r#"{"user":"ann","feature":"chat","amount":"3"}"#;
    let consume = format!("{WORKSPACE}/consume");
    let problem = cluster.api(2).answer("POST", &consume, Some(body)).await.expect(402).json();
    assert_eq!((&problem["code"], &problem["available"]), (&json!("overage_cap_reached"), &json!("0")));
    assert!(text(&problem["would_help"]).contains("raise the cap"), "{problem}");
    set(&mut admin, OVERAGE, r#"{"mode":"capped","cap":"52"}"#).await;
    let problem = cluster.api(2).answer("POST", &consume, Some(body)).await.expect(402).json();
    assert_eq!((&problem["code"], &problem["available"]), (&json!("overage_cap_reached"), &json!("2")));
    let pack = r#"{"id":"pack","kind":"pack","amount":"1"}"#;
    admin.write("POST", &format!("{WORKSPACE}/grants"), pack).await.expect(201);
    let (_, _, answer) = cluster.api(2).consume("acme", "ann", "3").await.allowed();
    let answer: Value = serde_json::from_slice(&answer).expect("an answer");
    let sources = json!([{"from": "shared", "amount": "1"}, {"from": "overage", "amount": "2"}]);
    assert_eq!(answer["sources"], sources, "{answer}");
    for node in cluster.numbers() {
        assert_conserved(&mut cluster.api(node)).await;
    }
}

/// Seats of their own: what the seat includes, and beyond it only what an admin allows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seats_that_share_nothing_go_on_where_an_admin_lets_them_and_the_month_ends_the_bill() {
    let mut cluster = Cluster::start_with_clocks(3).await;
    let mut admin = cluster.api(1);
    let cycles = r#"{"cycle":{"every":"month","anchor":"2026-01-31"}}"#;
    let made = admin.write("PUT", WORKSPACE, cycles).await.expect(200).json();
    let ends_at = instant_ms(&made["cycle"]["ends_at"]);
    let real = Real::of(&mut admin, WORKSPACE).await;
    let plan = r#"{"id":"pro","per_seat":"100"}"#;
    admin.write("PUT", &format!("{WORKSPACE}/plan"), plan).await.expect(200);
    for user in ["ann", "bob"] {
        admin.write("PUT", &format!("{WORKSPACE}/members/{user}"), r#"{"ai_access":true}"#).await.expect(200);
        let path = format!("{WORKSPACE}/allocations/{user}");
        admin.write("PUT", &path, r#"{"amount":"100"}"#).await.expect(200);
    }
    cluster.api(2).consume("acme", "ann", "100").await.allowed();
    assert_eq!(cluster.api(3).consume("acme", "ann", "1").await.refused(), "allocation_exhausted");
    // For the workspace alone changes nothing for those whose allocations keep them to themselves.
    assert_eq!(set(&mut admin, OVERAGE, r#"{"mode":"on"}"#).await["mode"], "on");
    assert_eq!(cluster.api(3).consume("acme", "ann", "1").await.refused(), "allocation_exhausted");
    let of_ann = format!("{OVERAGE}/ann");
    let rule = set(&mut admin, &of_ann, r#"{"mode":"capped","cap":"30"}"#).await;
    assert_eq!(rule, json!({"user": "ann", "mode": "capped", "cap": "30", "drawn": "0"}));
    cluster.api(3).consume("acme", "ann", "20").await.allowed();
    assert_eq!(cluster.api(2).consume("acme", "ann", "11").await.refused(), "overage_cap_reached");
    cluster.api(2).consume("acme", "ann", "10").await.allowed();
    assert_eq!(cluster.api(1).consume("acme", "bob", "101").await.refused(), "allocation_exhausted");
    // Off again: for her, and then for all.
    set(&mut admin, &of_ann, r#"{"mode":"off"}"#).await;
    assert_eq!(cluster.api(3).consume("acme", "ann", "1").await.refused(), "allocation_exhausted");
    admin.answer("DELETE", &of_ann, None).await.expect(200);
    assert_eq!(bill(&mut admin, 1).await, ["30", "0", "30"]);

    real.put_clocks_before(&mut cluster, ends_at, 1_500);
    cycle_is(&mut admin, WORKSPACE, 2).await;
    set(&mut admin, &of_ann, r#"{"mode":"on"}"#).await;
    cluster.api(2).consume("acme", "ann", "104").await.allowed();
    bring_back(&mut admin, "ann").await;
    assert_eq!(bill(&mut admin, 2).await, ["4", "0", "4"]);
    assert_eq!(bill(&mut admin, 1).await, ["30", "0", "30"], "the month before is what it was");
    assert_conserved(&mut admin).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_node_out_of_reach_had_left_pays_when_it_is_back() {
    let cluster = Cluster::start(3).await;
    cluster.api(1).make_workspace("acme", "1000").await;
    let leader = cluster.shard().await.leader;
    let lonely = cluster.numbers().find(|node| *node != leader).expect("three nodes");
    let mut admin = cluster.api(leader);
    set(&mut admin, OVERAGE, r#"{"mode":"on"}"#).await;
    let mut told = Tally::default();
    cluster.decide_at(lonely, "ann", &mut told).await;
    let books = Books::at_rest(&mut admin, "acme", &told).await;
    let left = books.remaining.checked_sub(books.available).expect("some of it is out");
    assert!(!left.is_zero(), "the lease is larger than what was asked");

    cluster.isolate(lonely);
    // All that is left here, and twice what is out there.
    let beyond = left.checked_add(left).expect("a few");
    for amount in [books.available, beyond] {
        eventually("nobody is refused while overage is on", PATIENCE, async || {
            let spent = cluster.api(leader).consume("acme", "bob", &amount.to_string()).await;
            told.note(amount, &spent);
            matches!(spent, Spent::Allowed { .. }).then_some(())
        })
        .await;
    }
    cluster.heal();
    cluster.ready().await;
    for user in ["ann", "bob"] {
        bring_back(&mut admin, user).await;
    }
    Books::settled(&mut admin, "acme", &told).await;
    let beyond = told.allowed.checked_sub(whole(1_000)).expect("more than is included");
    let [charged, paid, billed] = bill(&mut admin, 1).await.map(|amount| credits(&json!(amount)));
    assert_eq!(billed, beyond, "what was used beyond what was included, to the micro-credit");
    assert_eq!((charged, paid), (beyond.checked_add(left).expect("a few"), left));
    assert_conserved(&mut admin).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_makes_no_sense_is_refused_and_says_why() {
    let cluster = Cluster::start(1).await;
    let mut admin = cluster.api(1);
    admin.make_workspace("acme", "10").await;
    for body in [
        r#"{"mode":"capped"}"#,
        r#"{"mode":"on","cap":"5"}"#,
        r#"{"mode":"sometimes"}"#,
        r#"{"mode":"capped","cap":"0.0000001"}"#,
    ] {
        let problem = admin.answer("PUT", OVERAGE, Some(body)).await.expect(422).json();
        assert_eq!(problem["code"], "invalid", "{body}: {problem}");
    }
    admin.answer("PUT", OVERAGE, Some(r#"{"mode":"on","price":"5"}"#)).await.expect(400);
    admin.answer("GET", "/v1/workspaces/nobody/overage", None).await.expect(404);
    let named = r#"{"id":"overage:1","kind":"pack","amount":"1"}"#;
    admin.answer("POST", &format!("{WORKSPACE}/grants"), Some(named)).await.expect(422);
    let kind = r#"{"id":"more","kind":"overage","amount":"1"}"#;
    admin.answer("POST", &format!("{WORKSPACE}/grants"), Some(kind)).await.expect(422);

    // A key is of one command, an ETag of one state.
    let capped = r#"{"mode":"capped","cap":"5"}"#;
    let first = admin.write_keyed("PUT", OVERAGE, "k", capped).await.expect(200);
    let again = admin.write_keyed("PUT", OVERAGE, "k", r#"{"cap":5.0,"mode":"capped"}"#).await.expect(200);
    assert_eq!(first.text(), again.text());
    admin.write_keyed("PUT", OVERAGE, "k", r#"{"mode":"capped","cap":"6"}"#).await.expect(409);
    admin.consume("acme", "ann", "12").await.allowed();
    admin.answer("DELETE", &format!("{WORKSPACE}/grants/overage:1"), None).await.expect(422);
}
