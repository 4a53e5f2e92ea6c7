//! What can be asked of the ledger. Plain data, checked at the edge: no empty id, no zero amount gets here.

use crate::import::NewImport;
use crate::meta::PriceCommand;
use crate::overage::OverageRule;
use crate::plan::PlanChange;
use crate::pooling::Pooling;
use crate::refund::NewRefund;
use crate::rollover::Term;
use crate::service::ServiceChange;
use crate::team::TeamChange;
use crate::window::Subject;
use types::{
    Backing, Credits, CreditsDelta, CycleDays, CycleNumber, CycleRule, Durability, Enforcement, GrantId,
    HolderId, IdempotencyKey, LineId, LineNumber, Meter, Metered, Money, ReallocationId, Revision, Scope,
    TeamId, Timestamp, UserId, Window, WorkspaceId, ZoneClock, ZoneName,
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// An administrator's write.
    Admin(AdminCommand),
    /// What one holder reports, returns and wants for one workspace.
    Holder(HolderBatch),
    /// A holder makes itself known before it spends. A lower sequence than known is a rolled-back disk.
    Register { holder: HolderId, journal_sequence: u64 },
    /// An operator declares a holder lost for good: it is fenced for ever and its lines are written off.
    Forget { holder: HolderId, mode: ForgetMode },
    /// An operator changes prices (meta group only).
    Prices(PriceCommand),
    /// Makes happen what the time of the entry has made due: grants that expire, cycles that end.
    Tick { workspace: WorkspaceId },
    /// Says when the cycles end that come next, as looked up for this `cycle`.
    SetCycleEnds { workspace: WorkspaceId, cycle: CycleNumber, ends: CycleEnds },
    /// Says what the clocks of the workspace's zone show, as looked up.
    SetClock { workspace: WorkspaceId, clock: ZoneClock },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForgetMode {
    /// What was out is charged (`written_off`).
    Charge,
    /// What was out is credited back to its grants and booked as `exposure`: it may be spent twice.
    Credit,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminCommand {
    pub workspace: WorkspaceId,
    pub keyed: Option<KeyedBy>,
    /// The revision the caller last saw of the resource that is changed.
    pub if_match: Option<Revision>,
    pub change: Change,
}

/// An idempotency key with the hash of the parsed command it was used for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyedBy {
    pub key: IdempotencyKey,
    pub command_hash: [u8; 32],
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    PutWorkspace(WorkspaceSettings),
    MakeGrant(NewGrant),
    /// Voids what is left of a grant; what is out is voided as it comes back.
    VoidGrant {
        grant: GrantId,
    },
    PutMember {
        user: UserId,
        ai_access: Option<bool>,
        /// `Some(None)`: he is in none.
        team: Option<Option<TeamId>>,
        role: Option<Role>,
        service: ServiceChange,
    },
    /// Sets a user's allocation for this cycle and every next.
    SetAllocation {
        user: UserId,
        amount: Credits,
        overflow: Option<Overflow>,
    },
    /// Raises or lowers a user's allocation for this cycle only.
    AdjustAllocation {
        user: UserId,
        delta: CreditsDelta,
    },
    /// Returns the user to what is shared.
    RemoveAllocation {
        user: UserId,
    },
    /// Moves unused credits between two users' allocations, for this cycle only.
    Reallocate {
        id: ReallocationId,
        from: UserId,
        to: UserId,
        amount: Credits,
    },
    /// A ceiling for one user, for all members of a team, or for a feature or a model whoever uses it, in a window; `None` lifts
    /// it.
    SetLimit {
        of: Subject,
        window: Window,
        amount: Option<Credits>,
    },
    /// Lifts all limits of one of them.
    LiftLimits {
        of: Subject,
    },
    Plan(PlanChange),
    /// Whose credits those for seats are.
    SetPooling(Pooling),
    /// Whether more may be used than is included: by all of the workspace, or by one user. `None` takes the rule away.
    SetOverage {
        user: Option<UserId>,
        rule: Option<OverageRule>,
    },
    Team {
        team: TeamId,
        change: TeamChange,
    },
    /// Gives back what was charged, or a part of it.
    Refund(Box<NewRefund>),
    /// Usage that happened elsewhere. Each item stands alone.
    ImportUsage(Vec<NewImport>),
}

pub use crate::allocation::Overflow;

/// Fields that are `None` stay as they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkspaceSettings {
    pub name: Option<String>,
    pub membership: Option<Membership>,
    pub durability: Option<Durability>,
    pub enforcement: Option<Enforcement>,
    /// Where its cycles' days are.
    pub timezone: Option<ZoneName>,
    /// Other cycles than there were: this one ends with the first day that they begin on.
    pub cycle: Option<CycleDays>,
    /// Looked up by the proposer where the two above make another rule of cycles than there was; else of no use.
    pub ends: Option<CycleEnds>,
    /// Looked up with them: when the calendar's own cycle began that this one is a part of. `None`: with this one.
    pub began: Option<Timestamp>,
    /// Looked up with `timezone`, so that days begin by it at once.
    pub clock: Option<ZoneClock>,
}

/// When the cycles of a rule end, as a calendar has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CycleEnds {
    pub rule: CycleRule,
    /// This cycle's end and those of the next ones: the first beginnings by `rule` that are still to come. Empty where
    /// the calendar has none.
    pub ends: Vec<Timestamp>,
}

impl WorkspaceSettings {
    /// All of them as they are.
    pub fn unchanged() -> Self {
        let (timezone, cycle, ends, began) = (None, None, None, None);
        let clock = None;
        Self {
            name: None,
            membership: None,
            durability: None,
            enforcement: None,
            timezone,
            cycle,
            ends,
            began,
            clock,
        }
    }

    /// The rule of cycles that these settings make of what there was.
    pub fn rule_after(&self, timezone: &ZoneName, rule: Option<&CycleRule>) -> Option<CycleRule> {
        let days = self.cycle.or(rule.map(CycleRule::days))?;
        Some(CycleRule::of(days, self.timezone.as_ref().unwrap_or(timezone).clone()))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Membership {
    /// Whoever is named may spend, unless his AI access is off.
    Open,
    /// Only members may.
    Listed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    Owner,
    Admin,
    Member,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrantKind {
    Plan,
    Seat,
    Pack,
    Trial,
    Promotion,
    Correction,
    /// Made with draws, by nobody else.
    Overage,
}

impl GrantKind {
    /// Whether such credits were paid for, where the caller does not say.
    pub const fn is_paid_by_default(self) -> bool {
        match self {
            Self::Plan | Self::Seat | Self::Pack | Self::Overage => true,
            Self::Trial | Self::Promotion | Self::Correction => false,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewGrant {
    pub id: GrantId,
    pub kind: GrantKind,
    pub amount: Credits,
    /// The smallest burns first.
    pub priority: u8,
    pub paid: bool,
    /// Valid from this instant; `None`: from its entry.
    pub starts_at: Option<Timestamp>,
    /// Valid before this instant; `None`: for ever.
    pub expires_at: Option<Timestamp>,
    /// Whether it ends with its cycle, whichever comes first.
    pub term: Term,
    /// What was asked for it in money; of overage, for each credit.
    pub price: Option<Money>,
}

/// Draws, reports and returns of all users of one workspace on one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HolderBatch {
    pub holder: HolderId,
    pub journal_sequence: u64,
    pub workspace: WorkspaceId,
    pub lines: Vec<LineMessage>,
    /// Set by the leader alone: what lies idle elsewhere was asked for, so that what is missing now may be overage.
    pub recalled: bool,
}

/// One line's message: its cumulative numbers, all of them only growing, and one wish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineMessage {
    pub number: LineNumber,
    pub user: UserId,
    pub cycle: CycleNumber,
    /// What may be spent from it.
    pub scope: Scope,
    /// Cumulative R by backing: durable at the holder, never to be spent.
    pub returned: Vec<(Backing, Credits)>,
    /// Cumulative U and Z, never ahead of the holder's disk.
    pub used: Used,
    /// Set aside in holds, out of what is outstanding; and how much of that is confirmed.
    pub held: Credits,
    pub confirmed: Credits,
    pub wish: Wish,
}

impl LineMessage {
    /// ΣR as the holder had it.
    pub fn returned(&self) -> Credits {
        Credits::checked_sum(self.returned.iter().map(|(_, returned)| *returned)).unwrap_or(Credits::MAX)
    }

    /// What it takes in an entry or a frame, or a little more: where batches are cut.
    pub fn bytes_at_most(&self) -> usize {
        /// A number of any size, or a tag or a length with one.
        const NUMBER: usize = 9;
        const BACKING: usize = 3 * NUMBER;
        let text = |text: &str| NUMBER.saturating_add(text.len());
        let fixed = 9 * NUMBER;
        let Scope { list: _, feature, model } = &self.scope;
        let names = text(self.user.as_str())
            .saturating_add(feature.as_ref().map_or(0, |feature| text(feature.as_str())))
            .saturating_add(model.as_ref().map_or(0, |model| text(model.as_str())));
        let backings = self.returned.len().saturating_add(self.used.by_backing.len());
        let metered = self.used.by_meter.iter().fold(0_usize, |sum, (meter, metered)| {
            let model = meter.model.as_ref().map_or(0, |model| text(model.as_str()));
            let units = metered.units.iter().map(|(unit, _)| text(unit.as_str()).saturating_add(NUMBER));
            let grants = metered.by_grant.iter().count().saturating_mul(2 * NUMBER);
            sum.saturating_add(text(meter.feature.as_str()))
                .saturating_add(grants)
                .saturating_add(model)
                .saturating_add(5 * NUMBER)
                .saturating_add(units.sum())
        });
        fixed
            .saturating_add(names)
            .saturating_add(backings.saturating_mul(BACKING + 2 * NUMBER))
            .saturating_add(metered)
    }

    /// How many of `messages`, from the first on, go into one batch; at least one.
    pub fn fitting<'a>(
        messages: impl Iterator<Item = &'a Self>,
        lines_max: usize,
        bytes_max: usize,
    ) -> usize {
        let mut bytes = 0_usize;
        let fits = |message: &&Self| {
            bytes = bytes.saturating_add(message.bytes_at_most());
            bytes <= bytes_max
        };
        messages.take(lines_max).take_while(fits).count().max(1)
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// Backing, used U, unattributed Z.
    pub by_backing: Vec<(Backing, Credits, Credits)>,
    /// ΣU again, counted by meter.
    pub by_meter: Vec<(Meter, Metered)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Only the numbers.
    Report,
    /// Let ΣD become `target`; nothing if it cannot become at least `floor`. Up to `need` somebody waits for it; what is
    /// beyond is ahead of need. What was given back since, by the message's own numbers, is missing from what the asker
    /// counted on, and added to its floor.
    Draw { target: Credits, floor: Credits, need: Credits },
    /// Final numbers: fold the line and forget it. Also a fenced holder's evidence of what was really used.
    Close,
}

impl Wish {
    /// A draw of nothing ahead of need. Only such a one is worth a wait until others have given back.
    pub fn is_need_alone(&self) -> bool {
        matches!(self, Self::Draw { target, floor, need } if target <= need.max(floor))
    }
}

impl HolderBatch {
    pub fn line_id(&self, message: &LineMessage) -> LineId {
        LineId { holder: self.holder, number: message.number }
    }
}

impl Command {
    /// The workspace it is about, if it is about one.
    pub fn workspace(&self) -> Option<&WorkspaceId> {
        match self {
            Self::Admin(admin) => Some(&admin.workspace),
            Self::Holder(batch) => Some(&batch.workspace),
            Self::Tick { workspace }
            | Self::SetCycleEnds { workspace, .. }
            | Self::SetClock { workspace, .. } => Some(workspace),
            Self::Register { .. } | Self::Forget { .. } | Self::Prices(_) => None,
        }
    }
}
