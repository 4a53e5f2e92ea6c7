//! Slots and homes: golden values, which are a contract with disks and other versions; evenness; what moves.

use placement::{
    BadMembership, Membership, MembershipEpoch, NODES_MAX, Node, SLOTS, Slot, WEIGHT_MAX, ZONE_BYTES_MAX,
    slot_of,
};
use proptest::prelude::*;
use std::collections::BTreeMap;
use types::{NodeId, UserId, WorkspaceId};

fn workspace(id: &str) -> WorkspaceId {
    WorkspaceId::parse(id).unwrap()
}

fn user(id: &str) -> UserId {
    UserId::parse(id).unwrap()
}

fn node(id: u16, weight: u8) -> Node {
    Node { id: NodeId(id), zone: String::new(), weight }
}

fn members(nodes: &[(u16, u8)]) -> Result<Membership, BadMembership> {
    Membership::new(MembershipEpoch(1), nodes.iter().map(|(id, weight)| node(*id, *weight)).collect())
}

fn homes(members: &Membership, workspace_id: &str, user_id: &str) -> Vec<u16> {
    let homes = members.homes(&workspace(workspace_id), &user(user_id));
    homes.into_iter().map(|node| node.0).collect()
}

/// How many of `users` users of one workspace have their home where.
fn homes_by_node(members: &Membership, users: usize) -> BTreeMap<u16, usize> {
    let ws = workspace("acme");
    (0..users).fold(BTreeMap::new(), |mut counts, n| {
        *counts.entry(members.home(&ws, &user(&format!("user-{n}"))).0).or_insert(0) += 1;
        counts
    })
}

#[test]
fn slots_never_change() {
    let long = "x".repeat(128);
    for (id, slot) in [
        ("a", 603),
        ("acme", 966),
        ("Acme", 504),
        ("w1", 250),
        ("ws-1", 871),
        ("ws-2", 928),
        ("team@example.com", 193),
        (long.as_str(), 403),
    ] {
        assert_eq!(slot_of(&workspace(id)).number(), slot, "{id}");
    }
}

#[test]
fn there_are_1024_slots() {
    assert_eq!(Slot::all().count(), 1_024);
    assert_eq!(Slot::new(SLOTS - 1).map(Slot::number), Some(1_023));
    assert_eq!(Slot::new(SLOTS), None);
}

#[test]
fn workspaces_spread_over_slots_and_shards() {
    let mut by_slot = vec![0_u32; usize::from(SLOTS)];
    for n in 0..102_400 {
        by_slot[usize::from(slot_of(&workspace(&format!("ws-{n}"))).number())] += 1;
    }
    // 100 each, give or take five standard deviations.
    assert!(by_slot.iter().all(|count| (50..=150).contains(count)), "{by_slot:?}");
    for shard in 0..8 {
        let in_shard: u32 = by_slot.iter().skip(shard).step_by(8).sum();
        assert!((12_250..=13_350).contains(&in_shard), "{in_shard} of 12,800 in shard {shard}");
    }
}

#[test]
fn homes_never_change_while_the_members_do_not() {
    let five = members(&[(1, 1), (2, 1), (3, 1), (4, 1), (5, 1)]).unwrap();
    let weighted = members(&[(1, 1), (2, 2), (3, 16)]).unwrap();
    for (id, of_five, of_weighted) in [
        ("ann", [5, 1, 3, 4, 2], [3, 1, 2]),
        ("bob", [3, 1, 4, 5, 2], [3, 1, 2]),
        ("carol", [1, 3, 4, 2, 5], [2, 3, 1]),
        ("dave", [1, 2, 3, 4, 5], [3, 1, 2]),
        ("erin", [5, 4, 1, 2, 3], [3, 2, 1]),
    ] {
        assert_eq!(homes(&five, "acme", id), of_five, "{id}");
        assert_eq!(homes(&weighted, "acme", id), of_weighted, "{id}");
    }
    // The border between workspace and user is part of the key.
    assert_eq!(homes(&five, "ac", "meann"), [5, 2, 3, 1, 4]);
}

#[test]
fn homes_follow_weights() {
    let equal = homes_by_node(&members(&[(1, 1), (2, 1), (3, 1), (4, 1), (5, 1)]).unwrap(), 50_000);
    assert!(equal.values().all(|count| (9_600..=10_400).contains(count)), "{equal:?}");
    let heavy = homes_by_node(&members(&[(1, 1), (2, 3), (3, 16)]).unwrap(), 50_000);
    for (id, expected) in [(1, 2_500), (2, 7_500), (3, 40_000)] {
        assert!(heavy[&id].abs_diff(expected) <= 400, "{heavy:?}");
    }
    let all_heavy = homes_by_node(&members(&[(1, 16), (2, 16)]).unwrap(), 50_000);
    assert!(all_heavy[&1].abs_diff(25_000) <= 600, "{all_heavy:?}");
}

#[test]
fn a_user_of_two_workspaces_has_two_homes() {
    let five = members(&[(1, 1), (2, 1), (3, 1), (4, 1), (5, 1)]).unwrap();
    let alike = (0..1_000).filter(|n| {
        let id = user(&format!("user-{n}"));
        five.home(&workspace("a"), &id) == five.home(&workspace("b"), &id)
    });
    let alike = alike.count();
    assert!((140..=260).contains(&alike), "{alike} of about 200");
}

#[test]
fn a_membership_at_its_bounds() {
    assert_eq!(members(&[]), Err(BadMembership::NoNodes));
    assert_eq!(members(&[(1, 1), (2, 1), (1, 1)]), Err(BadMembership::Twice(NodeId(1))));
    assert!(members(&[(1, WEIGHT_MAX)]).is_ok());
    for weight in [0, WEIGHT_MAX + 1] {
        let refused = members(&[(1, 1), (2, weight)]);
        assert_eq!(refused, Err(BadMembership::BadWeight { node: NodeId(2), weight }));
    }
    let many = |count: usize| (1..).take(count).map(|id| node(id, 1)).collect();
    assert!(Membership::new(MembershipEpoch(1), many(NODES_MAX)).is_ok());
    let refused = Membership::new(MembershipEpoch(1), many(NODES_MAX + 1));
    assert_eq!(refused, Err(BadMembership::TooManyNodes(257)));
    let in_zone = |bytes: usize| {
        Membership::new(MembershipEpoch(1), vec![Node { zone: "z".repeat(bytes), ..node(1, 1) }])
    };
    assert!(in_zone(ZONE_BYTES_MAX).is_ok());
    assert_eq!(in_zone(129), Err(BadMembership::ZoneTooLong { node: NodeId(1), bytes: 129 }));
}

#[test]
fn a_membership_is_ordered_and_knows_its_epoch() {
    let nodes = vec![node(9, 1), node(2, 3)];
    let members = Membership::new(MembershipEpoch(7), nodes).unwrap();
    assert_eq!(members.epoch(), MembershipEpoch(7));
    assert_eq!(members.nodes(), [node(2, 3), node(9, 1)]);
    assert!(members.contains(NodeId(9)) && !members.contains(NodeId(3)));
}

fn some_members() -> impl Strategy<Value = Vec<(u16, u8)>> {
    prop::collection::btree_map(1_u16..=500, 1_u8..=16, 2..=12).prop_map(|nodes| nodes.into_iter().collect())
}

proptest! {
    #[test]
    fn a_home_is_the_first_preference_in_any_order_of_nodes(nodes in some_members(), id in "[a-z]{1,12}") {
        let known = members(&nodes).unwrap();
        let backwards = members(&nodes.iter().rev().copied().collect::<Vec<_>>()).unwrap();
        let order = homes(&known, "acme", &id);
        prop_assert_eq!(known.home(&workspace("acme"), &user(&id)).0, order[0]);
        prop_assert_eq!(&homes(&backwards, "acme", &id), &order);
        let mut sorted = order;
        sorted.sort_unstable();
        prop_assert_eq!(sorted, nodes.iter().map(|(id, _)| *id).collect::<Vec<_>>());
    }

    #[test]
    fn who_leaves_gives_up_only_his_own(nodes in some_members(), at in any::<prop::sample::Index>(), id in "[a-z]{1,12}") {
        let mut rest = nodes.clone();
        let (gone, _) = rest.remove(at.index(nodes.len()));
        let mut order = homes(&members(&nodes).unwrap(), "acme", &id);
        order.retain(|node| *node != gone);
        prop_assert_eq!(homes(&members(&rest).unwrap(), "acme", &id), order);
    }

    #[test]
    fn who_gets_heavier_takes_only_to_himself(nodes in some_members(), at in any::<prop::sample::Index>(), id in "[a-z]{1,12}") {
        let mut heavier = nodes.clone();
        let at = at.index(nodes.len());
        heavier[at].1 = 16;
        let (before, after) = (homes(&members(&nodes).unwrap(), "acme", &id), homes(&members(&heavier).unwrap(), "acme", &id));
        prop_assert!(after[0] == before[0] || after[0] == nodes[at].0);
    }
}
