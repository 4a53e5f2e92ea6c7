//! What nobody in the system knows: what clients were truly told, and what the ledger once answered for good.
//!
//! One record per workspace, in micro-credits. Not here: the judgement (`checkers`).

use crate::holder::Charge;
use crate::scopes::Scopes;
use crate::windows::Charges;
use ledger::{
    Applied, Change, Command, GrantAnswer, HolderStatus, LineResult, Outcome, State, Subject, Wish, Workspace,
};
use std::collections::{BTreeMap, BTreeSet};
use types::{Backing, GrantId, GrantNo, HolderId, LineId, UserId};

#[derive(Clone, Debug, Default)]
pub struct Ghost {
    /// Amounts of grants as their makers were answered.
    pub granted: BTreeMap<GrantId, u64>,
    /// Acknowledged to clients.
    pub told: BTreeMap<(LineId, Backing), u64>,
    pub told_by_user: BTreeMap<UserId, u64>,
    pub told_by_grant: BTreeMap<GrantNo, u64>,
    /// By feature and by model.
    pub told_of: BTreeMap<Subject, u64>,
    /// Answered as closed, or seen open before and not any more.
    pub closed: BTreeSet<LineId>,
    /// When a state was seen last.
    pub open: BTreeSet<LineId>,
    pub fenced: BTreeSet<HolderId>,
    /// The highest journal sequence that was accepted.
    pub sequences: BTreeMap<HolderId, u64>,
    pub charges: Charges,
    pub scopes: Scopes,
}

impl Ghost {
    /// A client was told that this was charged.
    pub fn acknowledged(&mut self, charge: &Charge) {
        let feature = Subject::Feature(charge.feature.clone());
        let model = charge.model.clone().map(Subject::Model);
        for of in std::iter::once(feature).chain(model) {
            let amount: u64 = charge.parts.iter().map(|(_, amount)| amount).sum();
            *self.told_of.entry(of).or_default() += amount;
        }
        for (backing, amount) in &charge.parts {
            *self.told.entry((charge.line, *backing)).or_default() += amount;
            *self.told_by_user.entry(charge.user.clone()).or_default() += amount;
            *self.told_by_grant.entry(backing.grant).or_default() += amount;
        }
    }

    /// The ledger took a command.
    pub fn applied(&mut self, command: &Command, applied: &Applied) {
        match (command, &applied.result) {
            (Command::Admin(admin), Ok(Outcome::Grant(answer))) => {
                let GrantAnswer { grant, .. } = answer.as_ref();
                if matches!(admin.change, Change::MakeGrant(_)) {
                    self.granted.insert(grant.id.clone(), grant.books.amount.micros());
                }
            }
            (Command::Holder(batch), Ok(Outcome::Lines(answers))) => {
                let sequence = self.sequences.entry(batch.holder).or_default();
                *sequence = (*sequence).max(batch.journal_sequence);
                for (message, answer) in batch.lines.iter().zip(answers) {
                    if message.wish == Wish::Close && answer.result == LineResult::Closed {
                        self.closed.insert(batch.line_id(message));
                    }
                }
            }
            (Command::Forget { holder, .. }, Ok(_)) => {
                self.fenced.insert(*holder);
            }
            _ => {}
        }
    }

    /// Where no command is seen, but states: one that is later than all that were seen before shows what was closed,
    /// who is fenced, and how far journals have got.
    pub fn saw(&mut self, workspace: &Workspace, state: &State) {
        let open: BTreeSet<LineId> = workspace.lines.keys().copied().collect();
        self.closed.extend(self.open.difference(&open));
        self.open = open;
        for (id, record) in &state.holders {
            if record.status == HolderStatus::Fenced {
                self.fenced.insert(*id);
            }
            let sequence = self.sequences.entry(*id).or_default();
            *sequence = (*sequence).max(record.journal_sequence);
        }
    }
}
