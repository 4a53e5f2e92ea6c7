//! Runs the steps of a history against one ledger: holders, a network that loses, repeats and reorders, ghosts, the
//! naive model, and every checker after every command.
//!
//! Not here: virtual time, actors, disks as bytes (`simulations`).

mod imports;
mod refunds;
mod rest;
mod shadow;
mod sums;

use crate::checkers::{self, Broken, Verdict};
use crate::cycles;
use crate::ghost::Ghost;
use crate::holder::Holder;
use crate::naive::{Pool, places_of};
use crate::windows;
use crate::workload::{NODES, Pace, Step};
use imports::Imports;
use ledger::{
    AdminCommand, Applied, Change, Command, Event, ForgetMode, HolderBatch, LineAnswer, LineMessage,
    LineRejection, LineResult, Outcome, State, Subject, TeamChange, Wish, Workspace, WorkspaceSettings,
};
use refunds::Refunds;
use std::collections::BTreeMap;
use types::{
    Credits, CycleNumber, Day, DiskId, GrantId, HolderId, Limited, LineNumber, NodeId, ShadowCounts,
    Timestamp, UserId, WorkspaceId,
};

/// When histories begin.
pub const START: Timestamp = Timestamp::from_millis(20_000 * 86_400_000);
/// Messages on their way at once; past it the oldest is lost.
const NETWORK_MAX: usize = 24;

#[derive(Clone, Debug)]
enum Packet {
    ToLedger(HolderBatch),
    /// With what is limited by then.
    Answers(HolderId, Vec<LineAnswer>, Limited),
    Recall(HolderId, LineNumber),
}

/// How often each rare crossing happened.
pub type Seen = BTreeMap<&'static str, u64>;

#[derive(Debug)]
pub struct History {
    pace: Pace,
    workspace: WorkspaceId,
    at: Timestamp,
    state: State,
    fresh: State,
    log: Vec<(Timestamp, Command)>,
    holders: Vec<Holder>,
    /// Declared lost, and still running.
    lost: Vec<Holder>,
    network: Vec<Packet>,
    naive: Pool,
    ghost: Ghost,
    /// Final numbers of lines: what each user was charged on each grant in each cycle.
    charged: BTreeMap<(UserId, GrantId, u32), u64>,
    refunds: Refunds,
    imports: Imports,
    /// What clients were told would have been refused.
    would_refuse: BTreeMap<UserId, ShadowCounts>,
    /// Nothing was rounded up: no crash, nobody lost.
    is_exact: bool,
    /// Of each consume that a client asked for, in order: whether it was allowed.
    pub allowed: Vec<bool>,
    pub seen: Seen,
}

fn credits(micros: u64) -> Credits {
    Credits::from_micros(micros).expect("a small number")
}

fn broken(sentence: &'static str, what: impl Into<String>) -> Broken {
    Broken { sentence, what: what.into() }
}

fn same<T: PartialEq + std::fmt::Debug>(sentence: &'static str, of: &str, ledger: T, expected: T) -> Verdict {
    match (ledger, expected) {
        (ledger, expected) if ledger == expected => Ok(()),
        (ledger, expected) => {
            Err(broken(sentence, format!("{of}: the ledger says {ledger:?}, expected {expected:?}")))
        }
    }
}

/// Runs all steps and then brings everything to rest.
pub fn run(steps: &[Step], pace: Pace, cycle_days: Option<i64>) -> Result<History, Broken> {
    let mut history = History::new(pace, cycle_days)?;
    for step in steps {
        history.step(step)?;
    }
    history.come_to_rest()?;
    Ok(history)
}

impl History {
    fn new(pace: Pace, cycle_days: Option<i64>) -> Result<Self, Broken> {
        let workspace = WorkspaceId::parse("w").expect("a valid id");
        let mut fresh = State::new();
        let cycle = cycle_days.map(cycles::days_of);
        let ends = cycle.map(|days| cycles::ends_of(days, START));
        let settings = WorkspaceSettings { cycle, ends, ..WorkspaceSettings::unchanged() };
        let change = Change::PutWorkspace(settings);
        let mut naive = Pool::default();
        naive.began_at(START);
        naive.change(&change, START).expect("settings are allowed");
        let admin = AdminCommand { workspace: workspace.clone(), keyed: None, if_match: None, change };
        fresh.apply(START, &Command::Admin(admin));
        fresh.apply(START, &windows::odd_clock(&workspace));
        let mut history = Self {
            pace,
            workspace,
            at: START,
            state: fresh.clone(),
            fresh,
            log: Vec::new(),
            holders: Vec::new(),
            lost: Vec::new(),
            network: Vec::new(),
            naive,
            ghost: Ghost::default(),
            charged: BTreeMap::new(),
            refunds: Refunds::default(),
            imports: Imports::default(),
            would_refuse: BTreeMap::new(),
            is_exact: true,
            allowed: Vec::new(),
            seen: Seen::new(),
        };
        for node in 0..NODES {
            history.start_holder(node)?;
        }
        Ok(history)
    }

    pub fn commands(&self) -> usize {
        self.log.len()
    }

    fn saw(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    pub fn pool(&self) -> &Workspace {
        self.state.workspace(&self.workspace).expect("made at the start")
    }

    /// A new disk at a node: the first, or after the old one was declared lost.
    fn start_holder(&mut self, node: usize) -> Verdict {
        let disk = DiskId((self.holders.len() + self.lost.len()) as u64 + 1);
        let id = HolderId { node: NodeId(u16::try_from(node).expect("a few nodes") + 1), disk };
        let holder = Holder::new(id, self.workspace.clone(), 3);
        let applied = self.apply(Command::Register { holder: id, journal_sequence: 0 })?;
        same("a new disk may register", &id.to_string(), applied.result, Ok(Outcome::Registered))?;
        if node < self.holders.len() {
            let old = std::mem::replace(&mut self.holders[node], holder);
            self.lost.push(old);
        } else {
            self.holders.push(holder);
        }
        Ok(())
    }

    /// The one door to the ledger: every command is followed by every check.
    fn apply(&mut self, command: Command) -> Result<Applied, Broken> {
        let before = self.state.clone();
        let applied = self.state.apply(self.at, &command);
        self.ghost.applied(&command, &applied);
        let pool = self.state.workspace(&self.workspace).expect("made at the start");
        let was = before.workspace(&self.workspace).expect("made at the start");
        if let Some(violation) = self.state.violations().first() {
            return Err(broken(violation.invariant, format!("{} after {command:?}", violation.what)));
        }
        checkers::all_of_a_state(pool, &self.state, &self.ghost)?;
        checkers::all_of_a_step(was, &command, pool, self.at)?;
        checkers::all_of_an_answer(&command, &applied, pool)?;
        let told = crate::imports::charged(&command, &applied);
        self.ghost.charges.saw(pool, pool.users.keys(), self.at, &told)?;
        self.ghost.charges.saw_teams(was, &command, &applied, pool, self.at)?;
        self.ghost.scopes.saw(was, &command, &applied, pool, self.at)?;
        if self.is_exact {
            self.ghost.scopes.all_that_was_told_is_counted(&self.ghost.told_of, pool)?;
        }
        checkers::nothing_is_pending_when_nothing_is_out(pool)?;
        sums::view_sums_are_right(pool, self.at)?;
        checkers::a_preview_of_a_plan_is_what_happens(&before, self.at, &command, &applied)?;
        checkers::a_switch_moves_nothing_and_is_what_was_previewed(
            &before, self.at, &command, &applied, pool,
        )?;
        if let Command::Holder(batch) = &command
            && !before.would_change(batch, self.at)
        {
            checkers::a_batch_without_change_changes_nothing(&before, batch, self.at, &self.state)?;
        }
        self.refunds.hear(was, &command, &applied, pool);
        self.book_final_numbers(&before, &command, &applied);
        self.see_cycles(&before);
        self.log.push((self.at, command));
        Ok(applied)
    }

    /// What is final about charges: the last word of a holder, or all a lost holder had.
    fn book_final_numbers(&mut self, before: &State, command: &Command, applied: &Applied) {
        let was = before.workspace(&self.workspace).expect("made at the start");
        let mut charge = |user: &UserId, cycle: CycleNumber, grant: types::GrantNo, amount: u64| {
            let grant = was.grant(grant).id.clone();
            *self.charged.entry((user.clone(), grant, cycle.0)).or_default() += amount;
        };
        match (command, &applied.result) {
            (Command::Holder(batch), Ok(Outcome::Lines(answers))) => {
                for (message, answer) in batch.lines.iter().zip(answers) {
                    let was_open =
                        was.lines.get(&batch.line_id(message)).is_some_and(|line| !line.written_off);
                    if message.wish == Wish::Close && answer.result == LineResult::Closed && was_open {
                        for (backing, used, unattributed) in &message.used.by_backing {
                            let amount = used.micros() + unattributed.micros();
                            charge(&message.user, message.cycle, backing.grant, amount);
                        }
                    }
                }
            }
            (Command::Forget { holder, .. }, Ok(_)) => {
                for (_, line) in
                    was.lines.iter().filter(|(id, line)| id.holder == *holder && !line.written_off)
                {
                    for n in &line.backings {
                        let amount = n.drawn.micros() - n.returned.micros();
                        charge(&line.user, line.cycle, n.backing.grant, amount);
                    }
                }
            }
            _ => {}
        }
    }

    fn see_cycles(&mut self, before: &State) {
        let Some(was) = before.workspace(&self.workspace) else { return };
        cycles::seen(was, self.pool()).into_iter().for_each(|what| self.saw(what));
    }

    fn step(&mut self, step: &Step) -> Verdict {
        match step {
            Step::Admin(change) => self.administrate(change),
            Step::Wait { ms } => self.wait_until(self.at.plus_ms(*ms)),
            Step::WaitForMidnight => self.wait_until(Day(self.at.day().0 + 1).starts_at()),
            Step::Spend { node, user, price } if self.pace == Pace::Prompt => {
                self.spend_promptly(*node, user, *price)
            }
            Step::Spend { node, user, price } => {
                if let Some(charge) = self.holders[*node].spend(user, *price, self.at) {
                    self.ghost.acknowledged(&charge);
                    self.note_charge(&charge, (None, 0));
                    self.saw("spent locally");
                } else if self.is_shadow() {
                    self.count_racily(*node, user, *price);
                }
                Ok(())
            }
            Step::Draw { node, user, more, floor } => {
                let holder = &mut self.holders[*node];
                let message = holder.draw(user, *more, *floor);
                let batch = holder.batch(vec![message]);
                // The leader may have asked for what is elsewhere, or not.
                self.put(Packet::ToLedger(HolderBatch { recalled: more % 2 == 0, ..batch }));
                Ok(())
            }
            Step::Report { node, pick } => self.line_step(*node, *pick, Holder::report),
            Step::RepeatReport { node, pick } => self.line_step(*node, *pick, |h, n| h.repeat_report(n)),
            Step::GiveBack { node, pick, keep } => self.line_step(*node, *pick, |h, n| h.give_back(n, *keep)),
            Step::Close { node, pick } => self.line_step(*node, *pick, Holder::close),
            Step::OtherCycle { node, pick } => self.line_step(*node, *pick, |h, n| {
                let message = h.report(n);
                LineMessage { cycle: message.cycle.next(), ..message }
            }),
            Step::Deliver { pick } => self.deliver(*pick, false),
            Step::DeliverTwice { pick } => self.deliver(*pick, true),
            Step::Lose { pick } => {
                if !self.network.is_empty() {
                    let at = pick % self.network.len();
                    self.network.remove(at);
                }
                Ok(())
            }
            Step::Crash { node } => {
                self.holders[*node].crash();
                self.refunds.lost(&self.holders[*node]);
                self.is_exact = false;
                Ok(())
            }
            Step::Forget { node, mode } => self.forget(*node, *mode),
            Step::LostSpends { pick, user, price } => {
                let (at, count) = (self.at, self.lost.len().max(1));
                if let Some(charge) = self.lost.get_mut(pick % count).and_then(|h| h.spend(user, *price, at))
                {
                    self.ghost.acknowledged(&charge);
                    self.saw("spent by a holder declared lost");
                }
                Ok(())
            }
            Step::Refund { pick, amount, name } => self.refund(*pick, *amount, *name),
            Step::Import { items } => self.import(items),
            Step::ImportAgain { pick } => self.import_again(*pick),
            Step::LostCloses { pick, line } => self.lost_closes(*pick, *line),
        }
    }

    fn wait_until(&mut self, at: Timestamp) -> Verdict {
        self.at = at;
        let known = |pool: &Workspace| pool.cycle_ends.iter().filter(|end| **end > at).count();
        if self.pool().cycle_rule.is_some() && known(self.pool()) < 2 {
            self.look_up_cycle_ends()?;
        }
        if self.pace == Pace::Prompt { self.tick().and_then(|()| self.compare()) } else { Ok(()) }
    }

    /// As the leader does before it knows no end any more.
    fn look_up_cycle_ends(&mut self) -> Verdict {
        self.tick()?;
        let pool = self.pool();
        let (cycle, rule) = (pool.cycle, pool.cycle_rule.clone().expect("somebody looked"));
        let mut ends =
            cycles::ends_of(rule.days(), pool.cycle_ends_at().map_or(self.at, |end| end.plus_ms(-1)));
        // The end that was told stays, also where it is not one of the rule's.
        ends.ends.retain(|end| pool.cycle_ends_at().is_none_or(|known| *end >= known));
        self.naive.know_ends(&ends, self.at);
        let workspace = self.workspace.clone();
        let applied = self.apply(Command::SetCycleEnds { workspace, cycle, ends })?;
        same("ends of cycles are taken", "looked up just now", applied.result, Ok(Outcome::Ticked))
    }

    fn tick(&mut self) -> Verdict {
        self.naive.settle(self.at);
        self.apply(Command::Tick { workspace: self.workspace.clone() }).map(|_| ())
    }

    fn administrate(&mut self, change: &Change) -> Verdict {
        let workspace = self.workspace.clone();
        let mut change = change.clone();
        if let Change::PutWorkspace(settings) = &mut change {
            settings.ends = settings.cycle.map(|days| cycles::ends_of(days, self.at));
            settings.began = settings.cycle.map(|days| cycles::began(days, self.at));
        }
        let change = &change;
        let admin = AdminCommand { workspace, keyed: None, if_match: None, change: change.clone() };
        let applied = self.apply(Command::Admin(admin))?;
        for event in &applied.events {
            if let Event::Recall { line, .. } = event {
                self.put(Packet::Recall(line.holder, line.number));
            }
        }
        if let Ok(Outcome::Reallocation(answer)) = &applied.result
            && !answer.pending.is_empty()
        {
            self.saw("a reallocation left a pending part");
        }
        let tells_books = match change {
            Change::MakeGrant(_) | Change::VoidGrant { .. } | Change::PutMember { .. } | Change::Plan(_) => {
                true
            }
            Change::Team { change, .. } => matches!(change, TeamChange::Put { .. } | TeamChange::Remove),
            Change::PutWorkspace(settings) => settings.cycle.is_some(),
            _ => false,
        };
        if self.pace == Pace::Prompt {
            let allowed = self.naive.change(change, self.at).is_ok();
            same("what is allowed is allowed", &format!("{change:?}"), applied.result.is_ok(), allowed)?;
            self.saw(if allowed { "allowed" } else { "not allowed" });
            return self.compare();
        }
        if tells_books && applied.result.is_ok() {
            let allowed = self.naive.change(change, self.at);
            same("grants are made and voided alike", &format!("{change:?}"), Ok(()), allowed)?;
            self.naive.took_back_as(self.state.workspace(&self.workspace).expect("made at the start"));
        }
        Ok(())
    }

    /// Draws exactly the price, spends it and closes the line.
    fn spend_promptly(&mut self, node: usize, user: &UserId, price: u64) -> Verdict {
        let expected = self.naive.spend(user, price, self.at);
        let allocation = self.naive.allocation_of(user);
        self.holders[node].cycle = self.pool().cycle;
        let limited = self.pool().limited.clone();
        self.holders[node].hear_limited(&limited);
        let message = self.holders[node].draw(user, price, price);
        let number = message.number;
        let answers = self.exchange(node, message)?;
        let charge = self.holders[node].spend(user, price, self.at);
        let parts = charge.as_ref().map(|charge| {
            let part = |(backing, amount): &(types::Backing, u64)| {
                (backing.source, self.pool().grant(backing.grant).id.clone(), *amount)
            };
            charge.parts.iter().map(part).collect::<Vec<_>>()
        });
        same("a consume is decided as without leases", &format!("{price} for {user}"), parts, expected)?;
        self.allowed.push(charge.is_some());
        if let Some(charge) = &charge {
            self.ghost.acknowledged(charge);
            self.note_charge(charge, allocation);
        }
        self.saw(if charge.is_some() { "spent as predicted" } else { "refused as predicted" });
        if charge.is_none() && self.is_shadow() {
            self.count_promptly(node, user, price, &answers)?;
        }
        let message = self.holders[node].close(number);
        self.exchange(node, message)?;
        self.compare()
    }

    /// There and back without a network.
    fn exchange(&mut self, node: usize, message: LineMessage) -> Result<Vec<LineAnswer>, Broken> {
        let batch = self.holders[node].batch(vec![message]);
        let applied = self.apply(Command::Holder(batch))?;
        let Ok(Outcome::Lines(answers)) = applied.result else {
            return Err(broken("a registered holder is heard", format!("{:?}", applied.result)));
        };
        answers.iter().for_each(|answer| self.holders[node].hear(answer));
        Ok(answers)
    }

    fn line_step(
        &mut self,
        node: usize,
        pick: usize,
        message: impl FnOnce(&mut Holder, LineNumber) -> LineMessage,
    ) -> Verdict {
        let holder = &mut self.holders[node];
        let numbers: Vec<LineNumber> = holder.lines.keys().copied().collect();
        let Some(number) = numbers.get(pick % numbers.len().max(1)) else { return Ok(()) };
        // What was closed is final: only the Close is said again.
        let is_closing = holder.lines[number].is_closing;
        let message = if is_closing { holder.close(*number) } else { message(holder, *number) };
        self.send(node, message);
        Ok(())
    }

    fn send(&mut self, node: usize, message: LineMessage) {
        let batch = self.holders[node].batch(vec![message]);
        self.put(Packet::ToLedger(batch));
    }

    fn put(&mut self, packet: Packet) {
        self.network.push(packet);
        if self.network.len() > NETWORK_MAX {
            self.network.remove(0);
        }
    }

    fn deliver(&mut self, pick: usize, keep: bool) -> Verdict {
        if self.network.is_empty() {
            return Ok(());
        }
        let at = pick % self.network.len();
        let packet = if keep { self.network[at].clone() } else { self.network.remove(at) };
        match packet {
            Packet::ToLedger(batch) => {
                let holder = batch.holder;
                let applied = self.apply(Command::Holder(batch))?;
                for event in &applied.events {
                    if let Event::Recall { line, .. } = event {
                        self.put(Packet::Recall(line.holder, line.number));
                    }
                }
                if let Ok(Outcome::Lines(answers)) = applied.result {
                    answers.iter().for_each(|answer| self.note(answer));
                    let limited = self.pool().limited.clone();
                    self.put(Packet::Answers(holder, answers, limited));
                }
            }
            Packet::Answers(holder, answers, limited) => {
                if let Some(holder) = self.running(holder) {
                    holder.hear_limited(&limited);
                    answers.iter().for_each(|answer| holder.hear(answer));
                }
            }
            Packet::Recall(holder, number) => {
                let Some(holder) = self.running(holder) else { return Ok(()) };
                let open = holder.lines.get(&number).is_some_and(|line| !line.is_closing);
                if open && let Some(message) = holder.recall(number) {
                    let batch = holder.batch(vec![message]);
                    self.put(Packet::ToLedger(batch));
                }
            }
        }
        Ok(())
    }

    fn note(&mut self, answer: &LineAnswer) {
        self.saw(match &answer.result {
            LineResult::Closed => "closed",
            LineResult::Line { denied: Some(denial), .. } => match &denial.reason {
                ledger::DenialReason::Frozen => "denied: frozen",
                ledger::DenialReason::ScopesChanged => "denied: other features or models are limited now",
                ledger::DenialReason::LimitReached(hit) => match hit.of {
                    Subject::User(_) => "denied: limit",
                    Subject::Team(_) => "denied: limit of a team",
                    Subject::Feature(_) => "denied: limit of a feature",
                    Subject::Model(_) => "denied: limit of a model",
                },
                ledger::DenialReason::AllocationExhausted => "denied: allocation",
                ledger::DenialReason::OverageCapReached => "denied: cap on overage",
                ledger::DenialReason::Exhausted => "denied: exhausted",
                ledger::DenialReason::FeatureNotInPlan(_) => "denied: not in the plan",
                ledger::DenialReason::AccessDisabled => "denied: access",
                ledger::DenialReason::UnknownUser => "denied: stranger",
            },
            LineResult::Line { .. } => "answered",
            LineResult::Rejected(LineRejection::StaleLine { .. }) => "stale line",
            LineResult::Rejected(LineRejection::WrittenOff) => "late word on a written-off line",
            LineResult::Rejected(_) => "rejected otherwise",
        });
    }

    fn running(&mut self, id: HolderId) -> Option<&mut Holder> {
        self.holders.iter_mut().chain(&mut self.lost).find(|holder| holder.id == id)
    }

    fn forget(&mut self, node: usize, mode: ForgetMode) -> Verdict {
        self.is_exact = false;
        if mode == ForgetMode::Credit {
            self.refunds.credited_back(self.holders[node].id);
        }
        let applied = self.apply(Command::Forget { holder: self.holders[node].id, mode })?;
        if let Ok(Outcome::Forgotten { written_off, .. }) = applied.result
            && !written_off.is_zero()
        {
            self.saw("written off");
        }
        self.start_holder(node)
    }

    /// Evidence: a fenced holder's final word.
    fn lost_closes(&mut self, pick: usize, line: usize) -> Verdict {
        let count = self.lost.len().max(1);
        let Some(holder) = self.lost.get_mut(pick % count) else { return Ok(()) };
        let numbers: Vec<LineNumber> = holder.lines.keys().copied().collect();
        let Some(number) = numbers.get(line % numbers.len().max(1)) else { return Ok(()) };
        let message = holder.close(*number);
        let batch = holder.batch(vec![message]);
        let was_written_off = self.pool().lines.contains_key(&batch.line_id(&batch.lines[0]));
        self.put(Packet::ToLedger(batch));
        if was_written_off {
            self.saw("evidence sent");
        }
        Ok(())
    }
}
