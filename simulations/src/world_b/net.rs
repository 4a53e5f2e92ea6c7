//! The product's `Net` over turmoil's simulated network, with connections that can be made to break in the middle of a
//! frame, or to arrive at another node than the one that was called. Not here: what else goes wrong on it (`faults`).

use crate::world_b::trace;
use platform::{BoxFuture, Connection, Listener, Net};
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use turmoil::net::{TcpListener, TcpStream};

/// Which connections are to break; shared by all machines of a run.
#[derive(Clone, Debug, Default)]
pub struct Resets(Arc<Mutex<Counts>>);

#[derive(Debug, Default)]
struct Counts {
    /// How often those between two machines were to break.
    asked: BTreeMap<(IpAddr, IpAddr), u64>,
    /// Connections that broke in the middle of a frame.
    broken: u64,
}

impl Resets {
    /// Each connection that is open between the two carries half of what is written next, and breaks.
    pub fn reset(&self, a: IpAddr, b: IpAddr) {
        *self.counts().asked.entry(link(a, b)).or_default() += 1;
    }

    /// How many broke in the middle of a frame until now.
    #[must_use]
    pub fn broken(&self) -> u64 {
        self.counts().broken
    }

    fn asked(&self, link: (IpAddr, IpAddr)) -> u64 {
        self.counts().asked.get(&link).copied().unwrap_or(0)
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn link(a: IpAddr, b: IpAddr) -> (IpAddr, IpAddr) {
    (a.min(b), a.max(b))
}

/// Which calls arrive at another node, and what came of them; shared by all machines of a run.
#[derive(Clone, Debug, Default)]
pub struct Detours(Arc<Mutex<Ways>>);

#[derive(Debug, Default)]
struct Ways {
    /// Where calls between two arrive; of several faults the last counts.
    elsewhere: BTreeMap<(IpAddr, IpAddr), Vec<IpAddr>>,
    /// Calls that another node answered, and that were given up behind the hello.
    not_taken: u64,
    /// Calls on which another node was told more than a hello.
    taken: Vec<String>,
}

/// A hello behind its length: all that may be said to a node that is not the one that was called.
const HELLO_ON_THE_WIRE: usize = 4 + wire::hello::HELLO_BYTES;

impl Detours {
    /// Calls between the two arrive at `there`, whichever of them calls.
    pub fn lead_astray(&self, (a, b): (IpAddr, IpAddr), there: IpAddr) {
        self.ways().elsewhere.entry(link(a, b)).or_default().push(there);
    }

    pub fn lead_right(&self, (a, b): (IpAddr, IpAddr)) {
        let _one_less = self.ways().elsewhere.get_mut(&link(a, b)).and_then(Vec::pop);
    }

    /// How many were answered by another node, and given up for it.
    #[must_use]
    pub fn not_taken(&self) -> u64 {
        self.ways().not_taken
    }

    /// Who was told what was meant for another, since the last call.
    #[must_use]
    pub fn take_taken(&self) -> Vec<String> {
        std::mem::take(&mut self.ways().taken)
    }

    fn elsewhere(&self, caller: IpAddr, called: IpAddr) -> Option<IpAddr> {
        self.ways().elsewhere.get(&link(caller, called))?.last().copied()
    }

    fn ways(&self) -> MutexGuard<'_, Ways> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What goes over a connection that arrived at another node.
#[derive(Debug)]
struct Astray {
    detours: Detours,
    /// Who called whom, and where it arrived.
    way: String,
    heard: usize,
    said: usize,
}

impl Astray {
    fn says(&mut self, bytes: usize) {
        let was_taken = self.said > HELLO_ON_THE_WIRE;
        self.said += bytes;
        if self.said > HELLO_ON_THE_WIRE && !was_taken {
            self.detours.ways().taken.push(self.way.clone());
        }
    }
}

impl Drop for Astray {
    fn drop(&mut self) {
        if self.heard > 0 && self.said <= HELLO_ON_THE_WIRE {
            self.detours.ways().not_taken += 1;
        }
    }
}

#[derive(Debug)]
pub struct SimulatedNet {
    /// The machine it is of.
    pub own: IpAddr,
    pub resets: Resets,
    pub detours: Detours,
}

impl Net for SimulatedNet {
    fn listen(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let listener = TcpListener::bind(address).await?;
            Ok(Box::new(SimulatedListener(listener)) as Box<dyn Listener>)
        })
    }

    fn connect(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Connection>>> {
        Box::pin(async move {
            let elsewhere = self.detours.elsewhere(self.own, address.ip());
            let there = SocketAddr::new(elsewhere.unwrap_or(address.ip()), address.port());
            let stream = TcpStream::connect(there).await?;
            let astray = elsewhere.map(|there| Astray {
                detours: self.detours.clone(),
                way: format!("{} called {address} and came to {there}", self.own),
                heard: 0,
                said: 0,
            });
            let link = link(self.own, address.ip());
            let resets = self.resets.clone();
            let asked = resets.asked(link);
            let breakable = Breakable { stream, link, asked, resets, astray, is_broken: false, reader: None };
            Ok(Box::new(breakable) as Box<dyn Connection>)
        })
    }

    fn is_private(&self, _address: SocketAddr) -> bool {
        true
    }
}

/// The calling end of a connection. The other end sees half a frame, and then that this one hung up.
#[derive(Debug)]
struct Breakable {
    stream: TcpStream,
    link: (IpAddr, IpAddr),
    /// How often those of its link were to break when it was made.
    asked: u64,
    resets: Resets,
    astray: Option<Astray>,
    is_broken: bool,
    /// Who waits for bytes is told that it broke.
    reader: Option<Waker>,
}

impl AsyncRead for Breakable {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.is_broken {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        self.reader = Some(context.waker().clone());
        let before = into.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, into);
        let heard = &into.filled()[before..];
        if !heard.is_empty() {
            trace::carried(heard);
        }
        if let Some(astray) = &mut self.astray {
            astray.heard += heard.len();
        }
        read
    }
}

impl AsyncWrite for Breakable {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.is_broken {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if bytes.len() < 2 || self.resets.asked(self.link) == self.asked {
            let written = ready!(Pin::new(&mut self.stream).poll_write(context, bytes))?;
            trace::carried(&bytes[..written]);
            self.astray.iter_mut().for_each(|astray| astray.says(written));
            return Poll::Ready(Ok(written));
        }
        let written = ready!(Pin::new(&mut self.stream).poll_write(context, &bytes[..bytes.len() / 2]))?;
        trace::carried(&bytes[..written]);
        self.is_broken = true;
        self.resets.counts().broken += 1;
        self.reader.take().into_iter().for_each(Waker::wake);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

struct SimulatedListener(TcpListener);

impl fmt::Debug for SimulatedListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimulatedListener({:?})", self.0.local_addr())
    }
}

impl Listener for SimulatedListener {
    fn address(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    fn accept(&mut self) -> BoxFuture<'_, io::Result<(Box<dyn Connection>, SocketAddr)>> {
        Box::pin(async move {
            let (stream, from) = self.0.accept().await?;
            Ok((Box::new(stream) as Box<dyn Connection>, from))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    /// Says which machine it is to everybody who comes.
    async fn answer_with(name: u8) -> turmoil::Result {
        let listener = TcpListener::bind((IpAddr::from([0, 0, 0, 0]), 9)).await?;
        loop {
            let (mut stream, _) = listener.accept().await?;
            stream.write_all(&[name]).await?;
            let mut unread = [0; 64];
            while stream.read(&mut unread).await.is_ok_and(|bytes| bytes > 0) {}
        }
    }

    #[test]
    fn a_call_arrives_elsewhere_while_it_is_led_astray_and_whoever_says_more_than_hello_is_found_out() {
        let mut sim = turmoil::Builder::new().build();
        sim.host("right", || answer_with(1));
        sim.host("wrong", || answer_with(2));
        let (right, wrong) = (sim.lookup("right"), sim.lookup("wrong"));
        let detours = Detours::default();
        let all = detours.clone();
        sim.client("caller", async move {
            let own = turmoil::lookup("caller");
            let net = SimulatedNet { own, resets: Resets::default(), detours: all.clone() };
            for (is_astray, says, counted) in [
                (false, 99, (0, 0)),
                (true, HELLO_ON_THE_WIRE, (1, 0)),
                (true, HELLO_ON_THE_WIRE + 1, (1, 1)),
            ] {
                if is_astray {
                    all.lead_astray((right, own), wrong);
                }
                let mut stream = net.connect(SocketAddr::new(right, 9)).await?;
                stream.write_all(&vec![0; says]).await?;
                assert_eq!(stream.read_u8().await?, if is_astray { 2 } else { 1 });
                drop(stream);
                assert_eq!((all.not_taken(), all.take_taken().len()), counted);
                all.lead_right((own, right));
            }
            Ok(())
        });
        sim.run().unwrap();
        assert_eq!(detours.elsewhere(right, wrong), None);
    }
}
