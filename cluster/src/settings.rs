//! A node's settings: `node.toml`, overridden by the environment. Read whole, checked once. Not here: defaults.

use crate::lease::{BadField, LeaseSettings};
use api::{BadKey, OperatorKey};
use leasing::LeasePolicy;
use placement::{Membership, MembershipEpoch, Node as PlacedNode};
use quota::ListedNode;
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use types::NodeId;

/// What one node needs to know of itself and the cluster, checked.
#[derive(Clone, Debug)]
pub struct Settings {
    pub node: NodeId,
    pub data: PathBuf,
    pub api_listen: SocketAddr,
    pub operator_key: OperatorKey,
    pub peer_listen: SocketAddr,
    /// Nodes of other clusters are refused by it.
    pub cluster: String,
    pub membership: Membership,
    pub listed: Vec<ListedNode>,
    pub raft: RaftSettings,
    pub lease: LeasePolicy,
}

/// How often a group's log is cut short. Smaller: less to read at a start, more snapshots to send to who lags.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RaftSettings {
    /// A snapshot is made after so many entries, 10 to 1,000,000; 10,000 by default.
    pub snapshot_every_entries: u64,
    /// So many entries before it are kept, for who lags a little; 1,000 by default.
    pub log_keep_entries: u64,
}

impl Default for RaftSettings {
    fn default() -> Self {
        Self { snapshot_every_entries: 10_000, log_keep_entries: 1_000 }
    }
}

impl RaftSettings {
    fn check(self) -> Result<Self, BadSettings> {
        let wrong = |field, why: &str| Err(BadSettings::Wrong { field, why: why.into() });
        if !(10..=1_000_000).contains(&self.snapshot_every_entries) {
            return wrong("raft.snapshot_every_entries", "10 to 1,000,000 entries");
        }
        if self.log_keep_entries > 1_000_000 {
            return wrong("raft.log_keep_entries", "at most 1,000,000 entries");
        }
        Ok(self)
    }
}

#[derive(Debug, thiserror::Error)]
pub enum BadSettings {
    #[error("{path}: {source}; give the path of a settings file with --config")]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error(
        "{path}: {source}; put the cluster's operator key there, 16 to 256 visible ASCII characters, the same on every \
         node, or name another file as api.operator_key_file"
    )]
    NoKey { path: PathBuf, source: std::io::Error },
    #[error("{path}: {why}")]
    BadKey { path: PathBuf, why: BadKey },
    #[error("{path}: {source}")]
    NotToml { path: PathBuf, source: Box<toml::de::Error> },
    #[error("{variable}: there is no setting of that name; there are {}", OVERRIDES.map(|(name, _)| name).join(", "))]
    UnknownVariable { variable: String },
    #[error("lease.{0}")]
    Lease(#[from] BadField),
    #[error("{field}: {why}")]
    Wrong { field: &'static str, why: String },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    node: NodeTable,
    api: ApiTable,
    peer: PeerTable,
    cluster: ClusterTable,
    #[serde(default)]
    raft: RaftSettings,
    #[serde(default)]
    lease: LeaseSettings,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NodeTable {
    id: String,
    data: PathBuf,
    #[serde(default)]
    zone: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ApiTable {
    listen: String,
    operator_key_file: PathBuf,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PeerTable {
    listen: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ClusterTable {
    #[serde(default = "unnamed")]
    name: String,
    nodes: Vec<ListedTable>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ListedTable {
    id: String,
    peer: String,
    api: String,
    #[serde(default)]
    zone: String,
}

fn unnamed() -> String {
    "tranche".into()
}

/// Settings that one environment variable each may override.
const OVERRIDES: [(&str, [&str; 2]); 7] = [
    ("TRANCHE_NODE__ID", ["node", "id"]),
    ("TRANCHE_NODE__DATA", ["node", "data"]),
    ("TRANCHE_NODE__ZONE", ["node", "zone"]),
    ("TRANCHE_API__LISTEN", ["api", "listen"]),
    ("TRANCHE_API__OPERATOR_KEY_FILE", ["api", "operator_key_file"]),
    ("TRANCHE_PEER__LISTEN", ["peer", "listen"]),
    ("TRANCHE_CLUSTER__NAME", ["cluster", "name"]),
];

impl Settings {
    /// Reads `path`; `environment` overrides single settings (`TRANCHE_NODE__DATA=…`).
    pub fn load(
        path: &Path,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, BadSettings> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| BadSettings::Unreadable { path: path.into(), source })?;
        let not_toml = |source| BadSettings::NotToml { path: path.into(), source: Box::new(source) };
        // Parsed twice: once for an error that shows the line, once to be overridden.
        let mut table: toml::Table = toml::from_str(&text).map_err(not_toml)?;
        let overridden = override_by(&mut table, environment)?;
        let file: File = if overridden {
            table.try_into().map_err(not_toml)?
        } else {
            toml::from_str(&text).map_err(not_toml)?
        };
        let beside = path.parent().unwrap_or(Path::new("."));
        Self::check(file, beside)
    }

    /// All nodes but this one.
    pub fn others(&self) -> Vec<NodeId> {
        let all = self.membership.nodes().iter().map(|node| node.id);
        all.filter(|node| *node != self.node).collect()
    }

    fn check(file: File, beside: &Path) -> Result<Self, BadSettings> {
        let File { node, api, peer, cluster, raft, lease } = file;
        let id: NodeId = parsed("node.id", &node.id)?;
        let mut placed = Vec::new();
        let mut listed = Vec::new();
        for entry in &cluster.nodes {
            let listed_id: NodeId = parsed("cluster.nodes.id", &entry.id)?;
            peer_address("cluster.nodes.peer", &entry.peer)?;
            placed.push(PlacedNode { id: listed_id, zone: entry.zone.clone(), weight: 1 });
            listed.push(ListedNode { id: listed_id, api: entry.api.clone(), peer: entry.peer.clone() });
        }
        if ![1, 3, 5].contains(&placed.len()) {
            let why = format!("a cluster has 1, 3 or 5 nodes; {} are listed", placed.len());
            return Err(BadSettings::Wrong { field: "cluster.nodes", why });
        }
        if !placed.iter().any(|node| node.id == id) {
            let why = format!(
                "{id} is not in cluster.nodes; the list must be the same on every node and name this one"
            );
            return Err(BadSettings::Wrong { field: "node.id", why });
        }
        if let Some(listed_zone) = placed.iter().find(|n| n.id == id).map(|n| &n.zone)
            && !node.zone.is_empty()
            && !listed_zone.is_empty()
            && *listed_zone != node.zone
        {
            let why = format!("{:?} here, {listed_zone:?} in cluster.nodes", node.zone);
            return Err(BadSettings::Wrong { field: "node.zone", why });
        }
        let membership = Membership::new(MembershipEpoch(1), placed)
            .map_err(|why| BadSettings::Wrong { field: "cluster.nodes", why: why.to_string() })?;
        let key_file = beside.join(&api.operator_key_file);
        let key = std::fs::read_to_string(&key_file)
            .map_err(|source| BadSettings::NoKey { path: key_file.clone(), source })?;
        let operator_key =
            OperatorKey::parse(key.trim()).map_err(|why| BadSettings::BadKey { path: key_file, why })?;
        Ok(Self {
            node: id,
            data: beside.join(node.data),
            api_listen: address("api.listen", &api.listen)?,
            operator_key,
            peer_listen: peer_address("peer.listen", &peer.listen)?,
            cluster: cluster.name,
            membership,
            listed,
            raft: raft.check()?,
            lease: lease.check()?,
        })
    }
}

fn parsed<T: std::str::FromStr>(field: &'static str, text: &str) -> Result<T, BadSettings>
where
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|why: T::Err| BadSettings::Wrong { field, why: format!("{text:?}: {why}") })
}

fn address(field: &'static str, text: &str) -> Result<SocketAddr, BadSettings> {
    let wrong = |_| BadSettings::Wrong {
        field,
        why: format!("{text:?} is no IP:port, for example 127.0.0.1:7070; names are not resolved"),
    };
    text.parse().map_err(wrong)
}

/// Peers are checked before anything is written: a data directory is named after its cluster for good.
fn peer_address(field: &'static str, text: &str) -> Result<SocketAddr, BadSettings> {
    let address = address(field, text)?;
    if address.ip().to_canonical().is_loopback() {
        return Ok(address);
    }
    let why = format!(
        "{text} is not a loopback address; traffic between nodes is not encrypted yet and stays on one machine"
    );
    Err(BadSettings::Wrong { field, why })
}

/// Whether anything was overridden. A variable of the right form but no such setting is an error, not a silence.
fn override_by(
    table: &mut toml::Table,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<bool, BadSettings> {
    let mut overridden = false;
    let ours =
        environment.into_iter().filter(|(name, _)| name.starts_with("TRANCHE_") && name.contains("__"));
    for (variable, value) in ours {
        let Some((_, [section, key])) = OVERRIDES.iter().find(|(name, _)| *name == variable) else {
            return Err(BadSettings::UnknownVariable { variable });
        };
        let entry = table.entry(*section).or_insert_with(|| toml::Table::new().into());
        if let Some(section) = entry.as_table_mut() {
            section.insert((*key).to_owned(), value.into());
            overridden = true;
        }
    }
    Ok(overridden)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE_TOML: &str = r#"
        [node]
        id = "n1"
        data = "data"
        [api]
        listen = "127.0.0.1:7070"
        operator_key_file = "operator.key"
        [peer]
        listen = "127.0.0.1:7080"
        [[cluster.nodes]]
        id = "n1"
        peer = "127.0.0.1:7080"
        api = "127.0.0.1:7070"
    "#;

    fn load(text: &str, environment: &[(&str, &str)]) -> Result<Settings, BadSettings> {
        let directory = tempfile::tempdir().unwrap();
        if !text.contains("no key") {
            let key = if text.contains("short key") { "secret\n" } else { "0123456789abcdef\n" };
            std::fs::write(directory.path().join("operator.key"), key).unwrap();
        }
        let path = directory.path().join("node.toml");
        std::fs::write(&path, text).unwrap();
        Settings::load(&path, environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())))
    }

    #[test]
    fn a_file_and_the_environment_over_it() {
        let settings = load(NODE_TOML, &[("TRANCHE_URL", "ignored")]).unwrap();
        assert_eq!(settings.node, NodeId(1));
        let settings = load(NODE_TOML, &[("TRANCHE_API__LISTEN", "127.0.0.1:9999")]).unwrap();
        assert_eq!(settings.api_listen.port(), 9999);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let message =
            |text: &str, environment: &[(&str, &str)]| load(text, environment).unwrap_err().to_string();
        assert!(message(&NODE_TOML.replace("n1", "node1"), &[]).starts_with("node.id:"));
        assert!(message(&NODE_TOML.replacen("n1", "n2", 1), &[]).contains("is not in cluster.nodes"));
        assert!(message(&NODE_TOML.replace("data = ", "dta = "), &[]).contains("unknown field `dta`"));
        assert!(message(NODE_TOML, &[("TRANCHE_NODE__DATE", "x")]).contains("there are TRANCHE_NODE__ID, "));
        assert!(
            message(&NODE_TOML.replace("127.0.0.1:7080", "localhost:1"), &[])
                .contains("names are not resolved")
        );
        assert!(
            message(&NODE_TOML.replace("127.0.0.1:7080", "10.0.0.1:1"), &[])
                .contains("not a loopback address")
        );
        assert!(
            message(&format!("{NODE_TOML}# no key"), &[]).contains("put the cluster's operator key there")
        );
        assert!(message(&format!("{NODE_TOML}# short key"), &[]).contains("this one has 6"));
        let two = format!("{NODE_TOML}\n[[cluster.nodes]]\nid = \"n2\"\npeer = \"127.0.0.1:1\"\napi = \"a\"");
        assert!(message(&two, &[]).contains("1, 3 or 5 nodes; 2 are listed"));
        let raft = |line: &str| load(&format!("{NODE_TOML}\n[raft]\n{line}"), &[]);
        assert_eq!(raft("snapshot_every_entries = 10").unwrap().raft.log_keep_entries, 1_000);
        for wrong in
            ["snapshot_every_entries = 9", "snapshot_every_entries = 1000001", "log_keep_entries = 1000001"]
        {
            assert!(raft(wrong).unwrap_err().to_string().starts_with("raft."), "{wrong}");
        }
    }

    #[test]
    fn a_lease_policy_of_its_own() {
        let lease = |line: &str| load(&format!("{NODE_TOML}\n[lease]\n{line}"), &[]);
        assert_eq!(load(NODE_TOML, &[]).unwrap().lease, LeasePolicy::STANDARD);
        let read = lease("lease_min = \"0.5\"\nidle_ms = 60000").unwrap().lease;
        let lease_min = "0.5".parse().unwrap();
        assert_eq!(read, LeasePolicy { lease_min, idle_ms: 60_000, ..LeasePolicy::STANDARD });
        assert_eq!(lease("round_ms = 501").unwrap_err().to_string(), "lease.round_ms: 1 to 500 ms");
        assert!(lease("lease_min = 0.5").unwrap_err().to_string().contains("an exact decimal as text"));
        assert!(lease("lease_mini = 5").unwrap_err().to_string().contains("unknown field `lease_mini`"));
    }
}
