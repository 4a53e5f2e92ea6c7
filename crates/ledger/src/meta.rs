//! What the whole cluster shares: rate cards with the time each comes into force, and workspaces' own prices. Used in the
//! meta group only, which every node follows. Not here: what a call costs (`pricing`), what time it is, pools.
//!
//! Each list of prices that is put takes the next number of one count, its *version*, and never changes. Those that were
//! replaced are kept for [`REPLACED_PRICES_KEPT_MS`], so that what was opened under a version can be settled under it.

use crate::command::KeyedBy;
use crate::limits::{
    KEY_WINDOW_MS, OWN_PRICES_KEPT_MAX, OWN_PRICES_MAX, OWN_PRICES_WORKSPACES_MAX, PRICE_KEYS_MAX,
    RATE_CARDS_MAX, REPLACED_PRICES_KEPT_AT_LEAST_MS, REPLACED_PRICES_KEPT_MS,
};
use crate::outcome::{Outcome, Rejection, Retry};
use pricing::{PriceList, RateCard};
use std::collections::BTreeMap;
use std::sync::Arc;
use types::{Revision, Timestamp, WorkspaceId};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    /// The number that was given last.
    pub last_version: u64,
    /// In the order in which they come into force; of two at one instant that of the higher version counts.
    pub cards: Vec<DatedCard>,
    /// Oldest first; the last one is in force. One without entries says that there are no own prices.
    pub own: BTreeMap<WorkspaceId, Vec<DatedCard>>,
    /// Oldest first.
    pub keys: Vec<PriceKey>,
}

/// Prices and when they come into force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatedCard {
    pub effective_at: Timestamp,
    pub card: Arc<RateCard>,
}

/// A change that was made under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceKey {
    pub at: Timestamp,
    /// Keys of one workspace's prices are apart from all others.
    pub workspace: Option<WorkspaceId>,
    pub keyed: KeyedBy,
    pub answer: PriceAnswer,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceCommand {
    pub keyed: Option<KeyedBy>,
    /// The version that is expected to be in force, 0 for none; of a card that is taken back its own.
    pub if_match: Option<Revision>,
    pub change: PriceChange,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PriceChange {
    /// A rate card for all workspaces. `None`: from its entry.
    PutCard { list: PriceList, effective_at: Option<Timestamp> },
    /// Takes back one that is not in force yet.
    RemoveCard { version: u64 },
    /// A workspace's own prices, from its entry; an empty list takes them away.
    SetOwn { workspace: WorkspaceId, list: PriceList },
}

/// What was put, or taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PriceAnswer {
    pub version: u64,
    pub effective_at: Timestamp,
}

/// Why prices do not change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PriceRejection {
    #[error("{0}")]
    NoCard(String),
    #[error("a rate card comes into force later than now, or at once; leave `effective_at` out for at once")]
    InThePast,
    #[error(
        "there are {RATE_CARDS_MAX} rate cards: in force, scheduled, or replaced within 24 hours and kept for what was opened \
         under them; take a scheduled one back, or put it later"
    )]
    TooManyCards,
    #[error(
        "the workspace's prices were changed {OWN_PRICES_MAX} times within 24 hours, and what they were is kept for what was \
         opened under them; change them later"
    )]
    TooManyOwn,
    #[error(
        "at most {OWN_PRICES_WORKSPACES_MAX} workspaces have prices of their own, with {OWN_PRICES_KEPT_MAX} entries in all, \
         those replaced within 24 hours included"
    )]
    TooManyInAll,
    #[error("there is no rate card of this version; replaced ones are kept for 24 hours")]
    UnknownVersion,
    #[error("this rate card is in force, or was; put another one instead")]
    InForce,
    #[error("the workspace has no prices of its own")]
    NoOwnPrices,
}

impl PriceRejection {
    pub(crate) const fn retry(&self) -> Retry {
        match self {
            Self::NoCard(_) | Self::InThePast | Self::InForce => Retry::Never,
            Self::UnknownVersion | Self::NoOwnPrices => Retry::AfterChange,
            Self::TooManyCards | Self::TooManyOwn | Self::TooManyInAll => Retry::Later,
        }
    }
}

/// What a change will write.
enum Plan {
    Card { card: RateCard, effective_at: Timestamp },
    Remove { at: usize, answer: PriceAnswer },
    Own { workspace: WorkspaceId, card: RateCard },
}

impl Meta {
    /// The rate card that is in force at an instant; `None`: there is none, and nothing has a price.
    pub fn card_at(&self, at: Timestamp) -> Option<&DatedCard> {
        let later = self.cards.partition_point(|dated| dated.effective_at <= at);
        self.cards.get(later.checked_sub(1)?)
    }

    /// In force, scheduled or kept.
    pub fn card_of(&self, version: u64) -> Option<&DatedCard> {
        self.cards.iter().find(|dated| dated.card.version() == version)
    }

    /// A workspace's own prices as they are.
    pub fn own_prices(&self, workspace: &WorkspaceId) -> Option<&DatedCard> {
        self.own.get(workspace)?.last().filter(|dated| !dated.is_empty())
    }

    /// The same as they are or were in a version that is kept.
    pub fn own_prices_of(&self, workspace: &WorkspaceId, version: u64) -> Option<&DatedCard> {
        self.own.get(workspace)?.iter().find(|dated| dated.card.version() == version)
    }

    pub(crate) fn apply(&mut self, command: &PriceCommand, now: Timestamp) -> Result<Outcome, Rejection> {
        let PriceCommand { keyed, if_match, change } = command;
        if let Some(keyed) = keyed
            && let Some(answer) = self.replay(keyed, change.workspace(), now)
        {
            return answer.map(Outcome::Prices);
        }
        let plan = self.decide(change, *if_match, now)?;
        let answer = self.commit(plan, now);
        if let Some(keyed) = keyed {
            let (workspace, keyed) = (change.workspace().cloned(), keyed.clone());
            self.keys.retain(|known| is_recent(known.at, now));
            self.keys.push(PriceKey { at: now, workspace, keyed, answer });
        }
        Ok(Outcome::Prices(answer))
    }

    fn replay(
        &self,
        keyed: &KeyedBy,
        workspace: Option<&WorkspaceId>,
        now: Timestamp,
    ) -> Option<Result<PriceAnswer, Rejection>> {
        let mut recent = self.keys.iter().filter(|known| is_recent(known.at, now));
        let same = |known: &&PriceKey| known.keyed.key == keyed.key && known.workspace.as_ref() == workspace;
        if let Some(known) = recent.clone().find(same) {
            let is_same = known.keyed.command_hash == keyed.command_hash;
            return Some(if is_same { Ok(known.answer) } else { Err(Rejection::KeyConflict) });
        }
        let is_full = recent.nth(PRICE_KEYS_MAX.saturating_sub(1)).is_some();
        is_full.then_some(Err(Rejection::KeyWindowFull { max: PRICE_KEYS_MAX }))
    }

    fn decide(
        &self,
        change: &PriceChange,
        if_match: Option<Revision>,
        now: Timestamp,
    ) -> Result<Plan, Rejection> {
        let version = self.last_version.saturating_add(1);
        match change {
            PriceChange::PutCard { list, effective_at } => {
                matches(if_match, self.card_at(now))?;
                let card = RateCard::new(version, list.clone()).map_err(|why| no_card(&why))?;
                let effective_at = effective_at.unwrap_or(now);
                if effective_at < now {
                    return Err(PriceRejection::InThePast.into());
                }
                // A wrong price is put right at once: what was replaced an hour ago makes room for it.
                let at_least_ms = if effective_at == now {
                    REPLACED_PRICES_KEPT_AT_LEAST_MS
                } else {
                    REPLACED_PRICES_KEPT_MS
                };
                if kept_for(&self.cards, now, at_least_ms).len() >= RATE_CARDS_MAX {
                    return Err(PriceRejection::TooManyCards.into());
                }
                Ok(Plan::Card { card, effective_at })
            }
            PriceChange::RemoveCard { version } => {
                let found = self.cards.iter().position(|dated| dated.card.version() == *version);
                let (at, dated) = found
                    .and_then(|at| Some((at, self.cards.get(at)?)))
                    .ok_or(PriceRejection::UnknownVersion)?;
                matches(if_match, Some(dated))?;
                if dated.effective_at <= now {
                    return Err(PriceRejection::InForce.into());
                }
                Ok(Plan::Remove { at, answer: dated.answer() })
            }
            PriceChange::SetOwn { workspace, list } => {
                matches(if_match, self.own_prices(workspace))?;
                let card = RateCard::own(version, list.clone()).map_err(|why| no_card(&why))?;
                self.decide_own(workspace, list, now)?;
                Ok(Plan::Own { workspace: workspace.clone(), card })
            }
        }
    }

    fn decide_own(&self, workspace: &WorkspaceId, list: &PriceList, now: Timestamp) -> Result<(), Rejection> {
        let takes_away = list.entries() == 0;
        if takes_away && self.own_prices(workspace).is_none() {
            return Err(PriceRejection::NoOwnPrices.into());
        }
        let mine = self.own.get(workspace).map_or(&[][..], |lists| kept_own(lists, now));
        // One more than for changes, so that prices can always be taken away.
        let most = if takes_away { OWN_PRICES_MAX.saturating_add(1) } else { OWN_PRICES_MAX };
        if mine.len() >= most {
            return Err(PriceRejection::TooManyOwn.into());
        }
        let all = self.own.values().map(|lists| kept_own(lists, now)).filter(|kept| !kept.is_empty());
        let (workspaces, entries) = all.fold((0_usize, list.entries()), |(workspaces, entries), kept| {
            let of_it = kept.iter().map(|dated| dated.card.list().entries());
            (workspaces.saturating_add(1), of_it.fold(entries, usize::saturating_add))
        });
        let is_new = mine.is_empty() && workspaces >= OWN_PRICES_WORKSPACES_MAX;
        if !takes_away && (is_new || entries > OWN_PRICES_KEPT_MAX) {
            return Err(PriceRejection::TooManyInAll.into());
        }
        Ok(())
    }

    fn commit(&mut self, plan: Plan, now: Timestamp) -> PriceAnswer {
        let (card, effective_at) = match plan {
            Plan::Remove { at, answer } => {
                self.cards.remove(at);
                return answer;
            }
            Plan::Card { card, effective_at } => {
                // What may go stays as long as there is room, for whoever looks at it.
                if self.cards.len() >= RATE_CARDS_MAX {
                    self.cards.remove(0);
                }
                (card, effective_at)
            }
            Plan::Own { workspace, card } => {
                self.own.retain(|_, lists| {
                    let over = lists.len().saturating_sub(kept_own(lists, now).len());
                    lists.drain(..over);
                    !lists.is_empty()
                });
                self.last_version = card.version();
                let dated = DatedCard { effective_at: now, card: Arc::new(card) };
                let answer = dated.answer();
                self.own.entry(workspace).or_default().push(dated);
                return answer;
            }
        };
        self.last_version = card.version();
        let dated = DatedCard { effective_at, card: Arc::new(card) };
        let answer = dated.answer();
        // The versions of all that are there are lower.
        let place = self.cards.partition_point(|known| known.effective_at <= effective_at);
        self.cards.insert(place, dated);
        answer
    }
}

impl DatedCard {
    fn answer(&self) -> PriceAnswer {
        PriceAnswer { version: self.card.version(), effective_at: self.effective_at }
    }

    fn is_empty(&self) -> bool {
        self.card.list().entries() == 0
    }
}

impl PriceChange {
    /// The workspace whose own prices it changes.
    pub const fn workspace(&self) -> Option<&WorkspaceId> {
        match self {
            Self::SetOwn { workspace, .. } => Some(workspace),
            Self::PutCard { .. } | Self::RemoveCard { .. } => None,
        }
    }
}

/// Those that are in force, to come, or were replaced lately.
fn kept(lists: &[DatedCard], now: Timestamp) -> &[DatedCard] {
    kept_for(lists, now, REPLACED_PRICES_KEPT_MS)
}

fn kept_for(lists: &[DatedCard], now: Timestamp, at_least_ms: i64) -> &[DatedCard] {
    let replaced_at = lists.iter().skip(1).map(|next| next.effective_at);
    let over = replaced_at.take_while(|at| now.since_ms(*at) >= at_least_ms).count();
    lists.get(over..).unwrap_or_default()
}

/// The same, and nothing of a workspace that has had none for so long.
fn kept_own(lists: &[DatedCard], now: Timestamp) -> &[DatedCard] {
    match kept(lists, now) {
        [last] if last.is_empty() && now.since_ms(last.effective_at) >= REPLACED_PRICES_KEPT_MS => &[],
        kept => kept,
    }
}

fn is_recent(at: Timestamp, now: Timestamp) -> bool {
    now.since_ms(at) < KEY_WINDOW_MS
}

fn matches(if_match: Option<Revision>, current: Option<&DatedCard>) -> Result<(), Rejection> {
    let now = Revision(current.map_or(0, |dated| dated.card.version()));
    if if_match.is_some_and(|expected| expected != now) { Err(Rejection::Stale { now }) } else { Ok(()) }
}

fn no_card(why: &pricing::BadCard) -> Rejection {
    PriceRejection::NoCard(why.to_string()).into()
}

impl From<PriceRejection> for Rejection {
    fn from(why: PriceRejection) -> Self {
        Self::Prices(why)
    }
}
