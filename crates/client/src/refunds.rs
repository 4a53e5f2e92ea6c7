//! Refunds, and charges as they are looked up. Not here: shapes, retries.

use crate::administration::Conditions;
use crate::error::Error;
use crate::exchange::{Ask, Client, path};
use reqwest::Method;
use types::{AnyCharge, RefundId, WorkspaceId};
use wire::json::{ChargeRecord, PutRefund, Refund};

impl Client {
    /// Gives back what was charged. With an id of its own, or a key, it is done once, and asked again by itself.
    pub async fn refund(
        &self,
        workspace: &WorkspaceId,
        asked: &PutRefund,
        conditions: &Conditions,
    ) -> Result<Refund, Error> {
        let path = path(&["v1", "workspaces", workspace.as_str(), "refunds"])?;
        let ask = if asked.id.is_some() {
            conditions.ask_once(path, asked)
        } else {
            conditions.ask(Method::POST, path, asked)
        };
        self.ask(&ask).await
    }

    pub async fn refund_made(&self, workspace: &WorkspaceId, refund: &RefundId) -> Result<Refund, Error> {
        self.ask(&Ask::read(path(&["v1", "workspaces", workspace.as_str(), "refunds", refund.as_str()])?))
            .await
    }

    /// Who was charged for what, which grants paid, and what was refunded.
    pub async fn charge(&self, workspace: &WorkspaceId, charge: AnyCharge) -> Result<ChargeRecord, Error> {
        let charge = charge.to_string();
        self.ask(&Ask::read(path(&["v1", "workspaces", workspace.as_str(), "charges", &charge])?)).await
    }
}
