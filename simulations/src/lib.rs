//! Models and simulated worlds in which the protocol is attacked.
