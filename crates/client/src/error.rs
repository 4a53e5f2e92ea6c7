//! Why a caller does not get what it asked for: the node said no, or could not be asked. Not here: what is retried.

use types::{Credits, Timestamp};
use wire::json::Problem;

/// One failed request, after all its attempts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The node answered no, and says why.
    #[error("{}{}", .0.detail, would_help(.0))]
    Problem(Box<Problem>),
    /// There is no answer of a node.
    #[error("{0}")]
    Transport(Transport),
    /// No request can be made of this: nothing was sent.
    #[error("{0}")]
    Unaddressable(String),
}

fn would_help(problem: &Problem) -> String {
    problem.would_help.as_ref().map_or_else(String::new, |help| format!(". {help}"))
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.say())]
pub struct Transport {
    /// Base URL of the node that was asked last.
    pub node: String,
    pub kind: TransportKind,
    /// What the system or the HTTP library says.
    pub detail: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransportKind {
    /// No connection could be made: nothing was asked.
    Unreachable,
    /// The answer did not come in time. What was asked may be done.
    TimedOut,
    /// The connection broke before the answer was complete. What was asked may be done.
    Broken,
    /// Something answered that does not speak this API, a proxy for example. What was asked may be done.
    Unreadable,
}

impl Transport {
    /// Whether the request may have been done, or may still be.
    pub fn outcome_unknown(&self) -> bool {
        match self.kind {
            TransportKind::Unreachable => false,
            TransportKind::TimedOut | TransportKind::Broken | TransportKind::Unreadable => true,
        }
    }

    fn say(&self) -> String {
        let Self { node, kind, detail } = self;
        match kind {
            TransportKind::Unreachable => {
                format!("{node} cannot be reached ({detail}). Check the URL, and whether the node runs")
            }
            TransportKind::TimedOut => {
                format!("{node} did not answer in time ({detail}); it may still do what was asked")
            }
            TransportKind::Broken => {
                format!("the connection to {node} broke ({detail}); what was asked may be done")
            }
            TransportKind::Unreadable => {
                format!("{node} answered something else than this API does ({detail}). Check the URL")
            }
        }
    }
}

impl Error {
    /// Whether the request may have been done, or may still be. Ask again with the same key or id, or look.
    pub fn outcome_unknown(&self) -> bool {
        match self {
            // `internal` is a mistake of the node at an unknown place of the way.
            Self::Problem(problem) => matches!(&*problem.code, "outcome_unknown" | "internal"),
            Self::Transport(transport) => transport.outcome_unknown(),
            Self::Unaddressable(_) => false,
        }
    }

    /// The node's answer, where there is one.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Problem(problem) => Some(problem),
            Self::Transport(_) | Self::Unaddressable(_) => None,
        }
    }

    /// The problem's code, for programs: `exhausted`, `limit_reached`, … `None` where no node answered.
    pub fn code(&self) -> Option<&str> {
        self.problem().map(|problem| &*problem.code)
    }

    /// Credits that would be granted.
    pub fn available(&self) -> Option<Credits> {
        self.problem()?.available.map(|amount| amount.0)
    }

    /// When the window that is used up begins anew.
    pub fn resets_at(&self) -> Option<Timestamp> {
        self.problem()?.resets_at.map(|at| at.0)
    }
}

/// Why no client can be made of options.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadOptions {
    #[error("give 1 to {max} URLs; there are {0}", max = crate::Options::URLS_MAX)]
    Urls(usize),
    #[error("{url:?} is no base URL: {why}; write http://host:port")]
    Url { url: String, why: String },
    #[error("attempts_max is at least 1")]
    NoAttempt,
    #[error("the HTTP client could not be made: {0}")]
    Http(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transport(kind: TransportKind) -> Error {
        Error::Transport(Transport { node: "http://n1".into(), kind, detail: "why".into() })
    }

    #[test]
    fn only_what_was_never_sent_or_was_refused_is_certain() {
        use TransportKind::{Broken, TimedOut, Unreachable, Unreadable};
        assert!(!transport(Unreachable).outcome_unknown());
        for kind in [TimedOut, Broken, Unreadable] {
            assert!(transport(kind).outcome_unknown(), "{kind:?}");
        }
        let problem = |code: &str| {
            Error::Problem(Box::new(Problem {
                kind: format!("/docs/errors#{code}"),
                title: "t".into(),
                status: 503,
                detail: "this went wrong".into(),
                code: code.into(),
                available: None,
                limit: None,
                resets_at: None,
                retry_after_ms: None,
                would_help: Some("Try that.".into()),
            }))
        };
        assert!(problem("outcome_unknown").outcome_unknown());
        assert!(problem("internal").outcome_unknown());
        assert!(!problem("exhausted").outcome_unknown());
        assert_eq!(problem("exhausted").to_string(), "this went wrong. Try that.");
        assert_eq!(problem("exhausted").code(), Some("exhausted"));
    }
}
