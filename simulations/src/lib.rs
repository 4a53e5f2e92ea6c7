//! The room in which the protocol is attacked: models and simulated worlds. Not here: the product itself,
//! which this room only ever looks at from outside, and tests of single crates, which live beside them.

pub mod model;
