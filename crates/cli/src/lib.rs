//! The commands of tranche, thin over the client.
