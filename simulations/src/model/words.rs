//! The words of the model: users, backings, holders, lines, messages. Not here: behaviour, but for adding up.

use super::scope::Scope;
use std::ops::{Index, IndexMut};

/// Two members are enough: one to lose credits, one to gain them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum User {
    Ann,
    Bob,
}

/// Two grants, burnt in this order: 0 is called A in the stories, 1 is called B.
pub const GRANTS: usize = 2;
/// Nodes that may hold leases.
pub const NODES: usize = 2;
/// Disks a node may have in its life; each is a holder of its own.
pub const DISKS: usize = 2;
/// Line numbers a holder may use up.
pub const LINES: usize = 3;
/// The cycle that is, and the one after it.
pub const CYCLES: usize = 2;

/// A number for each grant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByGrant(pub [u8; GRANTS]);

impl ByGrant {
    pub fn sum(self) -> u8 {
        self.0.iter().sum()
    }
}

impl Index<usize> for ByGrant {
    type Output = u8;
    fn index(&self, grant: usize) -> &u8 {
        &self.0[grant]
    }
}

impl IndexMut<usize> for ByGrant {
    fn index_mut(&mut self, grant: usize) -> &mut u8 {
        &mut self.0[grant]
    }
}

/// What stands behind a leased credit: a source (own allocation or shared) and a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Backing(u8);

impl Backing {
    /// In the order in which they are drawn and spent: own allocation first, then shared, and inside
    /// each the grants in burn order.
    pub const ALL: [Backing; 2 * GRANTS] = [Backing(0), Backing(1), Backing(2), Backing(3)];

    pub const fn shared(grant: usize) -> Backing {
        Backing::ALL[GRANTS + grant]
    }

    pub fn grant(self) -> usize {
        self.0 as usize % GRANTS
    }

    pub fn is_allocation(self) -> bool {
        (self.0 as usize) < GRANTS
    }
}

/// A number for each backing. All numbers of a line are of this shape.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByBacking([u8; 2 * GRANTS]);

impl ByBacking {
    pub fn sum(self) -> u8 {
        self.0.iter().fold(0, |all, one| all.saturating_add(*one))
    }

    /// The part that is backed by the user's own allocation.
    pub fn of_allocation(self) -> u8 {
        Backing::ALL.iter().filter(|backing| backing.is_allocation()).map(|backing| self[*backing]).sum()
    }

    pub fn max(self, other: ByBacking) -> ByBacking {
        self.zip(other, u8::max)
    }

    pub fn plus(self, other: ByBacking) -> ByBacking {
        self.zip(other, u8::saturating_add)
    }

    /// Stops at zero: whether a difference may go below is for the rules to say, not for arithmetic.
    pub fn minus(self, other: ByBacking) -> ByBacking {
        self.zip(other, u8::saturating_sub)
    }

    pub fn within(self, other: ByBacking) -> bool {
        self.0.iter().zip(other.0).all(|(mine, theirs)| *mine <= theirs)
    }

    /// `amount` credits counted off from the first backing to the last, as far as `self` reaches.
    pub fn first(self, mut amount: u8) -> ByBacking {
        let mut counted = ByBacking::default();
        for backing in Backing::ALL {
            counted[backing] = amount.min(self[backing]);
            amount -= counted[backing];
        }
        counted
    }

    /// `amount` credits counted off from the last backing to the first, as far as `self` reaches.
    pub fn last(self, mut amount: u8) -> ByBacking {
        let mut counted = ByBacking::default();
        for backing in Backing::ALL.into_iter().rev() {
            counted[backing] = amount.min(self[backing]);
            amount -= counted[backing];
        }
        counted
    }

    fn zip(self, other: ByBacking, join: impl Fn(u8, u8) -> u8) -> ByBacking {
        let mut joined = ByBacking::default();
        for backing in Backing::ALL {
            joined[backing] = join(self[backing], other[backing]);
        }
        joined
    }
}

impl Index<Backing> for ByBacking {
    type Output = u8;
    fn index(&self, backing: Backing) -> &u8 {
        &self.0[backing.0 as usize]
    }
}

impl IndexMut<Backing> for ByBacking {
    fn index_mut(&mut self, backing: Backing) -> &mut u8 {
        &mut self.0[backing.0 as usize]
    }
}

/// Whoever decides consumes from leases: a node *and* the disk it had. A new disk is a new holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Holder {
    pub node: u8,
    pub disk: u8,
}

impl Holder {
    pub fn index(self) -> usize {
        self.node as usize * DISKS + self.disk as usize
    }
}

/// One holder's account of one user's leases. Each node of the model serves one user, so that the
/// holder and its number n name the line. (Where two users are served by one holder, see
/// `World::one_holder`, the model has a node for each, and they number their lines together.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LineId {
    pub holder: Holder,
    pub n: u8,
}

impl LineId {
    pub fn index(self) -> usize {
        self.holder.index() * LINES + self.n as usize - 1
    }
}

/// Everything that travels. Messages are lost (never delivered), late, reordered and repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Message {
    /// Holder → ledger.
    Numbers(Numbers),
    /// Ledger → holder. Always carries D. A frozen line is always answered with a recall.
    Drawn { line: LineId, drawn: ByBacking, recall: Recall },
    /// Ledger → holder: I do not know this line any more, and never shall again.
    StaleLine { line: LineId },
    /// Ledger → holder: other things are limited than this line's holder knew; it is not opened.
    OtherList { line: LineId },
    /// Holder → leader: renew my session. `sent` is what the holder's clock showed, since that boot.
    Renew { holder: Holder, boot: u8, sent: u8 },
    /// Leader → holder: renewed, as from `sent`; with it the recall of a line that is frozen, if one is.
    Renewed { holder: Holder, boot: u8, sent: u8, recall: Option<(LineId, ByBacking)> },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Recall {
    No,
    /// Give back what is idle.
    Once,
    /// The line is frozen: give back what is idle, and what a hold will free, and spend no more of it.
    ForGood,
}

/// All that a holder ever says: cumulative numbers, merged by max, and a wish.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Numbers {
    pub line: LineId,
    pub returned: ByBacking,
    pub used: ByBacking,
    pub unattributed: ByBacking,
    pub scope: Scope,
    /// Its holder has heard that it was recalled for good. Where there are no sessions nobody needs to know.
    pub sealed: bool,
    pub wish: Wish,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Wish {
    /// Take note. With a raised `returned` this is the Return.
    Report,
    /// Let ΣD become `target`; if it cannot reach `floor`, draw nothing.
    Draw { target: u8, floor: u8 },
    /// These are the last numbers; what they do not claim goes back.
    Close,
}
