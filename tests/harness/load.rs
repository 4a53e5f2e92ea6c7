//! Counting: what clients were told, against what the books say. Not here: asking (`api`).

use crate::api::{Api, Spent, credits};
use crate::wait::{PATIENCE, eventually};
use std::collections::BTreeMap;
use types::Credits;

/// What clients were told, in sum.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub allowed: Credits,
    pub calls: u64,
    /// Asked for without a known outcome.
    pub unknown: Credits,
    pub refused: BTreeMap<String, u64>,
    /// What the first refusal with each code said, for people.
    pub words: BTreeMap<String, String>,
}

impl Tally {
    pub fn note(&mut self, asked: Credits, spent: &Spent) {
        match spent {
            Spent::Allowed { charged, .. } => {
                assert_eq!(*charged, asked, "charged is what was asked");
                self.allowed.grow(*charged);
                self.calls += 1;
            }
            Spent::Refused { code, detail } => {
                *self.refused.entry(code.clone()).or_insert(0) += 1;
                self.words.entry(code.clone()).or_insert_with(|| detail.clone());
            }
            Spent::Unknown => self.unknown.grow(asked),
        }
    }

    pub fn add(&mut self, other: &Self) {
        self.allowed.grow(other.allowed);
        self.calls += other.calls;
        self.unknown.grow(other.unknown);
        for (code, count) in &other.refused {
            *self.refused.entry(code.clone()).or_insert(0) += count;
        }
        for (code, word) in &other.words {
            self.words.entry(code.clone()).or_insert_with(|| word.clone());
        }
    }

    pub fn sum<'a>(tallies: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut sum = Self::default();
        tallies.into_iter().for_each(|tally| sum.add(tally));
        sum
    }

    /// Refusals with any other code than these.
    pub fn refused_otherwise(&self, codes: &[&str]) -> BTreeMap<String, u64> {
        let mut others = self.refused.clone();
        others.retain(|code, _| !codes.contains(&code.as_str()));
        others
    }
}

/// The summary of a workspace, read fresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Books {
    pub granted: Credits,
    pub used: Credits,
    pub remaining: Credits,
    pub available: Credits,
    pub leased: Credits,
    pub unreachable: Credits,
    pub unattributed: Credits,
    pub allocated: Credits,
    pub shared: Credits,
    pub pending: Credits,
}

impl Books {
    pub async fn read(api: &mut Api, workspace: &str) -> Self {
        let summary = api.workspace(workspace).await;
        let of = |name: &str| credits(&summary[name]);
        let books = Self {
            granted: of("granted"),
            used: of("used"),
            remaining: of("remaining"),
            available: of("available"),
            leased: of("leased"),
            unreachable: of("unreachable"),
            unattributed: of("unattributed"),
            allocated: of("allocated"),
            shared: of("shared"),
            pending: of("pending"),
        };
        books.add_up(of("held"));
        books
    }

    /// The sums every summary keeps.
    fn add_up(&self, held: Credits) {
        let sum = |parts: &[Credits]| Credits::checked_sum(parts.iter().copied()).expect("within the bound");
        assert_eq!(
            self.granted,
            sum(&[self.used, held, self.remaining]),
            "granted = used + held + remaining"
        );
        assert_eq!(self.remaining, sum(&[self.available, self.leased]), "remaining = available + leased");
        assert!(self.unattributed <= self.used && self.unreachable <= self.leased, "{self:?}");
    }

    /// Waits until the books have caught up with the holders: `used` is what clients were told. More than that, beyond
    /// what is unknown, is a failure at once, and so is anything unattributed.
    pub async fn settled(api: &mut Api, workspace: &str, told: &Tally) -> Self {
        let most = told.allowed.checked_add(told.unknown).expect("within the bound");
        let what = format!("{workspace}: used reaches the {} allowed", told.allowed);
        eventually(&what, PATIENCE, async || {
            let books = Self::read(api, workspace).await;
            assert_eq!(books.unattributed, Credits::ZERO, "nothing is unattributed: {books:?}");
            assert!(books.used <= most, "charged {} but told {told:?}", books.used);
            (books.used >= told.allowed).then_some(books)
        })
        .await
    }
}

/// Reads in a row that say the same before something counts as at rest.
const SAME_READS: u32 = 15;

impl Books {
    /// Settled, and nothing moves any more: draws ahead of need have come, and what was reported is booked.
    pub async fn at_rest(api: &mut Api, workspace: &str, told: &Tally) -> Self {
        let (mut last, mut same) = (None, 0);
        eventually("the leases have come to rest", PATIENCE, async || {
            let books = Self::settled(api, workspace, told).await;
            same = if last.replace(books) == Some(books) { same + 1 } else { 0 };
            (same == SAME_READS).then_some(books)
        })
        .await
    }
}

/// Every term of S1 of every pool holds on this node.
pub async fn assert_conserved(api: &mut Api) {
    let books = api.read("/v1/debug/conservation").await;
    assert_eq!(books["holds"], true, "{books:#}");
}
