//! `tranche dev`: what it prints works when pasted, Ctrl-C drains, and everything is there when it starts again; and
//! `tranche replay` against it. Not here: `serve`, which everything else uses.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use tests::dev::{LAST_LINE, base_port, dev, interrupted, started, started_with};
use tests::{Api, PATIENCE, Process, assert_conserved, binary, eventually, instant_ms, one_at_a_time, text};

/// Runs a line as a person would.
fn paste(line: &str) -> serde_json::Value {
    let output = Command::new("sh").args(["-c", line]).output().expect("sh");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{line}: {text} {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(&text).unwrap_or_else(|why| panic!("{line}: {why}: {text}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_lines_to_try_and_everything_is_kept() {
    let _turn = one_at_a_time().await;
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().join("data");
    let port = base_port(3);
    let process = started(&data, port, 3).await;
    let said = process.log();
    let key = std::fs::read_to_string(data.join("operator.key")).expect("the key is kept");
    assert!(said.contains(key.trim()) && said.contains("/docs"), "{said}");
    for node in 1..=3 {
        assert!(said.contains(&format!("http://127.0.0.1:{}", port + node)), "{said}");
        let address = (Ipv4Addr::LOCALHOST, port + node).into();
        Api::new(address, "").get("/readyz").await.expect(200);
    }
    let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| line.starts_with("curl")).collect();
    assert_eq!(lines.len(), 2, "{said}");
    // 1,200 input tokens at 1 credit per 1,000, and 300 output tokens at 4.
    let charged = paste(lines[0]);
    assert_eq!((&charged["charged"], &charged["durability"]), (&"2.4".into(), &"local".into()), "{charged}");
    // 22.4 were drawn: what was missing and the smallest lease. The rest lies in the pool.
    assert_eq!(
        charged["remaining"],
        serde_json::json!({"at_least": "20", "at_most": "99997.6"}),
        "{charged}"
    );
    eventually("the summary has it", PATIENCE, async || (paste(lines[1])["used"] == "2.4").then_some(()))
        .await;
    assert_eq!(paste(lines[1])["granted"], "100000");
    interrupted(process).await;

    // Another number of nodes is refused, and so is one that no cluster has.
    for (nodes, why) in [("5", "made for 3 nodes"), ("1", "made for 3 nodes"), ("2", "1, 3 or 5")] {
        let output = dev(&data, &["--nodes", nodes, "--port", &port.to_string()]).output().expect("it ends");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(why), "--nodes {nodes}: {said}");
    }

    let process = started(&data, port, 3).await;
    assert!(process.log().contains(key.trim()), "the key is the same");
    eventually("what was used is still there", PATIENCE, async || {
        (paste(lines[1])["used"] == "2.4").then_some(())
    })
    .await;
    assert_eq!(paste(lines[0])["charged"], "2.4");
    eventually("and grows on", PATIENCE, async || (paste(lines[1])["used"] == "4.8").then_some(())).await;

    // Two at once on one directory: the second one is told.
    let output = dev(&data, &["--port", &base_port(3).to_string()]).output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("in use"), "{said}");
    interrupted(process).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_of_one_and_one_that_keeps_nothing() {
    let _turn = one_at_a_time().await;
    let directory = tempfile::tempdir().expect("a directory");
    let process = started(&directory.path().join("one"), base_port(1), 1).await;
    let said = process.log();
    let line = said.lines().map(str::trim).find(|line| line.starts_with("curl")).expect("a line to try");
    assert_eq!(paste(line)["charged"], "2.4");
    interrupted(process).await;

    let mut command = Command::new(binary());
    let port = base_port(3).to_string();
    command
        .args(["dev", "--ephemeral", "--port", &port])
        .env("TMPDIR", directory.path())
        .env("RUST_LOG", "warn");
    let process = Process::start("ephemeral", &mut command, &directory.path().join("ephemeral.log"));
    process.says(LAST_LINE, PATIENCE).await;
    let kept = || std::fs::read_dir(directory.path()).expect("a directory").count();
    let before = kept();
    interrupted(process).await;
    assert_eq!(kept(), before - 1, "its directory went with it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_test_lives_through_a_year_in_seconds() {
    let _turn = one_at_a_time().await;
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().join("data");
    let port = base_port(3);
    let process = started_with(&data, port, 3, &["--test-clock"]).await;
    let key = std::fs::read_to_string(data.join("operator.key")).expect("the key is kept");
    let api = |node: u16| Api::new((Ipv4Addr::LOCALHOST, port + node).into(), key.trim());
    let (workspace, mut admin) = ("/v1/workspaces/acme", api(1));
    let cycles = r#"{"cycle":{"every":"month","anchor":"2026-01-31"}}"#;
    admin.write("PUT", workspace, cycles).await.expect(200);
    let plan = r#"{"id":"pro","allowance":"100","rollover":{"keep":"none"}}"#;
    admin.write("PUT", &format!("{workspace}/plan"), plan).await.expect(200);
    api(2).consume("acme", "ann", "70").await.allowed();

    // Pack and plan, renewal, and what an old lease gives back: at once, for whoever asks any node.
    let before = instant_ms(&admin.read(workspace).await["as_of"]["time"]);
    let advance = |span: &str| format!(r#"{{"advance":"{span}"}}"#);
    let clock = admin.answer("POST", "/v1/test/clock", Some(&advance("32d"))).await.expect(200).json();
    let passed = instant_ms(&clock["now"]) - before;
    assert!((32 * 86_400_000..32 * 86_400_000 + 600_000).contains(&passed), "{clock}");
    let pool = admin.read(workspace).await;
    // One month has ended, or two, whatever day it is today.
    assert!(pool["cycle"]["number"].as_u64().is_some_and(|number| (2..=3).contains(&number)), "{pool}");
    assert_eq!(text(&pool["used"]), "0", "{pool}");
    for node in 1..=3 {
        assert_eq!(text(&api(node).read(&format!("{workspace}/plan")).await["allowance"]["given"]), "100");
        api(node).consume("acme", "ann", "30").await.allowed();
    }
    // A year has more months than are known ahead.
    api(3).answer("POST", "/v1/test/clock", Some(&advance("366d"))).await.expect(200);
    let pool = admin.read(workspace).await;
    assert!(pool["cycle"]["number"].as_u64().is_some_and(|number| (13..=15).contains(&number)), "{pool}");
    assert_eq!(text(&pool["available"]), "100", "{pool}");
    for (span, why) in
        [("0d", "a stretch of time is"), ("367d", "a stretch of time is"), ("-1d", "a stretch of time is")]
    {
        let answer = admin.answer("POST", "/v1/test/clock", Some(&advance(span))).await.expect(422);
        assert!(answer.detail().contains(why), "{}", answer.text());
    }
    assert_conserved(&mut admin).await;
    interrupted(process).await;

    // Such data cannot go back to the machine's time.
    let output = dev(&data, &["--port", &port.to_string()]).output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("start it with --test-clock"), "{said}");
    let process = started_with(&data, port, 3, &["--test-clock"]).await;
    let pool = api(1).read(workspace).await;
    assert!(instant_ms(&pool["as_of"]["time"]) - before > 397 * 86_400_000, "{pool}");
    api(2).consume("acme", "ann", "1").await.allowed();
    interrupted(process).await;

    // Without the flag there is no such clock.
    let process = started(&directory.path().join("plain"), port, 1).await;
    let key = std::fs::read_to_string(directory.path().join("plain/operator.key")).expect("the key is kept");
    let mut api = Api::new((Ipv4Addr::LOCALHOST, port + 1).into(), key.trim());
    let answer = api.answer("POST", "/v1/test/clock", Some(&advance("1d"))).await.expect(404);
    assert!(answer.detail().contains("tranche dev --test-clock"), "{}", answer.text());
    interrupted(process).await;
}

/// Runs `tranche replay` where `dev` keeps its data, as the README does.
fn replay(directory: &Path, port: u16, arguments: &[&str]) -> (bool, serde_json::Value, String) {
    let mut command = Command::new(binary());
    command.args(["replay", "--trace", "trace.csv", "--users", "users.csv", "--speed", "max", "--json"]);
    command.arg("--url").arg(format!("http://127.0.0.1:{}", port + 1)).args(arguments);
    let output = command.current_dir(directory).env_remove("TRANCHE_KEY").output().expect("it ends");
    let report = serde_json::from_slice(&output.stdout).unwrap_or(serde_json::Value::Null);
    (output.status.success(), report, String::from_utf8_lossy(&output.stderr).into_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recorded_trace_is_sent_to_all_nodes_and_the_books_are_right() {
    const ROWS: u64 = 600;
    let _turn = one_at_a_time().await;
    let directory = tempfile::tempdir().expect("a directory");
    let home = directory.path();
    let mut trace = String::from("TIMESTAMP,ContextTokens,GeneratedTokens\n");
    for row in 0..ROWS {
        let (input, output) = (1 + row * 37 % 5_000, 1 + row * 11 % 700);
        trace += &format!("2023-11-16 18:{:02}:{:02}.{:07},{input},{output}\n", row / 60, row % 60, row);
    }
    let mut users = String::from("client,window_start_s,requests_per_s\n");
    (0..40).for_each(|user| users += &format!("{user},3600,{}.5\n", 1 + 40 / (user + 1)));
    std::fs::write(home.join("trace.csv"), trace).expect("written");
    std::fs::write(home.join("users.csv"), users).expect("written");
    let port = base_port(3);
    let process = started(&home.join("tranche-data"), port, 3).await;

    let (ok, report, said) = replay(home, port, &["--seed", "7"]);
    assert!(ok, "{said}\n{report:#}");
    assert_eq!((&report["sent"], &report["allowed"]), (&ROWS.into(), &ROWS.into()), "{report:#}");
    assert_eq!(
        report["nodes"].as_array().map(Vec::len),
        Some(3),
        "all nodes, though one was named: {report:#}"
    );
    let conserved = report["conservation"].as_array().expect("a list");
    assert!(conserved.len() == 3 && conserved.iter().all(|node| node["holds"] == true), "{report:#}");
    assert_eq!((&report["holds"], &report["audit"]["balanced"]), (&true.into(), &true.into()), "{report:#}");
    // 1 credit per 1,000 input tokens and 4 per 1,000 output tokens, to the micro-credit.
    let micros: u64 =
        (0..ROWS).map(|row| (1 + row * 37 % 5_000) * 1_000 + (1 + row * 11 % 700) * 4_000).sum();
    assert_eq!(report["credits"], tests::micros(micros).to_string());

    // A pool that is too small: refusals are a result, and the books are right all the same.
    let (ok, report, said) = replay(home, port, &["--workspace", "small", "--credits", "100"]);
    assert!(ok, "{said}\n{report:#}");
    assert!(report["refused"]["exhausted"].as_u64().is_some_and(|refused| refused > 0), "{report:#}");
    assert_eq!((&report["holds"], &report["sent"]), (&true.into(), &ROWS.into()), "{report:#}");
    // And one with nothing in it is a mistake.
    let (ok, _, said) = replay(home, port, &["--workspace", "empty"]);
    assert!(!ok && said.contains("Give the pool credits with --credits"), "{said}");
    interrupted(process).await;
}
