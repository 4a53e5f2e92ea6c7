//! Prices as platforms and operators meet them: cards that come into force, what is unpriced or falls back, workspaces' own
//! prices, what costs nothing, files. Not here: sums and rounding in every corner (`pricing`).

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Command, Output};
use tests::dev::{base_port, interrupted, started_with};
use tests::{
    Answer, Api, Cluster, PATIENCE, assert_conserved, binary, credits, eventually, instant_ms, number,
    one_at_a_time, text,
};
use types::Timestamp;
use wire::json::Shown;

const CARD: &str = "/v1/rate-card";
const VERSIONS: &str = "/v1/rate-card/versions";
const OWN: &str = "/v1/workspaces/acme/prices";
const QUOTE: &str = "/v1/workspaces/acme/quote";
const CONSUME: &str = "/v1/workspaces/acme/consume";
const DAY_MS: i64 = 86_400_000;

fn card(credits: &str) -> Value {
    json!({"prices": [{"feature": "chat", "model": "m-1", "unit": "call", "per": 1, "credits": credits}]})
}

fn call(version: Option<&str>) -> String {
    let mut asked = json!({"user": "ann", "feature": "chat", "model": "m-1", "usage": {"calls": 1}});
    if let Some(version) = version {
        asked["price_version"] = version.into();
    }
    asked.to_string()
}

async fn put(api: &mut Api, path: &str, body: &Value) -> Value {
    api.write("PUT", path, &body.to_string()).await.expect(200).json()
}

async fn quoted(api: &mut Api, version: Option<&str>) -> Answer {
    api.answer("POST", QUOTE, Some(&call(version))).await
}

/// Price and version of one call, by quote and by consume.
async fn costs(api: &mut Api) -> (String, String) {
    let quote = quoted(api, None).await.expect(200).json();
    let charge = api.answer("POST", CONSUME, Some(&call(None))).await.expect(200).json();
    assert_eq!(quote["charge"], charge["charged"]);
    assert_eq!(quote["price_version"], charge["price_version"]);
    (text(&charge["charged"]), text(&charge["price_version"]))
}

/// On every node, as soon as it has heard of it.
async fn all_cost(nodes: &mut [Api], charge: &str, version: &str) {
    // On all of them first: a consume may be decided by another node than the one that is asked.
    for api in nodes.iter_mut() {
        eventually("the prices have arrived", PATIENCE, async || {
            let quote = quoted(api, None).await;
            (quote.status == 200 && quote.json()["price_version"] == version).then_some(())
        })
        .await;
    }
    for api in nodes {
        assert_eq!(costs(api).await, (charge.into(), version.into()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_card_that_is_scheduled_comes_into_force_at_its_instant_everywhere() {
    let _turn = one_at_a_time().await;
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().join("data");
    let port = base_port(3);
    let process = started_with(&data, port, 3, &["--test-clock"]).await;
    let key = std::fs::read_to_string(data.join("operator.key")).expect("the key is kept");
    let mut nodes = [1, 2, 3].map(|node| Api::new((Ipv4Addr::LOCALHOST, port + node).into(), key.trim()));
    nodes[0].make_workspace("acme", "1000").await;
    let first = put(&mut nodes[0], CARD, &card("1")).await;
    assert_eq!(first["version"], 2, "after the one that dev starts with");
    all_cost(&mut nodes, "1", "2").await;

    let in_a_month = Timestamp::from_millis(instant_ms(&first["effective_at"]) + 30 * DAY_MS);
    let mut dearer = card("1.5");
    dearer["effective_at"] = Shown(&in_a_month).to_string().into();
    let set = put(&mut nodes[1], CARD, &dearer).await;
    assert_eq!(set, json!({"version": 3, "effective_at": dearer["effective_at"]}));
    dearer["effective_at"] = Shown(&in_a_month.plus_ms(DAY_MS)).to_string().into();
    assert_eq!(put(&mut nodes[1], CARD, &dearer).await["version"], 4);
    all_cost(&mut nodes, "1", "2").await;
    for api in &mut nodes {
        eventually("a scheduled card can be asked about", PATIENCE, async || {
            let quote = quoted(api, Some("3")).await;
            (quote.status == 200).then(|| assert_eq!(quote.json()["charge"], "1.5"))
        })
        .await;
        let listed = eventually("all have heard of both", PATIENCE, async || {
            let listed = api.read(VERSIONS).await["versions"].as_array().expect("a list").clone();
            (listed.len() == 4).then_some(listed)
        })
        .await;
        let states: Vec<String> = listed.iter().map(|card| text(&card["state"])).collect();
        assert_eq!(states, ["replaced", "in_force", "scheduled", "scheduled"]);
    }
    // What is scheduled is taken back; what is in force is not.
    let taken = nodes[2].write("DELETE", &format!("{VERSIONS}/4"), "").await.expect(200).json();
    assert_eq!(taken["version"], 4);
    for (version, status) in [(4, 404), (2, 409), (1, 409), (99, 404)] {
        nodes[2].answer("DELETE", &format!("{VERSIONS}/{version}"), None).await.expect(status);
    }

    let advance = |span: &str| format!(r#"{{"advance":"{span}"}}"#);
    nodes[0].answer("POST", "/v1/test/clock", Some(&advance("29d"))).await.expect(200);
    all_cost(&mut nodes, "1", "2").await;
    nodes[0].answer("POST", "/v1/test/clock", Some(&advance("1d"))).await.expect(200);
    assert_eq!(costs(&mut nodes[0]).await, ("1.5".into(), "3".into()), "by time alone, and at once");
    all_cost(&mut nodes, "1.5", "3").await;
    for api in &mut nodes {
        assert_eq!(api.read(CARD).await["version"], 3);
        // What was opened under a version can be priced under it.
        assert_eq!(quoted(api, Some("2")).await.expect(200).json()["charge"], "1");
        eventually("what was taken back is gone", PATIENCE, async || {
            let quote = quoted(api, Some("4")).await;
            (quote.status == 404).then(|| assert_eq!(quote.code(), "not_found"))
        })
        .await;
    }
    let late = json!({"prices": [], "effective_at": Shown(&in_a_month).to_string()});
    let late = nodes[0].answer("PUT", CARD, Some(&late.to_string())).await.expect(422);
    assert!(late.detail().contains("later than now, or at once"), "{}", late.text());
    assert_conserved(&mut nodes[0]).await;
    interrupted(process).await;

    // Versions, and what is in force, are still there.
    let process = started_with(&data, port, 3, &["--test-clock"]).await;
    nodes.iter_mut().for_each(Api::hang_up);
    all_cost(&mut nodes, "1.5", "3").await;
    interrupted(process).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_no_price_is_refused_or_costs_what_the_card_states() {
    let cluster = Cluster::start(3).await;
    let mut nodes = [1, 2, 3].map(|node| cluster.api(node));
    nodes[0].make_workspace("acme", "1000").await;
    put(&mut nodes[0], CARD, &card("1")).await;
    all_cost(&mut nodes, "1", "1").await;
    let ask = |feature: &str, model: Option<&str>, unit: &str| {
        let usage = json!({unit: 1});
        json!({"user": "ann", "feature": feature, "model": model, "usage": usage}).to_string()
    };
    let unknown = [
        ask("chat", Some("m-2"), "call"),
        ask("video", Some("m-1"), "call"),
        ask("chat", None, "call"),
        ask("chat", Some("m-1"), "minute"),
    ];
    for body in &unknown {
        for path in [QUOTE, CONSUME] {
            let refused = nodes[1].answer("POST", path, Some(body)).await.expect(422);
            assert_eq!(refused.code(), "unpriced", "{body}");
        }
    }
    let mut with_fallback = card("1");
    let fallback = |feature: &str, model: Option<&str>, credits: &str| json!({"feature": feature, "model": model, "unit": "call", "per": 1, "credits": credits});
    let prices = with_fallback["prices"].as_array_mut().expect("a list");
    prices.extend([
        fallback("chat", Some("*"), "5"),
        fallback("*", Some("*"), "7"),
        fallback("*", None, "9"),
    ]);
    put(&mut nodes[0], CARD, &with_fallback).await;
    all_cost(&mut nodes, "1", "2").await;
    for (body, charge) in unknown.iter().zip(["5", "7", "9"]) {
        let charged = nodes[2].answer("POST", CONSUME, Some(body)).await.expect(200).json();
        assert_eq!((text(&charged["charged"]), text(&charged["price_version"])), (charge.into(), "2".into()));
    }
    let refused = nodes[2].answer("POST", CONSUME, Some(&unknown[3])).await.expect(422);
    assert_eq!(refused.code(), "unpriced", "an unknown unit is never free, nor priced as another model's");
    assert_conserved(&mut nodes[0]).await;
}

/// The exact charge in micro-credits, worked out apart from the product: 1 credit per 1,000 input tokens, 3 beyond 2,000 of
/// a call; 1 credit per 7 output tokens, or a workspace's own price of 1 per 3. Not yet the minimum of half a credit.
fn expected(input: u64, output: u64, own: bool) -> u64 {
    let per_output = if own { 3 } else { 7 };
    let (low, high) = (u128::from(input.min(2_000)), u128::from(input.saturating_sub(2_000)));
    let millionths = (low + 3 * high) * 1_000 * per_output + u128::from(output) * 1_000_000;
    u64::try_from(millionths.div_ceil(per_output)).expect("small")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quote_is_what_is_charged_for_whatever_usage() {
    const CALLS: u32 = 150;
    let cluster = Cluster::start(3).await;
    let mut nodes = [1, 2, 3].map(|node| cluster.api(node));
    nodes[0].make_workspace("acme", "10000000").await;
    let tiered = json!({
        "prices": [
            {"feature": "chat", "model": "m-1", "unit": "input_token", "per": 1000, "credits": "1",
             "tiers": [{"above": 2000, "credits": "3"}]},
            {"feature": "chat", "model": "m-1", "unit": "output_token", "per": 7, "credits": "1"},
            {"feature": "chat", "model": "m-1", "unit": "call", "per": 1, "credits": "1"},
        ],
        "minimums": [{"feature": "chat", "model": "m-1", "credits": "0.5"}],
    });
    put(&mut nodes[0], CARD, &tiered).await;
    all_cost(&mut nodes, "1", "1").await;
    let mut random = StdRng::seed_from_u64(7);
    let mut total = 3_000_000;
    for is_own in [false, true] {
        if is_own {
            let own = json!({"prices": [
                {"feature": "chat", "model": "m-1", "unit": "output_tokens", "per": 3, "credits": "1"},
            ]});
            assert_eq!(put(&mut nodes[1], OWN, &own).await["version"], 2);
            all_cost(&mut nodes, "1", "1.2").await;
            total += 3_000_000;
        }
        for at in 0..CALLS {
            let size = 1 << random.random_range(1..20);
            let (input, output) = (random.random_range(0..size), random.random_range(0..size));
            let usage = json!({"input_tokens": input, "output_tokens": output});
            let user = format!("u{}", at % 3);
            let asked = json!({"user": user, "feature": "chat", "model": "m-1", "usage": usage}).to_string();
            let [api, other] = [at % 3, (at + 1) % 3].map(|node| cluster.api(node as u16 + 1));
            let [mut api, mut other] = [api, other];
            let quote = other.answer("POST", QUOTE, Some(&asked)).await.expect(200).json();
            let charge = api.answer("POST", CONSUME, Some(&asked)).await.expect(200).json();
            let charged = credits(&charge["charged"]).micros();
            let of_usage = expected(input, output, is_own);
            assert_eq!(charged, of_usage.max(500_000), "{asked}");
            assert_eq!(quote["minimum"].is_null(), of_usage >= 500_000, "{quote}");
            assert_eq!(quote["charge"], charge["charged"], "{asked}");
            assert_eq!(quote["price_version"], charge["price_version"], "{asked}");
            total += charged;
        }
    }
    let used = eventually("the books have all of it", PATIENCE, async || {
        let pool = nodes[0].workspace("acme").await;
        (credits(&pool["used"]).micros() == total).then_some(())
    });
    used.await;
    assert_conserved(&mut nodes[0]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_costs_nothing_stays_allowed_to_who_has_nothing() {
    let cluster = Cluster::start(3).await;
    let mut admin = cluster.api(1);
    put(&mut admin, CARD, &card("0")).await;
    admin.write("PUT", "/v1/workspaces/acme", "{}").await.expect(200);
    for (workspace, amount) in [("dry", "5"), ("none", "5")] {
        admin.make_workspace(workspace, amount).await;
    }
    // An empty pool; one that was spent; an allocation of nothing; a limit of nothing.
    admin.consume("dry", "ann", "5").await.allowed();
    admin.write("PUT", "/v1/workspaces/none/allocations/ann", r#"{"amount":"0"}"#).await.expect(200);
    admin.write("PUT", "/v1/workspaces/none/limits/bob", r#"{"amount":"0"}"#).await.expect(200);
    for node in cluster.numbers() {
        let mut api = cluster.api(node);
        eventually("the prices have arrived", PATIENCE, async || {
            (quoted(&mut api, None).await.status == 200).then_some(())
        })
        .await;
    }
    for node in cluster.numbers() {
        let mut api = cluster.api(node);
        for (workspace, user) in
            [("acme", "ann"), ("dry", "ann"), ("dry", "eve"), ("none", "ann"), ("none", "bob")]
        {
            let free = call(None).replace("ann", user);
            let path = format!("/v1/workspaces/{workspace}/consume");
            for key in [None, Some(format!("k-{node}-{workspace}-{user}"))] {
                let answer = match &key {
                    None => api.answer("POST", &path, Some(&free)).await,
                    Some(key) => api.write_keyed("POST", &path, key, &free).await,
                };
                let charge = answer.expect(200).json();
                assert_eq!((&charge["charged"], &charge["sources"]), (&json!("0"), &json!([])), "{user}");
            }
            let code = api.consume(workspace, user, "0.000001").await.refused();
            let lacks = ["exhausted", "allocation_exhausted", "limit_reached"].contains(&code.as_str());
            assert!(lacks, "n{node} {workspace}/{user}: {code}");
        }
    }
    let counted = eventually("what was free is counted, once", PATIENCE, async || {
        let usage = admin.read("/v1/workspaces/dry/usage?group_by=user").await;
        let of = |user: &str| {
            let rows = usage["rows"].as_array().expect("rows");
            rows.iter().find(|row| row["user"] == user).map(|row| number(&row["calls"]))
        };
        (of("eve") == Some(6) && of("ann") == Some(7)).then_some(())
    });
    counted.await;
    // Who may not use AI may not use it for nothing either.
    admin.write("PUT", "/v1/workspaces/acme/members/ann", r#"{"ai_access":false}"#).await.expect(200);
    for node in cluster.numbers() {
        let mut api = cluster.api(node);
        eventually("access is off everywhere", PATIENCE, async || {
            let answer = api.answer("POST", CONSUME, Some(&call(None))).await;
            (answer.status == 403).then(|| assert_eq!(answer.code(), "access_disabled"))
        })
        .await;
    }
    assert_conserved(&mut admin).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_are_made_once_and_on_what_was_seen() {
    let cluster = Cluster::start(3).await;
    let mut nodes = [1, 2, 3].map(|node| cluster.api(node));
    nodes[0].make_workspace("acme", "1000").await;
    let asked = card("2").to_string();
    let first = nodes[0].write_keyed("PUT", CARD, "k", &asked).await.expect(200);
    assert_eq!((number(&first.json()["version"]), first.header("etag")), (1, Some("\"1\"")));
    let rewritten = asked.replace("\"call\"", "\"calls\"").replace("\"2\"", "2.0");
    let again = nodes[1].write_keyed("PUT", CARD, "k", &rewritten).await.expect(200);
    assert_eq!(again.body, first.body, "however it is written");
    let other = nodes[1].write_keyed("PUT", CARD, "k", &card("3").to_string()).await;
    assert_eq!((other.status, other.code().as_str()), (409, "key_conflict"));
    let own = nodes[1].write_keyed("PUT", OWN, "k", &card("1").to_string()).await.expect(200);
    assert_eq!(number(&own.json()["version"]), 2, "a workspace's keys are its own");
    all_cost(&mut nodes, "1", "1.2").await;

    let if_match = async |api: &mut Api, method: &str, path: &str, tag: &str, body: &Value| {
        let body = (method == "PUT").then(|| body.to_string());
        let sent = api.send(method, path, &[("If-Match", tag)], body.as_ref().map(String::as_bytes)).await;
        sent.expect("an answer").status
    };
    let three = card("3");
    assert_eq!(if_match(&mut nodes[2], "PUT", CARD, "\"2\"", &three).await, 412);
    assert_eq!(if_match(&mut nodes[2], "PUT", CARD, "\"1\"", &three).await, 200);
    assert_eq!(if_match(&mut nodes[2], "PUT", OWN, "\"0\"", &three).await, 412);
    assert_eq!(if_match(&mut nodes[2], "DELETE", OWN, "\"3\"", &three).await, 412);
    // Under a key the answer stays what it was, whatever a call costs by now.
    let keyed = nodes[0].write_keyed("POST", CONSUME, "c", &call(None)).await.expect(200);
    assert_eq!((text(&keyed.json()["charged"]), &keyed.json()["price_version"]), ("1".into(), &Value::Null));
    assert_eq!(if_match(&mut nodes[2], "DELETE", OWN, "\"2\"", &three).await, 200);
    nodes[0].answer("DELETE", OWN, None).await.expect(404);
    eventually("node 1 has heard of it", PATIENCE, async || {
        (nodes[0].get(OWN).await.status == 404).then_some(())
    })
    .await;
    nodes[0].answer("PUT", "/v1/workspaces/nobody/prices", Some(&three.to_string())).await.expect(404);
    all_cost(&mut nodes, "3", "3").await;
    let replayed = nodes[1].write_keyed("POST", CONSUME, "c", &call(None)).await.expect(200);
    assert_eq!(replayed.body, keyed.body);
    // By what was in force when it was asked first.
    for (version, charge) in
        [("1.2", "1"), ("1", "2"), ("3", "3"), ("3.2", "1"), ("0", "unpriced"), ("2", "not_found")]
    {
        let quote = quoted(&mut nodes[1], Some(version)).await;
        let said = if quote.status == 200 { text(&quote.json()["charge"]) } else { quote.code() };
        assert_eq!(said, charge, "{version}");
    }
    assert_conserved(&mut nodes[0]).await;
}

/// `tranche prices …` against a node, in a directory.
fn prices(cluster: &Cluster, directory: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(binary());
    let url = format!("http://{}", cluster.api(2).address());
    command.arg("prices").args(arguments).current_dir(directory);
    command.env("TRANCHE_URL", url).env("TRANCHE_KEY", &cluster.key).output().expect("it ends")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prices_are_exported_changed_compared_and_imported() {
    let cluster = Cluster::start(3).await;
    let directory = tempfile::tempdir().expect("a directory");
    let home = directory.path();
    let run = |arguments: &[&str], code: i32| {
        let output = prices(&cluster, home, arguments);
        let [out, err] =
            [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {out}{err}");
        out + &err
    };
    cluster.api(1).make_workspace("acme", "10").await;
    let first = json!({
        "prices": [
            {"feature": "chat", "model": "m-1", "unit": "input_tokens", "per": 1000, "credits": "1",
             "tiers": [{"above": 200_000, "credits": "2"}]},
            {"feature": "image", "unit": "image_hd", "per": 1, "credits": "4"},
            {"feature": "*", "model": "*", "unit": "call", "per": 1, "credits": "1"},
        ],
        "minimums": [{"feature": "chat", "model": "m-1", "credits": "0.01"}],
    });
    std::fs::write(home.join("first.json"), first.to_string()).expect("written");
    run(&["diff", "first.json"], 1);
    run(&["set", "first.json"], 0);
    eventually("the node has heard of it", PATIENCE, async || {
        (cluster.api(2).read(CARD).await["version"] == 1).then_some(())
    })
    .await;
    // There and back there is no difference, to the file that was set either.
    run(&["get", "--file", "exported.json"], 0);
    assert_eq!(run(&["diff", "exported.json"], 0), "no difference\n");
    assert_eq!(run(&["diff", "first.json", "exported.json"], 0), "no difference\n");
    let exported = std::fs::read_to_string(home.join("exported.json")).expect("exported");
    let changed = exported
        .replace(r#""unit":"image_hd","per":1,"credits":"4""#, r#""unit":"image_hd","per":1,"credits":"6""#);
    assert_ne!(changed, exported);
    std::fs::write(home.join("changed.json"), changed).expect("written");
    let said = run(&["diff", "changed.json"], 1);
    assert!(said.contains("dearer") && said.contains("×3/2") && said.lines().count() == 2, "{said}");
    run(&["set", "changed.json", "--if-match", "1", "--idempotency-key", "k"], 0);
    run(&["set", "changed.json", "--if-match", "1"], 1);
    eventually("the node has heard of it", PATIENCE, async || {
        (cluster.api(2).read(CARD).await["version"] == 2).then_some(())
    })
    .await;
    assert!(run(&["diff", "changed.json", "--version", "1"], 1).contains("×3/2"));
    run(&["diff", "changed.json", "--version", "2"], 0);
    run(&["set", "first.json", "--at", "2999-01-01T00:00:00Z"], 0);
    eventually("all versions are listed", PATIENCE, async || {
        let said = run(&["versions"], 0);
        let states = ["replaced", "in_force", "scheduled"];
        states.iter().all(|state| said.contains(state)).then_some(())
    })
    .await;
    run(&["remove", "3"], 0);
    assert!(run(&["remove", "2"], 1).contains("conflict: "));
    // Prices of a workspace's own.
    assert!(run(&["set", "exported.json", "--workspace", "acme"], 1).contains("`*` stands on rate cards"));
    let own =
        r#"{"prices":[{"feature":"chat","model":"m-1","unit":"input_token","per":1000,"credits":"0.5"}]}"#;
    std::fs::write(home.join("own.json"), own).expect("written");
    run(&["set", "own.json", "--workspace", "acme"], 0);
    eventually("the node has heard of them", PATIENCE, async || {
        (cluster.api(2).get(OWN).await.status == 200).then_some(())
    })
    .await;
    run(&["diff", "own.json", "--workspace", "acme"], 0);
    assert!(run(&["get", "--workspace", "acme"], 0).contains("0.5"));
    run(&["remove", "--workspace", "acme"], 0);
    assert!(run(&["remove"], 1).contains("nothing was named"));
    // What cannot be compared is no difference.
    assert!(run(&["diff", "nowhere.json"], 2).contains("cannot be read"));
    assert!(run(&["diff", "changed.json", "--version", "99"], 2).contains("not_found"));
    std::fs::write(home.join("broken.json"), r#"{"prices":[{}]}"#).expect("written");
    assert!(run(&["diff", "broken.json"], 2).contains("broken.json holds no prices: missing field"));
    assert!(run(&["set", "broken.json"], 1).contains("broken.json holds no prices: missing field"));
}
