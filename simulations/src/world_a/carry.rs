//! What travels: questions and answers between nodes with their deadlines, and what replicas tell each other, applied and
//! judged where it arrives. Not here: how long it takes and what is lost (`network`), what a replica says (`shard`).

use super::film::Step;
use super::node::Running;
use super::words::{Answer, Index, Message, PeerFault, Request};
use super::{World, consume, desk, holds, refunds, shard};
use crate::crossings::Crossing;
use futures::channel::oneshot;
use std::future::Future;
use std::rc::Rc;

/// A connection on which nothing arrives for so long is given up; then a new one is waited for for so long. As the
/// product's `transport`.
const SILENCE_MS: u64 = 5_000;
const CONNECT_WAIT_MS: u64 = 200;

impl World {
    // ---- messages

    /// Runs `work` in the node's process. `None`: it is down, or died meanwhile.
    pub(super) async fn on_node<T: 'static, F: Future<Output = T> + 'static>(
        &self,
        node: Index,
        work: impl FnOnce(Rc<Running>) -> F + 'static,
    ) -> Option<T> {
        let running = self.nodes[node].running()?;
        let (reply, answer) = oneshot::channel();
        self.time.spawn(node + 1, async move {
            let _gone = reply.send(work(running).await);
        });
        answer.await.ok()
    }

    pub(super) async fn call(
        &self,
        from: Index,
        to: Index,
        request: Request,
        within_ms: u64,
    ) -> Result<Answer, PeerFault> {
        let silent_ms = self.net.borrow().silent_for_ms(from, to, self.time.now_ms());
        let no_connection_after_us = match silent_ms {
            // Nobody listens there.
            None if !self.nodes[to].is_up() => Some(self.config.distances.from_to(from, to).most_us),
            Some(ms) if ms >= SILENCE_MS => Some(within_ms.min(CONNECT_WAIT_MS) * 1_000),
            _ => None,
        };
        if let Some(us) = no_connection_after_us {
            self.time.sleep_us(us).await;
            return Err(PeerFault::Unreachable);
        }
        // With the connection ends whoever waits for an answer on it.
        let within_ms = silent_ms.map_or(within_ms, |ms| within_ms.min(SILENCE_MS - ms));
        let id = self.next_ask.get();
        self.next_ask.set(id + 1);
        let (reply, answer) = oneshot::channel();
        self.nodes[from].asks.borrow_mut().insert(id, reply);
        self.send(from, to, Message::Ask { id, request });
        let answered = self.time.within(within_ms, answer).await;
        self.nodes[from].asks.borrow_mut().remove(&id);
        match answered {
            Some(Ok(answer)) => Ok(answer),
            Some(Err(_)) | None => Err(PeerFault::Unknown),
        }
    }

    pub(super) fn send(&self, from: Index, to: Index, message: Message) {
        let arrivals = self.net.borrow_mut().send(from, to, self.time.now_ms());
        let Some(world) = self.nodes[from].running().map(|running| running.world()) else { return };
        if message.is_counted_on() {
            world.it_spoke(from, message.draws_on_what_is_used());
        }
        if let Some(us) = arrivals.second {
            let (world, message) = (world.clone(), message.clone());
            self.time.call_in(us, move || world.deliver(from, to, message));
        }
        match arrivals.first {
            Some(us) => self.time.call_in(us, move || world.deliver(from, to, message)),
            None => {
                if matches!(message, Message::Answer { answer: Answer::Recall(_), .. }) {
                    self.saw(Crossing::ReturnDurableAnswerLost);
                }
            }
        }
    }

    pub(super) fn deliver(self: &Rc<Self>, from: Index, to: Index, message: Message) {
        let Some(running) = self.nodes[to].running() else { return };
        match message {
            Message::Raft(message) if self.time.is_paused(to + 1) => {
                let world = self.clone();
                self.time.spawn(to + 1, async move { world.hear_raft(from, to, message) });
            }
            Message::Raft(message) => self.hear_raft(from, to, message),
            Message::Answer { id, answer } => {
                if let Some(asking) = self.nodes[to].asks.borrow_mut().remove(&id) {
                    let _gone = asking.send(answer);
                }
            }
            Message::Ask { id, request } => {
                let world = self.clone();
                self.time.spawn(to + 1, async move {
                    let answer = world.answer(&running, request).await;
                    world.send(to, from, Message::Answer { id, answer });
                });
            }
        }
    }

    pub(super) async fn answer(self: &Rc<Self>, me: &Rc<Running>, request: Request) -> Answer {
        match request {
            Request::Leader { request, within_ms } => {
                Answer::Leader(desk::answer(self, me, request, within_ms).await)
            }
            Request::Recall(recall) => Answer::Recall(me.recall(recall).await),
            Request::Consume(consume) => Answer::Consume(consume::decide(me, &consume).await),
            Request::OpenHold(open) => Answer::OpenHold(holds::decide(me, &open).await),
            Request::Hold(asked) => Answer::Hold(holds::hold_here(me, asked).await),
            Request::FindCharge(find) => Answer::FoundCharge(refunds::find_here(me, find).await),
            Request::Clock => Answer::Clock(platform::Clock::now(me.clock.as_ref())),
        }
    }

    // ---- the replicated log

    pub(super) fn hear_raft(self: &Rc<Self>, from: Index, to: Index, message: shard::RaftMessage) {
        let Some(replica) = &self.nodes[to].replica else { return };
        let at = self.agreed_now(to);
        replica.borrow_mut().receive(from, message, self.time.now_us(), at);
        self.after_raft(to);
    }

    /// Judges what was committed, applies it, sends what is to be sent.
    pub(super) fn after_raft(&self, node: Index) {
        let Some(replica) = &self.nodes[node].replica else { return };
        let now_ms = self.time.now_ms();
        let mut replica = replica.borrow_mut();
        let mut oracle = self.oracle.borrow_mut();
        while oracle.index < replica.commit {
            let index = oracle.index + 1;
            let entry = replica.entry(index).expect("what is new to all is in the log").clone();
            let applied = oracle.commit(index, &entry, now_ms);
            self.film(Step::Committed, node, index, entry.term);
            self.tell(|| self.committed_scene(index, entry.command.as_deref(), &applied, &oracle.state));
        }
        if replica.applies() {
            while let Some(index) = replica.apply_next() {
                oracle.compare(index, node, &replica.state, now_ms);
            }
        } else if let Some((index, state)) = oracle.image_up_to(replica.commit) {
            replica.adopt(index, state);
        }
        let out = std::mem::take(&mut replica.out);
        let (leads, term) = (replica.is_leader(), replica.term());
        drop((replica, oracle));
        if leads && term > self.led.get().0 {
            self.elected(node, term);
        }
        for (to, message) in out {
            self.send(node, to, Message::Raft(message));
        }
    }

    pub(super) fn elected(&self, node: Index, term: u64) {
        let (_, before) = self.led.replace((term, Some(node)));
        let now_ms = self.time.now_ms();
        let mut counts = self.counts.borrow_mut();
        counts.elections += 1;
        if let Some(since) = self.leaderless_since_ms.take() {
            counts.failovers_ms.push(now_ms - since);
        }
        drop(counts);
        self.film(Step::LeaderElected, node, term, 0);
        self.oracle.borrow_mut().another_leader();
        let died_in_round = self.died_in_round.take();
        let before = before.filter(|before| *before != node);
        let ran = before.and_then(|before| self.nodes[before].running());
        if before.is_some() && (died_in_round || ran.is_some_and(|ran| ran.desk.rounds.any_runs())) {
            self.saw(Crossing::LeaderChangesDuringRound);
        }
    }
}
