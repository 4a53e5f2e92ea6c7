//! What measurements stand on: rounds, processes, nodes, load, and the table. Not here: any measurement; those are
//! the files beside `measure.rs`, one for each part of the speed page.

pub mod claim;
pub mod http;
pub mod load;
pub mod machine;
pub mod node;
pub mod process;
pub mod report;
pub mod rounds;
pub mod zipf;

/// Why a measurement could not be made; not that its target was missed.
#[derive(Debug, thiserror::Error)]
pub enum NotMeasured {
    #[error("{what}: {source}")]
    Io { what: String, source: std::io::Error },
    #[error("{0}")]
    Wrong(String),
}

impl NotMeasured {
    pub fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    pub fn wrong(what: impl Into<String>) -> Self {
        Self::Wrong(what.into())
    }
}

/// How much is measured: everything, or a hundredth of it to see that it works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    Full,
    Quick,
}

impl Size {
    /// `full` of something, or a hundredth of it.
    pub fn of(self, full: u64) -> u64 {
        match self {
            Self::Full => full,
            Self::Quick => (full / 100).max(1),
        }
    }

    /// Rounds: enough for a median, or just three.
    pub fn rounds(self, full: usize) -> usize {
        match self {
            Self::Full => full,
            Self::Quick => full.min(3),
        }
    }
}
