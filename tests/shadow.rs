//! Shadow mode on three real nodes: nothing is refused, the pool is spent as with enforcement on, and what would have been
//! refused is reported once. Not here: every reason there is (`ledger`'s scripts, `testkit`'s histories).

use futures::future::join_all;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tests::{Api, Cluster, PATIENCE, Spent, assert_conserved, credits, eventually, number, text, whole};
use types::Credits;

const WORKSPACE: &str = "/v1/workspaces/acme";
const CONSUME: &str = "/v1/workspaces/acme/consume";

/// What clients were told.
#[derive(Clone, Debug, Default, PartialEq)]
struct Told {
    charged: Credits,
    allowed: u64,
    /// Would have been refused: by code how often, and what it would have cost.
    shadow: BTreeMap<String, (u64, Credits)>,
}

impl Told {
    fn note(&mut self, spent: Spent) {
        let (charged, _, bytes) = spent.allowed();
        let answer: Value = serde_json::from_slice(&bytes).expect("an answer");
        let shadow = &answer["shadow"];
        if shadow.is_null() {
            self.allowed += 1;
            self.charged = self.charged.checked_add(charged).expect("a small sum");
            return;
        }
        assert_eq!((charged, &answer["sources"]), (Credits::ZERO, &json!([])), "{answer}");
        let (calls, cost) = self.shadow.entry(text(&shadow["code"])).or_default();
        *calls += 1;
        *cost = cost.checked_add(credits(&shadow["would_have_cost"])).expect("a small sum");
    }

    fn add(&mut self, other: &Self) {
        self.charged = self.charged.checked_add(other.charged).expect("a small sum");
        self.allowed += other.allowed;
        for (code, (calls, cost)) in &other.shadow {
            let (sum, costs) = self.shadow.entry(code.clone()).or_default();
            *sum += calls;
            *costs = costs.checked_add(*cost).expect("a small sum");
        }
    }

    fn would_refuse(&self, code: &str) -> (u64, Credits) {
        self.shadow.get(code).copied().unwrap_or_default()
    }
}

/// Five callers at each node ask for so much, so often each.
async fn ask(cluster: &Cluster, user: &'static str, amount: u64, times: usize) -> Told {
    let callers = cluster.numbers().flat_map(|node| std::iter::repeat_n(node, 5)).map(|node| {
        let mut api = cluster.api(node);
        tokio::spawn(async move {
            let mut told = Told::default();
            for _ in 0..times {
                told.note(api.consume_reachable("acme", user, whole(amount)).await);
            }
            told
        })
    });
    let mut all = Told::default();
    join_all(callers).await.into_iter().for_each(|told| all.add(&told.expect("nothing is refused")));
    all
}

async fn enforce(api: &mut Api, enforcement: &str) {
    let body = json!({ "enforcement": enforcement }).to_string();
    let set = api.write("PUT", WORKSPACE, &body).await.expect(200).json();
    assert_eq!(set["enforcement"], enforcement);
}

/// The report's rows of a user, summed over days.
async fn reported(api: &mut Api, user: &str) -> (u64, Credits, BTreeMap<String, u64>, Credits) {
    let path = format!("{WORKSPACE}/shadow?group_by=user,feature&interval=day");
    let report = api.read(&path).await;
    let mut sum = (0, Credits::ZERO, BTreeMap::new(), Credits::ZERO);
    for row in report["rows"].as_array().expect("rows").iter().filter(|row| row["user"] == user) {
        assert_eq!((&row["feature"], row["day"].is_string()), (&json!("chat"), true), "{row}");
        sum.0 += number(&row["allowed"]);
        sum.1 = sum.1.checked_add(credits(&row["credits"])).expect("a small sum");
        for (code, calls) in row["by_code"].as_object().expect("codes") {
            *sum.2.entry(code.clone()).or_default() += number(calls);
        }
        sum.3 = sum.3.checked_add(credits(&row["would_have_cost"])).expect("a small sum");
    }
    sum
}

async fn is_reported(api: &mut Api, user: &str, allowed: u64, code: &str, calls: u64, cost: Credits) {
    let by_code = BTreeMap::from([(code.to_owned(), calls)]);
    let expected = (allowed, whole(allowed), by_code, cost);
    let what = format!("{user}: {expected:?} is reported");
    eventually(&what, PATIENCE, async || (reported(api, user).await == expected).then_some(())).await;
}

/// Counted on all nodes since they started.
async fn metered(cluster: &Cluster, code: &str) -> u64 {
    let mut sum = 0;
    for node in cluster.numbers() {
        let metrics = cluster.api(node).get("/metrics").await.expect(200).text();
        let name = format!(r#"tranche_would_refuse_total{{code="{code}"}} "#);
        let line = metrics.lines().find_map(|line| line.strip_prefix(&name).map(str::to_owned));
        sum += line.expect("the metric is there").parse::<u64>().expect("a number");
    }
    sum
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_refused_and_a_pool_of_a_hundred_pays_a_hundred() {
    let mut cluster = Cluster::start(3).await;
    let mut admin = cluster.api(1);
    admin.make_workspace("acme", "100").await;
    enforce(&mut admin, "shadow").await;
    let member = format!("{WORKSPACE}/members/eve");
    admin.write("PUT", &member, r#"{"ai_access":false}"#).await.expect(200);

    // 150 of ann's, and 30 of somebody's who may not spend at all.
    let (ann, eve) = tokio::join!(ask(&cluster, "ann", 1, 10), ask(&cluster, "eve", 2, 2));
    assert_eq!((ann.allowed, ann.charged), (100, whole(100)), "{ann:?}");
    assert_eq!(ann.would_refuse("exhausted"), (50, whole(50)), "{ann:?}");
    assert_eq!((eve.allowed, eve.would_refuse("access_disabled")), (0, (30, whole(60))), "{eve:?}");
    is_reported(&mut admin, "ann", 100, "exhausted", 50, whole(50)).await;
    is_reported(&mut admin, "eve", 0, "access_disabled", 30, whole(60)).await;
    assert_eq!((metered(&cluster, "exhausted").await, metered(&cluster, "access_disabled").await), (50, 30));
    let pool = admin.workspace("acme").await;
    assert_eq!(
        [text(&pool["used"]), text(&pool["remaining"]), text(&pool["enforcement"])],
        ["100", "0", "shadow"]
    );
    let usage = admin.read(&format!("{WORKSPACE}/usage?group_by=user")).await;
    let rows = usage["rows"].as_array().expect("rows");
    assert_eq!(rows.len(), 1, "who was only counted has used nothing: {usage}");
    assert_eq!((number(&rows[0]["calls"]), &rows[0]["units"]), (100, &json!({})), "{usage}");

    // A retry is the same answer, from whichever node.
    let first = admin.consume_for_sure("acme", "ann", "1.5", "k-1").await.allowed();
    let mut again = Vec::new();
    for node in cluster.numbers() {
        again.push(cluster.api(node).consume_for_sure("acme", "ann", "1.5", "k-1").await.allowed());
    }
    assert!(again.iter().all(|answer| answer.2 == first.2), "{again:?}");
    let answer: Value = serde_json::from_slice(&first.2).expect("an answer");
    assert_eq!(answer["shadow"]["would_have_cost"], "1.5");
    let charge = admin.read(&format!("{WORKSPACE}/charges/{}", text(&answer["id"]))).await;
    assert_eq!((&charge["units"], &charge["shadow"]), (&json!({}), &answer["shadow"]), "{charge}");
    let cost = whole(50).checked_add(credits(&json!("1.5"))).expect("a small sum");
    is_reported(&mut admin, "ann", 100, "exhausted", 51, cost).await;

    // The node that decided it is killed: nothing is lost, and nothing is counted twice.
    let by: u16 = first.1.trim_start_matches('n').parse().expect("a node");
    cluster.node(by).kill();
    cluster.node(by).restart().await;
    cluster.ready().await;
    let other = cluster.numbers().find(|node| *node != by).expect("three nodes");
    let after = cluster.api(other).consume_for_sure("acme", "ann", "1.5", "k-1").await.allowed();
    assert_eq!(after.2, first.2);
    let mut admin = cluster.api(other);
    is_reported(&mut admin, "ann", 100, "exhausted", 51, cost).await;
    is_reported(&mut admin, "eve", 0, "access_disabled", 30, whole(60)).await;

    // From the moment enforcement is on it refuses.
    enforce(&mut admin, "on").await;
    for node in cluster.numbers() {
        for (user, code) in [("ann", "exhausted"), ("eve", "access_disabled")] {
            let refused = eventually("a node refuses", PATIENCE, async || {
                let spent = cluster.api(node).consume_reachable("acme", user, whole(1)).await;
                // A draw that was on its way may still be answered by what was said before.
                matches!(spent, Spent::Refused { .. }).then_some(spent)
            });
            assert_eq!(refused.await.refused(), code);
        }
    }
    let key_again = admin.consume_for_sure("acme", "ann", "1.5", "k-1").await.allowed();
    assert_eq!(key_again.2, first.2, "what was answered stands");
    assert_eq!(reported(&mut admin, "ann").await.1, whole(100));
    for node in cluster.numbers() {
        assert_conserved(&mut cluster.api(node)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_reason_is_named_and_what_is_no_decision_is_refused() {
    let cluster = Cluster::start(3).await;
    let mut admin = cluster.api(2);
    admin.make_workspace("acme", "1000").await;
    enforce(&mut admin, "shadow").await;
    for (user, body) in [("ann", "{}"), ("bob", "{}")] {
        admin.write("PUT", &format!("{WORKSPACE}/members/{user}"), body).await.expect(200);
    }
    admin.write("PUT", WORKSPACE, r#"{"membership":"listed"}"#).await.expect(200);
    let limit = format!("{WORKSPACE}/limits/ann");
    admin.write("PUT", &limit, r#"{"amount":"5","window":"cycle"}"#).await.expect(200);
    let allocation = format!("{WORKSPACE}/allocations/bob");
    admin.write("PUT", &allocation, r#"{"amount":"10","overflow":"none"}"#).await.expect(200);

    let (ann, bob, zoe) =
        tokio::join!(ask(&cluster, "ann", 1, 1), ask(&cluster, "bob", 1, 1), ask(&cluster, "zoe", 3, 1));
    assert_eq!((ann.allowed, ann.would_refuse("limit_reached")), (5, (10, whole(10))), "{ann:?}");
    assert_eq!((bob.allowed, bob.would_refuse("allocation_exhausted")), (10, (5, whole(5))), "{bob:?}");
    assert_eq!((zoe.allowed, zoe.would_refuse("unknown_user")), (0, (15, whole(45))), "{zoe:?}");
    is_reported(&mut admin, "zoe", 0, "unknown_user", 15, whole(45)).await;
    let refused = admin.answer("GET", &format!("{WORKSPACE}/members/zoe"), None).await;
    let member = refused.json();
    assert!(refused.status == 404 || member["listed"] == false, "a stranger stays one: {member}");

    // Without a price there is no decision, and nobody's own units are the report's.
    let unpriced = r#"{"user":"ann","feature":"chat","usage":{"token":1}}"#;
    assert_eq!(admin.answer("POST", CONSUME, Some(unpriced)).await.expect(422).code(), "unpriced");
    let reserved = r#"{"user":"ann","feature":"chat","usage":{"shadow:exhausted":1}}"#;
    assert_eq!(admin.answer("POST", CONSUME, Some(reserved)).await.expect(422).code(), "invalid");

    // In a batch each item has its own.
    let items = json!({"items": [
        {"user": "bob", "feature": "chat", "amount": "1", "key": "b-1"},
        {"user": "zoe", "feature": "chat", "amount": "2"},
    ]});
    let batch =
        admin.answer("POST", &format!("{CONSUME}/batch"), Some(&items.to_string())).await.expect(200).json();
    let codes: Vec<String> =
        batch["items"].as_array().expect("items").iter().map(|item| text(&item["shadow"]["code"])).collect();
    assert_eq!(codes, ["allocation_exhausted", "unknown_user"], "{batch}");
    for node in cluster.numbers() {
        assert_conserved(&mut cluster.api(node)).await;
    }
}

const HOLDS: &str = "/v1/workspaces/acme/holds";

async fn ask_hold(api: &mut Api, hold: &Value, verb: &str, body: Value) -> Value {
    let path = format!("{HOLDS}/{}/{verb}", text(hold));
    api.answer("POST", &path, Some(&body.to_string())).await.expect(200).json()
}

fn shadow(answer: &Value) -> (String, String) {
    (text(&answer["shadow"]["code"]), text(&answer["shadow"]["would_have_cost"]))
}

fn would(code: &str, cost: &str) -> (String, String) {
    (code.to_owned(), cost.to_owned())
}

fn open_body(user: &str, amount: &str) -> String {
    json!({"user": user, "feature": "chat", "amount": amount, "ttl_ms": 300_000}).to_string()
}

async fn holds_are_refused_with_enforcement_on(api: &mut Api) {
    enforce(api, "on").await;
    let opened = api.answer("POST", HOLDS, Some(&open_body("dee", "1"))).await.expect(201).json();
    let path = format!("{HOLDS}/{}/settle", text(&opened["hold"]));
    let refused = api.answer("POST", &path, Some(r#"{"amount":"2"}"#)).await.expect(402);
    assert_eq!(refused.code(), "hold_exceeded");
    assert_eq!(
        api.answer("POST", HOLDS, Some(&open_body("ann", "12"))).await.expect(402).code(),
        "exhausted"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_stream_is_cut_and_each_is_counted_once_when_it_ends() {
    let mut cluster = Cluster::start(3).await;
    let mut admin = cluster.api(1);
    admin.make_workspace("acme", "10").await;
    enforce(&mut admin, "shadow").await;
    // More than there is: opened with nothing, under a key the same again, gone on with, settled.
    let (key, body) = ("h-1", open_body("ann", "12"));
    let first = admin.write_keyed("POST", HOLDS, key, &body).await.expect(201);
    let opened = first.json();
    assert_eq!((text(&opened["held"]), shadow(&opened)), ("0".into(), would("exhausted", "12")), "{opened}");
    for node in cluster.numbers() {
        let again = cluster.api(node).write_keyed("POST", HOLDS, key, &body).await.expect(201);
        assert_eq!(again.body, first.body);
    }
    let extended =
        ask_hold(&mut admin, &opened["hold"], "extend", json!({"amount": "15", "confirmed": "14"})).await;
    let said = [&extended["held"], &extended["confirmed"]].map(text);
    assert_eq!((said, shadow(&extended)), (["0".into(), "0".into()], would("exhausted", "15")), "{extended}");

    // The node that has it is killed: it is still known.
    let by = text(&opened["hold"]);
    let by: u16 =
        by.split_once('.').expect("a node and a number").0.trim_start_matches('n').parse().expect("a node");
    cluster.node(by).kill();
    cluster.node(by).restart().await;
    cluster.ready().await;
    let other = cluster.numbers().find(|node| *node != by).expect("three nodes");
    let mut api = cluster.api(other);
    let ended = ask_hold(&mut api, &opened["hold"], "settle", json!({"amount": "14.5"})).await;
    assert_eq!(
        (text(&ended["charged"]), shadow(&ended)),
        ("0".into(), would("exhausted", "14.5")),
        "{ended}"
    );
    assert_eq!(ask_hold(&mut api, &opened["hold"], "settle", json!({"amount": "14.5"})).await, ended);

    // What there is is held; more is not, and what the call has cost beyond it is counted.
    let opened = api.answer("POST", HOLDS, Some(&open_body("bob", "8"))).await.expect(201).json();
    assert_eq!((text(&opened["held"]), opened.get("shadow")), ("8".into(), None), "{opened}");
    let extended = ask_hold(&mut api, &opened["hold"], "extend", json!({"amount": "11"})).await;
    assert_eq!(
        (text(&extended["held"]), shadow(&extended)),
        ("8".into(), would("exhausted", "3")),
        "{extended}"
    );
    let ended = ask_hold(&mut api, &opened["hold"], "settle", json!({"amount": "10"})).await;
    assert_eq!((text(&ended["charged"]), shadow(&ended)), ("8".into(), would("exhausted", "2")), "{ended}");

    // Beyond a hold that was given all it asked for.
    let opened = api.answer("POST", HOLDS, Some(&open_body("cid", "1"))).await.expect(201).json();
    let ended = ask_hold(&mut api, &opened["hold"], "settle", json!({"amount": "1.25"})).await;
    assert_eq!(
        (text(&ended["charged"]), shadow(&ended)),
        ("1".into(), would("hold_exceeded", "0.25")),
        "{ended}"
    );

    let cost = |text: &str| credits(&json!(text));
    for (user, charged, code, rest) in [
        ("ann", "0", "exhausted", "14.5"),
        ("bob", "8", "exhausted", "2"),
        ("cid", "1", "hold_exceeded", "0.25"),
    ] {
        let expected = (0, cost(charged), BTreeMap::from([(code.to_owned(), 1)]), cost(rest));
        let what = format!("{user}: {expected:?} is reported");
        eventually(&what, PATIENCE, async || (reported(&mut api, user).await == expected).then_some(()))
            .await;
    }

    holds_are_refused_with_enforcement_on(&mut api).await;
    for node in cluster.numbers() {
        assert_conserved(&mut cluster.api(node)).await;
    }
}
