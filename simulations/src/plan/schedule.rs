//! What a seed draws from a plan, as plain data: for programs that live through the same with real nodes. Not here: the
//! drawing (`load`, `faults`).

use super::Plan;
use crate::fault::Fault;
use crate::world_a::{Config, Wanted, user_id, workspace_id};
use ledger::{Change, Subject};
use serde::Serialize;
use types::Credits;

/// Times are milliseconds since the run began, amounts micro-credits, nodes places in `nodes`.
#[derive(Debug, Serialize)]
pub struct Schedule {
    pub run_ms: u64,
    pub nodes: Vec<String>,
    /// So many of them have a replica of the ledger: the first ones.
    pub replicas: usize,
    /// How often a client asks before it gives up: first at the node of the request, then at the next one that listens.
    pub tries: u32,
    pub requests: Vec<Request>,
    pub changes: Vec<PlannedChange>,
    pub faults: Vec<Fault>,
}

#[derive(Debug, Serialize)]
pub struct Request {
    pub at_ms: u64,
    pub workspace: String,
    pub user: String,
    pub node: usize,
    pub micros: u64,
    pub keyed: bool,
}

#[derive(Debug, Serialize)]
pub struct PlannedChange {
    pub at_ms: u64,
    pub workspace: String,
    #[serde(flatten)]
    pub what: What,
}

#[derive(Debug, Serialize)]
#[serde(tag = "change", rename_all = "kebab-case")]
pub enum What {
    MakeWorkspace,
    Grant { id: String, micros: u64 },
    Allocate { user: String, micros: u64, overflow: bool },
    Reallocate { id: String, from: String, to: String, micros: u64 },
    Limit { user: String, micros: Option<u64> },
    Access { user: String, on: bool },
}

impl Schedule {
    #[must_use]
    pub fn new(plan: &Plan, config: &Config) -> Self {
        let listed = config.listed.as_ref();
        let request = |arrival: &crate::world_a::Arrival| Request {
            at_ms: arrival.at_us / 1_000,
            workspace: workspace_id(arrival.workspace).to_string(),
            user: user_id(arrival.user).to_string(),
            node: arrival.node,
            micros: arrival.price.micros(),
            keyed: arrival.keyed,
        };
        let change = |step: &crate::world_a::AdminStep| match &step.what {
            Wanted::Change { workspace, change } => Some(PlannedChange {
                at_ms: step.at_ms,
                workspace: workspace_id(*workspace).to_string(),
                what: what(change)?,
            }),
            Wanted::Forget { .. } | Wanted::Read { .. } | Wanted::Refund { .. } => None,
        };
        Self {
            run_ms: config.run_ms,
            nodes: plan.topology.nodes.clone(),
            replicas: config.replicas,
            tries: listed.map_or(1, |listed| listed.tries),
            requests: listed.map_or_else(Vec::new, |listed| listed.arrivals.iter().map(request).collect()),
            changes: config.setup.iter().flatten().chain(&config.changes).filter_map(change).collect(),
            faults: config.faults.clone(),
        }
    }
}

/// What plans can change.
fn what(change: &Change) -> Option<What> {
    let micros = |amount: &Credits| amount.micros();
    Some(match change {
        Change::PutWorkspace(_) => What::MakeWorkspace,
        Change::MakeGrant(grant) => What::Grant { id: grant.id.to_string(), micros: micros(&grant.amount) },
        Change::SetAllocation { user, amount, overflow } => What::Allocate {
            user: user.to_string(),
            micros: micros(amount),
            overflow: *overflow != Some(ledger::Overflow::None),
        },
        Change::Reallocate { id, from, to, amount } => What::Reallocate {
            id: id.to_string(),
            from: from.to_string(),
            to: to.to_string(),
            micros: micros(amount),
        },
        Change::SetLimit { of: Subject::User(user), amount, .. } => {
            What::Limit { user: user.to_string(), micros: amount.as_ref().map(micros) }
        }
        Change::PutMember { user, ai_access, .. } => {
            What::Access { user: user.to_string(), on: ai_access.unwrap_or(true) }
        }
        Change::VoidGrant { .. }
        | Change::AdjustAllocation { .. }
        | Change::RemoveAllocation { .. }
        | Change::SetLimit { of: Subject::Team(_) | Subject::Feature(_) | Subject::Model(_), .. }
        | Change::LiftLimits { .. }
        | Change::Plan(_)
        | Change::SetPooling(_)
        | Change::Team { .. }
        | Change::Refund(_)
        | Change::ImportUsage(_)
        | Change::SetOverage { .. } => return None,
    })
}
