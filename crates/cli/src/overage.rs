//! `tranche overage`: whether more may be used than is included.

use crate::plan::money;
use crate::table::{Side, Table, fields, or_dash};
use crate::target::{Failure, Target, When, word};
use clap::{Args, Subcommand};
use types::{Credits, UserId, WorkspaceId};
use wire::json::{self, OverageMode};

#[derive(Subcommand, Clone, Debug)]
pub enum OverageCommand {
    /// Lets the workspace, or one of its users, use more than is included, or no longer
    Set {
        workspace: WorkspaceId,
        #[command(flatten)]
        rule: Rule,
        /// For this user alone
        #[arg(long)]
        user: Option<UserId>,
        #[command(flatten)]
        when: When,
    },
    /// What may be used beyond what is included, and was in the last cycles
    Show {
        workspace: WorkspaceId,
        /// Of this user alone
        #[arg(long)]
        user: Option<UserId>,
    },
    /// The workspace may what its plan says; a user what his workspace may
    Remove {
        workspace: WorkspaceId,
        /// Of this user alone
        #[arg(long)]
        user: Option<UserId>,
        #[command(flatten)]
        when: When,
    },
}

#[derive(Args, Clone, Debug)]
pub struct Rule {
    /// off, on or capped
    #[arg(value_parser = word::<OverageMode>)]
    mode: OverageMode,
    /// With `capped`: credits in each cycle
    #[arg(long)]
    cap: Option<Credits>,
}

impl From<Rule> for json::PutOverage {
    fn from(Rule { mode, cap }: Rule) -> Self {
        Self { mode: mode.into(), cap: cap.map(Into::into) }
    }
}

pub(crate) async fn run(target: &Target, command: OverageCommand) -> Result<(), Failure> {
    let client = target.client()?;
    match command {
        OverageCommand::Set { workspace, rule, user: None, when } => {
            let set = client.put_overage(&workspace, &rule.into(), &when.into()).await?;
            target.print(&set.value, of_workspace)
        }
        OverageCommand::Set { workspace, rule, user: Some(user), when } => {
            let set = client.put_user_overage(&workspace, &user, &rule.into(), &when.into()).await?;
            target.print(&set.value, of_user)
        }
        OverageCommand::Show { workspace, user: None } => {
            target.print(&client.overage(&workspace).await?.value, of_workspace)
        }
        OverageCommand::Show { workspace, user: Some(user) } => {
            target.print(&client.user_overage(&workspace, &user).await?.value, of_user)
        }
        OverageCommand::Remove { workspace, user: None, when } => {
            target.print(&client.remove_overage(&workspace, &when.into()).await?.value, of_workspace)
        }
        OverageCommand::Remove { workspace, user: Some(user), when } => {
            let removed = client.remove_user_overage(&workspace, &user, &when.into()).await?;
            target.print(&removed.value, of_user)
        }
    }
}

fn rule(mode: OverageMode, cap: Option<&json::Amount>) -> String {
    match cap {
        Some(cap) => format!("up to {} in each cycle", cap.0),
        None => mode.as_str().to_owned(),
    }
}

fn of_workspace(overage: &json::Overage) -> String {
    let json::Overage { mode, cap, plan, own, cycles } = overage;
    let mut text = fields(&[
        ("overage", rule(mode.0, cap.as_ref())),
        ("set by", if *own { "the workspace" } else { "its plan" }.to_owned()),
        ("the plan's", or_dash(plan.as_ref().map(|of_plan| rule(of_plan.mode.0, of_plan.cap.as_ref())))),
    ]);
    if !cycles.is_empty() {
        let names =
            ["cycle", "charged", "refunded", "leased", "paid by returns", "billed", "uncovered", "cost"];
        let mut table = Table::new(&names.map(|name| (name, Side::Right)));
        for json::CycleOverage {
            cycle,
            charged,
            refunded,
            leased,
            paid,
            billed,
            uncovered,
            price: _,
            cost,
        } in cycles
        {
            let amounts = [charged, refunded, leased, paid, billed, uncovered];
            let [charged, refunded, leased, paid, billed, uncovered] =
                amounts.map(|amount| amount.0.to_string());
            let cost = or_dash(cost.as_ref().map(money));
            table.row([cycle.to_string(), charged, refunded, leased, paid, billed, uncovered, cost]);
        }
        text.push_str(&format!("\n{table}"));
    }
    text
}

fn of_user(overage: &json::UserOverage) -> String {
    let json::UserOverage { user, mode, cap, drawn } = overage;
    fields(&[
        ("user", user.0.to_string()),
        ("overage", or_dash(mode.as_ref().map(|mode| rule(mode.0, cap.as_ref())))),
        ("drawn", drawn.0.to_string()),
    ])
}
