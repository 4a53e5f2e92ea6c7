//! Which binaries are tested: those that variables name, or what this workspace builds. Not here: starting them.

use cargo_metadata::MetadataCommand;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// The binary `tranche`: `TRANCHE_BIN`, or built once.
pub fn binary() -> PathBuf {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| given("TRANCHE_BIN").unwrap_or_else(|| build("cluster", "tranche"))).clone()
}

/// The binary `tranche-sim`: `TRANCHE_SIM_BIN`, or the one beside `TRANCHE_BIN`, or built once.
pub fn simulator() -> PathBuf {
    static SIMULATOR: OnceLock<PathBuf> = OnceLock::new();
    let beside = || given("TRANCHE_BIN").map(|path| path.with_file_name("tranche-sim"));
    let found = || given("TRANCHE_SIM_BIN").or_else(|| beside().filter(|path| path.is_file()));
    SIMULATOR.get_or_init(|| found().unwrap_or_else(|| build("simulations", "tranche-sim"))).clone()
}

fn given(variable: &str) -> Option<PathBuf> {
    let path = PathBuf::from(std::env::var_os(variable)?);
    assert!(path.is_file(), "{variable} names no file: {}", path.display());
    Some(path)
}

fn build(package: &str, name: &str) -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
    let mut build = Command::new(cargo);
    build.args(["build", "--quiet", "--package", package, "--bin", name, "--manifest-path", manifest]);
    let built = build.status().expect("cargo can be started");
    assert!(built.success(), "{name} was not built");
    let metadata = MetadataCommand::new().manifest_path(manifest).no_deps().exec();
    let target = metadata.expect("cargo knows its own workspace").target_directory;
    target.join("debug").join(name).into()
}
