//! Shadow mode: what a workspace without enforcement is denied is not refused. Not here: the charge of nothing by which it is
//! counted (`consume`).

use crate::Refusal;
use ledger::DenialReason;
use types::{Enforcement, WouldRefuse};

/// Why no credits came.
#[derive(Debug)]
pub(crate) enum NoCredits {
    Refused(Refusal),
    /// They are denied, by the ledger's word of just now, and it says that nothing is refused for that.
    Shadow(WouldRefuse, Refusal),
}

impl NoCredits {
    /// Where even nothing is not to be had, or what is asked knows no shadow.
    pub(crate) fn refusal(self) -> Refusal {
        match self {
            Self::Refused(refusal) | Self::Shadow(_, refusal) => refusal,
        }
    }

    /// What a denial means under this enforcement.
    pub(crate) fn denied(reason: &DenialReason, enforcement: Enforcement, refusal: Refusal) -> Self {
        match (enforcement, reason.would_refuse()) {
            (Enforcement::Shadow, Some(code)) => Self::Shadow(code, refusal),
            (Enforcement::On, _) | (Enforcement::Shadow, None) => Self::Refused(refusal),
        }
    }
}

impl From<Refusal> for NoCredits {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}
