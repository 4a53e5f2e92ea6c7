//! When clients asked and were answered, by the one clock they share: what a black box alone shows, and the sentences over
//! it, which need no look at a ledger. One record per workspace, in micro-credits.
//!
//! Not here: how much was told in all (`told`), the order itself (`order`).

use crate::checkers::{Broken, Verdict};
use crate::order::{Moment, Operation, operations_follow_real_time};
use crate::told::{ChargeName, Told};
use std::collections::BTreeMap;
use types::{HolderId, LineNumber, UserId};

/// One acknowledged consume: when it was first asked for, and first answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    pub user: UserId,
    pub name: ChargeName,
    pub micros: u64,
    pub sent: Moment,
    pub answered: Moment,
}

#[derive(Clone, Debug, Default)]
pub struct Timed {
    pub charges: Vec<Charge>,
    /// Credits that were bought, and when that was asked for.
    pub granted: Vec<(Moment, u64)>,
}

/// On a holder's lines of one user.
type Place = (LineNumber, u64);

/// Lines of a user on one holder, and charges on a line, are numbered in the order in which they were used: none was
/// answered before one with a smaller number was asked for.
pub fn charges_follow_real_time(timed: &Timed) -> Verdict {
    let mut users: BTreeMap<(&UserId, HolderId), Vec<Operation<Place>>> = BTreeMap::new();
    for Charge { user, name: (line, sequence), sent, answered, .. } in &timed.charges {
        let (sent, answered, index) = (*sent, *answered, (line.number, *sequence));
        let charges = users.entry((user, line.holder)).or_default();
        charges.push(Operation { sent, answered, index, wrote: true });
    }
    for ((user, holder), charges) in users {
        operations_follow_real_time(&charges).map_err(|Broken { what, .. }| Broken {
            sentence: "S12 charges on a user's lines follow real time",
            what: format!("{user} at {holder:?}: {what}"),
        })?;
    }
    Ok(())
}

/// S3 at every instant. A grant counts from when it was asked for, a charge from when its answer was there.
pub fn never_overdrawn(timed: &Timed) -> Verdict {
    let grants = timed.granted.iter().map(|(at, micros)| (*at, false, *micros));
    let charges = timed.charges.iter().map(|charge| (charge.answered, true, charge.micros));
    let mut steps: Vec<(Moment, bool, u64)> = grants.chain(charges).collect();
    steps.sort_unstable();
    let (mut given, mut told) = (0_u64, 0_u64);
    for (at, is_charge, micros) in steps {
        *(if is_charge { &mut told } else { &mut given }) += micros;
        if told > given {
            let what = format!("at {at}: told {told}, granted {given}");
            return Err(Broken { sentence: "S3 never overdrawn", what });
        }
    }
    Ok(())
}

/// A number on a line that nobody was told, up to the last one that somebody was, is a charge of no known end.
pub fn every_number_is_told_or_lost(timed: &Timed, told: &Told) -> Verdict {
    let mut lines = BTreeMap::new();
    for Charge { user, name: (line, sequence), .. } in &timed.charges {
        let (count, last) = lines.entry((user, line)).or_insert((0, 0));
        (*count, *last) = (*count + 1, sequence.max(last).to_owned());
    }
    let mut gaps: BTreeMap<&UserId, u64> = BTreeMap::new();
    for ((user, _), (count, last)) in lines {
        *gaps.entry(user).or_default() += last.saturating_sub(count);
    }
    for (user, missing) in gaps {
        let lost = told.of_no_known_end(user);
        if missing > lost {
            let what = format!("{user}: {missing} missing, {lost} lost");
            return Err(Broken { sentence: "every number is told or lost", what });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::{Credits, DiskId, LineId, NodeId};

    fn charge(line: u64, sequence: u64, sent: Moment, answered: Moment) -> Charge {
        let holder = HolderId { node: NodeId(2), disk: DiskId(0) };
        let name = (LineId { holder, number: LineNumber(line) }, sequence);
        Charge { user: UserId::parse("ann").unwrap(), name, micros: 10, sent, answered }
    }

    fn timed(charges: &[Charge], granted: &[(Moment, u64)]) -> Timed {
        Timed { charges: charges.to_vec(), granted: granted.to_vec() }
    }

    #[test]
    fn numbers_out_of_order_are_found() {
        let good = [charge(1, 1, 0, 5), charge(1, 3, 4, 6), charge(1, 2, 3, 9), charge(2, 1, 10, 12)];
        charges_follow_real_time(&timed(&good, &[])).unwrap();
        let late = [charge(1, 1, 6, 7), charge(1, 2, 0, 5)];
        assert!(charges_follow_real_time(&timed(&late, &[])).is_err());
        let old_line = [charge(2, 1, 0, 5), charge(1, 9, 6, 7)];
        assert!(charges_follow_real_time(&timed(&old_line, &[])).is_err());
        let mut other = charge(1, 9, 6, 7);
        other.user = UserId::parse("bob").unwrap();
        charges_follow_real_time(&timed(&[charge(2, 1, 0, 5), other], &[])).unwrap();
    }

    #[test]
    fn an_instant_of_overdraft_is_found() {
        let charges = [charge(1, 1, 0, 5), charge(1, 2, 0, 8)];
        never_overdrawn(&timed(&charges, &[(0, 10), (8, 10)])).unwrap();
        assert!(never_overdrawn(&timed(&charges, &[(0, 10), (9, 90)])).is_err());
    }

    #[test]
    fn a_number_that_nobody_was_told_is_found() {
        let missing = timed(&[charge(1, 4, 0, 5), charge(1, 2, 0, 5)], &[]);
        let (mut told, ann) = (Told::default(), UserId::parse("ann").unwrap());
        assert!(every_number_is_told_or_lost(&missing, &told).is_err());
        told.asked(&ann, Credits::from_micros(1).unwrap());
        told.asked(&ann, Credits::from_micros(2).unwrap());
        every_number_is_told_or_lost(&missing, &told).unwrap();
    }
}
