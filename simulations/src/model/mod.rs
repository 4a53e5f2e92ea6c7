//! The lease protocol as a model that can be searched: every order of every event, in small worlds.
//!
//! A credit out on a lease is gone from the pool until it comes back with proof. So everything rests on
//! one chain, where each link counts as gone at least what the next may give away:
//!
//! ```text
//! ledger: drawn D − returned R  ≥  holder's disk: watermark  ≥  holder's memory: spent
//! ```
//!
//! Read in this order:
//!
//! - `words`: what a number, a line and a message are;
//! - `holder`: spend, return, close, crash, restart, on one node;
//! - `ledger`: draw, return, recall, reallocate, write off, fold and forget, in the replicated ledger;
//! - this file: which events there are, and that each may happen whenever it can;
//! - `rules`: the sentences that must always be true, and the crossings that must have been seen;
//! - `worlds`: how large the searched worlds are;
//! - `mistakes`: the rules broken one by one, each with the sentence that breaks;
//! - `check` and `story`: the search, and a counterexample told in English.
//!
//! Not here: Raft (the ledger is taken as one machine that never forgets), meters, idempotency keys,
//! holds, permits, sessions, time. Nothing in these files is used by the product; the product follows them.

pub mod check;
pub mod holder;
pub mod ledger;
pub mod mistakes;
pub mod rules;
pub mod story;
pub mod words;
pub mod worlds;

use holder::{Node, Process};
use ledger::{Funds, Intent, Ledger};
use mistakes::Mistake;
use stateright::{Model, Property};
use words::{ByBacking, ByGrant, DISKS, GRANTS, Holder, LINES, LineId, Message, NODES, Wish};
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

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    pub ledger: Ledger,
    pub nodes: [Node; NODES],
    /// Everything ever sent, sorted; a message is delivered never, once or often.
    pub network: Vec<Message>,
    pub witness: Witness,
    /// What may still happen; this keeps the worlds finite.
    pub left: Budget,
}

/// What really happened. No part of the protocol can see it; only the rules look here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Witness {
    pub lines: [LineWitness; NODES * DISKS * LINES],
    /// A holder spent on a line that had been written off.
    pub spent_after_write_off: bool,
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

impl State {
    pub fn witness_of(&mut self, line: LineId) -> &mut LineWitness {
        &mut self.witness.lines[line.index()]
    }

    fn send_all(&mut self, messages: Vec<Message>) {
        for message in messages {
            self.send(message);
        }
    }

    /// Whether this is news: what was sent before is in the network already.
    fn send(&mut self, message: Message) -> bool {
        match self.network.binary_search(&message) {
            Ok(_) => false,
            Err(at) => {
                self.network.insert(at, message);
                true
            }
        }
    }
}

/// One event. `usize` is a node, in `Expire` a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    Ask(usize),
    AdvanceWatermark(usize),
    Spend(usize),
    Sync(usize),
    Report(usize),
    GiveBack(usize),
    Close(usize),
    Kill(usize),
    LosePower(usize),
    LoseDisk(usize),
    Restart(usize),
    FinishRounding(usize),
    Deliver(Message),
    Recall(LineId),
    WriteOff(Holder),
    Reallocate,
    Expire(usize),
    RollOver,
    /// Only a mistake does this.
    TakeSilenceForReturn(LineId),
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
    }

    fn next_state(&self, before: &State, event: Event) -> Option<State> {
        let mut state = before.clone();
        self.happen(&mut state, event)?;
        (state != *before).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Protocol>> {
        let always = rules::ALWAYS.iter().map(|rule| Property::always(rule.sentence, rule.holds));
        let sometimes = rules::SOMETIMES.iter().map(|rule| Property::sometimes(rule.sentence, rule.holds));
        always.chain(sometimes).collect()
    }
}

impl Protocol {
    fn beginning(&self) -> State {
        let World { grants, allocations, .. } = &self.world;
        let mut available = ByGrant::default();
        for grant in 0..GRANTS {
            let starts_later = grants[grant].lasts == Lasts::NextCycle;
            available[grant] = if starts_later { 0 } else { grants[grant].amount };
        }
        let none = ByBacking::default();
        let ledger = Ledger {
            funds: Funds { available, earmarks: *allocations },
            lines: Vec::new(),
            highest: [0; NODES * DISKS],
            fenced: [false; NODES * DISKS],
            cycle: 0,
            over: [false; GRANTS],
            expired: ByGrant::default(),
            used: none,
            unattributed: none,
            written_off: none,
            exposure: none,
            ended: ByGrant::default(),
            intent: Intent::default(),
        };
        State {
            ledger,
            nodes: [0, 1].map(|node| Node::new(Holder { node, disk: 0 }, 0)),
            network: Vec::new(),
            witness: Witness::default(),
            left: self.world.budget,
        }
    }

    fn events_at(&self, state: &State, at: usize, events: &mut Vec<Event>) {
        let (node, left) = (&state.nodes[at], &state.left);
        let mut may = |times_left: u8, event: Event| {
            if times_left > 0 {
                events.push(event);
            }
        };
        match node.process {
            Process::Down => {
                may(1, Event::Restart(at));
                may(left.disk_losses, Event::LoseDisk(at));
            }
            Process::HalfRounded => may(1, Event::FinishRounding(at)),
            Process::Up(_) => {
                may(1, Event::AdvanceWatermark(at));
                may(1, Event::Spend(at));
                may(left.asks, Event::Ask(at));
                may(left.reports, Event::Report(at));
                may(left.returns, Event::GiveBack(at));
                may(left.closes, Event::Close(at));
            }
        }
        if node.process != Process::Down {
            may(left.kills, Event::Kill(at));
        }
        may(left.power_losses, Event::LosePower(at));
        may(1, Event::Sync(at));
    }

    fn events_at_ledger(&self, state: &State, events: &mut Vec<Event>) {
        let left = &state.left;
        let mut may = |times_left: u8, event: Event| {
            if times_left > 0 {
                events.push(event);
            }
        };
        for line in state.ledger.lines.iter().filter(|line| !line.lost) {
            may(left.recalls, Event::Recall(line.id));
            may(left.write_offs, Event::WriteOff(line.id.holder));
            may(u8::from(self.has(Mistake::SilenceTakenForReturn)), Event::TakeSilenceForReturn(line.id));
        }
        may(left.reallocations, Event::Reallocate);
        may(left.rollovers, Event::RollOver);
        for grant in 0..GRANTS {
            let ends = self.world.grants[grant].lasts == Lasts::PartOfTheCycle && !state.ledger.over[grant];
            may(u8::from(ends), Event::Expire(grant));
        }
    }

    /// What an event does; `None` where it cannot happen.
    fn happen(&self, state: &mut State, event: Event) -> Option<()> {
        match event {
            Event::Ask(at) => self.ask(state, at)?,
            Event::AdvanceWatermark(at) => state.nodes[at].advance_watermark(self)?,
            Event::Spend(at) => self.spend(state, at)?,
            Event::Sync(at) => state.nodes[at].sync(),
            Event::Report(at) => {
                take(&mut state.left.reports)?;
                let report = state.nodes[at].report(self)?;
                state.send(report).then_some(())?;
            }
            Event::GiveBack(at) => {
                take(&mut state.left.returns)?;
                let returned = state.nodes[at].give_back(self)?;
                state.send(returned);
            }
            Event::Close(at) => {
                take(&mut state.left.closes)?;
                let close = state.nodes[at].close(self)?;
                state.send(close);
            }
            Event::Kill(at) => {
                take(&mut state.left.kills)?;
                state.nodes[at].kill();
            }
            Event::LosePower(at) => {
                take(&mut state.left.power_losses)?;
                state.nodes[at].lose_power();
                if state.nodes[at].disk.open {
                    state.witness_of(state.nodes[at].line()).power_losses += 1;
                }
            }
            Event::LoseDisk(at) => {
                take(&mut state.left.disk_losses)?;
                state.nodes[at].lose_disk(self)?;
            }
            Event::Restart(at) => state.nodes[at].restart(self),
            Event::FinishRounding(at) => state.nodes[at].round(self),
            Event::Deliver(message) => self.deliver(state, message),
            Event::Recall(line) => {
                take(&mut state.left.recalls)?;
                let recall = state.ledger.recall(self, line)?;
                state.send(recall);
            }
            Event::WriteOff(holder) => {
                take(&mut state.left.write_offs)?;
                state.ledger.write_off(self, holder);
            }
            Event::Reallocate => {
                take(&mut state.left.reallocations)?;
                let recalls = state.ledger.reallocate(self.world.moved)?;
                state.send_all(recalls);
            }
            Event::Expire(grant) => state.ledger.expire(grant),
            Event::RollOver => {
                take(&mut state.left.rollovers)?;
                let recalls = state.ledger.roll_over(self);
                state.send_all(recalls);
            }
            Event::TakeSilenceForReturn(line) => state.ledger.credit_back_unproven(self, line),
        }
        Some(())
    }

    fn ask(&self, state: &mut State, at: usize) -> Option<()> {
        take(&mut state.left.asks)?;
        let had_line = state.nodes[at].page_cache.open;
        let taken = match self.world.one_holder {
            true => state.nodes.iter().map(|node| node.page_cache.n).max()?,
            false => state.nodes[at].page_cache.n,
        };
        let draw = state.nodes[at].ask(self, taken)?;
        let target = state.nodes[at].memory()?.drawn.sum() + self.world.draw;
        let witness = state.witness_of(state.nodes[at].line());
        witness.asked = witness.asked.max(target);
        (state.send(draw) || !had_line).then_some(())
    }

    fn spend(&self, state: &mut State, at: usize) -> Option<()> {
        let backing = state.nodes[at].spend(self)?;
        let line = state.nodes[at].line();
        state.witness_of(line).told[backing] += 1;
        let lost = state.ledger.line(line).is_some_and(|line| line.lost);
        state.witness.spent_after_write_off |= lost;
        Some(())
    }

    fn deliver(&self, state: &mut State, message: Message) {
        match message {
            Message::Numbers(numbers) => {
                let answer = state.ledger.receive(self, numbers);
                state.witness_of(numbers.line).closed |= numbers.wish == Wish::Close;
                answer.map(|answer| state.send(answer));
            }
            Message::Drawn { line, drawn, give_back } => {
                let node = &mut state.nodes[line.holder.node as usize];
                if node.line() != line {
                    return;
                }
                let returned = node.hear(self, drawn, give_back);
                let idle = |memory: holder::Memory| !drawn.within(memory.returned.plus(memory.spent()));
                state.witness.kept_idle |= give_back && node.serving().is_some_and(idle);
                returned.map(|returned| state.send(returned));
            }
            Message::StaleLine { line } => {
                let node = &mut state.nodes[line.holder.node as usize];
                if node.line() == line {
                    node.hear_stale();
                }
            }
        }
    }
}

fn take(left: &mut u8) -> Option<()> {
    *left = left.checked_sub(1)?;
    Some(())
}
