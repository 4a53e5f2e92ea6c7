//! The holder's own append-only file: watermarks, usage, keys, returns.
