//! What the ledger keeps. Fields that can be computed from others are computed again when a workspace is read.

use super::{Misshapen, Shaped, shaped};
use ledger::{DatedCard, Earmarks, Grant, GrantBooks, KeyRecord, Meta, Workspace};
use pricing::{BadCard, PriceList, RateCard};
use std::collections::BTreeMap;
use std::sync::Arc;
use types::planted::{Mistake, is_planted};
use types::{Credits, GrantNo, Meter};
use wire::ledger as shape;

shaped! {
    struct ledger::PriceKey { at, workspace, keyed, answer }
    struct ledger::HolderRecord { journal_sequence, status }
    struct ledger::Grant {
        no, id, kind, priority, paid, created_at, starts_at, expires_at, term, price, rolled, state, made, revision, books,
    }
    struct ledger::GrantBooks {
        amount, available, earmarked, out, used, unattributed, written_off, expired, voided, refunded, exposure,
        for_overage,
    }
    struct ledger::Rolled { cycle, last, left, kept }
    struct ledger::Spent { used, unattributed, written_off }
    struct ledger::Subscription { plan, next, seats, allowance, for_seats, cost, term, revision }
    struct ledger::Cost { owed, most }
    struct ledger::Due { owed, given, most }
    struct ledger::User {
        member, allocation, limits, recent, used, late, past, refunded, past_refunded, share, of_share, out,
        overage_rule, lines, by_services,
    }
    struct ledger::ImportRecord { body, import }
    struct ledger::Overage { grant, accounts, closed }
    struct ledger::OverageAccount { made, shares, chain_of, reserves, paid_by }
    struct ledger::OveragePayer { grant, allocation, amount }
    struct ledger::Member { ai_access, team, role, service, revision }
    struct ledger::ByServices { lines, out, used, charged }
    struct ledger::Team { parent, reserve, limits, recent, used, out, revision }
    struct ledger::OfScope { limits, since, recent, used, out }
    struct ledger::Allocation { no, standing, overflow, of_seat, used, out, pledged, earmarks, short, revision }
    struct ledger::Line {
        user, cycle, team, scope, chain_of, backings, meters, held, confirmed, allocation, reserves, frozen, written_off, pledges,
        heard_at,
    }
    struct ledger::BackingNumbers { backing, drawn, used, returned, unattributed, written_off }
    struct ledger::Pledge { intent, source, amount }
    struct ledger::Intent {
        cycle, reallocation, from, from_allocation, to, asked, moved, lapsed, lines, first_answer,
    }
}

shaped! {
    enum ledger::HolderStatus { Active, Fenced }
    enum ledger::GrantState { Live, Expired, Voided }
    enum ledger::Next { Plan(plan), Ends }
    enum ledger::Owner { User(user), Team(team) }
    enum ledger::Recipient { Shared, Allocation(user, allocation) }
}

impl Shaped for Meta {
    type Shape = shape::Meta;

    fn shape(&self) -> Self::Shape {
        let Self { last_version, cards, own, keys } = self;
        let dated = |DatedCard { effective_at, card }: &DatedCard| shape::DatedCard {
            effective_at: effective_at.shape(),
            version: card.version(),
            list: card.list().shape(),
        };
        let own = own.iter().map(|(id, lists)| (id.shape(), lists.iter().map(dated).collect()));
        shape::Meta {
            last_version: *last_version,
            cards: cards.iter().map(dated).collect(),
            own: own.collect(),
            keys: keys.shape(),
        }
    }

    fn from_shape(shape: Self::Shape) -> Result<Self, Misshapen> {
        let shape::Meta { last_version, cards, own, keys } = shape;
        let own = own.into_iter().map(|(id, lists)| {
            let lists: Result<_, _> =
                lists.into_iter().map(|dated| dated_card(dated, RateCard::own)).collect();
            Ok((Shaped::from_shape(id)?, lists?))
        });
        Ok(Self {
            last_version,
            cards: cards.into_iter().map(|card| dated_card(card, RateCard::new)).collect::<Result<_, _>>()?,
            own: own.collect::<Result<_, Misshapen>>()?,
            keys: Shaped::from_shape(keys)?,
        })
    }
}

fn dated_card(
    shape: shape::DatedCard,
    checked: impl FnOnce(u64, PriceList) -> Result<RateCard, BadCard>,
) -> Result<DatedCard, Misshapen> {
    let shape::DatedCard { effective_at, version, list } = shape;
    let card = checked(version, Shaped::from_shape(list)?);
    let card = card.map_err(|why| Misshapen(format!("prices of version {version}: {why}")))?;
    Ok(DatedCard { effective_at: Shaped::from_shape(effective_at)?, card: Arc::new(card) })
}

impl Shaped for Earmarks {
    type Shape = Vec<(u32, u64)>;

    fn shape(&self) -> Self::Shape {
        self.iter().map(|(grant, amount)| (grant.shape(), amount.shape())).collect()
    }

    fn from_shape(shape: Self::Shape) -> Result<Self, Misshapen> {
        let parts: Vec<(GrantNo, Credits)> = Shaped::from_shape(shape)?;
        Self::from_sorted(parts).ok_or_else(|| Misshapen("earmarks out of order".to_owned()))
    }
}

impl Shaped for Workspace {
    type Shape = shape::Workspace;

    fn shape(&self) -> Self::Shape {
        // Every field by name, so that a new one is not forgotten here.
        let Self {
            id,
            name,
            membership,
            durability,
            enforcement,
            created_at,
            settings,
            revision,
            cycle,
            cycle_starts_at,
            calendar_starts_at,
            timezone,
            clock,
            cycle_rule,
            cycle_ends,
            spent_before,
            refunded_before,
            refunds,
            refunded: _,
            lost_allocations,
            subscription,
            pooling,
            pooling_set,
            overage_rule,
            overages,
            seats: _,
            begun_to,
            next_due: _,
            grants,
            grant_ids: _,
            burn_order: _,
            users,
            teams,
            limited,
            by_feature,
            by_model,
            reserves: _,
            services: _,
            lines,
            highest_line,
            intents,
            next_intent,
            reallocations,
            next_allocation,
            short: _,
            meters,
            meter_numbers: _,
            metered_names,
            usage,
            keys,
            key_order,
            totals: _,
            shared_out,
            frozen_out,
            previous_starts_at,
            imports,
            import_order: _,
            uncovered,
        } = self;
        let entry = |(at, key): &(types::Timestamp, types::IdempotencyKey)| {
            let KeyRecord { command_hash, outcome } = &keys[key];
            let (command_hash, outcome) = (*command_hash, outcome.shape());
            shape::KeyEntry { at: at.shape(), key: key.shape(), command_hash, outcome }
        };
        shape::Workspace {
            id: id.shape(),
            name: name.shape(),
            membership: membership.shape(),
            durability: durability.shape(),
            enforcement: enforcement.shape(),
            created_at: created_at.shape(),
            settings: settings.shape(),
            revision: revision.shape(),
            cycle: cycle.shape(),
            cycle_starts_at: cycle_starts_at.shape(),
            calendar_starts_at: calendar_starts_at.shape(),
            timezone: timezone.shape(),
            clock: clock.shape(),
            cycle_rule: cycle_rule.shape(),
            cycle_ends: cycle_ends.shape(),
            spent_before: spent_before.shape(),
            refunded_before: refunded_before.shape(),
            refunds: refunds.shape(),
            lost_allocations: lost_allocations.shape(),
            subscription: subscription.shape(),
            pooling: pooling.shape(),
            pooling_set: pooling_set.shape(),
            overage_rule: overage_rule.shape(),
            overages: overages.shape(),
            begun_to: begun_to.shape(),
            grants: grants.shape(),
            users: users.shape(),
            teams: teams.shape(),
            limited: limited.shape(),
            by_feature: by_feature.shape(),
            by_model: by_model.shape(),
            lines: if is_planted(Mistake::SnapshotWithoutLines) { Vec::new() } else { lines.shape() },
            highest_line: highest_line.shape(),
            intents: intents.shape(),
            next_intent: next_intent.shape(),
            reallocations: reallocations.shape(),
            next_allocation: next_allocation.shape(),
            meters: meters.shape(),
            metered_names: metered_names.shape(),
            usage: usage.shape(),
            keys: key_order.iter().map(entry).collect(),
            shared_out: shared_out.shape(),
            frozen_out: *frozen_out,
            previous_starts_at: previous_starts_at.shape(),
            imports: imports.shape(),
            uncovered: uncovered.shape(),
        }
    }

    fn from_shape(shape: Self::Shape) -> Result<Self, Misshapen> {
        let grants: Vec<Grant> = Shaped::from_shape(shape.grants)?;
        if grants.iter().enumerate().any(|(i, grant)| u64::from(grant.no.0) != i.shape()) {
            return Err(Misshapen("grants are not numbered by position".to_owned()));
        }
        let meters: Vec<Meter> = Shaped::from_shape(shape.meters)?;
        let mut keys = BTreeMap::new();
        let mut key_order = std::collections::VecDeque::new();
        for shape::KeyEntry { at, key, command_hash, outcome } in shape.keys {
            let key = types::IdempotencyKey::from_shape(key)?;
            let outcome = Shaped::from_shape(outcome)?;
            keys.insert(key.clone(), KeyRecord { command_hash, outcome });
            key_order.push_back((Shaped::from_shape(at)?, key));
        }
        let mut workspace = Self {
            id: Shaped::from_shape(shape.id)?,
            name: shape.name,
            membership: Shaped::from_shape(shape.membership)?,
            durability: Shaped::from_shape(shape.durability)?,
            enforcement: Shaped::from_shape(shape.enforcement)?,
            created_at: Shaped::from_shape(shape.created_at)?,
            settings: Shaped::from_shape(shape.settings)?,
            revision: Shaped::from_shape(shape.revision)?,
            cycle: Shaped::from_shape(shape.cycle)?,
            cycle_starts_at: Shaped::from_shape(shape.cycle_starts_at)?,
            calendar_starts_at: Shaped::from_shape(shape.calendar_starts_at)?,
            timezone: Shaped::from_shape(shape.timezone)?,
            clock: Shaped::from_shape(shape.clock)?,
            cycle_rule: Shaped::from_shape(shape.cycle_rule)?,
            cycle_ends: Shaped::from_shape(shape.cycle_ends)?,
            spent_before: Shaped::from_shape(shape.spent_before)?,
            refunded_before: Shaped::from_shape(shape.refunded_before)?,
            refunds: Shaped::from_shape(shape.refunds)?,
            refunded: BTreeMap::new(),
            lost_allocations: Shaped::from_shape(shape.lost_allocations)?,
            subscription: Shaped::from_shape(shape.subscription)?,
            pooling: Shaped::from_shape(shape.pooling)?,
            pooling_set: Shaped::from_shape(shape.pooling_set)?,
            overage_rule: Shaped::from_shape(shape.overage_rule)?,
            overages: Shaped::from_shape(shape.overages)?,
            seats: 0,
            begun_to: Shaped::from_shape(shape.begun_to)?,
            next_due: None,
            grant_ids: grants.iter().map(|grant| (grant.id.clone(), grant.no)).collect(),
            burn_order: Vec::new(),
            totals: totals(&grants)?,
            grants,
            users: Shaped::from_shape(shape.users)?,
            teams: Shaped::from_shape(shape.teams)?,
            limited: Shaped::from_shape(shape.limited)?,
            by_feature: Shaped::from_shape(shape.by_feature)?,
            by_model: Shaped::from_shape(shape.by_model)?,
            reserves: BTreeMap::new(),
            services: Default::default(),
            lines: Shaped::from_shape(shape.lines)?,
            highest_line: Shaped::from_shape(shape.highest_line)?,
            intents: Shaped::from_shape(shape.intents)?,
            next_intent: Shaped::from_shape(shape.next_intent)?,
            reallocations: Shaped::from_shape(shape.reallocations)?,
            next_allocation: Shaped::from_shape(shape.next_allocation)?,
            short: BTreeMap::new(),
            meter_numbers: (0_u32..).zip(&meters).map(|(number, meter)| (meter.clone(), number)).collect(),
            meters,
            metered_names: Shaped::from_shape(shape.metered_names)?,
            usage: Shaped::from_shape(shape.usage)?,
            keys,
            key_order,
            shared_out: Shaped::from_shape(shape.shared_out)?,
            frozen_out: shape.frozen_out,
            previous_starts_at: Shaped::from_shape(shape.previous_starts_at)?,
            imports: Shaped::from_shape(shape.imports)?,
            import_order: Default::default(),
            uncovered: Shaped::from_shape(shape.uncovered)?,
        };
        workspace.reserves = workspace.counted_reserves();
        workspace.services = workspace.counted_services();
        workspace.refunded = workspace.refunded_by_charge();
        workspace.import_order = workspace.ordered_imports();
        workspace.short = workspace.short_allocations();
        workspace.seats = workspace.counted_seats();
        workspace.sort_burn_order();
        workspace.look_ahead();
        Ok(workspace)
    }
}

fn totals(grants: &[Grant]) -> Result<GrantBooks, Misshapen> {
    let mut sums = GrantBooks::default();
    for GrantBooks {
        amount,
        available,
        earmarked,
        out,
        used,
        unattributed,
        written_off,
        expired,
        voided,
        refunded,
        exposure,
        for_overage,
    } in grants.iter().map(|grant| grant.books)
    {
        let parts = [
            (&mut sums.amount, amount),
            (&mut sums.available, available),
            (&mut sums.earmarked, earmarked),
            (&mut sums.out, out),
            (&mut sums.used, used),
            (&mut sums.unattributed, unattributed),
            (&mut sums.written_off, written_off),
            (&mut sums.expired, expired),
            (&mut sums.voided, voided),
            (&mut sums.refunded, refunded),
            (&mut sums.exposure, exposure),
            (&mut sums.for_overage, for_overage),
        ];
        for (sum, part) in parts {
            let more = sum.checked_add(part);
            *sum = more.ok_or_else(|| Misshapen("the grants sum past the bound".to_owned()))?;
        }
    }
    Ok(sums)
}
