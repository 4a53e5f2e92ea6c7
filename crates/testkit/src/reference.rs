//! A pool run with leases against the naive one without: grants as their makers were answered, charges as holders'
//! last words tell them. Compared when nothing is out any more. Not here: the naive pool itself (`naive`).

use crate::checkers::{Broken, Verdict};
use crate::imports::items_of;
use crate::naive::{Pool, places_of};
use crate::refunds::{latest, refund_of};
use ledger::{
    AdminCommand, Applied, Change, Command, LineResult, NewRefund, Outcome, Wish, Workspace, is_of_overage,
};
use std::collections::BTreeMap;
use types::{CycleNumber, GrantId, GrantNo, Timestamp, UserId};

#[derive(Debug, Default)]
pub struct Reference {
    naive: Pool,
    /// By cycle too.
    charged: BTreeMap<(UserId, GrantId, u32), u64>,
    /// By the charge's cycle too.
    refunded: BTreeMap<(GrantId, u32), u64>,
}

/// What a command will have charged for good if it is taken: by message, or all of it.
#[derive(Debug, Default)]
pub struct Finals {
    charged: Vec<Final>,
    /// It was answered before under its key, and will be answered again.
    is_repeat: bool,
}

#[derive(Debug)]
struct Final {
    message: Option<usize>,
    user: UserId,
    cycle: u32,
    grant: GrantNo,
    amount: u64,
}

impl Reference {
    /// Looks at what a command is about to end.
    pub fn about_to_apply(before: &Workspace, command: &Command) -> Finals {
        let mut finals = Vec::new();
        let key = match command {
            Command::Admin(admin) => admin.keyed.as_ref().map(|keyed| &keyed.key),
            _ => None,
        };
        let is_known = |new: &NewRefund| new.id.as_ref().is_some_and(|id| before.refunds.contains_key(id));
        let is_repeat = key.is_some_and(|key| before.keys.contains_key(key))
            || matches!(command, Command::Admin(AdminCommand { change: Change::Refund(new), .. }) if is_known(new));
        let mut charges = |message, user: &UserId, cycle: CycleNumber, grant, amount| {
            finals.push(Final { message, user: user.clone(), cycle: cycle.0, grant, amount });
        };
        match command {
            Command::Holder(batch) => {
                for (at, message) in batch.lines.iter().enumerate() {
                    let line = before.lines.get(&batch.line_id(message));
                    if message.wish == Wish::Close && line.is_some_and(|line| !line.written_off) {
                        for (backing, used, lost) in &message.used.by_backing {
                            let amount = used.micros() + lost.micros();
                            charges(Some(at), &message.user, message.cycle, backing.grant, amount);
                        }
                    }
                }
            }
            Command::Forget { holder, .. } => {
                let lost = before.lines.iter().filter(|(id, line)| id.holder == *holder && !line.written_off);
                for (_, line) in lost {
                    for n in &line.backings {
                        let amount = n.drawn.micros() - n.returned.micros();
                        charges(None, &line.user, line.cycle, n.backing.grant, amount);
                    }
                }
            }
            Command::Admin(_)
            | Command::Register { .. }
            | Command::Prices(_)
            | Command::Tick { .. }
            | Command::SetCycleEnds { .. }
            | Command::SetClock { .. } => {}
        }
        Finals { charged: finals, is_repeat }
    }

    /// The command was taken at `now`.
    pub fn applied(
        &mut self,
        after: &Workspace,
        command: &Command,
        applied: &Applied,
        finals: Finals,
        now: Timestamp,
    ) -> Verdict {
        let Ok(outcome) = &applied.result else { return Ok(()) };
        for Final { message, user, cycle, grant, amount } in finals.charged {
            let closed = |at: usize| match outcome {
                Outcome::Lines(answers) => {
                    answers.get(at).is_some_and(|line| line.result == LineResult::Closed)
                }
                _ => false,
            };
            if message.is_none_or(closed) {
                *self.charged.entry((user, after.grant(grant).id.clone(), cycle)).or_default() += amount;
            }
        }
        if self.naive.cycle_ends_at().is_some_and(|end| end <= now) {
            self.naive.settle(now);
        }
        if let Command::SetCycleEnds { ends, .. } = command {
            self.naive.know_ends(ends, now);
        }
        if let Some((new, answer)) = refund_of(command, applied).filter(|_| !finals.is_repeat) {
            let done = answer.refunded.micros() - answer.amount.micros();
            for (part, amount) in latest(&new.parts, done, answer.amount.micros()) {
                let grant = after.grant(part.backing.grant).id.clone();
                *self.refunded.entry((grant, part.cycle.0)).or_default() += amount;
            }
        }
        for (item, import) in items_of(command, applied).filter(|_| !finals.is_repeat) {
            for part in &import.from {
                let charged = (item.user.clone(), part.grant.clone(), import.cycle.0);
                *self.charged.entry(charged).or_default() += part.amount.micros();
            }
        }
        let Command::Admin(admin) = command else { return Ok(()) };
        let tells_books = match &admin.change {
            Change::MakeGrant(_) | Change::VoidGrant { .. } | Change::PutMember { .. } | Change::Plan(_) => {
                true
            }
            Change::PutWorkspace(settings) => settings.cycle.is_some(),
            _ => false,
        };
        if !tells_books || finals.is_repeat {
            return Ok(());
        }
        self.naive.began_at(after.created_at);
        let allowed = self.naive.change(&admin.change, now);
        self.naive.took_back_as(after);
        let what = || format!("{:?} was taken", admin.change);
        allowed.map_err(|_| Broken { sentence: "grants are made and voided as without leases", what: what() })
    }

    /// Nothing is out any more: the books are those of a pool without leases.
    pub fn compare(&self, workspace: &Workspace, now: Timestamp) -> Verdict {
        let mut pool = self.naive.clone();
        pool.settle(now);
        let known = workspace.subscription.as_deref().and_then(|known| known.cost);
        let costs = (known.map(|cost| cost.owed), workspace.term_goes_on_for().map(u64::from));
        if costs != pool.costs_and_lasts() {
            let what = format!("the ledger says {costs:?}, expected {:?}", pool.costs_and_lasts());
            return Err(Broken { sentence: "plans cost as much, and last as long, as without leases", what });
        }
        let sentence = "at rest grants are as without leases (available, spent, expired, voided)";
        for ((user, grant, cycle), amount) in &self.charged {
            if !pool.grants.contains_key(grant) && !is_of_overage(grant) {
                return Err(Broken { sentence, what: format!("{grant} was charged and never made") });
            }
            pool.charge(user, grant, *amount, *cycle);
        }
        for ((grant, cycle), amount) in &self.refunded {
            pool.uncharge(grant, *amount, *cycle);
        }
        pool.at_rest_as(workspace);
        for grant in &workspace.grants {
            let ledger = places_of(grant);
            let Some(naive) = pool.grants.get(&grant.id) else {
                if is_of_overage(&grant.id) && ledger == [0; 4] {
                    continue;
                }
                return Err(Broken { sentence, what: format!("{} was never made", grant.id) });
            };
            if naive.is_blurred() {
                continue;
            }
            let (expired, voided) = naive.expired_and_voided();
            let expected = [naive.left(), naive.spent(), expired, voided];
            if ledger != expected {
                let what = format!("{}: the ledger says {ledger:?}, expected {expected:?}", grant.id);
                return Err(Broken { sentence, what });
            }
        }
        Ok(())
    }
}
