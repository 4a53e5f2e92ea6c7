//! The words of the lease protocol that holders and the ledger share: lines, sources, durability. Not here: meters (`meter`).

use crate::{BadId, HolderId, NodeId};
use std::fmt;
use std::str::FromStr;

/// One billing period of a workspace, numbered from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CycleNumber(pub u32);

impl CycleNumber {
    pub const FIRST: Self = Self(1);

    pub fn next(self) -> Self {
        self.after(1)
    }

    /// The one so many cycles later. Numbers end with the last of 32 bits, some 350 million years of months.
    pub fn after(self, cycles: u32) -> Self {
        Self(self.0.saturating_add(cycles))
    }
}

/// A holder's number for a line within one pool: from 1, only up, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LineNumber(pub u64);

/// A line within one workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LineId {
    pub holder: HolderId,
    pub number: LineNumber,
}

/// A grant within one workspace, numbered in order of creation; short, for books.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GrantNo(pub u32);

/// From which earmark a leased credit comes; the order is the order in which a holder spends them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// The user's own allocation.
    Allocation,
    /// A team's reserve, by how far out the team is; 0 is the user's own.
    Reserve(u8),
    /// What is left of the pool after allocations and reserves.
    Shared,
    /// Beyond the grants.
    Overage,
}

impl Source {
    /// Whether it was set aside for somebody, and goes back to him.
    pub const fn is_set_aside(self) -> bool {
        matches!(self, Self::Allocation | Self::Reserve(_))
    }
}

/// One of the grants behind a line, under the earmark it is drawn from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Backing {
    pub source: Source,
    pub grant: GrantNo,
}

/// Backings of one line. A price that needs more of them than a new line may have is refused.
pub const BACKINGS_PER_LINE_MAX: usize = 128;
/// Meters of one line that keep their names. What comes further is counted by the meter `other` of its day.
pub const NAMED_METERS_PER_LINE_MAX: usize = 64;
/// Meters of one line, those named `other` included: of them there may be as many.
pub const METERS_PER_LINE_MAX: usize = 2 * NAMED_METERS_PER_LINE_MAX;
/// Kinds of unit in one meter of a line, beside the reserved ones; the last is `other` where there are more.
pub const UNITS_PER_METER_MAX: usize = 16;

/// What a consume must have survived before it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Durability {
    /// The record is with the kernel: survives the process, not the power.
    Local,
    /// The record is synced to the holder's disk.
    Disk,
    /// The report that holds it is committed by a quorum.
    Quorum,
}

/// Counts changes of a resource; its text is the resource's `ETag`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub u64);

/// One hold: the node that has it, and its number there, which is never given to another one. Text: `n1.h42`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HoldId {
    pub node: NodeId,
    pub number: HoldNumber,
}

/// A holder's number for a hold, over all its workspaces: from 1, only up, with gaps, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HoldNumber(pub u64);

impl fmt::Display for HoldId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.h{}", self.node, self.number.0)
    }
}

impl FromStr for HoldId {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        let bad = || BadId::NotAHold(text.chars().take(64).collect());
        let (node, number) = text.split_once(".h").ok_or_else(bad)?;
        let node = node.parse().map_err(|_| bad())?;
        let digits = Some(number).filter(|d| !d.starts_with('0') && !d.starts_with('+')).ok_or_else(bad)?;
        Ok(Self { node, number: HoldNumber(digits.parse().map_err(|_| bad())?) })
    }
}

/// One charge: the node, its line, the position on the line. Text: `n1.42.7`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChargeId {
    pub node: NodeId,
    pub line: LineNumber,
    pub sequence: u64,
}

impl fmt::Display for ChargeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.node, self.line.0, self.sequence)
    }
}

impl FromStr for ChargeId {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        let bad = || BadId::NotACharge(text.chars().take(64).collect());
        let number = |text: &str| {
            let digits = Some(text).filter(|d| !d.starts_with('0') && !d.starts_with('+'));
            digits.and_then(|digits| digits.parse().ok()).ok_or_else(bad)
        };
        let (node, rest) = text.split_once('.').ok_or_else(bad)?;
        let (line, sequence) = rest.split_once('.').ok_or_else(bad)?;
        let node = node.parse().map_err(|_| bad())?;
        Ok(Self { node, line: LineNumber(number(line)?), sequence: number(sequence)? })
    }
}

/// Whatever was charged: a consume, or a hold when it ended. Text: `n1.42.7`, `n1.h42`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AnyCharge {
    Consume(ChargeId),
    Hold(HoldId),
}

impl AnyCharge {
    /// The node that has it.
    pub fn node(self) -> NodeId {
        match self {
            Self::Consume(charge) => charge.node,
            Self::Hold(hold) => hold.node,
        }
    }
}

impl fmt::Display for AnyCharge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Consume(charge) => charge.fmt(f),
            Self::Hold(hold) => hold.fmt(f),
        }
    }
}

impl FromStr for AnyCharge {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        let hold =
            || text.parse().map(Self::Hold).map_err(|_| BadId::NotACharge(text.chars().take(64).collect()));
        text.parse().map(Self::Consume).or_else(|_| hold())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_charge_names_its_node() {
        let charge = ChargeId { node: NodeId(3), line: LineNumber(42), sequence: 7 };
        assert_eq!(
            (charge.to_string(), "n3.42.7".parse()),
            ("n3.42.7".to_owned(), Ok(AnyCharge::Consume(charge)))
        );
        let hold = HoldId { node: NodeId(3), number: HoldNumber(42) };
        assert_eq!(
            ("n3.h42".parse(), AnyCharge::Hold(hold).to_string()),
            (Ok(AnyCharge::Hold(hold)), "n3.h42".to_owned())
        );
        for text in [
            "", "n3", "n3.42", "n3.42.", "n3.0.1", "n3.42.0", "n3.042.7", "n3.+4.7", "n3.4.7.1", "x.4.7",
            "n3.h0",
        ] {
            assert!(matches!(text.parse::<AnyCharge>(), Err(BadId::NotACharge(_))), "{text}");
        }
    }

    #[test]
    fn a_hold_names_its_node() {
        let hold = HoldId { node: NodeId(3), number: HoldNumber(42) };
        assert_eq!((hold.to_string(), "n3.h42".parse()), ("n3.h42".to_owned(), Ok(hold)));
        for text in
            ["", "n3", "n3.42", "n3.h", "n3.h0", "n3.h042", "n3.h+1", "n0.h1", "x.h1", "n3.h1.2", "n3.h-1"]
        {
            assert!(matches!(text.parse::<HoldId>(), Err(BadId::NotAHold(_))), "{text}");
        }
    }
}
