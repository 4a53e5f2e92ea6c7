//! The sentences that hold in every state of every world. Their numbers are those of the invariants (S) and of
//! what must happen in the end (L); the rules that keep them are R1–R12 in `mod.rs`.
//!
//! Not here: the rare crossings, which only must have been seen (`crossings`).

use super::overage::{INCLUDED, Overage};
use super::words::{Backing, ByBacking, CYCLES, GRANTS, LineId, Message};
use super::worlds::Lasts;
use super::{LineWitness, Protocol, State};

#[derive(Clone, Copy, Debug)]
pub struct Rule {
    pub sentence: &'static str,
    pub holds: fn(&Protocol, &State) -> bool,
}

pub const fn rule(sentence: &'static str, holds: fn(&Protocol, &State) -> bool) -> Rule {
    Rule { sentence, holds }
}

pub const CONSERVED: &str = "S1 conserved: each grant is available, out, charged or expired, to the credit";
pub const WITHIN: &str =
    "S2 within the line: used + returned + unattributed + written off ≤ drawn, by backing";
pub const WRITTEN_OFF: &str =
    "S2 a lost line is charged whole: used + returned + unattributed + written off = drawn, by backing";
pub const NOT_OVERDRAWN: &str =
    "S3 never overdrawn: told to clients + available ≤ granted (+ exposure), by grant";
pub const BOUND: &str = "S4 bound: told to clients on a line ≤ drawn − returned, by backing";
pub const LAYERED: &str = "S5 layered: spent + held ≤ watermark on disk ≤ drawn − returned, by backing";
pub const FUNDED: &str = "S6 funded: the earmarks on a grant never exceed what it has available";
pub const EARMARKED: &str =
    "S6 earmarks are neither made nor lost: earmarked, out, charged or ended, by grant";
pub const MOVED_ONCE: &str =
    "S6 what moves is spent once: told from allocations + earmarked ≤ allocated (+ exposure), by grant";
pub const NAMED: &str = "S6 a frozen line draws no more";
pub const SETTLED: &str = "S6 an intent is paid, pending or lapsed, to the credit";
pub const LAPSED: &str = "S6 of an intent only that lapses which was charged, or cut off by the cycle's end";
pub const ONCE: &str = "S7 a draw is granted once: ΣD never exceeds what its holder asked for";
pub const CHARGED_FAIRLY: &str = "S8 charged ≤ told to clients + one chunk per power loss";
pub const OWN_CYCLE: &str = "S9 a line of an ended cycle draws nothing of the next";
pub const CARRIED: &str =
    "S9 carried: the next cycle has what it opened with and what was carried to it, to the credit";
pub const LASTING: &str = "S9 of a grant that lasts nothing expires";
pub const ENDED: &str = "S9 no earmark outlives its cycle";
pub const OVERAGE: &str =
    "S9 overage is what a cycle has out or charged beyond what was included, to the credit";
pub const CAPPED: &str = "S6 capped: a cycle's overage, what is out included, is within its cap";
pub const LIMITED: &str = "S6 limited: what clients are told in a window is within its limit";
pub const LIMITED_FEATURE: &str =
    "S6 limited: what clients are told to have spent on a feature is within its limit, from when it is set";
pub const CLOSED: &str = "S10 closed never reopens";
pub const NOT_STALE: &str =
    "S10 no line is called stale that is open in the ledger, or on which its holder holds credits";
pub const KEPT: &str = "S11 a hold is kept: its holder's journal knows of it what its client was told";
pub const WITHIN_THE_HOLD: &str = "S17 a hold is charged at most what was held";
pub const ENDS_ONCE: &str = "S17 a hold is settled or released once";
pub const RECALLED: &str = "L1 a holder that answers a recall keeps nothing idle but what is held";
pub const REVOKED: &str = "L2 revoked: nothing taken away is spent after the `until` that was named, or held beyond the longest hold";

pub const ALWAYS: &[Rule] = &[
    rule(CONSERVED, conserved),
    rule(WITHIN, within_the_line),
    rule(WRITTEN_OFF, a_lost_line_is_charged_whole),
    rule(NOT_OVERDRAWN, never_overdrawn),
    rule(BOUND, told_on_a_line_is_bound),
    rule(LAYERED, layered),
    rule(FUNDED, allocations_are_funded),
    rule(EARMARKED, earmarks_are_neither_made_nor_lost),
    rule(MOVED_ONCE, what_moves_is_spent_once),
    rule(NAMED, a_frozen_line_draws_no_more),
    rule(SETTLED, an_intent_is_paid_pending_or_lapsed),
    rule(LAPSED, only_what_was_charged_lapses),
    rule(ONCE, a_draw_is_granted_once),
    rule(CHARGED_FAIRLY, overcharge_is_one_chunk_per_power_loss),
    rule(OWN_CYCLE, a_line_stays_in_its_cycle),
    rule(CARRIED, the_next_cycle_has_what_was_carried),
    rule(LASTING, nothing_that_lasts_expires),
    rule(ENDED, no_earmark_outlives_its_cycle),
    rule(OVERAGE, overage_is_what_is_beyond),
    rule(CAPPED, overage_is_within_its_cap),
    rule(LIMITED, a_window_is_within_its_limit),
    rule(LIMITED_FEATURE, a_feature_is_within_its_limit),
    rule(CLOSED, closed_never_reopens),
    rule(NOT_STALE, no_line_in_use_is_called_stale),
    rule(KEPT, a_hold_is_kept),
    rule(WITHIN_THE_HOLD, a_hold_is_charged_within_it),
    rule(ENDS_ONCE, a_hold_ends_once),
    rule(RECALLED, a_recall_leaves_nothing_idle),
    rule(REVOKED, nothing_revoked_is_spent_late),
];

fn conserved(protocol: &Protocol, state: &State) -> bool {
    let ledger = &state.ledger;
    (0..GRANTS).all(|grant| {
        let out: i16 = ledger.lines.iter().map(|line| of(line.drawn, grant) - of(line.returned, grant)).sum();
        let idle = i16::from(ledger.funds.available[grant]) + i16::from(ledger.expired[grant]);
        let book = ledger.book();
        let idle = idle + resourced(state, grant);
        granted(protocol, state, grant) + of(book.exposure, grant) == idle + out + of(book.charged(), grant)
    })
}

fn within_the_line(_: &Protocol, state: &State) -> bool {
    state.ledger.lines.iter().all(|line| {
        let claimed = line.charged().plus(line.returned);
        claimed.within(line.drawn)
    })
}

fn a_lost_line_is_charged_whole(_: &Protocol, state: &State) -> bool {
    let mut lost = state.ledger.lines.iter().filter(|line| line.lost);
    lost.all(|line| line.charged().plus(line.returned) == line.drawn)
}

fn never_overdrawn(protocol: &Protocol, state: &State) -> bool {
    (0..GRANTS).all(|grant| {
        let told: i16 = state.witness.lines.iter().map(|line| of(line.told, grant)).sum();
        let available = i16::from(state.ledger.funds.available[grant]) + resourced(state, grant);
        told + available <= granted(protocol, state, grant) + of(state.ledger.book().exposure, grant)
    })
}

fn told_on_a_line_is_bound(_: &Protocol, state: &State) -> bool {
    let mut lines = state.ledger.lines.iter();
    lines.all(|line| witness(state, line.id).told.plus(line.returned).within(line.drawn))
}

fn layered(_: &Protocol, state: &State) -> bool {
    state.nodes.iter().filter(|node| node.disk.open).all(|node| {
        let drawn = state.ledger.line(node.line()).map_or(ByBacking::default(), |line| line.drawn);
        let spoken_for = node.serving().map_or(ByBacking::default(), |memory| memory.spoken_for());
        spoken_for.within(node.disk.watermark) && node.disk.watermark.plus(node.disk.returned).within(drawn)
    })
}

fn allocations_are_funded(_: &Protocol, state: &State) -> bool {
    let [ann, bob] = state.ledger.funds.earmarks;
    (0..GRANTS).all(|grant| ann[grant] + bob[grant] <= state.ledger.funds.available[grant])
}

fn earmarks_are_neither_made_nor_lost(protocol: &Protocol, state: &State) -> bool {
    let ledger = &state.ledger;
    (0..GRANTS).all(|grant| {
        let lines = ledger.lines.iter();
        let out: i16 = lines.map(|line| own(line.drawn, grant) - own(line.returned, grant)).sum();
        let idle = earmarked(state, grant) + i16::from(ledger.ended[grant]);
        let book = ledger.book();
        allocated(protocol, grant) + own(book.exposure, grant) == idle + out + own(book.charged(), grant)
    })
}

fn what_moves_is_spent_once(protocol: &Protocol, state: &State) -> bool {
    (0..GRANTS).all(|grant| {
        let told: i16 = state.witness.lines.iter().map(|line| own(line.told, grant)).sum();
        let exposed = own(state.ledger.book().exposure, grant);
        told + earmarked(state, grant) <= allocated(protocol, grant) + exposed
    })
}

fn a_frozen_line_draws_no_more(_: &Protocol, state: &State) -> bool {
    let mut lines = state.ledger.lines.iter();
    lines.all(|line| line.frozen_at.is_none_or(|frozen_at| line.drawn.sum() <= frozen_at))
}

fn an_intent_is_paid_pending_or_lapsed(_: &Protocol, state: &State) -> bool {
    let pending: u8 = state.ledger.lines.iter().map(|line| line.pending).sum();
    state.ledger.intent.asked == state.ledger.intent.paid + pending + state.ledger.intent.lapsed
}

fn only_what_was_charged_lapses(_: &Protocol, state: &State) -> bool {
    let ledger = &state.ledger;
    let on_lines: u8 = ledger.lines.iter().map(|line| line.charged().of_allocation()).sum();
    let charged = on_lines + ledger.book().charged().of_allocation();
    ledger.cycle > 0 || ledger.intent.lapsed <= charged
}

fn a_draw_is_granted_once(_: &Protocol, state: &State) -> bool {
    state.ledger.lines.iter().all(|line| line.drawn.sum() <= witness(state, line.id).asked)
}

fn overcharge_is_one_chunk_per_power_loss(protocol: &Protocol, state: &State) -> bool {
    let losses = |witness: &LineWitness| i16::from(protocol.world.chunk * witness.power_losses);
    let charged = |used: ByBacking, unattributed| i16::from(used.plus(unattributed).sum());
    let by_line = state.ledger.lines.iter().all(|line| {
        let witness = witness(state, line.id);
        charged(line.used, line.unattributed) <= i16::from(witness.told.sum()) + losses(witness)
    });
    let closed = state.witness.lines.iter().filter(|witness| witness.closed);
    let excused: i16 = closed.map(|witness| i16::from(witness.told.sum()) + losses(witness)).sum();
    let book = state.ledger.book();
    by_line && charged(book.used, book.unattributed) <= excused
}

fn a_line_stays_in_its_cycle(protocol: &Protocol, state: &State) -> bool {
    let next = |backing: &Backing| protocol.world.grants[backing.grant()].lasts == Lasts::NextCycle;
    let mut old = state.ledger.lines.iter().filter(|line| line.cycle < state.ledger.cycle);
    old.all(|line| Backing::ALL.into_iter().filter(next).all(|backing| line.drawn[backing] == 0))
}

fn the_next_cycle_has_what_was_carried(protocol: &Protocol, state: &State) -> bool {
    let ledger = &state.ledger;
    let book = &ledger.books[ledger.cycle as usize];
    let lines = || ledger.lines.iter().filter(|line| line.cycle == ledger.cycle);
    // Overage is made when it is drawn: nothing is carried to it.
    let mut grants = (0..GRANTS).filter(|grant| protocol.world.grants[*grant].lasts != Lasts::Minted);
    ledger.cycle == 0
        || grants.all(|grant| {
            let out: i16 = lines().map(|line| of(line.drawn, grant) - of(line.returned, grant)).sum();
            let has = i16::from(ledger.opened_with[grant]) + i16::from(ledger.carried[grant]);
            let paid =
                if grant == INCLUDED { ledger.funds.overage[ledger.cycle as usize].resourced } else { 0 };
            let available = i16::from(ledger.funds.available[grant]) + i16::from(paid);
            has + of(book.exposure, grant) == available + out + of(book.charged(), grant)
        })
}

fn nothing_that_lasts_expires(_: &Protocol, state: &State) -> bool {
    (0..GRANTS).all(|grant| state.ledger.over[grant] || state.ledger.expired[grant] == 0)
}

/// The model makes no allocations for the next cycle, so that all there could be are left over.
fn no_earmark_outlives_its_cycle(_: &Protocol, state: &State) -> bool {
    state.ledger.cycle == 0 || state.ledger.funds.earmarks.iter().all(|earmark| earmark.sum() == 0)
}

/// As one counter would have it that has no leases. In the worlds with overage nothing is allocated or exposed, and what
/// is included ends with the first cycle.
fn overage_is_what_is_beyond(protocol: &Protocol, state: &State) -> bool {
    let ledger = &state.ledger;
    protocol.world.overage_cap().is_none()
        || (0..CYCLES).all(|cycle| {
            let lines = ledger.lines.iter().filter(|line| usize::from(line.cycle) == cycle);
            let taken: i16 = lines.map(|line| all(line.drawn) - all(line.returned)).sum();
            let included = if cycle == 0 { i16::from(protocol.world.grants[INCLUDED].amount) } else { 0 };
            let beyond = taken + all(ledger.books[cycle].charged()) - included;
            let Overage { minted, resourced } = ledger.funds.overage[cycle];
            i16::from(minted) - i16::from(resourced) == beyond.max(0)
        })
}

fn overage_is_within_its_cap(protocol: &Protocol, state: &State) -> bool {
    let cap = protocol.world.overage_cap();
    cap.is_none_or(|cap| state.ledger.funds.overage.iter().all(|overage| overage.billed() <= cap))
}

fn a_window_is_within_its_limit(protocol: &Protocol, state: &State) -> bool {
    protocol.world.limit.is_none_or(|limit| state.witness.in_window <= limit)
}

fn a_feature_is_within_its_limit(_: &Protocol, state: &State) -> bool {
    state.ledger.limited.list == 0 || state.witness.on_feature <= state.ledger.limited.bound
}

fn closed_never_reopens(_: &Protocol, state: &State) -> bool {
    state.ledger.lines.iter().all(|line| !witness(state, line.id).closed)
}

fn no_line_in_use_is_called_stale(_: &Protocol, state: &State) -> bool {
    let mut stale_lines = state.network.iter().filter_map(|message| stale(*message));
    let holds = |line| {
        let node = state.nodes.iter().find(|node| node.disk.open && node.line() == line);
        node.and_then(|node| node.serving()).is_some_and(|memory| memory.drawn.sum() > 0)
    };
    stale_lines.all(|line| !holds(line) && state.ledger.line(line).is_none())
}

fn a_hold_is_kept(_: &Protocol, state: &State) -> bool {
    let mut nodes = state.nodes.iter().zip(&state.witness.holds);
    nodes.all(|(node, told)| node.page_cache.hold == told.known)
}

fn a_hold_is_charged_within_it(_: &Protocol, state: &State) -> bool {
    state.witness.holds.iter().all(|hold| hold.charged <= hold.known.held.sum())
}

fn a_hold_ends_once(_: &Protocol, state: &State) -> bool {
    state.witness.holds.iter().all(|hold| hold.ends <= 1)
}

fn a_recall_leaves_nothing_idle(_: &Protocol, state: &State) -> bool {
    !state.witness.kept_idle
}

fn nothing_revoked_is_spent_late(_: &Protocol, state: &State) -> bool {
    !state.witness.spent_after_until
}

/// What the pool was given of a grant so far.
pub fn granted(protocol: &Protocol, state: &State, grant: usize) -> i16 {
    let granted = protocol.world.grants[grant];
    if granted.lasts == Lasts::Minted {
        return state.ledger.funds.overage.iter().map(|overage| i16::from(overage.minted)).sum();
    }
    let starts_later = granted.lasts == Lasts::NextCycle && state.ledger.cycle == 0;
    if starts_later { 0 } else { i16::from(granted.amount) }
}

/// What of a grant pays for overage.
fn resourced(state: &State, grant: usize) -> i16 {
    let resourced = state.ledger.funds.overage.iter().map(|overage| i16::from(overage.resourced));
    if grant == INCLUDED { resourced.sum() } else { 0 }
}

fn all(numbers: ByBacking) -> i16 {
    i16::from(numbers.sum())
}

pub fn of(numbers: ByBacking, grant: usize) -> i16 {
    let of_grant = Backing::ALL.into_iter().filter(|backing| backing.grant() == grant);
    of_grant.map(|backing| i16::from(numbers[backing])).sum()
}

/// The part of a grant that is backed by allocations.
fn own(numbers: ByBacking, grant: usize) -> i16 {
    let own = |backing: &Backing| backing.is_allocation() && backing.grant() == grant;
    Backing::ALL.into_iter().filter(own).map(|backing| i16::from(numbers[backing])).sum()
}

fn allocated(protocol: &Protocol, grant: usize) -> i16 {
    protocol.world.allocations.iter().map(|allocation| i16::from(allocation[grant])).sum()
}

fn earmarked(state: &State, grant: usize) -> i16 {
    state.ledger.funds.earmarks.iter().map(|earmark| i16::from(earmark[grant])).sum()
}

pub fn witness(state: &State, line: LineId) -> &LineWitness {
    &state.witness.lines[line.index()]
}

pub fn stale(message: Message) -> Option<LineId> {
    match message {
        Message::StaleLine { line } => Some(line),
        Message::Numbers(_)
        | Message::Drawn { .. }
        | Message::OtherList { .. }
        | Message::Renew { .. }
        | Message::Renewed { .. } => None,
    }
}
