//! Administrators' requests and the resources they change. Not here: what is only read (`inspection`).

use crate::json::object::{not_null, nullable};
use crate::json::{
    Amount, Cycle, DurabilityText, EnforcementText, GivenAmount, GivenCount, GivenDelta, GivenDurability,
    GivenEnforcement, GivenForgetMode, GivenGrantId, GivenGrantKind, GivenInstant, GivenMemberKind,
    GivenMembership, GivenOverflow, GivenReallocationId, GivenRole, GivenTeam, GivenUser, GivenZone,
    GrantKindText, GrantStateText, GrantText, Instant, MemberKindText, MembershipText, Money, NodeText,
    OverflowText, PutCycle, PutMoney, PutRollover, ReallocationText, RoleText, Rollover, TeamText, UserText,
    WorkspaceText, ZoneText,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Makes a workspace or changes its settings; what is left out stays as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutWorkspace {
    /// 1 to 200 bytes, no control characters.
    #[serde(default, deserialize_with = "not_null", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub name: Option<String>,
    #[serde(default, deserialize_with = "not_null", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub membership: Option<GivenMembership>,
    #[serde(default, deserialize_with = "not_null", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub durability: Option<GivenDurability>,
    /// `shadow`: decisions are made and counted, and nothing is refused. `on` where it was never said.
    #[serde(default, deserialize_with = "not_null", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub enforcement: Option<GivenEnforcement>,
    /// Where the days of its cycles are; `UTC` where it was never said. A change ends this cycle where the next one
    /// begins by the new zone.
    #[serde(default, deserialize_with = "not_null", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub timezone: Option<GivenZone>,
    /// A change ends this cycle where the next one begins by the new days.
    #[serde(default, deserialize_with = "not_null", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub cycle: Option<PutCycle>,
}

/// The settings of a workspace. ETag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Settings {
    pub workspace: WorkspaceText,
    pub name: String,
    pub membership: MembershipText,
    pub durability: DurabilityText,
    pub enforcement: EnforcementText,
    pub timezone: ZoneText,
    pub cycle: Cycle,
}

/// Puts credits into a pool. The id is permanent: the same content gives the same answer, other content 409.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutGrant {
    pub id: GivenGrantId,
    pub kind: GivenGrantKind,
    /// More than zero.
    pub amount: GivenAmount,
    /// 0 to 100, the smallest burns first; left out: 50.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<GivenCount>,
    /// Left out: by kind (plan, seat and pack are paid).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paid: Option<bool>,
    /// Left out: at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts_at: Option<GivenInstant>,
    /// Valid before this instant; left out: for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<GivenInstant>,
    /// Left out: it lasts over the ends of cycles. Given: it ends with its cycle, and so much is kept.
    #[serde(default, deserialize_with = "not_null", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub rollover: Option<PutRollover>,
    /// What was asked for it in money: shown, never collected.
    #[serde(default, deserialize_with = "not_null", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub price: Option<PutMoney>,
}

/// A grant and where its credits are. ETag.
///
/// `amount + refunded + exposure = available + leased + used + expired + voided + for_overage`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Grant {
    pub id: GrantText,
    pub kind: GrantKindText,
    pub amount: Amount,
    pub priority: u8,
    pub paid: bool,
    pub state: GrantStateText,
    pub created_at: Instant,
    pub starts_at: Instant,
    /// `null`: never.
    pub expires_at: Option<Instant>,
    /// `null`: it lasts over the ends of cycles.
    pub rollover: Option<Rollover>,
    /// What was asked for it in money; of overage, for each credit.
    pub price: Option<Money>,
    pub available: Amount,
    /// Out on leases.
    pub leased: Amount,
    /// Includes unattributed and written off.
    pub used: Amount,
    pub unattributed: Amount,
    pub written_off: Amount,
    pub expired: Amount,
    pub voided: Amount,
    pub refunded: Amount,
    pub exposure: Amount,
    /// Came back from leases and pays for overage that was used meanwhile.
    pub for_overage: Amount,
    /// Of a voided grant: what is still out and is voided as it comes back.
    pub pending: Amount,
    pub pending_from: Vec<PendingFrom>,
}

/// Credits that a change could not move yet, because they are out on leases of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PendingFrom {
    pub node: NodeText,
    pub amount: Amount,
    /// By then that node can spend them no more, whatever happens to it.
    pub until: Instant,
}

/// Makes or changes a member; what is left out stays as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutMember {
    #[serde(default, deserialize_with = "not_null", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub ai_access: Option<bool>,
    /// `null`: he is in none.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<GivenTeam>)]
    pub team: Option<Option<GivenTeam>>,
    #[serde(default, deserialize_with = "not_null", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub role: Option<GivenRole>,
    /// Left out: as it is; `user` for a new member.
    #[serde(default, deserialize_with = "not_null", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub kind: Option<GivenMemberKind>,
    /// Of a service, which has one: a member who is a user.
    #[serde(default, deserialize_with = "not_null", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub owner: Option<GivenUser>,
    /// Of a service: whose allocation, reserves and limits it spends by; `owner`, or the id of another service that shares
    /// with nobody itself. `null`: its own.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<GivenUser>)]
    pub shares: Option<Option<GivenUser>>,
}

/// A user and his balance. ETag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Member {
    pub user: UserText,
    /// `false`: known by an allocation, a limit or use, but never made a member.
    pub listed: bool,
    pub ai_access: bool,
    pub team: Option<TeamText>,
    pub role: RoleText,
    pub kind: MemberKindText,
    /// Of a service: who answers for it.
    pub owner: Option<UserText>,
    /// Of a service: whose allocation, reserves and limits it spends by; `owner`, another service, or `null`: its own.
    pub shares: Option<UserText>,
    /// `null`: he draws on what is shared.
    pub allocation: Option<Amount>,
    pub overflow: Option<OverflowText>,
    /// Missing from his allocation, because the pool had too little.
    pub short: Amount,
    /// The part of his leases that is promised away and comes back.
    pub pending: Amount,
    /// Set aside in the reserves of his teams, which he may draw on.
    pub reserve: Amount,
    pub limit: Option<Amount>,
    /// In this cycle.
    pub used: Amount,
    /// Of what was used in this cycle; his limit does not count it.
    pub refunded: Amount,
    /// Out on leases for him.
    pub leased: Amount,
    /// What he could spend at most over the whole chain; overage is not counted.
    pub remaining: Amount,
}

/// Sets a user's allocation for this cycle and every next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutAllocation {
    /// Zero is an amount: such a user spends nothing, unless he overflows.
    pub amount: GivenAmount,
    /// Left out: as it is; `none` for a new allocation.
    #[serde(default, deserialize_with = "not_null", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub overflow: Option<GivenOverflow>,
}

/// Raises or lowers a user's allocation for this cycle only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Adjust {
    /// Not zero.
    pub delta: GivenDelta,
}

/// A user's allocation. ETag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Allocation {
    pub user: UserText,
    /// This cycle's amount, once what is pending has moved; `null`: he has none.
    pub allocation: Option<Amount>,
    /// The amount of every next cycle.
    pub standing: Amount,
    pub overflow: OverflowText,
    /// `true`: nobody set it, it is what is left of his seat's share of the plan's credits.
    pub of_seat: bool,
    pub used: Amount,
    /// Missing from it, because the pool had too little; whatever is free makes up for it.
    pub short: Amount,
    pub pending: Amount,
    pub pending_from: Vec<PendingFrom>,
}

/// Moves unused credits between two users' allocations, this cycle only. The id is permanent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Reallocate {
    pub id: GivenReallocationId,
    pub from: GivenUser,
    /// Another user.
    pub to: GivenUser,
    /// More than zero.
    pub amount: GivenAmount,
}

/// `asked = moved + pending + lapsed`, at every moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reallocation {
    pub id: ReallocationText,
    pub from: UserText,
    pub to: UserText,
    pub asked: Amount,
    pub moved: Amount,
    pub pending: Amount,
    /// Spent by the donor before it could be taken back.
    pub lapsed: Amount,
    pub pending_from: Vec<PendingFrom>,
}

/// Declares a node's disk lost for good. It is fenced for ever.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Forget {
    /// Left out: `charge`.
    #[serde(default, deserialize_with = "not_null", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub mode: Option<GivenForgetMode>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Forgotten {
    pub node: NodeText,
    /// Lines that were closed.
    pub lines: u64,
    /// Charged, though nobody can say on what.
    pub written_off: Amount,
    /// Credited back, though it may have been spent.
    pub exposure: Amount,
}

/// A page of grants, in order of creation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Grants {
    pub items: Vec<Grant>,
    /// Ask again with it for what follows; `null`: nothing does.
    pub cursor: Option<String>,
}

/// A page of members, by id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Members {
    pub items: Vec<Member>,
    /// Ask again with it for what follows; `null`: nothing does.
    pub cursor: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{read, write};

    #[test]
    fn where_fields_left_out_stay_null_is_no_value() {
        assert!(read::<PutMember>(b"{}").is_ok());
        assert!(read::<PutMember>(br#"{"team":"design","role":"owner"}"#).is_ok());
        let team = |body: &str| read::<PutMember>(body.as_bytes()).unwrap().team.map(|team| team.is_some());
        assert_eq!([team("{}"), team(r#"{"team":null}"#)], [None, Some(false)], "out of every team");
        for body in [r#"{"role":null}"#, r#"{"ai_access":null}"#] {
            assert!(read::<PutMember>(body.as_bytes()).is_err(), "{body}");
        }
        for body in [r#"{"name":null}"#, r#"{"durability":null}"#, r#"{"time_zone":"UTC"}"#] {
            assert!(read::<PutWorkspace>(body.as_bytes()).is_err(), "{body}");
        }
    }

    #[test]
    fn requests_there_and_back() {
        fn same<T: Serialize + for<'de> Deserialize<'de>>(body: &str) {
            let value: T = read(body.as_bytes()).unwrap();
            assert_eq!(String::from_utf8(write(&value)).unwrap(), body);
        }
        same::<PutGrant>(
            r#"{"id":"p","kind":"pack","amount":"100","priority":7,"expires_at":"2027-01-01T00:00:00Z"}"#,
        );
        same::<Reallocate>(r#"{"id":"r","from":"ann","to":"bob","amount":"2000"}"#);
        same::<Adjust>(r#"{"delta":"-12.5"}"#);
        same::<PutAllocation>(r#"{"amount":"1000","overflow":"shared"}"#);
        same::<Forget>(r#"{"mode":"credit"}"#);
    }
}
