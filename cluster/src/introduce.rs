//! Before any Raft group begins: is this data directory the one the other nodes know, and not an older copy of it? A node
//! that votes with a log that has forgotten something breaks promises it has made.
//!
//! A new directory waits until every other node has said that it does not know this node. One that is not new asks how
//! far the others have seen its journal get, and is refused where that is further than it got. It waits for them only so
//! long: a cluster that starts as a whole has nobody to ask. What nobody could say in time is left to the registration of
//! the holder, which the ledger refuses too, but only after the groups have begun.
//!
//! No healthy disk is refused: a node tells others no record before it is synced, so that every later start finds it.
//! Not here: the registration (`quota`), and what a sequence is (`journal`).

use crate::defaults::{INTRODUCE_AGAIN_MS, WELCOME_MS};
use crate::node::NodeFault;
use crate::settings::Settings;
use platform::Directory;
use quota::Quota;
use std::io;
use std::time::Duration;
use transport::{Heard, Link};
use types::planted::{Mistake, is_planted};
use types::{DiskId, NodeId};

const AGAIN: Duration = Duration::from_millis(INTRODUCE_AGAIN_MS);
/// What one question to one node may take.
const ANSWER: Duration = Duration::from_secs(1);
/// An empty file in the data directory: the ledger has refused this journal, and records that a start writes would hide
/// how old it is from the next one.
const REFUSED: &str = "rolled-back";

/// The disk this node knows another one by. A new node knows nobody; others say so only once they are up to date.
pub(crate) fn known_disk(
    is_new: bool,
    quota: Option<&Quota>,
    node: NodeId,
) -> Result<Option<DiskId>, String> {
    match quota {
        None if is_new => Ok(None),
        None => Err("this node is still starting".into()),
        Some(quota) => match quota.known_disk(node) {
            Some(disk) => Ok(Some(disk)),
            None if is_new => Ok(None),
            None => quota.ready().map(|()| None),
        },
    }
}

/// Asks every other node whether it knows this one, whose log is empty. An emptied node that voted again would break
/// promises it has made.
pub(crate) async fn introduce(link: &Link, settings: &Settings, disk: DiskId) -> Result<(), NodeFault> {
    for other in settings.others() {
        let mut waits = 0_u32;
        loop {
            match link.introduce(other, disk, ANSWER).await {
                Ok(Some(known)) if !is_planted(Mistake::EmptyDiskAccepted) => {
                    let (node, by) = (settings.node, other);
                    return Err(if known == disk {
                        NodeFault::LogIsGone { node, by }
                    } else {
                        NodeFault::KnownWithOtherDisk { node, known, by }
                    });
                }
                Ok(_) => break,
                Err(why) => {
                    if waits % 50 == 10 {
                        tracing::info!(%other, %why, "a new node starts only when it has met every other one");
                    }
                    waits += 1;
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
    }
    Ok(())
}

/// Asks all other nodes at once whether they have seen this disk's journal get further than `found`.
pub(crate) async fn welcome(
    link: &Link,
    settings: &Settings,
    disk: DiskId,
    found: u64,
) -> Result<(), NodeFault> {
    let node = settings.node;
    let ask = |by: NodeId| async move {
        let answer = further(async || link.heard(by, disk, ANSWER).await.ok(), found);
        match tokio::time::timeout(Duration::from_millis(WELCOME_MS), answer).await {
            Ok(None) => Ok(()),
            Ok(Some(_)) if is_planted(Mistake::RolledBackAccepted) => Ok(()),
            Ok(Some(known)) => Err(NodeFault::RolledBack { node, found, known, by }),
            Err(_) => {
                tracing::info!(%by, "it could not say in time how far this journal got; the registration shows it");
                Ok(())
            }
        }
    };
    futures::future::try_join_all(settings.others().into_iter().map(ask)).await.map(drop)
}

/// Asks one node until it knows of more than `found`, or that there is no more, or that it starts itself: then all who
/// could tell are waiting for each other.
async fn further(ask: impl AsyncFn() -> Option<Heard>, found: u64) -> Option<u64> {
    loop {
        match ask().await {
            Some(Heard::UpTo { sequence, .. }) if sequence > found => return Some(sequence),
            Some(Heard::UpTo { is_current: true, .. } | Heard::Starting) => return None,
            Some(Heard::UpTo { is_current: false, .. }) | None => tokio::time::sleep(AGAIN).await,
        }
    }
}

/// Whether an earlier start on this directory ended with the ledger's refusal.
pub(crate) fn was_refused(root: &dyn Directory) -> io::Result<bool> {
    Ok(root.list()?.iter().any(|name| name == REFUSED))
}

/// Says so to every later start.
pub(crate) fn mark_refused(root: &dyn Directory) {
    let marked = root.create(REFUSED).and_then(|file| file.sync()).and_then(|()| root.sync());
    if let Err(error) = marked {
        tracing::error!(%error, "the data directory could not be marked: do not start this node on it again");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use platform::{Disk, MemDisk, Unsynced};
    use std::path::Path;
    use std::sync::Mutex;

    /// What is found out from answers in this order, and how many of them were asked for.
    async fn found_out(answers: &[Option<Heard>], found: u64) -> (Option<u64>, usize) {
        let asked = Mutex::new(0);
        let next = async || {
            let mut asked = asked.lock().unwrap();
            *asked += 1;
            answers[*asked - 1]
        };
        let further = further(next, found).await;
        (further, asked.into_inner().unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn who_knows_of_more_says_so_at_once_and_that_there_is_no_more_only_when_it_must_know() {
        let up_to = |sequence, is_current| Some(Heard::UpTo { sequence, is_current });
        assert_eq!(found_out(&[up_to(8, false)], 7).await, (Some(8), 1), "one record more");
        assert_eq!(found_out(&[up_to(7, true)], 7).await, (None, 1), "as many");
        assert_eq!(found_out(&[up_to(7, false), up_to(8, true)], 7).await, (Some(8), 2));
        assert_eq!(found_out(&[None, up_to(0, false), up_to(0, true)], 7).await, (None, 3));
        assert_eq!(found_out(&[None, Some(Heard::Starting)], 7).await, (None, 2), "nobody can tell yet");
    }

    #[test]
    fn a_refused_directory_stays_refused_also_after_a_power_failure() {
        let disk = MemDisk::new();
        let root = || disk.directory(Path::new("/data")).unwrap();
        assert!(!was_refused(root().as_ref()).unwrap());
        mark_refused(root().as_ref());
        disk.power_loss(Unsynced::Lost);
        assert!(was_refused(root().as_ref()).unwrap());
        mark_refused(root().as_ref());
        assert!(was_refused(root().as_ref()).unwrap());
    }
}
