//! Usage that happened elsewhere. Not here: shapes, retries.

use crate::administration::Conditions;
use crate::error::Error;
use crate::exchange::{Client, path};
use types::WorkspaceId;
use wire::json::{ImportUsage, ImportedUsage};

impl Client {
    /// Up to 500 items, each with an answer of its own, in order. Each is charged once, by its id, so that it is asked again by
    /// itself.
    pub async fn import_usage(
        &self,
        workspace: &WorkspaceId,
        asked: &ImportUsage,
        conditions: &Conditions,
    ) -> Result<ImportedUsage, Error> {
        let path = path(&["v1", "workspaces", workspace.as_str(), "usage", "import"])?;
        self.ask(&conditions.ask_once(path, asked)).await
    }
}
