//! Whether what the clients were told is what the ledger says. Pure: books before, books after, and the claims of the
//! clients in, checks out. Not here: reading the books (`books`).
//!
//! Without unknown outcomes every check is an equation. A request with an unknown outcome may or may not be on the
//! books, so it makes an interval: told ≤ ledger ≤ told + unknown. A node that was lost widens it by what the ledger
//! wrote off, could not attribute, or credited back, each of which it says itself.

use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use types::{Credits, MICROS_PER_CREDIT, UserId};

/// The ledger's word on one workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Books {
    pub cycle: u32,
    /// Includes unattributed and written off.
    pub used: Credits,
    pub unattributed: Credits,
    pub written_off: Credits,
    pub exposure: Credits,
    /// Out on nodes that do not answer.
    pub unreachable: Credits,
    /// By user, the sum over his features.
    pub users: BTreeMap<UserId, Credits>,
    pub calls: u64,
}

impl Books {
    /// The sum over users × features.
    fn rows(&self) -> i128 {
        self.users.values().map(|credits| micros(*credits)).sum()
    }

    /// Whether rows and summary tell the same.
    pub fn agree(&self) -> bool {
        self.rows() + micros(self.unattributed) + micros(self.written_off) == micros(self.used)
    }
}

/// The clients' word on one user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Claim {
    pub told: Credits,
    pub calls: u64,
    /// The price of requests whose outcome is unknown, and their number.
    pub unknown: Credits,
    pub unknown_calls: u64,
}

/// One sentence that must be true: `at_least ≤ ledger ≤ at_most`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Check {
    pub what: String,
    pub at_least: String,
    pub ledger: String,
    pub at_most: String,
    pub holds: bool,
}

/// All sentences; users who are in order are only counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Audit {
    pub balanced: bool,
    /// Some outcomes are unknown or some credits lost, so that some checks are intervals.
    pub interval: bool,
    pub users_checked: usize,
    pub checks: Vec<Check>,
}

/// Compares. `before` is what was on the books when the replay began.
pub(crate) fn audit(before: &Books, after: &Books, claims: &BTreeMap<UserId, Claim>) -> Audit {
    let grown = |of: fn(&Books) -> Credits| micros(of(after)) - micros(of(before));
    let sum = |of: fn(&Claim) -> Credits| claims.values().map(|claim| micros(of(claim))).sum::<i128>();
    let calls = |of: fn(&Claim) -> u64| claims.values().map(|claim| i128::from(of(claim))).sum::<i128>();
    let (written_off, exposure) = (grown(|b| b.written_off), grown(|b| b.exposure));
    // What may be missing in the rows although the clients were told.
    let lost = grown(|b| b.unattributed) + written_off + exposure;

    let (told, unknown) = (sum(|c| c.told), sum(|c| c.unknown));
    let mut checks = vec![
        credits("told = ledger, in total", told - exposure, grown(|b| b.used), told + unknown + written_off),
        credits(
            "ledger = sum over users × features",
            micros(after.used),
            after.rows() + micros(after.unattributed) + micros(after.written_off),
            micros(after.used),
        ),
    ];
    let (told_calls, unknown_calls) = (calls(|c| c.calls), calls(|c| c.unknown_calls));
    let least_calls = if lost == 0 { told_calls } else { 0 };
    let ledger_calls = i128::from(after.calls) - i128::from(before.calls);
    checks.push(check(
        "calls told = calls metered",
        least_calls,
        ledger_calls,
        told_calls + unknown_calls,
        |n| n.to_string(),
    ));
    if before.cycle != after.cycle {
        let (before, after) = (i128::from(before.cycle), i128::from(after.cycle));
        checks.push(check("the cycle has not rolled over", before, after, before, |n| n.to_string()));
    }

    let users: BTreeSet<&UserId> =
        claims.keys().chain(after.users.keys()).chain(before.users.keys()).collect();
    for user in &users {
        let Claim { told, unknown, .. } = claims.get(*user).copied().unwrap_or_default();
        let of = |books: &Books| books.users.get(*user).map_or(0, |credits| micros(*credits));
        let (told, unknown) = (micros(told), micros(unknown));
        let one =
            credits(&format!("told = ledger, {user}"), told - lost, of(after) - of(before), told + unknown);
        checks.extend((!one.holds).then_some(one));
    }
    Audit {
        balanced: checks.iter().all(|check| check.holds),
        interval: unknown_calls > 0 || lost != 0,
        users_checked: users.len(),
        checks,
    }
}

fn credits(what: &str, at_least: i128, ledger: i128, at_most: i128) -> Check {
    check(what, at_least, ledger, at_most, text)
}

fn check(what: &str, at_least: i128, ledger: i128, at_most: i128, text: fn(i128) -> String) -> Check {
    Check {
        what: what.into(),
        at_least: text(at_least.max(0)),
        ledger: text(ledger),
        at_most: text(at_most),
        holds: at_least <= ledger && ledger <= at_most,
    }
}

fn micros(credits: Credits) -> i128 {
    i128::from(credits.micros())
}

/// Credits of any size and sign: books that are wrong can be wrong by anything.
fn text(micros: i128) -> String {
    let (sign, size) = (if micros < 0 { "-" } else { "" }, micros.unsigned_abs());
    let (whole, part) = (size / u128::from(MICROS_PER_CREDIT), size % u128::from(MICROS_PER_CREDIT));
    let digits = format!("{part:06}");
    let part = digits.trim_end_matches('0');
    if part.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{part}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn c(text: &str) -> Credits {
        text.parse().unwrap()
    }

    fn user(text: &str) -> UserId {
        UserId::parse(text).unwrap()
    }

    fn books(users: &[(&str, &str)], calls: u64) -> Books {
        let users: BTreeMap<UserId, Credits> =
            users.iter().map(|(name, used)| (user(name), c(used))).collect();
        Books {
            cycle: 1,
            used: Credits::checked_sum(users.values().copied()).unwrap(),
            unattributed: Credits::ZERO,
            written_off: Credits::ZERO,
            exposure: Credits::ZERO,
            unreachable: Credits::ZERO,
            users,
            calls,
        }
    }

    fn claims(claims: &[(&str, &str, u64, &str, u64)]) -> BTreeMap<UserId, Claim> {
        let claim = |(name, told, calls, unknown, unknown_calls): &(&str, &str, u64, &str, u64)| {
            let claim =
                Claim { told: c(told), calls: *calls, unknown: c(unknown), unknown_calls: *unknown_calls };
            (user(name), claim)
        };
        claims.iter().map(claim).collect()
    }

    fn wrong(audit: &Audit) -> Vec<&str> {
        audit.checks.iter().filter(|check| !check.holds).map(|check| &*check.what).collect()
    }

    #[test]
    fn balanced_to_the_last_micro_credit() {
        let after = books(&[("ann", "1.5"), ("bob", "0.000001")], 3);
        let claims = claims(&[("ann", "1.5", 2, "0", 0), ("bob", "0.000001", 1, "0", 0)]);
        let audit = audit(&books(&[], 0), &after, &claims);
        assert!(audit.balanced && !audit.interval, "{audit:?}");
        assert_eq!((audit.users_checked, audit.checks.len()), (2, 3));
    }

    #[test]
    fn what_was_used_before_is_taken_off() {
        let before = books(&[("ann", "100"), ("eve", "7")], 50);
        let after = books(&[("ann", "101.5"), ("eve", "7")], 52);
        assert!(audit(&before, &after, &claims(&[("ann", "1.5", 2, "0", 0)])).balanced);
        let stranger = books(&[("ann", "101.5"), ("eve", "8")], 53);
        let audit = audit(&before, &stranger, &claims(&[("ann", "1.5", 2, "0", 0)]));
        let all = ["told = ledger, in total", "calls told = calls metered", "told = ledger, eve"];
        assert_eq!(wrong(&audit), all);
    }

    #[test]
    fn one_micro_credit_is_enough_in_either_direction() {
        for told in ["1.499999", "1.500001"] {
            let audit =
                audit(&books(&[], 0), &books(&[("ann", "1.5")], 1), &claims(&[("ann", told, 1, "0", 0)]));
            assert_eq!(wrong(&audit), ["told = ledger, in total", "told = ledger, ann"], "{told}");
        }
    }

    #[test]
    fn two_wrong_users_do_not_make_a_right_total() {
        let after = books(&[("ann", "2"), ("bob", "1")], 2);
        let audit =
            audit(&books(&[], 0), &after, &claims(&[("ann", "1", 1, "0", 0), ("bob", "2", 1, "0", 0)]));
        assert_eq!(wrong(&audit), ["told = ledger, ann", "told = ledger, bob"]);
    }

    #[test]
    fn rows_that_do_not_sum_up_are_found() {
        let mut after = books(&[("ann", "1.5")], 1);
        after.used = c("1.6");
        assert!(!after.agree());
        let audit = audit(&books(&[], 0), &after, &claims(&[("ann", "1.5", 1, "0", 0)]));
        assert_eq!(wrong(&audit), ["told = ledger, in total", "ledger = sum over users × features"]);
    }

    #[test]
    fn unknown_outcomes_make_an_interval() {
        let claims = claims(&[("ann", "10", 4, "2.5", 1), ("bob", "1", 1, "0", 0)]);
        let with =
            |ann: &str, calls| audit(&books(&[], 0), &books(&[("ann", ann), ("bob", "1")], calls), &claims);
        assert!(with("10", 5).balanced && with("10", 5).interval);
        assert!(with("12.5", 6).balanced);
        assert_eq!(wrong(&with("9.999999", 5)).len(), 2, "less than was told");
        assert_eq!(wrong(&with("12.500001", 6)).len(), 2, "more than could have been");
        assert_eq!(wrong(&with("12.5", 7)), ["calls told = calls metered"]);
    }

    #[test]
    fn an_unknown_of_one_user_excuses_no_other() {
        let claims = claims(&[("ann", "10", 1, "5", 1), ("bob", "1", 1, "0", 0)]);
        let audit = audit(&books(&[], 0), &books(&[("ann", "10"), ("bob", "2")], 3), &claims);
        assert_eq!(wrong(&audit), ["told = ledger, bob"]);
    }

    #[test]
    fn what_the_ledger_says_it_lost_widens_by_exactly_that() {
        let claims = claims(&[("ann", "10", 4, "0", 0)]);
        let mut lost = books(&[("ann", "7")], 3);
        lost.unattributed = c("3");
        lost.used = c("10");
        let verdict = audit(&books(&[], 0), &lost, &claims);
        assert!(verdict.balanced && verdict.interval, "{verdict:?}");
        lost.unattributed = c("2");
        lost.used = c("9");
        assert!(!audit(&books(&[], 0), &lost, &claims).balanced);

        let mut written_off = books(&[("ann", "7")], 3);
        written_off.written_off = c("8");
        written_off.used = c("15");
        assert!(audit(&books(&[], 0), &written_off, &claims).balanced);

        let mut exposed = books(&[("ann", "7")], 3);
        exposed.exposure = c("3");
        assert!(audit(&books(&[], 0), &exposed, &claims).balanced);
        exposed.exposure = c("2.999999");
        assert!(!audit(&books(&[], 0), &exposed, &claims).balanced);
    }

    #[test]
    fn books_of_another_cycle_are_not_compared_in_silence() {
        let mut after = books(&[("ann", "1")], 1);
        after.cycle = 2;
        let audit = audit(&books(&[], 0), &after, &claims(&[("ann", "1", 1, "0", 0)]));
        assert_eq!(wrong(&audit), ["the cycle has not rolled over"]);
    }

    #[test]
    fn wrong_by_any_sign_and_size() {
        assert_eq!(text(0), "0");
        assert_eq!(text(-1_500_000), "-1.5");
        assert_eq!(text(i128::from(u64::MAX) * 1_000_000), "18446744073709551615");
        assert_eq!(text(-1), "-0.000001");
    }

    proptest! {
        /// Any set of outcomes, each unknown one done or not, balances; the same books off by one do not.
        #[test]
        fn every_true_story_balances_and_no_false_total(
            story in proptest::collection::vec((0..4_usize, 0..5_000_000_u64, 0..3_u8), 0..60), off in 1..1_000_u64,
        ) {
            let names = ["ann", "bob", "cid", "dan"];
            let mut claims: BTreeMap<UserId, Claim> = BTreeMap::new();
            let mut after = books(&[], 0);
            for (who, price, outcome) in story {
                let price = Credits::from_micros(price).unwrap();
                let claim = claims.entry(user(names[who])).or_default();
                // 0: told yes; 1: unknown and done; 2: unknown and not done.
                if outcome == 0 {
                    claim.told.grow(price);
                    claim.calls += 1;
                } else {
                    claim.unknown.grow(price);
                    claim.unknown_calls += 1;
                }
                if outcome < 2 {
                    after.users.entry(user(names[who])).or_default().grow(price);
                    after.used.grow(price);
                    after.calls += 1;
                }
            }
            let verdict = audit(&books(&[], 0), &after, &claims);
            prop_assert!(verdict.balanced, "{:?}", verdict);
            let unknown = Credits::checked_sum(claims.values().map(|claim| claim.unknown)).unwrap();
            let told = Credits::checked_sum(claims.values().map(|claim| claim.told)).unwrap();
            after.used = told.saturating_add(unknown).saturating_add(Credits::from_micros(off).unwrap());
            prop_assert!(!audit(&books(&[], 0), &after, &claims).balanced);
        }
    }
}
