//! `tranche serve`: one node of a real cluster. Not here: what a node is (`node`).

use crate::node::{Linked, NodeFault, World};
use crate::settings::{BadSettings, Settings};
use std::net::SocketAddr;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub struct Serve {
    /// The node's settings; environment variables such as `TRANCHE_NODE__DATA` override single ones.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

#[derive(Debug, thiserror::Error)]
pub enum ServeFault {
    #[error(transparent)]
    Settings(#[from] BadSettings),
    #[error(transparent)]
    Node(#[from] NodeFault),
    #[error("cluster.nodes.peer: {0}")]
    Peer(std::net::AddrParseError),
    #[error("this node may not go on: {0}")]
    Faulted(String),
    #[error("signals cannot be handled: {0}")]
    Signals(std::io::Error),
}

/// Serves until SIGINT or SIGTERM; drains; a second signal ends it at once.
pub async fn serve(arguments: Serve) -> Result<(), ServeFault> {
    let settings = Settings::load(&arguments.config, std::env::vars())?;
    let peers: Result<Vec<_>, _> =
        settings.listed.iter().map(|n| n.peer.parse::<SocketAddr>().map(|address| (n.id, address))).collect();
    let linked = Linked::open(settings, World::real()).await?;
    linked.add_peers(peers.map_err(ServeFault::Peer)?)?;
    let mut signal = Signal::new().map_err(ServeFault::Signals)?;
    let mut node = tokio::select! {
        started = Box::pin(linked.start()) => started?,
        () = signal.next() => return Ok(()),
    };
    tracing::info!(node = %node.id(), api = %node.api_address(), "serving");
    tokio::select! {
        () = signal.next() => {}
        why = node.faulted() => {
            node.stop().await;
            return Err(ServeFault::Faulted(why));
        }
    }
    tracing::info!("draining; a second signal ends at once");
    tokio::select! {
        () = node.drain() => {}
        () = signal.next() => {}
    }
    node.stop().await;
    Ok(())
}

/// SIGINT and SIGTERM.
pub(crate) struct Signal {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Signal {
    pub fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
