//! One stream to one peer while it lasts: calls that wait for their answer, frames that wait to be written. Not here:
//! how it came to be (`peer`, `listener`), and the stream itself (`reader`, `writer`).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};
use tokio_util::codec::{FramedRead, LengthDelimitedCodec};
use tokio_util::sync::CancellationToken;
use wire::frame::{FrameKind, Header};

use crate::handshake::Agreed;
use crate::mux::Shared;
use crate::peer::Peer;
use crate::reader::Reader;
use crate::writer::{Outgoing, Writer};
use crate::{CallError, Overload, RequestKind};

/// What a call waits for.
pub(crate) type Answer = Result<Bytes, CallError>;

#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) version: u16,
    queue: mpsc::Sender<Outgoing>,
    waiting: Mutex<Waiting>,
    /// Cancelled once it is over, for whatever reason.
    ended: CancellationToken,
}

#[derive(Debug)]
struct Waiting {
    next_id: u64,
    calls: BTreeMap<u64, oneshot::Sender<Answer>>,
    closed: Option<String>,
}

/// Forgets a call that is dropped before its answer.
struct Waiter<'a> {
    connection: &'a Connection,
    id: u64,
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.connection.waiting().calls.remove(&self.id);
    }
}

impl Connection {
    /// Ends at the latest with `peer_gone`.
    pub(crate) fn new(
        version: u16,
        queue_frames_max: usize,
        peer_gone: &CancellationToken,
    ) -> (Arc<Self>, mpsc::Receiver<Outgoing>) {
        let (queue, queued) = mpsc::channel(queue_frames_max);
        let waiting = Mutex::new(Waiting { next_id: 1, calls: BTreeMap::new(), closed: None });
        let ended = peer_gone.child_token();
        (Arc::new(Self { version, queue, waiting, ended }), queued)
    }

    /// Sends a request and waits for its answer until `until`. `Err(None)`: the connection was over before anything
    /// was sent.
    pub(crate) async fn call(
        &self,
        kind: RequestKind,
        body: Bytes,
        until: Instant,
    ) -> Result<Bytes, Option<CallError>> {
        let slot = self.slot(until).await?;
        let (id, answer) = self.expect_answer().ok_or(None)?;
        let _waiter = Waiter { connection: self, id };
        let header = Header { kind: FrameKind::Request, request_kind: kind.0, id, deadline_ms: 0 };
        slot.send(Outgoing::Frame { header, body, until });
        match timeout_at(until, answer).await {
            Ok(Ok(answer)) => answer.map_err(Some),
            Ok(Err(_)) => Err(Some(CallError::Closed { why: "it ended".into() })),
            Err(_) => Err(Some(CallError::Deadline)),
        }
    }

    /// Queues a notify, waiting until `until` for room. Errors as for [`Self::call`].
    pub(crate) async fn notify(
        &self,
        kind: RequestKind,
        body: Bytes,
        until: Instant,
    ) -> Result<(), Option<CallError>> {
        let slot = self.slot(until).await?;
        let header = Header { kind: FrameKind::Notify, request_kind: kind.0, id: 0, deadline_ms: 0 };
        slot.send(Outgoing::Frame { header, body, until });
        Ok(())
    }

    /// Queues an answer, waiting for room; given up at `until` or when the connection ends.
    pub(crate) async fn answer(&self, kind: FrameKind, id: u64, body: Bytes, until: Instant) {
        if let Ok(slot) = self.slot(until).await {
            let header = Header { kind, request_kind: 0, id, deadline_ms: 0 };
            slot.send(Outgoing::Frame { header, body, until });
        }
    }

    /// Queues an answer if there is room now: who reads must never wait for who writes, or two nodes that both wait
    /// would do so for ever. Without it the peer's call ends at its deadline.
    pub(crate) fn answer_if_room(&self, kind: FrameKind, id: u64, body: Bytes, until: Instant) {
        let header = Header { kind, request_kind: 0, id, deadline_ms: 0 };
        let _full = self.queue.try_send(Outgoing::Frame { header, body, until });
    }

    /// Says that all was said; the stream ends behind what is queued.
    pub(crate) async fn goodbye(&self) {
        let _over = self.queue.send(Outgoing::Goodbye).await;
    }

    /// Hands an answer to its call. `false`: nobody waits for it any more.
    pub(crate) fn settle(&self, id: u64, answer: Answer) -> bool {
        let call = self.waiting().calls.remove(&id);
        call.is_some_and(|call| call.send(answer).is_ok())
    }

    /// Ends it: every waiting call learns that its outcome is unknown. The first reason is kept.
    pub(crate) fn close(&self, why: &str) {
        let calls = {
            let mut waiting = self.waiting();
            waiting.closed.get_or_insert_with(|| why.into());
            std::mem::take(&mut waiting.calls)
        };
        for call in calls.into_values() {
            let _given_up = call.send(Err(CallError::Closed { why: why.into() }));
        }
        self.ended.cancel();
    }

    /// Reads and writes until the connection is over; returns why. Whatever waits then is closed.
    pub(crate) async fn run(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        peer: &Arc<Peer>,
        agreed: Agreed,
        mut queued: mpsc::Receiver<Outgoing>,
    ) -> String {
        let parts = agreed.framing.into_parts();
        let (read_half, write_half) = tokio::io::split(parts.io);
        let mut frames: FramedRead<_, LengthDelimitedCodec> = FramedRead::new(read_half, parts.codec);
        *frames.read_buffer_mut() = parts.read_buf;

        let writing = {
            let (shared, ended) = (shared.clone(), self.ended.clone());
            let alive_every = Duration::from_millis(shared.options.alive_every_ms);
            shared.tasks.clone().spawn(async move {
                let writer = Writer::new(write_half, &shared.counters);
                ended.run_until_cancelled(writer.run(&mut queued, alive_every)).await
            })
        };
        let talk = async {
            let mut reading = std::pin::pin!(Reader { shared, peer, connection: self }.run(frames));
            let written = tokio::select! {
                biased;
                why = &mut reading => return why,
                written = writing => written,
            };
            match written {
                // Goodbye was said. The peer closes when it has read it; closing first could cut off what it reads.
                Ok(Some(Ok(()))) => reading.await,
                Ok(Some(Err(error))) => format!("writing failed: {error}"),
                Ok(None) | Err(_) => "writing stopped".into(),
            }
        };
        let talked = self.ended.run_until_cancelled(talk).await;
        self.close(talked.as_deref().unwrap_or("closed by this node"));
        self.waiting().closed.clone().unwrap_or_default()
    }

    /// Room for one frame in the write queue. Errors as for [`Self::call`].
    async fn slot(&self, until: Instant) -> Result<mpsc::Permit<'_, Outgoing>, Option<CallError>> {
        let room = async {
            tokio::select! {
                biased;
                room = self.queue.reserve() => room.ok(),
                () = self.ended.cancelled() => None,
            }
        };
        match self.queue.try_reserve() {
            Ok(slot) => Ok(slot),
            Err(mpsc::error::TrySendError::Closed(())) => Err(None),
            Err(mpsc::error::TrySendError::Full(())) => match timeout_at(until, room).await {
                Ok(slot) => slot.ok_or(None),
                Err(_) => Err(Some(CallError::Overloaded(Overload::WriteQueue))),
            },
        }
    }

    /// An id and the place its answer will come to; nothing once closed.
    fn expect_answer(&self) -> Option<(u64, oneshot::Receiver<Answer>)> {
        let mut waiting = self.waiting();
        if waiting.closed.is_some() {
            return None;
        }
        let id = waiting.next_id;
        waiting.next_id += 1;
        let (sender, answer) = oneshot::channel();
        waiting.calls.insert(id, sender);
        Some((id, answer))
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().expect("nothing panics while it is held")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: RequestKind = RequestKind(1);

    fn in_ms(ms: u64) -> Instant {
        Instant::now() + Duration::from_millis(ms)
    }

    #[tokio::test(start_paused = true)]
    async fn no_call_is_remembered_after_its_end_however_it_ends() {
        let (connection, _queued) = Connection::new(1, 3, &CancellationToken::new());
        let unanswered = connection.call(KIND, Bytes::new(), in_ms(10)).await;
        assert_eq!(unanswered, Err(Some(CallError::Deadline)));
        tokio::select! {
            biased;
            _ = connection.call(KIND, Bytes::new(), in_ms(10)) => panic!("nobody answers"),
            () = std::future::ready(()) => {}
        }
        assert!(connection.waiting().calls.is_empty());
        let answering = async { connection.settle(3, Ok(Bytes::from_static(b"x"))) };
        let (answer, settled) = tokio::join!(connection.call(KIND, Bytes::new(), in_ms(10)), answering);
        assert_eq!((answer, settled), (Ok(Bytes::from_static(b"x")), true));
        assert!(!connection.settle(3, Ok(Bytes::new())), "nobody waits for a second answer");
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_not_queued_was_surely_not_sent() {
        let (connection, _queued) = Connection::new(1, 1, &CancellationToken::new());
        connection.notify(KIND, Bytes::new(), in_ms(10)).await.unwrap();
        let full = connection.call(KIND, Bytes::new(), in_ms(10)).await;
        assert_eq!(full, Err(Some(CallError::Overloaded(Overload::WriteQueue))));
        let closing = async { connection.close("test") };
        let (closed, ()) = tokio::join!(connection.call(KIND, Bytes::new(), in_ms(10)), closing);
        assert_eq!(closed, Err(None), "it waited for room when the connection ended");
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_queued_may_have_been_sent() {
        let (connection, _queued) = Connection::new(1, 9, &CancellationToken::new());
        let closing = async { connection.close("first") };
        let (closed, ()) = tokio::join!(connection.call(KIND, Bytes::new(), in_ms(10)), closing);
        assert_eq!(closed, Err(Some(CallError::Closed { why: "first".into() })));
        connection.close("second");
        assert_eq!(connection.waiting().closed.as_deref(), Some("first"));
        assert_eq!(connection.call(KIND, Bytes::new(), in_ms(10)).await, Err(None), "closed for good");
    }
}
