//! The outside world as four traits: clock, entropy, disk, net, each with a real and a simulated half.
//!
//! Only here is a clock read or randomness drawn. Not here: what anybody does with time, bytes or connections; and no
//! scheduling, which stays tokio's.

mod agreed;
mod clock;
mod disk;
mod entropy;
mod mem_disk;
mod mem_net;
mod net;
mod test_clock;

pub use agreed::{AgreedClock, REMEMBERED_MS};
pub use clock::{BootId, Clock, CoarseClock, ManualClock, Surely, SystemClock};
pub use disk::{Directory, DirectoryLock, Disk, DiskFile, RealDisk};
pub use entropy::{Entropy, SeededEntropy, SystemEntropy};
pub use mem_disk::{MemDisk, Unsynced};
pub use mem_net::MemNet;
pub use net::{BoxFuture, Connection, Listener, Net, TcpNet};
pub use test_clock::TestClock;
