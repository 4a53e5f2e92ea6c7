//! `tranche consume` and `tranche quote`.

use crate::table::{Side, Table, fields, or_dash};
use crate::target::{Failure, Target, word};
use clap::Args;
use types::{Credits, Feature, IdempotencyKey, Model, PriceVersion, Unit, UserId, WorkspaceId};
use wire::json::{self, Durability};

/// What is to be paid for.
#[derive(Args, Clone, Debug)]
pub struct Action {
    workspace: WorkspaceId,
    user: UserId,
    feature: Feature,
    /// A known price
    #[arg(long, required_unless_present = "usage", conflicts_with = "usage")]
    amount: Option<Credits>,
    #[arg(long)]
    model: Option<Model>,
    /// What the rate card prices, for example input_tokens=1200; once for each unit
    #[arg(long, value_name = "UNIT=COUNT", value_parser = units)]
    usage: Vec<(Unit, u64)>,
}

#[derive(Args, Clone, Debug)]
pub struct Consume {
    #[command(flatten)]
    action: Action,
    /// What it must have survived before it is answered: local, disk or quorum
    #[arg(long, value_parser = word::<Durability>)]
    durability: Option<Durability>,
    /// Spend once, however often it is asked with this key
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<IdempotencyKey>,
}

#[derive(Args, Clone, Debug)]
pub struct Quote {
    #[command(flatten)]
    action: Action,
    /// By prices that are scheduled or were replaced, for example 7, or 7.9 with the workspace's own; left out: those in force
    #[arg(long, value_name = "VERSION", conflicts_with = "amount")]
    price_version: Option<PriceVersion>,
}

pub(crate) fn units(text: &str) -> Result<(Unit, u64), String> {
    let (unit, count) = text.split_once('=').ok_or("write unit=count, for example input_tokens=1200")?;
    Ok((Unit::parse(unit).map_err(|bad| bad.to_string())?, word(count)?))
}

impl Action {
    pub(crate) fn split(self, durability: Option<Durability>) -> (WorkspaceId, json::Consume) {
        let Self { workspace, user, feature, amount, model, usage } = self;
        let asked = json::Consume {
            user: user.into(),
            feature: feature.into(),
            model: model.map(Into::into),
            amount: amount.map(Into::into),
            usage: (!usage.is_empty()).then(|| usage.into()),
            durability: durability.map(Into::into),
        };
        (workspace, asked)
    }
}

pub(crate) async fn run(target: &Target, command: Consume) -> Result<(), Failure> {
    let Consume { action, durability, idempotency_key } = command;
    let (workspace, asked) = action.split(durability);
    target.print(&target.client()?.consume(&workspace, &asked, idempotency_key).await?, |charge| {
        let sources =
            charge.sources.iter().map(|paid| format!("{} from {}", paid.amount.0, paid.from.0.as_str()));
        let json::Remaining { at_least, at_most } = charge.remaining;
        fields(&[
            ("charge", charge.id.0.to_string()),
            ("charged", charge.charged.0.to_string()),
            ("sources", sources.collect::<Vec<_>>().join(", ")),
            ("remaining", format!("{} to {}", at_least.0, at_most.0)),
            ("durability", charge.durability.0.as_str().into()),
            ("cycle", charge.cycle.to_string()),
            ("price version", or_dash(charge.price_version.map(|version| version.0))),
            ("would be refused", or_dash(charge.shadow.as_ref().map(would_refuse))),
        ])
    })
}

pub(crate) fn would_refuse(shadow: &json::Shadowed) -> String {
    format!("{}: {}; it would have cost {}", shadow.code, shadow.title, shadow.would_have_cost.0)
}

pub(crate) async fn quote(target: &Target, command: Quote) -> Result<(), Failure> {
    let Quote { action, price_version } = command;
    let (workspace, asked) = action.split(None);
    let asked = json::AskQuote { price_version: price_version.map(Into::into), ..asked.into() };
    target.print(&target.client()?.quote(&workspace, &asked).await?, |quote| {
        let mut table = Table::new(&[("unit", Side::Left), ("units", Side::Right), ("credits", Side::Right)]);
        for part in &quote.parts {
            let price = format!("{} per {}", part.credits.0, part.per);
            table.row([part.unit.0.to_string(), part.units.to_string(), price]);
        }
        let mut said = vec![("charge", quote.charge.0.to_string())];
        said.extend(quote.minimum.map(|_| ("", "the minimum for this feature and model".to_owned())));
        said.extend(quote.price_version.map(|version| ("price version", version.0.to_string())));
        format!("{}{table}", fields(&said))
    })
}
