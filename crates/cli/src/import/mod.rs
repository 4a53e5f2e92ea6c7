//! `tranche usage import`: tells of the usage in a file, batch by batch. Rows are charged once, by their ids, so that a file that
//! was sent in part is sent again whole. Not here: the file (`rows`), what is charged (`ledger`).

mod rows;

use crate::table::{Side, Table, fields};
use crate::target::{Failure, Target};
use clap::Args;
use client::{Client, Conditions};
use rows::{BadRow, Rows};
use serde::Serialize;
use std::path::PathBuf;
use types::{Credits, WorkspaceId};
use wire::json::{self, ImportAnswer, ImportItem, ImportUsage};

/// Rows of one request.
const BATCH_ROWS_MAX: usize = 500;
/// Bytes of one request: a node takes a little more.
const BATCH_BYTES_MAX: usize = 900 * 1024;
/// Refused rows that are shown one by one.
const SHOWN_MAX: usize = 20;

/// Tells of usage that happened elsewhere, from a file; sent again it is charged once
#[derive(Args, Clone, Debug)]
pub struct Import {
    workspace: WorkspaceId,
    /// .csv with the columns id, user, feature, happened_at, and model, amount or units.UNIT; or .jsonl with an item of the API
    /// in each line
    file: PathBuf,
}

/// What became of a file.
#[derive(Debug, Default, Serialize)]
struct Summary {
    rows: u64,
    charged: u64,
    duplicates: u64,
    refused: u64,
    /// Of the rows that were charged now.
    credits: json_amount::Sum,
    uncovered: json_amount::Sum,
    /// The first ones.
    refusals: Vec<Refusal>,
}

#[derive(Debug, Serialize)]
struct Refusal {
    line: u64,
    id: Option<String>,
    code: String,
    detail: String,
}

/// Sums of amounts as the API writes them.
mod json_amount {
    use super::Credits;
    use serde::{Serialize, Serializer};

    #[derive(Clone, Copy, Debug, Default)]
    pub(super) struct Sum(pub Credits);

    impl Serialize for Sum {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_str(&self.0)
        }
    }
}

pub(crate) async fn run(target: &Target, what: Import) -> Result<(), Failure> {
    let Import { workspace, file } = what;
    let client = target.client()?;
    let mut rows = Rows::open(&file)?;
    let mut summary = Summary::default();
    while let Some(batch) = next_batch(&mut rows, &mut summary) {
        send(&client, &workspace, batch, &mut summary).await?;
    }
    target.print(&summary, shown)?;
    let Summary { rows, refused, .. } = summary;
    if refused == 0 { Ok(()) } else { Err(Failure::RowsRefused { refused, rows }) }
}

/// `None`: there is nothing left to send. Rows that cannot be read are noted.
fn next_batch(rows: &mut Rows, summary: &mut Summary) -> Option<Vec<(u64, ImportItem)>> {
    let (mut batch, mut bytes) = (Vec::new(), 0);
    while batch.len() < BATCH_ROWS_MAX && bytes < BATCH_BYTES_MAX {
        let Some(row) = rows.next() else { break };
        summary.rows += 1;
        match row {
            Ok((line, item)) => {
                bytes += json::write(&item).len() + 1;
                batch.push((line, item));
            }
            Err(BadRow { line, why }) => summary.refuse(line, None, "unreadable".into(), why),
        }
    }
    (!batch.is_empty()).then_some(batch)
}

async fn send(
    client: &Client,
    workspace: &WorkspaceId,
    batch: Vec<(u64, ImportItem)>,
    summary: &mut Summary,
) -> Result<(), Failure> {
    let (lines, items): (Vec<u64>, Vec<ImportItem>) = batch.into_iter().unzip();
    let asked = ImportUsage { items };
    let answered = client.import_usage(workspace, &asked, &Conditions::NONE).await;
    let sent = summary.charged + summary.duplicates;
    let answered = answered.map_err(|why| Failure::Interrupted { sent, why: Box::new(why.into()) })?;
    for (line, answer) in lines.into_iter().zip(answered.items) {
        match answer {
            ImportAnswer::Charged(imported) if imported.duplicate => summary.duplicates += 1,
            ImportAnswer::Charged(imported) => {
                summary.charged += 1;
                summary.credits.0 = summary.credits.0.saturating_add(imported.charged.0);
                summary.uncovered.0 = summary.uncovered.0.saturating_add(imported.uncovered.0);
            }
            ImportAnswer::Refused(json::RefusedImport { id, problem }) => {
                summary.refuse(line, id.map(|id| id.0.to_string()), problem.code, problem.detail);
            }
        }
    }
    Ok(())
}

impl Summary {
    fn refuse(&mut self, line: u64, id: Option<String>, code: String, detail: String) {
        self.refused += 1;
        if self.refusals.len() < SHOWN_MAX {
            self.refusals.push(Refusal { line, id, code, detail });
        }
    }
}

fn shown(summary: &Summary) -> String {
    let Summary { rows, charged, duplicates, refused, credits, uncovered, refusals } = summary;
    let mut text = fields(&[
        ("rows", rows.to_string()),
        ("charged", format!("{charged}, {} credits", credits.0)),
        ("uncovered", format!("{} credits", uncovered.0)),
        ("duplicates", duplicates.to_string()),
        ("refused", refused.to_string()),
    ]);
    if !refusals.is_empty() {
        let names = ["line", "id", "code", "why"];
        let mut table = Table::new(&names.map(|name| (name, Side::Left)));
        for Refusal { line, id, code, detail } in refusals {
            table.row([
                line.to_string(),
                id.clone().unwrap_or_else(|| "-".into()),
                code.clone(),
                detail.clone(),
            ]);
        }
        text.push_str(&format!("\n{table}"));
    }
    text
}
