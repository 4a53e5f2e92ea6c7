//! What the other nodes' clocks say, asked again and again. Not here: what follows from it (`platform::AgreedClock`).

use platform::{AgreedClock, Clock};
use std::sync::Arc;
use std::time::Duration;
use transport::Link;
use types::NodeId;

/// How far a clock may be off before the operator is told.
const SKEW_MS: u64 = 1_000;
const ASK_WITHIN: Duration = Duration::from_millis(500);
/// Between two questions: until half of the others have answered, and from then on.
const AT_FIRST: Duration = Duration::from_millis(200);
const USUALLY: Duration = Duration::from_secs(2);

/// Ends when it is dropped.
pub(crate) async fn keep_time(link: Arc<Link>, agreed: Arc<AgreedClock>, others: Vec<NodeId>) {
    let mut was_off = false;
    loop {
        let ask = |node: NodeId| {
            let (link, agreed) = (link.clone(), agreed.clone());
            async move {
                let sent = agreed.monotonic();
                let wall = link.time(node, ASK_WITHIN).await.ok()?;
                agreed.note(node, wall, agreed.monotonic().saturating_sub(sent));
                Some(())
            }
        };
        let heard = futures::future::join_all(others.iter().copied().map(ask)).await;
        let behind_ms = agreed.correction_ms();
        let is_off = behind_ms.unsigned_abs() > SKEW_MS;
        if is_off && !was_off {
            tracing::warn!(
                behind_ms,
                "this node's clock is not what most nodes agree on; set it right (NTP)"
            );
        }
        was_off = is_off;
        let are_most_heard = heard.iter().flatten().count() * 2 >= others.len();
        tokio::time::sleep(if are_most_heard { USUALLY } else { AT_FIRST }).await;
    }
}
