//! The way from one node to another: a TCP proxy that can be cut, silenced one way, delayed, slowed down, broken in the
//! middle of a frame, and healed. No root needed.
//!
//! A cut breaks connections and refuses new ones. Silence is what a partition looks like to TCP: bytes are held, and
//! arrive once it is over. Not here: which links there are (`cluster`).

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// What happens to bytes one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    pub held: bool,
    pub delay: Duration,
    /// At most so many bytes a second.
    pub bytes_per_s: Option<u32>,
}

impl Way {
    pub const OPEN: Self = Self { held: false, delay: Duration::ZERO, bytes_per_s: None };
    pub const SILENT: Self = Self { held: true, ..Self::OPEN };
}

#[derive(Clone, Copy, Debug)]
struct Rules {
    cut: bool,
    /// From the node that dials, and back to it.
    there: Way,
    back: Way,
    /// Counted up; each connection breaks half-way through what it carries next.
    resets: u64,
}

#[derive(Debug)]
pub(crate) struct Link {
    pub address: SocketAddr,
    rules: watch::Sender<Rules>,
    accepting: JoinHandle<()>,
}

/// Bytes under way in one direction before the sender feels it.
const CHUNKS_UNDER_WAY: usize = 256;
const CHUNK_BYTES: usize = 16 * 1024;

impl Link {
    /// Listens now, on a port of its own; connections go on to `target`.
    pub async fn open(target: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let (rules, seen) =
            watch::channel(Rules { cut: false, there: Way::OPEN, back: Way::OPEN, resets: 0 });
        let accepting = tokio::spawn(accept(listener, target, seen));
        Self { address, rules, accepting }
    }

    pub fn cut(&self) {
        self.rules.send_modify(|rules| rules.cut = true);
    }

    pub fn set(&self, there: Way, back: Way) {
        self.rules.send_modify(|rules| *rules = Rules { cut: false, there, back, resets: rules.resets });
    }

    pub fn reset(&self) {
        self.rules.send_modify(|rules| rules.resets += 1);
    }

    pub fn heal(&self) {
        self.set(Way::OPEN, Way::OPEN);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, rules: watch::Receiver<Rules>) {
    loop {
        let Ok((near, _)) = listener.accept().await else { continue };
        if !rules.borrow().cut {
            tokio::spawn(relay(near, target, rules.clone()));
        }
    }
}

async fn relay(near: TcpStream, target: SocketAddr, rules: watch::Receiver<Rules>) {
    let Ok(far) = TcpStream::connect(target).await else { return };
    // The delay is ours to choose, not Nagle's.
    let (_, _) = (near.set_nodelay(true), far.set_nodelay(true));
    let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
    let mut until_cut = rules.clone();
    tokio::select! {
        () = carry(near_in, far_out, rules.clone(), |rules| rules.there) => {}
        () = carry(far_in, near_out, rules, |rules| rules.back) => {}
        _ = until_cut.wait_for(|rules| rules.cut) => {}
    }
}

/// Carries bytes one way until either end is closed.
async fn carry(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut rules: watch::Receiver<Rules>,
    way: fn(&Rules) -> Way,
) {
    let (queue, mut queued) = mpsc::channel::<(Instant, Vec<u8>)>(CHUNKS_UNDER_WAY);
    // Ends the queue when it ends, so that what was read before is still written.
    let read = async move {
        let mut bytes = vec![0; CHUNK_BYTES];
        while let Ok(count @ 1..) = from.read(&mut bytes).await {
            if queue.send((Instant::now(), bytes[..count].to_vec())).await.is_err() {
                return;
            }
        }
    };
    let resets = rules.borrow().resets;
    let write = async {
        while let Some((arrived, bytes)) = queued.recv().await {
            let Way { delay, bytes_per_s, .. } = way(&rules.borrow());
            tokio::time::sleep_until(arrived + delay).await;
            if let Some(rate) = bytes_per_s {
                let count = u32::try_from(bytes.len()).expect("a chunk is small");
                tokio::time::sleep(Duration::from_secs(1) * count / rate.max(1)).await;
            }
            if rules.wait_for(|rules| !way(rules).held).await.is_err() {
                return;
            }
            if rules.borrow().resets != resets {
                let _broken = to.write_all(&bytes[..bytes.len() / 2]).await;
                // What the other end has not read yet is lost too, as with a router that was restarted.
                let _ended = to.as_ref().set_zero_linger();
                return;
            }
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = write => {}
        () = async { read.await; std::future::pending().await } => {}
    }
}
