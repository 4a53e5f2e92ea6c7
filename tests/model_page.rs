//! The page that explains the model: every line on it runs as it stands, in its order, and answers what the page says. Not here:
//! what the answers mean (the tests of each part).

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use tests::dev::{base_port, interrupted, started_with};
use tests::{Api, assert_conserved, binary, one_at_a_time};

/// What is pasted, and what is said to come of it.
struct Example {
    lines: String,
    answers: Vec<String>,
}

/// Of the page's ```` ```sh ```` blocks, each with the ```` ```text ```` block behind it, if there is one.
fn examples(page: &str) -> Vec<Example> {
    let mut examples: Vec<Example> = Vec::new();
    let mut block: Option<(&str, String)> = None;
    for line in page.lines() {
        match (&mut block, line.strip_prefix("```")) {
            (None, Some(kind)) => block = Some((kind, String::new())),
            (Some(_), Some(_)) => {
                let (kind, text) = block.take().expect("it began");
                match kind {
                    "sh" => examples.push(Example { lines: text, answers: Vec::new() }),
                    "text" => {
                        let last = examples.last_mut().expect("an answer to something");
                        last.answers = text.lines().map(str::to_owned).collect();
                    }
                    _ => {}
                }
            }
            (Some((_, text)), None) => *text += &format!("{line}\n"),
            (None, None) => {}
        }
    }
    assert!(block.is_none(), "a block does not end");
    examples
}

/// Spaces are for people, and … is whatever stands there.
fn is_said(said: &str, answer: &str) -> bool {
    let squeezed = said.split_whitespace().collect::<Vec<_>>().join(" ");
    match answer.split_once('…') {
        Some((start, end)) => squeezed.starts_with(start) && squeezed.ends_with(end),
        None => squeezed == answer,
    }
}

/// No day of Berlin's ends while the page is read: its clocks are at midnight when it is 22 or 23 o'clock in Greenwich.
async fn keep_midnight_away(api: &mut Api) {
    let advance = async |api: &mut Api, span: &str| {
        let body = format!(r#"{{"advance":"{span}"}}"#);
        api.answer("POST", "/v1/test/clock", Some(&body)).await.expect(200).json()["now"].to_string()
    };
    let now = advance(api, "1s").await;
    let hour = now.split('T').nth(1).and_then(|time| time.get(..2)).expect("an instant");
    if ["21", "22"].contains(&hour) {
        advance(api, "3h").await;
    }
}

#[test]
fn answers_are_compared_by_words() {
    assert!(is_said("sources    30 from allocation", "sources 30 from allocation"));
    assert!(is_said("tranche: exhausted: only 3", "tranche: exhausted: …"));
    assert!(!is_said("sources    31 from allocation", "sources 30 from allocation"));
    assert!(!is_said("tranche: limit_reached: 3", "tranche: exhausted: …"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_line_of_the_page_runs_and_answers_what_it_says() {
    let _turn = one_at_a_time().await;
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/model.md"));
    let examples = examples(&page.expect("the page is there"));
    assert!(examples.len() >= 10, "{} examples", examples.len());
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().join("data");
    let port = base_port(3);
    let process = started_with(&data, port, 3, &["--test-clock"]).await;
    let key = std::fs::read_to_string(data.join("operator.key")).expect("the key is kept");
    keep_midnight_away(&mut Api::new((Ipv4Addr::LOCALHOST, port + 1).into(), key.trim())).await;
    let programs = binary().parent().expect("a directory").to_owned();
    let path = std::env::var("PATH").expect("a path");
    for Example { lines, answers } in examples {
        let mut shell = Command::new("sh");
        // Refusals are answers too.
        shell.args(["-c", &format!("exec 2>&1\n{lines}true")]);
        shell.env("PATH", format!("{}:{path}", programs.display()));
        shell.env("TRANCHE_URL", format!("http://127.0.0.1:{}", port + 1)).env("TRANCHE_KEY", key.trim());
        let output = shell.output().expect("sh");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(!said.contains("error:"), "{lines}{said}");
        let mut left = said.lines();
        for answer in answers {
            assert!(left.any(|line| is_said(line, &answer)), "{answer:?} is not said by\n{lines}but\n{said}");
        }
    }
    assert_conserved(&mut Api::new((Ipv4Addr::LOCALHOST, port + 1).into(), key.trim())).await;
    interrupted(process).await;
}
