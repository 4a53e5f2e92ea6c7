//! The product's Rust API as plain data, one file per verb.
