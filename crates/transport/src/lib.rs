//! Node to node: one framed connection per pair, deadlines, bounds.
