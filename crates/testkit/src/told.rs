//! What clients of whole nodes were told, line by line, and the sentences over it. A client sees a charge by its line and
//! sequence, not by the grants that paid; so these records are coarser than [`crate::ghost::Ghost`], and need no look
//! into a holder. One record per workspace, in micro-credits. The books they are held against may be a ledger's state
//! or what a node answers: [`Books`].
//!
//! Not here: the ledger's own books (`checkers`), and what a real clock orders (`order`, `timed`).

use crate::checkers::{Broken, Verdict};
use ledger::{Command, HolderBatch, LineResult, Outcome, Workspace};
use std::collections::{BTreeMap, BTreeSet};
use types::{Credits, Durability, IdempotencyKey, LineId, NodeId, UserId};

/// One charge's name: its line and its place on it.
pub type ChargeName = (LineId, u64);

/// Charges: how many, and how much.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    pub calls: u64,
    pub micros: u64,
}

/// Usage by user.
pub type Metered = BTreeMap<UserId, Sum>;

#[derive(Clone, Debug, Default)]
pub struct Told {
    pub on_line: BTreeMap<LineId, u64>,
    pub by_user: BTreeMap<UserId, Sum>,
    pub total: u64,
    /// Spends that were begun and are not known to have come to nothing: nothing else may ever be metered.
    pub asked_by_user: BTreeMap<UserId, Sum>,
    /// Whose they are, and how much.
    charges: BTreeMap<ChargeName, (UserId, u64)>,
    /// What each key was answered first.
    keys: BTreeMap<(UserId, IdempotencyKey), ChargeName>,
    /// Used and unattributed on lines whose holder has said its last word.
    last_words: BTreeMap<LineId, u64>,
}

fn holds(condition: bool, sentence: &'static str, what: impl FnOnce() -> String) -> Verdict {
    if condition { Ok(()) } else { Err(Broken { sentence, what: what() }) }
}

impl Sum {
    fn add(&mut self, micros: u64) {
        self.calls += 1;
        self.micros += micros;
    }
}

impl Told {
    /// A spend begins: it may be charged from here on.
    pub fn asked(&mut self, user: &UserId, amount: Credits) {
        self.asked_by_user.entry(user.clone()).or_default().add(amount.micros());
    }

    /// One that was begun was refused, and is charged by nobody.
    pub fn came_to_nothing(&mut self, user: &UserId, amount: Credits) {
        let asked = self.asked_by_user.entry(user.clone()).or_default();
        asked.calls = asked.calls.checked_sub(1).expect("it was asked for");
        asked.micros = asked.micros.checked_sub(amount.micros()).expect("so much was asked for");
    }

    /// More is held for a call that was asked for before.
    pub fn asked_more(&mut self, user: &UserId, amount: Credits) {
        self.asked_by_user.entry(user.clone()).or_default().micros += amount.micros();
    }

    /// So much of what was asked for is surely not used.
    pub fn asked_less(&mut self, user: &UserId, micros: u64) {
        let asked = self.asked_by_user.entry(user.clone()).or_default();
        asked.micros = asked.micros.checked_sub(micros).expect("so much was asked for");
    }

    /// What a hold is charged at its end. `line`: where, if that is known.
    pub fn charged_for_hold(&mut self, user: &UserId, line: Option<LineId>, micros: u64) -> Verdict {
        let of_user = self.by_user.entry(user.clone()).or_default();
        of_user.micros += micros;
        self.total += micros;
        let Some(line) = line else { return Ok(()) };
        let on_line = self.on_line.entry(line).or_default();
        *on_line += micros;
        let (told, last) = (*on_line, self.last_words.get(&line).copied().unwrap_or(u64::MAX));
        let sentence = "S4 nothing is told on a line beyond its last word";
        holds(told <= last, sentence, || format!("{line:?}: told {told}, its last word was {last}"))
    }

    /// The `pick`-th charge from the last back, by lines; the count begins anew behind the first.
    pub fn pick(&self, pick: u64) -> Option<(ChargeName, &UserId, u64)> {
        let back = pick.checked_rem(self.charges.len() as u64)?;
        let (name, (user, micros)) = self.charges.iter().nth_back(usize::try_from(back).ok()?)?;
        Some((*name, user, *micros))
    }

    /// Usage that happened elsewhere was told of and charged; `uncovered`: by nobody's credits.
    pub fn charged_elsewhere(&mut self, user: &UserId, charged: Credits, uncovered: Credits) {
        self.asked(user, charged);
        self.by_user.entry(user.clone()).or_default().add(charged.micros());
        self.total += charged.micros() - uncovered.micros();
    }

    /// How many charges were told.
    pub fn count(&self) -> usize {
        self.charges.len()
    }

    /// Asked for, not known to have come to nothing, and not told: by user, how many charges that may be.
    pub fn of_no_known_end(&self, user: &UserId) -> u64 {
        let calls = |of: &Metered| of.get(user).map_or(0, |sum| sum.calls);
        calls(&self.asked_by_user).saturating_sub(calls(&self.by_user))
    }

    /// A client is told that this was charged, for the first time.
    pub fn charged(&mut self, user: &UserId, (line, sequence): ChargeName, amount: Credits) -> Verdict {
        let on_this_line = self.charges.range((line, 0)..=(line, u64::MAX));
        let owner = on_this_line.map(|(_, (owner, _))| owner.clone()).next();
        let known = self.charges.insert((line, sequence), (user.clone(), amount.micros()));
        let sentence = "S10 no charge is numbered twice";
        holds(known.is_none(), sentence, || format!("{line:?}: {sequence} of {user}, and of {known:?}"))?;
        let is_own = owner.as_ref().is_none_or(|owner| owner == user);
        holds(is_own, "a line belongs to one user", || format!("{line:?}: {user} and {owner:?}"))?;
        self.by_user.entry(user.clone()).or_default().add(amount.micros());
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

/// An administrator was told until when at the latest what was taken away may be spent. All in milliseconds of the time
/// since boot, which sessions are measured by; `until_ms`: `None` where nothing was taken away.
pub fn nothing_taken_away_is_spent_later_than_told(
    line: LineId,
    amount: Credits,
    spent_ms: u64,
    until_ms: Option<u64>,
) -> Verdict {
    let in_time = until_ms.is_none_or(|until_ms| spent_ms <= until_ms);
    let sentence = "R8 what was taken away is spent no later than the administrator was told";
    holds(in_time || amount.is_zero(), sentence, || {
        format!("{line:?}: {amount} at {spent_ms} ms, until {until_ms:?}")
    })
}

/// S11: `weakest` is the least that the workspace has ever declared.
pub fn a_consume_is_as_durable_as_its_workspace_says(
    line: LineId,
    durability: Durability,
    weakest: Durability,
) -> Verdict {
    let sentence = "S11 a consume is as durable as its workspace says";
    holds(durability >= weakest, sentence, || format!("{line:?}: {durability:?}, it says {weakest:?}"))
}

/// R6: reports are never ahead of the holder's disk. `said`: what a message has as used on the line; `on_disk`:
/// what the journal has, opened again.
pub fn no_report_is_ahead_of_the_disk(line: LineId, said: Credits, on_disk: Credits) -> Verdict {
    let sentence = "R6 no report is ahead of the holder's disk";
    holds(said <= on_disk, sentence, || format!("{line:?}: said {said}, on the disk {on_disk}"))
}

/// The lines a command speaks of.
pub fn lines_of(command: &Command) -> Vec<LineId> {
    match command {
        Command::Holder(batch) => batch.lines.iter().map(|message| batch.line_id(message)).collect(),
        Command::Admin(_)
        | Command::Register { .. }
        | Command::Forget { .. }
        | Command::Prices(_)
        | Command::Tick { .. }
        | Command::SetCycleEnds { .. }
        | Command::SetClock { .. } => Vec::new(),
    }
}

/// What is held against the records: a pool's sums, of a ledger's state or as a node answers them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Books {
    /// With what was credited back to it: refunded, or although it may have been spent.
    pub granted: u64,
    pub out: u64,
    /// As holders reported it.
    pub used: u64,
    pub unattributed: u64,
    pub written_off: u64,
}

impl Books {
    pub fn charged(&self) -> u64 {
        self.used + self.unattributed + self.written_off
    }
}

impl From<&Workspace> for Books {
    fn from(workspace: &Workspace) -> Self {
        let totals = &workspace.totals;
        Self {
            granted: (totals.amount.micros() + totals.exposure.micros() + totals.refunded.micros())
                .saturating_sub(totals.for_overage.micros()),
            out: totals.out.micros(),
            used: totals.used.micros(),
            unattributed: totals.unattributed.micros(),
            written_off: totals.written_off.micros(),
        }
    }
}

pub fn metered(workspace: &Workspace) -> Metered {
    let mut metered = Metered::new();
    let mut parts = workspace.usage_parts().peekable();
    while let Some((user, _, part)) = parts.next() {
        let (mut calls, mut micros) = (part.calls, part.credits.micros());
        // Most follow each other by user.
        while let Some((_, _, part)) = parts.next_if(|(next, ..)| std::ptr::eq(*next, user)) {
            calls += part.calls;
            micros += part.credits.micros();
        }
        if !metered.contains_key(user) {
            metered.insert(user.clone(), Sum::default());
        }
        let sum = metered.get_mut(user).expect("just put there");
        sum.calls += calls;
        sum.micros += micros;
    }
    metered
}

/// All that can be judged at once from a pool's state and what its clients were told.
pub fn all_of_the_told(workspace: &Workspace, told: &Told) -> Verdict {
    nobody_was_told_more_than_the_pool_was_granted(workspace, told)?;
    what_was_told_is_gone_from_the_pool(workspace, told)?;
    for line in workspace.lines.keys() {
        nothing_is_told_on_a_line_beyond_what_it_has(workspace, told, *line)?;
    }
    users_were_told_no_more_than_they_used_or_have_out(workspace, told)?;
    nothing_is_metered_that_was_not_asked(&metered(workspace), told)
}

/// S3, over the whole pool.
pub fn nobody_was_told_more_than_the_pool_was_granted(books: impl Into<Books>, told: &Told) -> Verdict {
    let Books { granted, .. } = books.into();
    let sentence = "S3 nobody was told more than the pool was granted";
    holds(told.total <= granted, sentence, || format!("told {}, granted {granted}", told.total))
}

/// The rule behind all rules: spend only what a more durable layer already counts as gone.
pub fn what_was_told_is_gone_from_the_pool(books: impl Into<Books>, told: &Told) -> Verdict {
    let books = books.into();
    let gone = books.out + books.charged();
    let sentence = "what was told is gone from the pool";
    holds(told.total <= gone, sentence, || format!("told {}, gone {gone}: {books:?}", told.total))
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
    for (user, Sum { micros: told, .. }) in &told.by_user {
        let gone = workspace.user(user).map_or(0, |known| known.charged().micros() + known.out.micros());
        let sentence = "users were told no more than they used or have out";
        holds(*told <= gone, sentence, || format!("{user}: told {told}, used or out {gone}"))?;
    }
    Ok(())
}

/// A price is charged as it was asked.
pub fn a_consume_charges_its_price(asked: Credits, charged: Credits) -> Verdict {
    holds(asked == charged, "a consume charges its price", || format!("asked {asked}, charged {charged}"))
}

/// Usage says nothing that no client asked for, nor what came to nothing.
pub fn nothing_is_metered_that_was_not_asked(metered: &Metered, told: &Told) -> Verdict {
    for (user, metered) in metered {
        let asked = told.asked_by_user.get(user).copied().unwrap_or_default();
        let sentence = "nothing is metered that was not asked";
        holds(metered.micros <= asked.micros && metered.calls <= asked.calls, sentence, || {
            format!("{user}: metered {metered:?}, asked {asked:?}")
        })?;
    }
    Ok(())
}

/// When all lines are closed and no power was lost: usage has whatever was told, but on the lines of nodes whose disk is
/// gone.
pub fn at_rest_what_was_told_is_metered(
    metered: &Metered,
    told: &Told,
    disks_lost: &BTreeSet<NodeId>,
) -> Verdict {
    let mut surely = Metered::new();
    for ((line, _), (user, micros)) in &told.charges {
        if !disks_lost.contains(&line.holder.node) {
            surely.entry(user.clone()).or_default().add(*micros);
        }
    }
    for (user, told) in surely {
        let metered = metered.get(&user).copied().unwrap_or_default();
        let sentence = "at rest what was told is metered";
        holds(told.micros <= metered.micros && told.calls <= metered.calls, sentence, || {
            format!("{user}: told {told:?}, metered {metered:?}")
        })?;
    }
    Ok(())
}

/// S8, where only sums are seen.
pub fn usage_by_user_sums_to_used(books: impl Into<Books>, metered: &Metered) -> Verdict {
    let (used, sum) = (books.into().used, metered.values().map(|sum| sum.micros).sum::<u64>());
    holds(sum == used, "S8 usage by user sums to used", || format!("metered {sum}, used {used}"))
}

/// Detail is lost with a machine's power, credits with its disk, and neither otherwise.
pub fn at_rest_nothing_was_lost_but_by_a_loss(
    books: impl Into<Books>,
    power_was_lost: bool,
    disk_was_lost: bool,
) -> Verdict {
    let books = books.into();
    let sentence = "at rest nothing was lost but by a loss";
    holds(power_was_lost || books.unattributed == 0, sentence, || format!("no power was lost: {books:?}"))?;
    let none = books.written_off == 0 && books.out == 0;
    holds(disk_was_lost || none, sentence, || format!("no disk was lost: {books:?}"))
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
pub fn at_rest_used_is_what_was_told(books: impl Into<Books>, told: &Told) -> Verdict {
    let sentence = "at rest used is what was told";
    let books = books.into();
    let (used, charged) = (books.used, books.charged());
    holds(told.total <= charged, sentence, || format!("told {}, charged {charged}", told.total))?;
    let asked: u64 = told.asked_by_user.values().map(|sum| sum.micros).sum();
    holds(used <= asked, sentence, || format!("used {used}, asked {asked}"))?;
    let exact = books.unattributed == 0 && books.written_off == 0 && asked == told.total;
    holds(!exact || used == told.total, sentence, || format!("used {used}, told {}", told.total))
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::{DiskId, HolderId, LineNumber};

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

    /// Ann was told two charges of 10 on a line of the first node, and one of 5 came to nothing.
    fn told() -> (Told, UserId) {
        let (mut told, ann) = (Told::default(), UserId::parse("ann").unwrap());
        for sequence in [1, 2] {
            told.asked(&ann, credits(10));
            told.charged(&ann, (line(1), sequence), credits(10)).unwrap();
        }
        told.asked(&ann, credits(5));
        told.came_to_nothing(&ann, credits(5));
        (told, ann)
    }

    fn books(granted: u64, out: u64, used: u64) -> Books {
        Books { granted, out, used, ..Books::default() }
    }

    #[test]
    fn a_charge_has_one_name_and_a_line_one_owner() {
        let (told, ann) = told();
        let again = told.clone().charged(&ann, (line(1), 2), credits(10)).unwrap_err();
        assert_eq!(again.sentence, "S10 no charge is numbered twice");
        let bob = UserId::parse("bob").unwrap();
        let other = told.clone().charged(&bob, (line(1), 3), credits(1)).unwrap_err();
        assert_eq!(other.sentence, "a line belongs to one user");
        assert_eq!((told.count(), told.of_no_known_end(&ann)), (2, 0));
    }

    #[test]
    fn sums_are_held_against_what_was_told() {
        let (told, _) = told();
        assert!(nobody_was_told_more_than_the_pool_was_granted(books(20, 0, 0), &told).is_ok());
        assert!(nobody_was_told_more_than_the_pool_was_granted(books(19, 0, 0), &told).is_err());
        assert!(what_was_told_is_gone_from_the_pool(books(99, 5, 15), &told).is_ok());
        assert!(what_was_told_is_gone_from_the_pool(books(99, 5, 14), &told).is_err());
        assert!(at_rest_used_is_what_was_told(books(99, 0, 20), &told).is_ok());
        for used in [19, 21] {
            assert!(at_rest_used_is_what_was_told(books(99, 0, used), &told).is_err());
        }
    }

    #[test]
    fn a_charge_too_few_and_one_too_many_are_found_by_user() {
        let (told, ann) = told();
        let metered = |calls, micros| Metered::from([(ann.clone(), Sum { calls, micros })]);
        let here = |metered: &Metered| at_rest_what_was_told_is_metered(metered, &told, &BTreeSet::new());
        assert!(here(&metered(2, 20)).is_ok() && here(&metered(1, 20)).is_err());
        assert!(here(&metered(2, 19)).is_err() && here(&Metered::new()).is_err());
        let lost = BTreeSet::from([NodeId(1)]);
        assert!(at_rest_what_was_told_is_metered(&Metered::new(), &told, &lost).is_ok());
        let asked = |metered: &Metered| nothing_is_metered_that_was_not_asked(metered, &told);
        assert!(asked(&metered(2, 20)).is_ok());
        assert!(asked(&metered(2, 21)).is_err() && asked(&metered(3, 20)).is_err(), "what came to nothing");
        assert!(usage_by_user_sums_to_used(books(0, 0, 20), &metered(2, 20)).is_ok());
        assert!(usage_by_user_sums_to_used(books(0, 0, 21), &metered(2, 20)).is_err());
    }

    #[test]
    fn what_is_lost_without_a_loss_is_found() {
        let judge = |books: Books, power, disk| at_rest_nothing_was_lost_but_by_a_loss(books, power, disk);
        let detail = Books { unattributed: 1, ..Books::default() };
        assert!(judge(detail, false, true).is_err() && judge(detail, true, false).is_ok());
        let credits = Books { written_off: 1, ..Books::default() };
        assert!(judge(credits, true, false).is_err() && judge(credits, false, true).is_ok());
        assert!(judge(books(1, 1, 0), true, false).is_err());
    }
}
