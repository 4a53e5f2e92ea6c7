//! `tranche limit`: ceilings on what a user, or all members of a team, may use in a window.

use crate::table::{Side, Table, or_dash};
use crate::target::{Failure, Target, When, word};
use clap::{Args, Subcommand};
use types::{Credits, TeamId, UserId, WorkspaceId};
use wire::json::{self, LimitOf, Window};

#[derive(Subcommand, Clone, Debug)]
pub enum LimitCommand {
    /// Sets a ceiling on what a user, or a team, may use in a window; it funds nothing
    #[command(allow_missing_positional = true)]
    Set {
        workspace: WorkspaceId,
        #[arg(required_unless_present = "team")]
        user: Option<UserId>,
        amount: Credits,
        #[command(flatten)]
        team: OfTeam,
        /// hour, day, week or cycle; each has its own limit
        #[arg(long, value_parser = word::<Window>, default_value = "cycle")]
        per: Window,
        #[command(flatten)]
        when: When,
    },
    /// All limits of a user or of a team, what counts in each window, and when it ends
    Show {
        workspace: WorkspaceId,
        #[arg(required_unless_present = "team")]
        user: Option<UserId>,
        #[command(flatten)]
        team: OfTeam,
    },
    /// Takes all limits of a user or of a team away
    Lift {
        workspace: WorkspaceId,
        #[arg(required_unless_present = "team")]
        user: Option<UserId>,
        #[command(flatten)]
        team: OfTeam,
        /// Only that of this window
        #[arg(long, value_parser = word::<Window>)]
        per: Option<Window>,
        #[command(flatten)]
        when: When,
    },
}

#[derive(Args, Clone, Debug)]
pub struct OfTeam {
    /// Of this team and of those nested in it, instead of a user
    #[arg(long, conflicts_with = "user")]
    team: Option<TeamId>,
}

fn of(user: Option<&UserId>, OfTeam { team }: &OfTeam) -> LimitOf {
    let team = team.as_ref().map(LimitOf::from);
    team.or_else(|| user.map(LimitOf::from)).expect("clap asks for one of the two")
}

pub(crate) async fn run(target: &Target, command: LimitCommand) -> Result<(), Failure> {
    let client = target.client()?;
    let answer = match command {
        LimitCommand::Set { workspace, user, amount, team, per, when } => {
            let asked = json::PutLimit { amount: Some(amount.into()), window: Some(per.into()) };
            client.put_limit(&workspace, of(user.as_ref(), &team), &asked, &when.into()).await?
        }
        LimitCommand::Show { workspace, user, team } => {
            client.limits(&workspace, of(user.as_ref(), &team)).await?
        }
        LimitCommand::Lift { workspace, user, team, per, when } => {
            client.lift_limits(&workspace, of(user.as_ref(), &team), per, &when.into()).await?
        }
    };
    target.print(&answer.value, shown)
}

fn shown(json::Limits { of, limits, leased }: &json::Limits) -> String {
    let mut table = Table::new(&[
        ("per", Side::Left),
        ("limit", Side::Right),
        ("used", Side::Right),
        ("leased", Side::Right),
        ("remaining", Side::Right),
        ("until", Side::Left),
    ]);
    for limit in limits {
        table.row([
            limit.window.0.as_str().into(),
            limit.limit.0.to_string(),
            limit.used.0.to_string(),
            leased.0.to_string(),
            limit.remaining.0.to_string(),
            or_dash(limit.resets_at.as_ref().map(|at| json::Shown(&at.0))),
        ]);
    }
    let whose = match of {
        LimitOf::User(user) => user.0.to_string(),
        LimitOf::Team(team) => format!("team {}", team.0),
    };
    if limits.is_empty() { format!("{whose} has no limit") } else { table.to_string() }
}
