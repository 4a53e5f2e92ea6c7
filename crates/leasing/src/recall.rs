//! Whom to recall before a draw is refused. Not here: how long to wait (`actors`).

use ledger::{DenialReason, Line, Workspace};
use types::{Backing, Credits, LineId, LineNumber, Source, Timestamp, UserId};

/// One line to be asked for what it can spare. Every message to a holder carries D.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecallLine {
    pub line: LineId,
    pub user: UserId,
    pub drawn: Vec<(Backing, Credits)>,
    pub frozen: bool,
    /// How much of what it does not need the holder may keep.
    pub keep: Credits,
}

/// A round has two waves: the first leaves half, and leaves young draws alone; the second takes all that is idle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wave {
    Half { now: Timestamp, young_ms: i64 },
    All,
}

/// The lines that could serve a denied draw if they gave back what they do not need; fullest first.
pub fn choose(
    workspace: &Workspace,
    asking: LineId,
    user: &UserId,
    reason: DenialReason,
    wave: Wave,
) -> Vec<RecallLine> {
    let own_only = match reason {
        DenialReason::Exhausted => false,
        DenialReason::AllocationExhausted | DenialReason::LimitReached => true,
        DenialReason::AccessDisabled | DenialReason::UnknownUser | DenialReason::Frozen => return Vec::new(),
    };
    let serves = |id: &LineId, line: &Line| {
        let shared_out = line.outstanding_from(Source::Shared);
        *id != asking
            && !line.written_off
            && if line.user == *user { true } else { !own_only && !shared_out.is_zero() }
    };
    let mut chosen: Vec<(Credits, RecallLine)> = Vec::new();
    for (id, line) in workspace.lines.iter().filter(|(id, line)| serves(id, line)) {
        let out = line.outstanding();
        let is_young = match wave {
            Wave::Half { now, young_ms } => now.since_ms(line.heard_at) < young_ms,
            Wave::All => false,
        };
        if out.is_zero() || is_young {
            continue;
        }
        let keep = match wave {
            Wave::Half { .. } => Credits::from_micros(out.micros() >> 1).unwrap_or(Credits::ZERO),
            Wave::All => Credits::ZERO,
        };
        chosen.push((out, RecallLine::of(*id, line, keep)));
    }
    chosen.sort_by(|(a, x), (b, y)| b.cmp(a).then(x.line.cmp(&y.line)));
    chosen.into_iter().map(|(_, line)| line).collect()
}

/// Lines with something out of what is shared: what a raise of an allocation may need back.
pub fn shared_lines(workspace: &Workspace) -> Vec<RecallLine> {
    let shares = |line: &Line| !line.written_off && !line.outstanding_from(Source::Shared).is_zero();
    let lines = workspace.lines.iter().filter(|(_, line)| shares(line));
    lines.map(|(id, line)| RecallLine::of(*id, line, Credits::ZERO)).collect()
}

/// Lines with anything out, asked for their numbers only: everything may be kept.
pub fn leased_lines(workspace: &Workspace) -> Vec<RecallLine> {
    let lines = workspace.lines.iter().filter(|(_, line)| !line.written_off && !line.outstanding().is_zero());
    lines.map(|(id, line)| RecallLine::of(*id, line, Credits::MAX)).collect()
}

/// Lines that changed under their holders and must come back whole.
pub fn frozen_lines(workspace: &Workspace) -> Vec<RecallLine> {
    let lines = workspace.lines.iter().filter(|(_, line)| line.frozen);
    lines.map(|(id, line)| RecallLine::of(*id, line, Credits::ZERO)).collect()
}

impl RecallLine {
    fn of(line: LineId, entry: &Line, keep: Credits) -> Self {
        let drawn = entry.backings.iter().map(|numbers| (numbers.backing, numbers.drawn)).collect();
        Self { line, user: entry.user.clone(), drawn, frozen: entry.frozen, keep }
    }

    pub fn number(&self) -> LineNumber {
        self.line.number
    }
}
