//! Refunds through real ports: of charges and of holds, through every node, twice and by many at once, after their node was
//! killed, over a rollover. Not here: every corner of the books (`ledger`'s scripts), which records a journal keeps (`journal`).

use futures::future::join_all;
use serde_json::{Value, json};
use tests::{
    Api, Cluster, PATIENCE, Real, assert_conserved, credits, cycle_is, eventually, instant_ms, text, whole,
};
use types::Credits;

const WORKSPACE: &str = "/v1/workspaces/acme";
const REFUNDS: &str = "/v1/workspaces/acme/refunds";

async fn grant(api: &mut Api, body: Value) {
    api.write("POST", &format!("{WORKSPACE}/grants"), &body.to_string()).await.expect(201);
}

/// The id of what was charged.
async fn spend(api: &mut Api, user: &str, amount: &str) -> String {
    let (_, _, body) = api.consume("acme", user, amount).await.allowed();
    text(&serde_json::from_slice::<Value>(&body).expect("JSON")["id"])
}

async fn refund(api: &mut Api, body: Value) -> tests::Answer {
    api.write("POST", REFUNDS, &body.to_string()).await
}

async fn charge(api: &mut Api, id: &str) -> Value {
    api.read(&format!("{WORKSPACE}/charges/{id}")).await
}

async fn all_conserved(cluster: &Cluster) {
    for node in cluster.numbers() {
        assert_conserved(&mut cluster.api(node)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refund_goes_back_to_what_paid_through_every_node() {
    let cluster = Cluster::start(3).await;
    let mut api = cluster.api(1);
    api.make_workspace("acme", "10").await;
    grant(&mut api, json!({"id": "pack", "kind": "pack", "amount": "100", "priority": 90})).await;
    let id = spend(&mut api, "ann", "14").await;

    // Whoever is asked, the node that has it says.
    let paid_by = json!([
        {"from": "shared", "grant": "first", "amount": "10"},
        {"from": "shared", "grant": "pack", "amount": "4"},
    ]);
    for node in cluster.numbers() {
        let known = charge(&mut cluster.api(node), &id).await;
        assert_eq!((&known["user"], &known["feature"]), (&json!("ann"), &json!("chat")), "{known}");
        assert_eq!((&known["charged"], &known["refunded"]), (&json!("14"), &json!("0")), "{known}");
        assert_eq!(known["paid_by"], paid_by, "{known}");
    }

    // What burned last goes back first; the same key is the same refund, at every node.
    let part = json!({"of": id, "amount": "5"}).to_string();
    let first = cluster.api(2).write_keyed("POST", REFUNDS, "k", &part).await.expect(201);
    let to = json!([
        {"from": "shared", "grant": "pack", "amount": "4", "to": "shared"},
        {"from": "shared", "grant": "first", "amount": "1", "to": "shared"},
    ]);
    assert_eq!((&first.json()["to"], &first.json()["expired"]), (&to, &json!("0")));
    for node in cluster.numbers() {
        let again = cluster.api(node).write_keyed("POST", REFUNDS, "k", &part).await.expect(201);
        assert_eq!(again.body, first.body);
    }
    let other = json!({"of": id, "amount": "6"}).to_string();
    assert_eq!(api.write_keyed("POST", REFUNDS, "k", &other).await.code(), "key_conflict");
    let named = json!({"of": id, "amount": "2", "id": "r-1"});
    let second = refund(&mut cluster.api(3), named.clone()).await.expect(201);
    assert_eq!(refund(&mut api, named).await.expect(201).body, second.body, "its own id is permanent");
    assert_eq!(refund(&mut api, json!({"of": id, "amount": "3", "id": "r-1"})).await.code(), "id_conflict");
    assert_eq!(api.read(&format!("{REFUNDS}/r-1")).await, second.json());

    let too_much = refund(&mut api, json!({"of": id, "amount": "7.000001"})).await;
    assert_eq!((too_much.status, too_much.code()), (409, "beyond_charge".into()), "{}", too_much.text());
    assert_eq!(credits(&too_much.json()["available"]), whole(7));
    let rest = refund(&mut api, json!({"of": id})).await.expect(201).json();
    assert_eq!((&rest["amount"], &rest["refunded"]), (&json!("7"), &json!("14")), "{rest}");
    assert_eq!(refund(&mut api, json!({"of": id})).await.code(), "beyond_charge");
    assert_eq!(charge(&mut api, &id).await["refunded"], "14");

    // The charge stays as it is; the pool has everything again.
    let pool = eventually("nothing is leased", PATIENCE, async || {
        let pool = api.workspace("acme").await;
        (pool["leased"] == "0").then_some(pool)
    });
    let pool = pool.await;
    let of = |name: &str| text(&pool[name]);
    assert_eq!(
        [of("granted"), of("used"), of("refunded"), of("remaining")],
        ["110", "14", "14", "110"],
        "{pool}"
    );
    let member = api.read(&format!("{WORKSPACE}/members/ann")).await;
    assert_eq!([text(&member["used"]), text(&member["refunded"])], ["14", "14"], "{member}");

    all_conserved(&cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_charge_is_refused_by_name() {
    let cluster = Cluster::start(3).await;
    let mut api = cluster.api(1);
    api.make_workspace("acme", "10").await;
    spend(&mut api, "ann", "1").await;
    for (unknown, code) in [
        ("n1.1.99", "unknown_charge"),
        ("n1.99.1", "unknown_charge"),
        ("n9.1.1", "unknown_charge"),
        ("n1.h999999", "unknown_charge"),
        ("n1.1", "invalid"),
    ] {
        let answer = refund(&mut cluster.api(2), json!({"of": unknown})).await;
        assert_eq!(answer.code(), code, "{unknown}: {}", answer.text());
    }
    all_conserved(&cluster).await;
}

/// What was charged for a hold is refunded by the hold's id.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_settled_hold_is_refunded_by_its_id() {
    let cluster = Cluster::start(3).await;
    let mut api = cluster.api(1);
    api.make_workspace("acme", "100").await;
    let holds = format!("{WORKSPACE}/holds");
    let body = r#"{"user":"ann","feature":"chat","amount":"10","ttl_ms":60000}"#;
    let hold = text(&api.answer("POST", &holds, Some(body)).await.expect(201).json()["hold"]);
    let open = refund(&mut api, json!({"of": hold})).await;
    assert_eq!((open.status, open.code()), (409, "conflict".into()), "{}", open.text());
    let settle = format!("{holds}/{hold}/settle");
    api.answer("POST", &settle, Some(r#"{"amount":"6"}"#)).await.expect(200);
    assert_eq!(charge(&mut cluster.api(2), &hold).await["charged"], "6");
    let back = refund(&mut cluster.api(3), json!({"of": hold, "amount": "2.5"})).await.expect(201).json();
    assert_eq!((&back["charged"], &back["refunded"]), (&json!("6"), &json!("2.5")), "{back}");

    // One that expires is charged what it confirmed, and settled late on another charge: both are the hold's.
    let body = r#"{"user":"ann","feature":"chat","amount":"10","ttl_ms":1000}"#;
    let hold = text(&api.answer("POST", &holds, Some(body)).await.expect(201).json()["hold"]);
    let extend = format!("{holds}/{hold}/extend");
    api.answer("POST", &extend, Some(r#"{"confirmed":"3"}"#)).await.expect(200);
    eventually("it expires", PATIENCE, async || {
        let known = api.answer("GET", &format!("{WORKSPACE}/charges/{hold}"), None).await;
        (known.status == 200).then_some(())
    })
    .await;
    let settle = format!("{holds}/{hold}/settle");
    api.answer("POST", &settle, Some(r#"{"amount":"8"}"#)).await.expect(200);
    assert_eq!(charge(&mut cluster.api(2), &hold).await["charged"], "8");
    let back = refund(&mut cluster.api(2), json!({"of": hold})).await.expect(201).json();
    assert_eq!(back["amount"], "8", "{back}");
    all_conserved(&cluster).await;
}

/// Twelve ask for one credit each, of a charge of five.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn however_many_ask_no_more_is_refunded_than_was_charged() {
    let cluster = Cluster::start(3).await;
    let mut api = cluster.api(1);
    api.make_workspace("acme", "100").await;
    let id = spend(&mut api, "ann", "5").await;
    let asked = cluster.numbers().flat_map(|node| [node; 4]).map(|node| {
        let (mut api, id) = (cluster.api(node), id.clone());
        async move { refund(&mut api, json!({"of": id, "amount": "1"})).await }
    });
    let answers: Vec<tests::Answer> = join_all(asked).await;
    let refunded = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(refunded, 5, "{answers:#?}");
    assert!(
        answers.iter().all(|answer| answer.status == 201 || answer.code() == "beyond_charge"),
        "{answers:#?}"
    );
    assert_eq!(charge(&mut api, &id).await["refunded"], "5");
    all_conserved(&cluster).await;
}

/// Its node is away: nobody else knows the charge. It comes back, and the record stands in a segment that is past.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_charge_is_known_after_its_node_was_killed() {
    let mut cluster = Cluster::start(3).await;
    cluster.api(1).make_workspace("acme", "100").await;
    let id = spend(&mut cluster.api(3), "ann", "5").await;
    let holder: u16 = id[1..2].parse().expect("a node");
    let mut api = cluster.api(holder % 3 + 1);
    cluster.node(holder).kill();
    let away = eventually("its node is away", PATIENCE, async || {
        let answer = refund(&mut api, json!({"of": id})).await;
        (answer.code() == "holder_unreachable").then_some(answer)
    });
    assert_eq!(away.await.status, 503);
    for _ in 0..2 {
        cluster.node(holder).restart().await;
        cluster.ready().await;
        let known = charge(&mut api, &id).await;
        assert_eq!((&known["charged"], &known["user"]), (&json!("5"), &json!("ann")), "{known}");
        cluster.node(holder).kill();
    }
    cluster.node(holder).restart().await;
    cluster.ready().await;
    let back = refund(&mut api, json!({"of": id})).await.expect(201).json();
    assert_eq!((&back["amount"], &back["to"][0]["grant"]), (&json!("5"), &json!("first")), "{back}");
    assert_eq!(refund(&mut api, json!({"of": id})).await.code(), "beyond_charge");
    all_conserved(&cluster).await;
}

/// Last month's charge: the pack has its part again, the plan's expires, and the bill is less.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_charged_last_month_goes_where_its_grants_are_now() {
    let mut cluster = Cluster::start_with_clocks(3).await;
    let mut admin = cluster.api(1);
    let cycles = r#"{"cycle":{"every":"month","anchor":"2026-01-31"}}"#;
    let made = admin.write("PUT", WORKSPACE, cycles).await.expect(200).json();
    let first_end = instant_ms(&made["cycle"]["ends_at"]);
    let real = Real::of(&mut admin, WORKSPACE).await;
    grant(&mut admin, json!({"id": "plan", "kind": "plan", "amount": "10", "rollover": {"keep": "none"}}))
        .await;
    grant(&mut admin, json!({"id": "pack", "kind": "pack", "amount": "5", "priority": 90})).await;
    admin.write("PUT", &format!("{WORKSPACE}/overage"), r#"{"mode":"on"}"#).await.expect(200);
    let id = spend(&mut cluster.api(2), "ann", "18").await;

    real.put_clocks_before(&mut cluster, first_end, 1_500);
    let pool = cycle_is(&mut admin, WORKSPACE, 2).await;
    let second_end = instant_ms(&pool["cycle"]["ends_at"]);
    let back = refund(&mut cluster.api(3), json!({"of": id, "amount": "12"})).await.expect(201).json();
    let to = json!([
        {"from": "overage", "grant": "overage:1", "amount": "3", "to": "overage"},
        {"from": "shared", "grant": "pack", "amount": "5", "to": "shared"},
        {"from": "shared", "grant": "plan", "amount": "4", "to": "expired"},
    ]);
    assert_eq!((&back["to"], &back["expired"], &back["cycle"]), (&to, &json!("4"), &json!(1)), "{back}");
    let bill = admin.read(&format!("{WORKSPACE}/overage")).await["cycles"][0].clone();
    let of = |name: &str| text(&bill[name]);
    assert_eq!([of("charged"), of("refunded"), of("billed")], ["3", "3", "0"], "{bill}");
    let remaining = eventually("the pack's part is there", PATIENCE, async || {
        let pool = admin.workspace("acme").await;
        (pool["leased"] == "0").then(|| credits(&pool["remaining"]))
    });
    assert_eq!(remaining.await, whole(5));
    assert_eq!(credits(&admin.workspace("acme").await["refunded"]), Credits::ZERO, "of this month's charges");

    // A month later it is too old.
    real.put_clocks_before(&mut cluster, second_end, 1_500);
    cycle_is(&mut admin, WORKSPACE, 3).await;
    let late = refund(&mut admin, json!({"of": id, "amount": "1"})).await;
    assert_eq!((late.status, late.code()), (404, "unknown_charge".into()), "{}", late.text());
    all_conserved(&cluster).await;
}
