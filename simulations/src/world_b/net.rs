//! The product's `Net` over turmoil's simulated network, with connections that can be made to break in the middle of a
//! frame. Not here: what else goes wrong on it (`faults`).

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

#[derive(Debug)]
pub struct SimulatedNet(pub Resets);

impl Net for SimulatedNet {
    fn listen(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let listener = TcpListener::bind(address).await?;
            Ok(Box::new(SimulatedListener(listener)) as Box<dyn Listener>)
        })
    }

    fn connect(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Connection>>> {
        Box::pin(async move {
            let stream = TcpStream::connect(address).await?;
            let link = link(stream.local_addr()?.ip(), address.ip());
            let resets = self.0.clone();
            let asked = resets.asked(link);
            let breakable = Breakable { stream, link, asked, resets, is_broken: false, reader: None };
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
        Pin::new(&mut self.stream).poll_read(context, into)
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
            return Pin::new(&mut self.stream).poll_write(context, bytes);
        }
        let written = ready!(Pin::new(&mut self.stream).poll_write(context, &bytes[..bytes.len() / 2]))?;
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
