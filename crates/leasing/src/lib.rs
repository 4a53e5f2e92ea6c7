//! The decisions of the actors: when to draw, how much, what to recall.
