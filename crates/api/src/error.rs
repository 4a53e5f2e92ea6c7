//! The one error table: code ↔ status ↔ title ↔ what would help. Every no of this node is one of its rows.
//!
//! Not here: when something is refused.

use crate::translate;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use quota::{LimitHit, Refusal};
use types::Credits;
use wire::json::{self, Text};

/// What a code stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    pub code: &'static str,
    pub status: u16,
    pub title: &'static str,
    pub would_help: &'static str,
    /// Set where the same request may end differently by itself, after about this long.
    pub retry_after_ms: Option<u64>,
}

macro_rules! table {
    ($($variant:ident = $status:literal $code:literal $(again $ms:literal)?: $title:literal, $help:literal;)*) => {
        /// Codes of `application/problem+json`; stable, for programs.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $($variant),*
        }

        impl Code {
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            pub const fn row(self) -> Row {
                match self {
                    $(Self::$variant => {
                        let retry_after_ms: &[u64] = &[$($ms)?];
                        Row {
                            code: $code,
                            status: $status,
                            title: $title,
                            would_help: $help,
                            retry_after_ms: retry_after_ms.first().copied(),
                        }
                    })*
                }
            }
        }
    };
}

table! {
    Malformed = 400 "malformed": "The request cannot be read",
        "Send JSON of the shape in /openapi.json: each field at most once, none that is not in it.";
    Unauthenticated = 401 "unauthenticated": "No valid key",
        "Send the header `Authorization: Bearer KEY` with the operator key of this cluster.";
    Exhausted = 402 "exhausted": "Too few credits are left",
        "Ask for at most what is available, add a grant to the pool, lower what is set aside for others, or allow overage. What is free of charge stays allowed.";
    AllocationExhausted = 402 "allocation_exhausted": "Too little of the user's allocation is left",
        "Ask for at most what is available, raise the allocation, or let it overflow into what is shared. Where credits are per seat: a seat of his own (AI access), overage, or another pooling mode.";
    LimitReached = 402 "limit_reached": "A limit is reached",
        "Ask for at most what is available, wait for the window to end, or raise or lift the limit.";
    OverageCapReached = 402 "overage_cap_reached": "The cap on overage is reached",
        "Ask for at most what is available, raise the cap, or add a grant to the pool.";
    InsufficientShared = 402 "insufficient_shared": "Too little is shared to set this aside",
        "Ask for at most what is available, lower another allocation or reserve, or add a grant that lasts to the end of the cycle.";
    InsufficientAllocation = 402 "insufficient_allocation": "Too little of the allocation is unused",
        "Move at most what is available.";
    HoldExceeded = 402 "hold_exceeded": "The hold has less than that",
        "Extend the hold first, settle at most what is available, or settle with the shortfall `cap`.";
    AccessDisabled = 403 "access_disabled": "AI access is switched off",
        "Set `ai_access` of the member to true.";
    FeatureNotInPlan = 403 "feature_not_in_plan": "The plan does not have this feature",
        "Change to a plan that has it (PUT /v1/workspaces/{ws}/plan), or consume for one that the plan has. Holds that are open go on.";
    UnknownWorkspace = 404 "unknown_workspace": "No such workspace",
        "Make it with PUT /v1/workspaces/{ws}, or check its id.";
    UnknownUser = 404 "unknown_user": "No such member",
        "Make the user a member with PUT /v1/workspaces/{ws}/members/{user}, or open the membership.";
    NotFound = 404 "not_found": "No such resource",
        "Check the id, or make it first.";
    UnknownCharge = 404 "unknown_charge": "No such charge, or none any more",
        "Check the id. What is too old to be refunded is made good with a grant of kind `correction`.";
    UnknownRoute = 404 "unknown_route": "No such route",
        "See /docs for all routes.";
    MethodNotAllowed = 405 "method_not_allowed": "This route does not take this method",
        "See the `Allow` header, or /docs.";
    RequestTimeout = 408 "request_timeout": "The body did not arrive in time",
        "Send the request again, faster or in smaller parts.";
    KeyConflict = 409 "key_conflict": "The idempotency key belongs to another command",
        "Use a new key for each command, and the same key only to repeat one.";
    KeyInFlight = 409 "key_in_flight" again 100: "A command with this key is being decided",
        "Ask again with the same key.";
    IdConflict = 409 "id_conflict": "The id belongs to something else",
        "Ids are permanent: choose another one.";
    Conflict = 409 "conflict": "The change contradicts what there is",
        "Change first what the detail names.";
    BeyondCharge = 409 "beyond_charge": "Not so much of the charge is left to refund",
        "Refund at most what is available; GET /v1/workspaces/{ws}/charges/{charge} says what was refunded.";
    HoldOver = 409 "hold_over": "The hold has ended",
        "Nothing more can be done with it; open another one.";
    HoldEnding = 409 "hold_ending": "The hold can have no more",
        "Settle it with what was used, and open another one.";
    Stale = 412 "stale": "The resource changed meanwhile",
        "Read it again, and repeat the change with its new ETag.";
    TooLarge = 413 "too_large": "The body is too large",
        "Send it in parts.";
    UnsupportedMediaType = 415 "unsupported_media_type": "The body is not JSON",
        "Send the header `Content-Type: application/json`.";
    Invalid = 422 "invalid": "A value cannot be accepted",
        "Correct that value.";
    TooOld = 422 "too_old": "This usage is too old to be told of",
        "Usage can be told of for 45 days, and until the cycle after its own is over. What is owed for older usage is settled elsewhere.";
    InFuture = 422 "in_future": "This usage is yet to happen",
        "Tell of it when it has happened, or correct `happened_at`; GET /v1/cluster shows the time that nodes go by.";
    Unpriced = 422 "unpriced": "This usage has no price",
        "Add a price to the rate card (0 is a price), or one for `*`, or give an amount.";
    Overloaded = 429 "overloaded" again 1_000: "This node has more to do than it takes",
        "Ask again a little later, or ask another node.";
    KeyWindowFull = 429 "key_window_full" again 60_000: "No room for more idempotency keys",
        "Ask again later; keys are forgotten after 24 hours.";
    TooManyImports = 429 "too_many_imports" again 60_000: "A workspace remembers no more imports",
        "Ask again later; imports are forgotten when they can be told of no more. Sum up usage by user, feature and day.";
    TooManyHolds = 429 "too_many_holds" again 1_000: "There are too many open holds",
        "Settle or release holds that are not needed; forgotten ones expire.";
    Internal = 500 "internal": "This node made a mistake",
        "Look into its log; ask again with the same key or id.";
    CreditsUnreachable = 503 "credits_unreachable" again 1_000: "More credits could not be reached in time",
        "Ask again, ask another node, or ask for at most what is available. GET /v1/cluster shows which nodes are away.";
    HomeUnreachable = 503 "home_unreachable" again 1_000: "The node that decides keyed requests of this user is away",
        "Ask again with the same key.";
    HolderUnreachable = 503 "holder_unreachable" again 1_000: "The node that has this hold or charge is away",
        "Ask again; if the node stays away, a hold ends by itself and is charged what was confirmed, and a charge is made good with a grant of kind `correction`.";
    NoLeader = 503 "no_leader" again 500: "The shard of this workspace has no leader",
        "Ask again; an election takes a second or two.";
    OutcomeUnknown = 503 "outcome_unknown" again 500: "It is not known whether this was done",
        "Ask again with the same key or id: it is done once at most.";
    TimedOut = 503 "timed_out" again 1_000: "The answer did not come in time",
        "Ask again, or ask another node.";
    StorageUnavailable = 503 "storage_unavailable" again 5_000: "This node cannot write to its disk",
        "Free space on the node's disk, or restart the node if it has stopped; without an idempotency key another node may be asked.";
}

/// Why this request is not answered with what it asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub code: Code,
    pub detail: String,
    pub available: Option<Credits>,
    pub limit: Option<LimitHit>,
}

impl Refused {
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), available: None, limit: None }
    }

    pub fn invalid(detail: impl Into<String>) -> Self {
        Self::new(Code::Invalid, detail)
    }

    pub fn problem(self) -> json::Problem {
        let Row { code, status, title, would_help, retry_after_ms } = self.code.row();
        let resets_at = self.limit.as_ref().and_then(|limit| limit.resets_at);
        // By the ledger's time at which it was found: what has passed since makes the wait longer than needed, never shorter.
        let resets_in_ms =
            self.limit.as_ref().and_then(|limit| u64::try_from(limit.resets_at?.since_ms(limit.at)).ok());
        json::Problem {
            kind: format!("/docs/errors#{code}"),
            title: title.into(),
            status,
            detail: self.detail,
            code: code.into(),
            available: self.available.map(Text),
            limit: self.limit.clone().map(reached),
            resets_at: resets_at.map(Text),
            retry_after_ms: retry_after_ms.or(resets_in_ms),
            would_help: Some(would_help.into()),
        }
    }
}

fn reached(LimitHit { of, window, amount, .. }: LimitHit) -> json::ReachedLimit {
    let window = Text(translate::window_json(window));
    json::ReachedLimit { window, limit: Text(amount), of: translate::subject_json(of) }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        let (code, available) = match &refusal {
            Refusal::Exhausted { available, .. } => (Code::Exhausted, Some(*available)),
            Refusal::AllocationExhausted { available, .. } => (Code::AllocationExhausted, Some(*available)),
            Refusal::LimitReached { available, .. } => (Code::LimitReached, Some(*available)),
            Refusal::OverageCapReached { available, .. } => (Code::OverageCapReached, Some(*available)),
            Refusal::InsufficientShared { available } => (Code::InsufficientShared, Some(*available)),
            Refusal::InsufficientAllocation { available, .. } => {
                (Code::InsufficientAllocation, Some(*available))
            }
            Refusal::HoldExceeded { held } => (Code::HoldExceeded, Some(*held)),
            Refusal::UnknownCharge(_) => (Code::UnknownCharge, None),
            Refusal::BeyondCharge { left } => (Code::BeyondCharge, Some(*left)),
            Refusal::HoldOver(_) => (Code::HoldOver, None),
            Refusal::HoldEnding => (Code::HoldEnding, None),
            Refusal::TooManyHolds(_) => (Code::TooManyHolds, None),
            Refusal::HolderUnreachable => (Code::HolderUnreachable, None),
            Refusal::FeatureNotInPlan { .. } => (Code::FeatureNotInPlan, None),
            Refusal::AccessDisabled(_) => (Code::AccessDisabled, None),
            Refusal::UnknownWorkspace => (Code::UnknownWorkspace, None),
            Refusal::UnknownUser(_) => (Code::UnknownUser, None),
            Refusal::NotFound(_) => (Code::NotFound, None),
            Refusal::KeyConflict => (Code::KeyConflict, None),
            Refusal::KeyInFlight => (Code::KeyInFlight, None),
            Refusal::IdConflict(_) => (Code::IdConflict, None),
            Refusal::Stale { .. } => (Code::Stale, None),
            Refusal::Conflict(_) => (Code::Conflict, None),
            Refusal::Invalid(_) => (Code::Invalid, None),
            Refusal::Unpriced { .. } => (Code::Unpriced, None),
            Refusal::Overloaded => (Code::Overloaded, None),
            Refusal::KeyWindowFull => (Code::KeyWindowFull, None),
            Refusal::CreditsUnreachable { available, .. } => (Code::CreditsUnreachable, Some(*available)),
            Refusal::HomeUnreachable => (Code::HomeUnreachable, None),
            Refusal::NoLeader => (Code::NoLeader, None),
            Refusal::OutcomeUnknown => (Code::OutcomeUnknown, None),
            Refusal::StorageUnavailable(_) => (Code::StorageUnavailable, None),
        };
        let limit = match &refusal {
            Refusal::LimitReached { limit, .. } => Some(limit.clone()),
            _ => None,
        };
        Self { code, detail: refusal.to_string(), available, limit }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let code = self.code;
        let problem = self.problem();
        let status = StatusCode::from_u16(problem.status).expect("the table has lawful statuses");
        let mut response = (status, json::write(&problem)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(ms) = problem.retry_after_ms {
            // Whole seconds, rounded up: the header knows nothing finer.
            headers.insert(header::RETRY_AFTER, HeaderValue::from(ms.div_ceil(1_000)));
        }
        if matches!(code, Code::TooLarge | Code::RequestTimeout) {
            // What is left of the body may stay unread, so nothing can follow it.
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if code == Code::Unauthenticated {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"tranche\""));
        }
        response.extensions_mut().insert(code);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quota::Subject;
    use types::{Feature, Revision, Unit, UserId};

    fn limit() -> LimitHit {
        LimitHit {
            of: Subject::User(UserId::parse("ann").unwrap()),
            window: types::Window::Day,
            amount: Credits::whole(9).unwrap(),
            at: types::Timestamp::from_millis(1_500),
            resets_at: Some(types::Timestamp::from_millis(86_400_000)),
        }
    }

    fn every_refusal() -> Vec<(Refusal, u16, &'static str)> {
        let user = || UserId::parse("ann").unwrap();
        let available = Credits::from_micros(1_500_000).unwrap();
        let feature = |name: &str| Feature::parse(name).unwrap();
        let (plan, features) = ("pro".parse().unwrap(), vec![feature("chat")]);
        let not_in_plan = Refusal::FeatureNotInPlan { feature: feature("image"), plan, features };
        let unpriced = Refusal::Unpriced {
            feature: Feature::parse("chat").unwrap(),
            model: None,
            unit: Unit::parse("image").unwrap(),
        };
        vec![
            (Refusal::Exhausted { user: user(), available }, 402, "exhausted"),
            (Refusal::AllocationExhausted { user: user(), available }, 402, "allocation_exhausted"),
            (Refusal::LimitReached { user: user(), available, limit: limit() }, 402, "limit_reached"),
            (Refusal::OverageCapReached { user: user(), available }, 402, "overage_cap_reached"),
            (Refusal::InsufficientShared { available }, 402, "insufficient_shared"),
            (Refusal::InsufficientAllocation { user: user(), available }, 402, "insufficient_allocation"),
            (Refusal::AccessDisabled(user()), 403, "access_disabled"),
            (not_in_plan, 403, "feature_not_in_plan"),
            (Refusal::UnknownWorkspace, 404, "unknown_workspace"),
            (Refusal::UnknownUser(user()), 404, "unknown_user"),
            (Refusal::NotFound("grant"), 404, "not_found"),
            (Refusal::KeyConflict, 409, "key_conflict"),
            (Refusal::KeyInFlight, 409, "key_in_flight"),
            (Refusal::IdConflict("grant"), 409, "id_conflict"),
            (Refusal::Stale { now: Revision(7) }, 412, "stale"),
            (Refusal::Conflict("first that".into()), 409, "conflict"),
            (Refusal::Invalid("not so".into()), 422, "invalid"),
            (unpriced, 422, "unpriced"),
            (Refusal::Overloaded, 429, "overloaded"),
            (Refusal::KeyWindowFull, 429, "key_window_full"),
            (Refusal::CreditsUnreachable { user: user(), available }, 503, "credits_unreachable"),
            (Refusal::HomeUnreachable, 503, "home_unreachable"),
            (Refusal::NoLeader, 503, "no_leader"),
            (Refusal::OutcomeUnknown, 503, "outcome_unknown"),
            (Refusal::StorageUnavailable("full".into()), 503, "storage_unavailable"),
            (Refusal::HoldExceeded { held: available }, 402, "hold_exceeded"),
            (Refusal::HoldOver("it was settled".into()), 409, "hold_over"),
            (Refusal::HoldEnding, 409, "hold_ending"),
            (Refusal::TooManyHolds("too many".into()), 429, "too_many_holds"),
            (Refusal::HolderUnreachable, 503, "holder_unreachable"),
            (Refusal::UnknownCharge("none".into()), 404, "unknown_charge"),
            (Refusal::BeyondCharge { left: available }, 409, "beyond_charge"),
        ]
    }

    #[test]
    fn every_refusal_has_its_row() {
        for (refusal, status, code) in every_refusal() {
            let problem = Refused::from(refusal.clone()).problem();
            assert_eq!((problem.status, &*problem.code), (status, code), "{refusal:?}");
            assert_eq!(problem.detail, refusal.to_string());
            let tells_amount = status == 402 || ["credits_unreachable", "beyond_charge"].contains(&code);
            assert_eq!(problem.available.is_some(), tells_amount, "{code}");
        }
    }

    #[test]
    fn no_code_stands_twice_and_each_row_is_whole() {
        let mut codes: Vec<&str> = Code::ALL.iter().map(|code| code.row().code).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), Code::ALL.len());
        for code in Code::ALL {
            let row = code.row();
            assert!(StatusCode::from_u16(row.status).unwrap().as_u16() >= 400);
            assert!(!row.title.is_empty() && !row.would_help.is_empty(), "{row:?}");
            // Who is told to come again is told when.
            assert!(!matches!(row.status, 429 | 503) || row.retry_after_ms.is_some(), "{row:?}");
        }
    }

    #[test]
    fn the_golden_problem() {
        let refusal = Refusal::LimitReached {
            user: UserId::parse("ann").unwrap(),
            available: Credits::from_micros(1_500_000).unwrap(),
            limit: limit(),
        };
        let golden = concat!(
            r#"{"type":"/docs/errors#limit_reached","title":"A limit is reached","status":402,"#,
            r#""detail":"ann's limit of 9 credits per day leaves 1.5 credits","code":"limit_reached","#,
            r#""available":"1.5","limit":{"window":"day","limit":"9","of":{"user":"ann"}},"resets_at":"1970-01-02T00:00:00Z","#,
            r#""retry_after_ms":86398500,"would_help":"Ask for at most what is available, wait for the window to end, "#,
            r#"or raise or lift the limit."}"#
        );
        assert_eq!(
            String::from_utf8(json::write(&Refused::from(refusal.clone()).problem())).unwrap(),
            golden
        );
        let response = Refused::from(refusal).into_response();
        assert_eq!(response.headers()[header::RETRY_AFTER], "86399", "whole seconds, never too early");
    }

    #[test]
    fn headers_of_a_refusal() {
        let header = |code: Code, name: &str| {
            let response = Refused::new(code, "").into_response();
            response.headers().get(name).map(|value| value.to_str().unwrap().to_owned())
        };
        assert_eq!(header(Code::NoLeader, "retry-after").as_deref(), Some("1"), "500 ms, rounded up");
        assert_eq!(header(Code::KeyWindowFull, "retry-after").as_deref(), Some("60"));
        assert_eq!(header(Code::Exhausted, "retry-after"), None);
        assert_eq!(header(Code::Invalid, "content-type").as_deref(), Some("application/problem+json"));
        assert!(header(Code::Unauthenticated, "www-authenticate").unwrap().starts_with("Bearer"));
    }
}
