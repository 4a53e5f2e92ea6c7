//! The outside world as four traits: clock, entropy, net, disk.
