//! Nodes that talk to each other through real ports on loopback, and to peers that do not behave.

mod bounds;
mod calls;
mod faults;
mod hellos;
mod node;
mod stranger;
