//! Whether a failed attempt is made again, and after which rest. Pure. Not here: sending, sleeping.

use crate::error::{Error, TransportKind};
use crate::options::Options;
use std::time::Duration;

/// What asking twice would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// Nothing, as asking once: a read, a quote.
    Effectless,
    /// The same as asking once: it has a key or a permanent id.
    Harmless,
    /// It would be done twice.
    Harmful,
}

impl Repeat {
    fn is_safe(self) -> bool {
        self != Self::Harmful
    }
}

/// What the caller is told in the end, after an attempt with an unknown outcome and a last one with `error`: a later
/// failure to ask again does not make the first attempt undone.
pub(crate) fn verdict(unknown: Option<Error>, error: Error, repeat: Repeat) -> Error {
    // Who is refused for want of credits was not answered before: keys and ids are looked at first.
    let settled = error.problem().is_some_and(|problem| problem.status == 402);
    match unknown {
        Some(unknown) if repeat == Repeat::Harmless && !settled && !error.outcome_unknown() => unknown,
        Some(_) | None => error,
    }
}

/// The bounds, out of [`Options`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    pub attempts_max: u32,
    pub wait_ms: u64,
    pub wait_ms_max: u64,
    /// Nodes there are to ask.
    pub nodes: u32,
}

impl Patience {
    pub fn of(options: &Options) -> Self {
        let Options { urls, attempts_max, wait_ms, wait_ms_max, .. } = options;
        let nodes = u32::try_from(urls.len()).unwrap_or(u32::MAX);
        Self { attempts_max: *attempts_max, wait_ms: *wait_ms, wait_ms_max: *wait_ms_max, nodes }
    }

    /// The rest before the next attempt, `made` of them (at least one) having failed, the last one so. `None`: give up.
    pub fn rest(&self, made: u32, error: &Error, repeat: Repeat) -> Option<Duration> {
        if made >= self.attempts_max {
            return None;
        }
        match error {
            Error::Unaddressable(_) => None,
            Error::Transport(transport) if transport.kind == TransportKind::Unreachable => {
                Some(self.rest_between_nodes(made))
            }
            Error::Transport(_) => repeat.is_safe().then(|| self.rest_between_nodes(made)),
            Error::Problem(problem) => {
                let asked_ms = problem.retry_after_ms.filter(|ms| *ms <= self.wait_ms_max)?;
                repeat.is_safe().then(|| Duration::from_millis(asked_ms))
            }
        }
    }

    /// None while there are nodes that were not asked yet.
    fn rest_between_nodes(&self, made: u32) -> Duration {
        let Some(rounds) = made.checked_sub(self.nodes) else { return Duration::ZERO };
        let doubled = self.wait_ms.saturating_mul(1_u64.checked_shl(rounds).unwrap_or(u64::MAX));
        Duration::from_millis(doubled.min(self.wait_ms_max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Transport;
    use wire::json::Problem;

    const PATIENCE: Patience = Patience { attempts_max: 6, wait_ms: 100, wait_ms_max: 300, nodes: 2 };

    fn transport(kind: TransportKind) -> Error {
        Error::Transport(Transport { node: "http://n1".into(), kind, detail: String::new() })
    }

    fn problem(retry_after_ms: Option<u64>) -> Error {
        Error::Problem(Box::new(Problem {
            kind: String::new(),
            title: String::new(),
            status: 503,
            detail: String::new(),
            code: "no_leader".into(),
            available: None,
            limit: None,
            resets_at: None,
            retry_after_ms,
            would_help: None,
        }))
    }

    fn rest_ms(made: u32, error: &Error, repeat: Repeat) -> Option<u128> {
        PATIENCE.rest(made, error, repeat).map(|rest| rest.as_millis())
    }

    #[test]
    fn nodes_that_were_not_asked_are_asked_at_once_then_rests_double_up_to_their_bound() {
        let unreachable = transport(TransportKind::Unreachable);
        for repeat in [Repeat::Effectless, Repeat::Harmless, Repeat::Harmful] {
            let rests: Vec<_> = (1..=7).map(|made| rest_ms(made, &unreachable, repeat)).collect();
            assert_eq!(
                rests,
                [Some(0), Some(100), Some(200), Some(300), Some(300), None, None],
                "{repeat:?}"
            );
        }
        assert!(PATIENCE.rest_between_nodes(u32::MAX).as_millis() == 300, "no overflow");
    }

    #[test]
    fn what_may_be_done_is_asked_again_only_where_that_is_harmless() {
        for kind in [TransportKind::TimedOut, TransportKind::Broken, TransportKind::Unreadable] {
            assert_eq!(rest_ms(1, &transport(kind), Repeat::Harmful), None, "{kind:?}");
            assert_eq!(rest_ms(1, &transport(kind), Repeat::Harmless), Some(0), "{kind:?}");
            assert_eq!(rest_ms(1, &transport(kind), Repeat::Effectless), Some(0), "{kind:?}");
        }
    }

    #[test]
    fn an_unknown_outcome_stays_unknown_until_the_key_was_looked_at() {
        let broken = || Some(transport(TransportKind::Broken));
        let unreachable = || transport(TransportKind::Unreachable);
        let told = |unknown, error, repeat| verdict(unknown, error, repeat).outcome_unknown();
        assert!(told(broken(), unreachable(), Repeat::Harmless));
        assert!(told(broken(), problem(Some(1)), Repeat::Harmless));
        assert!(!told(None, unreachable(), Repeat::Harmless));
        assert!(!told(broken(), unreachable(), Repeat::Effectless), "a read leaves nothing behind");
        let Error::Problem(mut exhausted) = problem(None) else { panic!() };
        exhausted.status = 402;
        assert!(!told(broken(), Error::Problem(exhausted), Repeat::Harmless));
    }

    #[test]
    fn a_problem_says_itself_when_to_ask_again() {
        assert_eq!(rest_ms(1, &problem(Some(300)), Repeat::Harmless), Some(300));
        assert_eq!(rest_ms(1, &problem(Some(301)), Repeat::Harmless), None, "longer than the bound");
        assert_eq!(rest_ms(1, &problem(None), Repeat::Harmless), None);
        assert_eq!(rest_ms(1, &problem(Some(0)), Repeat::Harmful), None);
        assert_eq!(rest_ms(6, &problem(Some(0)), Repeat::Harmless), None, "no attempt left");
    }
}
