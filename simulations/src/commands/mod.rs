//! What each command of `tranche-sim` prints. Not here: what it is about.

pub mod model;
pub mod proof;
pub mod replay;
pub mod run;
pub mod runs;

/// Whether all is well, or why it could not be said.
pub type Verdict = Result<bool, String>;
