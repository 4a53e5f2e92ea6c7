//! Rate cards, quotes, exact rounding.
