//! Cycles that end: by the calendar of a time zone, on real nodes whose clocks are put to the eve of it. Not here: the
//! calendar's rule for every zone (`calendar`), what else happens at a boundary (`ledger`'s scripts).

use serde_json::{Value, json};
use tests::{Api, Cluster, PATIENCE, Real, assert_conserved, cycle_is, eventually, instant_ms, text};

const WORKSPACE: &str = "/v1/workspaces/acme";
const ANN: &str = "/v1/workspaces/acme/allocations/ann";

async fn grant(api: &mut Api, body: Value) {
    api.write("POST", &format!("{WORKSPACE}/grants"), &body.to_string()).await.expect(201);
}

async fn spend(cluster: &Cluster, node: u16, amount: &str) -> Value {
    let (_, _, body) = cluster.api(node).consume("acme", "ann", amount).await.allowed();
    serde_json::from_slice(&body).expect("JSON")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_month_ends_in_berlin_and_nothing_is_lost_or_made() {
    let mut cluster = Cluster::start_with_clocks(3).await;
    let mut admin = cluster.api(2);
    let cycles = json!({"timezone": "Europe/Berlin", "cycle": {"every": "month", "anchor": "2026-01-31"}});
    let set = admin.write("PUT", WORKSPACE, &cycles.to_string()).await.expect(200).json();
    assert_eq!((&set["timezone"], &set["cycle"]["number"]), (&json!("Europe/Berlin"), &json!(1)));
    let first_end = instant_ms(&set["cycle"]["ends_at"]);
    let real = Real::of(&mut admin, WORKSPACE).await;
    assert!((1..32 * 86_400_000).contains(&(first_end - real.now_ms())), "{set}");

    grant(&mut admin, json!({"id": "plan-1", "kind": "plan", "amount": "100", "rollover": {"keep": "none"}}))
        .await;
    grant(&mut admin, json!({"id": "pack", "kind": "pack", "amount": "50"})).await;
    let half = json!({"keep": "percent", "percent": 50, "cycles": 1});
    grant(
        &mut admin,
        json!({"id": "bonus", "kind": "promotion", "amount": "20", "priority": 90, "rollover": half}),
    )
    .await;
    admin.write("PUT", ANN, r#"{"amount":"80","overflow":"shared"}"#).await.expect(200);
    for (node, amount) in [(1, "30"), (2, "10"), (3, "5")] {
        let charge = spend(&cluster, node, amount).await;
        assert_eq!(charge["cycle"], 1);
    }

    real.put_clocks_before(&mut cluster, first_end, 1_500);
    let pool = cycle_is(&mut admin, WORKSPACE, 2).await;
    assert_eq!(instant_ms(&pool["cycle"]["starts_at"]), first_end, "at its instant");
    let second_end = instant_ms(&pool["cycle"]["ends_at"]);
    let days = (second_end - first_end) / 86_400_000;
    assert!((27..=31).contains(&days), "a month after: {pool}");

    // 50 of the pack and half of the bonus; leases of the old cycle come back, and none of the plan's credits with them.
    let settled = eventually("old leases are back", PATIENCE, async || {
        let pool = admin.read(WORKSPACE).await;
        (pool["leased"] == "0").then_some(pool)
    });
    let pool = settled.await;
    let of = |name: &str| text(&pool[name]);
    assert_eq!([of("granted"), of("used"), of("remaining")], ["60", "0", "60"], "{pool}");
    assert_eq!([of("allocated"), of("short")], ["60", "20"], "{pool}");
    let allocation = admin.read(ANN).await;
    let of = |name: &str| text(&allocation[name]);
    assert_eq!([of("allocation"), of("standing"), of("short"), of("used")], ["60", "80", "20", "0"]);
    let plan = admin.read(&format!("{WORKSPACE}/grants/plan-1")).await;
    assert_eq!(
        [text(&plan["state"]), text(&plan["used"]), text(&plan["expired"])],
        ["expired", "45", "55"],
        "{plan}"
    );
    let bonus = admin.read(&format!("{WORKSPACE}/grants/bonus")).await;
    assert_eq!(
        bonus["rollover"],
        json!({"keep": "percent", "percent": 50, "cycles": 1, "left": "20", "kept": "10"})
    );

    // The new month's plan makes up for what was short, and is spent by way of Ann's allocation.
    grant(&mut admin, json!({"id": "plan-2", "kind": "plan", "amount": "100", "rollover": {"keep": "none"}}))
        .await;
    let allocation = admin.read(ANN).await;
    assert_eq!([text(&allocation["allocation"]), text(&allocation["short"])], ["80", "0"]);
    for node in cluster.numbers() {
        assert_eq!(spend(&cluster, node, "1").await["cycle"], 2);
    }

    // All nodes die at once on the eve of the next one, and come back when it has passed.
    for node in cluster.numbers() {
        cluster.node(node).kill();
    }
    real.put_clocks_before(&mut cluster, second_end, -60_000);
    cluster.all_back().await;
    admin.hang_up();
    let pool = cycle_is(&mut admin, WORKSPACE, 3).await;
    assert_eq!(instant_ms(&pool["cycle"]["starts_at"]), second_end);
    let bonus = admin.read(&format!("{WORKSPACE}/grants/bonus")).await;
    assert_eq!(bonus["state"], "expired", "it was kept for one cycle: {bonus}");
    spend(&cluster, 1, "1").await;
    eventually("leases of ended cycles are back", PATIENCE, async || {
        let grants = admin.read(&format!("{WORKSPACE}/grants")).await;
        let ended = grants["items"].as_array()?.iter().filter(|grant| grant["state"] == "expired").cloned();
        ended.into_iter().all(|grant| grant["leased"] == "0").then_some(())
    })
    .await;
    assert_conserved(&mut admin).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cycles_are_changed_and_what_is_none_says_why() {
    let cluster = Cluster::start(3).await;
    let mut admin = cluster.api(1);
    let set = admin.write("PUT", WORKSPACE, r#"{"timezone":"America/New_York"}"#).await.expect(200).json();
    assert_eq!(set["cycle"]["ends_at"], Value::Null, "a zone alone makes no cycles");
    let every = |every: &str| format!(r#"{{"cycle":{{"every":"{every}","anchor":"2026-12-15"}}}}"#);
    let month = admin.write_keyed("PUT", WORKSPACE, "k1", &every("month")).await.expect(200);
    let year = admin.write("PUT", WORKSPACE, &every("year")).await.expect(200).json();
    assert_eq!((&year["cycle"]["every"], &year["timezone"]), (&json!("year"), &json!("America/New_York")));
    assert_eq!(year["cycle"]["number"], 1, "it is still the same cycle");
    // Said again under its key the first is answered as at first, whatever ends it would look up now.
    let again = admin.write_keyed("PUT", WORKSPACE, "k1", &every("month")).await.expect(200);
    assert_eq!(again.body, month.body);
    assert_eq!(admin.read(WORKSPACE).await["cycle"]["every"], "year");

    for (body, status, why) in [
        (r#"{"timezone":"Europe/Atlantis"}"#, 422, "timezone: Europe/Atlantis is no time zone"),
        (r#"{"timezone":"+02:00"}"#, 422, "timezone: a zone is an IANA name"),
        (r#"{"cycle":{"every":"week","anchor":"2026-12-15"}}"#, 422, "cycle.every: it is one of: month year"),
        (r#"{"cycle":{"every":"month","anchor":"2026-02-30"}}"#, 422, "cycle.anchor: there is no 2026-02-30"),
        (r#"{"cycle":{"every":"month"}}"#, 400, "missing field"),
        (r#"{"cycle":null}"#, 400, ""),
    ] {
        let answer = admin.answer("PUT", WORKSPACE, Some(body)).await;
        assert_eq!(answer.status, status, "{body}: {}", answer.text());
        assert!(answer.detail().contains(why), "{body}: {}", answer.text());
    }
}
