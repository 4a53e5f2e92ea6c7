//! What goes into the journal and what comes out, as plain data. Not here: how it is kept.

use crate::keys::KeyGuard;
use types::{
    Backing, Credits, CycleNumber, Durability, LineNumber, Meter, Metered, Scope, Shadowed, Source,
    Timestamp, Unit, UserId, WorkspaceId,
};

/// The holder's entry for one user of one workspace; a number in memory, given by the holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HandleNo(pub u32);

/// A line of this holder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LineKey {
    pub workspace: WorkspaceId,
    pub number: LineNumber,
}

/// Asks for a new line; charges of this handle and epoch will go to it.
#[derive(Clone, Debug)]
pub struct OpenLine {
    pub handle: HandleNo,
    pub epoch: u16,
    pub workspace: WorkspaceId,
    pub user: UserId,
    pub cycle: CycleNumber,
    pub scope: Scope,
}

/// A spend that has been won on the escrow's word and must now be booked.
#[derive(Debug)]
pub struct Charge {
    pub handle: HandleNo,
    pub epoch: u16,
    /// May be zero: a price of zero is a price.
    pub amount: Credits,
    pub meter: Meter,
    pub units: Vec<(Unit, u64)>,
    /// From here on counts the window of the key.
    pub at: Timestamp,
    /// The key's scope must be the line's workspace and user.
    pub key: Option<KeyGuard>,
    pub durability: Durability,
    pub remaining_at_least: Credits,
    pub remaining_at_most: Credits,
}

/// A booked charge; under a key this is what is stored and answered again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charged {
    /// Line and sequence make the charge's id, together with the node.
    pub line: LineNumber,
    pub sequence: u64,
    pub amount: Credits,
    /// In spending order, no source twice.
    pub sources: Vec<(Source, Credits)>,
    pub remaining_at_least: Credits,
    pub remaining_at_most: Credits,
    pub durability: Durability,
    pub cycle: CycleNumber,
    /// It would have been refused: then it is of nothing.
    pub shadow: Option<Shadowed>,
    /// Which record of the journal holds it; compare with [`crate::Journal::sequence`].
    pub position: u64,
}

/// What a line stands at in memory, for the holder's own decisions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineView {
    pub line: LineKey,
    pub user: UserId,
    pub cycle: CycleNumber,
    pub scope: Scope,
    pub drawn: Credits,
    pub used: Credits,
    pub unattributed: Credits,
    pub returned: Credits,
    pub held: Credits,
    /// Open holds on it, also those of nothing.
    pub holds: usize,
    /// All that was spent on the word and has arrived: what is used and held, what was refused, what holds freed.
    pub arrived: Credits,
    /// The part of `arrived` that holds freed: it is above the watermark since.
    pub freed: Credits,
    /// Used + unattributed + held may never exceed it.
    pub watermark: Credits,
    pub closed: bool,
    /// It waits for its holds alone, and closes with the last.
    pub is_ending: bool,
    /// Handles and epochs whose charges come here, since this process attached them.
    pub attached: Vec<(HandleNo, u16)>,
}

/// One backing of a line; every number only grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackingNumbers {
    pub backing: Backing,
    pub drawn: Credits,
    pub used: Credits,
    pub returned: Credits,
    pub unattributed: Credits,
}

/// What a line stands at on the disk: what a Report, Return or Close may say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineNumbers {
    pub line: LineKey,
    pub user: UserId,
    pub cycle: CycleNumber,
    pub scope: Scope,
    /// In the order in which they came.
    pub backings: Vec<BackingNumbers>,
    /// No meter twice; their credits sum to what is used.
    pub meters: Vec<(Meter, Metered)>,
    pub held: Credits,
    pub confirmed: Credits,
    /// These are the line's last numbers.
    pub closed: bool,
}

impl LineNumbers {
    pub fn returned(&self) -> Credits {
        self.sum(|numbers| numbers.returned)
    }

    pub fn used(&self) -> Credits {
        self.sum(|numbers| numbers.used)
    }

    pub fn unattributed(&self) -> Credits {
        self.sum(|numbers| numbers.unattributed)
    }

    fn sum(&self, number: impl Fn(&BackingNumbers) -> Credits) -> Credits {
        Credits::checked_sum(self.backings.iter().map(number))
            .expect("the book keeps the sum of drawn in range")
    }
}

/// What was found when the journal was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// None of them has a handle yet; see [`crate::Journal::attach`].
    pub lines: Vec<LineView>,
    /// Records ever written, as [`crate::Journal::sequence`]; those that this very opening wrote are among them.
    pub sequence: u64,
    /// What was now charged without detail, by line; empty where `exact`.
    pub rounded: Vec<(LineKey, Credits)>,
    /// Whether the journal was provably whole, so that nothing had to be rounded up.
    pub exact: bool,
}

/// Sizes and bounds; there is no default.
#[derive(Clone, Debug)]
pub struct Options {
    /// Reserved for a segment when it is made; more where the snapshot in it needs more.
    pub segment_bytes: u64,
    /// The end of each segment that is kept for returns and closes.
    pub tail_bytes: u64,
    /// Operations that wait for the writer before the next charge is refused `Overloaded`.
    pub queue_max: usize,
    /// Operations per write.
    pub batch_max: usize,
    /// Operations that wait for a sync before the writer takes no more.
    pub waiting_max: usize,
    /// Lines that are not forgotten.
    pub lines_max: usize,
    /// Open holds.
    pub holds_max: usize,
    /// Open holds of one user of one workspace.
    pub holds_per_user_max: usize,
    /// How long a key is remembered.
    pub key_window_ms: u32,
    /// What all remembered keys may take in memory, by the estimate of `keys::cost_bytes`.
    pub keys_bytes_max: u64,
    /// What segments that are needed for nothing else may take on the disk, so that their charges can be looked up; 0 keeps
    /// none. They go first where the disk is full.
    pub past_bytes_max: u64,
}
