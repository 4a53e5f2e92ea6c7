//! Disks that come back as they were a while ago: copies made while a node runs, put back while it is down. Such a start
//! must be refused before any Raft group begins. Not here: when (`faults`), disks that are empty or damaged.

use crate::fault::{Fault, NodeIndex, What};
use crate::world_b::machine::{Ended, Machine};
use platform::MemDisk;
use std::collections::BTreeMap;
use std::sync::Arc;
use types::HolderId;

/// In the words of the node's end.
pub const REFUSED: &str = "is older than what the cluster has seen of it";
/// A copy is at least so old when it is put back.
const OLD_MS: u64 = 2_000;

/// Copies of disks, and which of them were put back.
#[derive(Debug)]
pub struct Older {
    /// When which disk is to be copied.
    to_copy: Vec<(u64, NodeIndex)>,
    copies: BTreeMap<NodeIndex, Copy>,
    put_back: BTreeMap<NodeIndex, PutBack>,
    /// What a start on an older copy did instead of being refused.
    pub broken: Vec<String>,
}

#[derive(Debug)]
struct Copy {
    disk: MemDisk,
    age: Age,
}

/// How far the journal on a copy gets at most.
#[derive(Clone, Copy, Debug)]
struct Age {
    holder: HolderId,
    sequence: u64,
}

#[derive(Debug)]
struct PutBack {
    age: Age,
    was_refused: bool,
}

impl Older {
    #[must_use]
    pub fn of(faults: &[Fault]) -> Self {
        let to_copy = faults.iter().filter_map(|fault| match fault.what {
            What::DiskRolledBack { node } => {
                Some((fault.at_ms.saturating_sub(fault.for_ms.max(OLD_MS)), node))
            }
            _ => None,
        });
        Self {
            to_copy: to_copy.collect(),
            copies: BTreeMap::new(),
            put_back: BTreeMap::new(),
            broken: Vec::new(),
        }
    }

    /// Copies what is due: of each disk what a power failure would leave at this moment.
    pub fn copy_disks(&mut self, machines: &[Arc<Machine>], now_ms: u64) {
        for (_, node) in self.to_copy.extract_if(.., |(at_ms, _)| *at_ms <= now_ms) {
            let Some(machine) = machines.get(node) else { continue };
            let Some(quota) = machine.running() else { continue };
            let age = Age { holder: quota.holder().id(), sequence: quota.holder().journal().sequence() };
            self.copies.insert(node, Copy { disk: machine.disk().image(), age });
        }
    }

    /// Whether there is a copy, and others have heard of more since: what nobody has heard nobody can know.
    #[must_use]
    pub fn is_known_to_be(&self, machines: &[Arc<Machine>], node: NodeIndex) -> bool {
        self.copies.get(&node).is_some_and(|copy| knows_any(machines, node, copy.age))
    }

    /// Puts the copy in the disk's place; the machine starts anew with it.
    pub fn put_back(&mut self, machine: &Machine) {
        let Some(Copy { disk, age }) = self.copies.remove(&machine.index) else { return };
        machine.set_disk(disk);
        machine.clock.reboot();
        self.put_back.insert(machine.index, PutBack { age, was_refused: false });
    }

    /// Whether the node is still to start on its older copy.
    #[must_use]
    pub fn is_to_be_refused(&self, node: NodeIndex) -> bool {
        self.put_back.get(&node).is_some_and(|put_back| !put_back.was_refused)
    }

    /// Whether some other node that runs knows of more than is on the copy.
    #[must_use]
    pub fn knows_any(&self, machines: &[Arc<Machine>], node: NodeIndex) -> bool {
        self.put_back.get(&node).is_some_and(|put_back| knows_any(machines, node, put_back.age))
    }

    /// The node has ended: refused for its age, or the sentence is broken.
    pub fn ended(&mut self, node: NodeIndex, ended: &Ended) {
        let Some(put_back) = self.put_back.get_mut(&node).filter(|put_back| !put_back.was_refused) else {
            return;
        };
        put_back.was_refused = true;
        if !matches!(ended, Ended::Refused(why) if why.contains(REFUSED)) {
            self.broken.push(format!("n{}: {ended:?}", node + 1));
        }
    }
}

fn knows_any(machines: &[Arc<Machine>], node: NodeIndex, age: Age) -> bool {
    let others = machines.iter().filter(|machine| machine.index != node);
    let known = |machine: &Arc<Machine>| machine.running()?.holder().shards().known_sequence(age.holder);
    others.filter_map(known).any(|known| known > age.sequence)
}
