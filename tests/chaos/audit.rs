//! Judges a round by what clients were told: lines by sequence, ledgers by index, all of it in the order of real time.
//! No search is needed, because the answers carry their place. Not here: asking for the final books (`books`).

use crate::books::{Books, Pool};
use crate::storm::Forgotten;
use crate::told::{Charge, Moment, Payer, Record, Seen, Sum, WORKSPACES, user_name};
use std::collections::{BTreeMap, BTreeSet};

/// Each line's charges by their sequence: no place twice, one payer, and in the order in which they happened.
pub fn lines(charges: &[Charge]) -> Vec<String> {
    let mut broken = Vec::new();
    let mut lines: BTreeMap<(usize, u16, u64), Vec<&Charge>> = BTreeMap::new();
    for charge in charges {
        lines.entry((charge.payer.0, charge.node, charge.line)).or_default().push(charge);
    }
    for (line, mut charges) in lines {
        charges.sort_by_key(|charge| charge.sequence);
        if let Some(pair) = charges.windows(2).find(|pair| pair[0].sequence == pair[1].sequence) {
            broken.push(format!("no charge is told twice under one id: {pair:?}"));
        }
        if charges.iter().any(|charge| charge.payer != charges[0].payer) {
            broken.push(format!("a line belongs to one user: {line:?}"));
        }
        broken.extend(goes_back(&charges, "sequences of a line follow real time"));
    }
    broken
}

/// A user's lines on one node are numbered in the order in which he used them.
pub fn lines_of_users(charges: &[Charge]) -> Vec<String> {
    let mut users: BTreeMap<(Payer, u16), Vec<&Charge>> = BTreeMap::new();
    for charge in charges {
        users.entry((charge.payer, charge.node)).or_default().push(charge);
    }
    let judge = |mut charges: Vec<&Charge>| {
        charges.sort_by_key(|charge| (charge.line, charge.sequence));
        goes_back(&charges, "lines of a user follow real time")
    };
    users.into_values().filter_map(judge).collect()
}

/// In their order by number: none was answered before one with a smaller number was asked for.
fn goes_back(charges: &[&Charge], sentence: &str) -> Option<String> {
    let mut latest: Option<&Charge> = None;
    for charge in charges {
        if let Some(earlier) = latest.filter(|earlier| charge.answered < earlier.sent) {
            return Some(format!("{sentence}: {charge:?} was answered before {earlier:?} was asked for"));
        }
        latest = latest.filter(|earlier| earlier.sent >= charge.sent).or(Some(charge));
    }
    None
}

/// A number on a line that nobody was told, up to the last one that somebody was, is an answer that was lost.
pub fn gaps_are_unknown(charges: &[Charge], unknown: &BTreeMap<Payer, Sum>) -> Vec<String> {
    let lost = |payer: &Payer| unknown.get(payer).map_or(0, |sum| sum.calls);
    let gaps = gaps(charges).into_iter().filter(|(payer, missing)| *missing > lost(payer));
    let name = |((workspace, user), missing)| {
        let (who, lost) = (user_name(user), lost(&(workspace, user)));
        format!(
            "every number is told or lost: {} {who}: {missing} missing, {lost} lost",
            WORKSPACES[workspace]
        )
    };
    gaps.map(name).collect()
}

fn gaps(charges: &[Charge]) -> BTreeMap<Payer, u64> {
    let mut lines: BTreeMap<(Payer, u16, u64), (u64, u64)> = BTreeMap::new();
    for charge in charges {
        let (count, last) = lines.entry((charge.payer, charge.node, charge.line)).or_default();
        *count += 1;
        *last = (*last).max(charge.sequence);
    }
    let mut gaps = BTreeMap::new();
    for ((payer, _, _), (count, last)) in lines {
        *gaps.entry(payer).or_default() += last.saturating_sub(count);
    }
    gaps
}

/// S3 at every instant. A grant counts from when it was asked for, a consume from when its answer was there.
pub fn never_overdrawn(charges: &[Charge], granted: &[(Moment, usize, u64)]) -> Vec<String> {
    let mut broken = Vec::new();
    for (workspace, name) in WORKSPACES.iter().enumerate() {
        let grants = granted.iter().filter(|(_, to, _)| *to == workspace);
        let mut events: Vec<(Moment, bool, u64)> =
            grants.map(|(at, _, micros)| (*at, false, *micros)).collect();
        let charges = charges.iter().filter(|charge| charge.payer.0 == workspace);
        events.extend(charges.map(|charge| (charge.answered, true, charge.micros)));
        events.sort_unstable();
        let (mut given, mut told) = (0_u64, 0_u64);
        for (at, is_charge, micros) in events {
            *(if is_charge { &mut told } else { &mut given }) += micros;
            if told > given {
                broken.push(format!("S3 never overdrawn: {name} at {at} µs: told {told}, granted {given}"));
                break;
            }
        }
    }
    broken
}

/// S12. What a ledger said later in real time is never older than what it said before; an index is one state.
pub fn indexes(seen: &[Seen]) -> Vec<String> {
    let mut broken = Vec::new();
    let mut resources: BTreeMap<&str, Vec<&Seen>> = BTreeMap::new();
    for one in seen {
        resources.entry(&one.of).or_default().push(one);
    }
    for (of, mut answers) in resources {
        answers.sort_by_key(|one| one.answered);
        // The highest index anybody had been told, by the moment he was told it.
        let mut highest: Vec<&Seen> = Vec::with_capacity(answers.len());
        for one in &answers {
            let before = highest.last().copied();
            highest.push(before.filter(|before| before.index >= one.index).unwrap_or(one));
        }
        for one in &answers {
            let told_before = answers.partition_point(|other| other.answered < one.sent);
            let known = told_before.checked_sub(1).map(|at| highest[at]);
            if let Some(known) = known.filter(|known| known.index > one.index) {
                broken.push(format!("S12 {of} never goes back: {known:?} was known, then {one:?}"));
                break;
            }
        }
        let (mut values, mut writes): (BTreeMap<u64, &String>, BTreeSet<u64>) = Default::default();
        for one in answers {
            if let Some(value) = &one.value
                && *values.entry(one.index).or_insert(value) != value
            {
                broken.push(format!("S12 {of}: one index, one state: {one:?} but {:?}", values[&one.index]));
            }
            if one.wrote && !writes.insert(one.index) {
                broken.push(format!("S12 {of}: no write is lost: two of them made {one:?}"));
            }
        }
    }
    broken
}

/// What was told against the final books: by user, and in sum.
pub fn charged(record: &Record, books: &Books) -> Vec<String> {
    let mut broken = Vec::new();
    let mut payers: BTreeSet<Payer> = books.usage.keys().copied().collect();
    payers.extend(record.charges.iter().map(|charge| charge.payer));
    let told = sums(&record.charges, |_| true);
    // What a node whose disk is gone had not reported yet is in no row.
    let surely = sums(&record.charges, |charge| !record.lost.contains_key(&charge.node));
    for payer in payers {
        let of = |sums: &BTreeMap<Payer, Sum>| sums.get(&payer).copied().unwrap_or_default();
        let (told, surely, unknown) = (of(&told), of(&surely), of(&record.unknown));
        let used = of(&books.usage);
        let who = format!(
            "{} {}: told {told:?}, surely {surely:?}, unknown {unknown:?}, used {used:?}",
            WORKSPACES[payer.0],
            user_name(payer.1)
        );
        if used.micros < surely.micros || used.calls < surely.calls {
            broken.push(format!("what was told is charged: {who}"));
        }
        if used.micros > told.micros + unknown.micros || used.calls > told.calls + unknown.calls {
            broken.push(format!("nobody is charged more than he was told: {who}"));
        }
    }
    for (workspace, pool) in books.pools.iter().enumerate() {
        let sum = |sums: &BTreeMap<Payer, Sum>| -> u64 {
            sums.iter().filter(|(payer, _)| payer.0 == workspace).map(|(_, sum)| sum.micros).sum()
        };
        let (told, unknown) = (sum(&told), sum(&record.unknown));
        let who = format!("{}: told {told}, unknown {unknown}, {pool:?}", WORKSPACES[workspace]);
        if told > pool.used {
            broken.push(format!("what was told is charged: {who}"));
        }
        if pool.used > told + unknown + pool.written_off {
            broken.push(format!("a pool is charged what was told, and what was lost: {who}"));
        }
        if pool.used != sum(&books.usage) + pool.written_off {
            broken.push(format!("S8 usage by user and what was written off sum to used: {who}"));
        }
        if pool.unattributed > 0 {
            broken.push(format!("without a loss of power nothing is unattributed: {who}"));
        }
        if pool.leased > 0 || pool.pending > 0 {
            broken.push(format!("when nobody asks nothing is out: {who}"));
        }
    }
    broken
}

/// What the operator was told when a node was forgotten is what the pools were charged and given.
pub fn forgotten(books: &Books, told: Forgotten) -> Vec<String> {
    let all = |part: fn(&Pool) -> u64| -> u64 { books.pools.iter().map(part).sum() };
    let (charged, given) = (all(|pool| pool.written_off), all(|pool| pool.exposure));
    let holds = (charged, given) == (told.written_off, told.exposure);
    let what = format!("the books say what was forgotten: {told:?}, but {charged} and {given}");
    (!holds).then_some(what).into_iter().collect()
}

fn sums(charges: &[Charge], which: impl Fn(&Charge) -> bool) -> BTreeMap<Payer, Sum> {
    let mut sums: BTreeMap<Payer, Sum> = BTreeMap::new();
    for charge in charges.iter().filter(|charge| which(charge)) {
        let sum = sums.entry(charge.payer).or_default();
        sum.calls += 1;
        sum.micros += charge.micros;
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    fn charge(line: u64, sequence: u64, sent: Moment, answered: Moment) -> Charge {
        Charge { payer: (0, 1), node: 2, line, sequence, micros: 10, sent, answered }
    }

    #[test]
    fn ids_told_twice_and_sequences_out_of_order_are_found() {
        let good = [charge(1, 1, 0, 5), charge(1, 3, 4, 6), charge(1, 2, 3, 9), charge(2, 1, 10, 12)];
        assert!(lines(&good).is_empty() && lines_of_users(&good).is_empty());
        assert_eq!(gaps(&good)[&(0, 1)], 0);
        let twice = [charge(1, 1, 0, 5), charge(1, 1, 6, 7)];
        assert!(lines(&twice)[0].contains("twice"));
        let late = [charge(1, 1, 6, 7), charge(1, 2, 0, 5)];
        assert!(lines(&late)[0].contains("follow real time"));
        let old_line = [charge(2, 1, 0, 5), charge(1, 9, 6, 7)];
        assert!(lines(&old_line).is_empty() && lines_of_users(&old_line).len() == 1);
        let other = Charge { payer: (0, 2), ..charge(1, 2, 6, 7) };
        assert!(lines(&[charge(1, 1, 0, 5), other])[0].contains("one user"));
        let missing = [charge(1, 4, 0, 5), charge(1, 2, 0, 5)];
        assert_eq!(gaps_are_unknown(&missing, &BTreeMap::new()).len(), 1);
        assert!(gaps_are_unknown(&missing, &[((0, 1), Sum { calls: 2, micros: 9 })].into()).is_empty());
    }

    #[test]
    fn an_instant_of_overdraft_is_found() {
        let charges = [charge(1, 1, 0, 5), charge(1, 2, 0, 8)];
        assert!(never_overdrawn(&charges, &[(0, 0, 10), (8, 0, 10)]).is_empty());
        assert!(never_overdrawn(&charges, &[(0, 0, 10), (9, 0, 90)])[0].contains("acme"));
        assert_eq!(never_overdrawn(&charges, &[(0, 1, 90)]).len(), 1, "each pool for itself");
    }

    #[test]
    fn an_index_that_goes_back_is_found() {
        let seen = |index, sent, answered, value: &str, wrote| {
            let value = (!value.is_empty()).then(|| value.to_owned());
            Seen { of: "x".into(), sent, answered, index, value, wrote }
        };
        let good = [seen(3, 0, 5, "a", true), seen(3, 1, 9, "a", false), seen(4, 4, 6, "", false)];
        assert!(indexes(&good).is_empty());
        assert_eq!(indexes(&[seen(3, 0, 5, "", false), seen(2, 6, 7, "", false)]).len(), 1);
        assert_eq!(indexes(&[seen(3, 0, 5, "a", false), seen(3, 0, 5, "b", false)]).len(), 1);
        assert_eq!(indexes(&[seen(3, 0, 5, "a", true), seen(3, 0, 5, "a", true)]).len(), 1);
    }

    #[test]
    fn a_charge_too_few_and_one_too_many_are_found() {
        let record = Record { charges: vec![charge(1, 1, 0, 5)], ..Record::default() };
        let books = |micros| Books::of_one((0, 1), Sum { calls: 1, micros });
        assert!(charged(&record, &books(10)).is_empty());
        assert_eq!(charged(&record, &books(9)).len(), 2, "for the user and for the pool");
        assert_eq!(charged(&record, &books(11)).len(), 2);
    }
}
