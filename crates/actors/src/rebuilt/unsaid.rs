//! Tests of what a pool actor that fails leaves unsaid: its successor says it, and no drain ends well before.

use super::*;
use crate::{Holder, Shards};
use journal::LineView;
use tokio::sync::oneshot;
use types::{LineNumber, WorkspaceId};

/// The supervisor ticks only when a test says so.
fn by_hand() -> Options {
    Options { tick_ms: 60_000, ..actor_options() }
}

fn tell(holder: &Holder, message: SupervisorMessage) {
    holder.0.supervisor.get().unwrap().cast(message).unwrap();
}

/// The supervisor ticks until that is done.
async fn ticking<T>(holder: &Holder, work: impl Future<Output = T>) -> T {
    let ticks = async {
        let mut often = tokio::time::interval(Duration::from_millis(5));
        loop {
            often.tick().await;
            tell(holder, SupervisorMessage::Tick);
        }
    };
    let done = async {
        tokio::select! { done = work => done, () = ticks => unreachable!("it ticks for ever") }
    };
    tokio::time::timeout(GUARD, done).await.expect("it comes to its end")
}

/// The pool fails; its children go with it, and the supervisor has listed its lines.
async fn fail_pool(holder: &Holder, child: &ActorRef<AllocationMessage>) {
    let pool = child.get_cell().try_get_supervisor().unwrap();
    tell(holder, SupervisorMessage::ToPool { workspace: workspace(), message: PoolMessage::Panic });
    pool.wait(None).await.unwrap();
    child.get_cell().wait(None).await.unwrap();
    // What happened to actors is handled before any message. Of a workspace that nobody has all is confirmed.
    assert!(holder.confirm(&WorkspaceId::parse("other").unwrap(), LineNumber(1)).await);
}

async fn line(holder: &Holder) -> Option<LineView> {
    holder.journal().lines().await.unwrap().pop()
}

/// A pool fails while the close of ann's line waits for a charge; the charge comes after the line was listed as open. Two
/// credits are spent.
async fn closed_meanwhile() -> (Holder, Arc<Shards>, UserId) {
    let (holder, shards, ann, _) = with_a_line(by_hand()).await;
    let handle = holder.find(&workspace(), &ann).unwrap();
    let child = handle.actor().unwrap();
    let permit = holder.journal().reserve().unwrap();
    let spent = handle.try_spend(one()).unwrap();
    let (reply, _closes) = oneshot::channel();
    child.cast(AllocationMessage::Drain { reply }).unwrap();
    while !handle.observe().sealed {
        tokio::task::yield_now().await;
    }
    fail_pool(&holder, &child).await;
    assert!(!line(&holder).await.unwrap().closed, "it waits for the charge");
    permit.charge(charge(&handle, spent)).await.unwrap();
    assert!(line(&holder).await.unwrap().closed);
    (holder, shards, ann)
}

#[tokio::test]
async fn a_line_that_closes_after_it_was_listed_is_said_closed() {
    let (holder, shards, ann) = closed_meanwhile().await;
    let folded = async {
        while line(&holder).await.is_some() {
            tokio::task::yield_now().await;
        }
    };
    ticking(&holder, folded).await;
    let view = summary(&shards).await;
    assert_eq!((view.used, view.leased), (Credits::whole(2).unwrap(), Credits::ZERO));
    assert!(ticking(&holder, holder.drain(GUARD)).await);
    tokio::time::timeout(GUARD, spend(&holder, &ann)).await.expect("ann goes on");
}

#[tokio::test]
async fn a_user_whose_line_closed_meanwhile_goes_on_with_another() {
    let (holder, shards, ann) = closed_meanwhile().await;
    tokio::time::timeout(GUARD, spend(&holder, &ann)).await.expect("ann goes on");
    assert!(ticking(&holder, holder.drain(GUARD)).await, "every line is folded");
    let view = summary(&shards).await;
    assert_eq!((view.used, view.leased), (Credits::whole(3).unwrap(), Credits::ZERO));
}

/// In an actor's place; it does nothing.
struct Lingers;

impl ractor::Actor for Lingers {
    type Msg = AllocationMessage;
    type State = ();
    type Arguments = ();

    async fn pre_start(
        &self,
        _: ActorRef<AllocationMessage>,
        (): (),
    ) -> Result<(), ractor::ActorProcessingErr> {
        Ok(())
    }
}

/// A line whose actor has not gone yet is still open when the successor of its pool is told to drain.
#[tokio::test]
async fn a_drain_right_after_a_pool_failed_waits_for_its_lines() {
    let (holder, shards, ann, _) = with_a_line(by_hand()).await;
    let handle = holder.find(&workspace(), &ann).unwrap();
    fail_pool(&holder, &handle.actor().unwrap()).await;
    let (lingers, _task) = ractor::Actor::spawn(None, Lingers, ()).await.unwrap();
    handle.set_actor(Some(lingers.clone()));
    let drained = holder.drain(GUARD);
    tokio::pin!(drained);
    for _later in 0..3 {
        // It stands behind the drain in the same mailboxes.
        let heard = async { holder.confirm(&workspace(), LineNumber(99)).await };
        tokio::select! {
            biased;
            drained = &mut drained => panic!("{drained}: ann's line is open"),
            heard = heard => assert!(heard),
        }
    }
    lingers.stop_and_wait(None, None).await.unwrap();
    assert!(ticking(&holder, drained).await, "then the successor gives all back");
    assert_eq!(summary(&shards).await.leased, Credits::ZERO);
    assert!(line(&holder).await.is_none());
}
