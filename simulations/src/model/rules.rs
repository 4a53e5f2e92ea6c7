//! The sentences. Those in `ALWAYS` hold in every state of every world; those in `SOMETIMES` are the rare
//! crossings, each of which must have been seen, or the search has not searched where it hurts.

use super::holder::Process;
use super::ledger::{Ledger, Line};
use super::words::{Backing, ByBacking, GRANTS, LineId, Message, Numbers, User, Wish};
use super::worlds::{AfterLoss, Lasts};
use super::{LineWitness, Protocol, State};

#[derive(Clone, Copy, Debug)]
pub struct Rule {
    pub sentence: &'static str,
    pub holds: fn(&Protocol, &State) -> bool,
}

const fn rule(sentence: &'static str, holds: fn(&Protocol, &State) -> bool) -> Rule {
    Rule { sentence, holds }
}

pub const CONSERVED: &str = "S1 conserved: each grant is available, out, charged or expired, to the credit";
pub const WITHIN: &str =
    "S2 within the line: used + returned + unattributed + written off ≤ drawn, by backing";
pub const NOT_OVERDRAWN: &str =
    "S3 never overdrawn: told to clients + available ≤ granted (+ exposure), by grant";
pub const BOUND: &str = "S4 bound: told to clients on a line ≤ drawn − returned, by backing";
pub const LAYERED: &str = "S5 layered: memory ≤ watermark on disk ≤ drawn − returned, by backing";
pub const FUNDED: &str = "S6 funded: the earmarks on a grant never exceed what it has available";
pub const EARMARKED: &str =
    "S6 earmarks are neither made nor lost: earmarked, out, charged or ended, by grant";
pub const MOVED_ONCE: &str =
    "S6 what moves is spent once: told from allocations + earmarked ≤ allocated (+ exposure), by grant";
pub const NAMED: &str = "S6 a frozen line draws no more";
pub const SETTLED: &str = "S6 an intent is paid, pending or lapsed, to the credit";
pub const ONCE: &str = "S7 a draw is granted once: ΣD never exceeds what its holder asked for";
pub const CHARGED_FAIRLY: &str = "S8 charged ≤ told to clients + one chunk per power loss";
pub const OWN_CYCLE: &str = "S9 a line of an ended cycle draws nothing of the next";
pub const CLOSED: &str = "S10 closed never reopens";
pub const NOT_STALE: &str =
    "S10 no line is called stale that is open in the ledger, or on which its holder holds credits";
pub const RECALLED: &str = "L1 a holder that answers a recall keeps nothing idle";

pub const ALWAYS: &[Rule] = &[
    rule(CONSERVED, conserved),
    rule(WITHIN, within_the_line),
    rule(NOT_OVERDRAWN, never_overdrawn),
    rule(BOUND, told_on_a_line_is_bound),
    rule(LAYERED, layered),
    rule(FUNDED, allocations_are_funded),
    rule(EARMARKED, earmarks_are_neither_made_nor_lost),
    rule(MOVED_ONCE, what_moves_is_spent_once),
    rule(NAMED, a_frozen_line_draws_no_more),
    rule(SETTLED, an_intent_is_paid_pending_or_lapsed),
    rule(ONCE, a_draw_is_granted_once),
    rule(CHARGED_FAIRLY, overcharge_is_one_chunk_per_power_loss),
    rule(OWN_CYCLE, a_line_stays_in_its_cycle),
    rule(CLOSED, closed_never_reopens),
    rule(NOT_STALE, no_line_in_use_is_called_stale),
    rule(RECALLED, a_recall_leaves_nothing_idle),
];

pub const SOMETIMES: &[Rule] = &[
    rule("the pool is spent to the last credit", |protocol, state| {
        let granted: i16 = (0..GRANTS).map(|grant| granted(protocol, state, grant)).sum();
        told_in_all(state) == granted
    }),
    rule("a return crosses a recall, and its holder is down", |_, state| {
        state.network.iter().any(|message| is_recall(*message))
            && state.network.iter().any(|message| is_unheard_return(&state.ledger, *message))
            && state.nodes.iter().any(|node| node.process == Process::Down)
    }),
    rule("a line spends, returns and draws again", |_, state| {
        state.network.iter().any(|message| is_granted_after_return(&state.ledger, *message))
    }),
    rule("after a power loss the rounding is charged as unattributed", |_, state| {
        state.ledger.lines.iter().any(|line| line.unattributed.sum() > 0)
    }),
    rule("a line is rounded twice", |_, state| {
        let lines = &state.ledger.lines;
        let twice = |line: &Line| witness(state, line.id).power_losses > 1 && line.unattributed.sum() > 1;
        lines.iter().any(twice)
    }),
    rule("a holder that was written off wakes and spends", |_, state| state.witness.spent_after_write_off),
    rule("the Close of a written off holder re-labels what it used", |_, state| {
        state.witness.spent_after_write_off && state.ledger.used.sum() > 0 && state.ledger.lines.is_empty()
    }),
    rule("a new disk draws while the old holder's credits are still out", |_, state| {
        let lines = &state.ledger.lines;
        let out = |disk| lines.iter().any(|line| line.id.holder.disk == disk && line.outstanding().sum() > 0);
        out(0) && out(1)
    }),
    rule("credits are exposed: out at a lost holder and available again", |protocol, state| {
        let charge = protocol.world.after_loss == AfterLoss::Charge;
        !charge && state.witness.spent_after_write_off && state.ledger.exposure.sum() > 0
    }),
    rule("a late draw meets its forgotten line", |_, state| {
        let late = |line: LineId| is_waiting_draw(state, line) && state.ledger.line(line).is_none();
        let answered = |line: &LineId| is_answered(state, *line);
        state.network.iter().filter_map(|message| stale(*message)).filter(answered).any(late)
    }),
    rule("a line is closed before its draw arrives", |_, state| {
        let early = |line: &LineId| is_closing(state, *line) && !is_answered(state, *line);
        let waits = |line: LineId| is_waiting_draw(state, line);
        state.network.iter().filter_map(|message| stale(*message)).filter(early).any(waits)
    }),
    rule("a first draw is overtaken by a higher n, and the holder tries the next", |_, state| {
        let overtaken = |line: LineId| !is_closing(state, line) && !is_answered(state, line);
        let dropped = |line: LineId| {
            let mut nodes = state.nodes.iter().filter(|node| node.disk.open && node.holder == line.holder);
            nodes.any(|node| node.line().n > line.n)
        };
        let mut stale_lines = state.network.iter().filter_map(|message| stale(*message));
        stale_lines.any(|line| overtaken(line) && dropped(line))
    }),
    rule("two lines of one holder are open in the ledger", |_, state| {
        state.ledger.lines.windows(2).any(|pair| pair[0].id.holder == pair[1].id.holder)
    }),
    rule("two holders of one user hold credits", |_, state| {
        let users = state.ledger.lines.iter().filter(|line| line.outstanding().sum() > 0);
        users
            .clone()
            .any(|one| users.clone().any(|two| one.user == two.user && one.id.holder != two.id.holder))
    }),
    rule("a draw gets nothing rather than less than its floor", |_, state| {
        let refused = |line: &&Line| line.drawn.sum() == 0 && line.frozen_at.is_none();
        let answered = |line: &Line| is_answered(state, line.id);
        let available = state.ledger.funds.available.sum() > 0;
        available && state.ledger.lines.iter().filter(refused).any(answered)
    }),
    rule("the donor spends what an intent is waiting for", |_, state| {
        let waiting = state.ledger.lines.iter().filter(|line| line.pending > 0);
        waiting.into_iter().any(|line| {
            let told = witness(state, line.id).told.of_allocation();
            told + line.returned.of_allocation() + line.pending > line.drawn.of_allocation()
        })
    }),
    rule("an intent is partly paid and partly lapsed", |_, state| {
        state.ledger.intent.paid > 0 && state.ledger.intent.lapsed > 0
    }),
    rule("two lines owe to one intent", |_, state| {
        state.ledger.lines.iter().filter(|line| line.pending > 0).count() > 1
    }),
    rule("Bob draws what was moved while Ann's part is still pending", |_, state| {
        let pending = state.ledger.lines.iter().any(|line| line.pending > 0);
        let bob = state.ledger.lines.iter().find(|line| line.user == User::Bob);
        pending && bob.is_some_and(|line| line.drawn.of_allocation() > 0)
    }),
    rule("a credit of the old cycle is carried into the new one", |protocol, state| {
        let lasting = (0..GRANTS).any(|grant| {
            protocol.world.grants[grant].lasts == Lasts::BothCycles && state.ledger.funds.available[grant] > 0
        });
        let old = |line: &Line| line.cycle < state.ledger.cycle && line.returned.sum() > 0;
        lasting && state.ledger.lines.iter().any(old)
    }),
    rule("a credit returns to a grant that is over, and expires", |_, state| {
        let over =
            |line: &Line, backing| state.ledger.over[Backing::grant(backing)] && line.returned[backing] > 0;
        state.ledger.lines.iter().any(|line| Backing::ALL.into_iter().any(|backing| over(line, backing)))
    }),
];

fn conserved(protocol: &Protocol, state: &State) -> bool {
    let ledger = &state.ledger;
    (0..GRANTS).all(|grant| {
        let out: i16 = ledger.lines.iter().map(|line| of(line.drawn, grant) - of(line.returned, grant)).sum();
        let charged = of(ledger.used, grant) + of(ledger.unattributed, grant) + of(ledger.written_off, grant);
        let idle = i16::from(ledger.funds.available[grant]) + i16::from(ledger.expired[grant]);
        granted(protocol, state, grant) + of(ledger.exposure, grant) == idle + out + charged
    })
}

fn within_the_line(_: &Protocol, state: &State) -> bool {
    state.ledger.lines.iter().all(|line| {
        let claimed = line.used.plus(line.returned).plus(line.unattributed).plus(line.written_off);
        claimed.within(line.drawn)
    })
}

fn never_overdrawn(protocol: &Protocol, state: &State) -> bool {
    (0..GRANTS).all(|grant| {
        let told: i16 = state.witness.lines.iter().map(|line| of(line.told, grant)).sum();
        let available = i16::from(state.ledger.funds.available[grant]);
        told + available <= granted(protocol, state, grant) + of(state.ledger.exposure, grant)
    })
}

fn told_on_a_line_is_bound(_: &Protocol, state: &State) -> bool {
    let mut lines = state.ledger.lines.iter();
    lines.all(|line| witness(state, line.id).told.plus(line.returned).within(line.drawn))
}

fn layered(_: &Protocol, state: &State) -> bool {
    state.nodes.iter().filter(|node| node.disk.open).all(|node| {
        let drawn = state.ledger.line(node.line()).map_or(ByBacking::default(), |line| line.drawn);
        let spent = node.serving().map_or(ByBacking::default(), |memory| memory.spent());
        spent.within(node.disk.watermark) && node.disk.watermark.plus(node.disk.returned).within(drawn)
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
        let charged = own(ledger.used.plus(ledger.unattributed).plus(ledger.written_off), grant);
        let idle = earmarked(state, grant) + i16::from(ledger.ended[grant]);
        allocated(protocol, grant) + own(ledger.exposure, grant) == idle + out + charged
    })
}

fn what_moves_is_spent_once(protocol: &Protocol, state: &State) -> bool {
    (0..GRANTS).all(|grant| {
        let told: i16 = state.witness.lines.iter().map(|line| own(line.told, grant)).sum();
        let exposed = own(state.ledger.exposure, grant);
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
    by_line && charged(state.ledger.used, state.ledger.unattributed) <= excused
}

fn a_line_stays_in_its_cycle(protocol: &Protocol, state: &State) -> bool {
    let next = |backing: &Backing| protocol.world.grants[backing.grant()].lasts == Lasts::NextCycle;
    let mut old = state.ledger.lines.iter().filter(|line| line.cycle < state.ledger.cycle);
    old.all(|line| Backing::ALL.into_iter().filter(next).all(|backing| line.drawn[backing] == 0))
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

fn a_recall_leaves_nothing_idle(_: &Protocol, state: &State) -> bool {
    !state.witness.kept_idle
}

/// What the pool was given of a grant so far.
fn granted(protocol: &Protocol, state: &State, grant: usize) -> i16 {
    let granted = protocol.world.grants[grant];
    let starts_later = granted.lasts == Lasts::NextCycle && state.ledger.cycle == 0;
    if starts_later { 0 } else { i16::from(granted.amount) }
}

fn of(numbers: ByBacking, grant: usize) -> i16 {
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

fn told_in_all(state: &State) -> i16 {
    state.witness.lines.iter().map(|line| i16::from(line.told.sum())).sum()
}

fn witness(state: &State, line: LineId) -> &LineWitness {
    &state.witness.lines[line.index()]
}

fn is_recall(message: Message) -> bool {
    matches!(message, Message::Drawn { give_back: true, .. })
}

fn is_unheard_return(ledger: &Ledger, message: Message) -> bool {
    let Message::Numbers(Numbers { line, returned, .. }) = message else { return false };
    ledger.line(line).is_some_and(|line| !returned.within(line.returned))
}

/// A draw by a holder that had spent some and returned some, and it has got all it asked for.
fn is_granted_after_return(ledger: &Ledger, message: Message) -> bool {
    let Message::Numbers(Numbers { line, returned, used, wish: Wish::Draw { target, .. }, .. }) = message
    else {
        return false;
    };
    let granted = ledger.line(line).is_some_and(|line| line.drawn.sum() == target);
    granted && returned.sum() > 0 && used.sum() > 0
}

fn is_waiting_draw(state: &State, id: LineId) -> bool {
    let draw = |message: &Message| matches!(message, Message::Numbers(Numbers { line, wish: Wish::Draw { .. }, .. }) if *line == id);
    state.network.iter().any(draw)
}

fn is_closing(state: &State, id: LineId) -> bool {
    let close = |message: &Message| matches!(message, Message::Numbers(Numbers { line, wish: Wish::Close, .. }) if *line == id);
    state.network.iter().any(close)
}

fn is_answered(state: &State, id: LineId) -> bool {
    state.network.iter().any(|message| matches!(message, Message::Drawn { line, .. } if *line == id))
}

fn stale(message: Message) -> Option<LineId> {
    match message {
        Message::StaleLine { line } => Some(line),
        Message::Numbers(_) | Message::Drawn { .. } => None,
    }
}
