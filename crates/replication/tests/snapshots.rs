//! Snapshots: made, sent in pieces, read again, damaged. Not here: what is in one (`src/snapshot`).

mod nodes;

use nodes::{N1, N2, N3, Nodes, S0, grants, group, guard, make_grant, put_workspace};
use replication::ReplicationFault;
use std::path::Path;
use std::sync::atomic::Ordering;
use types::NodeId;

/// Cuts off a follower until the leader has no entries for it any more. Answers leader, follower, last index.
async fn leave_behind(nodes: &Nodes) -> (NodeId, NodeId, u64) {
    nodes.commit(S0, &put_workspace("w")).await;
    let leader = nodes.leader(S0).await;
    let behind = if leader == N3 { N2 } else { N3 };
    let among: Vec<_> = [N1, N2, N3].into_iter().filter(|node| *node != behind).collect();
    nodes.wires.cut(behind);
    let mut last = 0;
    for i in 0..60 {
        last = nodes.commit_among(S0, &among, &make_grant(&format!("g{i}"))).await.index;
    }
    let leader = nodes.leader_among(S0, &among).await;
    let group = nodes.group(leader, S0);
    let purged = async {
        while group.status().purged_index.is_none_or(|purged| purged < 20) {
            tokio::task::yield_now().await;
        }
    };
    guard(purged).await;
    (leader, behind, last)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_far_behind_gets_a_snapshot_in_pieces() {
    for lose_each in [0, 4] {
        let mut nodes = Nodes::start_with(&[group(S0, &[])], |options| {
            options.snapshot_every_entries = 20;
            options.chunk_bytes = 300;
        })
        .await;
        let (leader, behind, last) = leave_behind(&nodes).await;
        let requests = nodes.wires.requests.load(Ordering::Relaxed);
        nodes.wires.lose_each.store(lose_each, Ordering::Relaxed);
        nodes.wires.heal();
        nodes.applied(behind, S0, last).await;
        nodes.wires.lose_each.store(0, Ordering::Relaxed);
        assert!(nodes.wires.requests.load(Ordering::Relaxed) - requests > 10, "several pieces");
        assert_eq!(nodes.group(behind, S0).peek(grants), 60);
        assert!(nodes.group(behind, S0).status().snapshot_index.is_some_and(|index| index >= 20));
        let last = nodes.commit(S0, &make_grant("more")).await.index;
        nodes.applied(behind, S0, last).await;
        nodes.applied(leader, S0, last).await;
        assert_eq!(nodes.group(behind, S0).state_hash(), nodes.group(leader, S0).state_hash());

        // And it is on its disk.
        nodes.disks[&behind].power_loss(platform::Unsynced::Lost);
        nodes.close(behind).await;
        nodes.open(behind).await.unwrap();
        assert!(nodes.group(behind, S0).peek(grants) >= 20);
        nodes.applied(behind, S0, last).await;
        assert_eq!(nodes.group(behind, S0).state_hash(), nodes.group(leader, S0).state_hash());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_begins_with_the_snapshot_and_goes_on_with_the_log() {
    let mut nodes =
        Nodes::start_with(&[group(S0, &[])], |options| options.snapshot_every_bytes = 2_000).await;
    nodes.commit(S0, &put_workspace("w")).await;
    let mut last = 0;
    for i in 0..100 {
        last = nodes.commit(S0, &make_grant(&format!("g{i}"))).await.index;
    }
    for node in nodes.names() {
        nodes.applied(node, S0, last).await;
    }
    let snapshots = async {
        for node in [N1, N2, N3] {
            while nodes.group(node, S0).status().snapshot_index.is_none() {
                tokio::task::yield_now().await;
            }
        }
    };
    guard(snapshots).await;
    let before = nodes.group(N1, S0).state_hash();
    for node in nodes.names() {
        nodes.kill(node).await;
    }
    for node in nodes.names() {
        nodes.open(node).await.unwrap();
    }
    for node in nodes.names() {
        nodes.applied(node, S0, last + 1).await;
        let after = nodes.group(node, S0).state_hash();
        assert_eq!(after.digest, before.digest, "nothing but a new leader's blank entry came");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_snapshot_is_never_used() {
    let mut nodes = Nodes::start(&[group(S0, &[])]).await;
    nodes.commit(S0, &put_workspace("w")).await;
    nodes.commit(S0, &make_grant("g1")).await;
    let leader = nodes.leader(S0).await;
    nodes.group(leader, S0).make_snapshot().await.unwrap();
    let path = Path::new("/raft/snapshot-1");
    let made = async {
        while nodes.disks[&leader].content(path).is_none() {
            tokio::task::yield_now().await;
        }
    };
    guard(made).await;
    nodes.close(leader).await;
    let bytes = nodes.disks[&leader].content(path).unwrap().len();
    for byte in (0..bytes).step_by(7) {
        nodes.disks[&leader].flip_bit(path, byte, 3);
        let fault = nodes.open(leader).await.unwrap_err();
        assert!(matches!(fault, ReplicationFault::Damaged { group: S0, what: "snapshot", .. }), "{fault}");
        nodes.disks[&leader].flip_bit(path, byte, 3);
        nodes.disks[&leader].kill();
    }
    nodes.open(leader).await.unwrap();
    assert_eq!(nodes.group(leader, S0).peek(grants), 1);
}
