//! What clients of whole nodes were told, line by line, and the sentences over it. A client sees a charge by its line and
//! sequence, not by the grants that paid; so these records are coarser than [`crate::ghost::Ghost`], and need no look
//! into a holder. One record per workspace, in micro-credits.
//!
//! Not here: the ledger's own books (`checkers`), and what a real clock orders (`order`).

use crate::checkers::{Broken, Verdict};
use ledger::{Command, HolderBatch, LineResult, Outcome, Workspace};
use std::collections::{BTreeMap, BTreeSet};
use types::{Credits, IdempotencyKey, LineId, UserId};

/// One charge's name: its line and its place on it.
pub type ChargeName = (LineId, u64);

#[derive(Clone, Debug, Default)]
pub struct Told {
    pub on_line: BTreeMap<LineId, u64>,
    pub by_user: BTreeMap<UserId, u64>,
    pub total: u64,
    /// Spends that were begun, answered or not: nothing else may ever be metered.
    pub asked_by_user: BTreeMap<UserId, u64>,
    names: BTreeSet<ChargeName>,
    /// What each key was answered first.
    keys: BTreeMap<(UserId, IdempotencyKey), ChargeName>,
    /// Used and unattributed on lines whose holder has said its last word.
    last_words: BTreeMap<LineId, u64>,
}

fn holds(condition: bool, sentence: &'static str, what: impl FnOnce() -> String) -> Verdict {
    if condition { Ok(()) } else { Err(Broken { sentence, what: what() }) }
}

impl Told {
    /// A spend begins: it may be charged from here on.
    pub fn asked(&mut self, user: &UserId, amount: Credits) {
        *self.asked_by_user.entry(user.clone()).or_default() += amount.micros();
    }

    /// A client is told that this was charged, for the first time.
    pub fn charged(&mut self, user: &UserId, (line, sequence): ChargeName, amount: Credits) -> Verdict {
        let is_new = self.names.insert((line, sequence));
        let sentence = "S10 no charge is numbered twice";
        holds(is_new, sentence, || format!("{line:?}: {sequence} of {user}"))?;
        *self.by_user.entry(user.clone()).or_default() += amount.micros();
        self.total += amount.micros();
        let on_line = self.on_line.entry(line).or_default();
        *on_line += amount.micros();
        let last = self.last_words.get(&line).copied().unwrap_or(u64::MAX);
        let told = *on_line;
        let sentence = "S4 nothing is told on a line beyond its last word";
        holds(told <= last, sentence, || format!("{line:?}: told {told}, its last word was {last}"))
    }

    /// S7: a key is answered with one charge for ever. `excused`: what remembered it was lost within its declared
    /// durability. Answers whether this charge was told before.
    pub fn keyed(
        &mut self,
        user: &UserId,
        key: &IdempotencyKey,
        charge: ChargeName,
        excused: bool,
    ) -> Result<bool, Broken> {
        let known = self.keys.insert((user.clone(), key.clone()), charge);
        let again = known == Some(charge);
        let sentence = "S7 a key charges at most once";
        holds(known.is_none() || again || excused, sentence, || {
            format!("{key} of {user}: {known:?} and then {charge:?}")
        })?;
        Ok(again)
    }

    /// A key that was told and is answered anew, not as a replay, has forgotten.
    pub fn knows(&self, user: &UserId, key: &IdempotencyKey) -> Option<ChargeName> {
        self.keys.get(&(user.clone(), key.clone())).copied()
    }

    /// The ledger took a batch: what is closed there has had its last word.
    pub fn applied(&mut self, batch: &HolderBatch, outcome: &Outcome) -> Verdict {
        let Outcome::Lines(answers) = outcome else { return Ok(()) };
        for (message, answer) in batch.lines.iter().zip(answers) {
            if message.wish != ledger::Wish::Close || answer.result != LineResult::Closed {
                continue;
            }
            let line = batch.line_id(message);
            let used = message.used.by_backing.iter().map(|(_, used, lost)| used.micros() + lost.micros());
            let last: u64 = used.sum();
            self.last_words.insert(line, last);
            let told = self.on_line.get(&line).copied().unwrap_or_default();
            let sentence = "S4 nothing is told on a line beyond its last word";
            holds(told <= last, sentence, || format!("{line:?}: told {told}, its last word is {last}"))?;
        }
        Ok(())
    }
}

/// The lines a command speaks of.
pub fn lines_of(command: &Command) -> Vec<LineId> {
    match command {
        Command::Holder(batch) => batch.lines.iter().map(|message| batch.line_id(message)).collect(),
        Command::Admin(_)
        | Command::Register { .. }
        | Command::Forget { .. }
        | Command::SetRateCard { .. }
        | Command::Tick { .. } => Vec::new(),
    }
}

/// All that can be judged at once from a pool's books and what its clients were told.
pub fn all_of_the_told(workspace: &Workspace, told: &Told) -> Verdict {
    nobody_was_told_more_than_the_pool_was_granted(workspace, told)?;
    what_was_told_is_gone_from_the_pool(workspace, told)?;
    for line in workspace.lines.keys() {
        nothing_is_told_on_a_line_beyond_what_it_has(workspace, told, *line)?;
    }
    users_were_told_no_more_than_they_used_or_have_out(workspace, told)?;
    nothing_is_metered_that_was_not_asked(workspace, told)
}

/// S3, over the whole pool.
pub fn nobody_was_told_more_than_the_pool_was_granted(workspace: &Workspace, told: &Told) -> Verdict {
    let granted = workspace.totals.amount.micros() + workspace.totals.exposure.micros();
    let sentence = "S3 nobody was told more than the pool was granted";
    holds(told.total <= granted, sentence, || format!("told {}, granted {granted}", told.total))
}

/// The rule behind all rules: spend only what a more durable layer already counts as gone.
pub fn what_was_told_is_gone_from_the_pool(workspace: &Workspace, told: &Told) -> Verdict {
    let totals = &workspace.totals;
    let gone = [totals.out, totals.used, totals.unattributed, totals.written_off];
    let gone: u64 = gone.iter().map(|part| part.micros()).sum();
    let sentence = "what was told is gone from the pool";
    holds(told.total <= gone, sentence, || format!("told {}, gone {gone}: {totals:?}", told.total))
}

/// S4: acknowledged on a line ≤ D − R.
pub fn nothing_is_told_on_a_line_beyond_what_it_has(
    workspace: &Workspace,
    told: &Told,
    line: LineId,
) -> Verdict {
    let Some(known) = workspace.lines.get(&line) else { return Ok(()) };
    let drawn: u64 = known.backings.iter().map(|n| n.drawn.micros()).sum();
    let returned: u64 = known.backings.iter().map(|n| n.returned.micros()).sum();
    let told = told.on_line.get(&line).copied().unwrap_or_default();
    let sentence = "S4 nothing is told on a line beyond what it has";
    holds(told <= drawn - returned, sentence, || {
        format!("{line:?}: told {told}, drawn {drawn}, returned {returned}")
    })
}

/// Each user's part of the same.
pub fn users_were_told_no_more_than_they_used_or_have_out(workspace: &Workspace, told: &Told) -> Verdict {
    for (user, told) in &told.by_user {
        let gone = workspace.user(user).map_or(0, |known| known.used.micros() + known.out.micros());
        let sentence = "users were told no more than they used or have out";
        holds(*told <= gone, sentence, || format!("{user}: told {told}, used or out {gone}"))?;
    }
    Ok(())
}

/// Usage says nothing that no client asked for.
pub fn nothing_is_metered_that_was_not_asked(workspace: &Workspace, told: &Told) -> Verdict {
    let mut metered: BTreeMap<UserId, u64> = BTreeMap::new();
    for row in workspace.usage_rows() {
        *metered.entry(row.user).or_default() += row.metered.credits.micros();
    }
    for (user, used) in metered {
        let asked = told.asked_by_user.get(&user).copied().unwrap_or_default();
        let sentence = "nothing is metered that was not asked";
        holds(used <= asked, sentence, || format!("{user}: metered {used}, asked {asked}"))?;
    }
    Ok(())
}

/// S5, S11, at a restart: a disk counts as gone whatever was told on its lines, under any durability; and knows it
/// exactly where its process alone had died.
pub fn the_disk_counts_what_was_told(
    told: &Told,
    line: LineId,
    used: Credits,
    unattributed: Credits,
    exact: bool,
) -> Verdict {
    let told = told.on_line.get(&line).copied().unwrap_or_default();
    let counted = if exact { used.micros() } else { used.micros() + unattributed.micros() };
    let sentence = if exact {
        "S11 what was told survives the process"
    } else {
        "S5 what was told is within the watermark on disk"
    };
    // What an earlier power failure took the detail of is unattributed for ever.
    let earlier = if exact { unattributed.micros() } else { 0 };
    holds(told <= counted + earlier, sentence, || {
        format!("{line:?}: told {told}, used {used}, unattributed {unattributed}")
    })
}

/// When nothing is out any more: all that was told is charged, and nothing is charged that was not asked, lost or
/// written off.
pub fn at_rest_used_is_what_was_told(workspace: &Workspace, told: &Told) -> Verdict {
    let sentence = "at rest used is what was told";
    let totals = &workspace.totals;
    let used = totals.used.micros();
    let charged = used + totals.unattributed.micros() + totals.written_off.micros();
    holds(told.total <= charged, sentence, || format!("told {}, charged {charged}", told.total))?;
    let asked: u64 = told.asked_by_user.values().sum();
    holds(used <= asked, sentence, || format!("used {used}, asked {asked}"))?;
    let exact = totals.unattributed.is_zero() && totals.written_off.is_zero() && asked == told.total;
    holds(!exact || used == told.total, sentence, || format!("used {used}, told {}", told.total))
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::{DiskId, HolderId, LineNumber, NodeId};

    fn line(number: u64) -> LineId {
        LineId { holder: HolderId { node: NodeId(1), disk: DiskId(7) }, number: LineNumber(number) }
    }

    fn credits(micros: u64) -> Credits {
        Credits::from_micros(micros).unwrap()
    }

    #[test]
    fn a_key_has_one_charge_unless_what_remembered_it_was_lost() {
        let (mut told, ann, key) = (Told::default(), "ann".parse().unwrap(), "k".parse().unwrap());
        assert_eq!(told.keyed(&ann, &key, (line(1), 5), false), Ok(false));
        assert_eq!(told.keyed(&ann, &key, (line(1), 5), false), Ok(true), "a replay");
        assert_eq!(told.knows(&ann, &key), Some((line(1), 5)));
        assert_eq!(told.keyed(&ann, &key, (line(2), 1), true), Ok(false), "its disk was lost");
        assert!(told.keyed(&ann, &key, (line(2), 2), false).is_err());
    }

    #[test]
    fn a_disk_counts_what_was_told_exactly_or_rounded_up() {
        let (mut told, ann) = (Told::default(), "ann".parse().unwrap());
        told.charged(&ann, (line(1), 1), credits(10)).unwrap();
        let counts = |used, lost, exact| {
            the_disk_counts_what_was_told(&told, line(1), credits(used), credits(lost), exact)
        };
        assert!(counts(10, 0, true).is_ok() && counts(4, 6, false).is_ok() && counts(4, 6, true).is_ok());
        assert!(counts(9, 0, true).is_err() && counts(4, 5, false).is_err());
    }

    #[test]
    fn a_last_word_holds_for_ever() {
        let (mut told, ann) = (Told::default(), UserId::parse("ann").unwrap());
        told.charged(&ann, (line(1), 2), credits(3)).unwrap();
        told.last_words.insert(line(1), 5);
        told.charged(&ann, (line(1), 3), credits(2)).unwrap();
        assert!(told.charged(&ann, (line(1), 4), credits(1)).is_err());
    }
}
