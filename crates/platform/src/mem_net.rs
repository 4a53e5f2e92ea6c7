//! A net in memory: hosts by IP address, pairs of which can be cut and healed. Not here: delay and loss; the simulator
//! brings its own net.

use crate::net::{BoxFuture, Connection, Listener, Net};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::sync::mpsc;

/// Bytes that fit into a connection before its writer waits.
const PIPE_BYTES: usize = 64 * 1024;
/// Connections that wait to be accepted before the next is refused.
const BACKLOG_MAX: usize = 128;

/// A connection and who made it.
type Incoming = (Box<dyn Connection>, SocketAddr);

/// The wires between all hosts. Clones share them.
#[derive(Debug, Clone)]
pub struct MemNet(Arc<Mutex<Wires>>);

#[derive(Debug)]
struct Wires {
    listening: BTreeMap<SocketAddr, mpsc::Sender<Incoming>>,
    cut: BTreeSet<(IpAddr, IpAddr)>,
    links: Vec<((IpAddr, IpAddr), Weak<Link>)>,
    next_port: u16,
}

/// The same name for a pair, whoever is named first.
fn pair(a: IpAddr, b: IpAddr) -> (IpAddr, IpAddr) {
    if a <= b { (a, b) } else { (b, a) }
}

impl MemNet {
    #[allow(clippy::new_without_default, reason = "a net is laid, not a default")]
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(Wires {
            listening: BTreeMap::new(),
            cut: BTreeSet::new(),
            links: Vec::new(),
            next_port: 49_152,
        })))
    }

    /// The net as one host sees it.
    pub fn at(&self, host: IpAddr) -> impl Net + use<> {
        Host { net: self.clone(), ip: host }
    }

    /// Breaks all connections between two hosts and lets no new one through.
    pub fn cut(&self, a: IpAddr, b: IpAddr) {
        let mut wires = self.wires();
        wires.cut.insert(pair(a, b));
        wires.links.retain(|(ends, link)| {
            let Some(link) = link.upgrade() else { return false };
            if *ends == pair(a, b) {
                link.cut();
            }
            *ends != pair(a, b)
        });
    }

    /// Lets new connections through again; broken ones stay broken.
    pub fn heal(&self, a: IpAddr, b: IpAddr) {
        self.wires().cut.remove(&pair(a, b));
    }

    fn wires(&self) -> MutexGuard<'_, Wires> {
        self.0.lock().expect("nothing panics while the wires are held")
    }
}

impl Wires {
    fn free_port(&mut self) -> u16 {
        let port = self.next_port;
        self.next_port = if port == u16::MAX { 49_152 } else { port + 1 };
        port
    }
}

#[derive(Debug)]
struct Host {
    net: MemNet,
    ip: IpAddr,
}

impl Host {
    fn listen_now(&self, mut address: SocketAddr) -> io::Result<Box<dyn Listener>> {
        let mut wires = self.net.wires();
        if address.port() == 0 {
            address.set_port(wires.free_port());
        }
        if wires.listening.get(&address).is_some_and(|there| !there.is_closed()) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        let (sender, incoming) = mpsc::channel(BACKLOG_MAX);
        wires.listening.insert(address, sender);
        Ok(Box::new(MemListener { address, incoming }))
    }

    fn connect_now(&self, address: SocketAddr) -> io::Result<Box<dyn Connection>> {
        let mut wires = self.net.wires();
        let ends = pair(self.ip, address.ip());
        if wires.cut.contains(&ends) {
            return Err(io::ErrorKind::HostUnreachable.into());
        }
        let from = SocketAddr::new(self.ip, wires.free_port());
        let listener = wires.listening.get(&address).ok_or(io::ErrorKind::ConnectionRefused)?;
        let (near, far) = tokio::io::duplex(PIPE_BYTES);
        let link = Arc::new(Link(Mutex::new(Sleepers { cut: false, wakers: [const { None }; 4] })));
        let far = MemConnection { pipe: far, link: link.clone(), end: 1 };
        listener.try_send((Box::new(far), from)).map_err(|_| io::ErrorKind::ConnectionRefused)?;
        wires.links.retain(|(_, link)| link.strong_count() > 0);
        wires.links.push((ends, Arc::downgrade(&link)));
        Ok(Box::new(MemConnection { pipe: near, link, end: 0 }))
    }
}

impl Net for Host {
    fn listen(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Listener>>> {
        Box::pin(std::future::ready(self.listen_now(address)))
    }

    fn connect(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Connection>>> {
        Box::pin(std::future::ready(self.connect_now(address)))
    }
}

#[derive(Debug)]
struct MemListener {
    address: SocketAddr,
    incoming: mpsc::Receiver<Incoming>,
}

impl Listener for MemListener {
    fn address(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }

    fn accept(&mut self) -> BoxFuture<'_, io::Result<(Box<dyn Connection>, SocketAddr)>> {
        Box::pin(async move { self.incoming.recv().await.ok_or_else(|| io::ErrorKind::NotConnected.into()) })
    }
}

/// Both ends of one connection, so that cutting it wakes whoever waits on either.
#[derive(Debug)]
struct Link(Mutex<Sleepers>);

#[derive(Debug)]
struct Sleepers {
    cut: bool,
    /// Reader and writer of end 0, reader and writer of end 1.
    wakers: [Option<Waker>; 4],
}

impl Link {
    fn cut(&self) {
        let mut sleepers = self.0.lock().expect("nothing panics while a link is held");
        sleepers.cut = true;
        sleepers.wakers.iter_mut().filter_map(Option::take).for_each(Waker::wake);
    }

    fn check(&self, sleeper: usize, context: &Context<'_>) -> io::Result<()> {
        let mut sleepers = self.0.lock().expect("nothing panics while a link is held");
        if sleepers.cut {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        sleepers.wakers[sleeper] = Some(context.waker().clone());
        Ok(())
    }
}

#[derive(Debug)]
struct MemConnection {
    pipe: DuplexStream,
    link: Arc<Link>,
    end: usize,
}

impl AsyncRead for MemConnection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.link.check(self.end * 2, context)?;
        Pin::new(&mut self.pipe).poll_read(context, into)
    }
}

impl AsyncWrite for MemConnection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.link.check(self.end * 2 + 1, context)?;
        Pin::new(&mut self.pipe).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn a_cut_breaks_a_pair_and_nobody_else() {
        let net = MemNet::new();
        let ips: Vec<IpAddr> = (1..=3).map(|n| IpAddr::from([10, 0, 0, n])).collect();
        let hosts: Vec<_> = ips.iter().map(|ip| net.at(*ip)).collect();
        let address = SocketAddr::new(ips[0], 7_080);
        let mut listener = hosts[0].listen(address).await.unwrap();
        let mut second = hosts[1].connect(address).await.unwrap();
        let (mut at_first, from) = listener.accept().await.unwrap();
        assert_eq!(from.ip(), ips[1]);
        let mut third = hosts[2].connect(address).await.unwrap();

        let waiting = tokio::spawn(async move { second.read(&mut [0; 1]).await });
        tokio::task::yield_now().await;
        net.cut(ips[1], ips[0]);
        assert_eq!(waiting.await.unwrap().unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(at_first.write(b"x").await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(hosts[1].connect(address).await.unwrap_err().kind(), io::ErrorKind::HostUnreachable);
        third.write_all(b"still here").await.unwrap();

        net.heal(ips[0], ips[1]);
        hosts[1].connect(address).await.unwrap().write_all(b"back").await.unwrap();
    }
}
