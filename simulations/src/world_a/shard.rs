//! A toy replicated log: replicas of the product's ledger, a leader, commitment by majority, elections, snapshots. A
//! message in, messages out; what is durable of a replica survives its process. Not here: carrying messages and timers
//! (`replica`), what a leader does for holders (`desk`).
//!
//! A proposal whose leader falls is *unknown*: it may commit later, in somebody else's term.

use super::words::Index;
use crate::chance::Stream;
use futures::channel::oneshot;
use ledger::{Applied, Command, State};
use rand::Rng;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use types::Timestamp;

pub const HEARTBEAT_MS: u64 = 250;
pub const ELECTION_MS: (u64, u64) = (500, 800);
/// Entries between snapshots, and how many stay behind one.
const SNAPSHOT_EVERY: u64 = 400;
const KEPT: u64 = 60;
const ENTRIES_PER_MESSAGE: usize = 64;

#[derive(Clone, Debug)]
pub struct Entry {
    pub term: u64,
    pub at: Timestamp,
    /// None: a new leader's first.
    pub command: Option<Rc<Command>>,
}

#[derive(Clone, Debug)]
pub enum RaftMessage {
    Vote { term: u64, last: u64, last_term: u64 },
    Voted { term: u64, granted: bool },
    Append { term: u64, prev: u64, prev_term: u64, entries: Rc<[Entry]>, commit: u64, round: u64 },
    Appended { term: u64, taken: bool, matched: u64, round: u64 },
    Install { term: u64, last: u64, last_term: u64, state: Box<State>, round: u64 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Follower,
    Candidate,
    Leader,
}

/// What a proposal became.
#[derive(Clone, Debug)]
pub struct Committed {
    pub index: u64,
    pub applied: Applied,
}

#[derive(Debug)]
struct Snapshot {
    index: u64,
    term: u64,
    state: State,
}

#[derive(Debug)]
pub struct Replica {
    pub me: Index,
    peers: Vec<Index>,
    chance: Stream,
    // Durable.
    term: u64,
    voted: Option<Index>,
    first: u64,
    log: VecDeque<Entry>,
    snapshot: Snapshot,
    // Lost with the process.
    pub role: Role,
    pub leader: Option<Index>,
    pub commit: u64,
    pub applied: u64,
    pub state: State,
    followers: BTreeMap<Index, Follower>,
    votes: BTreeSet<Index>,
    pub deadline_us: u64,
    round: u64,
    waiting: BTreeMap<u64, (u64, oneshot::Sender<Committed>)>,
    reads: Vec<(u64, oneshot::Sender<()>)>,
    pub out: Vec<(Index, RaftMessage)>,
}

#[derive(Clone, Copy, Debug)]
struct Follower {
    next: u64,
    matched: u64,
    round: u64,
}

impl Replica {
    pub fn new(me: Index, peers: Vec<Index>, chance: Stream) -> Self {
        Self {
            me,
            peers,
            chance,
            term: 0,
            voted: None,
            first: 1,
            log: VecDeque::new(),
            snapshot: Snapshot { index: 0, term: 0, state: State::new() },
            role: Role::Follower,
            leader: None,
            commit: 0,
            applied: 0,
            state: State::new(),
            followers: BTreeMap::new(),
            votes: BTreeSet::new(),
            deadline_us: 0,
            round: 0,
            waiting: BTreeMap::new(),
            reads: Vec::new(),
            out: Vec::new(),
        }
    }

    /// The process starts: what is not durable is built again from the snapshot; the log behind it is applied as far as a
    /// leader says it is committed.
    pub fn restart(&mut self, now_us: u64) {
        self.role = Role::Follower;
        self.leader = None;
        (self.commit, self.applied) = (self.snapshot.index, self.snapshot.index);
        self.state = self.snapshot.state.clone();
        self.followers.clear();
        self.votes.clear();
        self.waiting.clear();
        self.reads.clear();
        self.out.clear();
        self.rest(now_us);
    }

    fn rest(&mut self, now_us: u64) {
        self.deadline_us = now_us + self.chance.random_range(ELECTION_MS.0..=ELECTION_MS.1) * 1_000;
    }

    fn last(&self) -> u64 {
        self.first + self.log.len() as u64 - 1
    }

    pub fn term(&self) -> u64 {
        self.term
    }

    pub fn is_leader(&self) -> bool {
        self.role == Role::Leader
    }

    fn term_at(&self, index: u64) -> Option<u64> {
        if index == self.snapshot.index {
            return Some(self.snapshot.term);
        }
        self.entry(index).map(|entry| entry.term)
    }

    pub fn entry(&self, index: u64) -> Option<&Entry> {
        let at = index.checked_sub(self.first)?;
        self.log.get(usize::try_from(at).ok()?)
    }

    fn majority(&self) -> usize {
        self.peers.len() / 2 + 1
    }

    fn others(&self) -> Vec<Index> {
        self.peers.iter().copied().filter(|peer| *peer != self.me).collect()
    }

    fn step_down(&mut self, term: u64, now_us: u64) {
        if term > self.term {
            (self.term, self.voted) = (term, None);
        }
        if self.role == Role::Leader {
            // Whoever waits does not learn from here what became of his proposal.
            self.waiting.clear();
            self.reads.clear();
            self.rest(now_us);
        }
        self.role = Role::Follower;
    }

    /// Nobody led for too long.
    pub fn campaign(&mut self, now_us: u64, at: Timestamp) {
        self.term += 1;
        self.role = Role::Candidate;
        self.leader = None;
        self.voted = Some(self.me);
        self.votes = BTreeSet::from([self.me]);
        self.rest(now_us);
        let last = self.last();
        let vote = RaftMessage::Vote { term: self.term, last, last_term: self.term_at(last).unwrap_or(0) };
        self.out.extend(self.others().into_iter().map(|peer| (peer, vote.clone())));
        self.count_votes(at);
    }

    fn count_votes(&mut self, at: Timestamp) {
        if self.role != Role::Candidate || self.votes.len() < self.majority() {
            return;
        }
        self.role = Role::Leader;
        self.leader = Some(self.me);
        let next = self.last() + 1;
        let fresh = Follower { next, matched: 0, round: 0 };
        self.followers = self.others().into_iter().map(|peer| (peer, fresh)).collect();
        self.log.push_back(Entry { term: self.term, at, command: None });
        self.broadcast();
        self.advance();
    }

    /// Takes a command into the log, if this replica leads.
    pub fn propose(&mut self, at: Timestamp, command: Command) -> Option<oneshot::Receiver<Committed>> {
        if !self.is_leader() {
            return None;
        }
        self.log.push_back(Entry { term: self.term, at, command: Some(Rc::new(command)) });
        let (sender, receiver) = oneshot::channel();
        self.waiting.insert(self.last(), (self.term, sender));
        self.broadcast();
        self.advance();
        Some(receiver)
    }

    /// Answered once a majority has confirmed that this replica still leads.
    pub fn confirm(&mut self) -> Option<oneshot::Receiver<()>> {
        if !self.is_leader() || self.term_at(self.commit) != Some(self.term) {
            return None;
        }
        let (sender, receiver) = oneshot::channel();
        self.broadcast();
        self.reads.push((self.round, sender));
        self.advance();
        Some(receiver)
    }

    pub fn broadcast(&mut self) {
        if !self.is_leader() {
            return;
        }
        self.round += 1;
        for peer in self.others() {
            self.send_entries(peer);
        }
    }

    fn send_entries(&mut self, peer: Index) {
        let Some(mut follower) = self.followers.get(&peer).copied() else { return };
        if follower.next < self.first {
            let Snapshot { index, term, state } = &self.snapshot;
            let install = RaftMessage::Install {
                term: self.term,
                last: *index,
                last_term: *term,
                state: Box::new(state.clone()),
                round: self.round,
            };
            follower.next = index + 1;
            self.out.push((peer, install));
        } else {
            let prev = follower.next - 1;
            let from = usize::try_from(follower.next - self.first).unwrap_or(usize::MAX);
            let entries: Rc<[Entry]> =
                self.log.iter().skip(from).take(ENTRIES_PER_MESSAGE).cloned().collect();
            follower.next += entries.len() as u64;
            let prev_term = self.term_at(prev).unwrap_or(0);
            let (term, commit, round) = (self.term, self.commit, self.round);
            self.out.push((peer, RaftMessage::Append { term, prev, prev_term, entries, commit, round }));
        }
        self.followers.insert(peer, follower);
    }

    pub fn receive(&mut self, from: Index, message: RaftMessage, now_us: u64, at: Timestamp) {
        match message {
            RaftMessage::Vote { term, last, last_term } => {
                if term > self.term {
                    self.step_down(term, now_us);
                }
                let mine = (self.term_at(self.last()).unwrap_or(0), self.last());
                let granted = term == self.term
                    && self.voted.is_none_or(|voted| voted == from)
                    && (last_term, last) >= mine;
                if granted {
                    self.voted = Some(from);
                    self.rest(now_us);
                }
                self.out.push((from, RaftMessage::Voted { term: self.term, granted }));
            }
            RaftMessage::Voted { term, granted } => {
                if term > self.term {
                    self.step_down(term, now_us);
                } else if term == self.term && granted && self.role == Role::Candidate {
                    self.votes.insert(from);
                    self.count_votes(at);
                }
            }
            RaftMessage::Append { term, prev, prev_term, entries, commit, round } => {
                if !self.hear_leader(from, term, now_us) {
                    return self.refuse(from, prev, round);
                }
                // What the snapshot holds is the same everywhere.
                let known = prev < self.snapshot.index || self.term_at(prev) == Some(prev_term);
                if !known {
                    return self.refuse(from, prev, round);
                }
                self.take(prev, &entries);
                let matched = prev + entries.len() as u64;
                self.commit = self.commit.max(commit.min(matched));
                self.out.push((from, RaftMessage::Appended { term, taken: true, matched, round }));
            }
            RaftMessage::Install { term, last, last_term, state, round } => {
                if !self.hear_leader(from, term, now_us) {
                    return self.refuse(from, last, round);
                }
                if last > self.commit {
                    self.snapshot = Snapshot { index: last, term: last_term, state: *state };
                    self.state = self.snapshot.state.clone();
                    self.log.clear();
                    self.first = last + 1;
                    (self.commit, self.applied) = (last, last);
                }
                let matched = last;
                self.out.push((from, RaftMessage::Appended { term, taken: true, matched, round }));
            }
            RaftMessage::Appended { term, taken, matched, round } => {
                if term > self.term {
                    return self.step_down(term, now_us);
                }
                if term < self.term || !self.is_leader() {
                    return;
                }
                let last = self.last();
                let Some(follower) = self.followers.get_mut(&from) else { return };
                follower.round = follower.round.max(round);
                if taken {
                    follower.matched = follower.matched.max(matched);
                    follower.next = follower.next.max(matched + 1);
                    if follower.next <= last && follower.matched + 1 == follower.next {
                        self.send_entries(from);
                    }
                } else {
                    follower.next = follower.next.min(matched + 1).max(follower.matched + 1);
                    self.send_entries(from);
                }
                self.advance();
            }
        }
    }

    fn hear_leader(&mut self, from: Index, term: u64, now_us: u64) -> bool {
        if term < self.term {
            return false;
        }
        self.step_down(term, now_us);
        self.leader = Some(from);
        self.rest(now_us);
        true
    }

    /// Says from where on it can be tried again.
    fn refuse(&mut self, to: Index, prev: u64, round: u64) {
        let matched = self.last().min(prev.saturating_sub(1));
        self.out.push((to, RaftMessage::Appended { term: self.term, taken: false, matched, round }));
    }

    fn take(&mut self, prev: u64, entries: &[Entry]) {
        for (index, entry) in (prev + 1..).zip(entries) {
            match self.term_at(index) {
                _ if index < self.first => {}
                Some(term) if term == entry.term => {}
                Some(_) => {
                    assert!(index > self.commit, "what is committed is never taken back");
                    let keep = usize::try_from(index - self.first).expect("within the log");
                    self.log.truncate(keep);
                    self.log.push_back(entry.clone());
                }
                None => self.log.push_back(entry.clone()),
            }
        }
    }

    /// Commits what a majority has, and answers reads that a majority confirmed.
    fn advance(&mut self) {
        let mut matched: Vec<u64> = self.followers.values().map(|follower| follower.matched).collect();
        matched.push(self.last());
        matched.sort_unstable_by(|a, b| b.cmp(a));
        let agreed = matched[self.majority() - 1];
        if agreed > self.commit && self.term_at(agreed) == Some(self.term) {
            self.commit = agreed;
        }
        let majority = self.majority();
        let heard = |round: u64| self.followers.values().filter(|f| f.round >= round).count() + 1 >= majority;
        let (done, open): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.reads).into_iter().partition(|(round, _)| heard(*round));
        self.reads = open;
        for (_, reader) in done {
            let _gone = reader.send(());
        }
    }

    /// Whether it applies entries itself, which is what costs most in a run: whoever leads does, and the first one, to be
    /// compared; the others take the state over.
    pub fn applies(&self) -> bool {
        self.is_leader() || self.me == 0
    }

    /// Takes over what others have made of all entries up to `index`, which are committed.
    pub fn adopt(&mut self, index: u64, state: &State) {
        assert!(index <= self.commit && !self.is_leader(), "it follows, and these are committed");
        if index <= self.applied {
            return;
        }
        self.state = state.clone();
        self.applied = index;
        self.keep_snapshot(index);
    }

    fn keep_snapshot(&mut self, index: u64) {
        if index < self.snapshot.index + SNAPSHOT_EVERY {
            return;
        }
        let term = self.term_at(index).expect("what is applied last is in the log");
        self.snapshot = Snapshot { index, term, state: self.state.clone() };
        let keep_from = index.saturating_sub(KEPT).max(self.first);
        self.log.drain(..usize::try_from(keep_from - self.first).expect("within the log"));
        self.first = keep_from;
    }

    /// Applies the next committed entry; answers its index.
    pub fn apply_next(&mut self) -> Option<u64> {
        if self.applied >= self.commit {
            return None;
        }
        let index = self.applied + 1;
        let entry = self.entry(index).expect("what is committed and not applied is in the log").clone();
        if let Some(command) = &entry.command {
            let applied = self.state.apply(entry.at, command);
            if let Some((term, waiting)) = self.waiting.remove(&index)
                && term == entry.term
            {
                let _gone = waiting.send(Committed { index, applied });
            }
        }
        self.applied = index;
        self.keep_snapshot(index);
        Some(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chance::stream;

    const NOW: Timestamp = Timestamp::from_millis(5);

    fn three() -> Vec<Replica> {
        let make = |me| Replica::new(me, vec![0, 1, 2], stream(1, &format!("replica {me}")));
        (0..3).map(make).collect()
    }

    /// Delivers all messages but those of and to `cut`.
    fn settle(replicas: &mut [Replica], cut: Option<Index>) {
        loop {
            let mut sent = Vec::new();
            for replica in replicas.iter_mut() {
                let me = replica.me;
                sent.extend(
                    std::mem::take(&mut replica.out).into_iter().map(|(to, message)| (me, to, message)),
                );
                while replica.apply_next().is_some() {}
            }
            sent.retain(|(from, to, _)| Some(*from) != cut && Some(*to) != cut);
            if sent.is_empty() {
                return;
            }
            for (from, to, message) in sent {
                replicas[to].receive(from, message, 0, NOW);
            }
        }
    }

    fn tick() -> Command {
        Command::Tick { workspace: "w".parse().unwrap() }
    }

    #[test]
    fn a_leader_that_is_cut_off_commits_nothing_and_its_entries_give_way() {
        let mut replicas = three();
        replicas[0].campaign(0, NOW);
        settle(&mut replicas, None);
        assert!(replicas[0].is_leader());
        let mut done = replicas[0].propose(NOW, tick()).unwrap();
        settle(&mut replicas, None);
        assert_eq!(done.try_recv().unwrap().unwrap().index, 2);

        let mut lost = replicas[0].propose(NOW, tick()).unwrap();
        settle(&mut replicas, Some(0));
        replicas[1].campaign(0, NOW);
        settle(&mut replicas, Some(0));
        for _ in 0..1_000 {
            drop(replicas[1].propose(NOW, tick()).unwrap());
            settle(&mut replicas, Some(0));
        }
        replicas[1].broadcast();
        settle(&mut replicas, None);
        assert!(lost.try_recv().is_err(), "it was never answered");
        assert!(replicas.iter().all(|replica| replica.applied == 1_003), "also by a snapshot");
        assert!(!replicas[0].is_leader() && replicas[1].is_leader());

        replicas[2].restart(0);
        assert!(replicas[2].applied < 1_003);
        replicas[1].broadcast();
        settle(&mut replicas, None);
        assert_eq!(replicas[2].applied, 1_003);
    }

    #[test]
    fn a_read_waits_for_a_majority() {
        let mut replicas = three();
        replicas[0].campaign(0, NOW);
        settle(&mut replicas, None);
        let mut read = replicas[0].confirm().unwrap();
        assert_eq!(read.try_recv().unwrap(), None);
        settle(&mut replicas, None);
        assert_eq!(read.try_recv().unwrap(), Some(()));
        assert!(replicas[1].confirm().is_none());
    }
}
