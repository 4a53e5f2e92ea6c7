//! What was said of holds, and the sentences over it (S17): a hold ends once, is charged at most what was held and at least
//! what was confirmed, and what was answered is still so after its holder has died. In micro-credits. Not here: what its
//! charge does to the books (`told`).

use crate::checkers::{Broken, Verdict};
use std::collections::BTreeMap;
use types::{HoldNumber, HolderId, LineId, UserId};

pub type HoldName = (HolderId, HoldNumber);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Settled,
    Released,
    Expired,
    SettledLate,
}

/// How a hold ended, and what it was charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Over {
    pub end: End,
    pub charged: u64,
}

/// What its holder knows of a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    Open { held: u64, confirmed: u64 },
    Over(Over),
    Unknown,
}

#[derive(Clone, Debug)]
pub struct Hold {
    pub user: UserId,
    pub line: LineId,
    /// Told, and asked for.
    pub held: (u64, u64),
    pub confirmed: (u64, u64),
    /// What may be used of it, as far as is known.
    pub asked: u64,
    /// Somebody has asked for its end: it may be over without being told.
    pub end_was_asked: bool,
    pub over: Option<Over>,
}

#[derive(Clone, Debug, Default)]
pub struct Holds {
    known: BTreeMap<HoldName, Hold>,
}

fn holds(condition: bool, sentence: &'static str, what: impl FnOnce() -> String) -> Verdict {
    if condition { Ok(()) } else { Err(Broken { sentence, what: what() }) }
}

const ONCE: &str = "S17 a hold ends once";
const WITHIN: &str = "S17 a hold is charged at most what was held, and at least what is confirmed";
const KEPT: &str = "S11 what was told of a hold survives";

impl Holds {
    pub fn get(&self, name: HoldName) -> Option<&Hold> {
        self.known.get(&name)
    }

    pub fn get_mut(&mut self, name: HoldName) -> Option<&mut Hold> {
        self.known.get_mut(&name)
    }

    /// Those of one holder.
    pub fn of(&self, holder: HolderId) -> impl Iterator<Item = (HoldName, &Hold)> {
        let all = (holder, HoldNumber(0))..=(holder, HoldNumber(u64::MAX));
        self.known.range(all).map(|(name, hold)| (*name, hold))
    }

    pub fn opened(&mut self, name: HoldName, user: &UserId, line: LineId, held: u64) -> Verdict {
        let (user, held, confirmed) = (user.clone(), (held, held), (0, 0));
        let hold = Hold { user, line, held, confirmed, asked: held.0, end_was_asked: false, over: None };
        let before = self.known.insert(name, hold);
        holds(before.is_none(), "S10 no hold is numbered twice", || format!("{name:?}: {before:?}"))
    }

    pub fn asked_to_extend(&mut self, name: HoldName, to: u64, confirmed: u64) {
        if let Some(hold) = self.known.get_mut(&name) {
            hold.held.1 = hold.held.1.max(to);
            hold.confirmed.1 = hold.confirmed.1.max(confirmed);
        }
    }

    pub fn asked_to_end(&mut self, name: HoldName) {
        if let Some(hold) = self.known.get_mut(&name) {
            hold.end_was_asked = true;
        }
    }

    /// An extension was answered.
    pub fn extended(&mut self, name: HoldName, held: u64, confirmed: u64) -> Verdict {
        let Some(hold) = self.known.get_mut(&name) else { return Ok(()) };
        holds(hold.over.is_none(), ONCE, || format!("{name:?} is extended: {hold:?}"))?;
        let grows = held >= hold.held.0 && confirmed >= hold.confirmed.0;
        holds(grows, "a hold never shrinks", || format!("{name:?}: {held}, {confirmed} after {hold:?}"))?;
        (hold.held.0, hold.confirmed.0) = (held, confirmed);
        Ok(())
    }

    /// Its end was answered, for the first time or again. Answers what it is charged beyond what was told before.
    pub fn ended(&mut self, name: HoldName, over: Over) -> Result<u64, Broken> {
        let Some(hold) = self.known.get_mut(&name) else {
            // Whoever opened it was not told, and could not say that anything of it was used.
            holds(over.charged == 0, WITHIN, || format!("{name:?} of nobody: {over:?}"))?;
            return Ok(0);
        };
        let before = hold.over;
        if before.is_some_and(|before| before.end == End::SettledLate && over.end == End::Expired) {
            // Its expiry was under way to whoever is told of it, and somebody was quicker.
            holds(over.charged >= hold.confirmed.0, WITHIN, || format!("{name:?} was {over:?}: {hold:?}"))?;
            return Ok(0);
        }
        hold.over = Some(over);
        let again = match before {
            None => true,
            Some(Over { end: End::Expired, charged }) if over.end == End::SettledLate => {
                over.charged >= charged
            }
            Some(before) => before == over,
        };
        holds(again, ONCE, || format!("{name:?}: {before:?}, and then {over:?}"))?;
        let most = match over.end {
            End::Settled | End::SettledLate => hold.held.1,
            // What is confirmed, and no more.
            End::Released | End::Expired => hold.confirmed.1,
        };
        let within = (hold.confirmed.0..=most).contains(&over.charged);
        holds(within, WITHIN, || format!("{name:?} was {over:?}: {hold:?}"))?;
        Ok(over.charged - before.map_or(0, |before| before.charged))
    }

    /// Its holder was started again, and was asked.
    pub fn found(&self, name: HoldName, found: Found) -> Verdict {
        let Some(hold) = self.known.get(&name) else { return Ok(()) };
        let is_so = match (hold.over, found) {
            (_, Found::Unknown) => false,
            (Some(told), Found::Over(over)) => {
                told == over || (told.end == End::Expired && over.end == End::SettledLate)
            }
            (Some(_), Found::Open { .. }) => false,
            (None, Found::Open { held, confirmed }) => {
                held >= hold.held.0 && confirmed >= hold.confirmed.0 && held <= hold.held.1
            }
            (None, Found::Over(over)) => {
                let may_be = over.end == End::Expired || hold.end_was_asked;
                may_be && over.charged >= hold.confirmed.0 && over.charged <= hold.held.1
            }
        };
        holds(is_so, KEPT, || format!("{name:?}: {found:?}, told {hold:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::{DiskId, LineNumber, NodeId};

    fn one() -> (Holds, HoldName) {
        let holder = HolderId { node: NodeId(1), disk: DiskId(7) };
        let (mut holds, name) = (Holds::default(), (holder, HoldNumber(5)));
        let line = LineId { holder, number: LineNumber(1) };
        holds.opened(name, &"ann".parse().unwrap(), line, 10).unwrap();
        assert!(holds.opened(name, &"ann".parse().unwrap(), line, 10).is_err());
        (holds, name)
    }

    fn over(end: End, charged: u64) -> Over {
        Over { end, charged }
    }

    #[test]
    fn a_hold_ends_once_within_what_was_held() {
        let (mut holds, name) = one();
        holds.asked_to_extend(name, 15, 4);
        holds.extended(name, 15, 4).unwrap();
        assert!(holds.clone().extended(name, 14, 4).is_err() && holds.clone().extended(name, 15, 3).is_err());
        assert!(holds.clone().ended(name, over(End::Settled, 16)).is_err(), "more than was held");
        assert!(holds.clone().ended(name, over(End::Settled, 3)).is_err(), "less than is confirmed");
        assert!(holds.clone().ended(name, over(End::Expired, 5)).is_err(), "more than is confirmed");
        assert_eq!(holds.ended(name, over(End::Expired, 4)), Ok(4));
        assert_eq!(holds.ended(name, over(End::Expired, 4)), Ok(0));
        assert!(holds.clone().ended(name, over(End::Released, 4)).is_err(), "another end");
        assert!(holds.clone().extended(name, 15, 4).is_err(), "it is over");
        assert_eq!(holds.ended(name, over(End::SettledLate, 12)), Ok(8));
        assert_eq!(holds.ended(name, over(End::Expired, 4)), Ok(0), "told late");
        assert!(holds.ended(name, over(End::SettledLate, 13)).is_err());
    }

    #[test]
    fn what_was_told_of_a_hold_is_found_again() {
        let (mut holds, name) = one();
        let open = |held, confirmed| Found::Open { held, confirmed };
        assert!(holds.found(name, Found::Unknown).is_err() && holds.found(name, open(9, 0)).is_err());
        assert!(holds.found(name, open(10, 0)).is_ok() && holds.found(name, open(11, 0)).is_err());
        assert!(holds.found(name, Found::Over(over(End::Expired, 0))).is_ok());
        assert!(holds.found(name, Found::Over(over(End::Settled, 3))).is_err(), "nobody asked for it");
        holds.asked_to_end(name);
        assert!(holds.found(name, Found::Over(over(End::Settled, 3))).is_ok());
        holds.ended(name, over(End::Settled, 3)).unwrap();
        assert!(holds.found(name, open(10, 0)).is_err());
        assert!(holds.found(name, Found::Over(over(End::Settled, 4))).is_err());
        assert!(holds.found(name, Found::Over(over(End::Settled, 3))).is_ok());
    }
}
