//! What one Raft group replicates, and the one door through which it changes: [`State::apply`].
//!
//! Not here: agreement, snapshots, bytes. A snapshot is a clone: workspaces are shared until one of them changes.

use crate::command::{AdminCommand, Change, Command, ForgetMode, HolderBatch, KeyedBy};
use crate::grant::Grant;
use crate::limits;
use crate::meta::Meta;
use crate::outcome::{Event, Outcome, Rejection};
use crate::schedule::{Agenda, Schedule};
use crate::workspace::{KeyRecord, Workspace};
use std::collections::BTreeMap;
use std::sync::Arc;
use types::planted::{Mistake, is_planted};
use types::{Credits, HolderId, IdempotencyKey, LineId, Source, Timestamp, WorkspaceId};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// The latest time any entry carried; never goes back.
    pub now: Timestamp,
    pub meta: Meta,
    pub holders: BTreeMap<HolderId, HolderRecord>,
    pub workspaces: BTreeMap<WorkspaceId, Arc<Workspace>>,
    pub schedule: Schedule,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HolderRecord {
    /// The highest journal sequence this holder reported.
    pub journal_sequence: u64,
    pub status: HolderStatus,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HolderStatus {
    Active,
    /// Declared lost; fenced for ever.
    Fenced,
}

/// The ledger's answer to one command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    pub result: Result<Outcome, Rejection>,
    pub events: Vec<Event>,
}

impl Default for State {
    fn default() -> Self {
        Self::new()
    }
}

impl State {
    pub fn new() -> Self {
        let now = Timestamp::from_millis(0);
        let (holders, workspaces, schedule) = Default::default();
        Self { now, meta: Meta::default(), holders, workspaces, schedule }
    }

    /// Puts in a workspace as it was read.
    pub fn put(&mut self, workspace: Workspace) {
        self.schedule.note(&workspace, Agenda::default());
        self.workspaces.insert(workspace.id.clone(), Arc::new(workspace));
    }

    pub fn workspace(&self, id: &WorkspaceId) -> Option<&Workspace> {
        self.workspaces.get(id).map(Arc::as_ref)
    }

    /// Applies one command at the time its entry carries (taken as never decreasing).
    pub fn apply(&mut self, at: Timestamp, command: &Command) -> Applied {
        self.now = self.now.max(at);
        let mut events = Vec::new();
        let result = match command {
            Command::Admin(admin) => self.apply_admin(admin, &mut events),
            Command::Holder(batch) => self.apply_batch(batch, &mut events),
            Command::Register { holder, journal_sequence } => self.apply_register(*holder, *journal_sequence),
            Command::Forget { holder, mode } => self.apply_forget(*holder, *mode, &mut events),
            Command::Prices(command) => self.meta.apply(command, self.now),
            Command::Tick { workspace } => {
                self.on_workspace(workspace, &mut events, |_, _| Ok(Outcome::Ticked))
            }
            Command::SetCycleEnds { workspace, cycle, ends } => {
                let now = self.now;
                self.on_workspace(workspace, &mut events, |workspace, _| {
                    workspace.set_cycle_ends(*cycle, ends, now)
                })
            }
            Command::SetClock { workspace, clock } => {
                self.on_workspace(workspace, &mut events, |workspace, _| workspace.set_clock(clock))
            }
        };
        Applied { result, events }
    }

    /// The workspaces in which the holder has lines.
    pub fn with_lines_of(&self, holder: HolderId) -> Vec<WorkspaceId> {
        let has_lines = |w: &&Arc<Workspace>| w.lines.keys().any(|line| line.holder == holder);
        self.workspaces.values().filter(has_lines).map(|workspace| workspace.id.clone()).collect()
    }

    /// Whether a batch could change anything but when it was heard, for checkers.
    pub fn would_change(&self, batch: &HolderBatch, at: Timestamp) -> bool {
        let Some(record) = self.holders.get(&batch.holder) else { return false };
        let fenced = record.status == HolderStatus::Fenced;
        let at = self.now.max(at);
        let workspace = self.workspace(&batch.workspace);
        let is_due = |w: &Workspace| w.next_due.is_some_and(|due| due <= at);
        workspace.is_some_and(|w| is_due(w) || w.would_change(batch, fenced, at))
    }

    /// The one way to change a workspace that is known: what is due is done first, and the schedule follows.
    fn on_workspace<R>(
        &mut self,
        id: &WorkspaceId,
        events: &mut Vec<Event>,
        change: impl FnOnce(&mut Workspace, &mut Vec<Event>) -> Result<R, Rejection>,
    ) -> Result<R, Rejection> {
        let workspace = Arc::make_mut(self.workspaces.get_mut(id).ok_or(Rejection::UnknownWorkspace)?);
        let was = workspace.agenda();
        workspace.settle_due(self.now, events);
        let result = change(workspace, events);
        self.schedule.note(workspace, was);
        result
    }

    fn apply_admin(&mut self, admin: &AdminCommand, events: &mut Vec<Event>) -> Result<Outcome, Rejection> {
        let AdminCommand { workspace: id, keyed, if_match, change } = admin;
        let at = self.now;
        if let (Some(keyed), Some(known)) = (keyed, self.workspace(id))
            && let Some(answer) = known.replay(keyed, at)
        {
            return answer;
        }
        let change_it = |workspace: &mut Workspace, events: &mut Vec<Event>| {
            let plan = workspace.decide(change, *if_match, at)?;
            let (outcome, more) = workspace.commit(plan, at);
            events.extend(more);
            if let Some(keyed) = keyed {
                workspace.remember(keyed, &outcome, at);
            }
            Ok(outcome)
        };
        if self.workspaces.contains_key(id) {
            return self.on_workspace(id, events, change_it);
        }
        let Change::PutWorkspace(_) = change else { return Err(Rejection::UnknownWorkspace) };
        let mut made = Workspace::new(id.clone(), at);
        let outcome = change_it(&mut made, events)?;
        self.put(made);
        Ok(outcome)
    }

    fn apply_batch(&mut self, batch: &HolderBatch, events: &mut Vec<Event>) -> Result<Outcome, Rejection> {
        let record = self.holders.get_mut(&batch.holder).ok_or(Rejection::Unregistered)?;
        let fenced = record.status == HolderStatus::Fenced;
        record.journal_sequence = record.journal_sequence.max(batch.journal_sequence);
        let now = self.now;
        self.on_workspace(&batch.workspace, events, |workspace, _| {
            workspace.make_mistakes_about_silence(now);
            let take = |message| workspace.apply_line(batch, message, fenced, now);
            Ok(Outcome::Lines(batch.lines.iter().map(take).collect()))
        })
    }

    fn apply_register(&mut self, holder: HolderId, journal_sequence: u64) -> Result<Outcome, Rejection> {
        if let Some(known) = self.holders.get_mut(&holder) {
            if known.status == HolderStatus::Fenced {
                return Err(Rejection::Fenced);
            }
            if journal_sequence < known.journal_sequence && !is_planted(Mistake::RolledBackAccepted) {
                return Err(Rejection::RolledBack { known: known.journal_sequence });
            }
            known.journal_sequence = journal_sequence;
            return Ok(Outcome::Registered);
        }
        let same_node = |(id, record): &(&HolderId, &HolderRecord)| {
            id.node == holder.node && record.status == HolderStatus::Active
        };
        if let Some((known, _)) = self.holders.iter().find(same_node) {
            return Err(Rejection::OtherDisk { node: known.node, known: known.disk });
        }
        let record = HolderRecord { journal_sequence, status: HolderStatus::Active };
        self.holders.insert(holder, record);
        Ok(Outcome::Registered)
    }

    fn apply_forget(
        &mut self,
        holder: HolderId,
        mode: ForgetMode,
        events: &mut Vec<Event>,
    ) -> Result<Outcome, Rejection> {
        // Also where it never registered: from now on it cannot.
        let record = HolderRecord { journal_sequence: 0, status: HolderStatus::Fenced };
        self.holders.entry(holder).or_insert(record).status = HolderStatus::Fenced;
        events.push(Event::HolderFenced { holder });
        let (mut lines, mut written_off, mut exposure) = (0_u64, Credits::ZERO, Credits::ZERO);
        for workspace in self.workspaces.values_mut() {
            let of_holder = |id: &LineId, line: &crate::Line| id.holder == holder && !line.written_off;
            let ids: Vec<LineId> =
                workspace.lines.iter().filter(|(id, line)| of_holder(id, line)).map(|(id, _)| *id).collect();
            if ids.is_empty() {
                continue;
            }
            let workspace = Arc::make_mut(workspace);
            let was = workspace.agenda();
            workspace.settle_due(self.now, events);
            self.schedule.note(workspace, was);
            for id in ids {
                let lost = workspace.write_off(id, self.now);
                if mode == ForgetMode::Credit {
                    exposure = exposure.saturating_add(workspace.credit_back(id, self.now));
                }
                written_off = written_off.saturating_add(lost);
                lines = lines.saturating_add(1);
            }
            workspace.make_up_for_shortfalls(self.now);
        }
        Ok(Outcome::Forgotten { lines, written_off, exposure })
    }
}

impl Workspace {
    /// What the key was answered before, if it was used within its window.
    fn replay(&self, keyed: &KeyedBy, at: Timestamp) -> Option<Result<Outcome, Rejection>> {
        // Oldest first: the window begins behind the last one that is over.
        let over = self.key_order.partition_point(|(then, _)| at.since_ms(*then) >= limits::KEY_WINDOW_MS);
        let is_over = |key: &IdempotencyKey| self.key_order.range(..over).any(|(_, other)| other == key);
        if let Some(record) = self.keys.get(&keyed.key).filter(|_| !is_over(&keyed.key)) {
            let same = record.command_hash == keyed.command_hash;
            let answer = || self.with_imports(record.outcome.clone());
            return Some(if same { Ok(answer()) } else { Err(Rejection::KeyConflict) });
        }
        let fresh = self.key_order.len().saturating_sub(over);
        (fresh >= limits::KEYS_MAX).then_some(Err(Rejection::KeyWindowFull { max: limits::KEYS_MAX }))
    }

    fn remember(&mut self, keyed: &KeyedBy, outcome: &Outcome, at: Timestamp) {
        if is_planted(Mistake::AdminKeyNotKept) {
            return;
        }
        while let Some((then, _)) = self.key_order.front()
            && at.since_ms(*then) >= limits::KEY_WINDOW_MS
        {
            if let Some((_, key)) = self.key_order.pop_front() {
                self.keys.remove(&key);
            }
        }
        let outcome = Self::without_imports(outcome).unwrap_or_else(|| outcome.clone());
        let record = KeyRecord { command_hash: keyed.command_hash, outcome };
        self.keys.insert(keyed.key.clone(), record);
        self.key_order.push_back((at, keyed.key.clone()));
    }

    /// After a write-off: gives the credits back to their grants, as an exposure. What would pass the bound of a pool
    /// stays written off. Answers what was given back.
    fn credit_back(&mut self, id: LineId, at: Timestamp) -> Credits {
        let lost: Vec<_> = self.lines[&id].backings.iter().map(|n| (n.backing, n.written_off)).collect();
        let drawn_in = self.lines[&id].cycle;
        let mut exposed = Credits::ZERO;
        for (backing, amount) in lost.into_iter().filter(|(_, amount)| !amount.is_zero()) {
            if backing.source == Source::Overage {
                // Not available again: it was there for whoever drew it. But nobody is billed for it.
                let user = self.lines[&id].user.clone();
                self.strike_overage(drawn_in, &user, amount, at, Grant::unmake_exposed);
                exposed.grow(amount);
                continue;
            }
            let amount = amount.min(Credits::MAX.saturating_sub(self.given_in_all()));
            if is_planted(Mistake::ExposureForgotten) {
                continue;
            }
            let pays = self.pay_overage(drawn_in, backing.grant, None, amount, at);
            self.on_grant(backing.grant, |g| {
                g.pay_overage_exposed(pays);
                g.expose(amount.saturating_sub(pays), drawn_in);
            });
            exposed.grow(amount);
        }
        let user = self.lines[&id].draws_on().clone();
        self.part_follows(&user);
        exposed
    }
}
