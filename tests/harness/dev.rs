//! `tranche dev` as a process of its own: started, waited for, interrupted. Not here: clusters of `serve` (`cluster`).

use crate::binary::binary;
use crate::process::Process;
use crate::wait::{PATIENCE, eventually};
use rustix::process::Signal;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::Command;

/// What it says when everybody may come.
pub const LAST_LINE: &str = "Ctrl-C drains and stops.";

pub fn dev(data: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.arg("dev").args(arguments).arg("--data").arg(data).env("RUST_LOG", "warn");
    command
}

/// A port whose next ones are free, as far as one can know.
pub fn base_port(nodes: u16) -> u16 {
    let free = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    let first = 20_000 + u16::try_from(std::process::id() % 8_000).expect("small");
    let mut bases = (first..).step_by(7);
    bases.find(|base| (1..=nodes).all(|node| free(base + node))).expect("some ports are free")
}

pub async fn started(data: &Path, port: u16, nodes: u16) -> Process {
    started_with(data, port, nodes, &[]).await
}

pub async fn started_with(data: &Path, port: u16, nodes: u16, more: &[&str]) -> Process {
    let (port, nodes) = (port.to_string(), nodes.to_string());
    let mut command = dev(data, &[&["--port", &*port, "--nodes", &*nodes], more].concat());
    let mut process = Process::start("dev", &mut command, &data.with_extension("log"));
    eventually("dev says what to try", PATIENCE, async || {
        assert!(process.ended().is_none(), "it ended: {}", process.log());
        process.log().contains(LAST_LINE).then_some(())
    })
    .await;
    process
}

pub async fn interrupted(mut process: Process) {
    process.signal(Signal::INT);
    let status = process.wait(PATIENCE).await;
    assert!(status.success(), "{status}: {}", process.log());
    let log = process.log();
    assert!(log.contains("draining") && log.contains("stopped"), "{log}");
}
