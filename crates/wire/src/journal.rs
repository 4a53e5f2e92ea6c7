//! The journal's records on disk.
