//! `tranche limit`: ceilings on what one user may use in a window.

use crate::table::{Side, Table, or_dash};
use crate::target::{Failure, Target, When, word};
use clap::Subcommand;
use types::{Credits, UserId, WorkspaceId};
use wire::json::{self, Window};

#[derive(Subcommand, Clone, Debug)]
pub enum LimitCommand {
    /// Sets a ceiling on what a user may use in a window; it funds nothing
    Set {
        workspace: WorkspaceId,
        user: UserId,
        amount: Credits,
        /// hour, day, week or cycle; each has its own limit
        #[arg(long, value_parser = word::<Window>, default_value = "cycle")]
        per: Window,
        #[command(flatten)]
        when: When,
    },
    /// All limits of a user, what counts in each window, and when it ends
    Show { workspace: WorkspaceId, user: UserId },
    /// Takes all limits of a user away
    Lift {
        workspace: WorkspaceId,
        user: UserId,
        /// Only that of this window
        #[arg(long, value_parser = word::<Window>)]
        per: Option<Window>,
        #[command(flatten)]
        when: When,
    },
}

pub(crate) async fn run(target: &Target, command: LimitCommand) -> Result<(), Failure> {
    let client = target.client()?;
    let answer = match command {
        LimitCommand::Set { workspace, user, amount, per, when } => {
            let asked = json::PutLimit { amount: Some(amount.into()), window: Some(per.into()) };
            client.put_limit(&workspace, &user, &asked, &when.into()).await?
        }
        LimitCommand::Show { workspace, user } => client.limits(&workspace, &user).await?,
        LimitCommand::Lift { workspace, user, per, when } => {
            client.lift_limits(&workspace, &user, per, &when.into()).await?
        }
    };
    target.print(&answer.value, shown)
}

fn shown(json::Limits { user, limits, leased }: &json::Limits) -> String {
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
    if limits.is_empty() { format!("{} has no limit", user.0) } else { table.to_string() }
}
