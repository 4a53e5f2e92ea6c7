//! Usage that is told of later through real ports: by the API and by `tranche usage import`, twice, over kills, over a rollover.
//! Not here: every corner of the books (`ledger`'s scripts and `testkit`'s histories).

use serde_json::{Value, json};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use tests::{
    Answer, Api, Cluster, PATIENCE, Real, assert_conserved, binary, credits, cycle_is, eventually, text,
    whole,
};
use types::{Credits, Timestamp};
use wire::json::Shown;

const WORKSPACE: &str = "/v1/workspaces/acme";
const IMPORT: &str = "/v1/workspaces/acme/usage/import";
const DAY_MS: i64 = 86_400_000;

fn instant(ms: i64) -> String {
    Shown(&Timestamp::from_millis(ms)).to_string()
}

fn item(id: &str, user: &str, amount: &str, at_ms: i64) -> Value {
    json!({"id": id, "user": user, "feature": "chat", "amount": amount, "happened_at": instant(at_ms)})
}

async fn import(api: &mut Api, items: Vec<Value>) -> Vec<Value> {
    let answer = api.write("POST", IMPORT, &json!({"items": items}).to_string()).await.expect(200).json();
    answer["items"].as_array().expect("a list").clone()
}

async fn now_ms(api: &mut Api) -> i64 {
    Real::of(api, WORKSPACE).await.now_ms()
}

async fn all_conserved(cluster: &Cluster) {
    for node in cluster.numbers() {
        assert_conserved(&mut cluster.api(node)).await;
    }
}

/// Of the whole workspace: credits and calls.
async fn metered(api: &mut Api) -> (Credits, u64) {
    let usage = api.read(&format!("{WORKSPACE}/usage")).await;
    let row = &usage["rows"][0];
    (credits(&row["credits"]), row["calls"].as_u64().expect("a count"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_item_stands_alone_and_is_charged_once_whoever_is_asked() {
    let cluster = Cluster::start(3).await;
    let mut api = cluster.api(1);
    api.make_workspace("acme", "10").await;
    let now = now_ms(&mut api).await;
    api.write("PUT", &format!("{WORKSPACE}/members/bob"), r#"{"ai_access":false}"#).await.expect(200);
    api.write("PUT", &format!("{WORKSPACE}/limits/bob"), r#"{"amount":"1","window":"day"}"#)
        .await
        .expect(200);
    let items = vec![
        item("row-1", "ann", "4", now - 1_000),
        item("row-2", "bob", "8", now - 1_000),
        item("row-3", "ann", "1", now - 46 * DAY_MS),
        item("row-4", "ann", "1", now + DAY_MS),
        json!({"id": "row-5", "user": "ann", "feature": "chat", "units": {"tokens": 5}, "happened_at": instant(now - 1)}),
        item("row 6", "ann", "1", now - 1),
        item("row-1", "ann", "5", now - 1_000),
    ];
    let answers = import(&mut api, items.clone()).await;
    let said: Vec<String> = answers
        .iter()
        .map(|answer| match answer["code"].as_str() {
            Some(code) => code.to_owned(),
            None => format!("{} {}", text(&answer["charged"]), text(&answer["uncovered"])),
        })
        .collect();
    let expected = ["4 0", "8 2", "too_old", "in_future", "unpriced", "invalid", "id_conflict"];
    assert_eq!(said, expected, "{answers:#?}");
    assert_eq!(answers[0]["paid_by"], json!([{"from": "shared", "grant": "first", "amount": "4"}]));

    for node in cluster.numbers() {
        let again = import(&mut cluster.api(node), items[..2].to_vec()).await;
        for (again, first) in again.iter().zip(&answers) {
            assert_eq!(again["duplicate"], true, "{again}");
            let mut as_first = again.clone();
            as_first["duplicate"] = json!(false);
            assert_eq!(as_first, *first);
        }
    }

    // Under a key it is the same answer, byte for byte.
    let body = json!({"items": [item("row-7", "ann", "1", now - DAY_MS)]}).to_string();
    let first = api.write_keyed("POST", IMPORT, "k", &body).await.expect(200);
    for node in cluster.numbers() {
        assert_eq!(
            cluster.api(node).write_keyed("POST", IMPORT, "k", &body).await.expect(200).body,
            first.body
        );
    }

    let pool = api.workspace("acme").await;
    let of = |name: &str| text(&pool[name]);
    assert_eq!(
        [of("granted"), of("used"), of("remaining"), of("uncovered")],
        ["10", "10", "0", "3"],
        "{pool}"
    );
    assert_eq!(metered(&mut api).await, (whole(13), 3));
    let bill = api.read(&format!("{WORKSPACE}/overage")).await["cycles"][0].clone();
    assert_eq!([text(&bill["billed"]), text(&bill["uncovered"])], ["0", "3"], "{bill}");
    let limits = api.read(&format!("{WORKSPACE}/limits/bob")).await;
    assert_eq!(limits["limits"][0]["used"], "8", "it counts, and refused nothing: {limits}");

    let too_many: Vec<Value> = (0..501).map(|i| item(&format!("many-{i}"), "ann", "1", now)).collect();
    let refused: Answer = api.answer("POST", IMPORT, Some(&json!({"items": too_many}).to_string())).await;
    assert_eq!((refused.status, refused.code()), (422, "invalid".into()), "{}", refused.text());
    all_conserved(&cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn units_cost_what_they_cost_when_it_happened() {
    let cluster = Cluster::start(1).await;
    let mut api = cluster.api(1);
    api.make_workspace("acme", "100").await;
    let card = |credits: &str| {
        json!({"prices": [{"feature": "chat", "unit": "token", "per": 1, "credits": credits}]}).to_string()
    };
    let mut since = Vec::new();
    for credits in ["2", "3"] {
        api.write("PUT", "/v1/rate-card", &card(credits)).await.expect(200);
        since.push(tests::instant_ms(&api.read("/v1/rate-card").await["effective_at"]));
    }
    let units = |id: &str, at_ms| json!({"id": id, "user": "ann", "feature": "chat", "units": {"tokens": 5}, "happened_at": instant(at_ms)});
    let told =
        vec![units("a", since[0]), units("b", since[1] - 1), units("c", since[1]), units("d", since[0] - 1)];
    let answers = import(&mut api, told).await;
    let charged: Vec<&Value> = answers[..3].iter().map(|answer| &answer["charged"]).collect();
    assert_eq!(charged, ["10", "10", "15"], "{answers:#?}");
    assert_eq!(answers[3]["code"], "unpriced", "{answers:#?}");
    let usage = api.read(&format!("{WORKSPACE}/usage?group_by=user")).await;
    assert_eq!(usage["rows"][0]["units"], json!({"token": 15}), "{usage}");
    all_conserved(&cluster).await;
}

/// Usage of last month: the month's plan pays although it is over, then a pack, and the rest is on the month's bill.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn last_months_usage_is_charged_to_last_month() {
    let mut cluster = Cluster::start_with_clocks(3).await;
    let mut api = cluster.api(1);
    let cycles = r#"{"cycle":{"every":"month","anchor":"2026-01-31"}}"#;
    let made = api.write("PUT", WORKSPACE, cycles).await.expect(200).json();
    let first_end = tests::instant_ms(&made["cycle"]["ends_at"]);
    let real = Real::of(&mut api, WORKSPACE).await;
    let grants = format!("{WORKSPACE}/grants");
    for grant in [
        json!({"id": "plan", "kind": "plan", "amount": "10", "rollover": {"keep": "none"}}),
        json!({"id": "pack", "kind": "pack", "amount": "5", "priority": 90}),
    ] {
        api.write("POST", &grants, &grant.to_string()).await.expect(201);
    }
    api.consume("acme", "ann", "4").await.allowed();
    real.put_clocks_before(&mut cluster, first_end, 1_500);
    let second_end = tests::instant_ms(&cycle_is(&mut api, WORKSPACE, 2).await["cycle"]["ends_at"]);
    eventually("leases of the old month are back", PATIENCE, async || {
        (api.workspace("acme").await["leased"] == "0").then_some(())
    })
    .await;
    let new = json!({"id": "plan-2", "kind": "plan", "amount": "100", "rollover": {"keep": "none"}});
    api.write("POST", &grants, &new.to_string()).await.expect(201);

    let told = vec![item("late", "ann", "12", first_end - 1)];
    let late = import(&mut cluster.api(2), told.clone()).await.remove(0);
    let paid_by = json!([
        {"from": "shared", "grant": "plan", "amount": "6"},
        {"from": "shared", "grant": "pack", "amount": "5"},
    ]);
    assert_eq!((&late["cycle"], &late["paid_by"]), (&json!(1), &paid_by), "{late}");
    assert_eq!(late["uncovered"], "1", "{late}");
    let pool = api.workspace("acme").await;
    let of = |name: &str| text(&pool[name]);
    assert_eq!([of("granted"), of("used"), of("uncovered")], ["100", "0", "0"], "{pool}");
    let bill = api.read(&format!("{WORKSPACE}/overage")).await["cycles"][0].clone();
    assert_eq!((&bill["cycle"], &bill["uncovered"]), (&json!(1), &json!("1")), "{bill}");

    // A month later nobody can tell of it any more.
    real.put_clocks_before(&mut cluster, second_end, 1_500);
    cycle_is(&mut api, WORKSPACE, 3).await;
    assert_eq!(import(&mut api, told).await[0]["code"], "too_old");
    all_conserved(&cluster).await;
}

fn file(name: &str, text: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("tranche-imports-{}-{name}", std::process::id()));
    std::fs::write(&path, text).expect("a temporary file");
    path
}

/// `tranche usage import` as a user runs it: whether it ended well, and what it printed.
async fn tranche_import(cluster: &Cluster, file: &Path) -> (bool, String) {
    let urls: Vec<String> =
        cluster.numbers().map(|node| format!("http://{}", cluster.api(node).address())).collect();
    let mut command = Command::new(binary());
    command.args(["usage", "import", "acme"]).arg(file);
    command.args(["--url", &urls.join(",")]).env("TRANCHE_KEY", &cluster.key);
    let run = tokio::task::spawn_blocking(move || command.output());
    let output = run.await.expect("it ran").expect("tranche starts");
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.success(), said)
}

/// A bill of 10,000 rows, sent in part, again after all nodes were killed, and once more: each row is charged once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bill_is_charged_once_however_often_it_is_sent_and_whoever_is_killed() {
    const ROWS: u64 = 10_000;
    const FIRST: u64 = 3_000;
    let mut cluster = Cluster::start(3).await;
    let mut api = cluster.api(1);
    api.make_workspace("acme", "9000").await;
    let at = instant(now_ms(&mut api).await - 1_000);
    let rows = |count: u64| {
        let mut text = "id,user,feature,model,amount,units.tokens,happened_at\n".to_owned();
        for i in 0..count {
            let _never = writeln!(text, "bill:{i},u{},chat,m-{},1,,{at}", i % 70, i % 3);
        }
        text
    };
    let (part, whole_bill) = (file("part.csv", &rows(FIRST)), file("bill.csv", &rows(ROWS)));
    let (good, said) = tranche_import(&cluster, &part).await;
    assert!(good && said.contains("3000, 3000 credits"), "{said}");
    for node in cluster.numbers() {
        cluster.node(node).kill();
    }
    cluster.all_back().await;
    api.hang_up();
    let (good, said) = tranche_import(&cluster, &whole_bill).await;
    assert!(good && said.contains("7000, 7000 credits"), "{said}");
    cluster.node(1).kill();
    cluster.node(1).restart().await;
    cluster.ready().await;
    api.hang_up();
    let (good, said) = tranche_import(&cluster, &whole_bill).await;
    assert!(good && said.contains("0, 0 credits"), "{said}");

    let pool = api.workspace("acme").await;
    assert_eq!([text(&pool["used"]), text(&pool["uncovered"])], ["9000", "1000"], "{pool}");
    assert_eq!(metered(&mut api).await, (whole(ROWS), ROWS));
    all_conserved(&cluster).await;

    // What cannot be is named by its line, and the rest is charged.
    let line = |id: &str, amount: &str| {
        format!(r#"{{"id":"{id}","user":"ann","feature":"chat","amount":{amount},"happened_at":"{at}"}}"#)
    };
    let lines = [line("l-1", "1"), line("l-2", "-1"), line("bill:1", "7"), line("l-3", "2")].join("\n");
    let (good, said) = tranche_import(&cluster, &file("more.jsonl", &lines)).await;
    assert!(!good && said.contains("2 of 4 rows were refused"), "{said}");
    assert!(said.contains("id_conflict") && said.contains("amount: an amount is not negative"), "{said}");
    assert_eq!(metered(&mut api).await, (whole(ROWS + 3), ROWS + 2));
    [part, whole_bill].iter().for_each(|path| std::fs::remove_file(path).expect("it was written"));
}
