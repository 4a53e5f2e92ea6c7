//! Charges as their nodes have them, and refunds of them.
//!
//! A charge is looked up in the journal of the node that made it, one hop; what it drew from which grant stands there. For a
//! refund that node first sees to it that the ledger has heard of the charge; the refund itself is an administrator's write.
//! Not here: what it does to the books (`ledger`).

use crate::{NewRefund, Quota, RefundAnswer, Refusal};
use actors::PeerFault;
use journal::{FoundCharge, FoundPart, LineKey, Looked, Wanted};
use ledger::{Answer, ChargeBooks, ChargePart, Query};
use std::time::Duration;
use types::{
    AnyCharge, Credits, CycleNumber, Day, Durability, Feature, GrantNo, HolderId, LineNumber, Model,
    RefundId, Unit, UserId, WorkspaceId,
};

/// Looks a charge up at its node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FindCharge {
    pub workspace: WorkspaceId,
    pub charge: AnyCharge,
    /// Answer once the ledger has it.
    pub reported: bool,
}

/// A charge as its node has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChargeFacts {
    pub holder: HolderId,
    pub charge: AnyCharge,
    pub user: UserId,
    pub feature: Feature,
    pub model: Option<Model>,
    pub day: Day,
    pub cycle: CycleNumber,
    pub units: Vec<(Unit, u64)>,
    /// In the order in which they burned.
    pub parts: Vec<ChargePart>,
}

/// A charge, and what the ledger has of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChargeView {
    pub facts: ChargeFacts,
    pub books: ChargeBooks,
}

impl ChargeFacts {
    pub fn charged(&self) -> Credits {
        Credits::checked_sum(self.parts.iter().map(|part| part.amount)).unwrap_or(Credits::MAX)
    }

    /// The refund of so much of it; `None`: of all that was not refunded yet.
    pub fn refund(self, amount: Option<Credits>, id: Option<RefundId>) -> NewRefund {
        let Self { holder, charge, user, parts, .. } = self;
        NewRefund { id, holder, charge, user, parts, amount }
    }
}

impl Quota {
    pub async fn find_charge(&self, find: FindCharge) -> Result<ChargeFacts, Refusal> {
        let node = find.charge.node();
        if node == self.node() {
            return self.find_charge_here(find).await;
        }
        if !self.listed().iter().any(|listed| listed.id == node) {
            return Err(Refusal::UnknownCharge(format!("there is no node {node}")));
        }
        if self.is_forgotten(node) {
            let lost = format!("{node} was declared lost, and its charges with it");
            return Err(Refusal::UnknownCharge(lost));
        }
        self.counts().note_forwarded();
        let within = Duration::from_millis(self.options().forward_ms);
        match self.peers().find_charge(node, find, within).await {
            Ok(answer) => answer,
            // A look-up changes nothing.
            Err(PeerFault::Unreachable(_) | PeerFault::Unknown(_)) => Err(Refusal::HolderUnreachable),
        }
    }

    /// Here, or not at all. One hop, never two.
    pub async fn find_charge_here(&self, find: FindCharge) -> Result<ChargeFacts, Refusal> {
        let FindCharge { workspace, charge, reported } = find;
        if charge.node() != self.node() {
            return Err(Refusal::HolderUnreachable);
        }
        if self.is_forgotten(self.node()) {
            return Err(Refusal::UnknownCharge(format!(
                "{} was declared lost, and its charges with it",
                self.node()
            )));
        }
        let looked = self.holder().journal().find(wanted(&workspace, charge)).await;
        let looked = looked.map_err(|why| Refusal::StorageUnavailable(why.to_string()))?;
        let found = found(charge, looked)?;
        if reported {
            let mut lines: Vec<LineNumber> = found.parts.iter().map(|part| part.line).collect();
            lines.dedup();
            for line in lines {
                // Nothing was asked for yet.
                let reported = self.committed(&workspace, line, Durability::Quorum).await;
                reported.map_err(|_| Refusal::HolderUnreachable)?;
            }
        }
        let FoundCharge { user, meter, units, parts, cycle } = found;
        let part = |part: FoundPart| {
            let FoundPart { line, cycle, backing, amount } = part;
            ChargePart { line, cycle, backing, amount }
        };
        Ok(ChargeFacts {
            holder: self.holder().id(),
            charge,
            user,
            feature: meter.feature,
            model: meter.model,
            day: meter.day,
            cycle,
            units,
            parts: parts.into_iter().map(part).collect(),
        })
    }

    /// A charge with what was refunded of it, and the names of the grants that paid.
    pub async fn charge(&self, workspace: &WorkspaceId, charge: AnyCharge) -> Result<ChargeView, Refusal> {
        let find = FindCharge { workspace: workspace.clone(), charge, reported: false };
        let facts = self.find_charge(find).await?;
        let mut grants: Vec<GrantNo> = facts.parts.iter().map(|part| part.backing.grant).collect();
        grants.sort_unstable();
        grants.dedup();
        let query = Query::Charge { id: workspace.clone(), charge, grants };
        match self.read(workspace, query, false).await?.answer {
            Answer::Charge(books) => Ok(ChargeView { facts, books }),
            _ => Err(Refusal::NoLeader),
        }
    }

    /// A refund that was made.
    pub async fn refund(&self, workspace: &WorkspaceId, id: &RefundId) -> Result<RefundAnswer, Refusal> {
        let query = Query::Refund { id: workspace.clone(), refund: id.clone() };
        match self.read(workspace, query, false).await?.answer {
            Answer::Refund(refund) => Ok(*refund),
            _ => Err(Refusal::NoLeader),
        }
    }
}

fn wanted(workspace: &WorkspaceId, charge: AnyCharge) -> Wanted {
    match charge {
        AnyCharge::Consume(charge) => {
            let line = LineKey { workspace: workspace.clone(), number: charge.line };
            Wanted::Charge { line, sequence: charge.sequence }
        }
        AnyCharge::Hold(hold) => Wanted::Hold { workspace: workspace.clone(), hold: hold.number },
    }
}

fn found(charge: AnyCharge, looked: Looked) -> Result<FoundCharge, Refusal> {
    let why = match looked {
        Looked::Found(found) => return Ok(*found),
        Looked::Open => {
            return Err(Refusal::Conflict(format!("{charge} is open: settle or release it first")));
        }
        Looked::Lost => {
            format!("{charge} is not known: a power failure took the detail of its line's last charges")
        }
        Looked::Unknown => format!("there is no charge {charge} in this workspace"),
        Looked::Gone => format!(
            "{charge} is older than the records that its node keeps; they are kept to a bound on its disk, and charges are \
             refunded to the end of the cycle after theirs"
        ),
    };
    Err(Refusal::UnknownCharge(why))
}
