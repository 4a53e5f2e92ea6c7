//! Limits by window on three real nodes: met to the micro-credit, named in the refusal with when they end, and over at that
//! instant without anybody's doing. Not here: every corner of what counts (`ledger`'s scripts), days of all zones (`calendar`).

use futures::future::join_all;
use serde_json::{Value, json};
use tests::{
    Api, Cluster, PATIENCE, Real, Spent, Tally, assert_conserved, credits, eventually, instant_ms, number,
    text, whole,
};
use types::Credits;

const WORKSPACE: &str = "/v1/workspaces/acme";
const ANN: &str = "/v1/workspaces/acme/limits/ann";
const CONSUME: &str = "/v1/workspaces/acme/consume";

async fn limit(api: &mut Api, amount: &str, window: &str) -> Value {
    let body = json!({ "amount": amount, "window": window }).to_string();
    api.write("PUT", ANN, &body).await.expect(200).json()
}

/// Of a window, as it is shown.
fn of(limits: &Value, window: &str) -> Value {
    let all = limits["limits"].as_array().expect("a list");
    all.iter().find(|limit| limit["window"] == window).cloned().unwrap_or(Value::Null)
}

fn anns(window: &str, limit: &str) -> Value {
    json!({"window": window, "limit": limit, "of": {"user": "ann"}})
}

async fn spend_all(cluster: &Cluster) -> Tally {
    spend_all_of(cluster, &["ann"]).await
}

/// Six callers at each node spend one credit after the other until they are refused.
async fn spend_all_of(cluster: &Cluster, users: &'static [&'static str]) -> Tally {
    let callers = cluster.numbers().flat_map(|node| (0..6).map(move |caller| (node, caller)));
    let callers = callers.map(|(node, caller)| {
        let mut api = cluster.api(node);
        let user = users[caller % users.len()];
        tokio::spawn(async move {
            let mut told = Tally::default();
            while told.refused.is_empty() && told.unknown.is_zero() {
                told.note(whole(1), &api.consume("acme", user, "1").await);
            }
            told
        })
    });
    let tallies: Vec<Tally> =
        join_all(callers).await.into_iter().map(|told| told.expect("a tally")).collect();
    Tally::sum(&tallies)
}

async fn refused(cluster: &Cluster, node: u16, amount: &str) -> Value {
    let body = json!({"user": "ann", "feature": "chat", "amount": amount}).to_string();
    cluster.api(node).answer("POST", CONSUME, Some(&body)).await.expect(402).json()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_hours_limit_is_met_from_three_nodes_to_the_credit_and_is_over_with_the_hour() {
    let mut cluster = Cluster::start_with_clocks(3).await;
    let mut admin = cluster.api(1);
    admin.make_workspace("acme", "1000").await;
    let set = limit(&mut admin, "20", "hour").await;
    let real = Real::of(&mut admin, WORKSPACE).await;
    // No hour ends by itself while this test looks.
    let first_end = instant_ms(&of(&set, "hour")["resets_at"]) + 3_600_000;
    assert_eq!(first_end % 3_600_000, 0, "hours are those of UTC: {set}");
    real.put_clocks_before(&mut cluster, first_end, 1_500_000);
    let is_there = eventually("the hour is there", PATIENCE, async || {
        let shown = of(&admin.read(ANN).await, "hour");
        (instant_ms(&shown["resets_at"]) == first_end).then_some(())
    });
    is_there.await;

    let told = spend_all(&cluster).await;
    assert_eq!(told.refused_otherwise(&["limit_reached"]), [].into(), "{told:#?}");
    assert_eq!((told.allowed, told.unknown), (whole(20), Credits::ZERO), "not one more, not one less");
    for node in cluster.numbers() {
        let problem = refused(&cluster, node, "0.000001").await;
        assert_eq!(problem["code"], "limit_reached");
        assert_eq!(problem["limit"], anns("hour", "20"), "{problem}");
        assert_eq!((instant_ms(&problem["resets_at"]), &problem["available"]), (first_end, &json!("0")));
        let wait_ms = number(&problem["retry_after_ms"]);
        assert!((1_400_000..=1_500_000).contains(&wait_ms), "{problem}");
    }
    let shown = of(&admin.read(ANN).await, "hour");
    assert_eq!([text(&shown["used"]), text(&shown["remaining"])], ["20", "0"], "{shown}");

    // The hour ends. Nobody does anything, and whoever waited as he was told is served.
    real.put_clocks_before(&mut cluster, first_end, 1_500);
    let served = eventually("the next hour serves", PATIENCE, async || {
        match cluster.api(2).consume("acme", "ann", "1").await {
            Spent::Allowed { charged, .. } => Some(charged),
            Spent::Refused { code, .. } => {
                assert_eq!(code, "limit_reached");
                None
            }
            Spent::Unknown => panic!("a node is lost"),
        }
    });
    assert_eq!(served.await, whole(1));
    let told = spend_all(&cluster).await;
    assert_eq!((told.allowed, told.unknown), (whole(19), Credits::ZERO), "{told:#?}");
    let shown = of(&admin.read(ANN).await, "hour");
    assert_eq!(instant_ms(&shown["starts_at"]), first_end);
    assert_eq!(credits(&shown["limit"]), whole(20));
    for node in cluster.numbers() {
        assert_conserved(&mut cluster.api(node)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn days_begin_in_the_workspaces_zone_and_the_tightest_of_several_wins() {
    let mut cluster = Cluster::start_with_clocks(3).await;
    let mut admin = cluster.api(3);
    admin.make_workspace("acme", "1000").await;
    admin.write("PUT", WORKSPACE, r#"{"timezone":"Asia/Kolkata"}"#).await.expect(200);
    limit(&mut admin, "30", "week").await;
    limit(&mut admin, "10", "day").await;
    let set = limit(&mut admin, "100", "cycle").await;
    let windows: Vec<String> =
        set["limits"].as_array().expect("a list").iter().map(|limit| text(&limit["window"])).collect();
    assert_eq!(windows, ["day", "week", "cycle"]);
    let (day, week) = (of(&set, "day"), of(&set, "week"));
    assert!(text(&day["resets_at"]).ends_with("T18:30:00Z"), "midnight in Kolkata: {day}");
    assert!(text(&week["resets_at"]).ends_with("T18:30:00Z"), "{week}");
    let day_ms = 86_400_000;
    // 1970-01-04T18:30Z was midnight before a Monday there.
    assert_eq!((instant_ms(&week["resets_at"]) - 3 * day_ms - 66_600_000) % (7 * day_ms), 0, "{week}");
    assert_eq!(of(&set, "cycle")["resets_at"], Value::Null);

    // The week is set to its first day, so that a day ends in it.
    let real = Real::of(&mut admin, WORKSPACE).await;
    let monday = instant_ms(&week["resets_at"]);
    real.put_clocks_before(&mut cluster, monday + day_ms, 1_500_000);
    let is_there = eventually("the Monday is there", PATIENCE, async || {
        let shown = of(&admin.read(ANN).await, "day");
        (instant_ms(&shown["resets_at"]) == monday + day_ms).then_some(())
    });
    is_there.await;
    assert_eq!(spend_all(&cluster).await.allowed, whole(10));
    let problem = refused(&cluster, 1, "1").await;
    assert_eq!(problem["limit"], anns("day", "10"), "{problem}");
    assert_eq!(instant_ms(&problem["resets_at"]), monday + day_ms);
    // More than the week has left, too: the day's end would not help.
    limit(&mut admin, "12", "week").await;
    let problem = refused(&cluster, 1, "3").await;
    assert_eq!(problem["limit"], anns("week", "12"), "{problem}");
    assert_eq!(instant_ms(&problem["resets_at"]), monday + 7 * day_ms);
    // More than a limit itself: no waiting helps.
    let problem = refused(&cluster, 1, "11").await;
    assert_eq!(problem["limit"], anns("day", "10"), "{problem}");
    assert_eq!(problem["resets_at"], Value::Null, "{problem}");
    limit(&mut admin, "30", "week").await;

    // One is lifted, another lowered, all are lifted: felt at once.
    let left = admin.write("DELETE", &format!("{ANN}?window=day"), "").await.expect(200).json();
    assert_eq!((of(&left, "day"), text(&of(&left, "week")["used"])), (Value::Null, "10".to_owned()));
    cluster.api(1).consume("acme", "ann", "15").await.allowed();
    limit(&mut admin, "25", "week").await;
    assert_eq!(refused(&cluster, 2, "1").await["limit"], anns("week", "25"));
    let none = admin.write("DELETE", ANN, "").await.expect(200).json();
    assert_eq!(none["limits"], json!([]));
    cluster.api(2).consume("acme", "ann", "200").await.allowed();
    for node in cluster.numbers() {
        assert_conserved(&mut cluster.api(node)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_teams_limit_is_met_by_all_its_members_from_three_nodes_to_the_credit() {
    const ENG: &str = "/v1/workspaces/acme/limits/teams/eng";
    const DESIGN: &str = "/v1/workspaces/acme/limits/teams/design";
    let cluster = Cluster::start(3).await;
    let mut admin = cluster.api(2);
    admin.make_workspace("acme", "1000").await;
    let unknown = admin.answer("PUT", ENG, Some(r#"{"amount":"30"}"#)).await;
    assert_eq!(unknown.expect(404).json()["code"], "not_found", "a team is made first");
    for (path, body) in [
        ("teams/eng", r#"{"parent":null}"#),
        ("teams/design", r#"{"parent":"eng"}"#),
        ("members/ann", r#"{"team":"design"}"#),
        ("members/bob", r#"{"team":"design"}"#),
        ("members/eve", r#"{"team":"eng"}"#),
    ] {
        admin.write("PUT", &format!("{WORKSPACE}/{path}"), body).await.expect(200);
    }
    let set = admin.write("PUT", ENG, r#"{"amount":"30"}"#).await.expect(200).json();
    assert_eq!(set["of"], json!({"team": "eng"}), "{set}");

    // Whoever of them asks, wherever: all together have what the outer team may have.
    let told = spend_all_of(&cluster, &["ann", "bob", "eve"]).await;
    assert_eq!(told.refused_otherwise(&["limit_reached"]), [].into(), "{told:#?}");
    assert_eq!((told.allowed, told.unknown), (whole(30), Credits::ZERO), "not one more, not one less");
    for node in cluster.numbers() {
        let problem = refused(&cluster, node, "0.000001").await;
        let limit = json!({"window": "cycle", "limit": "30", "of": {"team": "eng"}});
        assert_eq!((&problem["limit"], &problem["available"]), (&limit, &json!("0")), "{problem}");
        assert!(text(&problem["detail"]).starts_with("team eng's limit of 30 credits"), "{problem}");
    }
    assert_eq!(cluster.api(1).consume("acme", "zoe", "5").await.allowed().0, whole(5), "she is in no team");

    // The inner one is tighter; eve is not in it.
    admin.write("PUT", ENG, r#"{"amount":"100"}"#).await.expect(200);
    admin.write("PUT", DESIGN, r#"{"amount":"100","window":"week"}"#).await.expect(200);
    let design = of(&admin.read(DESIGN).await, "week");
    let used = credits(&design["used"]);
    let five_more = used.checked_add(whole(5)).expect("a few credits").to_string();
    let body = json!({"amount": five_more, "window": "week"}).to_string();
    admin.write("PUT", DESIGN, &body).await.expect(200);
    let told = spend_all_of(&cluster, &["ann", "bob"]).await;
    assert_eq!(told.refused_otherwise(&["limit_reached"]), [].into(), "{told:#?}");
    assert_eq!(told.allowed, whole(5), "a limit that is set counts what was used before");
    cluster.api(3).consume("acme", "eve", "10").await.allowed();

    // Who moves is counted where he is, and what he used where he was.
    admin.write("PUT", &format!("{WORKSPACE}/members/ann"), r#"{"team":"eng"}"#).await.expect(200);
    cluster.api(1).consume("acme", "ann", "10").await.allowed();
    let shown = of(&admin.read(DESIGN).await, "week");
    assert_eq!([text(&shown["used"]), text(&shown["remaining"])], [five_more, "0".to_owned()], "{shown}");
    let left = admin.write("DELETE", DESIGN, "").await.expect(200).json();
    assert_eq!((&left["of"], &left["limits"]), (&json!({"team": "design"}), &json!([])), "{left}");
    cluster.api(2).consume("acme", "bob", "1").await.allowed();
    for node in cluster.numbers() {
        assert_conserved(&mut cluster.api(node)).await;
    }
}

/// Six callers at each node spend one credit after the other on this until they are refused.
async fn spend_all_on(cluster: &Cluster, what: &'static str) -> Tally {
    let callers = cluster.numbers().flat_map(|node| (0..6).map(move |caller| (node, caller)));
    let callers = callers.map(|(node, caller)| {
        let mut api = cluster.api(node);
        let user = ["ann", "bob", "eve"][caller % 3];
        tokio::spawn(async move {
            let mut told = Tally::default();
            while told.refused.is_empty() && told.unknown.is_zero() {
                told.note(whole(1), &spend_on(&mut api, user, what, "1").await);
            }
            told
        })
    });
    let tallies: Vec<Tally> =
        join_all(callers).await.into_iter().map(|told| told.expect("a tally")).collect();
    Tally::sum(&tallies)
}

/// A limit is answered at once and shows what is `leased` of before, more than it leaves perhaps, which is called back: until it is,
/// it can be spent.
async fn leases_of_before_are_back(admin: &mut Api, limit: &str) {
    let are_back = async || (admin.read(limit).await["leased"] == "0").then_some(());
    eventually("leases of before are back", PATIENCE, are_back).await;
}

/// `what`: feature and model as JSON has them.
async fn spend_on(api: &mut Api, user: &str, what: &str, amount: &str) -> Spent {
    let body = format!(r#"{{"user":"{user}",{what},"amount":"{amount}"}}"#);
    Spent::of(api.answer("POST", CONSUME, Some(&body)).await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_be_used_of_a_feature_is_met_from_all_nodes_to_the_credit_and_other_features_go_on() {
    const LIMIT: &str = "/v1/workspaces/acme/limits/features/chat";
    const OPUS: &str = "/v1/workspaces/acme/limits/models/opus";
    let cluster = Cluster::start(3).await;
    let mut admin = cluster.api(2);
    admin.make_workspace("acme", "1000").await;
    // In the morning nothing is limited, and each node has leases for anything.
    for node in cluster.numbers() {
        for user in ["ann", "bob"] {
            cluster.api(node).consume("acme", user, "1.5").await.allowed();
            spend_on(&mut cluster.api(node), user, r#""feature":"image""#, "2").await.allowed();
        }
    }
    let keyed = cluster.api(1).consume_for_sure("acme", "ann", "1", "of-the-morning").await.allowed();

    // A limit that is set at noon counts the morning's ten credits, and all leases of before.
    let set = admin.write("PUT", LIMIT, r#"{"amount":"30"}"#).await.expect(200).json();
    assert_eq!(set["of"], json!({"feature": "chat"}), "{set}");
    leases_of_before_are_back(&mut admin, LIMIT).await;
    let told = spend_all_on(&cluster, r#""feature":"chat""#).await;
    assert_eq!(told.refused_otherwise(&["limit_reached"]), [].into(), "{told:#?}");
    assert_eq!((told.allowed, told.unknown), (whole(20), Credits::ZERO), "not one more, not one less");
    for node in cluster.numbers() {
        let problem = refused(&cluster, node, "0.000001").await;
        let limit = json!({"window": "cycle", "limit": "30", "of": {"feature": "chat"}});
        assert_eq!((&problem["limit"], &problem["available"]), (&limit, &json!("0")), "{problem}");
        assert!(text(&problem["detail"]).starts_with("feature chat's limit of 30 credits"), "{problem}");
        // Other features go on.
        spend_on(&mut cluster.api(node), "ann", r#""feature":"image""#, "50").await.allowed();
    }
    let again = cluster.api(3).consume_for_sure("acme", "ann", "1", "of-the-morning").await.allowed();
    assert_eq!(again, keyed, "what was answered under a key stands");

    // A model's limit stands beside it, whatever it is used for.
    admin.write("PUT", OPUS, r#"{"amount":"7","window":"week"}"#).await.expect(200);
    leases_of_before_are_back(&mut admin, OPUS).await;
    let told = spend_all_on(&cluster, r#""feature":"image","model":"opus""#).await;
    assert_eq!(told.refused_otherwise(&["limit_reached"]), [].into(), "{told:#?}");
    assert_eq!((told.allowed, told.unknown), (whole(7), Credits::ZERO), "{told:#?}");
    spend_on(&mut cluster.api(1), "bob", r#""feature":"image","model":"haiku""#, "50").await.allowed();

    // Raised, it gives so much more; lifted, it is felt by nobody.
    admin.write("PUT", LIMIT, r#"{"amount":"35"}"#).await.expect(200);
    let told = spend_all_on(&cluster, r#""feature":"chat""#).await;
    assert_eq!((told.allowed, told.unknown), (whole(5), Credits::ZERO), "{told:#?}");
    let shown = of(&admin.read(LIMIT).await, "cycle");
    assert_eq!((&shown["remaining"], &shown["resets_at"]), (&json!("0"), &Value::Null), "{shown}");
    let left = admin.write("DELETE", LIMIT, "").await.expect(200).json();
    assert_eq!((&left["of"], &left["limits"]), (&json!({"feature": "chat"}), &json!([])), "{left}");
    for node in cluster.numbers() {
        cluster.api(node).consume("acme", "bob", "40").await.allowed();
        assert_eq!(
            spend_on(&mut cluster.api(node), "ann", r#""feature":"chat","model":"opus""#, "1")
                .await
                .refused(),
            "limit_reached"
        );
    }
    for node in cluster.numbers() {
        assert_conserved(&mut cluster.api(node)).await;
    }
}
