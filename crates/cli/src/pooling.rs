//! `tranche pooling`: whose the credits are that a plan brings for seats.

use crate::table::fields;
use crate::target::{Failure, Target, When, word};
use clap::Subcommand;
use types::WorkspaceId;
use wire::json::{self, Pooling};

#[derive(Subcommand, Clone, Debug)]
pub enum PoolingCommand {
    /// Switches to pooled, per_seat or own_first, in mid-cycle too; nothing is given or taken away by it
    Set {
        workspace: WorkspaceId,
        #[arg(value_parser = word::<Pooling>)]
        mode: Pooling,
        #[command(flatten)]
        when: When,
    },
    /// What `set` with the same mode would bring; changes nothing
    Preview {
        workspace: WorkspaceId,
        #[arg(value_parser = word::<Pooling>)]
        mode: Pooling,
    },
    /// Whose the credits are, and what is set aside for seats
    Show { workspace: WorkspaceId },
}

pub(crate) async fn run(target: &Target, command: PoolingCommand) -> Result<(), Failure> {
    let client = target.client()?;
    let asked = |mode: Pooling| json::PutPooling { mode: mode.into() };
    let pooling = match command {
        PoolingCommand::Set { workspace, mode, when } => {
            client.put_pooling(&workspace, &asked(mode), &when.into()).await?.value
        }
        PoolingCommand::Preview { workspace, mode } => {
            client.preview_pooling(&workspace, &asked(mode)).await?
        }
        PoolingCommand::Show { workspace } => client.pooling(&workspace).await?.value,
    };
    target.print(&pooling, one)
}

fn one(pooling: &json::PoolingState) -> String {
    let json::PoolingState {
        mode,
        seats,
        share,
        parts,
        set_aside,
        short,
        by_hand,
        shared,
        pending,
        pending_on,
    } = pooling;
    let nodes: Vec<String> =
        pending_on.iter().map(|on| format!("{} on {}", on.amount.0, on.node.0)).collect();
    let pending = if nodes.is_empty() { pending.0.to_string() } else { nodes.join(", ") };
    fields(&[
        ("pooling", mode.0.as_str().to_owned()),
        ("seats", format!("{seats}, {parts} with a part of their own, {by_hand} with an allocation by hand")),
        ("share", share.0.to_string()),
        ("set aside", set_aside.0.to_string()),
        ("short", short.0.to_string()),
        ("shared", shared.0.to_string()),
        ("pending", pending),
    ])
}
