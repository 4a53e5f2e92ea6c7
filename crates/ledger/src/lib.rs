//! The replicated state machine: command in, outcome and events out.
