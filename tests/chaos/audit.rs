//! Judges a round by what clients were told and the final books, with the sentences of `testkit`; its own are those that
//! only a black box needs: that one index is one state, and that an operator was told the truth. Not here: asking for the
//! final books (`books`).

use crate::books::{Books, Pool as Final};
use crate::storm::Forgotten;
use crate::told::{Pool, Record, Seen, WORKSPACES};
use std::collections::{BTreeMap, BTreeSet};
use testkit::checkers::{Broken, Verdict};
use testkit::order::{Operation, operations_follow_real_time};
use testkit::{timed, told};
use types::NodeId;

fn said(of: &str, verdict: Verdict) -> Option<String> {
    verdict.err().map(|Broken { sentence, what }| format!("{sentence}: {of}: {what}"))
}

/// What was told in each pool against its final books, and in the order of real time.
pub fn pools(record: &Record, books: &Books) -> Vec<String> {
    let lost: BTreeSet<NodeId> = record.lost.keys().map(|node| NodeId(*node)).collect();
    let pools = WORKSPACES.into_iter().zip(&record.pools).zip(&books.pools);
    pools.flat_map(|((name, told), books)| pool(name, told, books, &lost)).collect()
}

fn pool(name: &str, record: &Pool, books: &Final, lost: &BTreeSet<NodeId>) -> Vec<String> {
    let (Pool { sums, timed }, Final { sums: of, metered, .. }) = (record, books);
    let verdicts = [
        told::nobody_was_told_more_than_the_pool_was_granted(*of, sums),
        told::what_was_told_is_gone_from_the_pool(*of, sums),
        told::nothing_is_metered_that_was_not_asked(metered, sums),
        told::usage_by_user_sums_to_used(*of, metered),
        told::at_rest_what_was_told_is_metered(metered, sums, lost),
        told::at_rest_used_is_what_was_told(*of, sums),
        told::at_rest_nothing_was_lost_but_by_a_loss(*of, false, !lost.is_empty()),
        timed::charges_follow_real_time(timed),
        timed::never_overdrawn(timed),
        timed::every_number_is_told_or_lost(timed, sums),
    ];
    let mut broken: Vec<String> = verdicts.into_iter().filter_map(|verdict| said(name, verdict)).collect();
    if of.out > 0 || books.pending > 0 {
        broken.push(format!("when nobody asks nothing is out: {name}: {books:?}"));
    }
    broken
}

/// S12. What a ledger said later in real time is never older than what it said before; an index is one state.
pub fn indexes(seen: &[Seen]) -> Vec<String> {
    let mut broken = Vec::new();
    let mut resources: BTreeMap<&str, (Vec<Operation>, BTreeMap<u64, &Seen>)> = BTreeMap::new();
    for one in seen {
        let (operations, values) = resources.entry(&one.of).or_default();
        operations.push(one.operation);
        if one.value.is_some() {
            let first = *values.entry(one.operation.index).or_insert(one);
            if first.value != one.value {
                broken.push(format!("S12 one index, one state: {one:?} but {first:?}"));
            }
        }
    }
    let order = |(of, (operations, _)): (&str, (Vec<Operation>, _))| {
        said(of, operations_follow_real_time(&operations))
    };
    broken.extend(resources.into_iter().filter_map(order));
    broken
}

/// What the operator was told when a node was forgotten is what the pools were charged and given.
pub fn forgotten(books: &Books, told: Forgotten) -> Vec<String> {
    let all = |part: fn(&Final) -> u64| -> u64 { books.pools.iter().map(part).sum() };
    let (charged, given) = (all(|pool| pool.sums.written_off), all(|pool| pool.exposure));
    let holds = (charged, given) == (told.written_off, told.exposure);
    let what = format!("the books say what was forgotten: {told:?}, but {charged} and {given}");
    (!holds).then_some(what).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::told::Paid;
    use testkit::told::{Metered, Sum};

    #[test]
    fn an_index_that_goes_back_or_is_two_states_is_found() {
        let seen = |index, sent, answered, value: &str, wrote| {
            let value = (!value.is_empty()).then(|| value.to_owned());
            Seen { of: "x".into(), operation: Operation { sent, answered, index, wrote }, value }
        };
        let good = [seen(3, 0, 5, "a", true), seen(3, 1, 9, "a", false), seen(4, 4, 6, "", false)];
        assert!(indexes(&good).is_empty());
        assert_eq!(indexes(&[seen(3, 0, 5, "", false), seen(2, 6, 7, "", false)]).len(), 1);
        assert_eq!(indexes(&[seen(3, 0, 5, "a", false), seen(3, 0, 5, "b", false)]).len(), 1);
        assert_eq!(indexes(&[seen(3, 0, 5, "a", true), seen(3, 0, 5, "a", true)]).len(), 1);
    }

    /// One charge of 10 by the second user, who had 10.
    fn record() -> Record {
        let mut record = Record::default();
        record.pools[0].timed.granted.push((0, 10));
        let paid = Paid { node: 2, line: 1, sequence: 1, micros: 10, bytes: String::new() };
        record.charged((0, 1), Some("k"), &paid, (0, 5), false);
        record
    }

    fn books(micros: u64) -> Books {
        let mut books = Books::default();
        let of = &mut books.pools[0];
        (of.sums.granted, of.sums.used) = (10, micros);
        of.metered = Metered::from([(crate::told::user_id(1), Sum { calls: 1, micros })]);
        books
    }

    #[test]
    fn a_charge_too_few_and_one_too_many_are_found() {
        assert_eq!(pools(&record(), &books(10)), Vec::<String>::new());
        let few = pools(&record(), &books(9));
        assert!(
            few.iter().any(|what| what.starts_with("what was told is gone from the pool: acme")),
            "{few:?}"
        );
        assert!(
            few.iter().any(|what| what.starts_with("at rest what was told is metered: acme: u01")),
            "{few:?}"
        );
        let many = pools(&record(), &books(11));
        assert!(
            many.iter().any(|what| what.starts_with("nothing is metered that was not asked")),
            "{many:?}"
        );
        let mut overdrawn = record();
        overdrawn.pools[0].timed.granted.clear();
        let overdrawn = pools(&overdrawn, &books(10));
        assert!(overdrawn[0].starts_with("S3 never overdrawn: acme"), "{overdrawn:?}");
    }

    #[test]
    fn a_key_that_is_charged_twice_is_found() {
        let mut record = record();
        let paid = Paid { node: 3, line: 1, sequence: 1, micros: 10, bytes: String::new() };
        record.charged((0, 1), Some("k"), &paid, (6, 7), false);
        assert!(record.broken[0].starts_with("S7 a key charges at most once"), "{:?}", record.broken);
    }

    #[test]
    fn what_was_forgotten_is_in_the_books() {
        let mut books = books(10);
        books.pools[1].sums.written_off = 3;
        let told = Forgotten { written_off: 3, ..Forgotten::default() };
        assert!(forgotten(&books, told).is_empty());
        assert_eq!(forgotten(&books, Forgotten::default()).len(), 1);
    }
}
