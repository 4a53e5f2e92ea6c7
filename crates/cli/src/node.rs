//! `tranche node`: the cluster as a node sees it, and nodes that are lost for good.

use crate::table::{Side, Table, fields, or_dash};
use crate::target::{Failure, Target, word};
use clap::Subcommand;
use types::NodeId;
use wire::json::{self, ForgetMode, Shown};

#[derive(Subcommand, Clone, Debug)]
pub enum NodeCommand {
    /// Nodes, Raft groups, leaders, leases out, lag
    List,
    /// Declares a node's disk lost for good; it can never come back
    Forget {
        node: NodeId,
        /// What becomes of the credits out on it: charge or credit; left out: charge
        #[arg(long, value_parser = word::<ForgetMode>)]
        mode: Option<ForgetMode>,
        /// Do it
        #[arg(long)]
        yes: bool,
    },
}

pub(crate) async fn run(target: &Target, command: NodeCommand) -> Result<(), Failure> {
    match command {
        NodeCommand::List => target.print(&target.client()?.cluster().await?, cluster),
        NodeCommand::Forget { node, mode: _, yes: false } => Err(Failure::Unconfirmed(format!(
            "{node} would be fenced for ever, and what it has not reported is charged or credited by guess. If its \
             disk is really lost, repeat the command with --yes"
        ))),
        NodeCommand::Forget { node, mode, yes: true } => {
            let asked = json::Forget { mode: mode.map(Into::into) };
            target.print(&target.client()?.forget_node(node, &asked).await?, |forgotten| {
                fields(&[
                    ("node", forgotten.node.0.to_string()),
                    ("lines closed", forgotten.lines.to_string()),
                    ("written off", forgotten.written_off.0.to_string()),
                    ("exposure", forgotten.exposure.0.to_string()),
                ])
            })
        }
    }
}

fn cluster(cluster: &json::Cluster) -> String {
    let mut nodes = Table::new(&[
        ("node", Side::Left),
        ("status", Side::Left),
        ("api", Side::Left),
        ("peer", Side::Left),
        ("lines", Side::Right),
        ("leased", Side::Right),
        ("detail", Side::Left),
    ]);
    for node in &cluster.nodes {
        nodes.row([
            node.id.0.to_string(),
            node.status.clone(),
            node.api.clone(),
            node.peer.clone(),
            or_dash(node.holder.as_ref().map(|holder| holder.lines)),
            or_dash(node.holder.as_ref().map(|holder| holder.leased.0)),
            or_dash(node.detail.as_ref()),
        ]);
    }
    let mut groups = Table::new(&[
        ("group", Side::Left),
        ("leader", Side::Left),
        ("voters", Side::Left),
        ("term", Side::Right),
        ("applied", Side::Right),
        ("workspaces", Side::Right),
        ("lag", Side::Left),
    ]);
    for group in &cluster.groups {
        let voters: Vec<String> = group.voters.iter().map(|node| node.0.to_string()).collect();
        let lag = group.replicas.iter().map(|replica| format!("{}:{}", replica.node.0, replica.lag));
        groups.row([
            group.group.clone(),
            or_dash(group.leader.as_ref().map(|node| node.0)),
            voters.join(","),
            group.term.to_string(),
            group.applied.to_string(),
            group.workspaces.to_string(),
            lag.collect::<Vec<_>>().join(" "),
        ]);
    }
    format!("as {} sees it at {}\n\n{nodes}\n{groups}", cluster.node.0, Shown(&cluster.now.0))
}
