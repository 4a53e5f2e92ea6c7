//! Groups that elect, commit, read, hand over and are cut off. Not here: disks that fail (`disks`), snapshots.

mod nodes;

use nodes::{
    GUARD, META, N1, N2, N3, N4, Nodes, S0, grants, group, guard, make_grant, put_workspace, register,
};
use replication::{GroupId, GroupSpec, ProposeError, ReadError, Role};
use std::time::Duration;
use types::ShardId;

#[tokio::test(flavor = "multi_thread")]
async fn three_nodes_elect_commit_and_read() {
    let nodes = Nodes::start(&[group(S0, &[])]).await;
    let leader = nodes.leader(S0).await;
    let made = nodes.commit(S0, &put_workspace("one")).await;
    assert!(made.applied.result.is_ok());
    assert_eq!(made.at.millis(), 1_000_000);
    let granted = nodes.commit(S0, &make_grant("g1")).await;
    assert!(granted.index > made.index);

    let group = nodes.group(leader, S0);
    let reading = group.read(GUARD, grants).await.unwrap();
    assert_eq!(reading.value, 1);
    assert!(reading.index >= granted.index);
    for node in [N1, N2, N3] {
        nodes.applied(node, S0, granted.index).await;
        assert_eq!(nodes.group(node, S0).peek(grants), 1);
        if node != leader {
            let refused = nodes.group(node, S0).read(GUARD, grants).await;
            assert_eq!(refused, Err(ReadError::NotLeader { leader: Some(leader) }));
            let refused = nodes.group(node, S0).propose(make_grant("g2"), GUARD).await;
            assert_eq!(refused, Err(ProposeError::NotLeader { leader: Some(leader) }));
        }
    }
    let status = group.status();
    assert_eq!((status.role, status.leader, status.followers.len()), (Role::Leader, Some(leader), 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_voter_leads_at_once() {
    // No timer runs out within this test.
    let mut nodes = Nodes::prepare(&[group(S0, &[])], |options| {
        (options.election_min_ms, options.election_max_ms) = (60_000, 90_000);
    });
    for node in [N1, N2, N3] {
        nodes.open(node).await.unwrap();
    }
    assert_eq!(nodes.leader(S0).await, N1);
    nodes.commit(S0, &put_workspace("w")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_may_come_late_or_alone() {
    let mut nodes = Nodes::prepare(&[group(S0, &[])], |_| {});
    nodes.open(N2).await.unwrap();
    nodes.open(N3).await.unwrap();
    nodes.commit_among(S0, &[N2, N3], &put_workspace("two of three")).await;
    nodes.open(N1).await.unwrap();
    let last = nodes.commit(S0, &make_grant("g1")).await.index;
    nodes.applied(N1, S0, last).await;
    assert_eq!(nodes.group(N1, S0).peek(grants), 1);

    let alone = Nodes::start(&[GroupSpec { id: S0, voters: vec![N1], learners: vec![] }]).await;
    alone.commit(S0, &put_workspace("one of one")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn proposals_ride_together_and_time_never_goes_back() {
    let nodes = Nodes::start(&[group(S0, &[])]).await;
    let leader = nodes.leader(S0).await;
    nodes.commit(S0, &put_workspace("w")).await;
    let before = nodes.replica(leader).log_counts().entries;
    nodes.clock.set_wall(types::Timestamp::from_millis(5));
    let group = nodes.group(leader, S0);
    let proposals = (0..200).map(|i| {
        let group = group.clone();
        tokio::spawn(async move { group.propose(make_grant(&format!("g{i}")), GUARD).await.unwrap() })
    });
    let mut indexes = std::collections::BTreeMap::<u64, usize>::new();
    for proposal in proposals.collect::<Vec<_>>() {
        let committed = guard(proposal).await.unwrap();
        assert_eq!(committed.at.millis(), 1_000_000, "the clock went back, the ledger did not");
        *indexes.entry(committed.index).or_default() += 1;
    }
    let entries = nodes.replica(leader).log_counts().entries - before;
    assert_eq!(indexes.values().sum::<usize>(), 200);
    assert!(indexes.len() < 200, "{} entries for 200 commands", indexes.len());
    assert!(indexes.values().all(|commands| *commands <= 64), "an entry has at most 64 commands");
    // Its own disk may be behind the quorum's, with the entry before these too.
    assert!(entries <= indexes.len() as u64 + 1);
    assert_eq!(group.peek(grants), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_index_means_equal_state() {
    let nodes = Nodes::start(&[group(S0, &[])]).await;
    let mut last = nodes.commit(S0, &put_workspace("w")).await.index;
    for i in 0..30 {
        last = nodes.commit(S0, &make_grant(&format!("g{i}"))).await.index;
    }
    let mut hashes = Vec::new();
    for node in [N1, N2, N3] {
        nodes.applied(node, S0, last).await;
        hashes.push(nodes.group(node, S0).state_hash());
    }
    assert_eq!(hashes[0], hashes[1]);
    assert_eq!(hashes[0], hashes[2]);
    let more = nodes.commit(S0, &make_grant("one-more")).await.index;
    nodes.applied(N1, S0, more).await;
    assert_ne!(nodes.group(N1, S0).state_hash().digest, hashes[0].digest);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_leader_refuses_and_a_retry_is_the_same() {
    let nodes = Nodes::start(&[group(S0, &[])]).await;
    nodes.commit(S0, &put_workspace("w")).await;
    let old = nodes.leader(S0).await;
    let others: Vec<_> = [N1, N2, N3].into_iter().filter(|node| *node != old).collect();
    nodes.wires.cut(old);
    let lonely = nodes.group(old, S0);
    // It takes the proposal into its log, and nothing can be known of it.
    let unknown = lonely.propose(make_grant("g1"), Duration::from_millis(100)).await;
    assert_eq!(unknown, Err(ProposeError::Unknown));
    let refused = lonely.read(Duration::from_secs(2), grants).await;
    assert!(matches!(refused, Err(ReadError::NoQuorum | ReadError::NotLeader { .. })), "{refused:?}");

    let first = nodes.commit_among(S0, &others, &make_grant("g1")).await;
    let again = nodes.commit_among(S0, &others, &make_grant("g1")).await;
    assert_eq!(first.applied.result, again.applied.result);
    assert_ne!(first.index, again.index);

    // Without its lease the old leader takes nothing any more.
    let refused = guard(async {
        loop {
            match lonely.propose(make_grant("g2"), Duration::from_millis(50)).await {
                Err(ProposeError::Unknown) => tokio::task::yield_now().await,
                refused => return refused,
            }
        }
    })
    .await;
    assert_eq!(refused, Err(ProposeError::NotLeader { leader: None }));

    nodes.wires.heal();
    let last = nodes.commit(S0, &make_grant("g3")).await.index;
    nodes.applied(old, S0, last).await;
    assert_eq!(nodes.group(old, S0).peek(grants), 2, "g1 once and g3; g2 was never proposed");
    assert_eq!(nodes.group(old, S0).state_hash(), {
        nodes.applied(others[0], S0, last).await;
        nodes.group(others[0], S0).state_hash()
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn leadership_is_handed_over() {
    let nodes = Nodes::start(&[group(S0, &[])]).await;
    nodes.commit(S0, &put_workspace("w")).await;
    let old = nodes.leader(S0).await;
    let new = if old == N3 { N1 } else { N3 };
    nodes.group(old, S0).transfer_leadership(new).await.unwrap();
    let mut watch = nodes.group(old, S0).watch_leadership();
    guard(watch.wait_for(|now| now.leader == Some(new))).await.unwrap();
    let refused = nodes.group(old, S0).transfer_leadership(N2).await;
    assert_eq!(refused, Err(ReadError::NotLeader { leader: Some(new) }));
    nodes.commit(S0, &make_grant("g1")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_ends_hands_over_all_that_it_leads_and_never_to_a_learner() {
    const S1: GroupId = GroupId::Shard(ShardId(1));
    let specs = [group(META, &[N4]), group(S0, &[]), group(S1, &[])];
    let nodes = Nodes::start(&specs).await;
    nodes.commit(META, &register(1)).await;
    for shard in [S0, S1] {
        nodes.commit(shard, &put_workspace("w")).await;
    }
    let old = nodes.leader(S0).await;
    assert!(nodes.replica(old).hand_over(GUARD).await);
    for id in [META, S0, S1] {
        let new = nodes.group(old, id).leader().expect("somebody leads");
        assert!(new != old && new != N4, "{new} leads {id}");
    }
    // Once more: nothing is left to hand over.
    assert!(nodes.replica(old).hand_over(GUARD).await);
    nodes.commit(S0, &make_grant("g1")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_cut_off_waits_no_longer_than_asked_for_somebody_to_take_over() {
    let nodes = Nodes::start(&[group(S0, &[])]).await;
    nodes.commit(S0, &put_workspace("w")).await;
    let old = nodes.leader(S0).await;
    nodes.wires.cut(old);
    assert!(!guard(nodes.replica(old).hand_over(Duration::from_millis(300))).await);
    nodes.wires.heal();
    nodes.commit(S0, &make_grant("g1")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_learner_follows_and_never_decides() {
    let nodes = Nodes::start(&[group(META, &[N4]), group(S0, &[])]).await;
    let last = nodes.commit(META, &register(1)).await.index;
    nodes.applied(N4, META, last).await;
    let learner = nodes.group(N4, META);
    assert_eq!(learner.peek(|state| state.holders.len()), 1);
    assert_eq!(learner.status().role, Role::Learner);
    assert!(nodes.replica(N4).group(S0).is_none(), "it hosts what names it");

    // With one voter of three, the learner is no help.
    let leader = nodes.leader(META).await;
    for node in [N1, N2, N3].into_iter().filter(|node| *node != leader) {
        nodes.wires.cut(node);
    }
    let unknown = nodes.group(leader, META).propose(register(2), Duration::from_millis(500)).await;
    assert!(matches!(unknown, Err(ProposeError::Unknown | ProposeError::NotLeader { .. })), "{unknown:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_at_their_bound_and_past_it() {
    let nodes = Nodes::start(&[group(S0, &[])]).await;
    let leader = nodes.leader(S0).await;
    let size = |name: usize| {
        let command = put_workspace(&"x".repeat(name));
        (replication::encode_command(&command).unwrap().len(), command)
    };
    let most = 64 * 1024;
    let overhead = size(10_000).0 - 10_000;
    let (bytes, command) = size(most - overhead);
    assert_eq!(bytes, most);
    nodes.commit(S0, &command).await;
    let (bytes, command) = size(most - overhead + 1);
    let refused = nodes.group(leader, S0).propose(command, GUARD).await;
    assert_eq!(refused, Err(ProposeError::TooLarge { bytes, max: most }));
}

#[tokio::test]
async fn what_waits_is_bounded() {
    let nodes = Nodes::start_with(&[group(S0, &[])], |options| options.waiting_commands_max = 3).await;
    nodes.commit(S0, &put_workspace("w")).await;
    let group = nodes.group(nodes.leader(S0).await, S0);
    // On one thread all of them come before anybody looks at the first.
    let propose = |i| group.propose(register(i), Duration::from_secs(1));
    let answers = guard(futures::future::join_all((1..=9).map(propose))).await;
    let overloaded = Err(ProposeError::Overloaded { max: 3 });
    assert!(answers[..3].iter().all(|answer| *answer != overloaded), "{answers:?}");
    assert!(answers[3..].iter().all(|answer| *answer == overloaded), "{answers:?}");
    assert_ne!(propose(10).await, overloaded);
}
