//! A disk of a few megabytes that can be filled up: a tmpfs in a mount namespace of its own.
//!
//! The namespace lives as long as one process that waits for the end of its input, and with it the disk; so nothing
//! stays mounted, whatever becomes of the test. Root makes the namespace directly; others inside a user namespace.
//! Not here: what a node does when its disk is full.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const MOUNTED_AT: &str = "/mnt";

#[derive(Debug)]
pub struct SmallDisk {
    keeper: Child,
    is_root: bool,
}

impl SmallDisk {
    pub fn new(mebibytes: u32) -> Self {
        let is_root = rustix::process::geteuid().is_root();
        let script = format!(
            "mount -t tmpfs -o size={mebibytes}m,mode=0777 tmpfs {MOUNTED_AT} && echo mounted && exec cat"
        );
        let mut unshare = Command::new("unshare");
        unshare.arg(if is_root { "-m" } else { "-Urm" }).args(["sh", "-c", &script]);
        let mut keeper =
            unshare.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("unshare(1) of util-linux");
        let mut line = String::new();
        let said = BufReader::new(keeper.stdout.take().expect("it was piped")).read_line(&mut line);
        assert!(said.is_ok() && line == "mounted\n", "no tmpfs could be mounted in a namespace: {line:?}");
        Self { keeper, is_root }
    }

    /// A path on it, for processes started with [`SmallDisk::command`].
    pub fn inside(&self, name: &str) -> PathBuf {
        Path::new(MOUNTED_AT).join(name)
    }

    /// The same path, for everybody else.
    pub fn outside(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{MOUNTED_AT}/{name}", self.keeper.id()))
    }

    /// A command that sees it.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        command.arg("--target").arg(self.keeper.id().to_string()).arg("--mount");
        if !self.is_root {
            command.args(["--user", "--preserve-credentials"]);
        }
        command.arg("--").arg(program);
        command
    }

    /// Takes all the room there is.
    pub fn fill(&self) {
        let mut filler = std::fs::File::create(self.outside("filler")).expect("a file on the small disk");
        let block = [7; 4096];
        while filler.write_all(&block).is_ok() {}
    }

    pub fn free(&self) {
        std::fs::remove_file(self.outside("filler")).expect("the disk was filled");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ended = self.keeper.kill();
        let _status = self.keeper.wait();
    }
}
