//! World A as a program: one seed is one run, in whatever process; and some seeds of it hold. Not here: the large batch,
//! which takes minutes (`tranche-sim batch --world a`).

use std::process::{Command, Output};

fn tranche_sim(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tranche-sim"));
    command.args(arguments).output().expect("the binary was built with this test")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_seed_is_the_same_run_in_two_processes() {
    for seed in ["3", "16", "41"] {
        let film = |turn: usize| {
            let file =
                std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("film-{seed}-{turn}.txt"));
            let path = file.to_str().expect("a path in plain letters");
            let run =
                tranche_sim(&["seed", "--world", "a", "--seed", seed, "--minutes", "2", "--film", path]);
            assert_eq!(run.status.code(), Some(0), "{}", text(&run.stderr));
            (text(&run.stdout), std::fs::read_to_string(file).expect("the film was written"))
        };
        let (first, second) = (film(0), film(1));
        let outcome: serde_json::Value = serde_json::from_str(&first.0).unwrap();
        assert!(outcome["frames"].as_u64().unwrap() > 1_000, "something happened");
        assert!(first == second, "seed {seed} is two runs");
    }
}

#[test]
fn fifty_seeds_hold() {
    let run = tranche_sim(&["batch", "--world", "a", "--seeds", "0..50", "--minutes", "1"]);
    let summary = text(&run.stdout);
    // Whether enough happens in a minute of wall time depends on the build; that nothing breaks does not.
    assert!(summary.contains("50 seeds") && !summary.contains("BROKEN"), "{summary}");
}

/// What a planted mistake breaks is made small, and the small case breaks the same sentence.
#[test]
fn a_failing_run_is_made_small_and_runs_again() {
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("case.json");
    let path = file.to_str().expect("a path in plain letters");
    let plant = ["--world", "a", "--seed", "8", "--minutes", "10", "--plant", "exposure-forgotten"];
    let shrunk = tranche_sim(&[&["shrink", "--to", path], &plant[..]].concat());
    assert_eq!(shrunk.status.code(), Some(0), "{}", text(&shrunk.stderr));
    let words = text(&shrunk.stdout);
    assert!(
        words.contains("S1 a forget does what was asked") && words.contains("tranche-sim replay"),
        "{words}"
    );
    let case: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&file).expect("the case was written")).unwrap();
    let left = ["faults", "changes"].map(|list| case[list].as_array().unwrap().len());
    assert!(left[0] <= 3 && left[1] <= 6, "{left:?} are left");
    let command = words.lines().last().expect("a command").trim();
    let again = Command::new("sh").args(["-c", &format!("{command} --brief")]).output().expect("a shell");
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again.stdout).contains("S1 a forget does what was asked"), "{}", text(&again.stdout));
}
