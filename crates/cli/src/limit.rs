//! `tranche limit`: ceilings on what a user, all members of a team, or whoever uses a feature or a model may use in a window.

use crate::table::{Side, Table, or_dash};
use crate::target::{Failure, Target, When, word};
use clap::{Args, Subcommand};
use types::{Credits, Feature, Model, TeamId, UserId, WorkspaceId};
use wire::json::{self, LimitOf, Window};

#[derive(Subcommand, Clone, Debug)]
pub enum LimitCommand {
    /// Sets a ceiling on what a user or a team may use in a window, or on what may be used of a feature or a model; it funds nothing
    #[command(allow_missing_positional = true)]
    Set {
        workspace: WorkspaceId,
        #[arg(required_unless_present_any = ["team", "feature", "model"])]
        user: Option<UserId>,
        amount: Credits,
        #[command(flatten)]
        other: OfOther,
        /// hour, day, week or cycle; each has its own limit
        #[arg(long, value_parser = word::<Window>, default_value = "cycle")]
        per: Window,
        #[command(flatten)]
        when: When,
    },
    /// All limits of a user, a team, a feature or a model, what counts in each window, and when it ends
    Show {
        workspace: WorkspaceId,
        #[arg(required_unless_present_any = ["team", "feature", "model"])]
        user: Option<UserId>,
        #[command(flatten)]
        other: OfOther,
    },
    /// Takes all limits of a user, a team, a feature or a model away
    Lift {
        workspace: WorkspaceId,
        #[arg(required_unless_present_any = ["team", "feature", "model"])]
        user: Option<UserId>,
        #[command(flatten)]
        other: OfOther,
        /// Only that of this window
        #[arg(long, value_parser = word::<Window>)]
        per: Option<Window>,
        #[command(flatten)]
        when: When,
    },
}

#[derive(Args, Clone, Debug)]
pub struct OfOther {
    /// Of this team and of those nested in it, instead of a user
    #[arg(long, conflicts_with = "user")]
    team: Option<TeamId>,
    /// Of this feature, whoever uses it
    #[arg(long, conflicts_with_all = ["user", "team"])]
    feature: Option<Feature>,
    /// Of this model, whoever uses it
    #[arg(long, conflicts_with_all = ["user", "team", "feature"])]
    model: Option<Model>,
}

fn of(user: Option<&UserId>, OfOther { team, feature, model }: &OfOther) -> LimitOf {
    let team = team.as_ref().map(LimitOf::from);
    let feature = || feature.as_ref().map(LimitOf::from);
    let model = || model.as_ref().map(LimitOf::from);
    let other = team.or_else(feature).or_else(model);
    other.or_else(|| user.map(LimitOf::from)).expect("clap asks for one of them")
}

pub(crate) async fn run(target: &Target, command: LimitCommand) -> Result<(), Failure> {
    let client = target.client()?;
    let answer = match command {
        LimitCommand::Set { workspace, user, amount, other, per, when } => {
            let asked = json::PutLimit { amount: Some(amount.into()), window: Some(per.into()) };
            client.put_limit(&workspace, of(user.as_ref(), &other), &asked, &when.into()).await?
        }
        LimitCommand::Show { workspace, user, other } => {
            client.limits(&workspace, of(user.as_ref(), &other)).await?
        }
        LimitCommand::Lift { workspace, user, other, per, when } => {
            client.lift_limits(&workspace, of(user.as_ref(), &other), per, &when.into()).await?
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
        LimitOf::Feature(feature) => format!("feature {}", feature.0),
        LimitOf::Model(model) => format!("model {}", model.0),
    };
    if limits.is_empty() { format!("{whose} has no limit") } else { table.to_string() }
}
