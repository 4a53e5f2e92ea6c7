//! Words out of a fixed list. Not here: what choosing one does.

use crate::json::word::Word;
use std::fmt;
use utoipa::openapi::schema::ObjectBuilder;

/// Why a text is none of the choices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is one of: {0}")]
pub struct BadChoice(&'static str);

macro_rules! choices {
    ($($(#[$doc:meta])* $name:ident { $($variant:ident = $text:literal),+ })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name {
            $($variant),+
        }

        impl $name {
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text),+
                }
            }
        }

        impl Word for $name {
            type Bad = BadChoice;
            const NAME: &'static str = stringify!($name);

            fn read(text: &str) -> Result<Self, BadChoice> {
                let found = Self::ALL.iter().find(|choice| choice.as_str() == text);
                found.copied().ok_or(BadChoice(concat!($($text, " "),+).trim_ascii_end()))
            }

            fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }

            fn describe(schema: ObjectBuilder) -> ObjectBuilder {
                schema.enum_values(Some([$($text),+]))
            }
        }
    )*};
}

choices! {
    /// What a consume must have survived before it is answered.
    Durability { Local = "local", Disk = "disk", Quorum = "quorum" }
    /// Whether what is decided is done, or nothing is refused and all is counted.
    Enforcement { On = "on", Shadow = "shadow" }
    /// What happens where a call has cost more than is held for it.
    Shortfall { Reject = "reject", Cap = "cap" }
    /// How a hold has ended; `unknown`: nobody knows it, and whatever it had is free.
    HoldEnd {
        Settled = "settled", Released = "released", Expired = "expired", SettledLate = "settled_late",
        Unknown = "unknown"
    }
    /// Which link of the chain paid.
    SourceKind { Allocation = "allocation", Reserve = "reserve", Shared = "shared", Overage = "overage" }
    /// Where refunded credits are: set aside again, shared, off the overage of the charge's cycle, or nowhere any more.
    RefundPlace {
        Allocation = "allocation", Shared = "shared", Overage = "overage", Expired = "expired", Voided = "voided"
    }
    /// Who may spend: anybody named, or members only.
    Membership { Open = "open", Listed = "listed" }
    GrantKind {
        Plan = "plan", Seat = "seat", Pack = "pack", Trial = "trial", Promotion = "promotion",
        Correction = "correction", Overage = "overage"
    }
    GrantState { Live = "live", Expired = "expired", Voided = "voided" }
    Role { Owner = "owner", Admin = "admin", Member = "member" }
    /// Whether a member is a user, or an automation, agent or API key with a user as its owner.
    MemberKind { User = "user", Service = "service" }
    /// Where a user may go on when his allocation is spent.
    Overflow { None = "none", Shared = "shared" }
    /// Whose the credits are that a plan brings for seats: everybody's, each seat's own, or each seat's own first.
    Pooling { Pooled = "pooled", PerSeat = "per_seat", OwnFirst = "own_first" }
    /// Whether more may be used than is included.
    OverageMode { Off = "off", On = "on", Capped = "capped" }
    /// What a limit counts in.
    Window { Hour = "hour", Day = "day", Week = "week", Cycle = "cycle" }
    /// How long cycles are.
    Every { Month = "month", Year = "year" }
    /// What is kept of what is left of a grant when its cycle ends.
    Keep { None = "none", All = "all", UpTo = "up_to", Percent = "percent" }
    /// What a change of plan or a new seat within a cycle brings for the rest of it: as much as for a whole cycle, or by the
    /// days that are left.
    MidCycle { Whole = "whole", Prorated = "prorated" }
    /// What a plan is bought for.
    PlanTerm { Cycle = "cycle", Year = "year" }
    When { Now = "now", NextCycle = "next_cycle" }
    /// What becomes of the credits that were out on a lost node: charged, or credited back as a booked exposure.
    ForgetMode { Charge = "charge", Credit = "credit" }
    /// Whether a rate card is to come, in force, or kept for what was opened under it.
    CardState { Scheduled = "scheduled", InForce = "in_force", Replaced = "replaced" }
    GroupBy { User = "user", Owner = "owner", Team = "team", Feature = "feature", Model = "model", Grant = "grant" }
    Interval { Day = "day", Month = "month" }
}

impl From<types::Durability> for Durability {
    fn from(durability: types::Durability) -> Self {
        match durability {
            types::Durability::Local => Self::Local,
            types::Durability::Disk => Self::Disk,
            types::Durability::Quorum => Self::Quorum,
        }
    }
}

impl From<Durability> for types::Durability {
    fn from(durability: Durability) -> Self {
        match durability {
            Durability::Local => Self::Local,
            Durability::Disk => Self::Disk,
            Durability::Quorum => Self::Quorum,
        }
    }
}

impl From<types::Enforcement> for Enforcement {
    fn from(enforcement: types::Enforcement) -> Self {
        match enforcement {
            types::Enforcement::On => Self::On,
            types::Enforcement::Shadow => Self::Shadow,
        }
    }
}

impl From<Enforcement> for types::Enforcement {
    fn from(enforcement: Enforcement) -> Self {
        match enforcement {
            Enforcement::On => Self::On,
            Enforcement::Shadow => Self::Shadow,
        }
    }
}

impl From<types::Source> for SourceKind {
    fn from(source: types::Source) -> Self {
        match source {
            types::Source::Allocation => Self::Allocation,
            types::Source::Reserve(_) => Self::Reserve,
            types::Source::Shared => Self::Shared,
            types::Source::Overage => Self::Overage,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_spelled_as_listed() {
        assert_eq!(GrantKind::read("pack"), Ok(GrantKind::Pack));
        let bad = GrantKind::read("Pack").unwrap_err();
        assert_eq!(bad.to_string(), "it is one of: plan seat pack trial promotion correction overage");
        for choice in Role::ALL {
            assert_eq!(Role::read(choice.as_str()), Ok(*choice));
        }
    }
}
