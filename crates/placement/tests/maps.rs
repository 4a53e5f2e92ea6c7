//! Maps as tables: what is one, what is refused, and the difference of two.

use placement::{
    BadMap, Map, Moves, REPLICAS_MAX, SHARDS_MAX, SLOTS, ShardMove, Slot, SlotMove, moves, slot_of,
};
use types::{NodeId, ShardId, WorkspaceId};

fn nodes(ids: &[u16]) -> Vec<NodeId> {
    ids.iter().copied().map(NodeId).collect()
}

fn slots(shards: u16) -> Vec<ShardId> {
    (0..SLOTS).map(|slot| ShardId(slot % shards)).collect()
}

fn map(replicas: &[&[u16]]) -> Result<Map, BadMap> {
    let shards = u16::try_from(replicas.len()).unwrap().max(1);
    Map::new(slots(shards), replicas.iter().map(|ids| nodes(ids)).collect())
}

#[test]
fn a_map_answers_from_its_tables() {
    let map = map(&[&[1, 2, 3], &[4, 2, 5]]).unwrap();
    let acme = WorkspaceId::parse("acme").unwrap();
    assert_eq!(slot_of(&acme).number(), 966);
    assert_eq!(map.shard_of(&acme), ShardId(0));
    assert_eq!(map.shard_at(Slot::new(967).unwrap()), ShardId(1));
    assert_eq!(map.replicas(ShardId(1)), nodes(&[4, 2, 5]));
    assert_eq!(map.replicas(ShardId(2)), []);
    assert_eq!(map.shards().collect::<Vec<_>>(), [ShardId(0), ShardId(1)]);
    assert_eq!(map.shards_on(NodeId(2)).collect::<Vec<_>>(), [ShardId(0), ShardId(1)]);
    assert_eq!(map.shards_on(NodeId(5)).collect::<Vec<_>>(), [ShardId(1)]);
    assert_eq!(map.shards_on(NodeId(9)).count(), 0);
    let again = Map::new(map.slot_table().to_vec(), map.replica_table().to_vec());
    assert_eq!(again, Ok(map));
}

#[test]
fn what_is_no_map() {
    for count in [0, 1_023, 1_025] {
        let table = vec![ShardId(0); count];
        assert_eq!(Map::new(table, vec![nodes(&[1])]), Err(BadMap::WrongSlots(count)));
    }
    let with_shards = |count: u16| Map::new(slots(count.max(1)), vec![nodes(&[1]); usize::from(count)]);
    assert!(with_shards(SHARDS_MAX).is_ok());
    assert_eq!(with_shards(0), Err(BadMap::WrongShards(0)));
    assert_eq!(with_shards(SHARDS_MAX + 1), Err(BadMap::WrongShards(65)));
    assert!(map(&[&[1], &[1, 2, 3, 4, 5, 6, 7]]).is_ok(), "{REPLICAS_MAX} replicas");
    assert_eq!(
        map(&[&[1], &[1, 2, 3, 4, 5, 6, 7, 8]]),
        Err(BadMap::WrongReplicas { shard: ShardId(1), replicas: 8 })
    );
    assert_eq!(map(&[&[1], &[]]), Err(BadMap::WrongReplicas { shard: ShardId(1), replicas: 0 }));
    assert_eq!(map(&[&[1], &[3, 1, 3]]), Err(BadMap::Twice { shard: ShardId(1), node: NodeId(3) }));
    let mut table = slots(2);
    table[9] = ShardId(2);
    let refused = Map::new(table, vec![nodes(&[1]), nodes(&[1])]).unwrap_err();
    assert_eq!(refused, BadMap::UnknownShard { slot: Slot::new(9).unwrap(), shard: ShardId(2) });
    assert_eq!(refused.to_string(), "slot 9 is in s2, which the map does not have");
}

#[test]
fn moves_name_what_changed_and_nothing_else() {
    let old = map(&[&[1, 2, 3], &[2, 3, 4], &[1, 2, 3], &[4, 5, 6]]).unwrap();
    let new = map(&[&[1, 3, 2], &[2, 5, 4], &[3, 1, 2], &[6, 1, 2]]).unwrap();
    assert!(moves(&old, &old).is_empty());
    let shard = |shard, join: &[u16], leave: &[u16], lead: Option<u16>| ShardMove {
        shard: ShardId(shard),
        join: nodes(join),
        leave: nodes(leave),
        lead: lead.map(NodeId),
    };
    let found = moves(&old, &new);
    assert_eq!(found.copies(), 3);
    assert_eq!(
        found,
        Moves {
            slots: vec![],
            shards: vec![
                shard(1, &[5], &[3], None),
                shard(2, &[], &[], Some(3)),
                shard(3, &[1, 2], &[4, 5], Some(6)),
            ],
        }
    );
}

#[test]
fn a_shard_that_is_new_joins_and_one_that_is_gone_leaves() {
    let one = map(&[&[1, 2]]).unwrap();
    let mut table = slots(1);
    table[7] = ShardId(1);
    let two = Map::new(table, vec![nodes(&[1, 2]), nodes(&[2, 1])]).unwrap();
    let slot = Slot::new(7).unwrap();
    let split = moves(&one, &two);
    assert_eq!(split.slots, [SlotMove { slot, from: ShardId(0), to: ShardId(1) }]);
    let joined = ShardMove { shard: ShardId(1), join: nodes(&[1, 2]), leave: vec![], lead: Some(NodeId(2)) };
    assert_eq!(split.shards, [joined]);
    let merged = moves(&two, &one);
    assert_eq!(merged.slots, [SlotMove { slot, from: ShardId(1), to: ShardId(0) }]);
    let left = ShardMove { shard: ShardId(1), join: vec![], leave: nodes(&[1, 2]), lead: None };
    assert_eq!(merged.shards, [left]);
}
