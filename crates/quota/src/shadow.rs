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
        match (enforcement, would_refuse(reason)) {
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

/// `None`: it says nothing of credits or of who may spend, and may pass.
fn would_refuse(reason: &DenialReason) -> Option<WouldRefuse> {
    match reason {
        DenialReason::Exhausted => Some(WouldRefuse::Exhausted),
        DenialReason::AllocationExhausted => Some(WouldRefuse::AllocationExhausted),
        DenialReason::LimitReached(_) => Some(WouldRefuse::LimitReached),
        DenialReason::OverageCapReached => Some(WouldRefuse::OverageCapReached),
        DenialReason::AccessDisabled => Some(WouldRefuse::AccessDisabled),
        DenialReason::UnknownUser => Some(WouldRefuse::UnknownUser),
        DenialReason::Frozen | DenialReason::ScopesChanged => None,
    }
}
