//! `tranche shadow`: what would have been refused, was enforcement on. Not here: switching it (`workspace`).

use crate::table::{Side, Table, or_dash};
use crate::target::{Failure, Target, word};
use clap::Subcommand;
use client::UsageQuery;
use types::{Day, WorkspaceId};
use wire::json::{self, GroupBy, Interval, Shown};

#[derive(Subcommand, Clone, Debug)]
pub enum ShadowCommand {
    /// What was allowed, and what would have been refused and why
    Show {
        workspace: WorkspaceId,
        /// Of user, owner, team, feature, model; separated by commas
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
    },
}

pub(crate) async fn run(target: &Target, command: ShadowCommand) -> Result<(), Failure> {
    let ShadowCommand::Show { workspace, group_by, interval, from, to } = command;
    let query = UsageQuery { group_by, interval, from, to };
    target.print(&target.client()?.all_shadow(&workspace, &query).await?, report)
}

fn report(report: &json::ShadowReport) -> String {
    let mut table = Table::new(&[
        ("day", Side::Left),
        ("user", Side::Left),
        ("owner", Side::Left),
        ("team", Side::Left),
        ("feature", Side::Left),
        ("model", Side::Left),
        ("allowed", Side::Right),
        ("would refuse", Side::Right),
        ("share", Side::Right),
        ("would have cost", Side::Right),
        ("why", Side::Left),
    ]);
    for row in &report.rows {
        let why: Vec<String> = row.by_code.iter().map(|(code, calls)| format!("{code}={calls}")).collect();
        table.row([
            or_dash(row.day.as_ref().map(|day| Shown(&day.0))),
            or_dash(row.user.as_ref().map(|user| &user.0)),
            or_dash(row.owner.as_ref().map(|owner| &owner.0)),
            or_dash(row.team.as_ref().map(|team| &team.0)),
            or_dash(row.feature.as_ref().map(|feature| &feature.0)),
            or_dash(row.model.as_ref().map(|model| &model.0)),
            row.allowed.to_string(),
            row.would_refuse.to_string(),
            row.share.clone(),
            row.would_have_cost.0.to_string(),
            why.join(" "),
        ]);
    }
    table.to_string()
}
