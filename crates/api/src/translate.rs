//! Between the product's choices and the wire's. Exhaustive both ways, so that neither grows unseen.

use quota::{
    ForgetMode, GrantKind, GrantState, GroupBy, Interval, MemberKind, Membership, MidCycle, Overflow,
    PlanTerm, Pooling, Role, Subject, When,
};
use types::{Every, Window};
use wire::json;

macro_rules! both_ways {
    ($($from_json:ident, $to_json:ident: $name:ident { $($variant:ident),+ })*) => {$(
        pub(crate) fn $from_json(choice: json::$name) -> $name {
            match choice {
                $(json::$name::$variant => $name::$variant),+
            }
        }

        pub(crate) fn $to_json(choice: $name) -> json::$name {
            match choice {
                $($name::$variant => json::$name::$variant),+
            }
        }
    )*};
}

both_ways! {
    membership, membership_json: Membership { Open, Listed }
    grant_kind, grant_kind_json: GrantKind { Plan, Seat, Pack, Trial, Promotion, Correction, Overage }
    member_kind, member_kind_json: MemberKind { User, Service }
    role, role_json: Role { Owner, Admin, Member }
    overflow, overflow_json: Overflow { None, Shared }
    every, every_json: Every { Month, Year }
    mid_cycle, mid_cycle_json: MidCycle { Whole, Prorated }
    pooling, pooling_json: Pooling { Pooled, PerSeat, OwnFirst }
    plan_term, plan_term_json: PlanTerm { Cycle, Year }
    when, when_json: When { Now, NextCycle }
    window, window_json: Window { Hour, Day, Week, Cycle }
}

pub(crate) fn subject_json(of: Subject) -> json::LimitOf {
    match of {
        Subject::User(user) => json::LimitOf::User(json::Text(user)),
        Subject::Team(team) => json::LimitOf::Team(json::Text(team)),
        Subject::Feature(feature) => json::LimitOf::Feature(json::Text(feature)),
        Subject::Model(model) => json::LimitOf::Model(json::Text(model)),
    }
}

pub(crate) fn grant_state_json(state: GrantState) -> json::GrantState {
    match state {
        GrantState::Live => json::GrantState::Live,
        GrantState::Expired => json::GrantState::Expired,
        GrantState::Voided => json::GrantState::Voided,
    }
}

pub(crate) fn forget_mode(mode: json::ForgetMode) -> ForgetMode {
    match mode {
        json::ForgetMode::Charge => ForgetMode::Charge,
        json::ForgetMode::Credit => ForgetMode::Credit,
    }
}

pub(crate) fn group_by(choice: json::GroupBy) -> GroupBy {
    match choice {
        json::GroupBy::User => GroupBy::User,
        json::GroupBy::Owner => GroupBy::Owner,
        json::GroupBy::Team => GroupBy::Team,
        json::GroupBy::Feature => GroupBy::Feature,
        json::GroupBy::Model => GroupBy::Model,
        json::GroupBy::Grant => GroupBy::Grant,
    }
}

pub(crate) fn interval(choice: json::Interval) -> Interval {
    match choice {
        json::Interval::Day => Interval::Day,
        json::Interval::Month => Interval::Month,
    }
}
