//! `tranche refund` and `tranche charge`. Not here: what becomes of refunds.

use crate::table::{Side, Table, fields};
use crate::target::{Failure, Target, When};
use clap::Args;
use types::{AnyCharge, Credits, RefundId, WorkspaceId};
use wire::json;

/// Gives back what was charged, to the grants that paid
#[derive(Args, Clone, Debug)]
pub struct Refund {
    workspace: WorkspaceId,
    /// A charge's id, or a hold's, for example n1.42.7 or n1.h42
    charge: AnyCharge,
    /// Left out: all that was not refunded yet
    #[arg(long)]
    amount: Option<Credits>,
    /// Permanent: asked again it is the same refund
    #[arg(long)]
    id: Option<RefundId>,
    #[command(flatten)]
    when: When,
}

/// Who was charged for what, which grants paid, and what was refunded
#[derive(Args, Clone, Debug)]
pub struct Charge {
    workspace: WorkspaceId,
    charge: AnyCharge,
}

pub(crate) async fn refund(target: &Target, what: Refund) -> Result<(), Failure> {
    let Refund { workspace, charge, amount, id, when } = what;
    let asked = json::PutRefund { of: charge.into(), amount: amount.map(Into::into), id: id.map(Into::into) };
    target.print(&target.client()?.refund(&workspace, &asked, &when.into()).await?, refunded)
}

pub(crate) async fn charge(target: &Target, what: Charge) -> Result<(), Failure> {
    target.print(&target.client()?.charge(&what.workspace, what.charge).await?, charged)
}

fn refunded(refund: &json::Refund) -> String {
    let mut table = Table::new(&[
        ("amount", Side::Right),
        ("from", Side::Left),
        ("grant", Side::Left),
        ("to", Side::Left),
    ]);
    for json::RefundPart { from, grant, amount, to } in &refund.to {
        table.row([amount.0.to_string(), from.0.as_str().into(), grant.0.to_string(), to.0.as_str().into()]);
    }
    let head = fields(&[
        ("refund", refund.refund.0.to_string()),
        ("of", refund.of.0.to_string()),
        ("user", refund.user.0.to_string()),
        ("amount", refund.amount.0.to_string()),
        ("charged", refund.charged.0.to_string()),
        ("refunded so far", refund.refunded.0.to_string()),
    ]);
    format!("{head}\n{table}")
}

fn charged(charge: &json::ChargeRecord) -> String {
    let paid = charge
        .paid_by
        .iter()
        .map(|paid| format!("{} from {} ({})", paid.amount.0, paid.grant.0, paid.from.0.as_str()));
    fields(&[
        ("charge", charge.id.0.to_string()),
        ("user", charge.user.0.to_string()),
        ("feature", charge.feature.0.to_string()),
        ("model", crate::table::or_dash(charge.model.as_ref().map(|model| &model.0))),
        ("day", json::Shown(&charge.day.0).to_string()),
        ("cycle", charge.cycle.to_string()),
        ("charged", charge.charged.0.to_string()),
        ("refunded", charge.refunded.0.to_string()),
        ("paid by", paid.collect::<Vec<_>>().join(", ")),
    ])
}
