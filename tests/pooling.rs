//! Credits for seats that are pooled, per seat, or own first, on three real nodes: switched in mid-life as previewed, while a
//! node is killed and comes back. Not here: every corner of what a seat's part is (`ledger`'s scripts), allocations by hand.

use serde_json::{Value, json};
use tests::{Api, Cluster, PATIENCE, Tally, assert_conserved, eventually, text, whole};

const WORKSPACE: &str = "/v1/workspaces/acme";
const PLAN: &str = "/v1/workspaces/acme/plan";
const POOLING: &str = "/v1/workspaces/acme/pooling";
const OVERAGE: &str = "/v1/workspaces/acme/overage";

async fn access(api: &mut Api, user: &str, on: bool) {
    let path = format!("{WORKSPACE}/members/{user}");
    api.write("PUT", &path, &json!({ "ai_access": on }).to_string()).await.expect(200);
}

/// What the pool has in sum, wherever it is.
async fn sums(api: &mut Api) -> [String; 3] {
    let pool = api.workspace("acme").await;
    ["granted", "used", "remaining"].map(|name| text(&pool[name]))
}

/// Access off and on: what members' lines have left comes back at once, and nobody is given anything by it.
async fn bring_back(admin: &mut Api, users: &[&str]) {
    for on in [false, true] {
        for user in users {
            access(admin, user, on).await;
        }
    }
    eventually("nothing is leased", PATIENCE, async || {
        let pool = admin.workspace("acme").await;
        (pool["leased"] == "0").then_some(())
    })
    .await;
}

/// What was previewed on another node is what then happens, and moves no credit.
async fn switch(cluster: &Cluster, admin: &mut Api, mode: &str) -> Value {
    let body = json!({ "mode": mode }).to_string();
    let before = admin.read(POOLING).await;
    let path = format!("{POOLING}?preview=true");
    let previewed = cluster.api(3).answer("PUT", &path, Some(&body)).await.expect(200).json();
    assert_eq!(admin.read(POOLING).await, before, "a preview changes nothing");
    let answer = admin.write("PUT", POOLING, &body).await;
    let happened = answer.json();
    let is_pending = happened["pending"] != "0";
    assert_eq!(answer.status, if is_pending { 202 } else { 200 }, "{happened}");
    assert_eq!(previewed, happened);
    assert_eq!(happened["mode"], mode);
    happened
}

async fn allocation(api: &mut Api, user: &str) -> Value {
    api.read(&format!("{WORKSPACE}/allocations/{user}")).await
}

async fn remaining(api: &mut Api, user: &str) -> String {
    text(&api.read(&format!("{WORKSPACE}/members/{user}")).await["remaining"])
}

async fn three_seats(cluster: &Cluster) -> Api {
    let mut admin = cluster.api(1);
    admin.write("PUT", WORKSPACE, "{}").await.expect(200);
    admin.write("PUT", PLAN, r#"{"id":"pro","per_seat":"5000"}"#).await.expect(200);
    for user in ["ann", "bob", "cid"] {
        access(&mut admin, user, true).await;
    }
    admin
}

/// Seats with 5,000 each, not pooled: whoever has used his is stopped, while others have theirs; with overage he goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_seat_has_its_own_and_an_admin_lets_it_go_on_or_not() {
    let cluster = Cluster::start(3).await;
    let mut admin = three_seats(&cluster).await;
    assert_eq!(admin.read(POOLING).await["mode"], "pooled");
    let per_seat = switch(&cluster, &mut admin, "per_seat").await;
    let parts =
        ["seats", "share", "parts", "set_aside", "short", "shared"].map(|name| per_seat[name].clone());
    assert_eq!(parts, [json!(3), json!("5000"), json!(3), json!("15000"), json!("0"), json!("0")]);
    let part = allocation(&mut admin, "ann").await;
    assert_eq!((&part["allocation"], &part["of_seat"]), (&json!("5000"), &json!(true)), "{part}");

    cluster.api(1).consume("acme", "ann", "2000").await.allowed();
    cluster.api(2).consume("acme", "ann", "3000").await.allowed();
    let body = r#"{"user":"ann","feature":"chat","amount":"1"}"#;
    let problem =
        cluster.api(3).answer("POST", &format!("{WORKSPACE}/consume"), Some(body)).await.expect(402).json();
    assert_eq!((&problem["code"], &problem["available"]), (&json!("allocation_exhausted"), &json!("0")));
    assert!(text(&problem["would_help"]).contains("overage"), "{problem}");
    // Who has no seat has nothing, whatever lies there for nobody.
    let pack = r#"{"id":"pack","kind":"pack","amount":"50"}"#;
    admin.write("POST", &format!("{WORKSPACE}/grants"), pack).await.expect(201);
    assert_eq!(cluster.api(2).consume("acme", "eve", "1").await.refused(), "allocation_exhausted");
    assert_eq!(cluster.api(2).consume("acme", "ann", "1").await.refused(), "allocation_exhausted");
    cluster.api(3).consume("acme", "bob", "10").await.allowed();

    // Overage up to a cap, and off again.
    admin.write("PUT", OVERAGE, r#"{"mode":"capped","cap":"100"}"#).await.expect(200);
    let (_, _, answer) = cluster.api(3).consume("acme", "ann", "60").await.allowed();
    let answer: Value = serde_json::from_slice(&answer).expect("an answer");
    assert_eq!(answer["sources"], json!([{"from": "overage", "amount": "60"}]));
    assert_eq!(cluster.api(2).consume("acme", "ann", "41").await.refused(), "overage_cap_reached");
    cluster.api(2).consume("acme", "ann", "40").await.allowed();
    admin.write("PUT", OVERAGE, r#"{"mode":"off"}"#).await.expect(200);
    assert_eq!(cluster.api(1).consume("acme", "ann", "1").await.refused(), "allocation_exhausted");

    // Own first: his own is gone, what is shared is there for him too.
    bring_back(&mut admin, &["ann", "bob", "cid"]).await;
    switch(&cluster, &mut admin, "own_first").await;
    let (_, _, answer) = cluster.api(1).consume("acme", "ann", "30").await.allowed();
    let answer: Value = serde_json::from_slice(&answer).expect("an answer");
    assert_eq!(answer["sources"], json!([{"from": "shared", "amount": "30"}]));
    assert_eq!(cluster.api(1).consume("acme", "ann", "21").await.refused(), "exhausted");
    bring_back(&mut admin, &["ann", "bob", "cid"]).await;
    assert_eq!(remaining(&mut admin, "bob").await, "5010", "4,990 of his own, and what is shared");
    for node in cluster.numbers() {
        assert_conserved(&mut cluster.api(node)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_switch_to_and_fro_gives_nobody_anything_whatever_node_is_down() {
    let mut cluster = Cluster::start(3).await;
    let mut admin = three_seats(&cluster).await;
    // Pooled, one member uses more than a seat's share, and what is out for him is called back with the switch.
    cluster.api(1).consume("acme", "ann", "1000").await.allowed();
    cluster.api(1).consume("acme", "bob", "6000").await.allowed();
    bring_back(&mut admin, &["ann", "bob", "cid"]).await;
    let had = sums(&mut admin).await;
    assert_eq!(had, ["15000", "7000", "8000"]);
    // 5,000 less what each used are left, of which 1,000 are Bob's doing and somebody's loss.
    let per_seat = switch(&cluster, &mut admin, "per_seat").await;
    assert_eq!([text(&per_seat["set_aside"]), text(&per_seat["short"])], ["8000", "1000"]);
    assert_eq!(remaining(&mut admin, "ann").await, "4000");
    assert_eq!(remaining(&mut admin, "bob").await, "0");
    assert_eq!(allocation(&mut admin, "cid").await["short"], "1000");
    assert_eq!(cluster.api(2).consume("acme", "bob", "1").await.refused(), "allocation_exhausted");
    for mode in ["pooled", "per_seat", "own_first", "pooled", "per_seat"] {
        switch(&cluster, &mut admin, mode).await;
        assert_eq!(sums(&mut admin).await, had, "{mode}");
    }
    assert_eq!(remaining(&mut admin, "ann").await, "4000");

    // Ann's lease is on a node that is killed. It counts as used until the node is back.
    let mut told = Tally::default();
    cluster.decide_at(2, "ann", &mut told).await;
    let rest = whole(500).saturating_sub(told.allowed).to_string();
    cluster.api(2).consume("acme", "ann", &rest).await.allowed();
    cluster.node(2).kill();
    let pooled = admin.write("PUT", POOLING, r#"{"mode":"pooled"}"#).await.expect(202).json();
    assert_eq!(pooled["parts"], 0);
    eventually("what is out elsewhere is back", PATIENCE, async || {
        let pooling = admin.read(POOLING).await;
        let nodes: Vec<Value> =
            pooling["pending_on"].as_array()?.iter().map(|on| on["node"].clone()).collect();
        (nodes == ["n2"]).then_some(())
    })
    .await;
    let per_seat = switch_through(&cluster, &mut admin, "per_seat").await;
    assert_ne!(per_seat["pending"], "0", "{per_seat}");
    assert_eq!(cluster.api(3).consume("acme", "bob", "1").await.refused(), "allocation_exhausted");
    cluster.node(2).start();
    eventually("what was called back is back", PATIENCE, async || {
        let pooling = admin.read(POOLING).await;
        (pooling["pending"] == "0").then_some(())
    })
    .await;
    assert_eq!(sums(&mut admin).await, ["15000", "7500", "7500"]);
    assert_eq!(remaining(&mut admin, "ann").await, "3500");
    assert_eq!(remaining(&mut admin, "cid").await, "4000");

    // Whoever takes a free seat has what is left of it; a seat more brings its own.
    access(&mut admin, "ann", false).await;
    access(&mut admin, "dee", true).await;
    // Of the 3,500 that are left of it Cid's shortage took 1,000 while nobody had the seat.
    let part = allocation(&mut admin, "dee").await;
    assert_eq!((&part["allocation"], &part["short"]), (&json!("2500"), &json!("1000")), "{part}");
    access(&mut admin, "ann", true).await;
    assert_eq!(sums(&mut admin).await, ["20000", "7500", "12500"]);
    cluster.ready().await;
    for node in cluster.numbers() {
        assert_conserved(&mut cluster.api(node)).await;
    }
}

/// While a node is away and leaders may be elected.
async fn switch_through(cluster: &Cluster, admin: &mut Api, mode: &str) -> Value {
    let path = format!("{POOLING}?preview=true");
    let body = json!({ "mode": mode }).to_string();
    let previewed = cluster.api(3).write("PUT", &path, &body).await.expect(200).json();
    let happened = admin.write("PUT", POOLING, &body).await.json();
    assert_eq!(previewed, happened);
    happened
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_brings_its_rule_of_overage_and_what_is_wrong_is_refused() {
    let cluster = Cluster::start(3).await;
    let mut admin = cluster.api(1);
    admin.write("PUT", WORKSPACE, "{}").await.expect(200);
    let plan = r#"{"id":"pro","allowance":"10","overage":{"mode":"capped","cap":"5"}}"#;
    let put = admin.write("PUT", PLAN, plan).await.expect(200).json();
    assert_eq!(put["plan"]["overage"], json!({"mode": "capped", "cap": "5"}));
    let overage = admin.read(OVERAGE).await;
    let shown = ["mode", "cap", "own"].map(|name| overage[name].clone());
    assert_eq!(shown, [json!("capped"), json!("5"), json!(false)]);
    cluster.api(2).consume("acme", "ann", "14").await.allowed();
    assert_eq!(cluster.api(3).consume("acme", "ann", "2").await.refused(), "overage_cap_reached");
    // The workspace's own rule stands instead of it.
    admin.write("PUT", OVERAGE, r#"{"mode":"off"}"#).await.expect(200);
    assert_eq!(cluster.api(3).consume("acme", "ann", "1").await.refused(), "exhausted");
    let overage = admin.read(OVERAGE).await;
    assert_eq!((&overage["own"], &overage["plan"]["mode"]), (&json!(true), &json!("capped")), "{overage}");
    let overage = admin.answer("DELETE", OVERAGE, None).await.expect(200).json();
    assert_eq!((&overage["own"], &overage["mode"]), (&json!(false), &json!("capped")), "{overage}");
    cluster.api(3).consume("acme", "ann", "1").await.allowed();

    for (method, path, body, status, why) in [
        ("PUT", "pooling", r#"{"mode":"half"}"#, 422, "mode: it is one of: pooled per_seat own_first"),
        ("PUT", "pooling", r#"{"mode":"pooled","seats":1}"#, 400, "unknown field"),
        ("PUT", "pooling", "{}", 400, "missing field"),
        ("PUT", "pooling?preview=perhaps", r#"{"mode":"pooled"}"#, 400, "preview"),
        ("PUT", "plan", r#"{"id":"p","overage":{"mode":"on","cap":"1"}}"#, 422, "cap: "),
    ] {
        let answer = admin.answer(method, &format!("{WORKSPACE}/{path}"), Some(body)).await;
        assert_eq!(answer.status, status, "{body}: {}", answer.text());
        assert!(answer.detail().contains(why), "{body}: {}", answer.text());
    }
    let first = admin.write_keyed("PUT", POOLING, "k1", r#"{"mode":"per_seat"}"#).await.expect(200);
    admin.write("PUT", POOLING, r#"{"mode":"pooled"}"#).await.expect(200);
    let again = admin.write_keyed("PUT", POOLING, "k1", r#"{"mode":"per_seat"}"#).await.expect(200);
    assert_eq!(again.body, first.body);
    assert_eq!(admin.read(POOLING).await["mode"], "pooled", "an answer again is no change again");
    let stale = [("If-Match", first.header("etag").expect("an ETag"))];
    let stale =
        admin.send("PUT", POOLING, &stale, Some(br#"{"mode":"own_first"}"#)).await.expect("an answer");
    assert_eq!(stale.status, 412);
    assert_conserved(&mut admin).await;
}
