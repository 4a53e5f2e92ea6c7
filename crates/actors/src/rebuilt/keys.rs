//! Tests of how a node forgets idempotency keys: by what most nodes' clocks say, never by its own alone.

use super::*;
use crate::one_node::node_by;
use journal::{Begun, Charge};
use platform::{AgreedClock, ManualClock};
use types::{IdempotencyKey, Timestamp};

const TRUTH: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// A node that has started cut off from the others, with a clock that is a day fast.
#[tokio::test]
async fn a_node_that_has_heard_nobody_forgets_no_key() {
    let window_ms = journal_options().key_window_ms;
    let own = Arc::new(ManualClock::at(TRUTH.plus_ms(25 * i64::from(window_ms))));
    let agreed = Arc::new(AgreedClock::new(own.clone(), 2));
    let options = Options { tick_ms: 60_000, ..actor_options() };
    let (holder, shards) = node_by(agreed.clone(), MemDisk::new(), options).await;
    funded(&shards).await;
    let ann = UserId::parse("ann").unwrap();
    tokio::time::timeout(GUARD, spend(&holder, &ann)).await.expect("ann is served");
    let key = IdempotencyKey::parse("k").unwrap();
    let begin = || holder.keys().begin(&workspace(), &ann, &key, [1; 32]);
    let Begun::Fresh(guard) = begin() else { panic!("it is new") };
    let handle = holder.find(&workspace(), &ann).unwrap();
    let permit = holder.journal().reserve().unwrap();
    let spent = handle.try_spend(one()).unwrap();
    // As it was dated before the node started.
    let keyed = Charge { at: TRUTH, key: Some(guard), ..charge(&handle, spent) };
    permit.charge(keyed).await.unwrap();
    let ticked = || async {
        holder.0.supervisor.get().unwrap().cast(SupervisorMessage::Tick).unwrap();
        assert!(holder.drain(GUARD).await, "answered after the tick");
    };
    ticked().await;
    assert!(matches!(begin(), Begun::Replay(_)), "nobody was heard");
    agreed.note(NodeId(2), TRUTH.plus_ms(1), Duration::ZERO);
    ticked().await;
    assert!(matches!(begin(), Begun::Replay(_)), "most nodes say that it is young");
    own.advance_ms(window_ms);
    ticked().await;
    assert!(matches!(begin(), Begun::Fresh(_)), "its window has passed");
}
