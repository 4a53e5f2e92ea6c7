//! Looks at every node between two steps and has judged what it sees: leaders' states against what clients were told, by
//! the sentences of `testkit`. It sees states, not the entries between them. Its own are those about whole nodes: that
//! replicas are equal, that everybody is served, that what is owed comes. Not here: what clients were told (`told`).

use crate::crossings::{Crossing, Seen};
use crate::outcome::{BrokenAt, Sample};
use crate::world_b::BEGINNING;
use crate::world_b::clients::workspace;
use crate::world_b::load::Load;
use crate::world_b::machine::Machine;
use crate::world_b::panics;
use crate::world_b::told::{Pool, Told};
use ledger::{GrantState, Line, State, Workspace};
use replication::{Group, GroupId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use testkit::checkers::{self, Broken, Verdict};
use testkit::ghost::Ghost;
use testkit::{timed, told};
use types::{LineId, NodeId, Revision, Timestamp, WorkspaceId};

/// Which nodes are gone, and whether nothing else is wrong.
#[derive(Clone, Copy, Debug)]
pub struct Calm<'a> {
    pub is_calm: bool,
    /// Since when no fault is under way, and all nodes run that are not gone.
    pub all_run_since: Option<u64>,
    pub lost: &'a BTreeSet<usize>,
}

#[derive(Debug)]
pub struct Judge {
    machines: Vec<Arc<Machine>>,
    told: Told,
    /// Who leads in the highest term ever seen of each group.
    leaders: BTreeMap<GroupId, Leader>,
    digests: BTreeMap<(GroupId, u64), [u8; 32]>,
    pools: BTreeMap<WorkspaceId, Known>,
    /// Nodes whose walls were ever wrong.
    clocks_were_wrong: BTreeSet<usize>,
    clocks_were_far_off: BTreeSet<usize>,
    /// Since when a line that was taken away from a reachable holder has not come back.
    owed_since: BTreeMap<(WorkspaceId, LineId), u64>,
    /// What anybody could have had of each pool at the last look.
    shared_before: BTreeMap<WorkspaceId, (u64, Revision)>,
    pub broken: Vec<BrokenAt>,
    pub seen: Seen,
    pub elections: u64,
    pub timeline: Vec<Sample>,
}

#[derive(Clone, Copy, Debug)]
struct Leader {
    node: NodeId,
    term: u64,
    /// Where its log ended when it was first seen to lead: whatever was committed before is in it.
    log_index: Option<u64>,
}

/// How far a median of right clocks may be off: they are read a round trip ago.
const CLOCK_SLACK_MS: i64 = 2_000;
/// Half the window of a key, and far longer than any run.
const FAR_OFF_MS: i64 = 12 * 3_600_000;
/// Enough to be understood; a run with one is a failed run.
const BROKEN_MAX: usize = 5;
/// What is recalled from reachable holders comes within a second; a busy one may take a few.
const OWED_MS: u64 = 4_000;
/// After the last fault: a connection on which nothing comes any more is closed after five seconds, a dial on its way
/// gives up after two, the next one comes within another; an election that ends with nobody is followed by one more.
const LED_WITHIN_MS: u64 = 5_000 + 2_000 + 1_000 + 2 * 2_000;
/// Digests that are kept to compare others with.
const DIGESTS_MAX: usize = 4_096;

/// A pool as it was last seen.
#[derive(Debug, Default)]
struct Known {
    index: u64,
    state: Option<Arc<Workspace>>,
    ghost: Ghost,
}

impl Known {
    /// The pool in its leader's state after entry `index`.
    fn judge(&mut self, pool: &Arc<Workspace>, state: &State, index: u64, record: &mut Pool) -> Verdict {
        if index < self.index {
            return Ok(());
        }
        self.index = index;
        // Clients do not see which grant pays: of what they were told a ghost knows grants alone.
        self.ghost.saw(pool, state);
        let asked = pool.grants.iter().filter_map(|grant| record.grants_asked.get_key_value(&grant.id));
        let made = record.grants_made.iter();
        self.ghost.granted.extend(asked.chain(made).map(|(id, micros)| (id.clone(), *micros)));
        checkers::all_of_a_state(pool, state, &self.ghost)?;
        checkers::nothing_is_pending_when_nothing_is_out(pool)?;
        told::all_of_the_told(pool, &record.sums)?;
        record.order.read(record.order.begin(), pool.revision.0)?;
        match self.state.replace(pool.clone()) {
            Some(before) => checkers::draws_keep_within_limits(&before, pool, state.now),
            None => Ok(()),
        }
    }
}

impl Judge {
    #[must_use]
    pub fn new(machines: Vec<Arc<Machine>>, told: Told) -> Self {
        Self {
            machines,
            told,
            leaders: BTreeMap::new(),
            digests: BTreeMap::new(),
            pools: BTreeMap::new(),
            clocks_were_wrong: BTreeSet::new(),
            clocks_were_far_off: BTreeSet::new(),
            owed_since: BTreeMap::new(),
            shared_before: BTreeMap::new(),
            broken: Vec::new(),
            seen: Seen::default(),
            elections: 0,
            timeline: Vec::new(),
        }
    }

    fn breaks(&mut self, at_ms: u64, sentence: &str, what: String) {
        if self.broken.len() < BROKEN_MAX {
            tracing::info!(target: "film", sentence, what, "broken");
            self.broken.push(BrokenAt { at_ms, sentence: sentence.into(), what });
        }
    }

    fn judge(&mut self, at_ms: u64, verdict: Verdict) {
        if let Err(Broken { sentence, what }) = verdict {
            self.breaks(at_ms, sentence, what);
        }
    }

    /// Notes who leads, who holds and whose clock is wrong: cheap, after every step.
    pub fn watch(&mut self) {
        for machine in &self.machines {
            if machine.clock.off_ms() != 0 {
                self.clocks_were_wrong.insert(machine.index);
            }
            if machine.clock.off_ms().abs() >= FAR_OFF_MS {
                self.clocks_were_far_off.insert(machine.index);
            }
            let Some(quota) = machine.running() else { continue };
            self.told.record().holders.insert(quota.node(), quota.holder().id());
            for group in quota.holder().shards().replica().groups().filter(|group| group.is_leader()) {
                let status = group.status();
                let leader =
                    Leader { node: quota.node(), term: status.term, log_index: status.last_log_index };
                let known = self.leaders.entry(group.id()).or_insert(leader);
                if leader.term > known.term {
                    self.elections += 1;
                    if leader.node != known.node && group.id() != GroupId::Meta {
                        self.seen.saw(Crossing::LeaderChanges);
                    }
                    *known = leader;
                }
            }
        }
        if self.clocks_were_far_off.len() * 2 >= self.machines.len() {
            self.told.record().keys_may_end = true;
        }
    }

    /// Looks at all nodes as they are now.
    pub fn look(&mut self, now_ms: u64, load: &Load, calm: Calm<'_>) {
        for panic in panics::take() {
            self.breaks(now_ms, "no assertion of the product fails", panic);
        }
        for index in calm.lost {
            if self.machines[*index].running().is_some() {
                let what = format!("n{} runs on a disk that is not its own", index + 1);
                self.breaks(now_ms, "S10 a node whose disk is lost does not come back", what);
            }
        }
        if calm.all_run_since.is_some_and(|since| now_ms >= since + LED_WITHIN_MS) {
            for id in (0..load.workspaces).map(workspace) {
                if self.leader_of(&id, |_| ()).is_none() {
                    self.breaks(now_ms, "a pool is led when nothing is wrong", format!("{id}"));
                }
            }
        }
        if calm.is_calm {
            self.what_is_taken_away_comes(now_ms, load, calm.lost);
        }
        for machine in self.machines.clone() {
            let Some(quota) = machine.running() else { continue };
            for group in quota.holder().shards().replica().groups() {
                let index = self.replica(group, now_ms);
                // Elected is not enough: cut off from the others it cannot know how much of its log is committed.
                let status = group.status();
                let has_applied_all = |leader: &Leader| {
                    leader.node == quota.node()
                        && leader.term == status.term
                        && status.applied_index >= leader.log_index
                };
                if group.is_leader() && self.leaders.get(&group.id()).is_some_and(has_applied_all) {
                    group.peek(|state| self.seen.look(state));
                    self.pools(group, index, now_ms);
                }
            }
        }
        self.nobody_is_refused_what_is_there(now_ms, load);
        let told: Vec<Broken> = std::mem::take(&mut self.told.record().broken);
        told.into_iter().for_each(|broken| self.judge(now_ms, Err(broken)));
    }

    /// The pools of a group as its leader has them.
    fn pools(&mut self, group: &Group, index: u64, now_ms: u64) {
        let most_clocks_are_right = self.clocks_were_wrong.len() * 2 + 1 < self.machines.len();
        let latest = pool_now(now_ms).plus_ms(CLOCK_SLACK_MS);
        let told = self.told.clone();
        let mut record = told.record();
        let verdicts: Vec<Verdict> = group.peek(|state| {
            let judge = |(id, pool): (&WorkspaceId, &Arc<Workspace>)| {
                let known = self.pools.entry(id.clone()).or_default();
                let on_time = match most_clocks_are_right {
                    true => checkers::nothing_ends_early(pool, latest),
                    false => Ok(()),
                };
                on_time.and_then(|()| known.judge(pool, state, index, record.pool(id)))
            };
            state.workspaces.iter().map(judge).collect()
        });
        drop(record);
        verdicts.into_iter().for_each(|verdict| self.judge(now_ms, verdict));
    }

    /// What was taken away from reachable holders is given back within seconds.
    fn what_is_taken_away_comes(&mut self, now_ms: u64, load: &Load, lost: &BTreeSet<usize>) {
        let lost: BTreeSet<NodeId> = lost.iter().map(|index| node_id(*index)).collect();
        let taken = |pool: &Workspace| {
            let is_owed = |(id, line): &(&LineId, &Line)| {
                line.frozen
                    && !line.written_off
                    && !line.outstanding().is_zero()
                    && !lost.contains(&id.holder.node)
            };
            let owed = pool.lines.iter().filter(is_owed);
            owed.map(|(id, _)| (pool.id.clone(), *id)).collect::<BTreeSet<_>>()
        };
        let mut owed = BTreeSet::new();
        for id in (0..load.workspaces).map(workspace) {
            owed.extend(self.leader_of(&id, taken).unwrap_or_default());
        }
        self.owed_since.retain(|line, _| owed.contains(line));
        for line in owed {
            let since = *self.owed_since.entry(line.clone()).or_insert(now_ms);
            if now_ms - since > OWED_MS {
                let what = format!("{line:?}: since {since} ms");
                self.breaks(now_ms, "what was taken away from reachable nodes comes back", what);
            }
        }
    }

    /// No false exhaustion: what is left just after a refusal is too little, but for what others may have given back or
    /// bought since.
    fn nobody_is_refused_what_is_there(&mut self, now_ms: u64, load: &Load) {
        let refused = std::mem::take(&mut self.told.record().exhausted);
        let margin = load.price_max.saturating_mul(2 * load.users as u64);
        // What is out could have been recalled.
        let shared = |pool: &Workspace| {
            let there = pool.shared_at(pool_now(now_ms)).saturating_add(pool.shared_out).micros();
            (there, pool.revision)
        };
        let mut now = BTreeMap::new();
        for workspace in 0..load.workspaces {
            let id = super::clients::workspace(workspace);
            now.extend(self.leader_of(&id, shared).map(|shared| (id, shared)));
        }
        for (id, micros) in refused {
            // An administrator may have freed it since, or set it aside and freed it: it must have been there at the last look
            // too, and nothing changed.
            let (Some((was_there, then)), Some((there, since))) = (self.shared_before.get(&id), now.get(&id))
            else {
                continue;
            };
            let there = if then == since { *there.min(was_there) } else { 0 };
            if there > micros.saturating_add(margin) {
                let what = format!("{id}: {micros} was refused, {there} is there");
                self.breaks(now_ms, "nobody is refused what is there", what);
            }
        }
        self.shared_before = now;
    }

    /// What one replica can be held to, however old it is; answers how old.
    fn replica(&mut self, group: &Group, now_ms: u64) -> u64 {
        let violations = group.peek(State::violations);
        for violation in violations {
            self.breaks(now_ms, violation.invariant, format!("{}: {}", violation.workspace, violation.what));
        }
        let hash = group.state_hash();
        let mut is_new = false;
        let known = *self.digests.entry((group.id(), hash.index)).or_insert_with(|| {
            is_new = true;
            hash.digest
        });
        if is_new {
            tracing::info!(target: "film", group = ?group.id(), index = hash.index, digest = ?hash.digest, "applied");
        }
        if known != hash.digest {
            let what = format!("{:?} after entry {}", group.id(), hash.index);
            self.breaks(now_ms, "S13 equal logs make equal states", what);
        }
        while self.digests.len() > DIGESTS_MAX {
            self.digests.pop_first();
        }
        hash.index
    }

    /// Whether no line is open but of nodes that are gone.
    #[must_use]
    pub fn is_at_rest(&self, workspaces: usize, lost: &BTreeSet<usize>) -> bool {
        let lost: BTreeSet<NodeId> = lost.iter().map(|index| node_id(*index)).collect();
        let closed = |pool: &Workspace| {
            pool.lines.iter().all(|(line, of)| of.written_off || lost.contains(&line.holder.node))
        };
        (0..workspaces).map(workspace).all(|id| self.leader_of(&id, closed) == Some(true))
    }

    /// All that must be true once nothing is wrong any more, nobody asks, and idle lines had time to close.
    pub fn at_rest(&mut self, now_ms: u64, workspaces: usize, lost: &BTreeSet<usize>, rounds: bool) {
        let lost: BTreeSet<NodeId> = lost.iter().map(|index| node_id(*index)).collect();
        for id in (0..workspaces).map(workspace) {
            let mut record = self.told.record().pool(&id).clone();
            match self.leader_of(&id, Workspace::clone) {
                Some(pool) => {
                    let verdicts = at_rest(&pool, &mut record, &lost, rounds);
                    verdicts.into_iter().for_each(|verdict| self.judge(now_ms, verdict));
                }
                None => self.breaks(now_ms, "a pool is served when nothing is wrong", format!("{id}")),
            }
        }
    }

    /// What `see` finds at the node that leads the pool's shard.
    pub fn leader_of<T>(&self, id: &WorkspaceId, see: impl Fn(&Workspace) -> T) -> Option<T> {
        leader_of(&self.machines, id, |_, pool| see(pool))
    }
}

/// What `see` finds at the node that leads the pool's shard.
pub fn leader_of<T>(
    machines: &[Arc<Machine>],
    id: &WorkspaceId,
    see: impl Fn(&State, &Workspace) -> T,
) -> Option<T> {
    let mut found = None;
    for quota in machines.iter().filter_map(|machine| machine.running()) {
        let shards = quota.holder().shards();
        let group = shards.replica().group(GroupId::Shard(shards.map().shard_of(id)));
        if let Some(group) = group.filter(|group| group.is_leader()) {
            found = group.peek(|state| state.workspace(id).map(|pool| see(state, pool))).or(found);
        }
    }
    found
}

fn pool_now(now_ms: u64) -> Timestamp {
    BEGINNING.plus_ms(i64::try_from(now_ms).unwrap_or(i64::MAX))
}

pub fn node_id(index: usize) -> NodeId {
    NodeId(u16::try_from(index + 1).expect("a handful of nodes"))
}

fn at_rest(pool: &Workspace, record: &mut Pool, lost: &BTreeSet<NodeId>, rounds: bool) -> Vec<Verdict> {
    let Pool { sums, timed, .. } = record;
    // What was given once more though it may have been spent counts like a grant.
    timed.granted.push((0, pool.totals.exposure.micros()));
    let (books, metered) = (told::Books::from(pool), told::metered(pool));
    let mut verdicts = vec![
        idle_lines_are_closed(pool, lost),
        told::all_of_the_told(pool, sums),
        told::at_rest_nothing_was_lost_but_by_a_loss(books, rounds, !lost.is_empty()),
        timed::charges_follow_real_time(timed),
        timed::never_overdrawn(timed),
    ];
    // With a machine's power go numbers, of keys that are charged anew.
    if !rounds {
        verdicts.push(timed::every_number_is_told_or_lost(timed, sums));
        verdicts.push(told::at_rest_what_was_told_is_metered(&metered, sums, lost));
    }
    // What a lost node had is out until the operator has forgotten it.
    if books.out == 0 {
        verdicts.push(told::at_rest_used_is_what_was_told(books, sums));
    }
    verdicts
}

fn idle_lines_are_closed(pool: &Workspace, lost: &BTreeSet<NodeId>) -> Verdict {
    let mut lines = pool.lines.iter();
    match lines.find(|(line, of)| !of.written_off && !lost.contains(&line.holder.node)) {
        Some((line, of)) => {
            let what = format!("{} {line:?}: {of:?}", pool.id);
            Err(Broken { sentence: "an idle line is closed", what })
        }
        None => Ok(()),
    }
}

impl Judge {
    /// All pools together, as their leaders see them.
    pub fn sample(&mut self, now_ms: u64, workspaces: usize, faults_active: usize) {
        let mut sample = Sample { at_ms: now_ms, led: true, ..Sample::default() };
        for id in (0..workspaces).map(workspace) {
            match self.leader_of(&id, |pool| pool.totals) {
                Some(totals) => {
                    sample.available += totals.available.micros();
                    sample.out += totals.out.micros();
                    let charged = [totals.used, totals.unattributed, totals.written_off];
                    sample.used += charged.iter().map(|part| part.micros()).sum::<u64>();
                }
                None => sample.led = false,
            }
        }
        let record = self.told.record();
        sample.told = record.micros();
        sample.refusals.clone_from(&record.refusals);
        drop(record);
        sample.faults_active = u32::try_from(faults_active).unwrap_or(u32::MAX);
        sample.nodes_up = self.machines.iter().filter(|machine| machine.running().is_some()).count();
        self.timeline.push(sample);
    }
}

impl Seen {
    /// What a leader's ledger shows of rare crossings.
    fn look(&mut self, state: &State) {
        for pool in state.workspaces.values() {
            let totals = &pool.totals;
            let mut saw = |crossing, is| {
                if is {
                    self.saw_once(crossing);
                }
            };
            saw(Crossing::PowerLossRoundsUp, !totals.unattributed.is_zero());
            saw(Crossing::UnattributedReachesTheLedger, !totals.unattributed.is_zero());
            saw(Crossing::ExposureIsBooked, !totals.exposure.is_zero());
            let ends_while_out =
                |grant: &ledger::Grant| grant.state != GrantState::Live && !grant.books.out.is_zero();
            saw(Crossing::GrantEndsWhileOut, pool.grants.iter().any(ends_while_out));
            for user in pool.users.values() {
                let counted = user.used.saturating_add(user.out);
                saw(
                    Crossing::LimitCutBelowOut,
                    user.limit(types::Window::Cycle).is_some_and(|limit| counted > limit),
                );
                let is_off = user.member.as_ref().is_some_and(|member| !member.ai_access);
                saw(Crossing::AccessOffWhileOut, is_off && !user.out.is_zero());
                let holders: BTreeSet<_> = user.lines.iter().map(|line| line.holder).collect();
                saw(Crossing::TwoHoldersOfOneUser, holders.len() > 1);
            }
            for intent in pool.intents.values() {
                saw(Crossing::PendingPartLapses, !intent.lapsed.is_zero());
                let was_pending =
                    intent.first_answer.as_ref().is_some_and(|first| first.moved < intent.moved);
                saw(Crossing::PendingPartArrives, was_pending);
            }
        }
    }
}
