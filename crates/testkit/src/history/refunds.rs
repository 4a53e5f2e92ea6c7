//! What a history knows of charges, so that it can ask for refunds and say what must come of them. Not here: what they do to the
//! books (`naive`), when they are asked for (`workload`).

use super::{History, credits, same};
use crate::checkers::Verdict;
use crate::holder::{Charge, HeldLine, Holder};
use crate::naive::{Spending, Spent};
use crate::workload::Pace;
use ledger::{
    AdminCommand, Applied, Change, ChargePart, Command, LineResult, NewRefund, Outcome, RefundPlace, Wish,
    Workspace,
};
use std::collections::BTreeMap;
use types::{
    AnyCharge, Backing, ChargeId, Credits, CycleNumber, GrantId, HolderId, LineId, RefundId, Source, UserId,
};

#[derive(Debug, Default)]
pub struct Refunds {
    pub charges: Vec<Charged>,
    /// By grant and the charge's cycle.
    pub booked: BTreeMap<(GrantId, u32), u64>,
    by_user: BTreeMap<(UserId, u32), u64>,
    /// Which charge, and as what it was asked for.
    names: BTreeMap<u8, (usize, Option<u64>)>,
    /// The most that the ledger has heard of as used.
    used: BTreeMap<(LineId, Backing), u64>,
}

#[derive(Debug)]
pub struct Charged {
    pub spent: Spent,
    holder: HolderId,
    id: ChargeId,
    parts: Vec<ChargePart>,
    /// The ledger has it once it has heard of so much.
    up_to: Vec<(Backing, u64)>,
    /// A power failure took its record: nobody finds it any more.
    is_lost: bool,
}

impl Refunds {
    /// A client was told of it.
    pub fn charged(&mut self, charge: &Charge, line: &HeldLine, allocation: Spending, pool: &Workspace) {
        let Charge { line: id, user, parts, .. } = charge;
        let spent = Spent {
            user: user.clone(),
            cycle: line.cycle.0,
            parts: parts.iter().map(|(b, part)| (b.source, pool.grant(b.grant).id.clone(), *part)).collect(),
            allocation,
            refunded: 0,
        };
        let used =
            |backing: &Backing| line.backings.iter().find(|b| b.backing == *backing).map_or(0, |b| b.used);
        let part = |(backing, amount): &(Backing, u64)| ChargePart {
            line: id.number,
            cycle: line.cycle,
            backing: *backing,
            amount: credits(*amount),
        };
        let sequence = self.charges.len() as u64 + 1;
        self.charges.push(Charged {
            spent,
            holder: id.holder,
            id: ChargeId { node: id.holder.node, line: id.number, sequence },
            parts: parts.iter().map(part).collect(),
            up_to: parts.iter().map(|(backing, _)| (*backing, used(backing))).collect(),
            is_lost: false,
        });
    }

    /// After a crash the holder knows of no more than it had synced.
    pub fn lost(&mut self, holder: &Holder) {
        for charged in self.charges.iter_mut().filter(|charged| charged.holder == holder.id) {
            let Some(line) = holder.lines.get(&charged.id.line) else { continue };
            let knows = |(backing, up_to): &(Backing, u64)| {
                line.backings.iter().any(|b| b.backing == *backing && b.used >= *up_to)
            };
            charged.is_lost |= !charged.up_to.iter().all(knows);
        }
    }

    /// What a lost holder had drawn beyond what is included is billed to nobody, and not refunded whatever its evidence says.
    pub fn credited_back(&mut self, holder: HolderId) {
        let is_beyond = |part: &ChargePart| part.backing.source == Source::Overage;
        for charged in self.charges.iter_mut().filter(|charged| charged.holder == holder) {
            charged.is_lost |= charged.parts.iter().any(is_beyond);
        }
    }

    /// What a command has told the ledger.
    pub fn hear(&mut self, was: &Workspace, command: &Command, applied: &Applied, is: &Workspace) {
        let (Command::Holder(batch), Ok(Outcome::Lines(answers))) = (command, &applied.result) else {
            return;
        };
        for (message, answer) in batch.lines.iter().zip(answers) {
            let id = batch.line_id(message);
            let is_closed = message.wish == Wish::Close && answer.result == LineResult::Closed;
            let told: Vec<(Backing, Credits)> = match is.lines.get(&id) {
                Some(line) => line.backings.iter().map(|n| (n.backing, n.used)).collect(),
                None if is_closed && was.lines.contains_key(&id) => {
                    message.used.by_backing.iter().map(|(backing, used, _)| (*backing, *used)).collect()
                }
                None => continue,
            };
            for (backing, used) in told {
                let most = self.used.entry((id, backing)).or_default();
                *most = (*most).max(used.micros());
            }
        }
    }

    /// A charge that the ledger has heard of, the last ones first, and what to ask of it.
    pub fn pick(&self, pick: usize, amount: Option<u64>, name: Option<u8>) -> Option<(usize, NewRefund)> {
        let is_known = |charged: &&Charged| {
            let id = LineId { holder: charged.holder, number: charged.id.line };
            charged
                .up_to
                .iter()
                .all(|(backing, up_to)| self.used.get(&(id, *backing)).is_some_and(|u| u >= up_to))
        };
        let at = self.charges.len().checked_sub(pick % self.charges.len().max(1) + 1)?;
        let charged = Some(&self.charges[at]).filter(|charged| !charged.is_lost).filter(is_known)?;
        let new = NewRefund {
            id: name.map(|name| RefundId::parse(&format!("f{name}")).expect("a valid id")),
            holder: charged.holder,
            charge: AnyCharge::Consume(charged.id),
            user: charged.spent.user.clone(),
            parts: charged.parts.clone(),
            amount: amount.map(credits),
        };
        Some((at, new))
    }

    /// How much is refunded, nothing more where the same was refunded under that name; `None`: it is refused.
    pub fn expected(
        &self,
        at: usize,
        amount: Option<u64>,
        name: Option<u8>,
        now: CycleNumber,
    ) -> Option<u64> {
        let is_kept = |at: usize| self.charges[at].spent.cycle + 1 >= now.0;
        if let Some(known) = name.and_then(|name| self.names.get(&name)).filter(|(at, _)| is_kept(*at)) {
            return (*known == (at, amount)).then_some(0);
        }
        let left = self.charges[at].spent.left();
        let amount = amount.unwrap_or(left);
        (is_kept(at) && amount > 0 && amount <= left).then_some(amount)
    }

    /// `asked`: as it was asked for.
    pub fn refunded(&mut self, at: usize, amount: u64, name: Option<u8>, asked: Option<u64>) {
        let spent = &mut self.charges[at].spent;
        for (_, grant, part) in spent.latest(amount) {
            *self.booked.entry((grant, spent.cycle)).or_default() += part;
        }
        *self.by_user.entry((spent.user.clone(), spent.cycle)).or_default() += amount;
        spent.refunded += amount;
        if let Some(name) = name {
            self.names.insert(name, (at, asked));
        }
    }

    /// Of charges of that cycle.
    pub fn of_user(&self, user: &UserId, cycle: CycleNumber) -> u64 {
        self.by_user.get(&(user.clone(), cycle.0)).copied().unwrap_or_default()
    }
}

impl History {
    pub(super) fn note_charge(&mut self, charge: &Charge, allocation: Spending) {
        let holder = self.holders.iter().find(|holder| holder.id == charge.line.holder).expect("it spent");
        let pool = self.state.workspace(&self.workspace).expect("made at the start");
        self.refunds.charged(charge, &holder.lines[&charge.line.number], allocation, pool);
    }

    /// Whoever looks a charge up waits until it was reported; the ledger then decides as is expected.
    pub(super) fn refund(&mut self, pick: usize, amount: Option<u64>, name: Option<u8>) -> Verdict {
        let Some((at, new)) = self.refunds.pick(pick, amount, name) else { return Ok(()) };
        let (change, workspace) = (Change::Refund(Box::new(new)), self.workspace.clone());
        let admin = AdminCommand { workspace, keyed: None, if_match: None, change };
        let applied = self.apply(Command::Admin(admin))?;
        let expected = self.refunds.expected(at, amount, name, self.pool().cycle);
        let told = format!("{amount:?} of {:?}", self.refunds.charges[at]);
        same("a refund is decided as expected", &told, applied.result.is_ok(), expected.is_some())?;
        self.saw(if expected.is_some() { "refunded" } else { "refund refused" });
        let (Some(now), Ok(Outcome::Refund(answer))) = (expected, &applied.result) else { return Ok(()) };
        if now == 0 {
            self.saw("refund asked again");
            return Ok(());
        }
        let places = |place| answer.to.iter().any(|to| to.place == place);
        for (place, what) in [
            (RefundPlace::Allocation, "refunded to an allocation"),
            (RefundPlace::Overage, "refunded to overage"),
            (RefundPlace::Expired, "refunded and expired"),
        ] {
            if places(place) {
                self.saw(what);
            }
        }
        let spent = &self.refunds.charges[at].spent;
        if self.pace == Pace::Prompt {
            let allowed = self.naive.refund(spent, now, self.at);
            same("what can be refunded can be refunded", &told, Ok(()), allowed)?;
        }
        self.refunds.refunded(at, now, name, amount);
        if self.pace == Pace::Prompt { self.compare() } else { Ok(()) }
    }

    pub(super) fn refund_naively(&mut self) {
        for ((grant, cycle), amount) in &self.refunds.booked {
            self.naive.uncharge(grant, *amount, *cycle);
        }
    }

    pub(super) fn compare_used(&self, user: &UserId, expected: u64) -> Verdict {
        let used = self.pool().user(user).map_or(0, |known| known.used.micros());
        same("users have used what they used without leases", user.as_str(), used, expected)?;
        let refunded = self.pool().user(user).map_or(0, |known| known.refunded.micros());
        let expected = self.refunds.of_user(user, self.pool().cycle);
        same("users are refunded what was refunded", user.as_str(), refunded, expected)
    }
}
