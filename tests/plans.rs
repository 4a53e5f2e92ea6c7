//! A platform's workspace from its first plan to the end of it, on three real nodes: seats, allocations, changes with their
//! previews and what they cost, a month's end, a year's. Not here: every corner of what a plan owes (`ledger`'s scripts), cycles without plans (`cycles`).

use serde_json::{Value, json};
use tests::{Api, Cluster, PATIENCE, Real, assert_conserved, cycle_is, eventually, instant_ms, text};

const WORKSPACE: &str = "/v1/workspaces/acme";
const PLAN: &str = "/v1/workspaces/acme/plan";
const PREVIEW: &str = "/v1/workspaces/acme/plan/preview";

async fn put_plan(api: &mut Api, body: &Value) -> Value {
    api.write("PUT", PLAN, &body.to_string()).await.expect(200).json()
}

/// What was previewed on another node is what then happens.
async fn preview_and_put(cluster: &Cluster, admin: &mut Api, body: &Value) -> Value {
    let previewed = cluster.api(3).answer("POST", PREVIEW, Some(&body.to_string())).await.expect(200).json();
    let before = admin.read(PLAN).await;
    assert_ne!(previewed, before, "a preview changes nothing");
    let happened = put_plan(admin, body).await;
    assert_eq!(previewed, happened);
    happened
}

async fn allocate(api: &mut Api, user: &str, amount: &str) {
    let path = format!("{WORKSPACE}/allocations/{user}");
    api.write("PUT", &path, &json!({ "amount": amount }).to_string()).await.expect(200);
}

async fn access(api: &mut Api, user: &str, on: bool) {
    let path = format!("{WORKSPACE}/members/{user}");
    api.write("PUT", &path, &json!({ "ai_access": on }).to_string()).await.expect(200);
}

async fn allocated(api: &mut Api, user: &str) -> [String; 3] {
    let allocation = api.read(&format!("{WORKSPACE}/allocations/{user}")).await;
    ["allocation", "standing", "short"].map(|name| text(&allocation[name]))
}

/// The pool, once nothing of it is out on a lease.
async fn leases_are_back(api: &mut Api) -> Value {
    let back = eventually("leases are back", PATIENCE, async || {
        let pool = api.read(WORKSPACE).await;
        (pool["leased"] == "0").then_some(pool)
    });
    back.await
}

/// 70 people at 5,000 credits each share 350,000; some have more of them, some less.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seventy_seats_share_what_their_plan_gives_and_get_it_again_each_month() {
    let mut cluster = Cluster::start_with_clocks(3).await;
    let mut admin = cluster.api(1);
    let cycles = r#"{"cycle":{"every":"month","anchor":"2026-01-31"}}"#;
    let set = admin.write("PUT", WORKSPACE, cycles).await.expect(200).json();
    let ends_at = instant_ms(&set["cycle"]["ends_at"]);
    let real = Real::of(&mut admin, WORKSPACE).await;
    let business = json!({"id": "business", "per_seat": "5000"});
    put_plan(&mut admin, &business).await;
    for n in 1..=70 {
        access(&mut admin, &format!("u{n}"), true).await;
    }
    let plan = admin.read(PLAN).await;
    assert_eq!(plan["seats"], json!({"enabled": 70, "paid": 70}));
    assert_eq!(plan["for_seats"], json!({"owed": "350000", "given": "350000"}));
    let pool = admin.read(WORKSPACE).await;
    assert_eq!([text(&pool["granted"]), text(&pool["shared"])], ["350000", "350000"]);

    // Designers get 10,000, testers 1,000, one lead 2,500; ten days before the month ends one needs 2,000 more, and what
    // another does not use is moved.
    for (user, amount) in [("u1", "10000"), ("u2", "10000"), ("u3", "1000"), ("u4", "1000"), ("u5", "2500")] {
        allocate(&mut admin, user, amount).await;
    }
    real.put_clocks_before(&mut cluster, ends_at, 10 * 86_400_000);
    cluster.api(2).consume("acme", "u1", "9500").await.allowed();
    let adjust = format!("{WORKSPACE}/allocations/u1/adjust");
    admin.write("POST", &adjust, r#"{"delta":"2000"}"#).await.expect(200);
    let moved = r#"{"id":"m1","from":"u2","to":"u1","amount":"4000"}"#;
    admin.write("POST", &format!("{WORKSPACE}/reallocations"), moved).await.expect(200);
    assert_eq!(allocated(&mut admin, "u1").await, ["16000", "10000", "0"]);
    cluster.api(3).consume("acme", "u1", "6500").await.allowed();

    // A seat that is freed stays paid for, and a successor brings no credits of his own; a seventy-first seat does.
    access(&mut admin, "u70", false).await;
    access(&mut admin, "newcomer", true).await;
    let plan = admin.read(PLAN).await;
    assert_eq!(
        (&plan["seats"], &plan["for_seats"]["given"]),
        (&json!({"enabled": 70, "paid": 70}), &json!("350000"))
    );
    cluster.api(2).consume("acme", "u70", "1").await.refused();
    cluster.api(2).consume("acme", "newcomer", "1").await.allowed();
    access(&mut admin, "u70", true).await;
    assert_eq!(admin.read(PLAN).await["for_seats"]["given"], "355000");

    real.put_clocks_before(&mut cluster, ends_at, 1_500);
    cycle_is(&mut admin, WORKSPACE, 2).await;
    let pool = leases_are_back(&mut admin).await;
    let of = |name: &str| text(&pool[name]);
    assert_eq!(
        [of("granted"), of("used"), of("allocated"), of("short")],
        ["355000", "0", "24500", "0"],
        "{pool}"
    );
    assert_eq!(allocated(&mut admin, "u1").await, ["10000", "10000", "0"]);
    let last = admin.read(&format!("{WORKSPACE}/grants/seats:1")).await;
    assert_eq!([text(&last["state"]), text(&last["used"])], ["expired", "16001"], "{last}");
    assert_conserved(&mut admin).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_is_changed_as_its_preview_says_and_ends_with_its_cycle() {
    let mut cluster = Cluster::start_with_clocks(3).await;
    let mut admin = cluster.api(1);
    let cycles = r#"{"cycle":{"every":"month","anchor":"2026-01-15"}}"#;
    let set = admin.write("PUT", WORKSPACE, cycles).await.expect(200).json();
    let ends_at = instant_ms(&set["cycle"]["ends_at"]);
    let real = Real::of(&mut admin, WORKSPACE).await;
    admin.answer("GET", PLAN, None).await.expect(404);
    admin.answer("DELETE", PLAN, None).await.expect(404);

    put_plan(&mut admin, &json!({"id": "basic", "allowance": "100"})).await;
    cluster.api(2).consume("acme", "ann", "60").await.allowed();
    let pro = preview_and_put(&cluster, &mut admin, &json!({"id": "pro", "allowance": "300"})).await;
    assert_eq!(pro["allowance"], json!({"owed": "300", "given": "300"}));
    cluster.api(2).consume("acme", "ann", "150").await.allowed();
    // A pack stands beside it; what is used is not taken back, and going to and fro gives nothing twice. Nobody draws
    // meanwhile: what is out on a lease is not taken back either, and a draw in between would make another answer true.
    admin
        .write("POST", &format!("{WORKSPACE}/grants"), r#"{"id":"pack","kind":"pack","amount":"40"}"#)
        .await
        .expect(201);
    access(&mut admin, "ann", false).await;
    leases_are_back(&mut admin).await;
    for _ in 0..3 {
        let basic = preview_and_put(&cluster, &mut admin, &json!({"id": "basic", "allowance": "100"})).await;
        assert_eq!(basic["allowance"], json!({"owed": "100", "given": "210"}));
        let pro = preview_and_put(&cluster, &mut admin, &json!({"id": "pro", "allowance": "300"})).await;
        assert_eq!(pro["allowance"], json!({"owed": "300", "given": "300"}));
    }
    let pool = admin.read(WORKSPACE).await;
    assert_eq!(text(&pool["granted"]), "340", "{pool}");
    access(&mut admin, "ann", true).await;

    // Under a key it is done once; with an ETag of before not at all.
    let max = json!({"id": "max", "allowance": "500", "when": "next_cycle"}).to_string();
    let first = admin.write_keyed("PUT", PLAN, "k1", &max).await.expect(200);
    put_plan(&mut admin, &json!({"id": "pro", "allowance": "300"})).await;
    assert_eq!(admin.read(PLAN).await["next"], Value::Null, "taken back");
    let again = admin.write_keyed("PUT", PLAN, "k1", &max).await.expect(200);
    assert_eq!(again.body, first.body);
    assert_eq!(admin.read(PLAN).await["next"], Value::Null, "an answer again is no change again");
    let stale = [("If-Match", first.header("etag").expect("an ETag"))];
    let stale = admin.send("PUT", PLAN, &stale, Some(max.as_bytes())).await.expect("an answer");
    assert_eq!(stale.status, 412);

    // With the next cycle comes the larger one; with the one after it none.
    put_plan(&mut admin, &json!({"id": "max", "allowance": "500", "when": "next_cycle"})).await;
    real.put_clocks_before(&mut cluster, ends_at, 1_500);
    let pool = cycle_is(&mut admin, WORKSPACE, 2).await;
    let ends_at = instant_ms(&pool["cycle"]["ends_at"]);
    let plan = admin.read(PLAN).await;
    assert_eq!((&plan["plan"]["id"], &plan["allowance"]["given"]), (&json!("max"), &json!("500")));
    let cancelled = admin.answer("DELETE", PLAN, None).await.expect(200).json();
    assert_eq!(cancelled["next"], json!({"plan": null, "starts_at": pool["cycle"]["ends_at"]}));
    cluster.api(3).consume("acme", "ann", "500").await.allowed();
    real.put_clocks_before(&mut cluster, ends_at, 1_500);
    cycle_is(&mut admin, WORKSPACE, 3).await;
    admin.answer("GET", PLAN, None).await.expect(404);
    cluster.api(1).consume("acme", "ann", "41").await.refused();
    cluster.api(1).consume("acme", "ann", "40").await.allowed();
    assert_conserved(&mut admin).await;

    for (method, path, body, status, why) in [
        (
            "POST",
            "grants",
            r#"{"id":"plan:9","kind":"plan","amount":"1"}"#,
            422,
            "ids that begin with `plan:`",
        ),
        ("PUT", "plan", r#"{"id":"p","allowance":"-1"}"#, 422, "allowance: "),
        ("PUT", "plan", r#"{"id":"p","mid_cycle":"half"}"#, 422, "mid_cycle: it is one of: whole prorated"),
        ("PUT", "plan", r#"{"id":"p","term":"month"}"#, 422, "term: it is one of: cycle year"),
        (
            "PUT",
            "plan",
            r#"{"id":"p","price":{"amount":"1","currency":"eur"}}"#,
            422,
            "price: a currency is three",
        ),
        ("PUT", "plan", r#"{"id":"p","price":{"amount":"0.0000001","currency":"EUR"}}"#, 422, "price: "),
        ("PUT", "plan", r#"{"id":"p","price":{"amount":"1"}}"#, 400, "missing field"),
        ("PUT", "plan", r#"{"allowance":"1"}"#, 400, "missing field"),
        ("PUT", "plan", r#"{"id":"p","seats":3}"#, 400, "unknown field"),
        ("POST", "plan/preview", r#"{"id":"p","when":"later"}"#, 422, "when: it is one of: now next_cycle"),
    ] {
        let answer = admin.answer(method, &format!("{WORKSPACE}/{path}"), Some(body)).await;
        assert_eq!(answer.status, status, "{body}: {}", answer.text());
        assert!(answer.detail().contains(why), "{body}: {}", answer.text());
    }
}

async fn consume_for(api: &mut Api, feature: &str) -> tests::Answer {
    let body = json!({"user": "ann", "feature": feature, "amount": "1"}).to_string();
    api.answer("POST", &format!("{WORKSPACE}/consume"), Some(&body)).await
}

/// Leases of before are called back first.
async fn is_refused(api: &mut Api, feature: &str) -> tests::Answer {
    eventually("it is not in the plan", PATIENCE, async || {
        let answer = consume_for(api, feature).await;
        (answer.status != 200).then_some(answer)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_plan_does_not_have_is_refused_on_every_node() {
    let cluster = Cluster::start(3).await;
    let mut admin = cluster.api(1);
    admin.make_workspace("acme", "1000").await;
    for node in cluster.numbers() {
        consume_for(&mut cluster.api(node), "image").await.expect(200);
    }
    let hold = json!({"user": "ann", "feature": "image", "amount": "5", "ttl_ms": 60_000}).to_string();
    let holds = format!("{WORKSPACE}/holds");
    let opened = admin.answer("POST", &holds, Some(&hold)).await.expect(201).json();

    let plan = json!({"id": "text", "features": ["search", "chat"]});
    let shown = put_plan(&mut admin, &plan).await;
    assert_eq!(shown["plan"]["features"], json!(["chat", "search"]));
    for node in cluster.numbers() {
        let mut api = cluster.api(node);
        let refused = is_refused(&mut api, "image").await;
        assert_eq!((refused.status, refused.code()), (403, "feature_not_in_plan".into()));
        let why = "the plan text does not have the feature image; it has chat, search";
        assert_eq!(refused.detail(), why);
        consume_for(&mut api, "chat").await.expect(200);
        consume_for(&mut api, "image").await.expect(403);
        let refused = api.answer("POST", &holds, Some(&hold)).await.expect(403);
        assert_eq!(refused.code(), "feature_not_in_plan");
    }
    // A hold that was open goes on; a lease that waits for it is no longer drawn on.
    let settle = format!("{holds}/{}/settle", text(&opened["hold"]));
    let ended = admin.answer("POST", &settle, Some(r#"{"amount":"5"}"#)).await.expect(200).json();
    assert_eq!(text(&ended["charged"]), "5", "{ended}");

    // Another plan has it: nobody who has heard of the one before refuses it.
    put_plan(&mut admin, &json!({"id": "all"})).await;
    for node in cluster.numbers() {
        consume_for(&mut cluster.api(node), "image").await.expect(200);
    }
    assert_conserved(&mut admin).await;
}

fn euros(amount: &str) -> Value {
    json!({"amount": amount, "currency": "EUR"})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_plan_costs_is_shown_and_previewed() {
    let cluster = Cluster::start(3).await;
    let mut admin = cluster.api(1);
    admin.write("PUT", WORKSPACE, r#"{"cycle":{"every":"month","anchor":"2026-01-15"}}"#).await.expect(200);
    let team = json!({
        "id": "team", "name": "Team of five", "allowance": "10", "price": euros("49.00"), "seat_price": euros("5.50"),
        "overage_price": euros("0.002"), "overage": {"mode": "on"},
    });
    let shown = put_plan(&mut admin, &team).await;
    assert_eq!(
        (&shown["cost"], &shown["plan"]["name"], &shown["plan"]["term"], &shown["term_ends_at"]),
        (&euros("49"), &json!("Team of five"), &json!("cycle"), &Value::Null)
    );
    for user in ["ann", "bob"] {
        access(&mut admin, user, true).await;
    }
    access(&mut admin, "bob", false).await;
    let plan = admin.read(PLAN).await;
    assert_eq!((&plan["cost"], &plan["seats"]), (&euros("60"), &json!({"enabled": 1, "paid": 2})));
    let max = json!({"id": "max", "allowance": "10", "price": euros("99"), "overage": {"mode": "on"}});
    let max = preview_and_put(&cluster, &mut admin, &max).await;
    assert_eq!((&max["cost"], &max["plan"]["seat_price"]), (&euros("99"), &Value::Null));
    let dear = json!({"id": "max", "price": {"amount": "99", "currency": "USD"}}).to_string();
    let refused = admin.answer("PUT", PLAN, Some(&dear)).await.expect(409);
    assert!(refused.detail().contains("one currency"), "{}", refused.text());
    admin.answer("POST", PREVIEW, Some(&dear)).await.expect(409);
    // One without a price for seats paid for none: those that there are now count.
    assert_eq!(preview_and_put(&cluster, &mut admin, &team).await["cost"], euros("54.5"));

    // Overage is priced, and what it has cost so far is shown.
    cluster.api(2).consume("acme", "ann", "1010").await.allowed();
    leases_are_back(&mut admin).await;
    let overage = eventually("overage is billed", PATIENCE, async || {
        let overage = admin.read(&format!("{WORKSPACE}/overage")).await;
        (overage["cycles"][0]["billed"] == "1000").then_some(overage)
    })
    .await;
    let cycle = &overage["cycles"][0];
    assert_eq!((&cycle["price"], &cycle["cost"]), (&euros("0.002"), &euros("2")), "{overage}");

    // A pack is what it is at its price.
    let grants = format!("{WORKSPACE}/grants");
    let pack = |price: &str| {
        json!({"id": "pack", "kind": "pack", "amount": "40", "price": euros(price)}).to_string()
    };
    let made = admin.write("POST", &grants, &pack("9.99")).await.expect(201).json();
    assert_eq!(made["price"], euros("9.99"));
    let listed = admin.read(&grants).await;
    let price_of = |id: &str| {
        let grants = listed["items"].as_array().expect("grants");
        grants.iter().find(|grant| grant["id"] == id).map(|grant| grant["price"].clone())
    };
    assert_eq!(
        ["pack", "plan:1", "overage:1"].map(price_of),
        [Some(euros("9.99")), Some(Value::Null), Some(euros("0.002"))]
    );
    admin.answer("POST", &grants, Some(&pack("9.98"))).await.expect(409);
    assert_conserved(&mut admin).await;
}

/// Since the year 0.
fn months(instant: &Value) -> u32 {
    let text = text(instant);
    let part = |range: std::ops::Range<usize>| text[range].parse::<u32>().expect("digits");
    part(0..4) * 12 + part(5..7)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_for_a_year_ends_with_it() {
    let mut cluster = Cluster::start_with_clocks(3).await;
    let mut admin = cluster.api(1);
    let cycles = r#"{"cycle":{"every":"month","anchor":"2026-01-15"}}"#;
    let set = admin.write("PUT", WORKSPACE, cycles).await.expect(200).json();
    let real = Real::of(&mut admin, WORKSPACE).await;
    let pro = json!({"id": "pro", "allowance": "100", "term": "year"});
    let term_ends_at = put_plan(&mut admin, &pro).await["term_ends_at"].clone();
    assert_eq!(months(&term_ends_at), months(&set["cycle"]["ends_at"]) + 11);
    assert_eq!(text(&term_ends_at)[7..], text(&set["cycle"]["ends_at"])[7..]);
    let cancelled = admin.answer("DELETE", PLAN, None).await.expect(200).json();
    assert_eq!(cancelled["next"], json!({"plan": null, "starts_at": term_ends_at}));

    // A month is over, the year is not.
    real.put_clocks_before(&mut cluster, instant_ms(&set["cycle"]["ends_at"]), 1_500);
    cycle_is(&mut admin, WORKSPACE, 2).await;
    let plan = admin.read(PLAN).await;
    assert_eq!(
        (&plan["plan"]["id"], &plan["next"], &plan["term_ends_at"], &plan["allowance"]["given"]),
        (&json!("pro"), &cancelled["next"], &term_ends_at, &json!("100"))
    );
    let back = put_plan(&mut admin, &pro).await;
    assert_eq!((&back["next"], &back["term_ends_at"]), (&Value::Null, &term_ends_at));
    admin.answer("DELETE", PLAN, None).await.expect(200);

    // Cycles end one by one, and the plan with the last.
    for cycle in 3..=13 {
        let pool = admin.read(WORKSPACE).await;
        let ends_at = instant_ms(&pool["cycle"]["ends_at"]);
        real.put_clocks_before(&mut cluster, ends_at, 1_500);
        cycle_is(&mut admin, WORKSPACE, cycle).await;
    }
    admin.answer("GET", PLAN, None).await.expect(404);
    assert_conserved(&mut admin).await;
}
