//! Nodes as real processes on loopback, with data directories of their own. Not here: what is asked of them.

use crate::NotMeasured;
use crate::http::Connection;
use crate::process::{Server, free_addresses, pinned};
use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;
use tokio::runtime::Runtime;

const KEY: &str = "tk_of_the_measurements";
/// Within which a whole cluster must decide.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// `TRANCHE_BIN`, or what cargo builds of this workspace now, as this program was built.
pub fn binary() -> Result<PathBuf, NotMeasured> {
    if let Some(given) = std::env::var_os("TRANCHE_BIN") {
        return Ok(given.into());
    }
    let me = std::env::current_exe().map_err(NotMeasured::io("this program's own path"))?;
    let profile = me.parent().unwrap_or(Path::new("."));
    let target = profile.parent().unwrap_or(Path::new("."));
    let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    build.current_dir(env!("CARGO_MANIFEST_DIR"));
    build.args(["build", "--quiet", "--locked", "--package", "cluster", "--target-dir"]).arg(target);
    if !cfg!(debug_assertions) {
        build.arg("--release");
    }
    let built = build.status().map_err(NotMeasured::io("cargo did not start"))?;
    if !built.success() {
        return Err(NotMeasured::wrong("the binary `tranche` was not built"));
    }
    Ok(profile.join("tranche"))
}

/// One or several nodes of one cluster.
#[derive(Debug)]
pub struct Cluster {
    pub servers: Vec<Server>,
    pub apis: Vec<SocketAddr>,
    pub key: &'static str,
    _directory: TempDir,
}

impl Cluster {
    /// Starts `count` nodes, on one core if there is one given, and waits until they decide. Their data lies in
    /// `beside`, on a real disk.
    pub fn start(count: usize, core: Option<usize>, beside: &Path) -> Result<Self, NotMeasured> {
        let binary = binary()?;
        let directory = TempDir::with_prefix_in("bench-data-", beside);
        let directory = directory.map_err(NotMeasured::io("a directory for the nodes"))?;
        let addresses = free_addresses(2 * count)?;
        let (apis, peers) = addresses.split_at(count);
        let mut listed = String::new();
        for (at, (api, peer)) in apis.iter().zip(peers).enumerate() {
            listed +=
                &format!("[[cluster.nodes]]\nid = \"n{}\"\npeer = \"{peer}\"\napi = \"{api}\"\n", at + 1);
        }
        let mut servers = Vec::new();
        for (at, (api, peer)) in apis.iter().zip(peers).enumerate() {
            let name = format!("n{}", at + 1);
            let home = directory.path().join(&name);
            let text = format!(
                "[node]\nid = \"{name}\"\ndata = \"data\"\n[api]\nlisten = \"{api}\"\n\
                 operator_key_file = \"operator.key\"\n[peer]\nlisten = \"{peer}\"\n[cluster]\nname = \"benches\"\n{listed}"
            );
            fs::create_dir_all(&home)
                .and_then(|()| fs::write(home.join("node.toml"), text))
                .and_then(|()| fs::write(home.join("operator.key"), KEY))
                .map_err(NotMeasured::io("a node's settings"))?;
            let mut command = match core {
                Some(core) => pinned(core, &binary),
                None => Command::new(&binary),
            };
            command.arg("serve").arg("--config").arg(home.join("node.toml")).env("RUST_LOG", "warn");
            servers.push(Server::start(&name, command, &home.join("log"))?);
        }
        let mut cluster = Self { servers, apis: apis.to_vec(), key: KEY, _directory: directory };
        for (server, api) in cluster.servers.iter_mut().zip(apis) {
            server.becomes(READY_WITHIN, || is_ready(*api))?;
        }
        Ok(cluster)
    }

    pub async fn connect(&self, node: usize) -> Result<Connection, NotMeasured> {
        Connection::open(self.apis[node % self.apis.len()], self.key).await
    }

    /// Makes a workspace with one grant.
    pub async fn make_workspace(&self, name: &str, amount: u64) -> Result<(), NotMeasured> {
        make_workspace(&mut self.connect(0).await?, name, amount).await
    }

    /// The sum over all nodes of each of their metrics that has no labels.
    pub async fn metrics(&self) -> Result<BTreeMap<String, f64>, NotMeasured> {
        let mut sums = BTreeMap::new();
        for node in 0..self.apis.len() {
            for (name, value) in metrics(&mut self.connect(node).await?).await? {
                *sums.entry(name).or_insert(0.0) += value;
            }
        }
        Ok(sums)
    }

    /// Processor time of all nodes so far.
    pub fn cpu_seconds(&self) -> f64 {
        self.servers.iter().map(Server::cpu_seconds).sum()
    }
}

/// A node's metrics that have no labels.
pub async fn metrics(connection: &mut Connection) -> Result<BTreeMap<String, f64>, NotMeasured> {
    let text = connection.get("/metrics").await?.expect(200)?.text();
    let number = |line: &str| {
        let (name, value) = line.split_once(' ')?;
        Some((name.to_owned(), value.parse().ok()?))
    };
    Ok(text.lines().filter(|line| !line.starts_with('#')).filter_map(number).collect())
}

pub async fn make_workspace(connection: &mut Connection, name: &str, amount: u64) -> Result<(), NotMeasured> {
    let path = format!("/v1/workspaces/{name}");
    connection.ask("PUT", &path, "{}").await?.expect(200)?;
    let grant = format!(r#"{{"id":"first","kind":"plan","amount":"{amount}"}}"#);
    connection.ask("POST", &format!("{path}/grants"), &grant).await?.expect(201)?;
    Ok(())
}

fn is_ready(api: SocketAddr) -> bool {
    let asked = async { Connection::open(api, KEY).await?.get("/readyz").await };
    runtime().is_ok_and(|runtime| runtime.block_on(asked).is_ok_and(|answer| answer.status == 200))
}

/// A runtime of one thread: the load never takes more than one core.
pub fn runtime() -> Result<Runtime, NotMeasured> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(NotMeasured::io("a runtime"))
}
