//! What each command of `tranche-sim` prints. Not here: what it is about.

pub mod model;
pub mod picture;
pub mod proof;
pub mod replay;
pub mod run;
pub mod runs;

/// Whether all is well, or why it could not be said.
pub type Verdict = Result<bool, String>;

/// Prints; who reads no more wants no more.
pub fn say(text: &str) -> Result<(), String> {
    use std::io::Write;
    let mut output = std::io::stdout().lock();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Err(why) if why.kind() != std::io::ErrorKind::BrokenPipe => Err(why.to_string()),
        _ => Ok(()),
    }
}
