//! Words of one script line: positions, `name=value` options, and the ledger's commands they spell.

use ledger::{
    Change, CycleEnds, ForgetMode, GrantKind, GroupBy, Interval, Keep, MemberKind, Membership, MidCycle,
    NewGrant, NewImport, OverageRule, Overflow, Page, Plan, PlanChange, PlanTerm, Pooling, Prices, Role,
    Rollover, ServiceChange, Shares, Subject, TeamChange, Term, UsageKey, UsageQuery, Used, When,
    WhichMembers, WorkspaceSettings, limits,
};
use std::collections::{BTreeMap, VecDeque};
use std::str::FromStr;
use types::{
    Backing, ByGrant, CivilDate, Credits, CycleDays, CycleRule, Day, DiskId, Durability, Enforcement,
    Feature, GrantNo, HolderId, Limited, LineNumber, Meter, Metered, Model, Revision, Scope, Source, TeamId,
    Timestamp, Unit, ZoneClock, ZoneName,
};

#[derive(Debug, thiserror::Error)]
pub enum Bad {
    #[error("missing: {0}")]
    Missing(&'static str),
    #[error("not understood: {0}")]
    Unknown(String),
}

pub struct Words {
    positions: VecDeque<String>,
    options: BTreeMap<String, String>,
}

fn read<T: FromStr>(text: &str) -> Result<T, Bad> {
    text.parse().map_err(|_| Bad::Unknown(text.to_owned()))
}

fn pair<'a>(text: &'a str, at: &str) -> Result<(&'a str, &'a str), Bad> {
    text.split_once(at).ok_or_else(|| Bad::Unknown(text.to_owned()))
}

impl Words {
    pub fn of(line: &str) -> Result<Self, Bad> {
        let (mut positions, mut options) = (VecDeque::new(), BTreeMap::new());
        for word in line.split_whitespace() {
            match word.split_once('=') {
                None => positions.push_back(word.to_owned()),
                Some((name, value)) => {
                    if options.insert(name.to_owned(), value.to_owned()).is_some() {
                        return Err(Bad::Unknown(word.to_owned()));
                    }
                }
            }
        }
        Ok(Self { positions, options })
    }

    pub fn next(&mut self, what: &'static str) -> Result<String, Bad> {
        self.positions.pop_front().ok_or(Bad::Missing(what))
    }

    /// Passes over a word that may be said again.
    pub fn skip(&mut self, word: &str) {
        if self.positions.front().is_some_and(|next| next == word) {
            self.positions.pop_front();
        }
    }

    pub fn parsed<T: FromStr>(&mut self, what: &'static str) -> Result<T, Bad> {
        read(&self.next(what)?)
    }

    pub fn option<T: FromStr>(&mut self, name: &str) -> Result<Option<T>, Bad> {
        self.options.remove(name).map(|text| read(&text)).transpose()
    }

    pub fn option_or<T: FromStr>(&mut self, name: &str, otherwise: &str) -> Result<T, Bad> {
        read(&self.options.remove(name).unwrap_or_else(|| otherwise.to_owned()))
    }

    fn one_of<T: Copy>(&mut self, name: &str, all: &[(&str, T)]) -> Result<Option<T>, Bad> {
        let Some(text) = self.options.remove(name) else { return Ok(None) };
        let found = all.iter().find(|(word, _)| *word == text);
        found.map(|(_, value)| Some(*value)).ok_or(Bad::Unknown(text))
    }

    /// Nothing may be left over.
    pub fn end(self) -> Result<(), Bad> {
        let left = self.positions.into_iter().chain(self.options.into_keys()).next();
        left.map_or(Ok(()), |word| Err(Bad::Unknown(word)))
    }

    /// `90ms`, `5s`, `3h`, `2d` after `start`.
    pub fn time(&mut self, start: Timestamp) -> Result<Timestamp, Bad> {
        let text = self.next("a time")?;
        instant(&text, start)
    }

    pub fn revision(&mut self, name: &str) -> Result<Option<Revision>, Bad> {
        Ok(self.option(name)?.map(Revision))
    }

    pub fn holder(&mut self) -> Result<HolderId, Bad> {
        holder(&self.next("a holder")?)
    }

    pub fn line(&mut self) -> Result<(HolderId, LineNumber), Bad> {
        let text = self.next("a line")?;
        let (of, number) = pair(&text, "#")?;
        Ok((holder(of)?, LineNumber(read(number)?)))
    }

    pub fn forget_mode(&mut self) -> Result<ForgetMode, Bad> {
        match self.next("charge or credit")?.as_str() {
            "charge" => Ok(ForgetMode::Charge),
            "credit" => Ok(ForgetMode::Credit),
            other => Err(Bad::Unknown(other.to_owned())),
        }
    }

    pub fn kind(&mut self) -> Result<Option<MemberKind>, Bad> {
        self.one_of("kind", &[("user", MemberKind::User), ("service", MemberKind::Service)])
    }

    pub fn which_members(&mut self) -> Result<WhichMembers, Bad> {
        Ok(WhichMembers { kind: self.kind()?, owner: self.option("owner")? })
    }

    pub fn page(&mut self) -> Result<Page, Bad> {
        Ok(Page { after: self.options.remove("after"), limit: self.option_or("limit", "100")? })
    }

    pub fn usage_query(&mut self, start: Day) -> Result<UsageQuery, Bad> {
        let words = [
            ("user", GroupBy::User),
            ("owner", GroupBy::Owner),
            ("team", GroupBy::Team),
            ("feature", GroupBy::Feature),
            ("model", GroupBy::Model),
            ("grant", GroupBy::Grant),
        ];
        let by = self.options.remove("by").unwrap_or_default();
        let group = |word: &str| {
            let found = words.iter().find(|(name, _)| *name == word);
            found.map(|(_, by)| *by).ok_or_else(|| Bad::Unknown(word.to_owned()))
        };
        let group_by = by.split(',').filter(|word| !word.is_empty()).map(group).collect::<Result<_, _>>()?;
        let interval = self.one_of("interval", &[("day", Interval::Day), ("month", Interval::Month)])?;
        let day = |n: Option<i32>| n.map(|n| Day(start.0 + n));
        let (from, to) = (day(self.option("from")?), day(self.option("to")?));
        let user = self.options.remove("after").map(|user| user.parse().map_err(|_| Bad::Unknown(user)));
        let after = user.transpose()?.map(|user| UsageKey { user: Some(user), ..UsageKey::default() });
        Ok(UsageQuery { group_by, interval, from, to, after, limit: self.option_or("limit", "1000")? })
    }

    pub fn change(&mut self, verb: &str, start: Timestamp) -> Result<Change, Bad> {
        Ok(match verb {
            "workspace" => Change::PutWorkspace(self.settings()?),
            "cycles" => Change::PutWorkspace(self.cycles(start)?),
            "grant" => Change::MakeGrant(self.new_grant(start)?),
            "void" => Change::VoidGrant { grant: self.parsed("a grant")? },
            "member" => Change::PutMember {
                user: self.parsed("a user")?,
                ai_access: self.one_of("access", &[("on", true), ("off", false)])?,
                team: self.team_or_none()?,
                role: self.one_of(
                    "role",
                    &[("owner", Role::Owner), ("admin", Role::Admin), ("member", Role::Member)],
                )?,
                service: ServiceChange {
                    kind: self.kind()?,
                    owner: self.option("owner")?,
                    shares: match self.options.remove("shares").as_deref() {
                        None => None,
                        Some("nothing") => Some(Shares::Nothing),
                        Some("owner") => Some(Shares::WithOwner),
                        Some(other) => Some(Shares::With(read(other)?)),
                    },
                },
            },
            "allocate" => Change::SetAllocation {
                user: self.parsed("a user")?,
                amount: self.parsed("an amount")?,
                overflow: self
                    .one_of("overflow", &[("none", Overflow::None), ("shared", Overflow::Shared)])?,
            },
            "adjust" => {
                Change::AdjustAllocation { user: self.parsed("a user")?, delta: self.parsed("a difference")? }
            }
            "deallocate" => Change::RemoveAllocation { user: self.parsed("a user")? },
            "reallocate" => Change::Reallocate {
                id: self.parsed("an id")?,
                from: self.parsed("from whom")?,
                to: self.parsed("to whom")?,
                amount: self.parsed("an amount")?,
            },
            "limit" => {
                let whose = self.next("whose")?;
                let amount = self.next("an amount, or none")?;
                let amount = if amount == "none" { None } else { Some(read(&amount)?) };
                Change::SetLimit {
                    of: self.subject(&whose)?,
                    window: self.option_or("per", "cycle")?,
                    amount,
                }
            }
            "lift" => {
                let whose = self.next("whose")?;
                Change::LiftLimits { of: self.subject(&whose)? }
            }
            "zone" => {
                let clock = self.clock(start)?;
                let timezone = Some(clock.zone.clone());
                let clock = Some(clock);
                Change::PutWorkspace(WorkspaceSettings { timezone, clock, ..WorkspaceSettings::unchanged() })
            }
            "plan" => Change::Plan(self.plan()?),
            "pooling" => Change::SetPooling(self.pooling()?),
            "overage" => {
                let rule = overage_rule(&self.next("on, off, an amount or none")?)?;
                Change::SetOverage { user: self.option("user")?, rule }
            }
            "team" | "disband" | "reserve" | "adjust-reserve" | "unreserve" => {
                Change::Team { team: self.parsed("a team")?, change: self.team_change(verb)? }
            }
            "import" => Change::ImportUsage(vec![self.import(start)?]),
            "cancel-plan" => Change::Plan(PlanChange::Cancel),
            _ => return Err(Bad::Unknown(verb.to_owned())),
        })
    }

    /// A user; with `of=team` a team, and so on.
    pub fn subject(&mut self, name: &str) -> Result<Subject, Bad> {
        match self.options.remove("of").as_deref() {
            None => Ok(Subject::User(read(name)?)),
            Some("team") => Ok(Subject::Team(read(name)?)),
            Some("feature") => Ok(Subject::Feature(read(name)?)),
            Some("model") => Ok(Subject::Model(read(name)?)),
            Some(other) => Err(Bad::Unknown(other.to_owned())),
        }
    }

    /// `for=chat/opus`, `for=chat` or `for=/opus` on a new line: of the list of now, or with `list=0` of an older one.
    pub fn scope(&mut self, limited: &Limited) -> Result<Scope, Bad> {
        let text = self.options.remove("for").unwrap_or_else(|| "anything".to_owned());
        let (feature, model) = text.split_once('/').map_or((&*text, None), |(f, m)| (f, Some(m)));
        let feature = if feature.is_empty() { "anything" } else { feature };
        let model = model.map(read::<Model>).transpose()?;
        let scope = limited.scope_of(&read::<Feature>(feature)?, model.as_ref());
        Ok(Scope { list: self.option("list")?.map_or(scope.list, Revision), ..scope })
    }

    pub fn pooling(&mut self) -> Result<Pooling, Bad> {
        match self.next("pooled, per-seat or own-first")?.as_str() {
            "pooled" => Ok(Pooling::Pooled),
            "per-seat" => Ok(Pooling::PerSeat),
            "own-first" => Ok(Pooling::OwnFirst),
            other => Err(Bad::Unknown(other.to_owned())),
        }
    }

    /// `import i1 ann 5 at=2h of=chat/m-1`: usage that happened elsewhere; `none` where nobody knows its price. `said=` is more
    /// of what was said.
    fn import(&mut self, start: Timestamp) -> Result<NewImport, Bad> {
        let (id, user) = (self.parsed("an id")?, self.parsed("a user")?);
        let charge = self.next("an amount, or none")?;
        let at = self.options.remove("at").ok_or(Bad::Missing("at=TIME"))?;
        let of = self.options.remove("of").unwrap_or_else(|| "chat/m-1".to_owned());
        let said = self.options.remove("said").unwrap_or_default();
        let (feature, model) = of.split_once('/').map_or((&*of, None), |(f, m)| (f, Some(m)));
        Ok(NewImport {
            body: digest(&format!("{user:?} {charge} {at} {of} {said}")),
            id,
            user,
            feature: read(feature)?,
            model: model.map(read).transpose()?,
            units: Vec::new(),
            charge: if charge == "none" { None } else { Some(read(&charge)?) },
            happened_at: instant(&at, start)?,
        })
    }

    fn team_or_none(&mut self) -> Result<Option<Option<TeamId>>, Bad> {
        let Some(text) = self.options.remove("team") else { return Ok(None) };
        Ok(Some(if text == "none" { None } else { Some(read(&text)?) }))
    }

    /// `team design under=eng`, `disband design`, `reserve eng 100`, `adjust-reserve eng -10`, `unreserve eng`.
    fn team_change(&mut self, verb: &str) -> Result<TeamChange, Bad> {
        Ok(match verb {
            "team" => TeamChange::Put { parent: self.option("under")? },
            "disband" => TeamChange::Remove,
            "reserve" => TeamChange::SetReserve { amount: self.parsed("an amount")? },
            "adjust-reserve" => TeamChange::AdjustReserve { delta: self.parsed("a difference")? },
            _ => TeamChange::RemoveReserve,
        })
    }

    fn settings(&mut self) -> Result<WorkspaceSettings, Bad> {
        let name = self.options.remove("name");
        let membership =
            self.one_of("membership", &[("open", Membership::Open), ("listed", Membership::Listed)])?;
        let durability =
            [("local", Durability::Local), ("disk", Durability::Disk), ("quorum", Durability::Quorum)];
        let durability = self.one_of("durability", &durability)?;
        let enforcement =
            self.one_of("enforcement", &[("on", Enforcement::On), ("shadow", Enforcement::Shadow)])?;
        Ok(WorkspaceSettings { name, membership, durability, enforcement, ..WorkspaceSettings::unchanged() })
    }

    /// `cycles month 2026-01-31 zone=UTC ends=10d,41d began=-21d`: the ends are as scripts please.
    fn cycles(&mut self, start: Timestamp) -> Result<WorkspaceSettings, Bad> {
        let zone = self.options.get("zone").map(|text| zone(text)).transpose()?;
        let began = self.options.remove("began").map(|text| instant(&text, start)).transpose()?;
        let ends = self.cycle_ends(start)?;
        let cycle = Some(ends.rule.days());
        let ends = Some(ends);
        Ok(WorkspaceSettings { timezone: zone, cycle, ends, began, ..WorkspaceSettings::unchanged() })
    }

    /// `month 2026-01-31 zone=UTC ends=10d,41d`.
    pub fn cycle_ends(&mut self, start: Timestamp) -> Result<CycleEnds, Bad> {
        let every = match self.next("month or year")?.as_str() {
            "month" => types::Every::Month,
            "year" => types::Every::Year,
            other => return Err(Bad::Unknown(other.to_owned())),
        };
        let anchor: CivilDate = self.parsed("an anchor")?;
        let zone = zone(&self.options.remove("zone").unwrap_or_else(|| "UTC".to_owned()))?;
        let rule = CycleRule::of(CycleDays { every, anchor }, zone);
        let text = self.options.remove("ends").unwrap_or_default();
        let ends = text.split(',').filter(|part| !part.is_empty()).map(|part| instant(part, start));
        Ok(CycleEnds { rule, ends: ends.collect::<Result<_, _>>()? })
    }

    /// `Europe/Berlin ahead=2h changes=30d:1h`: hours ahead of UTC, and when clocks are put to what.
    pub fn clock(&mut self, start: Timestamp) -> Result<ZoneClock, Bad> {
        let zone = zone(&self.next("a zone")?)?;
        let zero = Timestamp::from_millis(0);
        let ahead =
            |text: &str| Ok(i32::try_from(instant(text, zero)?.millis() / 1_000).expect("a few hours"));
        let ahead_s = ahead(&self.options.remove("ahead").unwrap_or_else(|| "0h".to_owned()))?;
        let text = self.options.remove("changes").unwrap_or_default();
        let change = |part: &str| {
            let (at, to) = pair(part, ":")?;
            Ok((instant(at, start)?, ahead(to)?))
        };
        let changes = text.split(',').filter(|part| !part.is_empty()).map(change);
        let changes = changes.collect::<Result<_, Bad>>()?;
        ZoneClock::new(zone, ahead_s, changes).map_err(|bad| Bad::Unknown(bad.to_string()))
    }

    /// `keep=all|none|12.5|30%`, `for=2` cycles; without a `keep` it lasts.
    fn term(&mut self) -> Result<Term, Bad> {
        let cycles = self.option("for")?;
        let Some(text) = self.options.remove("keep") else { return Ok(Term::Lasting) };
        let keep = match (text.as_str(), text.strip_suffix('%')) {
            ("all", _) => Keep::All,
            ("none", _) => Keep::None,
            (_, Some(percent)) => Keep::Percent(read(percent)?),
            (amount, None) => Keep::UpTo(read(amount)?),
        };
        Ok(Term::Cycle(Rollover { keep, cycles }))
    }

    /// `pro 1000 seat=50 mid=prorated when=next keep=30% paid=no overage=on features=chat,image price=49EUR
    /// seat-price=5EUR overage-price=0.01EUR term=year name=Pro`.
    pub fn plan(&mut self) -> Result<PlanChange, Bad> {
        let (id, allowance) = (self.parsed("a plan")?, self.parsed("an allowance")?);
        let per_seat = self.option("seat")?.unwrap_or(Credits::ZERO);
        let paid = self.one_of("paid", &[("yes", true), ("no", false)])?.unwrap_or(true);
        let mid = [("whole", MidCycle::Whole), ("prorated", MidCycle::Prorated)];
        let mid_cycle = self.one_of("mid", &mid)?.unwrap_or(MidCycle::Whole);
        let when =
            self.one_of("when", &[("now", When::Now), ("next", When::NextCycle)])?.unwrap_or(When::Now);
        let rollover = match self.term()? {
            Term::Lasting => Rollover::NONE,
            Term::Cycle(rollover) => rollover,
        };
        let overage = overage_rule(&self.options.remove("overage").unwrap_or_else(|| "none".to_owned()))?;
        let names = |text: String| text.split(',').filter(|name| !name.is_empty()).map(read).collect();
        let features = self.options.remove("features").map(names).transpose()?;
        let (cycle, seat) = (self.option("price")?, self.option("seat-price")?);
        let prices = Prices { cycle, seat, overage: self.option("overage-price")? };
        let terms = [("cycle", PlanTerm::Cycle), ("year", PlanTerm::Year)];
        let term = self.one_of("term", &terms)?.unwrap_or(PlanTerm::Cycle);
        let name = self.options.remove("name");
        let plan = Plan {
            id,
            name,
            allowance,
            per_seat,
            paid,
            rollover,
            mid_cycle,
            overage,
            features,
            prices,
            term,
        };
        Ok(PlanChange::Set { plan, when })
    }

    fn new_grant(&mut self, start: Timestamp) -> Result<NewGrant, Bad> {
        let (id, amount) = (self.parsed("a grant")?, self.parsed("an amount")?);
        let kinds = [
            ("plan", GrantKind::Plan),
            ("seat", GrantKind::Seat),
            ("pack", GrantKind::Pack),
            ("trial", GrantKind::Trial),
            ("promotion", GrantKind::Promotion),
            ("correction", GrantKind::Correction),
        ];
        let kind = self.one_of("kind", &kinds)?.unwrap_or(GrantKind::Plan);
        let paid = self.one_of("paid", &[("yes", true), ("no", false)])?;
        let mut time = |name| self.options.remove(name).map(|text| instant(&text, start)).transpose();
        let (starts_at, expires_at) = (time("starts")?, time("expires")?);
        let priority = self.option("priority")?.unwrap_or(limits::PRIORITY_DEFAULT);
        let paid = paid.unwrap_or(kind.is_paid_by_default());
        let term = self.term()?;
        let price = self.option("price")?;
        Ok(NewGrant { id, kind, amount, priority, paid, starts_at, expires_at, term, price })
    }

    /// What a charge drew.
    pub fn paid(&mut self, grant: impl Fn(&str) -> Option<GrantNo>) -> Result<Vec<(Backing, Credits)>, Bad> {
        self.by_backing("paid", grant)
    }

    /// `own/g1:3,shared/g2:0.5` by the name of the option.
    fn by_backing(
        &mut self,
        name: &str,
        grant: impl Fn(&str) -> Option<GrantNo>,
    ) -> Result<Vec<(Backing, Credits)>, Bad> {
        let text = self.options.remove(name).unwrap_or_default();
        let one = |part: &str| {
            let (backing, amount) = part.rsplit_once(':').ok_or_else(|| Bad::Unknown(part.to_owned()))?;
            let (source, id) = pair(backing, "/")?;
            let source = match source {
                "own" => Source::Allocation,
                "shared" => Source::Shared,
                "overage" => Source::Overage,
                other if other.starts_with("reserve") => Source::Reserve(read(&other["reserve".len()..])?),
                other => return Err(Bad::Unknown(other.to_owned())),
            };
            let grant = grant(id).ok_or_else(|| Bad::Unknown(id.to_owned()))?;
            Ok((Backing { source, grant }, read(amount)?))
        };
        text.split(',').filter(|part| !part.is_empty()).map(one).collect()
    }

    pub fn returned(
        &mut self,
        grant: impl Fn(&str) -> Option<GrantNo>,
    ) -> Result<Vec<(Backing, Credits)>, Bad> {
        self.by_backing("returned", grant)
    }

    /// `used=`, `lost=` (unattributed) and `meters=`; without meters all of it is one call of `chat` `m-1` today.
    pub fn used(&mut self, grant: impl Fn(&str) -> Option<GrantNo> + Copy, today: Day) -> Result<Used, Bad> {
        let mut numbers: BTreeMap<Backing, (Credits, Credits)> = BTreeMap::new();
        for (backing, amount) in self.by_backing("used", grant)? {
            numbers.entry(backing).or_default().0 = amount;
        }
        let used = Credits::checked_sum(numbers.values().map(|(u, _)| *u)).expect("a small script");
        for (backing, amount) in self.by_backing("lost", grant)? {
            numbers.entry(backing).or_default().1 = amount;
        }
        let by_backing: Vec<_> = numbers.into_iter().map(|(backing, (u, z))| (backing, u, z)).collect();
        let by_meter: Vec<_> = match self.options.remove("meters") {
            Some(text) => text.split(',').map(|part| metered(part, today)).collect::<Result<_, _>>()?,
            None if used.is_zero() => Vec::new(),
            None => vec![metered(&format!("chat/m-1:{used}"), today)?],
        };
        let by_meter = paid_in_order(by_meter, &by_backing);
        Ok(Used { by_backing, by_meter })
    }
}

/// Meters are paid one after the other, by one backing after the other, as far as it goes.
fn paid_in_order(
    mut meters: Vec<(Meter, Metered)>,
    by_backing: &[(Backing, Credits, Credits)],
) -> Vec<(Meter, Metered)> {
    let mut backings = by_backing.iter().map(|(backing, used, _)| (backing.grant, *used));
    let mut open = backings.next();
    for (_, metered) in &mut meters {
        let mut missing = metered.credits;
        while let Some((grant, left)) = open.filter(|_| !missing.is_zero()) {
            let part = missing.min(left);
            metered.by_grant.add(grant, part);
            missing = missing.saturating_sub(part);
            let left = left.saturating_sub(part);
            open = if left.is_zero() { backings.next() } else { Some((grant, left)) };
        }
    }
    meters
}

/// `chat/m-1:3` or `image:2`, of today or with `@-1` of yesterday, one call each; `#400` counts tokens.
fn metered(text: &str, today: Day) -> Result<(Meter, Metered), Bad> {
    let (text, tokens) = text.split_once('#').map_or((text, None), |(text, n)| (text, Some(n)));
    let (text, days) = text.split_once('@').unwrap_or((text, "0"));
    let (name, credits) = pair(text, ":")?;
    let (feature, model) = name.split_once('/').map_or((name, None), |(f, m)| (f, Some(m)));
    let meter = Meter {
        feature: read::<Feature>(feature)?,
        model: model.map(read::<Model>).transpose()?,
        day: Day(today.0 + read::<i32>(days)?),
    };
    let tokens = tokens.map(|n| Ok::<_, Bad>((read::<Unit>("token")?, read(n)?))).transpose()?;
    let (units, by_grant) = (tokens.into_iter().collect(), ByGrant::default());
    Ok((meter, Metered { credits: read(credits)?, calls: 1, units, by_grant }))
}

fn overage_rule(text: &str) -> Result<Option<OverageRule>, Bad> {
    Ok(match text {
        "none" => None,
        "on" => Some(OverageRule::On),
        "off" => Some(OverageRule::Off),
        cap => Some(OverageRule::UpTo(read(cap)?)),
    })
}

/// Any hash will do, as long as equal texts have equal ones.
pub fn digest(text: &str) -> [u8; 32] {
    let mut hash = [0; 32];
    for (i, byte) in text.bytes().enumerate() {
        let slot: &mut u8 = &mut hash[i % 32];
        *slot = slot.wrapping_mul(31).wrapping_add(byte);
    }
    hash
}

fn zone(text: &str) -> Result<ZoneName, Bad> {
    ZoneName::parse(text).map_err(|_| Bad::Unknown(text.to_owned()))
}

fn instant(text: &str, start: Timestamp) -> Result<Timestamp, Bad> {
    let units = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
    let (digits, ms) = units
        .iter()
        .find_map(|(unit, ms)| Some((text.strip_suffix(unit)?, *ms)))
        .ok_or_else(|| Bad::Unknown(text.to_owned()))?;
    Ok(start.plus_ms(read::<i64>(digits)? * ms))
}

fn holder(text: &str) -> Result<HolderId, Bad> {
    let (node, disk) = text.split_once('/').unwrap_or((text, "1"));
    Ok(HolderId { node: read(node)?, disk: DiskId(read(disk)?) })
}
