//! Builds tests and runs them, passing their output on while it is read. Not here: which tests and when
//! (`steps`), what the output means (`tally`).

use std::io::{BufRead, BufReader, PipeReader, Write};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::tally::{Names, Suite, Tally};

/// How long the output may stay open after cargo has ended: a process a test left behind holds it.
const LEFT_BEHIND_MS: u64 = 10_000;

/// Builds what `cargo test` would run and says which executable is which suite.
///
/// # Errors
/// Something does not compile; the compiler has said what.
pub(crate) fn build(mut test: Command) -> Result<Names, String> {
    test.args(["--no-run", "--message-format", "json-render-diagnostics"]);
    let output =
        test.stderr(Stdio::inherit()).output().map_err(|why| format!("cargo did not start: {why}"))?;
    ended(output.status)?;
    Ok(String::from_utf8_lossy(&output.stdout).lines().filter_map(suite_of).collect())
}

/// Runs it; the suites are complete even when tests failed.
pub(crate) fn run(mut test: Command, names: Names) -> (Vec<Suite>, Result<(), String>) {
    let mut tally = Tally::new(names);
    let done = stream(&mut test, |line| {
        let mut out = std::io::stdout().lock();
        // A closed terminal is no reason to stop: the exit code still tells.
        let _ = out.write_all(line).and_then(|()| out.flush());
        tally.read(&String::from_utf8_lossy(line));
    });
    (tally.finish(), done)
}

/// # Errors
/// The command failed: its name for that.
pub(crate) fn ended(status: ExitStatus) -> Result<(), String> {
    if status.success() { Ok(()) } else { Err(status.to_string()) }
}

/// One message of cargo about a test executable → its file name and `room · file`.
fn suite_of(message: &str) -> Option<(String, String)> {
    let message: Value = serde_json::from_str(message).ok()?;
    let executable = Path::new(message["executable"].as_str()?).file_name()?.to_str()?;
    let (place, name_or_version) = message["package_id"].as_str()?.split_once('#')?;
    let room = name_or_version.split_once('@').map_or(place.rsplit('/').next()?, |(name, _)| name);
    let file = message["target"]["name"].as_str()?;
    let suite = match message["target"]["kind"][0].as_str()? {
        "lib" => room.to_owned(),
        "bin" => format!("{room} · bin {file}"),
        _ => format!("{room} · {file}"),
    };
    Some((executable.to_owned(), suite))
}

/// Both outputs go through one pipe, so that cargo's *Running …* stands before what it ran.
fn stream(command: &mut Command, mut read: impl FnMut(&[u8])) -> Result<(), String> {
    let fault = |why: std::io::Error| format!("cargo did not start: {why}");
    let (reader, writer) = std::io::pipe().map_err(fault)?;
    let mut child =
        command.stderr(writer.try_clone().map_err(fault)?).stdout(writer).spawn().map_err(fault)?;
    // The command holds the pipe's writing end; without this the reading end would never see its close.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let lines = lines_of(reader);
    let mut quiet_ms = 0;
    loop {
        match lines.recv_timeout(Duration::from_millis(250)) {
            Ok(line) => {
                quiet_ms = 0;
                read(&line);
            }
            Err(RecvTimeoutError::Disconnected) => return ended(child.wait().map_err(fault)?),
            Err(RecvTimeoutError::Timeout) => {
                let cargo_ended = child.try_wait().map_err(fault)?.is_some();
                quiet_ms = if cargo_ended { quiet_ms + 250 } else { 0 };
                if quiet_ms >= LEFT_BEHIND_MS {
                    return Err(
                        "a test left a process behind that still holds the output: end it in the test".into(),
                    );
                }
            }
        }
    }
}

fn lines_of(pipe: PipeReader) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut pipe = BufReader::new(pipe);
        let mut line = Vec::new();
        while pipe.read_until(b'\n', &mut line).is_ok_and(|bytes| bytes > 0) {
            if sender.send(std::mem::take(&mut line)).is_err() {
                return;
            }
        }
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdin(Stdio::null());
        command
    }

    #[test]
    fn a_message_of_cargo_names_the_suite() {
        let message = |id: &str, kind: &str, name: &str, executable: &str| {
            format!(
                r#"{{"reason":"compiler-artifact","package_id":"{id}","target":{{"kind":["{kind}"],"name":"{name}"}},"executable":{executable}}}"#
            )
        };
        let suite = |id, kind, name| {
            suite_of(&message(id, kind, name, r#""/t/debug/deps/x-0a1b""#)).map(|(_, suite)| suite)
        };
        assert_eq!(suite("path+file:///a/crates/escrow#0.1.0", "lib", "escrow").as_deref(), Some("escrow"));
        assert_eq!(
            suite("path+file:///a/crates/escrow#0.1.0", "test", "bounds").as_deref(),
            Some("escrow · bounds")
        );
        assert_eq!(
            suite("path+file:///a/cluster#0.1.0", "bin", "tranche").as_deref(),
            Some("cluster · bin tranche")
        );
        assert_eq!(suite("path+file:///a/else#escrow@0.1.0", "lib", "escrow").as_deref(), Some("escrow"));
        assert_eq!(suite_of(&message("path+file:///a/crates/types#0.1.0", "lib", "types", "null")), None);
    }

    #[test]
    fn both_outputs_arrive_in_their_order_and_the_exit_code_counts() {
        let mut lines = Vec::new();
        let done = stream(&mut shell("echo a >&2; echo b; echo c >&2; printf d; exit 3"), |line| {
            lines.push(String::from_utf8_lossy(line).into_owned());
        });
        assert_eq!(lines, ["a\n", "b\n", "c\n", "d"]);
        assert!(done.is_err_and(|why| why.contains('3')));
        assert_eq!(stream(&mut shell("exit 0"), |_| {}), Ok(()));
    }
}
