//! What every handler has at hand: the product, the deadlines, the metrics.

use crate::door::OperatorKey;
use crate::error::{Code, Refused};
use crate::extract::Conditions;
use crate::fingerprint;
use crate::metrics::Metrics;
use crate::test_clock::TestClock;
use quota::{AdminCommand, Change, KeyedBy, Outcome, Quota, Refusal};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use types::WorkspaceId;

/// How long one request may take, part by part.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// From the head of a request to the end of its body.
    pub body_read_ms: u64,
    /// The last resort for an answer; `quota` has shorter deadlines of its own.
    pub answer_ms: u64,
}

/// One node's HTTP surface. `quota` may be set later than the listener opens: until then the node lives
/// (`/healthz`) but is not ready, and every `/v1` route answers `no_leader`.
#[derive(Debug)]
pub struct App {
    pub quota: Arc<OnceLock<Quota>>,
    pub operator_key: OperatorKey,
    pub deadlines: Deadlines,
    pub metrics: Metrics,
    /// Only where time may be put ahead.
    pub test_clock: Option<Arc<dyn TestClock>>,
}

/// A question on its way. On the heap: what waits for an answer need not know all that the answer waits for.
pub(crate) type Question<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

impl App {
    pub(crate) fn quota(&self) -> Result<&Quota, Refused> {
        self.quota.get().ok_or_else(|| Refused::new(Code::NoLeader, "this node is still starting"))
    }

    /// Waits for a write. Past the deadline nobody knows whether it was done; it may still be.
    pub(crate) async fn change<T>(&self, asked: Question<'_, Result<T, Refusal>>) -> Result<T, Refused> {
        let late = || Refused::new(Code::OutcomeUnknown, "the answer did not come in time; ask again");
        Ok(self.within(asked).await.ok_or_else(late)??)
    }

    /// An administrator's write.
    pub(crate) async fn administer(
        &self,
        workspace: WorkspaceId,
        conditions: Conditions,
        change: Change,
    ) -> Result<Outcome, Refused> {
        let Conditions { key, if_match } = conditions;
        let keyed = key.map(|key| KeyedBy { key, command_hash: fingerprint::of(&workspace, &change) });
        let command = AdminCommand { workspace, keyed, if_match, change };
        self.change(Box::pin(self.quota()?.administer(command))).await
    }

    /// Waits for something that has no effect.
    pub(crate) async fn read<T>(&self, asked: Question<'_, Result<T, Refusal>>) -> Result<T, Refused> {
        let late = || Refused::new(Code::TimedOut, "the answer did not come in time; nothing was changed");
        Ok(self.within(asked).await.ok_or_else(late)??)
    }

    /// `None`: the answer did not come in time.
    pub(crate) async fn within<T>(&self, asked: Question<'_, T>) -> Option<T> {
        tokio::time::timeout(Duration::from_millis(self.deadlines.answer_ms), asked).await.ok()
    }
}
