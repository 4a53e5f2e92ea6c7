//! Every bound of this room, given whole by whoever starts a node. Not here: their defaults.

use std::net::SocketAddr;

use types::NodeId;
use wire::frame::BODY_BYTES_MAX;
use wire::hello::Versions;

use crate::StartError;

/// Who a node is towards its peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    pub cluster_id: u64,
    pub node: NodeId,
    /// The protocol versions it speaks, both ends included.
    pub versions: Versions,
}

/// The bounds of a [`Mux`](crate::Mux).
#[derive(Clone, Debug)]
pub struct Options {
    /// Where peers dial this node; loopback only. Port 0: any free one.
    pub listen: SocketAddr,
    /// The largest body of a request, a notify or an answer; 1 to [`BODY_BYTES_MAX`].
    pub body_bytes_max: usize,
    /// Calls to one peer that wait for their answer; at least 1.
    pub calls_in_flight_max: u32,
    /// Requests and notifies of one peer that are being handled; at least 1.
    pub handled_at_once_max: u32,
    /// Frames that wait to be written to one connection; at least 1.
    pub write_queue_frames_max: usize,
    /// Accepted connections that have not said a proper hello; at least 1. Further ones wait in the kernel.
    pub handshakes_pending_max: usize,
    /// From connecting to the end of the hellos; at least 1.
    pub handshake_ms: u64,
    /// How long a call waits for a connection while there is none; 0 answers at once.
    pub connect_wait_ms: u64,
    /// The longest deadline, both of own calls and of requests handled; longer ones are cut to it. At least 1.
    pub deadline_max_ms: u32,
    /// A connection with nothing to say gives a sign of life this often; at least 1.
    pub alive_every_ms: u64,
    /// A connection on which no frame ended for so long is closed; at least twice `alive_every_ms`, on all nodes, and
    /// more than the largest frame travels.
    pub silence_ms: u64,
    /// The pause after a first failed dial; doubles up to `backoff_max_ms`. At least 1.
    pub backoff_min_ms: u64,
    pub backoff_max_ms: u64,
    /// How long [`shutdown`](crate::Mux::shutdown) waits for calls and handlers to end.
    pub drain_ms: u64,
}

impl Options {
    pub(crate) fn check(&self) -> Result<(), StartError> {
        let permits_max = u32::try_from(tokio::sync::Semaphore::MAX_PERMITS).unwrap_or(u32::MAX);
        let wrong = [
            ("body_bytes_max", !(1..=BODY_BYTES_MAX).contains(&self.body_bytes_max)),
            ("calls_in_flight_max", !(1..=permits_max).contains(&self.calls_in_flight_max)),
            ("handled_at_once_max", !(1..=permits_max).contains(&self.handled_at_once_max)),
            ("write_queue_frames_max", self.write_queue_frames_max == 0),
            ("handshakes_pending_max", self.handshakes_pending_max == 0),
            ("handshake_ms", self.handshake_ms == 0),
            ("deadline_max_ms", self.deadline_max_ms == 0),
            ("alive_every_ms", self.alive_every_ms == 0),
            ("silence_ms", self.silence_ms < self.alive_every_ms.saturating_mul(2)),
            ("backoff_min_ms", self.backoff_min_ms == 0),
            ("backoff_max_ms", self.backoff_max_ms < self.backoff_min_ms),
        ];
        match wrong.into_iter().find(|(_, is_wrong)| *is_wrong) {
            Some((option, _)) => Err(StartError::Option(option)),
            None => Ok(()),
        }
    }
}
