//! Frames in: answers go to the calls that wait for them, requests to the handler. It never waits for anything but the
//! stream. Not here: what requests mean.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use tokio::io::AsyncRead;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::codec::{FramedRead, LengthDelimitedCodec};
use wire::frame::{BadFrame, Failure, FrameKind, HEADER_BYTES, Header};

use crate::connection::{Answer, Connection};
use crate::error::{CallError, HandlerError, Overload};
use crate::mux::{RequestKind, Shared};
use crate::peer::Peer;

/// Bytes before each frame that say how long it is.
const LENGTH_BYTES: u64 = 4;

#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    pub(crate) shared: &'a Arc<Shared>,
    pub(crate) peer: &'a Arc<Peer>,
    pub(crate) connection: &'a Arc<Connection>,
}

impl Reader<'_> {
    /// Reads until the stream ends, breaks or says nothing for too long; returns which.
    pub(crate) async fn run<R: AsyncRead + Unpin>(
        self,
        mut frames: FramedRead<R, LengthDelimitedCodec>,
    ) -> String {
        let silence_max = Duration::from_millis(self.shared.options.silence_ms);
        loop {
            let frame = match timeout(silence_max, frames.next()).await {
                Ok(Some(Ok(frame))) => frame,
                Ok(Some(Err(error))) => return format!("reading failed: {error}"),
                Ok(None) => return format!("{} closed it", self.peer.node),
                Err(_) => {
                    return format!("{} said nothing for {} ms", self.peer.node, silence_max.as_millis());
                }
            };
            self.shared.counters.frames_in.add(1);
            self.shared.counters.bytes_in.add(LENGTH_BYTES + frame.len() as u64);
            if let Err(bad) = self.take(frame) {
                return format!("{} breaks the protocol: {bad}", self.peer.node);
            }
        }
    }

    fn take(self, frame: BytesMut) -> Result<(), BadFrame> {
        let header = Header::decode(&frame)?;
        let body = frame.freeze().slice(HEADER_BYTES..);
        let answer = match header.kind {
            FrameKind::Request | FrameKind::Notify => {
                self.take_request(header, body);
                return Ok(());
            }
            FrameKind::Alive => return Ok(()),
            FrameKind::Response => self.sized(body),
            FrameKind::Failure => Err(self.as_error(Failure::decode(&body)?)),
        };
        if !self.connection.settle(header.id, answer) {
            self.shared.counters.answers_late.add(1);
        }
        Ok(())
    }

    fn take_request(self, header: Header, body: Bytes) {
        let deadline_ms = header.deadline_ms.min(self.shared.options.deadline_max_ms);
        let until = Instant::now() + Duration::from_millis(deadline_ms.into());
        match self.admit(&body) {
            Ok(permit) => {
                let handling = Handling {
                    shared: self.shared.clone(),
                    peer: self.peer.clone(),
                    connection: self.connection.clone(),
                    header,
                    until,
                    _permit: permit,
                };
                self.shared.tasks.spawn(handling.run(body));
            }
            Err(failure) => {
                self.shared.counters.requests_shed.add(1);
                if header.kind == FrameKind::Request {
                    let body = Bytes::from(failure.encode());
                    self.connection.answer_if_room(FrameKind::Failure, header.id, body, until);
                }
            }
        }
    }

    /// Whether a request is begun.
    fn admit(self, body: &Bytes) -> Result<OwnedSemaphorePermit, Failure> {
        let max = self.shared.options.body_bytes_max;
        if body.len() > max {
            return Err(Failure::TooLarge { bytes: body.len() as u64, max: max as u64 });
        }
        if self.shared.is_leaving() {
            return Err(Failure::Leaving);
        }
        self.peer.handled.clone().try_acquire_owned().map_err(|_| Failure::Overloaded)
    }

    fn sized(self, body: Bytes) -> Answer {
        let max = self.shared.options.body_bytes_max;
        if body.len() <= max {
            return Ok(body);
        }
        Err(CallError::AnswerTooLarge { bytes: body.len() as u64, max: max as u64 })
    }

    fn as_error(self, failure: Failure) -> CallError {
        match failure {
            Failure::Refused(text) => CallError::Refused { text },
            Failure::Overloaded => CallError::Overloaded(Overload::Peer),
            Failure::Leaving => {
                CallError::Unreachable { peer: self.peer.node, why: "it is shutting down".into() }
            }
            Failure::TooLarge { bytes, max } => CallError::TooLarge { bytes, max },
            Failure::AnswerTooLarge { bytes, max } => CallError::AnswerTooLarge { bytes, max },
        }
    }
}

/// A request on its way through the handler. The permit is given back when the answer is queued.
struct Handling {
    shared: Arc<Shared>,
    peer: Arc<Peer>,
    connection: Arc<Connection>,
    header: Header,
    until: Instant,
    _permit: OwnedSemaphorePermit,
}

impl Handling {
    async fn run(self, body: Bytes) {
        let kind = RequestKind(self.header.request_kind);
        let within = self.until.saturating_duration_since(Instant::now());
        let handled = self.shared.handler.handle(self.peer.node, kind, body, within);
        let work = timeout_at(self.until, handled);
        let Some(outcome) = self.shared.stop.run_until_cancelled(work).await else { return };
        match outcome {
            Err(_) => self.shared.counters.handlers_dropped.add(1),
            Ok(result) if self.header.kind == FrameKind::Request => self.answer(result).await,
            Ok(_nobody_asked) => {}
        }
    }

    async fn answer(&self, result: Result<Bytes, HandlerError>) {
        let max = self.shared.options.body_bytes_max;
        let failure = match result {
            Ok(body) if body.len() <= max => {
                return self.connection.answer(FrameKind::Response, self.header.id, body, self.until).await;
            }
            Ok(body) => Failure::AnswerTooLarge { bytes: body.len() as u64, max: max as u64 },
            Err(refusal) => Failure::Refused(refusal.text),
        };
        let body = Bytes::from(failure.encode());
        self.connection.answer(FrameKind::Failure, self.header.id, body, self.until).await;
    }
}
