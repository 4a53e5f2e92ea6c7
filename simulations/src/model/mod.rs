//! The lease protocol, and a model of it that can be searched: every order of every event, in small worlds.
//! Who reads this file from top to bottom knows the protocol; the others say the same so exactly that it runs.
//!
//! # What it is for
//!
//! A ledger, replicated by Raft, keeps a workspace's credits. Asking it for every call would be slow, so each
//! node takes credits on a lease and spends them on its own: it is a *holder*. A rate limiter's lease comes
//! back by itself when its time is up. A credit does not: silence may show that a holder spends no *more*,
//! never how much it *has* spent. So a credit out on a lease is gone from the pool until it comes back with
//! proof, and everything else follows from one sentence: **spend only what a more durable layer already
//! counts as gone.**
//!
//! ```text
//! ledger: drawn − returned  ≥  holder's disk: watermark  ≥  holder's memory: spent + held
//! ```
//!
//! Whichever layer is lost, the one to its left knows at least as much to be gone: a crash rounds up.
//!
//! # A line, and its numbers
//!
//! A *line* is what one holder has of one user's credits, for one cycle. Its number n is taken once and never
//! again. All its numbers are absolute, only grow, and are merged by maximum; so a message may be lost, late,
//! reordered or repeated, and nothing happens that should not.
//!
//! | | raised by | means |
//! |---|---|---|
//! | D drawn | ledger | ever leased on this line |
//! | U used | holder | spent, and known for what |
//! | R returned | holder | given back: a promise never to spend it |
//! | Z unattributed | holder | charged after a power loss; what it was for is lost |
//! | W written off | ledger | charged because the holder was declared lost |
//!
//! What is out is D − U − R − Z − W. The holder has two numbers more, which do not travel: the *watermark*, up
//! to which it may spend or hold, and what is *held*. Each number is counted by *backing*: from the user's own
//! allocation or from what is shared, and from which grant. Each backing is counted by itself, so that a
//! returned credit finds its way to its very grant, whatever arrives first.
//!
//! A holder says one thing only: its numbers, as synced to its disk, and with them a wish. *Draw*: let ΣD become
//! this much. *Report*: take note; with R raised this is the *Return*. *Close*: these are the last. The ledger
//! answers with D. A *Recall* is the same answer with "give back what is idle" beside it; where the line is
//! *frozen*, so that it draws no more, also "and spend no more of it, for good".
//!
//! One line's life, with a chunk of 4:
//!
//! ```text
//!                         ledger: D  U  R  Z    disk: watermark    memory: used
//! draw 10                        10  0  0  0           0                 0
//! raise the watermark            10  0  0  0           4                 0
//! spend 3                        10  0  0  0           4                 3
//! sync, report                   10  3  0  0           4                 3
//! power fails; restart           10  3  0  0           4                 3, and 1 unattributed
//! give back what is idle         10  3  6  1           4                 3, and 1 unattributed
//! close                          folded: 3 used, 1 unattributed; nothing is left to come back
//! ```
//!
//! # The rules
//!
//! - **R1** A draw names a target, not an amount: a draw asked twice is one draw. *Else a lease is granted twice.*
//! - **R2** A holder installs D by maximum. *Else an answer that comes twice is spent twice.*
//! - **R3** The watermark is synced before anything is spent or held beyond it, and is at most one chunk ahead.
//!   *Else what was spent is forgotten; or a power loss costs more than a chunk.*
//! - **R4** After a power loss all up to the watermark counts as spent: what is not in the synced records
//!   becomes Z, except what is held, for its record was synced. After the mere death of the process the journal
//!   is exact. The boot id tells which it was; it is written in one record with the rounded numbers. *Else what
//!   was spent is spent again.*
//! - **R5** A Return is on the holder's disk before it is sent; in the same record the watermark falls to what is
//!   spent and held. *Else what was returned is spent.*
//! - **R6** A report says what is synced, in absolute numbers. *Else a charge is counted twice, or unsaid.*
//! - **R7** What is written off stays charged: what arrives late may show that it was used, and for what. It
//!   makes nothing available. *Else credits come from nothing.*
//! - **R8** Silence moves no credit. *Else what a silent holder has spent is granted again.*
//! - **R9** A recall takes effect when the Return arrives, not at a deadline. *Else the same, but sooner.*
//! - **R10** A node with a new disk is a new holder; the old one is fenced for ever. *Else what the old disk knew
//!   to be spent is spent again.*
//! - **R11** A line belongs to its cycle for ever. *Else last month's use is on this month's credits.*
//! - **R12** An allocation names the grants it is drawn from, all lasting to the cycle's end. *Else it may be one
//!   that nothing stands behind.*
//!
//! # What follows from them
//!
//! **Closing.** A Close is durable before it is sent. The ledger adds the line to the cycle's books, gives back
//! what its numbers do not claim, forgets it, and keeps only the highest n closed. What comes for an unknown n up
//! to that is answered *stale line*, and the holder takes the next n.
//!
//! **Reallocation.** An administrator moves Ann's credits to Bob. What is not drawn moves at once. The rest is an
//! *intent* that names lines, and for each at most so much; these lines are frozen and recalled. What returns
//! pays the intent first. What was charged meanwhile *lapses*, and so does what the cycle's end cuts off.
//!
//! **Rollover.** The new cycle waits for nobody. Old lines are frozen and recalled, but may report, return and
//! close. A credit that returns to a grant that is over expires; to one that lasts, it is *carried*. That is all
//! an old line changes in the new cycle. Earmarks end with their cycle.
//!
//! **Overage.** Where nothing included is available a draw may mint credits, up to a cap in each cycle. They may be minted
//! although included credits lie idle at a holder out of reach; so the bill is made right when these come back: a
//! shared credit of a cycle that returns pays for overage of that cycle first (it is *resourced*), even when the cycle
//! has ended. Overage that returns is as if it had never been minted; what had paid for it is free again. So a cycle's
//! overage is always what is out or charged in it beyond what was included, to the credit.
//!
//! **Limits.** What may be spent in a window counts what became known to be charged in it, and what is out: that may be
//! spent in it, whenever it was drawn. When the next window begins, what is out still counts; but not what is out at a
//! holder whose session, and the longest hold, ended before: its lines are frozen, and it hears so before it spends again.
//!
//! **A limit of a feature.** What is limited is spent from lines of its own. When the limit is set, lines of before may be spent on
//! anything still: they are frozen and recalled, and count under the limit as long as they have anything out. A line is of the
//! list of what is limited that its holder knew; none is opened under an old one, and a holder that does not know the
//! list of a line does not spend from it.
//!
//! **A lost holder.** An operator declares it lost: it is fenced, and what is out is charged (W), or credited back
//! as a booked *exposure*. If it wakes, its Close is evidence, for only who closes spends no more: W becomes U or
//! Z, and an exposure ends as far as it was not spent. A copy of its journal is no evidence.
//!
//! **Holds.** A hold sets credits aside for one client. An extension holds more, or confirms a part as used. A
//! settle charges what was used and frees the rest; a release charges what was confirmed, and so does an expiry;
//! a settle after the expiry is an ordinary charge, up to what was held. What is held is below the watermark and
//! is never given back; a line with an open hold is not closed. Every record about a hold is synced before it is
//! answered, its end too, and at its end the watermark falls to what is spent. On a line that was recalled for
//! good, what a hold frees is given back, not spent; that it was recalled is on the disk with the Return that says
//! so, for the leader renews the session then, though what is held is still out. An extension makes the hold last
//! anew, but not on such a line and not without a session: so what was taken away is back when the longest hold
//! has ended.
//!
//! **Sessions.** A holder spends only while its session with the leader lives; an open hold may be settled beyond
//! that, until it expires by the wall clock. A session moves no credit (R8): it bounds how long a holder out of
//! reach may spend what was taken away, so that whoever takes it can be told until when. It is counted from when
//! its renewal was sent, by a clock that starts with the machine, and dies with the process. Only a leader that a
//! quorum confirms renews it, never for a fenced holder, and the answer brings the recall of a line that was
//! frozen. A new leader takes each session as renewed when it was elected.
//!
//! # Read in this order
//!
//! - this file: what there is, and what can happen;
//! - `words`: what a number, a backing, a line and a message are;
//! - `holder`: spend, return, close, crash, restart, on one node; then `hold` and `session`;
//! - `ledger`: draw, return, recall, reallocate, write off, fold and forget, roll over; then `overage`, `limit`
//!   and `scope`;
//! - `steps`: when each event may happen, and what it does;
//! - `rules`: the sentences that must always be true; `crossings`: what must have been seen;
//! - `worlds`: how large the searched worlds are;
//! - `mistakes` and `planted`: the rules broken one by one, each with the sentence that breaks;
//! - `check` and `story`: the search, and a counterexample told in English.
//!
//! Not here: Raft (the ledger is one machine that never forgets), meters, idempotency keys, refunds,
//! a disk that was rolled back to an older copy. Nothing in these files is used by the product;
//! the product follows them.

pub mod check;
pub mod crossings;
pub mod hold;
pub mod holder;
pub mod ledger;
pub mod limit;
pub mod mistakes;
pub mod overage;
mod planted;
pub mod rules;
pub mod scope;
pub mod session;
mod steps;
pub mod story;
pub mod words;
pub mod worlds;

use hold::Hold;
use holder::Node;
use ledger::{Book, Funds, Intent, Ledger};
use limit::Window;
use mistakes::Mistake;
use overage::Overage;
use scope::Limited;
use session::Leader;
use stateright::{Model, Property};
use words::{ByBacking, ByGrant, CYCLES, DISKS, GRANTS, Holder, LINES, LineId, Message, NODES};
use worlds::{Budget, Lasts, World};

/// The protocol in one world, perhaps with one mistake planted.
#[derive(Clone, Debug)]
pub struct Protocol {
    pub world: World,
    pub mistake: Option<Mistake>,
}

impl Protocol {
    pub fn has(&self, mistake: Mistake) -> bool {
        self.mistake == Some(mistake)
    }
}

/// All there is at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    pub ledger: Ledger,
    /// What the leader knows that is not in the replicated ledger.
    pub leader: Leader,
    pub nodes: [Node; NODES],
    /// Everything ever sent, sorted; a message is delivered never, once or often.
    pub network: Vec<Message>,
    pub witness: Witness,
    /// The wall clock. It stands still, except in worlds with sessions.
    pub now: u8,
    /// What may still happen; this keeps the worlds finite.
    pub left: Budget,
}

/// What really happened. No part of the protocol can see it; only the rules look here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Witness {
    pub lines: [LineWitness; NODES * DISKS * LINES],
    /// By node: each has at most one hold.
    pub holds: [HoldWitness; NODES],
    /// Until when, an administrator was told, a node may spend what is frozen; 0: nobody has asked.
    pub until: [u8; NODES],
    /// A holder spent on a frozen line after that, or used a hold after that and the longest hold.
    pub spent_after_until: bool,
    /// The most that was ever exposed.
    pub exposed: u8,
    /// A holder spent on a line that had been written off.
    pub spent_after_write_off: bool,
    /// Credits that clients were told they had spent since the window began.
    pub in_window: u8,
    /// Credits that clients were told they had spent on the feature.
    pub on_feature: u8,
    /// A holder answered a recall and kept idle credits.
    pub kept_idle: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct LineWitness {
    /// Credits that clients were told they had spent.
    pub told: ByBacking,
    /// The highest ΣD its holder ever asked for.
    pub asked: u8,
    pub power_losses: u8,
    /// The ledger heard its Close.
    pub closed: bool,
}

/// Of the hold of a node; a lost disk takes it along.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct HoldWitness {
    /// What its client was told, or could have asked.
    pub known: Hold,
    /// Credits its client was told it had used, confirmed ones among them.
    pub charged: u8,
    /// How often its client was told that it was settled or released.
    pub ends: u8,
    /// It was settled after it had expired.
    pub late: bool,
    /// While it was open the power failed,
    pub outlived_power: bool,
    /// the cycle ended,
    pub outlived_cycle: bool,
    /// or the session of its holder had ended when it was.
    pub outlived_session: bool,
}

impl State {
    pub fn witness_of(&mut self, line: LineId) -> &mut LineWitness {
        &mut self.witness.lines[line.index()]
    }
}

/// One event. `usize` is a node, in `Expire` a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    // at a holder
    Ask(usize),
    /// For the feature alone.
    AskFor(usize),
    AdvanceWatermark(usize),
    Spend(usize),
    /// On the feature.
    SpendOn(usize),
    Sync(usize),
    Report(usize),
    GiveBack(usize),
    Close(usize),
    Renew(usize),
    // about its hold
    OpenHold(usize),
    HoldMore(usize),
    Confirm(usize),
    /// So many of its credits were used.
    Settle(usize, u8),
    Release(usize),
    ExpireHold(usize),
    // what goes wrong there
    Kill(usize),
    LosePower(usize),
    LoseDisk(usize),
    Restart(usize),
    FinishRounding(usize),
    // between holders and ledger; whatever was ever sent may arrive, now or again
    Deliver(Message),
    // at the ledger
    Recall(LineId),
    WriteOff(Holder),
    Reallocate,
    Expire(usize),
    RollOver,
    TurnWindow,
    LimitFeature,
    Elect,
    // everywhere
    Tick,
    // only by mistake
    TakeSilenceForReturn(LineId),
    TakeCopyForProof(LineId),
    DeliverToDeposedLeader(Message),
}

impl Model for Protocol {
    type State = State;
    type Action = Event;

    fn init_states(&self) -> Vec<State> {
        vec![self.beginning()]
    }

    fn actions(&self, state: &State, events: &mut Vec<Event>) {
        events.extend(state.network.iter().map(|message| Event::Deliver(*message)));
        for node in 0..self.world.users.len() {
            self.events_at(state, node, events);
        }
        self.events_at_ledger(state, events);
        self.mistaken_events(state, events);
    }

    fn next_state(&self, before: &State, event: Event) -> Option<State> {
        let mut state = before.clone();
        self.happen(&mut state, event)?;
        (state != *before).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Protocol>> {
        let always = rules::ALWAYS.iter().map(|rule| Property::always(rule.sentence, rule.holds));
        let sometimes =
            crossings::SOMETIMES.iter().map(|rule| Property::sometimes(rule.sentence, rule.holds));
        always.chain(sometimes).collect()
    }
}

impl Protocol {
    fn beginning(&self) -> State {
        let World { grants, allocations, .. } = &self.world;
        let mut available = ByGrant::default();
        for grant in 0..GRANTS {
            let starts_later = matches!(grants[grant].lasts, Lasts::NextCycle | Lasts::Minted);
            available[grant] = if starts_later { 0 } else { grants[grant].amount };
        }
        let ledger = Ledger {
            funds: Funds { available, earmarks: *allocations, overage: [Overage::default(); CYCLES] },
            lines: Vec::new(),
            highest: [0; NODES * DISKS],
            fenced: [false; NODES * DISKS],
            cycle: 0,
            over: [false; GRANTS],
            expired: ByGrant::default(),
            books: [Book::default(); CYCLES],
            opened_with: available,
            carried: ByGrant::default(),
            ended: ByGrant::default(),
            intent: Intent::default(),
            window: Window::default(),
            limited: Limited::default(),
        };
        State {
            ledger,
            leader: Leader::elected(self, 0),
            nodes: [0, 1].map(|node| Node::new(Holder { node, disk: 0 }, 0)),
            network: Vec::new(),
            witness: Witness::default(),
            now: 0,
            left: self.world.budget,
        }
    }
}
