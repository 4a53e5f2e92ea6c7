//! The hash of a parsed command, kept with its idempotency key: the same command has the same hash however it was
//! written (`1.50` and `"1.5"`, fields in any order, a default left out or spelled out).
//!
//! Hashed is the workspace and what is to be changed, not `If-Match`: a retry that has read the resource again is
//! still the same command. The encoding is injective: a tag per command, texts with their length in front, numbers as
//! eight bytes, options behind a byte that says whether they are there. All integers are little-endian.
//!
//! Frozen: two nodes of different versions must agree. A changed encoding is a new domain.

use crate::translate;
use quota::{
    Change, Keep, Minimum, NewGrant, NewImport, NewRefund, OverageRule, Plan, PlanChange, PlanTerm, Price,
    PriceChange, PriceList, Prices, Rollover, ServiceChange, Shares, Subject, TeamChange, Term, Tier,
    WorkspaceSettings,
};
use types::{Credits, CreditsDelta, CycleDays, Timestamp, WorkspaceId};
use wire::json::{Durability, Enforcement, Shown, Word};

const DOMAIN: &str = "tranche administrator command 1";
const PRICES_DOMAIN: &str = "tranche price command 1";

/// BLAKE3 of a command's canonical encoding.
pub(crate) fn of(workspace: &WorkspaceId, change: &Change) -> [u8; 32] {
    let mut print = Fingerprint(blake3::Hasher::new());
    print.text(DOMAIN).text(workspace.as_str());
    match change {
        // The ends that are looked up for a rule are none of the caller's words.
        Change::PutWorkspace(WorkspaceSettings {
            name,
            membership,
            durability,
            enforcement,
            timezone,
            cycle,
            ends: _,
            began: _,
            clock: _,
        }) => {
            print.tag(1).maybe(name.as_deref(), |print, name| print.text(name));
            print
                .maybe(membership.as_ref(), |print, choice| print.word(&translate::membership_json(*choice)));
            print.maybe(durability.as_ref(), |print, choice| print.word(&Durability::from(*choice)));
            // Said after these or not at all: so those that say nothing of it are what they were.
            if let Some(timezone) = timezone {
                print.tag(1).word(timezone);
            }
            if let Some(CycleDays { every, anchor }) = cycle {
                print.tag(2).word(&translate::every_json(*every)).word(anchor);
            }
            if let Some(enforcement) = enforcement {
                print.tag(40).word(&Enforcement::from(*enforcement));
            }
        }
        Change::MakeGrant(NewGrant {
            id,
            kind,
            amount,
            priority,
            paid,
            starts_at,
            expires_at,
            term,
            price,
        }) => {
            print.tag(2).word(id).word(&translate::grant_kind_json(*kind)).credits(*amount);
            print.number(u64::from(*priority)).flag(*paid);
            print.maybe(starts_at.as_ref(), |print, at| print.instant(*at));
            print.maybe(expires_at.as_ref(), |print, at| print.instant(*at));
            if let Term::Cycle(rollover) = term {
                print.rollover(rollover);
            }
            if let Some(price) = price {
                print.tag(36).text(&price.to_string());
            }
        }
        Change::VoidGrant { grant } => {
            print.tag(3).word(grant);
        }
        Change::PutMember { user, ai_access, team, role, service } => {
            print.tag(4).word(user).maybe(ai_access.as_ref(), |print, on| print.flag(*on));
            // Out of every team: said by another byte than those that say whether one is named.
            match team {
                Some(None) => print.tag(2),
                Some(Some(team)) => print.flag(true).word(team),
                None => print.flag(false),
            };
            print.maybe(role.as_ref(), |print, role| print.word(&translate::role_json(*role)));
            let ServiceChange { kind, owner, shares } = service;
            // Said after these or not at all, as of a workspace's settings.
            if let Some(kind) = kind {
                print.tag(30).word(&translate::member_kind_json(*kind));
            }
            if let Some(owner) = owner {
                print.tag(31).word(owner);
            }
            match shares {
                None => {}
                Some(Shares::Nothing) => {
                    print.tag(32);
                }
                Some(Shares::WithOwner) => {
                    print.tag(33);
                }
                Some(Shares::With(service)) => {
                    print.tag(34).word(service);
                }
            }
        }
        Change::SetAllocation { user, amount, overflow } => {
            print.tag(5).word(user).credits(*amount);
            print.maybe(overflow.as_ref(), |print, choice| print.word(&translate::overflow_json(*choice)));
        }
        Change::AdjustAllocation { user, delta } => {
            let (up, by) = match delta {
                CreditsDelta::Raise(by) => (true, by),
                CreditsDelta::Lower(by) => (false, by),
            };
            print.tag(6).word(user).flag(up).credits(*by);
        }
        Change::RemoveAllocation { user } => {
            print.tag(7).word(user);
        }
        Change::Reallocate { id, from, to, amount } => {
            print.tag(8).word(id).word(from).word(to).credits(*amount);
        }
        Change::SetLimit { of: Subject::User(user), window, amount } => {
            print.tag(9).word(user).word(&translate::window_json(*window));
            print.maybe(amount.as_ref(), |print, amount| print.credits(*amount));
        }
        Change::SetLimit { of: Subject::Team(team), window, amount } => {
            print.tag(20).word(team).word(&translate::window_json(*window));
            print.maybe(amount.as_ref(), |print, amount| print.credits(*amount));
        }
        Change::SetLimit { of: Subject::Feature(feature), window, amount } => {
            print.tag(22).word(feature).word(&translate::window_json(*window));
            print.maybe(amount.as_ref(), |print, amount| print.credits(*amount));
        }
        Change::SetLimit { of: Subject::Model(model), window, amount } => {
            print.tag(23).word(model).word(&translate::window_json(*window));
            print.maybe(amount.as_ref(), |print, amount| print.credits(*amount));
        }
        Change::LiftLimits { of: Subject::User(user) } => {
            print.tag(13).word(user);
        }
        Change::LiftLimits { of: Subject::Team(team) } => {
            print.tag(21).word(team);
        }
        Change::LiftLimits { of: Subject::Feature(feature) } => {
            print.tag(24).word(feature);
        }
        Change::LiftLimits { of: Subject::Model(model) } => {
            print.tag(25).word(model);
        }
        Change::Plan(PlanChange::Set { plan, when }) => {
            let Plan {
                id,
                name,
                allowance,
                per_seat,
                paid,
                rollover,
                mid_cycle,
                overage,
                features,
                prices,
                term,
            } = plan;
            print.tag(10).word(id).credits(*allowance).credits(*per_seat).flag(*paid).rollover(rollover);
            print.word(&translate::mid_cycle_json(*mid_cycle)).word(&translate::when_json(*when));
            // Said after these or not at all: a plan that says nothing of it is what it was.
            if let Some(rule) = overage {
                print.overage(*rule);
            }
            if let Some(features) = features {
                print.tag(30).number(features.len() as u64);
                for feature in features {
                    print.word(feature);
                }
            }
            if let Some(name) = name {
                print.tag(31).text(name);
            }
            let Prices { cycle, seat, overage } = prices;
            for (tag, price) in [(32, cycle), (33, seat), (34, overage)] {
                if let Some(price) = price {
                    print.tag(tag).text(&price.to_string());
                }
            }
            if *term == PlanTerm::Year {
                print.tag(35);
            }
        }
        Change::SetPooling(mode) => {
            print.tag(16).word(&translate::pooling_json(*mode));
        }
        Change::Plan(PlanChange::Cancel) => {
            print.tag(11);
        }
        Change::Team { team, change } => {
            print.tag(15).word(team);
            match change {
                TeamChange::Put { parent } => {
                    print.tag(1).maybe(parent.as_ref(), |print, parent| print.word(parent))
                }
                TeamChange::Remove => print.tag(2),
                TeamChange::SetReserve { amount } => print.tag(3).credits(*amount),
                TeamChange::AdjustReserve { delta: CreditsDelta::Raise(by) } => print.tag(4).credits(*by),
                TeamChange::AdjustReserve { delta: CreditsDelta::Lower(by) } => print.tag(5).credits(*by),
                TeamChange::RemoveReserve => print.tag(6),
            };
        }
        // What the charge drew is the holder's word, and the same whenever it is asked.
        Change::Refund(refund) => {
            let NewRefund { id, holder: _, charge, user: _, parts: _, amount } = refund.as_ref();
            print.tag(14).word(charge).maybe(id.as_ref(), |print, id| print.word(id));
            print.maybe(amount.as_ref(), |print, amount| print.credits(*amount));
        }
        // What it costs is nobody's word.
        Change::ImportUsage(items) => {
            print.tag(17).number(items.len() as u64);
            for NewImport { id, body, .. } in items {
                print.word(id).0.update(body);
            }
        }
        Change::SetOverage { user, rule } => {
            print.tag(12).maybe(user.as_ref(), |print, user| print.word(user));
            print.maybe(rule.as_ref(), |print, rule| print.overage(*rule));
        }
    }
    *print.0.finalize().as_bytes()
}

/// The same of a change of prices, whose lists are in the one order of a listing.
pub(crate) fn of_prices(change: &PriceChange) -> [u8; 32] {
    let mut print = Fingerprint(blake3::Hasher::new());
    print.text(PRICES_DOMAIN);
    match change {
        PriceChange::PutCard { list, effective_at } => {
            print.tag(1).prices(list).maybe(effective_at.as_ref(), |print, at| print.instant(*at));
        }
        PriceChange::RemoveCard { version } => {
            print.tag(2).number(*version);
        }
        PriceChange::SetOwn { workspace, list } => {
            print.tag(3).word(workspace).prices(list);
        }
    }
    *print.0.finalize().as_bytes()
}

struct Fingerprint(blake3::Hasher);

impl Fingerprint {
    fn tag(&mut self, tag: u8) -> &mut Self {
        self.0.update(&[tag]);
        self
    }

    fn flag(&mut self, on: bool) -> &mut Self {
        self.tag(u8::from(on))
    }

    fn number(&mut self, number: u64) -> &mut Self {
        self.0.update(&number.to_le_bytes());
        self
    }

    fn credits(&mut self, credits: Credits) -> &mut Self {
        self.number(credits.micros())
    }

    fn overage(&mut self, rule: OverageRule) -> &mut Self {
        match rule {
            OverageRule::Off => self.tag(0),
            OverageRule::On => self.tag(1),
            OverageRule::UpTo(cap) => self.tag(2).credits(cap),
        }
    }

    fn rollover(&mut self, Rollover { keep, cycles }: &Rollover) -> &mut Self {
        match keep {
            Keep::None => self.tag(1),
            Keep::All => self.tag(2),
            Keep::UpTo(amount) => self.tag(3).credits(*amount),
            Keep::Percent(percent) => self.tag(4).tag(*percent),
        };
        self.maybe(*cycles, |print, cycles| print.number(u64::from(cycles)))
    }

    fn prices(&mut self, PriceList { prices, minimums }: &PriceList) -> &mut Self {
        self.number(prices.len() as u64);
        for Price { feature, model, unit, per, credits, tiers } in prices {
            self.word(feature).maybe(model.as_ref(), Self::word).word(unit).number(*per).credits(*credits);
            self.number(tiers.len() as u64);
            for Tier { above, credits } in tiers {
                self.number(*above).credits(*credits);
            }
        }
        self.number(minimums.len() as u64);
        for Minimum { feature, model, credits } in minimums {
            self.word(feature).maybe(model.as_ref(), Self::word).credits(*credits);
        }
        self
    }

    fn instant(&mut self, at: Timestamp) -> &mut Self {
        self.0.update(&at.millis().to_le_bytes());
        self
    }

    fn text(&mut self, text: &str) -> &mut Self {
        self.number(text.len() as u64);
        self.0.update(text.as_bytes());
        self
    }

    fn word<T: Word>(&mut self, word: &T) -> &mut Self {
        self.text(&Shown(word).to_string())
    }

    fn maybe<T>(&mut self, value: Option<T>, there: impl FnOnce(&mut Self, T) -> &mut Self) -> &mut Self {
        self.flag(value.is_some());
        match value {
            Some(value) => there(self, value),
            None => self,
        }
    }
}

#[cfg(test)]
mod tests;
