//! `tranche hold …`. Not here: what becomes of holds.

use crate::consume::{Action, would_refuse};
use crate::table::{fields, or_dash};
use crate::target::{Failure, Target, word};
use clap::Subcommand;
use types::{Credits, HoldId, IdempotencyKey, Unit, WorkspaceId};
use wire::json::{self, Durability, Shortfall};

#[derive(Subcommand, Clone, Debug)]
pub enum HoldCommand {
    /// Sets credits aside for a call whose price is not known yet
    Open {
        #[command(flatten)]
        action: Action,
        /// It expires so long after it was opened or extended last, and is charged what was confirmed
        #[arg(long, value_name = "MS", default_value_t = 60_000, value_parser = clap::value_parser!(u64).range(1_000..=300_000))]
        ttl_ms: u64,
        /// What its end must have survived before it is answered: local, disk or quorum; disk at least
        #[arg(long, value_parser = word::<Durability>)]
        durability: Option<Durability>,
        /// Open once, however often it is asked with this key
        #[arg(long, value_name = "KEY")]
        idempotency_key: Option<IdempotencyKey>,
    },
    /// Holds more, and says what is used for certain; both in all
    Extend {
        workspace: WorkspaceId,
        hold: HoldId,
        #[arg(long)]
        amount: Option<Credits>,
        #[arg(long)]
        confirmed: Option<Credits>,
    },
    /// Charges what the call has cost and frees the rest
    Settle {
        workspace: WorkspaceId,
        hold: HoldId,
        /// What it has cost; 0 is an amount
        #[arg(long, required_unless_present = "usage", conflicts_with = "usage")]
        amount: Option<Credits>,
        /// What the rate card prices, for example input_tokens=1200; once for each unit
        #[arg(long, value_name = "UNIT=COUNT", value_parser = crate::consume::units)]
        usage: Vec<(Unit, u64)>,
        /// Where it cost more than is held: reject or cap
        #[arg(long, value_parser = word::<Shortfall>)]
        shortfall: Option<Shortfall>,
    },
    /// Charges what is confirmed and frees the rest
    Release { workspace: WorkspaceId, hold: HoldId },
}

pub(crate) async fn run(target: &Target, command: HoldCommand) -> Result<(), Failure> {
    let client = target.client()?;
    match command {
        HoldCommand::Open { action, ttl_ms, durability, idempotency_key } => {
            let (workspace, asked) = action.split(durability);
            let json::Consume { user, feature, model, amount, usage, durability } = asked;
            let asked =
                json::OpenHold { user, feature, model, amount, usage, durability, ttl_ms: ttl_ms.into() };
            target.print(&client.open_hold(&workspace, &asked, idempotency_key).await?, |hold| {
                fields(&[
                    ("hold", hold.hold.0.to_string()),
                    ("held", hold.held.0.to_string()),
                    ("would be refused", or_dash(hold.shadow.as_ref().map(would_refuse))),
                    ("expires", json::Shown(&hold.expires_at.0).to_string()),
                ])
            })
        }
        HoldCommand::Extend { workspace, hold, amount, confirmed } => {
            let asked =
                json::ExtendHold { amount: amount.map(Into::into), confirmed: confirmed.map(Into::into) };
            target.print(&client.extend_hold(&workspace, hold, &asked).await?, |state| {
                fields(&[
                    ("hold", state.hold.0.to_string()),
                    ("held", state.held.0.to_string()),
                    ("confirmed", state.confirmed.0.to_string()),
                    ("would be refused", or_dash(state.shadow.as_ref().map(would_refuse))),
                    ("expires", json::Shown(&state.expires_at.0).to_string()),
                ])
            })
        }
        HoldCommand::Settle { workspace, hold, amount, usage, shortfall } => {
            let asked = json::SettleHold {
                amount: amount.map(Into::into),
                usage: (!usage.is_empty()).then(|| usage.into()),
                shortfall: shortfall.map(Into::into),
            };
            target.print(&client.settle_hold(&workspace, hold, &asked).await?, ended)
        }
        HoldCommand::Release { workspace, hold } => {
            target.print(&client.release_hold(&workspace, hold).await?, ended)
        }
    }
}

fn ended(end: &json::EndedHold) -> String {
    let sources = end.sources.iter().map(|paid| format!("{} from {}", paid.amount.0, paid.from.0.as_str()));
    fields(&[
        ("hold", end.hold.0.to_string()),
        ("end", end.end.0.as_str().into()),
        ("charged", end.charged.0.to_string()),
        ("freed", end.freed.0.to_string()),
        ("sources", sources.collect::<Vec<_>>().join(", ")),
        ("durability", end.durability.0.as_str().into()),
        ("would be refused", or_dash(end.shadow.as_ref().map(would_refuse))),
    ])
}
