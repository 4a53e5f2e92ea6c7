//! What is on disk: restarts, power losses, full disks, wrong directories, shared syncs. Not here: snapshots.

mod nodes;

use nodes::{GUARD, META, N1, N2, N3, Nodes, S0, grants, group, guard, make_grant, put_workspace, register};
use platform::Unsynced;
use replication::{GroupId, ProposeError, ReplicationFault};
use std::time::Duration;
use types::ShardId;

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_means_on_disk_when_all_lose_power() {
    let mut nodes = Nodes::start(&[group(S0, &[])]).await;
    nodes.commit(S0, &put_workspace("w")).await;
    for (round, unsynced) in
        [Unsynced::Lost, Unsynced::Scattered(7), Unsynced::FirstBytes(700)].into_iter().enumerate()
    {
        for i in 0..5 {
            nodes.commit(S0, &make_grant(&format!("r{round}-g{i}"))).await;
        }
        for node in nodes.names() {
            nodes.disks[&node].power_loss(unsynced);
        }
        nodes.close_all().await;
        for node in nodes.names() {
            nodes.open(node).await.unwrap();
        }
        let leader = nodes.leader(S0).await;
        let reading = guard(async {
            loop {
                match nodes.group(leader, S0).read(Duration::from_secs(1), grants).await {
                    Ok(reading) => return reading,
                    Err(_) => tokio::task::yield_now().await,
                }
            }
        })
        .await;
        assert_eq!(reading.value, 5 * (round + 1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_leader_comes_back_and_catches_up() {
    let mut nodes = Nodes::start(&[group(META, &[]), group(S0, &[])]).await;
    nodes.commit(S0, &put_workspace("w")).await;
    nodes.commit(S0, &make_grant("g1")).await;
    let old = nodes.leader(S0).await;
    let others: Vec<_> = [N1, N2, N3].into_iter().filter(|node| *node != old).collect();
    nodes.kill(old).await;
    let last = nodes.commit_among(S0, &others, &make_grant("g2")).await.index;
    nodes.open(old).await.unwrap();
    nodes.applied(old, S0, last).await;
    nodes.applied(others[0], S0, last).await;
    assert_eq!(nodes.group(old, S0).peek(grants), 2);
    assert_eq!(nodes.group(old, S0).state_hash(), nodes.group(others[0], S0).state_hash());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_the_groups_and_loses_nothing() {
    let mut nodes = Nodes::start(&[group(S0, &[])]).await;
    nodes.commit(S0, &put_workspace("w")).await;
    let leader = nodes.leader(S0).await;
    let others: Vec<_> = [N1, N2, N3].into_iter().filter(|node| *node != leader).collect();
    let disk = nodes.disks[&leader].clone();
    disk.set_capacity_bytes(Some(disk.used_bytes() + 20_000));
    let group = nodes.group(leader, S0);
    let mut acknowledged = 0;
    let why = guard(async {
        for i in 0.. {
            let name = "x".repeat(10_000);
            match group.propose(put_workspace(&format!("{name}{i}")), Duration::from_secs(2)).await {
                // The others are a quorum without it, for as long as it leads.
                Ok(_) => acknowledged += 1,
                Err(ProposeError::Stopped { why }) => return why,
                Err(ProposeError::Unknown | ProposeError::NotLeader { .. }) => tokio::task::yield_now().await,
                Err(other) => panic!("{other}"),
            }
        }
        unreachable!("the disk fills up")
    })
    .await;
    assert!(why.contains("no space left"), "{why}");
    assert_eq!(group.status().stopped.as_deref(), Some(why.as_str()));
    assert_eq!(group.ready().await, Err(why));
    assert!(group.read(GUARD, grants).await.is_err());

    let last = nodes.commit_among(S0, &others, &make_grant("g1")).await.index;
    assert!(last > acknowledged);
    nodes.kill(leader).await;
    disk.set_capacity_bytes(None);
    nodes.open(leader).await.unwrap();
    nodes.applied(leader, S0, last).await;
    nodes.applied(others[0], S0, last).await;
    assert_eq!(nodes.group(leader, S0).state_hash(), nodes.group(others[0], S0).state_hash());
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_share_their_syncs_on_a_real_disk() {
    let ids: Vec<GroupId> = [META].into_iter().chain((0..4).map(|i| GroupId::Shard(ShardId(i)))).collect();
    let specs: Vec<_> = ids.iter().map(|id| group(*id, &[])).collect();
    let folder = tempfile::tempdir().unwrap();
    let mut nodes = Nodes::prepare(&specs, |_| {});
    for node in nodes.names() {
        nodes.open_on_real_disk(node, folder.path().join(node.to_string())).await.unwrap();
    }
    for id in &ids {
        nodes.leader(*id).await;
    }
    let counts = || nodes.names().into_iter().map(|node| nodes.replica(node).log_counts());
    let sums = || counts().fold((0, 0), |(appends, commits), c| (appends + c.appends, commits + c.commits));
    let before = sums();
    for i in 0..20 {
        let commit = |id: &GroupId| {
            let (nodes, id) = (&nodes, *id);
            async move { nodes.commit(id, &register(i + 1)).await }
        };
        guard(futures::future::join_all(ids.iter().map(commit))).await;
    }
    let after = sums();
    let (appends, commits) = (after.0 - before.0, after.1 - before.1);
    assert!(commits < appends, "{commits} commits for {appends} appends");
    nodes.close_all().await;
    for node in nodes.names() {
        nodes.open_on_real_disk(node, folder.path().join(node.to_string())).await.unwrap();
    }
    for id in &ids {
        let last = nodes.commit(*id, &register(1)).await.index;
        nodes.applied(N3, *id, last).await;
        assert_eq!(nodes.group(N3, *id).peek(|state| state.holders.len()), 20, "{id}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_serves_only_what_it_was_made_for() {
    let mut nodes = Nodes::start(&[group(META, &[]), group(S0, &[])]).await;
    let second = nodes.open(N1).await;
    assert!(matches!(second, Err(ReplicationFault::Directory(_))), "it is in use: {second:?}");
    nodes.close(N1).await;

    let right = nodes.options[&N1].clone();
    let try_with = |options: replication::Options| {
        let mut other = Nodes {
            wires: std::sync::Arc::default(),
            disks: nodes.disks.clone(),
            clock: nodes.clock.clone(),
            options: [(N1, options)].into(),
        };
        async move {
            let opened = other.open(N1).await;
            other.close_all().await;
            opened
        }
    };
    let mut options = right.clone();
    options.groups[1].voters = vec![N1, N2];
    let fault = try_with(options).await.unwrap_err();
    assert!(
        matches!(&fault, ReplicationFault::OtherGroups(what) if what.contains("s0: voters [1, 2, 3]")),
        "{fault}"
    );

    let mut options = right.clone();
    options.groups.pop();
    let fault = try_with(options).await.unwrap_err();
    assert!(
        matches!(&fault, ReplicationFault::OtherGroups(what) if what == "2 groups then, 1 now"),
        "{fault}"
    );

    let mut options = right.clone();
    options.groups[0].learners.push(nodes::N4);
    assert!(matches!(try_with(options).await, Err(ReplicationFault::OtherGroups(_))));

    let mut options = right.clone();
    options.node = N2;
    let fault = try_with(options).await.unwrap_err();
    assert!(matches!(fault, ReplicationFault::OtherNode { expected: N2, found: N1 }), "{fault}");

    let mut options = right.clone();
    options.election_min_ms = 59;
    assert!(matches!(try_with(options).await, Err(ReplicationFault::BadOptions(_))));

    let mut options = right;
    options.groups[0].voters.rotate_left(1);
    try_with(options).await.expect("who should lead may change");
}
