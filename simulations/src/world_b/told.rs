//! What clients were told, noted at the instant they were told it, in the records of `testkit`; nobody in the system knows
//! this. Not here: what must follow from it (`judge`).

use crate::crossings::Seen;
use crate::world_b::again::Answered;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use testkit::checkers::{Broken, Verdict};
use testkit::order::{Moment, RealTime};
use testkit::timed::{Charge, Timed};
use testkit::told::{self, Told as Sums};
use types::{Credits, GrantId, HolderId, IdempotencyKey, LineId, LineNumber, NodeId, UserId, WorkspaceId};

/// Clones are the same record.
#[derive(Clone, Debug, Default)]
pub struct Told(Arc<Mutex<Record>>);

#[derive(Clone, Debug, Default)]
pub struct Record {
    pools: BTreeMap<WorkspaceId, Pool>,
    /// Whose disk each node runs on, or ran on last: ids of charges name the node alone.
    pub holders: BTreeMap<NodeId, HolderId>,
    /// Consumes that were refused, by code.
    pub refusals: BTreeMap<String, u64>,
    pub no_answer: u64,
    /// Charges under a key, the last ones.
    pub answered: VecDeque<Answered>,
    /// Half of the clocks or more are or were so far off that keys may end early.
    pub keys_may_end: bool,
    pub changes: u64,
    pub changes_refused: u64,
    pub seen: Seen,
    /// Nodes whose disk is gone, for the operator to forget.
    pub lost: BTreeSet<usize>,
    /// When the last of them was lost.
    pub lost_ms: Moment,
    /// Refusals for want of credits once nothing was wrong any more, to be compared with what there was: in
    /// micro-credits.
    pub exhausted: Vec<(WorkspaceId, u64)>,
    /// Sentences that an answer itself broke.
    pub broken: Vec<Broken>,
    pub operations: u64,
}

/// What one pool's clients were told.
#[derive(Clone, Debug, Default)]
pub struct Pool {
    pub sums: Sums,
    pub timed: Timed,
    /// Of the workspace's revisions.
    pub order: RealTime,
    /// Grants that may have been made, and those whose makers were told so.
    pub grants_asked: BTreeMap<GrantId, u64>,
    pub grants_made: BTreeMap<GrantId, u64>,
}

/// A consume of one client, over all its attempts.
#[derive(Clone, Debug)]
pub struct Spend {
    pub workspace: WorkspaceId,
    pub user: UserId,
    pub key: Option<IdempotencyKey>,
    pub price: Credits,
    pub sent: Moment,
    /// An attempt before the last one had no end that anybody told.
    pub doubtful: bool,
    /// It counts as asked once more, as what remembered an attempt before may be gone.
    pub asked_anew: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChargeId {
    pub node: NodeId,
    pub line: u64,
    pub sequence: u64,
}

impl ChargeId {
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let node = parts.next()?.parse().ok()?;
        let (line, sequence) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        parts.next().is_none().then_some(Self { node, line, sequence })
    }
}

impl Told {
    pub fn record(&self) -> MutexGuard<'_, Record> {
        self.0.lock().expect("nothing panics holding it")
    }
}

impl Record {
    pub fn pool(&mut self, workspace: &WorkspaceId) -> &mut Pool {
        self.pools.entry(workspace.clone()).or_default()
    }

    #[must_use]
    pub fn charges(&self) -> usize {
        self.pools.values().map(|pool| pool.sums.count()).sum()
    }

    #[must_use]
    pub fn micros(&self) -> u64 {
        self.pools.values().map(|pool| pool.sums.total).sum()
    }

    pub fn judge(&mut self, verdict: Verdict) {
        self.broken.extend(verdict.err());
    }

    pub fn asks(&mut self, spend: &Spend) {
        self.pool(&spend.workspace).sums.asked(&spend.user, spend.price);
    }

    /// What remembered the key of an attempt before may be gone with its disk, and its charge may be booked. What goes
    /// with a machine's power was not reported yet: charge and key are one record.
    fn may_be_forgotten(&self, spend: &Spend) -> bool {
        spend.doubtful && spend.sent < self.lost_ms
    }

    /// Before it is asked again: it may be charged anew, and metered before anybody is told.
    pub fn asks_again(&mut self, spend: &mut Spend) {
        if self.may_be_forgotten(spend) && !spend.asked_anew {
            spend.asked_anew = true;
            self.asks(spend);
        }
    }

    pub fn refused(&mut self, spend: &Spend) {
        if !self.may_be_forgotten(spend) {
            self.pool(&spend.workspace).sums.came_to_nothing(&spend.user, spend.price);
        }
    }

    pub fn charged(&mut self, spend: &Spend, id: ChargeId, charged: Credits, answered: Moment) {
        let Some(holder) = self.holders.get(&id.node).copied() else {
            let what = format!("{id:?}");
            return self.broken.push(Broken { sentence: "a charge names a node that runs", what });
        };
        let name = (LineId { holder, number: LineNumber(id.line) }, id.sequence);
        if self.may_be_forgotten(spend) && !spend.asked_anew {
            // An attempt before may have been charged as well.
            self.asks(spend);
        }
        let pool = self.pool(&spend.workspace);
        let again = match &spend.key {
            Some(key) => pool.sums.keyed(&spend.user, key, name, false),
            None => Ok(false),
        };
        let verdict = match again {
            Ok(true) => Ok(()),
            Ok(false) => pool.sums.charged(&spend.user, name, charged),
            Err(broken) => Err(broken),
        };
        let (user, micros, sent) = (spend.user.clone(), charged.micros(), spend.sent);
        pool.timed.charges.push(Charge { user, name, micros, sent, answered });
        self.judge(verdict);
        self.judge(told::a_consume_charges_its_price(spend.price, charged));
    }
}
