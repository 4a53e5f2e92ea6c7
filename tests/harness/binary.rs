//! Which binary is tested: `TRANCHE_BIN`, or the one this workspace builds. Not here: starting it.

use cargo_metadata::MetadataCommand;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// The binary `tranche`, built once where `TRANCHE_BIN` does not name it.
pub fn binary() -> PathBuf {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(find_or_build).clone()
}

fn find_or_build() -> PathBuf {
    if let Some(given) = std::env::var_os("TRANCHE_BIN") {
        let path = PathBuf::from(given);
        assert!(path.is_file(), "TRANCHE_BIN names no file: {}", path.display());
        return path;
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
    let mut build = Command::new(cargo);
    build.args(["build", "--quiet", "--package", "cluster", "--manifest-path", manifest]);
    let built = build.status().expect("cargo can be started");
    assert!(built.success(), "the binary was not built");
    let metadata = MetadataCommand::new().manifest_path(manifest).no_deps().exec();
    let target = metadata.expect("cargo knows its own workspace").target_directory;
    target.join("debug/tranche").into()
}
