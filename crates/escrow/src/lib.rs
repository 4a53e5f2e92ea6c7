//! The holder's half of a line: spend, deposit and seal on one atomic word.
