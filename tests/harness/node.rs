//! One `tranche serve` with a directory of its own: settings, process, log. Not here: its neighbours (`cluster`).

use crate::api::Api;
use crate::binary::binary;
use crate::clock::WallClock;
use crate::disk::SmallDisk;
use crate::process::Process;
use crate::wait::{PATIENCE, eventually};
use rustix::process::Signal;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

#[derive(Debug)]
pub struct Node {
    pub number: u16,
    pub api: SocketAddr,
    pub peer: SocketAddr,
    pub directory: PathBuf,
    key: String,
    disk: Option<SmallDisk>,
    pub(crate) clock: Option<WallClock>,
    process: Option<Process>,
}

/// One entry of `[[cluster.nodes]]`, as one node sees it.
#[derive(Debug)]
pub(crate) struct Listed {
    pub number: u16,
    pub peer: SocketAddr,
    pub api: SocketAddr,
}

impl Node {
    /// Writes its settings; does not start it.
    pub(crate) fn new(
        number: u16,
        directory: &Path,
        (api, peer): (SocketAddr, SocketAddr),
        cluster: (&str, &[Listed]),
        key: &str,
        disk: Option<SmallDisk>,
    ) -> Self {
        let (cluster, listed) = cluster;
        let directory = directory.join(format!("n{number}"));
        std::fs::create_dir_all(&directory).expect("a directory for the node");
        let data = disk.as_ref().map_or(directory.join("data"), |disk| disk.inside("data"));
        let mut text = format!(
            "[node]\nid = \"n{number}\"\ndata = {data:?}\n\
             [api]\nlisten = \"{api}\"\noperator_key_file = \"operator.key\"\n\
             [peer]\nlisten = \"{peer}\"\n[cluster]\nname = \"{cluster}\"\n"
        );
        for Listed { number, peer, api } in listed {
            text += &format!("[[cluster.nodes]]\nid = \"n{number}\"\npeer = \"{peer}\"\napi = \"{api}\"\n");
        }
        std::fs::write(directory.join("node.toml"), text).expect("settings are written");
        std::fs::write(directory.join("operator.key"), format!("{key}\n")).expect("the key is written");
        Self { number, api, peer, directory, key: key.into(), disk, clock: None, process: None }
    }

    /// Its data directory, as this process sees it.
    pub fn data(&self) -> PathBuf {
        self.disk.as_ref().map_or(self.directory.join("data"), |disk| disk.outside("data"))
    }

    pub fn disk(&self) -> &SmallDisk {
        self.disk.as_ref().expect("this node was given a small disk")
    }

    pub fn clock(&self) -> &WallClock {
        self.clock.as_ref().expect("this node was given a clock of its own")
    }

    /// The command that serves it, without other people's settings.
    pub fn command(&self) -> Command {
        let mut command = self.disk.as_ref().map_or(Command::new(binary()), |disk| disk.command(&binary()));
        command.arg("serve").arg("--config").arg(self.directory.join("node.toml"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TRANCHE_")) {
            command.env_remove(name);
        }
        if let Some(clock) = &self.clock {
            command.envs(clock.environment());
        }
        command
    }

    pub fn start(&mut self) {
        assert!(self.process.is_none(), "n{} runs already", self.number);
        let (name, log) = (format!("n{}", self.number), self.directory.join("log"));
        self.process = Some(Process::start(&name, &mut self.command(), &log));
    }

    pub fn process(&mut self) -> &mut Process {
        self.process.as_mut().unwrap_or_else(|| panic!("n{} does not run", self.number))
    }

    pub fn runs(&self) -> bool {
        self.process.is_some()
    }

    /// How it ended, if it did by itself since it was started; then it does not run any more.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        let status = self.process.as_mut()?.ended()?;
        self.process = None;
        Some(status)
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
    }

    /// SIGTERM, and waits for the end: how it was, and all that the process has logged.
    pub async fn terminate(&mut self, within: Duration) -> (ExitStatus, String) {
        self.process().signal(Signal::TERM);
        let status = self.process().wait(within).await;
        let log = self.process().log();
        self.process = None;
        (status, log)
    }

    /// Starts it again on the same addresses; somebody's outgoing connection may have one of them for a moment.
    pub async fn restart(&mut self) {
        let what = format!("n{} starts again", self.number);
        eventually(&what, PATIENCE, async || {
            if self.process.is_none() {
                self.start();
            }
            if self.address_was_taken() {
                self.process = None;
            }
            self.is_alive().await.then_some(())
        })
        .await;
    }

    /// Ended because one of its ports was in use.
    pub fn address_was_taken(&mut self) -> bool {
        let Some(process) = self.process.as_mut() else { return false };
        process.ended().is_some() && process.log().contains("Address already in use")
    }

    pub fn caller(&self) -> Api {
        Api::new(self.api, &self.key)
    }

    pub fn caller_with_key(&self, key: &str) -> Api {
        Api::new(self.api, key)
    }

    async fn is_alive(&self) -> bool {
        self.caller().send("GET", "/healthz", &[], None).await.is_ok_and(|answer| answer.status == 200)
    }

    pub async fn is_ready(&self) -> bool {
        self.caller().send("GET", "/readyz", &[], None).await.is_ok_and(|answer| answer.status == 200)
    }
}
