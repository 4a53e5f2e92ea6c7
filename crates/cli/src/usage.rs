//! `tranche usage`: who used what. Not here: usage that is told of later (`import`).

use crate::import::{self, Import};
use crate::table::{Side, Table, or_dash};
use crate::target::{Failure, Target, word};
use clap::{Args, Subcommand};
use client::UsageQuery;
use types::{Day, WorkspaceId};
use wire::json::{self, GroupBy, Interval, Shown};

#[derive(Args, Clone, Debug)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Usage {
    #[command(subcommand)]
    what: Option<UsageCommand>,
    #[arg(required = true)]
    workspace: Option<WorkspaceId>,
    /// Of user, owner, team, feature, model, grant; separated by commas
    #[arg(long, value_delimiter = ',', value_parser = word::<GroupBy>, default_value = "user")]
    group_by: Vec<GroupBy>,
    /// day or month; left out: one row over all days
    #[arg(long, value_parser = word::<Interval>)]
    interval: Option<Interval>,
    /// First UTC day that counts
    #[arg(long, value_parser = word::<Day>)]
    from: Option<Day>,
    /// First UTC day that counts no more
    #[arg(long, value_parser = word::<Day>)]
    to: Option<Day>,
}

#[derive(Subcommand, Clone, Debug)]
pub enum UsageCommand {
    Import(Import),
}

pub(crate) async fn run(target: &Target, command: Usage) -> Result<(), Failure> {
    let Usage { what, workspace, group_by, interval, from, to } = command;
    if let Some(UsageCommand::Import(what)) = what {
        return Box::pin(import::run(target, what)).await;
    }
    let workspace = workspace.expect("required where nothing else is asked");
    let query = UsageQuery { group_by, interval, from, to };
    target.print(&target.client()?.all_usage(&workspace, &query).await?, report)
}

fn report(report: &json::UsageReport) -> String {
    let mut table = Table::new(&[
        ("day", Side::Left),
        ("user", Side::Left),
        ("owner", Side::Left),
        ("team", Side::Left),
        ("feature", Side::Left),
        ("model", Side::Left),
        ("grant", Side::Left),
        ("credits", Side::Right),
        ("calls", Side::Right),
        ("units", Side::Left),
    ]);
    for row in &report.rows {
        let units: Vec<String> = row.units.0.iter().map(|(unit, count)| format!("{unit}={count}")).collect();
        table.row([
            or_dash(row.day.as_ref().map(|day| Shown(&day.0))),
            or_dash(row.user.as_ref().map(|user| &user.0)),
            or_dash(row.owner.as_ref().map(|owner| &owner.0)),
            or_dash(row.team.as_ref().map(|team| &team.0)),
            or_dash(row.feature.as_ref().map(|feature| &feature.0)),
            or_dash(row.model.as_ref().map(|model| &model.0)),
            or_dash(row.grant.as_ref().map(|grant| &grant.0)),
            row.credits.0.to_string(),
            row.calls.to_string(),
            units.join(" "),
        ]);
    }
    let mut text = table.to_string();
    for (name, amount) in [("unattributed", report.unattributed.0), ("uncovered", report.uncovered.0)] {
        if !amount.is_zero() {
            text.push_str(&format!("{name}: {amount}\n"));
        }
    }
    text
}
