//! One process under test: its log in a file, signals by its id, killed when dropped. Not here: its settings.

use crate::wait::eventually;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

/// Lines of its log that are shown when a test fails.
const TAIL_LINES: usize = 40;

#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    /// Where in the log this process begins; earlier ones wrote before.
    log_from: u64,
}

impl Process {
    /// Starts it; what it says goes behind what is in `log` already.
    pub fn start(name: &str, command: &mut Command, log: &Path) -> Self {
        let out = append_to(log);
        let log_from = out.metadata().expect("an open file has a length").len();
        let err = out.try_clone().expect("a file can be opened twice");
        let child = command.stdin(Stdio::null()).stdout(out).stderr(err).spawn();
        let child = child.unwrap_or_else(|why| panic!("{command:?} did not start: {why}"));
        Self { name: name.into(), child, log: log.into(), log_from }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("ids are positive");
        // Who has ended needs no signal any more.
        let _gone = kill_process(id, signal);
    }

    /// SIGKILL; returns once it is gone.
    pub fn kill(&mut self) {
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }

    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be asked")
    }

    /// Waits until it ends by itself.
    pub async fn wait(&mut self, within: Duration) -> ExitStatus {
        let what = format!("{} ends", self.name);
        eventually(&what, within, async || self.ended()).await
    }

    /// What it has said so far.
    pub fn log(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        let from = usize::try_from(self.log_from).unwrap_or(0).min(bytes.len());
        String::from_utf8_lossy(&bytes[from..]).into_owned()
    }

    /// Waits until it has said `text`.
    pub async fn says(&self, text: &str, within: Duration) {
        let what = format!("{} says {text:?}", self.name);
        eventually(&what, within, async || self.log().contains(text).then_some(())).await;
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        crate::clock::sweep(self.id());
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let tail = &lines[lines.len().saturating_sub(TAIL_LINES)..];
            eprintln!("---- the last lines of {}\n{}", self.name, tail.join("\n"));
        }
    }
}

fn append_to(log: &Path) -> File {
    let opened = OpenOptions::new().create(true).append(true).open(log);
    opened.unwrap_or_else(|why| panic!("{}: {why}", log.display()))
}
