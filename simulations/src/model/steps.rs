//! When each event may happen, and what it does to the state: whatever can happen may happen, in any order.
//! Not here: what a holder and the ledger do then (`holder`, `hold`, `session`, `ledger`).

use super::hold::Stage;
use super::holder::{Memory, Process};
use super::mistakes::Mistake;
use super::session::Leader;
use super::words::{ByBacking, GRANTS, LineId, Message, Recall, Wish};
use super::worlds::Lasts;
use super::{Event, HoldWitness, Protocol, State};

impl Protocol {
    pub fn events_at(&self, state: &State, at: usize, events: &mut Vec<Event>) {
        let (node, left) = (&state.nodes[at], &state.left);
        let mut may = |times_left: u8, event: Event| {
            if times_left > 0 {
                events.push(event);
            }
        };
        match &node.process {
            Process::Down => {
                may(1, Event::Restart(at));
                may(left.disk_losses, Event::LoseDisk(at));
            }
            Process::HalfRounded => may(1, Event::FinishRounding(at)),
            Process::Up(memory) => {
                may(1, Event::AdvanceWatermark(at));
                may(1, Event::Spend(at));
                may(left.asks, Event::Ask(at));
                if self.world.feature_limit.is_some() {
                    may(1, Event::SpendOn(at));
                    may(left.asks, Event::AskFor(at));
                }
                may(left.reports, Event::Report(at));
                may(left.returns, Event::GiveBack(at));
                may(left.closes, Event::Close(at));
                may(left.renewals, Event::Renew(at));
                may(left.holds, Event::OpenHold(at));
                if memory.hold.stage != Stage::Never {
                    may(left.extends, Event::HoldMore(at));
                    may(left.extends, Event::Confirm(at));
                    (1..=memory.hold.held.sum()).for_each(|used| may(1, Event::Settle(at, used)));
                    may(1, Event::Release(at));
                    may(1, Event::ExpireHold(at));
                }
            }
        }
        if node.process != Process::Down {
            may(left.kills, Event::Kill(at));
        }
        may(left.power_losses, Event::LosePower(at));
        may(1, Event::Sync(at));
    }

    pub fn events_at_ledger(&self, state: &State, events: &mut Vec<Event>) {
        let left = &state.left;
        let mut may = |times_left: u8, event: Event| {
            if times_left > 0 {
                events.push(event);
            }
        };
        for line in state.ledger.lines.iter().filter(|line| !line.lost) {
            may(left.recalls, Event::Recall(line.id));
            may(left.write_offs, Event::WriteOff(line.id.holder));
        }
        may(left.reallocations, Event::Reallocate);
        may(left.rollovers, Event::RollOver);
        may(left.windows, Event::TurnWindow);
        may(left.feature_limits, Event::LimitFeature);
        may(left.elections, Event::Elect);
        may(left.ticks, Event::Tick);
        for grant in 0..GRANTS {
            let ends = self.world.grants[grant].lasts == Lasts::PartOfTheCycle && !state.ledger.over[grant];
            may(u8::from(ends), Event::Expire(grant));
        }
    }

    /// What nobody may do who has read the rules.
    pub fn mistaken_events(&self, state: &State, events: &mut Vec<Event>) {
        for line in &state.ledger.lines {
            let over = state.now >= state.leader.until(self, line.id.holder.node as usize);
            let silent =
                self.has(Mistake::SilenceTakenForReturn) || (self.has(Mistake::SessionEndCredits) && over);
            if silent && !line.lost {
                events.push(Event::TakeSilenceForReturn(line.id));
            }
            if line.lost && self.has(Mistake::JournalCopyIsProof) {
                events.push(Event::TakeCopyForProof(line.id));
            }
        }
        if self.has(Mistake::DeposedLeaderRenews) && state.left.elections < self.world.budget.elections {
            let renewals = state.network.iter().filter(|message| matches!(message, Message::Renew { .. }));
            events.extend(renewals.map(|message| Event::DeliverToDeposedLeader(*message)));
        }
    }

    /// What an event does; `None` where it cannot happen.
    pub fn happen(&self, state: &mut State, event: Event) -> Option<()> {
        let now = state.now;
        match event {
            Event::Ask(at) => self.ask(state, at, false)?,
            // An open line is for what it is for.
            Event::AskFor(at) if state.nodes[at].page_cache.open => return None,
            Event::AskFor(at) => self.ask(state, at, true)?,
            Event::AdvanceWatermark(at) => state.nodes[at].advance_watermark(self)?,
            Event::Spend(at) | Event::SpendOn(at) => {
                state.nodes[at].has_session(self, now).then_some(())?;
                let on_feature = matches!(event, Event::SpendOn(_));
                let backing = state.nodes[at].spend(self, on_feature)?;
                state.witness.on_feature += u8::from(on_feature);
                let mut told = ByBacking::default();
                told[backing] = 1;
                self.told(state, at, told, 0);
            }
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
            Event::OpenHold(_)
            | Event::HoldMore(_)
            | Event::Confirm(_)
            | Event::Settle(..)
            | Event::Release(_)
            | Event::ExpireHold(_) => self.happen_to_hold(state, event)?,
            Event::Kill(at) => {
                take(&mut state.left.kills)?;
                state.nodes[at].kill();
            }
            Event::LosePower(at) => {
                take(&mut state.left.power_losses)?;
                state.nodes[at].lose_power(self, now);
                if state.nodes[at].disk.open {
                    state.witness_of(state.nodes[at].line()).power_losses += 1;
                }
                state.witness.holds[at].outlived_power |= is_open(state, at);
            }
            Event::LoseDisk(at) => {
                take(&mut state.left.disk_losses)?;
                state.nodes[at].lose_disk(self)?;
                state.witness.holds[at] = HoldWitness::default();
            }
            Event::Restart(at) => {
                state.nodes[at].restart(self);
                if self.has(Mistake::HoldCountedAnew) {
                    state.nodes[at].count_hold_anew(self, now);
                    state.witness.holds[at].known = state.nodes[at].page_cache.hold;
                }
            }
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
                state.witness.exposed = state.witness.exposed.max(state.ledger.book().exposure.sum());
                self.name_until(state);
            }
            Event::Reallocate => {
                take(&mut state.left.reallocations)?;
                let recalls = state.ledger.reallocate(self.world.moved)?;
                state.send_all(recalls);
                self.name_until(state);
            }
            Event::Expire(grant) => state.ledger.expire(grant),
            Event::RollOver => {
                take(&mut state.left.rollovers)?;
                let recalls = state.ledger.roll_over(self);
                state.send_all(recalls);
                for at in 0..self.world.users.len() {
                    state.witness.holds[at].outlived_cycle |= is_open(state, at);
                }
            }
            Event::TurnWindow => {
                take(&mut state.left.windows)?;
                state.ledger.turn_window(self, &state.leader, now);
                state.witness.in_window = 0;
            }
            Event::LimitFeature => {
                take(&mut state.left.feature_limits)?;
                let recalls = state.ledger.limit_feature(self)?;
                state.send_all(recalls);
            }
            Event::Renew(at) => {
                take(&mut state.left.renewals)?;
                let renew = state.nodes[at].ask_to_renew(now)?;
                state.send(renew).then_some(())?;
            }
            Event::Elect => {
                take(&mut state.left.elections)?;
                state.leader = Leader::elected(self, now);
            }
            Event::Tick => {
                take(&mut state.left.ticks)?;
                state.now += 1;
            }
            Event::TakeSilenceForReturn(line) => state.ledger.credit_back_unproven(self, line),
            Event::TakeCopyForProof(line) => {
                let copy = state.nodes[line.holder.node as usize].copy_of_journal(line)?;
                state.ledger.receive(self, copy);
            }
            Event::DeliverToDeposedLeader(message) => {
                let Message::Renew { holder, boot, sent } = message else { return None };
                state.send(Message::Renewed { holder, boot, sent, recall: None });
            }
        }
        Some(())
    }

    fn happen_to_hold(&self, state: &mut State, event: Event) -> Option<()> {
        let now = state.now;
        let late = matches!(event, Event::Settle(at, _) if !is_open(state, at));
        let (at, told, ended) = match event {
            Event::OpenHold(at) => {
                take(&mut state.left.holds)?;
                state.nodes[at].has_session(self, now).then_some(())?;
                state.nodes[at].open_hold(self, now)?;
                (at, ByBacking::default(), false)
            }
            Event::HoldMore(at) => {
                take(&mut state.left.extends)?;
                state.nodes[at].has_session(self, now).then_some(())?;
                state.nodes[at].hold_more(self, now)?;
                (at, ByBacking::default(), false)
            }
            Event::Confirm(at) => {
                take(&mut state.left.extends)?;
                (at, state.nodes[at].confirm(self, now)?, false)
            }
            Event::Settle(at, used) if late => {
                state.nodes[at].has_session(self, now).then_some(())?;
                (at, state.nodes[at].settle_late(self, used)?, true)
            }
            Event::Settle(at, used) => (at, state.nodes[at].settle(self, now, used)?, true),
            Event::Release(at) => {
                state.nodes[at].release(self, now)?;
                (at, ByBacking::default(), true)
            }
            Event::ExpireHold(at) => {
                state.nodes[at].expire_hold(self, now)?;
                (at, ByBacking::default(), false)
            }
            _ => return None,
        };
        self.told(state, at, told, if late { 0 } else { self.world.hold_lasts });
        let node = &state.nodes[at];
        let witness = &mut state.witness.holds[at];
        witness.known = node.page_cache.hold;
        witness.charged += told.sum();
        witness.ends += u8::from(ended);
        witness.late |= late;
        witness.outlived_session |= ended && !node.has_session(self, now);
        Some(())
    }

    /// A client was told that this is spent, on a line of this node, and it may be so for `grace` after `until`.
    fn told(&self, state: &mut State, at: usize, told: ByBacking, grace: u8) {
        let line = state.nodes[at].line();
        let witness = state.witness_of(line);
        witness.told = witness.told.plus(told);
        if self.world.limit.is_some() {
            state.witness.in_window += told.sum();
        }
        let Some(line) = state.ledger.line(line) else { return };
        let until = state.witness.until[at];
        let revoked = line.frozen_at.is_some() && until > 0 && told.sum() > 0;
        state.witness.spent_after_write_off |= line.lost;
        state.witness.spent_after_until |= revoked && state.now >= until + grace;
    }

    /// An administrator has taken something away, and is told until when it may still be spent.
    fn name_until(&self, state: &mut State) {
        if self.world.session == 0 {
            return;
        }
        for line in state.ledger.lines.iter().filter(|line| line.frozen_at.is_some()) {
            let node = line.id.holder.node as usize;
            state.witness.until[node] = state.leader.until(self, node);
        }
    }

    fn ask(&self, state: &mut State, at: usize, only: bool) -> Option<()> {
        take(&mut state.left.asks)?;
        let had_line = state.nodes[at].page_cache.open;
        let taken = match self.world.one_holder {
            true => state.nodes.iter().map(|node| node.page_cache.n).max()?,
            false => state.nodes[at].page_cache.n,
        };
        let draw = state.nodes[at].ask(self, taken, only)?;
        let target = state.nodes[at].memory()?.drawn.sum() + self.world.draw;
        let witness = state.witness_of(state.nodes[at].line());
        witness.asked = witness.asked.max(target);
        (state.send(draw) || !had_line).then_some(())
    }

    fn deliver(&self, state: &mut State, message: Message) {
        match message {
            Message::Numbers(numbers) => {
                let answer = state.ledger.receive(self, numbers);
                state.leader.hear(&numbers);
                state.witness_of(numbers.line).closed |= numbers.wish == Wish::Close;
                answer.map(|answer| state.send(answer));
            }
            Message::Drawn { line, drawn, recall } => self.deliver_drawn(state, line, drawn, recall),
            Message::StaleLine { line } => {
                let node = &mut state.nodes[line.holder.node as usize];
                if node.line() == line {
                    node.hear_stale();
                }
            }
            Message::OtherList { line } => {
                let node = &mut state.nodes[line.holder.node as usize];
                if node.line() == line {
                    node.hear_other_list();
                }
            }
            Message::Renew { holder, boot, sent } => {
                let answer = state.leader.renew(self, &state.ledger, (holder, boot, sent), state.now);
                answer.map(|answer| state.send(answer));
            }
            Message::Renewed { holder, boot, sent, recall } => {
                let node = &mut state.nodes[holder.node as usize];
                let heard = node.holder == holder && node.hear_renewed(self, boot, sent, state.now).is_some();
                if let Some((line, drawn)) = recall.filter(|_| heard) {
                    self.deliver_drawn(state, line, drawn, Recall::ForGood);
                }
            }
        }
    }

    fn deliver_drawn(&self, state: &mut State, line: LineId, drawn: ByBacking, recall: Recall) {
        let node = &mut state.nodes[line.holder.node as usize];
        if node.line() != line {
            return;
        }
        let returned = node.hear(self, drawn, recall);
        let idle = |memory: Memory| !drawn.within(memory.returned.plus(memory.spoken_for()));
        state.witness.kept_idle |= recall != Recall::No && node.serving().is_some_and(idle);
        returned.map(|returned| state.send(returned));
    }
}

impl State {
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

fn is_open(state: &State, at: usize) -> bool {
    state.nodes[at].page_cache.hold.stage == Stage::Open
}

fn take(left: &mut u8) -> Option<()> {
    *left = left.checked_sub(1)?;
    Some(())
}
