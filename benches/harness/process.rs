//! Other programs, pinned to a core, ended by their process id whatever happens here. Not here: which programs.

use crate::NotMeasured;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The core of what is measured, and the core of who makes the load.
pub const SERVER_CORE: usize = 0;
pub const LOAD_CORE: usize = 1;

/// How long a server may take until it listens.
const LISTEN_WITHIN: Duration = Duration::from_secs(20);
/// The kernel's unit of processor time in `/proc`.
const TICKS_PER_S: f64 = 100.0;

/// A running server; killed and waited for when dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    name: String,
    log: PathBuf,
}

impl Server {
    /// Its output goes to `log`.
    pub fn start(name: &str, mut command: Command, log: &Path) -> Result<Self, NotMeasured> {
        let file = File::create(log).map_err(NotMeasured::io(format!("the log of {name}")))?;
        let again = file.try_clone().map_err(NotMeasured::io(format!("the log of {name}")))?;
        command.stdin(Stdio::null()).stdout(file).stderr(again);
        let child = command.spawn().map_err(NotMeasured::io(format!("{name} did not start")))?;
        Ok(Self { child, name: name.into(), log: log.into() })
    }

    /// Returns once somebody listens on `address`.
    pub fn listens(&mut self, address: SocketAddr) -> Result<(), NotMeasured> {
        self.becomes(LISTEN_WITHIN, || {
            TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_ok()
        })
    }

    /// Returns once `is` holds; an error when it ended or took too long.
    pub fn becomes(&mut self, within: Duration, is: impl Fn() -> bool) -> Result<(), NotMeasured> {
        let started = crate::rounds::now();
        while !is() {
            let ended = self.child.try_wait().map_err(NotMeasured::io(self.name.clone()))?;
            if ended.is_some() || started.elapsed() > within {
                let log = fs::read_to_string(&self.log).unwrap_or_default();
                let last = log.lines().rev().take(5).collect::<Vec<_>>().join(" | ");
                return Err(NotMeasured::wrong(format!("{} is not ready; its log ends: {last}", self.name)));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Processor time so far, of all its threads, in user and in kernel mode.
    pub fn cpu_seconds(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
        // Behind the name, which is in parentheses and may hold anything: state is field 0, utime 11, stime 12.
        let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
        let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
        (ticks(11) + ticks(12)) as f64 / TICKS_PER_S
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _gone = self.child.wait();
    }
}

/// `program`, kept on one core from its first instruction.
pub fn pinned(core: usize, program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("taskset");
    command.arg("-c").arg(core.to_string()).arg(program);
    command
}

/// What a program prints, once it has ended well.
pub fn output(name: &str, command: &mut Command) -> Result<String, NotMeasured> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(NotMeasured::io(format!("{name} did not start; is it installed?")))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    Err(NotMeasured::wrong(format!("{name} failed ({}): {text}{errors}", output.status)))
}

/// Addresses on loopback that nobody used a moment ago, all different.
pub fn free_addresses(count: usize) -> Result<Vec<SocketAddr>, NotMeasured> {
    let bind = |_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let held: Result<Vec<_>, _> = (0..count).map(bind).collect();
    let held = held.map_err(NotMeasured::io("no free port"))?;
    let addresses: Result<Vec<_>, _> = held.iter().map(TcpListener::local_addr).collect();
    addresses.map_err(NotMeasured::io("no free port"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_ends_with_its_owner() {
        let directory = tempfile::tempdir().unwrap();
        let mut command = Command::new("sleep");
        command.arg("60");
        let server = Server::start("sleep", command, &directory.path().join("log")).unwrap();
        let path = format!("/proc/{}", server.child.id());
        assert!(Path::new(&path).exists() && server.cpu_seconds() < 1.0);
        drop(server);
        assert!(!Path::new(&path).exists());
    }

    #[test]
    fn who_ends_early_is_not_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo no such thing; exit 3"]);
        let mut server = Server::start("sh", command, &directory.path().join("log")).unwrap();
        let why = server.becomes(Duration::from_secs(30), || false).unwrap_err().to_string();
        assert!(why.contains("no such thing"), "{why}");
    }

    #[test]
    fn free_addresses_differ() {
        let addresses = free_addresses(4).unwrap();
        assert!(addresses.iter().all(|a| addresses.iter().filter(|b| a == *b).count() == 1));
    }
}
