//! The binary `tranche` at its command line: what is wrong is told on stderr, with a status. Not here: nodes that run, and
//! commands that ask them (the package `tests`).

use std::process::{Command, Output};

fn tranche(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tranche")).args(arguments).output().expect("cargo built it")
}

fn told(output: &[u8]) -> &str {
    std::str::from_utf8(output).expect("text")
}

#[test]
fn it_says_its_version() {
    let output = tranche(&["--version"]);
    assert_eq!(told(&output.stdout), concat!("tranche ", env!("CARGO_PKG_VERSION"), "\n"));
    assert!(output.status.success());
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let missing = tempfile::tempdir().expect("a directory").path().join("node.toml");
    let missing = missing.to_str().expect("text");
    let output = tranche(&["serve", "--config", missing]);
    let why = told(&output.stderr);
    assert!(why.starts_with("tranche: ") && why.contains(missing), "{why}");
    assert_eq!((output.status.code(), told(&output.stdout)), (Some(1), ""));
}

#[test]
fn a_word_it_does_not_know_is_answered_with_those_it_knows() {
    let output = tranche(&["consum"]);
    let why = told(&output.stderr);
    assert!(why.contains("'consum'") && why.contains("'consume'"), "{why}");
    assert_eq!(output.status.code(), Some(2));
}
