//! Refunds as the ledger answered them, and what must be so of them. One record per workspace, in micro-credits.
//!
//! Not here: what they do to the books (`naive`, `checkers`), how a charge is looked up.

use crate::checkers::{Broken, Verdict};
use ledger::{
    AdminCommand, Applied, Change, ChargePart, Command, NewRefund, Outcome, RefundAnswer, Workspace,
};
use std::collections::BTreeMap;
use types::{AnyCharge, GrantNo, RefundId};

#[derive(Debug, Default)]
pub struct Refunds {
    answers: BTreeMap<RefundId, RefundAnswer>,
    of_charge: BTreeMap<AnyCharge, u64>,
    /// What each charge drew, as its holder said first.
    parts: BTreeMap<AnyCharge, Vec<ChargePart>>,
}

fn holds(condition: bool, sentence: &'static str, what: impl FnOnce() -> String) -> Verdict {
    if condition { Ok(()) } else { Err(Broken { sentence, what: what() }) }
}

/// The refund that a command asks for, and its answer.
pub fn refund_of<'a>(
    command: &'a Command,
    applied: &'a Applied,
) -> Option<(&'a NewRefund, &'a RefundAnswer)> {
    match (command, &applied.result) {
        (Command::Admin(AdminCommand { change: Change::Refund(new), .. }), Ok(Outcome::Refund(answer))) => {
            Some((new, answer))
        }
        _ => None,
    }
}

/// `amount` of the parts, from the last back, behind what was taken before.
pub fn latest(parts: &[ChargePart], done: u64, amount: u64) -> Vec<(ChargePart, u64)> {
    let (mut end, mut taken) = (0, Vec::new());
    for part in parts.iter().rev() {
        let (from, to) = (end, end + part.amount.micros());
        end = to;
        let overlap = to.min(done + amount).saturating_sub(from.max(done));
        if overlap > 0 {
            taken.push((*part, overlap));
        }
    }
    taken
}

impl Refunds {
    /// The ledger took a refund; whether it was one of its own, not an answer given again.
    pub fn applied(
        &mut self,
        pool: &Workspace,
        new: &NewRefund,
        answer: &RefundAnswer,
    ) -> Result<bool, Broken> {
        if let Some(known) = self.answers.get(&answer.id) {
            holds(known == answer, "S7 a refund that is asked again is answered the same", || {
                format!("{known:?}, and then {answer:?}")
            })?;
            return Ok(false);
        }
        let parts = self.parts.entry(new.charge).or_insert_with(|| new.parts.clone());
        holds(*parts == new.parts, "a charge is looked up as it was before", || {
            format!("{parts:?}, and then {:?}", new.parts)
        })?;
        let charged: u64 = parts.iter().map(|part| part.amount.micros()).sum();
        let (done, amount) =
            (self.of_charge.get(&new.charge).copied().unwrap_or_default(), answer.amount.micros());
        holds(done + amount <= charged, "S2 no more of a charge is refunded than it charged", || {
            format!("{}: charged {charged}, refunded {done} and {amount}", new.charge)
        })?;
        let mut owed: BTreeMap<GrantNo, u64> = BTreeMap::new();
        for (part, amount) in latest(parts, done, amount) {
            *owed.entry(part.backing.grant).or_default() += amount;
        }
        let mut given: BTreeMap<GrantNo, u64> = BTreeMap::new();
        for to in &answer.to {
            let no = pool.grant_ids.get(&to.grant).copied().unwrap_or(GrantNo(u32::MAX));
            *given.entry(no).or_default() += to.amount.micros();
        }
        holds(owed == given, "a refund goes back to the grants that paid, what burned last first", || {
            format!("{}: owed {owed:?}, given {given:?}, of {parts:?}", new.charge)
        })?;
        self.of_charge.insert(new.charge, done + amount);
        self.answers.insert(answer.id.clone(), answer.clone());
        Ok(true)
    }
}
