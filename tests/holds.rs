//! Holds through real ports: opened, extended, settled, released, expired; on a node that is killed, through another node,
//! over a rollover; and fifty rolling streams on a pool that runs dry, beside worst-case holds. Not here: what the
//! journal keeps of them (`journal`).

use futures::future::join_all;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use std::ops::Range;
use std::sync::Arc;
use tests::{
    Api, Books, Cluster, PATIENCE, Real, Spent, Tally, assert_conserved, credits, cycle_is, eventually,
    instant_ms, text, whole,
};
use tokio::sync::Barrier;
use types::Credits;

const HOLDS: &str = "/v1/workspaces/acme/holds";

fn body(user: &str, amount: &str, ttl_ms: u32) -> String {
    json!({"user": user, "feature": "chat", "amount": amount, "ttl_ms": ttl_ms}).to_string()
}

async fn open(api: &mut Api, user: &str, amount: &str, ttl_ms: u32) -> String {
    let opened = api.answer("POST", HOLDS, Some(&body(user, amount, ttl_ms))).await.expect(201).json();
    assert_eq!(text(&opened["held"]), amount, "{opened}");
    text(&opened["hold"])
}

async fn ask(api: &mut Api, hold: &str, verb: &str, body: Value) -> tests::Answer {
    api.answer("POST", &format!("{HOLDS}/{hold}/{verb}"), Some(&body.to_string())).await
}

/// How it ended, what was charged, what was freed.
async fn end(api: &mut Api, hold: &str, verb: &str, body: Value) -> (String, String, String) {
    let ended = ask(api, hold, verb, body).await.expect(200).json();
    assert_eq!(text(&ended["hold"]), hold);
    (text(&ended["end"]), text(&ended["charged"]), text(&ended["freed"]))
}

fn told(end: &str, charged: &str, freed: &str) -> (String, String, String) {
    (end.into(), charged.into(), freed.into())
}

/// The summary once it says so of what is held.
async fn held_is(api: &mut Api, held: &str) -> Value {
    eventually(&format!("{held} are held"), PATIENCE, async || {
        let pool = api.workspace("acme").await;
        (text(&pool["held"]) == held).then_some(pool)
    })
    .await
}

async fn used_is(api: &mut Api, used: &str) {
    eventually(&format!("{used} are used and nothing is held"), PATIENCE, async || {
        let pool = api.workspace("acme").await;
        (text(&pool["used"]) == used && text(&pool["held"]) == "0").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hold_ends_once_and_every_answer_is_the_same_through_every_node() {
    let cluster = Cluster::start(3).await;
    let mut api = cluster.api(1);
    api.make_workspace("acme", "1000").await;
    let hold = open(&mut api, "ann", "10", 60_000).await;
    let pool = held_is(&mut api, "10").await;
    assert_eq!((text(&pool["used"]), text(&pool["remaining"])), ("0".into(), "990".into()), "{pool}");

    // At another node than the one its id names it is one hop away.
    for node in cluster.numbers() {
        let mut api = cluster.api(node);
        let state = json!({"amount": "12", "confirmed": "3"});
        let state = ask(&mut api, &hold, "extend", state).await.expect(200).json();
        assert_eq!((text(&state["held"]), text(&state["confirmed"])), ("12".into(), "3".into()), "{state}");
    }
    let answer = ask(&mut api, &hold, "settle", json!({"amount": "12.000001"})).await;
    assert_eq!((answer.status, answer.code()), (402, "hold_exceeded".into()), "{}", answer.text());
    assert_eq!(credits(&answer.json()["available"]), whole(12));
    assert_eq!(ask(&mut api, &hold, "settle", json!({"amount": "2.9"})).await.code(), "invalid");
    assert_eq!(ask(&mut api, &hold, "extend", json!({"confirmed": "12.1"})).await.code(), "invalid");
    let first = ask(&mut api, &hold, "settle", json!({"amount": "5"})).await.expect(200);
    assert_eq!(first.json()["sources"], json!([{"from": "shared", "amount": "5"}]));
    for node in cluster.numbers() {
        let mut api = cluster.api(node);
        let again = ask(&mut api, &hold, "settle", json!({"amount": "9"})).await.expect(200);
        assert_eq!(again.body, first.body, "settled twice is the same answer");
        let released = ask(&mut api, &hold, "release", json!({})).await.expect(200);
        assert_eq!(released.body, first.body, "one end, whoever asks");
        assert_eq!(ask(&mut api, &hold, "extend", json!({"amount": "20"})).await.code(), "hold_over");
    }

    let capped = open(&mut api, "ann", "4", 60_000).await;
    let cap = json!({"amount": "6", "shortfall": "cap"});
    assert_eq!(end(&mut api, &capped, "settle", cap).await, told("settled", "4", "0"));
    let released = open(&mut api, "ann", "4", 60_000).await;
    ask(&mut api, &released, "extend", json!({"confirmed": "1"})).await.expect(200);
    assert_eq!(end(&mut api, &released, "release", json!({})).await, told("released", "1", "3"));
    assert_eq!(ask(&mut api, &released, "settle", json!({"amount": "4"})).await.code(), "hold_over");
    used_is(&mut api, "10").await;

    // Of another workspace, of no node, of nobody.
    api.write("PUT", "/v1/workspaces/other", "{}").await.expect(200);
    let elsewhere = format!("/v1/workspaces/other/holds/{hold}");
    let settle = api.answer("POST", &format!("{elsewhere}/settle"), Some(r#"{"amount":"5"}"#)).await;
    assert_eq!((settle.status, settle.code()), (404, "not_found".into()));
    for unknown in ["n1.h999999", "n9.h1", "n2.h18446744073709551615"] {
        assert_eq!(end(&mut api, unknown, "release", json!({})).await, told("unknown", "0", "0"));
        assert_eq!(ask(&mut api, unknown, "settle", json!({"amount": "1"})).await.code(), "not_found");
        assert_eq!(ask(&mut api, unknown, "extend", json!({"amount": "1"})).await.code(), "not_found");
    }
    assert_eq!(ask(&mut api, "n1.42.7", "settle", json!({"amount": "1"})).await.code(), "invalid");
    assert_conserved(&mut api).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_hold_may_be_asked_at_its_bounds() {
    let cluster = Cluster::start(1).await;
    let mut api = cluster.api(1);
    api.make_workspace("acme", "10").await;
    for (ttl_ms, status) in [(999, 422), (1_000, 201), (300_000, 201), (300_001, 422)] {
        let answer = api.answer("POST", HOLDS, Some(&body("ann", "1", ttl_ms))).await;
        assert_eq!(answer.status, status, "{ttl_ms}: {}", answer.text());
    }
    for (body, status) in [
        (r#"{"user":"ann","feature":"chat","amount":"1"}"#, 400),
        (r#"{"user":"ann","feature":"chat","amount":"1","ttl_ms":5000,"hold":"n1.h1"}"#, 400),
        (r#"{"user":"ann","feature":"chat","amount":"0","ttl_ms":5000}"#, 422),
        (r#"{"user":"ann","feature":"chat","usage":{"moon":1},"ttl_ms":5000}"#, 422),
        (r#"{"user":"ann","feature":"chat","amount":"11","ttl_ms":5000}"#, 402),
    ] {
        assert_eq!(api.answer("POST", HOLDS, Some(body)).await.status, status, "{body}");
    }
    // Two hold two of ten.
    let hold = open(&mut api, "ann", "8", 60_000).await;
    assert_eq!(api.consume("acme", "ann", "0.000001").await.refused(), "exhausted");
    assert_eq!(ask(&mut api, &hold, "extend", json!({"amount": "8.000001"})).await.code(), "exhausted");
    assert_eq!(end(&mut api, &hold, "settle", json!({"amount": "3"})).await, told("settled", "3", "5"));
    // What it did not need is there at once.
    api.consume("acme", "ann", "5").await.allowed();
    let overage = ask(&mut api, &hold, "settle", json!({"amount": "9", "shortfall": "overage"})).await;
    assert!(
        overage.status == 422 && overage.detail().contains("it is one of: reject cap"),
        "{}",
        overage.text()
    );
    assert_conserved(&mut api).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_one_key_there_is_one_hold() {
    let cluster = Cluster::start(3).await;
    let mut api = cluster.api(1);
    api.make_workspace("acme", "100").await;
    let first = api.write_keyed("POST", HOLDS, "k", &body("ann", "10", 60_000)).await.expect(201);
    for node in cluster.numbers() {
        let mut api = cluster.api(node);
        let again = api.write_keyed("POST", HOLDS, "k", &body("ann", "10", 60_000)).await.expect(201);
        assert_eq!(again.body, first.body);
        for other in [body("ann", "11", 60_000), body("ann", "10", 60_001)] {
            assert_eq!(api.write_keyed("POST", HOLDS, "k", &other).await.code(), "key_conflict");
        }
        let consume = r#"{"user":"ann","feature":"chat","amount":"10"}"#;
        let consumed = api.write_keyed("POST", "/v1/workspaces/acme/consume", "k", consume).await;
        assert_eq!(consumed.code(), "key_conflict");
    }
    held_is(&mut api, "10").await;
    let hold = text(&first.json()["hold"]);
    assert_eq!(end(&mut api, &hold, "release", json!({})).await, told("released", "0", "10"));
    let again = api.write_keyed("POST", HOLDS, "k", &body("ann", "10", 60_000)).await.expect(201);
    assert_eq!(again.body, first.body, "what was answered under a key stands");
}

/// Its client is gone: so much after it was heard last a hold is charged what it had confirmed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_hangs_up_is_charged_what_it_confirmed() {
    let cluster = Cluster::start(1).await;
    let mut api = cluster.api(1);
    api.make_workspace("acme", "100").await;
    let hold = open(&mut api, "ann", "40", 1_000).await;
    ask(&mut api, &hold, "extend", json!({"confirmed": "7"})).await.expect(200);
    api.hang_up();
    used_is(&mut api, "7").await;
    assert_eq!(ask(&mut api, &hold, "extend", json!({"confirmed": "9"})).await.code(), "hold_over");
    assert_eq!(end(&mut api, &hold, "release", json!({})).await, told("expired", "7", "33"));
    // It comes back after all: an ordinary charge, of what the expiry did not charge.
    let above = ask(&mut api, &hold, "settle", json!({"amount": "41"})).await;
    assert_eq!(above.code(), "hold_exceeded");
    assert_eq!(
        end(&mut api, &hold, "settle", json!({"amount": "20"})).await,
        told("settled_late", "20", "20")
    );
    assert_eq!(
        end(&mut api, &hold, "settle", json!({"amount": "40"})).await,
        told("settled_late", "20", "20")
    );
    used_is(&mut api, "20").await;
    assert_conserved(&mut api).await;
}

/// A client that sends a request and does not wait for the answer has asked all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_wait_for_the_answer_holds_nothing_for_long() {
    let cluster = Cluster::start(1).await;
    let mut api = cluster.api(1);
    api.make_workspace("acme", "100").await;
    for _ in 0..20 {
        let mut gone = cluster.api(1);
        let asked = body("ann", "5", 1_000);
        let sent = gone.send("POST", HOLDS, &[], Some(asked.as_bytes()));
        // The connection breaks wherever the request is.
        let _hung_up = tokio::time::timeout(std::time::Duration::from_millis(2), sent).await;
    }
    used_is(&mut api, "0").await;
    assert_eq!(api.consume_reachable("acme", "ann", whole(100)).await.allowed().0, whole(100));
    assert_conserved(&mut api).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn open_holds_live_through_the_death_of_their_holder_and_of_the_leader() {
    let mut cluster = Cluster::start(3).await;
    let mut api = cluster.api(1);
    api.make_workspace("acme", "1000").await;
    // On each node one, so that whoever leads dies too.
    let mut holds = Vec::new();
    for node in cluster.numbers() {
        let mut api = cluster.api(node);
        let user = format!("user-{node}");
        let mut warm = Tally::default();
        cluster.decide_at(node, &user, &mut warm).await;
        let hold = open(&mut api, &user, "20", 120_000).await;
        assert!(hold.starts_with(&format!("n{node}.")), "opened where it is decided: {hold}");
        ask(&mut api, &hold, "extend", json!({"amount": "25", "confirmed": "6"})).await.expect(200);
        holds.push((hold, user, warm.allowed));
    }
    held_is(&mut api, "75").await;
    for node in cluster.numbers() {
        cluster.node(node).kill();
    }
    let asked = ask_elsewhere(&cluster).await;
    assert!(asked, "nobody answers");
    cluster.all_back().await;
    let mut api = cluster.api(1);
    held_is(&mut api, "75").await;
    let mut used: Credits =
        holds.iter().fold(Credits::ZERO, |sum, (_, _, warm)| sum.checked_add(*warm).unwrap());
    for (n, (hold, _, _)) in holds.iter().enumerate() {
        let ended = match n {
            0 => end(&mut api, hold, "settle", json!({"amount": "21"})).await,
            1 => end(&mut api, hold, "release", json!({})).await,
            _ => end(&mut api, hold, "settle", json!({"amount": "25"})).await,
        };
        let charged = [21, 6, 25][n];
        assert_eq!(ended.1, charged.to_string());
        used = used.checked_add(whole(charged)).unwrap();
    }
    used_is(&mut api, &used.to_string()).await;

    // A holder that stays away holds what it holds; what is asked of it says so.
    let mut other = cluster.api(2);
    let mut warm = Tally::default();
    cluster.decide_at(1, "late", &mut warm).await;
    let hold = open(&mut cluster.api(1), "late", "9", 120_000).await;
    assert!(hold.starts_with("n1."), "{hold}");
    cluster.node(1).kill();
    let answer = ask(&mut other, &hold, "settle", json!({"amount": "4"})).await;
    assert!(["holder_unreachable", "outcome_unknown"].contains(&answer.code().as_str()), "{}", answer.text());
    cluster.all_back().await;
    eventually("the hold is settled", PATIENCE, async || {
        let answer = ask(&mut other, &hold, "settle", json!({"amount": "4"})).await;
        (answer.status == 200).then(|| assert_eq!(text(&answer.json()["charged"]), "4"))
    })
    .await;
    let used = used.checked_add(warm.allowed).and_then(|used| used.checked_add(whole(4))).unwrap();
    used_is(&mut cluster.api(3), &used.to_string()).await;
    assert_conserved(&mut cluster.api(3)).await;
}

async fn ask_elsewhere(cluster: &Cluster) -> bool {
    cluster.api(1).send("GET", "/healthz", &[], None).await.is_err()
}

/// What an administrator takes away comes back when its hold ends; the node goes on meanwhile, for everybody else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_that_is_taken_away_waits_for_its_hold() {
    let cluster = Cluster::start(1).await;
    let mut api = cluster.api(1);
    api.make_workspace("acme", "100").await;
    let hold = open(&mut api, "ann", "30", 120_000).await;
    let off = api.write("PUT", "/v1/workspaces/acme/members/ann", r#"{"ai_access":false}"#).await;
    assert!([200, 202].contains(&off.status), "{}", off.text());
    // All but what is held comes back, and nobody else is kept waiting.
    eventually("what is idle is back", PATIENCE, async || {
        let pool = api.workspace("acme").await;
        (text(&pool["leased"]) == "0" && text(&pool["held"]) == "30").then_some(())
    })
    .await;
    assert_eq!(api.consume("acme", "ann", "1").await.refused(), "access_disabled");
    assert_eq!(api.consume_reachable("acme", "bob", whole(70)).await.allowed().0, whole(70));
    assert_eq!(ask(&mut api, &hold, "extend", json!({"amount": "31"})).await.code(), "hold_ending");
    ask(&mut api, &hold, "extend", json!({"confirmed": "5"})).await.expect(200);
    assert_eq!(end(&mut api, &hold, "settle", json!({"amount": "10"})).await, told("settled", "10", "20"));
    used_is(&mut api, "80").await;
    assert_eq!(api.consume_reachable("acme", "bob", whole(20)).await.allowed().0, whole(20));
    assert_conserved(&mut api).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hold_belongs_to_the_cycle_it_was_opened_in() {
    let mut cluster = Cluster::start_with_clocks(1).await;
    let mut api = cluster.api(1);
    let cycles = json!({"timezone": "UTC", "cycle": {"every": "month", "anchor": "2026-01-31"}});
    let set = api.write("PUT", "/v1/workspaces/acme", &cycles.to_string()).await.expect(200).json();
    let ends_ms = instant_ms(&set["cycle"]["ends_at"]);
    let pack = r#"{"id":"pack","kind":"pack","amount":"100"}"#;
    api.write("POST", "/v1/workspaces/acme/grants", pack).await.expect(201);
    let real = Real::of(&mut api, "/v1/workspaces/acme").await;
    let hold = open(&mut api, "ann", "30", 300_000).await;
    real.put_clocks_before(&mut cluster, ends_ms, 1_500);
    cycle_is(&mut api, "/v1/workspaces/acme", 2).await;
    let ending = eventually("its line is taken away", PATIENCE, async || {
        let answer = ask(&mut api, &hold, "extend", json!({"amount": "31"})).await;
        (answer.code() == "hold_ending").then_some(answer)
    });
    assert_eq!(ending.await.status, 409);
    // What is left of the pack is there in the new cycle, but for what is held.
    assert_eq!(api.consume_reachable("acme", "ann", whole(70)).await.allowed().0, whole(70));
    let settled = ask(&mut api, &hold, "settle", json!({"amount": "12"})).await.expect(200).json();
    assert_eq!((&settled["cycle"], text(&settled["charged"])), (&json!(1), "12".into()), "{settled}");
    eventually("what it did not need is kept", PATIENCE, async || {
        let pool = api.workspace("acme").await;
        (text(&pool["used"]) == "70" && text(&pool["remaining"]) == "18").then_some(())
    })
    .await;
    let grant = api.read("/v1/workspaces/acme/grants/pack").await;
    assert_eq!(text(&grant["used"]), "82", "{grant}");
    assert_conserved(&mut api).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_is_settled_by_the_prices_it_was_opened_under() {
    let cluster = Cluster::start(3).await;
    let mut api = cluster.api(1);
    api.make_workspace("acme", "1000").await;
    let usage = json!({"output_token": 2_000});
    let call = |hold: bool| {
        let mut call = json!({"user": "ann", "feature": "chat", "model": "m-1", "usage": usage});
        if hold {
            call["ttl_ms"] = json!(60_000);
        }
        call.to_string()
    };
    let put = async |credits: &str| {
        let price = json!({"feature": "chat", "model": "m-1", "unit": "output_token", "per": 1000, "credits": credits});
        let card = json!({"prices": [price]}).to_string();
        cluster.api(2).write("PUT", "/v1/rate-card", &card).await.expect(200).json()["version"].clone()
    };
    let knows = async |version: &Value| {
        let version = version.to_string();
        for node in cluster.numbers() {
            let mut api = cluster.api(node);
            eventually("the prices have arrived", PATIENCE, async || {
                let quote = api.answer("POST", "/v1/workspaces/acme/quote", Some(&call(false))).await;
                (quote.status == 200 && text(&quote.json()["price_version"]) == version).then_some(())
            })
            .await;
        }
    };
    knows(&put("1").await).await;
    let opened = api.answer("POST", HOLDS, Some(&call(true))).await.expect(201).json();
    assert_eq!(text(&opened["held"]), "2", "{opened}");
    let by_amount =
        json!({"user": "ann", "feature": "chat", "model": "m-1", "amount": "10", "ttl_ms": 60_000})
            .to_string();
    let by_amount = api.answer("POST", HOLDS, Some(&by_amount)).await.expect(201).json();
    let by_amount = text(&by_amount["hold"]);
    knows(&put("3").await).await;
    let settle = json!({"usage": usage, "shortfall": "reject"});
    for hold in [text(&opened["hold"]), by_amount] {
        let ended = end(&mut api, &hold, "settle", settle.clone()).await;
        assert_eq!((ended.0.as_str(), ended.1.as_str()), ("settled", "2"), "by the prices of then");
    }
    let now = api.answer("POST", HOLDS, Some(&call(true))).await.expect(201).json();
    assert_eq!(text(&now["held"]), "6", "{now}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_held_beyond_what_is_included_is_billed_as_far_as_it_is_settled() {
    let cluster = Cluster::start(3).await;
    let mut api = cluster.api(1);
    api.make_workspace("acme", "10").await;
    let overage = "/v1/workspaces/acme/overage";
    api.write("PUT", overage, r#"{"mode":"capped","cap":"5"}"#).await.expect(200);
    let hold = open(&mut api, "ann", "14", 60_000).await;
    let refused = api.answer("POST", HOLDS, Some(&body("bob", "2", 60_000))).await;
    assert_eq!((refused.status, refused.code()), (402, "overage_cap_reached".into()), "{}", refused.text());
    let ended = ask(&mut api, &hold, "settle", json!({"amount": "11"})).await.expect(200).json();
    let sources = json!([{"from": "shared", "amount": "10"}, {"from": "overage", "amount": "1"}]);
    assert_eq!((&ended["sources"], text(&ended["freed"])), (&sources, "3".into()), "{ended}");
    used_is(&mut api, "11").await;
    // Access off brings back what is idle of the lease.
    for on in [false, true] {
        let member = json!({ "ai_access": on }).to_string();
        api.write("PUT", "/v1/workspaces/acme/members/ann", &member).await.expect(200);
    }
    eventually("one credit is billed", PATIENCE, async || {
        let cycle = api.read(overage).await["cycles"][0].clone();
        (text(&cycle["billed"]) == "1" && text(&cycle["leased"]) == "0").then_some(())
    })
    .await;
    assert_conserved(&mut api).await;
}

/// A stream: it holds one credit ahead of what it has used, and goes on until its end or until there is no more.
async fn stream(mut api: Api, user: String, seed: u64) -> (u64, bool) {
    let mut random = StdRng::seed_from_u64(seed);
    let length: u64 = random.random_range(LENGTHS);
    let opened = loop {
        let answer = api.answer("POST", HOLDS, Some(&body(&user, "1", 60_000))).await;
        match answer.status {
            201 => break answer.json(),
            402 => return (0, true),
            _ => assert_eq!(answer.code(), "credits_unreachable", "{}", answer.text()),
        }
    };
    let hold = text(&opened["hold"]);
    let (mut used, mut is_dry) = (1, false);
    while used < length {
        let more = json!({"amount": (used + 1).to_string(), "confirmed": used.to_string()});
        let answer = ask(&mut api, &hold, "extend", more).await;
        match answer.status {
            200 => used += 1,
            402 => {
                is_dry = true;
                break;
            }
            _ => assert_eq!(answer.code(), "credits_unreachable", "{}", answer.text()),
        }
    }
    // Some settle, some just stop after a last word.
    if random.random_bool(0.7) {
        let ended = end(&mut api, &hold, "settle", json!({"amount": used.to_string()})).await;
        assert_eq!(ended, told("settled", &used.to_string(), "0"));
    } else {
        ask(&mut api, &hold, "extend", json!({"confirmed": used.to_string()})).await.expect(200);
        let ended = end(&mut api, &hold, "release", json!({})).await;
        assert_eq!(ended, told("released", &used.to_string(), "0"));
    }
    (used, is_dry)
}

/// The same call by a client that knows no better: it holds the most that a call can cost until it knows what this one has
/// cost. All of them are asked for before the first one ends. `None`: it was refused.
async fn worst_case(mut api: Api, user: String, seed: u64, all_asked: Arc<Barrier>) -> Option<u64> {
    let length: u64 = StdRng::seed_from_u64(seed).random_range(LENGTHS);
    let most = LENGTHS.end.to_string();
    let opened = loop {
        let answer = api.answer("POST", HOLDS, Some(&body(&user, &most, 60_000))).await;
        match answer.status {
            201 => break Some(answer.json()),
            402 => break None,
            _ => assert_eq!(answer.code(), "credits_unreachable", "{}", answer.text()),
        }
    };
    all_asked.wait().await;
    let hold = text(&opened?["hold"]);
    let ended = end(&mut api, &hold, "settle", json!({"amount": length.to_string()})).await;
    assert_eq!(ended, told("settled", &length.to_string(), &(LENGTHS.end - length).to_string()));
    Some(length)
}

const LENGTHS: Range<u64> = 20..100;
const STREAMS: u64 = 50;
const POOL: u64 = 1_500;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_streams_spend_a_pool_to_the_last_credit_and_stop() {
    let cluster = Cluster::start(3).await;
    let mut api = cluster.api(1);
    api.make_workspace("acme", &POOL.to_string()).await;
    let streams = (0..STREAMS).map(|n| {
        let node = u16::try_from(n % 3 + 1).unwrap();
        tokio::spawn(stream(cluster.api(node), format!("user-{}", n % 20), n))
    });
    let ended: Vec<(u64, bool)> = join_all(streams).await.into_iter().map(|ended| ended.unwrap()).collect();
    let spent: u64 = ended.iter().map(|(used, _)| used).sum();
    let dry = ended.iter().filter(|(_, is_dry)| *is_dry).count();
    assert!(dry > 0, "the pool is too large to run dry: {ended:?}");
    assert_eq!(spent, POOL, "to the last credit, and not one more: {ended:?}");
    used_is(&mut api, &POOL.to_string()).await;
    assert_eq!(cluster.api(2).consume("acme", "user-1", "0.000001").await.refused(), "exhausted");
    let charged = Spent::Allowed { charged: whole(POOL), by: String::new(), bytes: Vec::new() };
    let mut tally = Tally::default();
    tally.note(whole(POOL), &charged);
    let books = Books::at_rest(&mut api, "acme", &tally).await;
    assert_eq!(
        (books.used, books.remaining, books.unattributed),
        (whole(POOL), Credits::ZERO, Credits::ZERO)
    );
    assert_conserved(&mut api).await;
}

/// The same fifty calls with worst-case holds: what is held for nothing keeps others out, though they would have been paid for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn worst_case_holds_keep_out_whom_rolling_ones_serve() {
    let cluster = Cluster::start(3).await;
    let mut api = cluster.api(1);
    api.make_workspace("acme", &POOL.to_string()).await;
    let all_asked = Arc::new(Barrier::new(usize::try_from(STREAMS).unwrap()));
    let calls = (0..STREAMS).map(|n| {
        let node = u16::try_from(n % 3 + 1).unwrap();
        tokio::spawn(worst_case(cluster.api(node), format!("user-{}", n % 20), n, all_asked.clone()))
    });
    let ended: Vec<Option<u64>> = join_all(calls).await.into_iter().map(|ended| ended.unwrap()).collect();
    let (served, spent) = (ended.iter().flatten().count() as u64, ended.iter().flatten().sum::<u64>());
    tests::tell(format_args!(
        "fifty calls at once on {POOL} credits: worst-case holds served {served} of them and used {} % of the pool",
        spent * 100 / POOL
    ));
    assert_eq!(served, POOL / LENGTHS.end, "to the last hold: {ended:?}");
    assert!(spent < POOL, "{ended:?}");
    used_is(&mut api, &spent.to_string()).await;
    assert_conserved(&mut api).await;
}
