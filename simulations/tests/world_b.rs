//! World B as a program: one seed is one run, in whatever process. Not here: the batch, which takes minutes
//! (`tranche-sim batch --world b`).

use std::process::Command;

fn outcome(seed: &str) -> serde_json::Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tranche-sim"));
    command.args(["seed", "--world", "b", "--seed", seed, "--minutes", "1"]);
    let output = command.output().expect("the binary was built with this test");
    serde_json::from_slice(&output.stdout).expect("an outcome is one line of JSON")
}

#[test]
fn a_seed_is_the_same_run_in_two_processes() {
    for seed in ["3", "11"] {
        let (first, second) = (outcome(seed), outcome(seed));
        assert!(first["broken"].is_null(), "{first}");
        assert!(first["operations"].as_u64() > Some(100) && first["trace"].as_str() != Some(""), "{first}");
        assert_eq!(first, second, "seed {seed} is two runs");
    }
}
