//! The Rust SDK over HTTP.
