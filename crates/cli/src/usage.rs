//! `tranche usage`: who used what.

use crate::table::{Side, Table, or_dash};
use crate::target::{Failure, Target, word};
use clap::Args;
use client::UsageQuery;
use types::{Day, WorkspaceId};
use wire::json::{self, GroupBy, Interval, Shown};

#[derive(Args, Clone, Debug)]
pub struct Usage {
    workspace: WorkspaceId,
    /// Of user, team, feature, model; separated by commas
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

pub(crate) async fn run(target: &Target, command: Usage) -> Result<(), Failure> {
    let Usage { workspace, group_by, interval, from, to } = command;
    let query = UsageQuery { group_by, interval, from, to };
    target.print(&target.client()?.all_usage(&workspace, &query).await?, report)
}

fn report(report: &json::UsageReport) -> String {
    let mut table = Table::new(&[
        ("day", Side::Left),
        ("user", Side::Left),
        ("team", Side::Left),
        ("feature", Side::Left),
        ("model", Side::Left),
        ("credits", Side::Right),
        ("calls", Side::Right),
        ("units", Side::Left),
    ]);
    for row in &report.rows {
        let units: Vec<String> = row.units.0.iter().map(|(unit, count)| format!("{unit}={count}")).collect();
        table.row([
            or_dash(row.day.as_ref().map(|day| Shown(&day.0))),
            or_dash(row.user.as_ref().map(|user| &user.0)),
            or_dash(row.team.as_ref().map(|team| &team.0)),
            or_dash(row.feature.as_ref().map(|feature| &feature.0)),
            or_dash(row.model.as_ref().map(|model| &model.0)),
            row.credits.0.to_string(),
            row.calls.to_string(),
            units.join(" "),
        ]);
    }
    let lost = report.unattributed.0;
    if lost.is_zero() { table.to_string() } else { format!("{table}unattributed: {lost}\n") }
}
