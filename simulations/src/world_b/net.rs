//! The product's `Net` over turmoil's simulated network. Not here: what goes wrong on it (`faults`).

use platform::{BoxFuture, Connection, Listener, Net};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use turmoil::net::{TcpListener, TcpStream};

#[derive(Debug)]
pub struct SimulatedNet;

impl Net for SimulatedNet {
    fn listen(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let listener = TcpListener::bind(address).await?;
            Ok(Box::new(SimulatedListener(listener)) as Box<dyn Listener>)
        })
    }

    fn connect(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Connection>>> {
        Box::pin(async move { Ok(Box::new(TcpStream::connect(address).await?) as Box<dyn Connection>) })
    }

    fn is_private(&self, _address: SocketAddr) -> bool {
        true
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
