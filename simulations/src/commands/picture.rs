//! `tranche-sim picture`: one part of a report by itself, to be shown elsewhere. Not here: what it looks like (`report`).

use super::Verdict;
use simulations::report::{self, Part, Report};
use std::path::PathBuf;

/// Writes one part of a report as a page of its own.
#[derive(Debug, clap::Args)]
pub struct Picture {
    /// The directory of a campaign, as `run` leaves it.
    #[arg(long, value_name = "DIRECTORY")]
    run: PathBuf,
    #[arg(long, value_enum)]
    part: Part,
    /// Where it is written.
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
}

impl Picture {
    pub fn run(&self) -> Verdict {
        let path = self.run.join("report.json");
        let text = std::fs::read_to_string(&path).map_err(|why| format!("{}: {why}", path.display()))?;
        let report: Report =
            serde_json::from_str(&text).map_err(|why| format!("{}: {why}", path.display()))?;
        let page = report::part(&report, self.part)
            .ok_or_else(|| format!("{}: this report has no such part", path.display()))?;
        std::fs::write(&self.to, page).map_err(|why| format!("{}: {why}", self.to.display()))?;
        Ok(true)
    }
}
