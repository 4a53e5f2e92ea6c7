//! Connections between nodes as byte streams, and the real ones over TCP. Not here: frames, identities, encryption.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};

pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A stream of bytes both ways.
pub trait Connection: AsyncRead + AsyncWrite + Send + Unpin + fmt::Debug {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + fmt::Debug> Connection for T {}

/// Where connections come from.
pub trait Net: Send + Sync + fmt::Debug {
    /// Takes connections at `address`; port 0 takes a free one.
    fn listen(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Listener>>>;

    /// Connects. There is no time limit: put one around it.
    fn connect(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Connection>>>;

    /// Whether bytes may go there as they are, without encryption: nobody else can read them on the way.
    fn is_private(&self, address: SocketAddr) -> bool {
        address.ip().to_canonical().is_loopback()
    }
}

/// Waits for connections.
pub trait Listener: Send + Sync + fmt::Debug {
    /// Where it listens.
    fn address(&self) -> io::Result<SocketAddr>;

    /// The next connection and who made it.
    fn accept(&mut self) -> BoxFuture<'_, io::Result<(Box<dyn Connection>, SocketAddr)>>;
}

/// TCP, with every write sent at once.
#[derive(Debug)]
pub struct TcpNet;

impl Net for TcpNet {
    fn listen(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Listener>>> {
        Box::pin(async move { Ok(Box::new(TcpListener::bind(address).await?) as Box<dyn Listener>) })
    }

    fn connect(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Connection>>> {
        Box::pin(async move {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as Box<dyn Connection>)
        })
    }
}

impl Listener for TcpListener {
    fn address(&self) -> io::Result<SocketAddr> {
        self.local_addr()
    }

    fn accept(&mut self) -> BoxFuture<'_, io::Result<(Box<dyn Connection>, SocketAddr)>> {
        Box::pin(async move {
            let (stream, from) = TcpListener::accept(self).await?;
            stream.set_nodelay(true)?;
            Ok((Box::new(stream) as Box<dyn Connection>, from))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemNet;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    /// What both halves must do alike.
    async fn behaves_like_a_net(net: &dyn Net) {
        let mut listener = net.listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.address().unwrap();
        assert_ne!(address.port(), 0);
        assert_eq!(net.listen(address).await.unwrap_err().kind(), io::ErrorKind::AddrInUse);
        let (calling, accepted) = tokio::join!(net.connect(address), listener.accept());
        let (mut calling, (mut accepted, from)) = (calling.unwrap(), accepted.unwrap());
        assert_eq!(from.ip(), address.ip());
        calling.write_all(b"ping").await.unwrap();
        let mut heard = [0; 4];
        accepted.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"ping");
        drop(accepted);
        assert_eq!(calling.read(&mut heard).await.unwrap(), 0, "the other side hung up");
        drop(listener);
        assert_eq!(net.connect(address).await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }

    #[tokio::test]
    async fn both_halves_behave_alike() {
        behaves_like_a_net(&TcpNet).await;
        behaves_like_a_net(&MemNet::new().at("127.0.0.1".parse().unwrap())).await;
    }
}
