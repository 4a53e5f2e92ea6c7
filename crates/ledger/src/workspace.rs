//! One workspace: its pool, users, lines and intents, and the few ways in which their books are touched.
//!
//! Not here: decisions. Each of these functions writes what was decided elsewhere, or reads.

use crate::cycle::Spent;
use crate::grant::GrantState;
use crate::import::ImportRecord;
use crate::line::BackingNumbers;
use crate::overage::{Overage, OverageRule};
use crate::plan::Subscription;
use crate::pooling::Pooling;
use crate::refund::{RefundAnswer, Refunded};
use crate::scope::OfScope;
use crate::service::{ByServices, Service};
use crate::team::Team;
use crate::window::{Limits, Recent};
use crate::{
    Allocation, AllocationNo, Grant, GrantBooks, Intent, IntentNo, Line, Membership, Outcome, Owner, Role,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use types::{
    AnyCharge, Backing, Credits, CycleNumber, CycleRule, Durability, Enforcement, Feature, GrantId, GrantNo,
    HolderId, IdempotencyKey, ImportId, Limited, LineId, LineNumber, Meter, Metered, Model, ReallocationId,
    RefundId, Revision, Source, TeamId, Timestamp, UserId, WorkspaceId, ZoneClock, ZoneName,
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workspace {
    pub id: WorkspaceId,
    pub name: String,
    pub membership: Membership,
    pub durability: Durability,
    pub enforcement: Enforcement,
    pub created_at: Timestamp,
    /// Revision of the settings above.
    pub settings: Revision,
    /// The last revision given to any resource of this workspace.
    pub revision: Revision,
    pub cycle: CycleNumber,
    pub cycle_starts_at: Timestamp,
    /// When the calendar has it begin: earlier, where the workspace was made in mid-cycle or got other days in it.
    pub calendar_starts_at: Timestamp,
    pub timezone: ZoneName,
    /// Of that zone, once it was looked up: by it days and weeks begin.
    pub clock: ZoneClock,
    /// In that zone. `None`: there is one cycle, without an end.
    pub cycle_rule: Option<CycleRule>,
    /// When this cycle ends and those after it, as far as that was looked up.
    pub cycle_ends: Vec<Timestamp>,
    /// Charged on lines of earlier cycles, whenever that became known.
    pub spent_before: Spent,
    /// Refunded of charges of earlier cycles.
    pub refunded_before: Credits,
    /// Of charges of this cycle and of the one before.
    pub refunds: BTreeMap<RefundId, RefundAnswer>,
    /// The same by charge.
    pub refunded: BTreeMap<AnyCharge, Refunded>,
    /// Who lost an allocation in this cycle, and the last line of each holder that was known then.
    pub lost_allocations: BTreeMap<UserId, BTreeMap<HolderId, LineNumber>>,
    /// What it has subscribed to.
    pub subscription: Option<Box<Subscription>>,
    /// Whose credits those for seats are, and when that was set.
    pub pooling: Pooling,
    pub pooling_set: Revision,
    /// Where there is none the plan's holds.
    pub overage_rule: Option<(OverageRule, Revision)>,
    /// Of the cycles that had any.
    pub overages: BTreeMap<CycleNumber, Overage>,
    /// Running number of members with AI access.
    pub seats: u64,
    /// Grants whose time begins later have not begun.
    pub begun_to: Timestamp,
    /// The first instant at which time alone may change something here: a grant begins or ends, a cycle ends.
    pub next_due: Option<Timestamp>,
    /// By grant number.
    pub grants: Vec<Grant>,
    pub grant_ids: BTreeMap<GrantId, GrantNo>,
    /// Grant numbers in burn order.
    pub burn_order: Vec<GrantNo>,
    pub users: BTreeMap<UserId, User>,
    /// Which of them are services.
    pub services: BTreeSet<UserId>,
    pub teams: BTreeMap<TeamId, Team>,
    /// Which features and models have limits.
    pub limited: Limited,
    /// What limits count of features, limited or not.
    pub by_feature: BTreeMap<Feature, OfScope>,
    /// The same of models.
    pub by_model: BTreeMap<Model, OfScope>,
    /// Whose the reserves are, by number.
    pub reserves: BTreeMap<AllocationNo, TeamId>,
    pub lines: BTreeMap<LineId, Line>,
    /// The highest line number closed of each holder, 0 where none was: all that is kept of closed lines.
    pub highest_line: BTreeMap<HolderId, LineNumber>,
    pub intents: BTreeMap<IntentNo, Intent>,
    pub next_intent: IntentNo,
    pub reallocations: BTreeMap<ReallocationId, IntentNo>,
    pub next_allocation: AllocationNo,
    /// Allocations and reserves that are short, those first that were given first.
    pub short: BTreeMap<AllocationNo, Owner>,
    /// Interned meters: the number is the position.
    pub meters: Vec<Meter>,
    pub meter_numbers: BTreeMap<Meter, u32>,
    /// Feature × model pairs metered by name.
    pub metered_names: BTreeSet<(Feature, Option<Model>)>,
    /// Usage of folded lines by user and meter.
    pub usage: BTreeMap<UserId, BTreeMap<u32, Metered>>,
    pub keys: BTreeMap<IdempotencyKey, KeyRecord>,
    /// The same keys, oldest first.
    pub key_order: VecDeque<(Timestamp, IdempotencyKey)>,
    /// Running sums over all grants.
    pub totals: GrantBooks,
    /// Out on lines from what is shared of live grants: what could serve others if it came back.
    pub shared_out: Credits,
    /// Running number of lines that are frozen and still have something out.
    pub frozen_out: u64,
    /// When the cycle before this one began, for usage that is told of later.
    pub previous_starts_at: Option<Timestamp>,
    /// Usage that was told of, and can still be told of again.
    pub imports: BTreeMap<ImportId, ImportRecord>,
    /// The same by when it happened.
    pub import_order: BTreeSet<(Timestamp, ImportId)>,
    /// Usage that was told of and that nothing paid for, of the cycles that had any.
    pub uncovered: BTreeMap<CycleNumber, Credits>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    pub member: Option<Box<Member>>,
    pub allocation: Option<Allocation>,
    pub limits: Option<Box<Limits>>,
    pub recent: Recent,
    /// Used, unattributed and written off on lines of this cycle, and what was told of it later, whatever paid for it.
    pub used: Credits,
    /// The same on lines of earlier cycles, as it became known in this one: limits count it here.
    pub late: Credits,
    /// All that was charged in earlier cycles.
    pub past: Credits,
    /// Refunded of charges of this cycle: limits do not count it. Charges of earlier ones: no limit counts them.
    pub refunded: Credits,
    pub past_refunded: Credits,
    /// Where credits for seats are not pooled: what he may have of them in this cycle, all that he used in it counted in. Of who
    /// has no access any more, that of the seat he left free.
    pub share: Option<Credits>,
    /// Used in this cycle of his own and of what is shared, refunds off: so much counts against his share.
    pub of_share: Credits,
    /// Out on lines.
    pub out: Credits,
    pub overage_rule: Option<(OverageRule, Revision)>,
    pub lines: Vec<LineId>,
    /// What services that draw on his chain have of it, if any ever did.
    pub by_services: Option<Box<ByServices>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub ai_access: bool,
    pub team: Option<TeamId>,
    pub role: Role,
    /// Where the member is a service.
    pub service: Option<Box<Service>>,
    pub revision: Revision,
}

/// What was answered under an idempotency key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRecord {
    pub command_hash: [u8; 32],
    pub outcome: Outcome,
}

impl User {
    pub fn has_access(&self) -> bool {
        self.member.as_ref().is_none_or(|member| member.ai_access)
    }

    pub fn has_seat(&self) -> bool {
        self.member.as_ref().is_some_and(|member| member.ai_access && member.service.is_none())
    }

    pub(crate) fn team(&self) -> Option<&TeamId> {
        self.member.as_ref()?.team.as_ref()
    }

    /// He spends what is allocated to him and nothing else.
    pub(crate) fn keeps_to_himself(&self) -> bool {
        self.allocation.as_ref().is_some_and(|allocation| allocation.overflow == crate::Overflow::None)
    }

    pub(crate) fn is_nobody(&self) -> bool {
        *self == Self::default()
    }
}

impl Workspace {
    pub(crate) fn new(id: WorkspaceId, at: Timestamp) -> Self {
        Self {
            name: id.to_string(),
            id,
            membership: Membership::Open,
            durability: Durability::Local,
            enforcement: Enforcement::On,
            created_at: at,
            settings: Revision(0),
            revision: Revision(0),
            cycle: CycleNumber::FIRST,
            cycle_starts_at: at,
            calendar_starts_at: at,
            timezone: ZoneName::utc(),
            clock: ZoneClock::utc(),
            cycle_rule: None,
            cycle_ends: Vec::new(),
            spent_before: Spent::default(),
            refunded_before: Credits::ZERO,
            refunds: BTreeMap::new(),
            refunded: BTreeMap::new(),
            lost_allocations: BTreeMap::new(),
            subscription: None,
            pooling: Pooling::Pooled,
            pooling_set: Revision(0),
            overage_rule: None,
            overages: BTreeMap::new(),
            seats: 0,
            begun_to: at,
            next_due: None,
            grants: Vec::new(),
            grant_ids: BTreeMap::new(),
            burn_order: Vec::new(),
            users: BTreeMap::new(),
            services: BTreeSet::new(),
            teams: BTreeMap::new(),
            limited: Limited::default(),
            by_feature: BTreeMap::new(),
            by_model: BTreeMap::new(),
            reserves: BTreeMap::new(),
            lines: BTreeMap::new(),
            highest_line: BTreeMap::new(),
            intents: BTreeMap::new(),
            next_intent: IntentNo(1),
            reallocations: BTreeMap::new(),
            next_allocation: AllocationNo(1),
            short: BTreeMap::new(),
            meters: Vec::new(),
            meter_numbers: BTreeMap::new(),
            metered_names: BTreeSet::new(),
            usage: BTreeMap::new(),
            keys: BTreeMap::new(),
            key_order: VecDeque::new(),
            totals: GrantBooks::default(),
            shared_out: Credits::ZERO,
            frozen_out: 0,
            previous_starts_at: None,
            imports: BTreeMap::new(),
            import_order: BTreeSet::new(),
            uncovered: BTreeMap::new(),
        }
    }

    pub(crate) fn next_revision(&mut self) -> Revision {
        let next = self.revision.0.checked_add(1).expect("2^64 changes do not happen");
        self.revision = Revision(next);
        self.revision
    }

    pub fn grant(&self, no: GrantNo) -> &Grant {
        &self.grants[no.0 as usize]
    }

    pub fn grants_in_burn_order(&self) -> impl DoubleEndedIterator<Item = &Grant> {
        self.burn_order.iter().map(|no| self.grant(*no))
    }

    /// The one way to change a grant: the running totals follow.
    pub(crate) fn on_grant<R>(&mut self, no: GrantNo, change: impl FnOnce(&mut Grant) -> R) -> R {
        let grant = &mut self.grants[no.0 as usize];
        let before = grant.books;
        let result = change(grant);
        let after = grant.books;
        self.totals.replace(&before, &after);
        assert!(self.totals.is_conserved(), "S1 broken in {}: {:?}", self.id, self.totals);
        result
    }

    pub(crate) fn add_grant(&mut self, grant: Grant) {
        let no = grant.no;
        self.totals.replace(&GrantBooks::default(), &grant.books);
        self.grant_ids.insert(grant.id.clone(), no);
        let (cycle, ends) = (self.cycle, &self.cycle_ends[..]);
        let key = grant.burn_key(cycle, ends);
        let at = self.burn_order.partition_point(|other| self.grant(*other).burn_key(cycle, ends) <= key);
        self.burn_order.insert(at, no);
        self.grants.push(grant);
        self.look_ahead();
    }

    /// What burns first may change with the ends of cycles.
    pub fn sort_burn_order(&mut self) {
        let mut order: Vec<&Grant> = self.grants.iter().collect();
        let (cycle, ends) = (self.cycle, &self.cycle_ends[..]);
        order.sort_by(|a, b| a.burn_key(cycle, ends).cmp(&b.burn_key(cycle, ends)));
        self.burn_order = order.into_iter().map(|grant| grant.no).collect();
    }

    /// Counted again.
    pub fn short_allocations(&self) -> BTreeMap<AllocationNo, Owner> {
        let short = self.allocations().filter(|(_, allocation)| !allocation.short.is_zero());
        short.map(|(owner, allocation)| (allocation.no, owner)).collect()
    }

    /// What comes back to a grant that has ended serves nobody.
    pub(crate) fn grant_ended(&mut self) {
        self.shared_out = self.counted_shared_out();
    }

    pub(crate) fn counted_shared_out(&self) -> Credits {
        let is_live = |numbers: &&BackingNumbers| {
            let Backing { source, grant } = numbers.backing;
            source == Source::Shared && self.grant(grant).state == GrantState::Live
        };
        let out = self.lines.values().flat_map(|line| line.backings.iter().filter(is_live));
        Credits::checked_sum(out.map(BackingNumbers::outstanding)).expect("parts of one pool")
    }

    pub fn user(&self, user: &UserId) -> Option<&User> {
        self.users.get(user)
    }

    pub(crate) fn user_mut(&mut self, user: &UserId) -> &mut User {
        self.users.entry(user.clone()).or_default()
    }

    /// Users of whom nothing is known take no room.
    pub(crate) fn drop_nobody(&mut self, user: &UserId) {
        if self.users.get(user).is_some_and(User::is_nobody) {
            self.users.remove(user);
        }
    }

    pub fn is_member(&self, user: &UserId) -> bool {
        self.membership == Membership::Open || self.user(user).is_some_and(|u| u.member.is_some())
    }

    /// Freezes a line: it draws no more. Answers whether it is worth a recall.
    pub(crate) fn freeze(&mut self, id: LineId) -> bool {
        let line = self.lines.get_mut(&id).expect("a line that is frozen exists");
        if line.frozen || line.written_off {
            return false;
        }
        line.frozen = true;
        self.frozen_out = self.frozen_out.saturating_add(1);
        true
    }

    /// Takes a line off the books for good; its usage is kept with its user.
    pub(crate) fn fold_line(&mut self, id: LineId) {
        let line = self.lines.remove(&id).expect("a line that is folded exists");
        assert!(line.outstanding().is_zero(), "a line is folded when nothing is out on it");
        self.raise_highest(id);
        if line.frozen {
            self.frozen_out = self.frozen_out.saturating_sub(1);
        }
        if !line.meters.is_empty() {
            let usage = self.usage.entry(line.user.clone()).or_default();
            for (meter, metered) in line.meters {
                usage.entry(meter).or_default().add(&metered);
            }
        }
        if let Some(user) = self.users.get_mut(&line.user) {
            user.lines.retain(|other| *other != id);
        }
        self.drop_nobody(&line.user);
        if let Some(whose) = &line.chain_of {
            self.forget_line_of_service(id, whose);
        }
    }
}

impl GrantBooks {
    /// Replaces one summand of a running total.
    fn replace(&mut self, before: &Self, after: &Self) {
        let pairs = [
            (&mut self.amount, before.amount, after.amount),
            (&mut self.available, before.available, after.available),
            (&mut self.earmarked, before.earmarked, after.earmarked),
            (&mut self.out, before.out, after.out),
            (&mut self.used, before.used, after.used),
            (&mut self.unattributed, before.unattributed, after.unattributed),
            (&mut self.written_off, before.written_off, after.written_off),
            (&mut self.expired, before.expired, after.expired),
            (&mut self.voided, before.voided, after.voided),
            (&mut self.refunded, before.refunded, after.refunded),
            (&mut self.exposure, before.exposure, after.exposure),
            (&mut self.for_overage, before.for_overage, after.for_overage),
        ];
        for (total, before, after) in pairs {
            total.shrink(before);
            total.grow(after);
        }
    }
}
