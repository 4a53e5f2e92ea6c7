//! `tranche allocation`, `reallocate`: what one user may spend.

use crate::grant::pending;
use crate::table::{fields, or_dash};
use crate::target::{Failure, Target, When, word};
use clap::{Args, Subcommand};
use types::{Credits, CreditsDelta, ReallocationId, UserId, WorkspaceId};
use wire::json::{self, Overflow};

#[derive(Subcommand, Clone, Debug)]
pub enum AllocationCommand {
    /// Sets a user's allocation for this cycle and every next
    Set {
        workspace: WorkspaceId,
        user: UserId,
        amount: Credits,
        /// Where he may go on when it is spent: none or shared; left out: as it is
        #[arg(long, value_parser = word::<Overflow>)]
        overflow: Option<Overflow>,
        #[command(flatten)]
        when: When,
    },
    /// Raises or lowers it for this cycle only
    Adjust {
        workspace: WorkspaceId,
        user: UserId,
        /// 2000, or -12.5
        #[arg(allow_hyphen_values = true)]
        delta: CreditsDelta,
        #[command(flatten)]
        when: When,
    },
    /// The allocation, and what of it is still on its way
    Show { workspace: WorkspaceId, user: UserId },
    /// Returns the user to what is shared
    Remove {
        workspace: WorkspaceId,
        user: UserId,
        #[command(flatten)]
        when: When,
    },
}

pub(crate) async fn run(target: &Target, command: AllocationCommand) -> Result<(), Failure> {
    let client = target.client()?;
    let answer = match command {
        AllocationCommand::Set { workspace, user, amount, overflow, when } => {
            let asked = json::PutAllocation { amount: amount.into(), overflow: overflow.map(Into::into) };
            client.put_allocation(&workspace, &user, &asked, &when.into()).await?
        }
        AllocationCommand::Adjust { workspace, user, delta, when } => {
            let asked = json::Adjust { delta: delta.into() };
            client.adjust_allocation(&workspace, &user, &asked, &when.into()).await?
        }
        AllocationCommand::Show { workspace, user } => client.allocation(&workspace, &user).await?,
        AllocationCommand::Remove { workspace, user, when } => {
            client.remove_allocation(&workspace, &user, &when.into()).await?
        }
    };
    target.print(&answer.value, |allocation| {
        fields(&[
            ("user", allocation.user.0.to_string()),
            ("allocation", or_dash(allocation.allocation.map(|amount| amount.0))),
            ("every next", allocation.standing.0.to_string()),
            ("overflow", allocation.overflow.0.as_str().into()),
            ("used", allocation.used.0.to_string()),
            ("short", allocation.short.0.to_string()),
            ("pending", pending(&allocation.pending_from, allocation.pending.0)),
        ])
    })
}

#[derive(Args, Clone, Debug)]
pub struct Reallocate {
    workspace: WorkspaceId,
    /// Permanent: the same command again moves nothing more
    reallocation: ReallocationId,
    #[arg(long, required_unless_present = "show")]
    from: Option<UserId>,
    #[arg(long, required_unless_present = "show")]
    to: Option<UserId>,
    #[arg(long, required_unless_present = "show")]
    amount: Option<Credits>,
    /// How far this reallocation has come
    #[arg(long, conflicts_with_all = ["from", "to", "amount"])]
    show: bool,
    #[command(flatten)]
    when: When,
}

pub(crate) async fn reallocate(target: &Target, command: Reallocate) -> Result<(), Failure> {
    let client = target.client()?;
    let Reallocate { workspace, reallocation, from, to, amount, show: _, when } = command;
    let answer = match (from, to, amount) {
        (Some(from), Some(to), Some(amount)) => {
            let asked = json::Reallocate {
                id: reallocation.into(),
                from: from.into(),
                to: to.into(),
                amount: amount.into(),
            };
            client.reallocate(&workspace, &asked, &when.into()).await?
        }
        // Whatever is missing, the arguments were read with --show.
        _ => client.reallocation(&workspace, &reallocation).await?,
    };
    target.print(&answer, |answer| {
        fields(&[
            ("reallocation", answer.id.0.to_string()),
            ("from", answer.from.0.to_string()),
            ("to", answer.to.0.to_string()),
            ("asked", answer.asked.0.to_string()),
            ("moved", answer.moved.0.to_string()),
            ("pending", pending(&answer.pending_from, answer.pending.0)),
            ("lapsed", answer.lapsed.0.to_string()),
        ])
    })
}
