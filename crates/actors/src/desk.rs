//! The desk: what this node does for the pools whose shard it leads. Draws that fall short wait for a recall round;
//! changes of administrators send recalls after what is out.
//!
//! All of it is volatile: a new leader finds frozen lines in the ledger and starts over. Not here: which lines to
//! recall (`leasing::recall`), what is granted (`ledger`).

use crate::holder::Holder;
use crate::leader::{BatchAnswer, LeaderAnswer, LeaderRefusal, LeaderRequest, Recall, RecallAnswer};
use crate::options::Options;
use crate::rounds::Rounds;
use crate::sealed::Sealed;
use crate::shards::Shards;
use crate::watch::{ToSee, Watch};
use leasing::{LeasePolicy, RecallLine, Short, Wave, choose, frozen_lines, leased_lines, shared_lines};
use ledger::{
    Applied, Command, HolderBatch, HolderStatus, Line, LineMessage, LineResult, Outcome, Query, Rejection,
    State, Wish, Workspace,
};
use platform::CoarseClock;
use replication::{Committed, Group, GroupId, ProposeError, ReadError};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use types::planted::{Mistake, is_planted};
use types::{Credits, Durability, Enforcement, LineId, LineNumber, NodeId, Timestamp, WorkspaceId};

#[derive(Debug)]
pub struct Desk {
    policy: LeasePolicy,
    session_ttl_ms: u64,
    batch_lines_max: usize,
    batch_bytes_max: usize,
    clock: Arc<CoarseClock>,
    /// The holder on this node, once it has started.
    holder: OnceLock<Holder>,
    /// When each holder was last heard, by group (CLOCK_BOOTTIME, ms).
    heard: Mutex<HashMap<(GroupId, NodeId), u64>>,
    rounds: Rounds,
    /// Workspaces of led groups that may have frozen lines or expired grants.
    watched: Watch,
    /// Lines that were taken away and are known to be sealed.
    sealed: Sealed,
    to_sweep: tokio::sync::Notify,
}

/// How long the last wave of a recall round waits for holders that were heard lately.
pub(crate) const PATIENCE: Duration = Duration::from_millis(500);

/// Lines of one recall: with as many meters as a line may have the answer still fits a frame, but for names of unusual
/// length.
const RECALL_LINES_MAX: usize = 200;

/// How long a fresh summary waits for holders.
const FRESHEN: Duration = Duration::from_millis(900);

impl Desk {
    pub fn new(options: &Options, clock: Arc<CoarseClock>) -> Self {
        Self {
            policy: options.lease,
            session_ttl_ms: options.session_ttl_ms,
            batch_lines_max: options.batch_lines_max,
            batch_bytes_max: options.batch_bytes_max,
            clock,
            holder: OnceLock::new(),
            heard: Mutex::default(),
            rounds: Rounds::default(),
            watched: Watch::default(),
            sealed: Sealed::default(),
            to_sweep: tokio::sync::Notify::new(),
        }
    }

    /// The desk recalls from this node's own holder too.
    pub fn set_holder(&self, holder: Holder) {
        let _first = self.holder.set(holder);
    }

    pub(crate) async fn recall_here(&self, recall: Recall) -> Option<RecallAnswer> {
        let holder = self.holder.get()?;
        Some(holder.recall(recall).await)
    }

    pub(crate) async fn answer(
        &self,
        group: &Group,
        shards: &Shards,
        request: LeaderRequest,
        deadline: Duration,
    ) -> Result<LeaderAnswer, LeaderRefusal> {
        match request {
            LeaderRequest::Batch(batch) => {
                self.batch(group, shards, batch, deadline).await.map(LeaderAnswer::Batch)
            }
            LeaderRequest::Command(command) => {
                let committed = self.command(group, shards, *command, deadline).await?;
                Ok(LeaderAnswer::Applied { index: committed.index, applied: committed.applied })
            }
            LeaderRequest::Renew { holder } => {
                self.take_over(group, deadline).await.map_err(not_read)?;
                let watched = self.watched.of(group.id());
                let status = |state: &State| {
                    let status = state.holders.get(&holder).map(|record| record.status);
                    (status, self.sealed.owes(state, &watched, holder))
                };
                let (status, owes) = group.read(deadline, status).await.map_err(not_read)?.value;
                match status {
                    // What was taken away is given back first: an administrator was told until when it may be spent.
                    Some(HolderStatus::Active) if owes && !is_planted(Mistake::SessionByBatch) => {
                        self.to_sweep.notify_one();
                        Err(LeaderRefusal::Unknown)
                    }
                    Some(HolderStatus::Active) => {
                        self.hear(group.id(), holder.node);
                        Ok(LeaderAnswer::Renewed)
                    }
                    Some(HolderStatus::Fenced) if is_planted(Mistake::FencedNeverLearns) => {
                        Ok(LeaderAnswer::Renewed)
                    }
                    Some(HolderStatus::Fenced) => Err(LeaderRefusal::Rejected(Rejection::Fenced)),
                    None => Err(LeaderRefusal::Rejected(Rejection::Unregistered)),
                }
            }
            LeaderRequest::Read { query, fresh } => {
                let silent = if fresh { self.freshen(group, shards, &query).await } else { BTreeSet::new() };
                self.read(group, query, silent, deadline).await
            }
        }
    }

    async fn read(
        &self,
        group: &Group,
        query: Query,
        silent: BTreeSet<NodeId>,
        deadline: Duration,
    ) -> Result<LeaderAnswer, LeaderRefusal> {
        let now = self.clock.now();
        let reading =
            group.read(deadline, |state| (state.answer(&query, now), nodes_with_leases(state, &query)));
        let reading = reading.await.map_err(not_read)?;
        let (answer, nodes) = reading.value;
        let is_silent = |node: &NodeId| silent.contains(node) || !self.is_heard(group.id(), *node);
        let silent = nodes.into_iter().filter(is_silent).collect();
        Ok(LeaderAnswer::Read { index: reading.index, answer, silent })
    }

    /// Books what the holders of a workspace's leases know by now; nothing is given back. Who did not answer.
    async fn freshen(&self, group: &Group, shards: &Shards, query: &Query) -> BTreeSet<NodeId> {
        let Query::Workspace { id } = query else { return BTreeSet::new() };
        let lines = group.peek(|state| state.workspace(id).map(leased_lines).unwrap_or_default());
        self.recall_lines(group, shards, id, lines, FRESHEN).await
    }

    fn hear(&self, group: GroupId, node: NodeId) {
        let now = self.clock.boottime_ms();
        self.heard.lock().expect("nobody panics holding it").insert((group, node), now);
    }

    /// Heard within a few seconds: reports come each second, so silence is trouble long before a session ends.
    fn is_heard(&self, group: GroupId, node: NodeId) -> bool {
        let quiet_ms = (self.session_ttl_ms / 10).max(3_000);
        let heard = self.heard.lock().expect("nobody panics holding it").get(&(group, node)).copied();
        heard.is_some_and(|then| self.clock.boottime_ms().saturating_sub(then) < quiet_ms)
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) async fn propose(
        &self,
        group: &Group,
        command: Command,
        deadline: Duration,
    ) -> Result<Committed, LeaderRefusal> {
        let workspaces = match command {
            Command::Forget { holder, .. } => group.peek(|state| state.with_lines_of(holder)),
            _ => command.workspace().cloned().into_iter().collect(),
        };
        let mut unheard = Unheard { desk: self, group: group.id(), workspaces };
        let proposed = group.propose(command, deadline).await;
        if proposed == Err(ProposeError::Unknown) {
            return Err(LeaderRefusal::Unknown);
        }
        let workspaces = std::mem::take(&mut unheard.workspaces);
        let committed = proposed.map_err(not_proposed)?;
        if !committed.applied.events.is_empty() {
            workspaces.into_iter().for_each(|workspace| self.watch(group.id(), workspace));
        }
        Ok(committed)
    }

    /// Has the sweeper look after a workspace that may have frozen lines.
    fn watch(&self, group: GroupId, workspace: WorkspaceId) {
        self.watched.add(group, workspace);
        self.to_sweep.notify_one();
    }

    // ---- batches of holders -------------------------------------------------------------------------------------

    async fn batch(
        &self,
        group: &Group,
        shards: &Shards,
        batch: HolderBatch,
        deadline: Duration,
    ) -> Result<BatchAnswer, LeaderRefusal> {
        self.hear(group.id(), batch.holder.node);
        let end = tokio::time::Instant::now() + deadline;
        let mut batch = HolderBatch { recalled: false, ..batch };
        let waits = who_waits(&batch);
        if self.rounds.is_running(&batch.workspace) {
            only_what_is_needed(&mut batch);
        }
        let committed = self.book(group, &batch, deadline).await?;
        let (mut answer, short) = self.batch_answer(group, &batch, committed.applied)?;
        // Who asked for more than he needs is told at once, and with him all others of the batch.
        if !short.iter().any(|short| waits.contains(&short.line.number)) {
            return Ok(answer);
        }
        let rounds = self.rounds.of(&batch.workspace);
        let round = rounds.join(short);
        only_what_is_needed(&mut batch);
        // Past the deadline nobody waits for the answer: the holder asks again.
        let turn = tokio::time::timeout_at(end, rounds.turn());
        let _turn = turn.await.map_err(|_| LeaderRefusal::Unknown)?;
        loop {
            let left = end.saturating_duration_since(tokio::time::Instant::now());
            let committed = self.book(group, &batch, left).await?;
            let (again, short) = self.batch_answer(group, &batch, committed.applied)?;
            answer = again;
            if short.is_empty() {
                return Ok(answer);
            }
            let Some((wave, of_all)) = rounds.next_wave(&round, self.clock.now(), self.policy.young_ms)
            else {
                if self.may_have_overage(group, &batch, &short) {
                    batch.recalled = true;
                    let left = end.saturating_duration_since(tokio::time::Instant::now());
                    let committed = self.book(group, &batch, left).await?;
                    (answer, _) = self.batch_answer(group, &batch, committed.applied)?;
                }
                // What the others brought says nothing of him who was silent.
                answer.cut_off = round.is_cut_off();
                return Ok(answer);
            };
            let all_answered = self.fetch(group, shards, &batch.workspace, wave, &of_all).await;
            round.end_wave(all_answered);
        }
    }

    /// Whether more than what is included may be drawn by anybody who is still short.
    fn may_have_overage(&self, group: &Group, batch: &HolderBatch, short: &[Short]) -> bool {
        let may = |pool: &Workspace| short.iter().any(|short| pool.overage_room(&short.user).is_some());
        group.peek(|state| state.workspace(&batch.workspace).is_some_and(may))
    }

    async fn book(
        &self,
        group: &Group,
        batch: &HolderBatch,
        deadline: Duration,
    ) -> Result<Committed, LeaderRefusal> {
        self.propose(group, Command::Holder(batch.clone()), deadline).await
    }

    fn batch_answer(
        &self,
        group: &Group,
        batch: &HolderBatch,
        applied: Applied,
    ) -> Result<(BatchAnswer, Vec<Short>), LeaderRefusal> {
        let lines = match applied.result {
            Ok(Outcome::Lines(lines)) => lines,
            Ok(_) => return Err(LeaderRefusal::Unknown),
            Err(rejection) => return Err(LeaderRefusal::Rejected(rejection)),
        };
        let answered = batch.lines.iter().zip(&lines);
        let short = answered
            .filter_map(|(message, line)| Short::of(batch.line_id(message), message, &line.result))
            .collect();
        let (elsewhere, durability, enforcement, limited) = group.peek(|state| {
            let Some(workspace) = state.workspace(&batch.workspace) else {
                return (vec![Credits::ZERO; batch.lines.len()], Durability::Local, Enforcement::On, None);
            };
            let now = self.clock.now();
            let shared = workspace.shared_at(now);
            let beyond = |message: &LineMessage| {
                let line = LineId { holder: batch.holder, number: message.number };
                let here = workspace.lines.get(&line).map_or(Credits::ZERO, Line::outstanding);
                let in_scope = workspace.left_in_scope(line, &message.scope, now);
                workspace.remaining_of(&message.user, shared, now).min(in_scope).saturating_sub(here)
            };
            let is_of_another = |message: &LineMessage| message.scope.list != workspace.limited.list();
            let limited = batch.lines.iter().any(is_of_another).then(|| workspace.limited.clone());
            let elsewhere = batch.lines.iter().map(beyond).collect();
            (elsewhere, workspace.durability, workspace.enforcement, limited)
        });
        Ok((BatchAnswer { lines, elsewhere, durability, enforcement, cut_off: false, limited }, short))
    }

    /// One wave of a recall round for the draws that are short. It takes its time whoever began it: the others of
    /// the round go by what it finds. Whether everybody who was asked answered.
    async fn fetch(
        &self,
        group: &Group,
        shards: &Shards,
        workspace: &WorkspaceId,
        wave: Wave,
        short: &[Short],
    ) -> bool {
        let is_last = wave == Wave::All;
        let choose_lines = |state: &State| {
            let workspace = state.workspace(workspace);
            workspace.map(|workspace| choose(workspace, short, wave)).unwrap_or_default()
        };
        let mut lines = group.peek(choose_lines);
        if is_last && !lines.is_empty() && self.some_are_young(group, workspace) {
            let young = u64::try_from(self.policy.young_ms).unwrap_or(0);
            tokio::time::sleep(Duration::from_millis(young)).await;
            lines = group.peek(choose_lines);
        }
        // The last word before a refusal: whoever was heard lately gets time to sync what he gives back.
        let within = if is_last { PATIENCE } else { Duration::from_millis(self.policy.round_ms) };
        self.recall_lines(group, shards, workspace, lines, within).await.is_empty()
    }

    fn some_are_young(&self, group: &Group, workspace: &WorkspaceId) -> bool {
        let now = self.clock.now();
        let young =
            |w: &Workspace| w.lines.values().any(|line| now.since_ms(line.heard_at) < self.policy.young_ms);
        group.peek(|state| state.workspace(workspace).is_some_and(young))
    }

    /// Asks the holders of `lines` and books what each answers when it comes: many answers ride in one entry, where in turn
    /// each would wait for an entry of its own. Who did not answer.
    async fn recall_lines(
        &self,
        group: &Group,
        shards: &Shards,
        workspace: &WorkspaceId,
        lines: Vec<RecallLine>,
        within: Duration,
    ) -> BTreeSet<NodeId> {
        let mut by_node: BTreeMap<NodeId, Vec<RecallLine>> = BTreeMap::new();
        for line in lines {
            by_node.entry(line.line.holder.node).or_default().push(line);
        }
        let in_parts = |(node, lines): (NodeId, Vec<RecallLine>)| {
            let parts: Vec<_> = lines.chunks(RECALL_LINES_MAX).map(<[_]>::to_vec).collect();
            parts.into_iter().map(move |part| (node, part))
        };
        let ask = |(node, lines): (NodeId, Vec<RecallLine>)| {
            let asked: BTreeSet<LineId> = lines.iter().map(|line| line.line).collect();
            let frozen: BTreeSet<LineId> =
                lines.iter().filter(|line| line.frozen).map(|line| line.line).collect();
            let recall = Recall { workspace: workspace.clone(), lines };
            let round = Duration::from_millis(self.policy.round_ms);
            let patience = if self.is_heard(group.id(), node) { within } else { within.min(round) };
            async move {
                let Some(answer) = shards.recall(node, recall, patience).await else { return (node, asked) };
                self.hear(group.id(), node);
                let booked = self.book_answer(group, workspace, answer, within.max(PATIENCE)).await;
                self.sealed.add(workspace, frozen.intersection(&booked).copied());
                (node, asked.difference(&booked).copied().collect())
            }
        };
        let owed = futures::future::join_all(by_node.into_iter().flat_map(in_parts).map(ask)).await;
        let mut silent = BTreeSet::new();
        for (node, asked) in owed {
            // A line the ledger has folded meanwhile has nothing more to say.
            let is_there = |w: &Workspace| asked.iter().any(|line| w.lines.contains_key(line));
            if group.peek(|state| state.workspace(workspace).is_some_and(is_there)) {
                silent.insert(node);
            }
        }
        silent
    }

    /// Which lines' numbers are booked.
    async fn book_answer(
        &self,
        group: &Group,
        workspace: &WorkspaceId,
        answer: RecallAnswer,
        within: Duration,
    ) -> BTreeSet<LineId> {
        let RecallAnswer { holder, journal_sequence, mut lines } = answer;
        let mut booked = BTreeSet::new();
        while !lines.is_empty() {
            let count = LineMessage::fitting(lines.iter(), self.batch_lines_max, self.batch_bytes_max);
            let rest = lines.split_off(count);
            let lines = std::mem::replace(&mut lines, rest);
            let batch = HolderBatch {
                holder,
                journal_sequence,
                workspace: workspace.clone(),
                lines,
                recalled: false,
            };
            match self.book(group, &batch, within).await.map(|committed| committed.applied.result) {
                Ok(Ok(Outcome::Lines(answers))) => {
                    let taken = answers.iter().filter(|line| !matches!(line.result, LineResult::Rejected(_)));
                    booked.extend(taken.map(|line| LineId { holder, number: line.number }));
                }
                not_booked => {
                    tracing::warn!(?not_booked, "what a recall brought comes with the next report");
                }
            }
        }
        booked
    }

    // ---- administrators -----------------------------------------------------------------------------------------

    async fn command(
        &self,
        group: &Group,
        shards: &Shards,
        command: Command,
        deadline: Duration,
    ) -> Result<Committed, LeaderRefusal> {
        let end = tokio::time::Instant::now() + deadline;
        if let Command::Register { holder, .. } = &command {
            self.hear(group.id(), holder.node);
        }
        let committed = self.propose(group, command.clone(), deadline).await?;
        let Err(Rejection::InsufficientShared { elsewhere, .. }) = &committed.applied.result else {
            return Ok(committed);
        };
        let Some(workspace) = command.workspace().filter(|_| !elsewhere.is_zero()).cloned() else {
            return Ok(committed);
        };
        // A raise must not fail for credits that lie idle on leases.
        let rounds = self.rounds.of(&workspace);
        let turn = tokio::time::timeout_at(end, rounds.turn());
        let Ok(_turn) = turn.await else { return Err(LeaderRefusal::Overloaded) };
        let lines = group.peek(|state| state.workspace(&workspace).map(shared_lines).unwrap_or_default());
        let within = Duration::from_millis(self.policy.round_ms);
        self.recall_lines(group, shards, &workspace, lines, within).await;
        let left = end.saturating_duration_since(tokio::time::Instant::now());
        self.propose(group, command, left).await
    }

    /// Asks for everything frozen of one workspace; what does not answer is asked again by the next sweep.
    /// Answers whether nothing is frozen any more.
    async fn recall_frozen(&self, group: &Group, shards: &Shards, workspace: &WorkspaceId) -> bool {
        let lines = group.peek(|state| state.workspace(workspace).map(frozen_lines).unwrap_or_default());
        if is_planted(Mistake::FrozenNeverRecalled) {
            return true;
        }
        let none = lines.is_empty();
        if none {
            self.sealed.forget(workspace);
        } else {
            let within = Duration::from_millis(self.policy.round_ms);
            self.recall_lines(group, shards, workspace, lines, within).await;
        }
        none
    }

    /// Sees to recalls after changes, again each second until nothing is frozen, in the groups this node leads.
    /// Ends when it is dropped.
    pub async fn keep_sweeping(self: Arc<Self>, shards: Arc<Shards>, every: Duration) {
        loop {
            let _either = tokio::time::timeout(every, self.to_sweep.notified()).await;
            let (led, others): (Vec<_>, Vec<_>) =
                shards.replica().groups().partition(|group| group.is_leader());
            others.into_iter().for_each(|group| self.watched.lost(group.id()));
            let taken_over = led.into_iter().map(|group| self.take_over(group, every));
            // Who could not be sure to lead tries again; what is known already is swept meanwhile.
            futures::future::join_all(taken_over).await;
            self.sweep(&shards).await;
        }
    }

    async fn sweep(&self, shards: &Shards) {
        let sweep_one = |seen: ToSee| async move {
            let led = shards.replica().group(seen.group).filter(|group| group.is_leader());
            let done = match led {
                Some(group) => {
                    let settled = !seen.in_doubt || self.settle(group, &seen).await;
                    self.recall_frozen(group, shards, &seen.workspace).await && settled
                }
                None => true,
            };
            if done {
                self.watched.done(&seen);
            }
        };
        futures::future::join_all(self.watched.all().into_iter().map(sweep_one)).await;
    }

    /// Whether all that was proposed about a workspace before is applied, or never will be: entries are applied in their
    /// order.
    async fn settle(&self, group: &Group, seen: &ToSee) -> bool {
        let tick = Command::Tick { workspace: seen.workspace.clone() };
        let settled = group.propose(tick, PATIENCE).await.is_ok();
        if settled {
            self.watched.settled(seen);
        }
        settled
    }

    /// What was under way at the old leader's desk is found in the ledger, once in each term this node leads in.
    async fn take_over(&self, group: &Group, deadline: Duration) -> Result<(), ReadError> {
        let term = group.term();
        if self.watched.leads(group.id(), term) {
            return Ok(());
        }
        let look = |state: &State| {
            let nodes: Vec<NodeId> = state.holders.keys().map(|holder| holder.node).collect();
            let open = state.workspaces.iter().filter(|(_, w)| w.frozen_out > 0).map(|(id, _)| id.clone());
            (nodes, open.collect::<Vec<_>>())
        };
        let (nodes, open) = group.read(deadline, look).await?.value;
        // Every session counts as renewed at the election.
        let now = self.clock.boottime_ms();
        let mut heard = self.heard.lock().expect("nobody panics holding it");
        heard.extend(nodes.into_iter().map(|node| ((group.id(), node), now)));
        drop(heard);
        for workspace in open {
            self.watch(group.id(), workspace);
        }
        self.watched.took_over(group.id(), term);
        Ok(())
    }
}

/// A command about workspaces, until it is heard what became of it. One that nobody hears of may be applied all the same,
/// and what it took away is to be recalled: its proposer gave up, and a repeat of it changes nothing.
struct Unheard<'a> {
    desk: &'a Desk,
    group: GroupId,
    workspaces: Vec<WorkspaceId>,
}

impl Drop for Unheard<'_> {
    fn drop(&mut self) {
        for workspace in self.workspaces.drain(..) {
            self.desk.watched.doubt(self.group, workspace);
            self.desk.to_sweep.notify_one();
        }
    }
}

/// The lines whose draws ask for what is needed alone: they wait for a recall round if there is too little.
fn who_waits(batch: &HolderBatch) -> BTreeSet<LineNumber> {
    batch.lines.iter().filter(|line| line.wish.is_need_alone()).map(|line| line.number).collect()
}

/// Takes the part ahead of need off every draw: what one node takes now another one's round looks for. A smaller target
/// is the same draw, done in part.
fn only_what_is_needed(batch: &mut HolderBatch) {
    for line in &mut batch.lines {
        if let Wish::Draw { target, floor, need } = &mut line.wish {
            *target = (*target).min((*need).max(*floor));
        }
    }
}

fn nodes_with_leases(state: &State, query: &Query) -> Vec<NodeId> {
    let Query::Workspace { id } = query else { return Vec::new() };
    let Some(workspace) = state.workspace(id) else { return Vec::new() };
    let nodes: BTreeSet<NodeId> = workspace.lines.keys().map(|line| line.holder.node).collect();
    nodes.into_iter().collect()
}

fn not_proposed(error: ProposeError) -> LeaderRefusal {
    match error {
        ProposeError::NotLeader { leader } => LeaderRefusal::NotLeader { leader },
        ProposeError::Unknown => LeaderRefusal::Unknown,
        ProposeError::Overloaded { .. } => LeaderRefusal::Overloaded,
        ProposeError::TooLarge { .. } => LeaderRefusal::Overloaded,
        ProposeError::Stopped { why } => LeaderRefusal::Stopped(why),
    }
}

fn not_read(error: ReadError) -> LeaderRefusal {
    match error {
        ReadError::NotLeader { leader } => LeaderRefusal::NotLeader { leader },
        ReadError::NoQuorum => LeaderRefusal::NotLeader { leader: None },
        ReadError::Stopped { why } => LeaderRefusal::Stopped(why),
    }
}
