//! `cargo xtask bench`: what the measurements need, then the measurements. Not here: any measurement; those are
//! the binary of the package `benches`, which also writes the README's table and pins server and load apart.

use serde_json::Value;

use crate::cargo::Cargo;
use crate::debian::{self, Program};

const PEERS: [Program; 2] = [
    Program { name: "redis-server", package: "redis-server", why: "a peer we measure beside" },
    Program { name: "wrk", package: "wrk", why: "makes the load" },
];

/// True when the measurements ended well. `arguments` go to the binary as they are.
///
/// # Errors
/// There is no such binary, or what it needs can't be installed.
pub(crate) fn run(cargo: &Cargo, arguments: &[String]) -> Result<bool, String> {
    if !has_binary(&cargo.metadata()?) {
        return Err(
            "the package `benches` has no binary: nothing was installed and nothing measured".to_owned()
        );
    }
    debian::install(&PEERS)?;
    let mut command = cargo.command("run --release --locked --package benches --");
    let status = command.args(arguments).status().map_err(|why| format!("cargo did not start: {why}"))?;
    Ok(status.success())
}

fn has_binary(metadata: &Value) -> bool {
    let all = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let benches = all(&metadata["packages"]).into_iter().find(|package| package["name"] == "benches");
    let targets = benches.map(|package| all(&package["targets"])).unwrap_or_default();
    targets.iter().any(|target| all(&target["kind"]).iter().any(|kind| kind == "bin"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_binary_of_benches_is_seen() {
        let metadata = |name: &str, kind: &str| serde_json::json!({ "packages": [{ "name": name, "targets": [{ "kind": ["lib"] }, { "kind": [kind] }] }] });
        assert!(has_binary(&metadata("benches", "bin")));
        assert!(!has_binary(&metadata("benches", "bench")) && !has_binary(&metadata("cluster", "bin")));
        assert!(!has_binary(&Value::Null));
    }
}
