//! Looks at every node between two steps and says which sentence broke. Not here: the sentences that look at one state
//! alone (`ledger::invariants`, `testkit::checkers`).

use crate::crossings::{Crossing, Seen};
use crate::outcome::{BrokenAt, Sample};
use crate::world_b::BEGINNING;
use crate::world_b::clients::workspace_id;
use crate::world_b::load::Load;
use crate::world_b::machine::Machine;
use crate::world_b::panics;
use crate::world_b::told::{Record, Told};
use ledger::{GrantState, Line, State, Workspace};
use replication::{Group, GroupId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use types::{LineId, NodeId, Timestamp, WorkspaceId};

/// Which nodes are gone, and whether nothing else is wrong.
#[derive(Clone, Copy, Debug)]
pub struct Calm<'a> {
    pub is_calm: bool,
    pub lost: &'a BTreeSet<usize>,
}

#[derive(Debug)]
pub struct Judge {
    machines: Vec<Arc<Machine>>,
    told: Told,
    /// The highest term ever seen of each group, who leads in it, and since when.
    terms: BTreeMap<GroupId, (u64, NodeId, u64)>,
    digests: BTreeMap<(GroupId, u64), [u8; 32]>,
    /// Since when a line that was taken away from a reachable holder has not come back.
    owed_since: BTreeMap<(WorkspaceId, LineId), u64>,
    pub broken: Vec<BrokenAt>,
    pub seen: Seen,
    pub elections: u64,
    pub timeline: Vec<Sample>,
}

/// A leader of so long has applied whatever was committed before it.
const SETTLED_MS: u64 = 2_000;
/// Enough to be understood; a run with one is a failed run.
const BROKEN_MAX: usize = 5;
/// What is recalled from reachable holders comes within a second; a busy one may take a few.
const OWED_MS: u64 = 4_000;
/// Digests that are kept to compare others with.
const DIGESTS_MAX: usize = 4_096;

impl Judge {
    #[must_use]
    pub fn new(machines: Vec<Arc<Machine>>, told: Told) -> Self {
        Self {
            machines,
            told,
            terms: BTreeMap::new(),
            digests: BTreeMap::new(),
            owed_since: BTreeMap::new(),
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

    /// Notes who leads: cheap, after every step.
    pub fn watch(&mut self, now_ms: u64) {
        for machine in &self.machines {
            let Some(quota) = machine.running() else { continue };
            for group in quota.holder().shards().replica().groups().filter(|group| group.is_leader()) {
                let term = group.status().term;
                let known = self.terms.entry(group.id()).or_insert((term, quota.node(), now_ms));
                if term > known.0 {
                    self.elections += 1;
                    if quota.node() != known.1 && group.id() != GroupId::Meta {
                        self.seen.saw(Crossing::LeaderChanges);
                    }
                    *known = (term, quota.node(), now_ms);
                }
            }
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
        if calm.is_calm {
            self.what_is_taken_away_comes(now_ms, load, calm.lost);
        }
        for machine in self.machines.clone() {
            let Some(quota) = machine.running() else { continue };
            for group in quota.holder().shards().replica().groups() {
                self.replica(group, now_ms);
                let settled = |(term, node, since): &(u64, NodeId, u64)| {
                    *node == quota.node()
                        && *term == group.status().term
                        && now_ms.saturating_sub(*since) >= SETTLED_MS
                };
                if group.is_leader() && self.terms.get(&group.id()).is_some_and(settled) {
                    let record = self.told.record().clone();
                    group.peek(|state| self.seen.look(state));
                    group
                        .peek(|state| what_was_told_is_gone(state, &record))
                        .into_iter()
                        .for_each(|(sentence, what)| self.breaks(now_ms, sentence, what));
                }
            }
        }
        self.nobody_is_refused_what_is_there(now_ms, load);
        let told: Vec<String> = std::mem::take(&mut self.told.record().broken);
        told.into_iter().for_each(|what| self.breaks(now_ms, "what clients are told is consistent", what));
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
        for workspace in 0..load.workspaces {
            let id = WorkspaceId::parse(&workspace_id(workspace)).expect("a valid id");
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
        for (name, micros) in refused {
            let id = WorkspaceId::parse(&name).expect("a valid id");
            // What is out could have been recalled.
            let shared =
                |pool: &Workspace| pool.shared_at(pool_now(now_ms)).saturating_add(pool.shared_out).micros();
            let shared = self.leader_of(&id, shared);
            if let Some(shared) = shared.filter(|shared| *shared > micros.saturating_add(margin)) {
                let what = format!("{name}: {micros} was refused, {shared} is there");
                self.breaks(now_ms, "nobody is refused what is there", what);
            }
        }
    }

    /// What one replica can be held to, however old it is.
    fn replica(&mut self, group: &Group, now_ms: u64) {
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
    }

    /// Whether no line is open but of nodes that are gone.
    #[must_use]
    pub fn is_at_rest(&self, workspaces: usize, lost: &BTreeSet<usize>) -> bool {
        let lost: BTreeSet<NodeId> = lost.iter().map(|index| node_id(*index)).collect();
        let closed = |pool: &Workspace| {
            pool.lines.iter().all(|(line, of)| of.written_off || lost.contains(&line.holder.node))
        };
        (0..workspaces).all(|workspace| {
            let id = WorkspaceId::parse(&workspace_id(workspace)).expect("a valid id");
            self.leader_of(&id, closed) == Some(true)
        })
    }

    /// All that must be true once nothing is wrong any more, nobody asks, and idle lines had time to close.
    pub fn at_rest(&mut self, now_ms: u64, workspaces: usize, lost: &BTreeSet<usize>, rounds: bool) {
        let record = self.told.record().clone();
        let lost: BTreeSet<NodeId> = lost.iter().map(|index| node_id(*index)).collect();
        for workspace in 0..workspaces {
            let id = WorkspaceId::parse(&workspace_id(workspace)).expect("a valid id");
            let found = self.leader_of(&id, |pool| at_rest(pool, &record, &lost, rounds));
            match found {
                Some(broken) => {
                    broken.into_iter().for_each(|(sentence, what)| self.breaks(now_ms, sentence, what));
                }
                None => self.breaks(now_ms, "a pool is served when nothing is wrong", format!("{id}")),
            }
        }
    }

    /// What `see` finds at the node that leads the pool's shard.
    pub fn leader_of<T>(&self, id: &WorkspaceId, see: impl Fn(&Workspace) -> T) -> Option<T> {
        let quotas = self.machines.iter().filter_map(|machine| machine.running());
        let mut found = None;
        for quota in quotas {
            let shards = quota.holder().shards();
            let group = shards.replica().group(GroupId::Shard(shards.map().shard_of(id)));
            if let Some(group) = group.filter(|group| group.is_leader()) {
                found = group.peek(|state| state.workspace(id).map(&see)).or(found);
            }
        }
        found
    }
}

fn pool_now(now_ms: u64) -> Timestamp {
    BEGINNING.plus_ms(i64::try_from(now_ms).unwrap_or(i64::MAX))
}

pub fn node_id(index: usize) -> NodeId {
    NodeId(u16::try_from(index + 1).expect("a handful of nodes"))
}

type Sentences = Vec<(&'static str, String)>;

/// S3 and S4 in real time: every acknowledged credit was granted, and is gone from the pool and from its line.
fn what_was_told_is_gone(state: &State, record: &Record) -> Sentences {
    let mut broken = Vec::new();
    for (name, told) in &record.by_workspace {
        let id = WorkspaceId::parse(name).expect("a valid id");
        let Some(pool) = state.workspace(&id) else { continue };
        let totals = &pool.totals;
        let granted = totals.amount.micros() + totals.exposure.micros();
        if *told > granted {
            broken.push(("S3 nobody was told more than was granted", format!("{name}: {told} of {granted}")));
        }
        let gone = [totals.out, totals.used, totals.unattributed, totals.written_off, totals.exposure];
        let gone: u64 = gone.iter().map(|part| part.micros()).sum();
        if *told > gone {
            broken.push(("what was told is gone from the pool", format!("{name}: told {told}, gone {gone}")));
        }
        for (line, numbers) in &pool.lines {
            let told = record.by_line.get(&(name.clone(), line.holder.node, line.number.0)).copied();
            let has: u64 = numbers.backings.iter().map(|n| n.drawn.micros() - n.returned.micros()).sum();
            if told.is_some_and(|told| told > has) {
                let what = format!("{name} {line:?}: told {told:?}, has {has}");
                broken.push(("S4 nothing is told on a line beyond what it has", what));
            }
        }
    }
    broken
}

fn at_rest(pool: &Workspace, record: &Record, lost: &BTreeSet<NodeId>, rounds: bool) -> Sentences {
    let mut broken = Vec::new();
    let name = pool.id.as_str();
    let open = pool.lines.iter().filter(|(line, of)| !of.written_off && !lost.contains(&line.holder.node));
    for (line, of) in open {
        broken.push(("an idle line is closed", format!("{name} {line:?}: {of:?}")));
    }
    let told = record.by_workspace.get(name).copied().unwrap_or_default();
    let unknown = record.unknown.get(name).copied().unwrap_or_default();
    let totals = &pool.totals;
    let detail_lost = totals.unattributed.micros() + totals.written_off.micros() + totals.exposure.micros();
    let charged = totals.used.micros() + totals.unattributed.micros() + totals.written_off.micros();
    // What a lost node had is out until the operator has forgotten it.
    let out = totals.out.micros();
    if told > charged + out + totals.exposure.micros() {
        broken.push(("what was told is charged", format!("{name}: told {told}, charged {charged}")));
    }
    if charged > told + unknown + detail_lost {
        let what = format!("{name}: charged {charged}, told {told}, unknown {unknown}, {totals:?}");
        broken.push(("nobody is charged more than he was told", what));
    }
    if !rounds && lost.is_empty() && (detail_lost > 0 || out > 0) {
        let what = format!("{name}: {totals:?}");
        broken.push(("without a loss of power or disk nothing is unattributed", what));
    }
    for (user, of) in &pool.users {
        let told = record.by_user.get(&(name.to_owned(), user.to_string())).copied().unwrap_or_default();
        let used = of.used.micros() + of.out.micros() + totals.exposure.micros();
        if told > used {
            broken.push(("users are charged what they were told", format!("{name} {user}: {told}, {used}")));
        }
    }
    let rows = pool.usage_rows();
    let metered: u64 = rows.iter().map(|row| row.metered.credits.micros()).sum();
    if metered != totals.used.micros() {
        broken.push(("S8 usage by meter sums to used", format!("{name}: {metered}, {}", totals.used)));
    }
    let pending: u64 = pool.intents.values().map(|intent| intent.pending().micros()).sum();
    if pending > 0 && lost.is_empty() {
        broken.push(("nothing is pending when nothing is out", format!("{name}: {pending}")));
    }
    broken
}

impl Judge {
    /// All pools together, as their leaders see them.
    pub fn sample(&mut self, now_ms: u64, workspaces: usize, faults_active: usize) {
        let mut sample = Sample { at_ms: now_ms, led: true, ..Sample::default() };
        for workspace in 0..workspaces {
            let id = WorkspaceId::parse(&workspace_id(workspace)).expect("a valid id");
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
        sample.told = record.by_workspace.values().sum();
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
                    self.saw(crossing);
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
                saw(Crossing::LimitCutBelowOut, user.limit.is_some_and(|(limit, _)| counted > limit));
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
