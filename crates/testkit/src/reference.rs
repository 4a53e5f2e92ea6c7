//! A pool run with leases against the naive one without: grants as their makers were answered, charges as holders'
//! last words tell them. Compared when nothing is out any more. Not here: the naive pool itself (`naive`).

use crate::checkers::{Broken, Verdict};
use crate::naive::{Ended, Pool};
use ledger::{Applied, Change, Command, LineResult, Outcome, Wish, Workspace};
use std::collections::BTreeMap;
use types::{GrantId, GrantNo, Timestamp, UserId};

#[derive(Debug)]
pub struct Reference {
    naive: Pool,
    charged: BTreeMap<(UserId, GrantId), u64>,
}

/// What a command will have charged for good if it is taken: by message, or all of it.
#[derive(Debug, Default)]
pub struct Finals(Vec<(Option<usize>, UserId, GrantNo, u64)>);

impl Reference {
    pub fn new(cycle_ends_at: Option<Timestamp>) -> Self {
        Self { naive: Pool::new(cycle_ends_at), charged: BTreeMap::new() }
    }

    /// Looks at what a command is about to end.
    pub fn about_to_apply(before: &Workspace, command: &Command) -> Finals {
        let mut finals = Vec::new();
        match command {
            Command::Holder(batch) => {
                for (at, message) in batch.lines.iter().enumerate() {
                    let line = before.lines.get(&batch.line_id(message));
                    if message.wish == Wish::Close && line.is_some_and(|line| !line.written_off) {
                        for (backing, used, lost) in &message.used.by_backing {
                            let amount = used.micros() + lost.micros();
                            finals.push((Some(at), message.user.clone(), backing.grant, amount));
                        }
                    }
                }
            }
            Command::Forget { holder, .. } => {
                let lost = before.lines.iter().filter(|(id, line)| id.holder == *holder && !line.written_off);
                for (_, line) in lost {
                    for n in &line.backings {
                        let amount = n.drawn.micros() - n.returned.micros();
                        finals.push((None, line.user.clone(), n.backing.grant, amount));
                    }
                }
            }
            Command::Admin(_)
            | Command::Register { .. }
            | Command::SetRateCard { .. }
            | Command::Tick { .. } => {}
        }
        Finals(finals)
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
        for (at, user, grant, amount) in finals.0 {
            let closed = |at: usize| match outcome {
                Outcome::Lines(answers) => {
                    answers.get(at).is_some_and(|line| line.result == LineResult::Closed)
                }
                _ => false,
            };
            if at.is_none_or(closed) {
                *self.charged.entry((user, after.grant(grant).id.clone())).or_default() += amount;
            }
        }
        let Command::Admin(admin) = command else { return Ok(()) };
        if !matches!(admin.change, Change::MakeGrant(_) | Change::VoidGrant { .. }) {
            return Ok(());
        }
        let allowed = self.naive.change(&admin.change, now);
        let what = || format!("{:?} was taken", admin.change);
        allowed.map_err(|_| Broken { sentence: "grants are made and voided as without leases", what: what() })
    }

    /// Nothing is out any more: the books are those of a pool without leases.
    pub fn compare(mut self, workspace: &Workspace, now: Timestamp) -> Verdict {
        self.naive.expire(now);
        for ((user, grant), amount) in &self.charged {
            self.naive.charge(user, grant, *amount);
        }
        let sentence = "at rest grants are as without leases (available, spent, expired, voided)";
        for grant in &workspace.grants {
            let books = &grant.books;
            let Some(naive) = self.naive.grants.get_mut(&grant.id) else {
                return Err(Broken { sentence, what: format!("{} was never made", grant.id) });
            };
            naive.exposure = books.exposure.micros();
            let (expired, voided) = match naive.ended {
                None => (0, 0),
                Some(Ended::Expired) => (naive.unspent(), 0),
                Some(Ended::Voided) => (0, naive.unspent()),
            };
            let spent = books.used.micros() + books.unattributed.micros() + books.written_off.micros();
            let ledger = [books.available.micros(), spent, books.expired.micros(), books.voided.micros()];
            let expected = [naive.left(), naive.spent, expired, voided];
            if ledger != expected {
                let what = format!("{}: the ledger says {ledger:?}, expected {expected:?}", grant.id);
                return Err(Broken { sentence, what });
            }
        }
        Ok(())
    }
}
