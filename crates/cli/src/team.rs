//! `tranche team`: teams, how they are nested, and their reserves. Not here: who is in one (`member`).

use crate::grant::pending;
use crate::table::{Side, Table, fields, or_dash};
use crate::target::{Failure, Target, When};
use clap::Subcommand;
use types::{Credits, CreditsDelta, TeamId, WorkspaceId};
use wire::json;

#[derive(Subcommand, Clone, Debug)]
pub enum TeamCommand {
    /// Makes a team, or moves it with all that is nested in it
    Set {
        workspace: WorkspaceId,
        team: TeamId,
        /// The team it is nested in; left out: in none
        #[arg(long)]
        parent: Option<TeamId>,
        #[command(flatten)]
        when: When,
    },
    /// Sets its reserve for this cycle and every next
    Reserve {
        workspace: WorkspaceId,
        team: TeamId,
        amount: Credits,
        #[command(flatten)]
        when: When,
    },
    /// Raises or lowers its reserve for this cycle only
    Adjust {
        workspace: WorkspaceId,
        team: TeamId,
        /// 2000, or -12.5
        #[arg(allow_hyphen_values = true)]
        delta: CreditsDelta,
        #[command(flatten)]
        when: When,
    },
    /// Returns what is unused of its reserve to what is shared
    Unreserve {
        workspace: WorkspaceId,
        team: TeamId,
        #[command(flatten)]
        when: When,
    },
    /// One team and its reserve
    Show { workspace: WorkspaceId, team: TeamId },
    /// All teams of a workspace
    List { workspace: WorkspaceId },
    /// Removes a team that nobody is in, that no team is nested in and that has no reserve
    Remove {
        workspace: WorkspaceId,
        team: TeamId,
        #[command(flatten)]
        when: When,
    },
}

pub(crate) async fn run(target: &Target, command: TeamCommand) -> Result<(), Failure> {
    let client = target.client()?;
    let answer = match command {
        TeamCommand::Set { workspace, team, parent, when } => {
            let asked = json::PutTeam { parent: parent.map(Into::into) };
            client.put_team(&workspace, &team, &asked, &when.into()).await?
        }
        TeamCommand::Reserve { workspace, team, amount, when } => {
            let asked = json::PutReserve { amount: amount.into() };
            client.put_reserve(&workspace, &team, &asked, &when.into()).await?
        }
        TeamCommand::Adjust { workspace, team, delta, when } => {
            let asked = json::Adjust { delta: delta.into() };
            client.adjust_reserve(&workspace, &team, &asked, &when.into()).await?
        }
        TeamCommand::Unreserve { workspace, team, when } => {
            client.remove_reserve(&workspace, &team, &when.into()).await?
        }
        TeamCommand::Show { workspace, team } => client.team(&workspace, &team).await?,
        TeamCommand::Remove { workspace, team, when } => {
            client.remove_team(&workspace, &team, &when.into()).await?
        }
        TeamCommand::List { workspace } => {
            let mut all = client.teams(&workspace, None).await?;
            while let Some(cursor) = all.cursor.take() {
                let page = client.teams(&workspace, Some(&cursor)).await?;
                all.items.extend(page.items);
                all.cursor = page.cursor;
            }
            return target.print(&all, list);
        }
    };
    target.print(&answer.value, one)
}

fn one(team: &json::Team) -> String {
    fields(&[
        ("team", team.team.0.to_string()),
        ("in", or_dash(team.parent.as_ref().map(|parent| &parent.0))),
        ("members", team.members.to_string()),
        ("reserve", or_dash(team.reserve.map(|amount| amount.0))),
        ("every next", team.standing.0.to_string()),
        ("used", team.used.0.to_string()),
        ("leased", team.leased.0.to_string()),
        ("remaining", team.remaining.0.to_string()),
        ("short", team.short.0.to_string()),
        ("pending", pending(&team.pending_from, team.pending.0)),
    ])
}

fn list(teams: &json::Teams) -> String {
    let mut table = Table::new(&[
        ("team", Side::Left),
        ("in", Side::Left),
        ("members", Side::Right),
        ("reserve", Side::Right),
        ("used", Side::Right),
        ("remaining", Side::Right),
    ]);
    for team in &teams.items {
        table.row([
            team.team.0.to_string(),
            or_dash(team.parent.as_ref().map(|parent| &parent.0)),
            team.members.to_string(),
            or_dash(team.reserve.map(|amount| amount.0)),
            team.used.0.to_string(),
            team.remaining.0.to_string(),
        ]);
    }
    table.to_string()
}
