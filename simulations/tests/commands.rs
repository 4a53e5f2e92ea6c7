//! What a person types: `tranche-sim model …`, its answers and exit codes.

use std::process::{Command, Output};

fn tranche_sim(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tranche-sim"));
    command.args(arguments).output().expect("the binary was built with this test")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_mistake_is_told_to_its_end() {
    let output = tranche_sim(&["model", "--mistake", "return-before-sync"]);
    let story = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{story}");
    assert!(story.contains("loses power; what was not synced is gone"), "{story}");
    assert!(
        story.trim_end().ends_with("by grant") && story.contains("\nBroken: S3 never overdrawn"),
        "{story}"
    );
}

#[test]
fn a_world_is_searched_by_name() {
    let output = tranche_sim(&["model", "--world", "two grants, one expires"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stdout).contains("states, depth"));
}

#[test]
fn an_unknown_name_is_answered_with_the_known_ones() {
    for (flag, known) in [("--mistake", "no-watermark"), ("--world", "crashes")] {
        let output = tranche_sim(&["model", flag, "nonsense"]);
        assert_eq!(output.status.code(), Some(2));
        let complaint = text(&output.stderr);
        assert!(complaint.contains("\"nonsense\"") && complaint.contains(known), "{complaint}");
    }
}

#[test]
fn what_is_not_understood_is_answered_with_the_usage() {
    let wrong: [&[&str]; 8] = [
        &[],
        &["modle"],
        &["model", "--mistake"],
        &["model", "--world", "crashes", "more"],
        &["seed", "--world", "a"],
        &["batch", "--world", "z", "--seeds", "0..9"],
        &["batch", "--world", "a", "--seeds", "9..2"],
        &["seed", "--world", "a", "--seed", "1", "--minutes", "0"],
    ];
    for arguments in wrong {
        let output = tranche_sim(arguments);
        assert_eq!(output.status.code(), Some(2));
        let complaint = text(&output.stderr);
        assert!(complaint.contains("Usage:") || complaint.contains("--help"), "{complaint}");
    }
}
