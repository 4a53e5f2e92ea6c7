//! What a kept film shows of a step: words, whom and which line it is about, and what stands in books and leases after it.
//! Not here: making films (`world_a`), stepping through them (`stepper`).

use serde::{Deserialize, Serialize};

/// One step of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shot {
    pub at_us: u64,
    pub step: String,
    pub node: String,
    #[serde(flatten)]
    pub scene: Scene,
}

/// What changed with a step; amounts in micro-credits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scene {
    pub words: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Lines as the ledger has them, by `workspace/node/number`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<Line>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pools: Vec<Pool>,
    /// Leases as their holders have them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leases: Vec<Lease>,
    /// All else that is known of lines and leases of this node is void: its process has died.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub died: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    pub name: String,
    pub user: String,
    pub drawn: u64,
    pub returned: u64,
    /// Used and unattributed.
    pub used: u64,
    pub written_off: u64,
    pub frozen: bool,
    /// Folded: nothing is out any more.
    pub closed: bool,
}

impl Line {
    #[must_use]
    pub fn out(&self) -> u64 {
        self.drawn.saturating_sub(self.returned + self.used + self.written_off)
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    pub name: String,
    pub granted: u64,
    pub available: u64,
    pub out: u64,
    pub used: u64,
    /// Promised away out of lines, and not yet returned.
    pub pending: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    pub node: String,
    /// By `workspace/node/number`.
    pub line: String,
    pub user: String,
    /// On the word: what can be spent now.
    pub balance: u64,
    /// Drawn, not yet promised to the disk. `None`: as before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub above: Option<u64>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub closed: bool,
}

/// Writes a film, one step a line.
///
/// # Errors
/// The file cannot be written.
pub fn write(path: &std::path::Path, film: &[Shot]) -> std::io::Result<()> {
    use std::io::Write;
    let mut file = std::io::BufWriter::new(std::fs::File::create(path)?);
    for shot in film {
        serde_json::to_writer(&mut file, shot)?;
        file.write_all(b"\n")?;
    }
    file.flush()
}
