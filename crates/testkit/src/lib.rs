//! Workload, naive reference model, checkers.
