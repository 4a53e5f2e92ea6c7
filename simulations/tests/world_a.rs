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
    for seed in ["3", "16", "40"] {
        let runs = [(), ()]
            .map(|()| tranche_sim(&["seed", "--world", "a", "--seed", seed, "--minutes", "2", "--film"]));
        let lines = runs.each_ref().map(|run| text(&run.stdout));
        assert_eq!(runs[0].status.code(), Some(0), "{}", text(&runs[0].stderr));
        let outcome: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
        assert!(outcome["frames"].as_u64().unwrap() > 1_000, "something happened");
        assert!(lines[0] == lines[1], "seed {seed} is two runs");
    }
}

#[test]
fn fifty_seeds_hold() {
    let run = tranche_sim(&["batch", "--world", "a", "--seeds", "0..50", "--minutes", "1"]);
    let summary = text(&run.stdout);
    // Whether enough happens in a minute of wall time depends on the build; that nothing breaks does not.
    assert!(summary.contains("50 seeds") && !summary.contains("BROKEN"), "{summary}");
}
