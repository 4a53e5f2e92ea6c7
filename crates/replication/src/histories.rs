//! Random histories of commands for tests: most are accepted, some are not. Not here: what is expected of them.

use ledger::{
    AdminCommand, Change, Command, ForgetMode, GrantKind, HolderBatch, KeyedBy, LineMessage, Membership,
    NewGrant, OverageRule, Overflow, Pooling, Role, State, Subject, TeamChange, Used, Wish,
    WorkspaceSettings,
};
use pricing::{Minimum, Price, PriceList, Tier};
use proptest::prelude::*;
use types::{
    Backing, ByGrant, Credits, CreditsDelta, CycleNumber, DiskId, Durability, Enforcement, HolderId, LineId,
    LineNumber, Meter, Metered, NodeId, Timestamp, UserId, WorkspaceId,
};

/// One step as dice: made into a command only when the state it meets is known.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    kind: u8,
    workspace: u8,
    user: u8,
    other: u8,
    holder: u8,
    amount: u64,
    pass_ms: i64,
    odd: bool,
}

pub(crate) fn steps(max: usize) -> impl Strategy<Value = Vec<Step>> {
    let step = (0..24_u8, 0..2_u8, 0..3_u8, 0..3_u8, 0..3_u8, 0..60_u64, 0..400_i64, any::<bool>());
    let step = step.prop_map(|(kind, workspace, user, other, holder, amount, pass_ms, odd)| Step {
        kind,
        workspace,
        user,
        other,
        holder,
        amount,
        pass_ms,
        odd,
    });
    proptest::collection::vec(step, 1..max)
}

/// The commands of a history with their times, each as it fits the state before it.
pub(crate) fn history(steps: &[Step]) -> Vec<(Timestamp, Command)> {
    let (mut state, mut history) = (State::new(), Vec::new());
    let begin = [step_of(0, 0), step_of(0, 1), step_of(1, 0), step_of(1, 1), step_of(2, 0), step_of(2, 1)];
    let mut at = Timestamp::from_millis(1_000);
    for step in begin.iter().chain(steps) {
        at = at.plus_ms(step.pass_ms);
        let command = step.command(&state, at, history.len());
        state.apply(at, &command);
        history.push((at, command));
    }
    history
}

fn step_of(kind: u8, workspace: u8) -> Step {
    Step { kind, workspace, user: 0, other: 1, holder: workspace, amount: 50, pass_ms: 1, odd: false }
}

impl Step {
    fn command(&self, state: &State, at: Timestamp, number: usize) -> Command {
        let change = match self.kind {
            0 => Change::PutWorkspace(self.settings()),
            1 => Change::MakeGrant(self.grant(at, number)),
            2 => return Command::Register { holder: self.holder(), journal_sequence: self.amount },
            3 => Change::VoidGrant { grant: format!("g{}", self.amount).parse().unwrap() },
            4 if !self.odd && self.amount < 20 => Change::ImportUsage(vec![ledger::NewImport {
                id: format!("i{}", self.amount).parse().unwrap(),
                user: self.user(),
                feature: "told-later".parse().unwrap(),
                model: None,
                units: Vec::new(),
                charge: Some(self.credits()),
                happened_at: at,
                body: [self.user; 32],
            }]),
            4 => Change::PutMember {
                user: self.user(),
                ai_access: Some(!self.odd),
                team: self.odd.then(|| Some("t".parse().unwrap())),
                role: Some(Role::Admin),
                service: ledger::ServiceChange::NONE,
            },
            5 | 6 => {
                let overflow = self.odd.then_some(Overflow::None);
                Change::SetAllocation { user: self.user(), amount: self.credits(), overflow }
            }
            7 => Change::AdjustAllocation { user: self.user(), delta: CreditsDelta::Lower(self.credits()) },
            8 => Change::RemoveAllocation { user: self.user() },
            9 | 10 => Change::Reallocate {
                id: format!("r{}", self.amount).parse().unwrap(),
                from: self.user(),
                to: user(self.other),
                amount: self.credits(),
            },
            11 => Change::SetLimit {
                of: if self.amount < 20 {
                    Subject::Team("t".parse().unwrap())
                } else {
                    Subject::User(self.user())
                },
                window: types::Window::ALL[usize::from(self.other) + 1],
                amount: self.odd.then(|| self.credits()),
            },
            12 if self.odd => {
                let amount = self.credits();
                let reserve = TeamChange::SetReserve { amount };
                let change = if self.amount < 25 { TeamChange::Put { parent: None } } else { reserve };
                Change::Team { team: "t".parse().unwrap(), change }
            }
            12 => return Command::Tick { workspace: self.workspace() },
            13 if self.odd && self.amount < 20 => {
                return Command::Forget { holder: self.holder(), mode: ForgetMode::Credit };
            }
            13 if self.amount > 52 => {
                Change::SetPooling(if self.odd { Pooling::PerSeat } else { Pooling::OwnFirst })
            }
            13 => Change::SetOverage {
                user: (self.amount < 40).then(|| self.user()),
                rule: Some(OverageRule::UpTo(self.credits())),
            },
            14 => return Command::Prices(self.prices(state, at)),
            _ => return Command::Holder(self.batch(state)),
        };
        let key = || KeyedBy {
            key: format!("k{}", self.amount % 9).parse().unwrap(),
            command_hash: [self.kind; 32],
        };
        Command::Admin(AdminCommand {
            workspace: self.workspace(),
            keyed: self.odd.then(key),
            if_match: None,
            change,
        })
    }

    fn workspace(&self) -> WorkspaceId {
        format!("w{}", self.workspace).parse().unwrap()
    }

    fn user(&self) -> UserId {
        user(self.user)
    }

    fn holder(&self) -> HolderId {
        HolderId { node: NodeId(u16::from(self.holder) + 1), disk: DiskId(9) }
    }

    fn credits(&self) -> Credits {
        Credits::from_micros(self.amount).unwrap()
    }

    fn settings(&self) -> WorkspaceSettings {
        WorkspaceSettings {
            name: Some(format!("name {}", self.amount)),
            membership: self.odd.then_some(Membership::Open),
            durability: Some(Durability::Disk),
            enforcement: self.odd.then_some(Enforcement::Shadow),
            ..WorkspaceSettings::unchanged()
        }
    }

    fn grant(&self, at: Timestamp, number: usize) -> NewGrant {
        NewGrant {
            id: format!("g{number}").parse().unwrap(),
            kind: GrantKind::Pack,
            amount: Credits::from_micros(self.amount * 10 + 1).unwrap(),
            priority: self.user * 10,
            paid: self.odd,
            starts_at: None,
            expires_at: (self.odd && number > 6).then(|| at.plus_ms(3_000)),
            term: ledger::Term::Lasting,
            price: None,
        }
    }

    /// A card now or later, one taken back, a workspace's own prices or none.
    fn prices(&self, state: &State, at: Timestamp) -> ledger::PriceCommand {
        let list = |star: &str| {
            let (feature, model) = ("chat".parse().unwrap(), Some(star.parse().unwrap()));
            let price = |unit: u64| Price {
                feature: "chat".parse().unwrap(),
                model: Some(star.parse().unwrap()),
                unit: format!("u{unit}").parse().unwrap(),
                per: 1_000,
                credits: self.credits(),
                tiers: (0..unit).map(|n| Tier { above: n + 1, credits: self.credits() }).collect(),
            };
            let prices: Vec<Price> = (0..self.amount % 4).map(price).collect();
            let minimum = (!prices.is_empty()).then(|| Minimum { feature, model, credits: self.credits() });
            PriceList { prices, minimums: minimum.into_iter().collect() }
        };
        let change = match self.holder {
            0 => {
                let effective_at = self.odd.then(|| at.plus_ms(self.pass_ms));
                ledger::PriceChange::PutCard { list: list("*"), effective_at }
            }
            1 if self.odd => ledger::PriceChange::RemoveCard { version: state.meta.last_version },
            _ => ledger::PriceChange::SetOwn { workspace: self.workspace(), list: list("m") },
        };
        let key = || KeyedBy {
            key: format!("k{}", self.amount % 9).parse().unwrap(),
            command_hash: [self.holder; 32],
        };
        ledger::PriceCommand { keyed: self.odd.then(key), if_match: None, change }
    }

    /// What the holder's line for the user may say next: more used, more returned, and a wish.
    fn batch(&self, state: &State) -> HolderBatch {
        let workspace = state.workspace(&self.workspace()).expect("made at the start");
        let highest = workspace.highest_line.get(&self.holder()).map_or(0, |number| number.0);
        let mine =
            |(id, line): &(&LineId, &ledger::Line)| id.holder == self.holder() && line.user == self.user();
        let open = workspace.lines.iter().find(mine);
        let number = open.map_or(LineNumber(highest + 1), |(id, _)| id.number);
        let mut message = LineMessage {
            number,
            user: self.user(),
            cycle: CycleNumber::FIRST,
            scope: types::Scope::ANYTHING,
            returned: Vec::new(),
            used: Used::default(),
            held: Credits::ZERO,
            confirmed: Credits::ZERO,
            wish: self.wish(open.map(|(_, line)| line)),
        };
        if let Some((_, line)) = open {
            self.report(line, workspace, &mut message);
        }
        HolderBatch {
            holder: self.holder(),
            journal_sequence: 100,
            workspace: self.workspace(),
            lines: vec![message],
            recalled: false,
        }
    }

    fn wish(&self, line: Option<&ledger::Line>) -> Wish {
        let drawn = line.map_or(Credits::ZERO, ledger::Line::drawn);
        match self.kind {
            15..=18 => {
                Wish::Draw { target: drawn.saturating_add(self.credits()), floor: Credits::ZERO, need: drawn }
            }
            19 => Wish::Draw { target: Credits::MAX, floor: Credits::MAX, need: Credits::MAX },
            20 => Wish::Close,
            _ => Wish::Report,
        }
    }

    fn report(&self, line: &ledger::Line, workspace: &ledger::Workspace, message: &mut LineMessage) {
        let (mut fresh, mut by_grant) = (Credits::ZERO, ByGrant::default());
        for numbers in &line.backings {
            let out = numbers.outstanding().micros();
            let closing = message.wish == Wish::Close;
            let (used, returned) = if closing { (out / 2, out - out / 2) } else { (out / 3, out / 4) };
            let sum = |base: Credits, more: u64| base.saturating_add(Credits::from_micros(more).unwrap());
            let backing: Backing = numbers.backing;
            message.returned.push((backing, sum(numbers.returned, returned)));
            message.used.by_backing.push((backing, sum(numbers.used, used), numbers.unattributed));
            fresh.grow(Credits::from_micros(used).unwrap());
            by_grant.add(backing.grant, Credits::from_micros(used).unwrap());
        }
        let known = line.meters.iter().map(|(no, m)| (workspace.meters[*no as usize].clone(), m.clone()));
        message.used.by_meter = known.collect();
        let meter = Meter {
            feature: "chat".parse().unwrap(),
            model: self.odd.then(|| "m-1".parse().unwrap()),
            day: Timestamp::from_millis(0).day(),
        };
        let units = vec![("u".parse().unwrap(), self.amount)];
        let more = Metered { credits: fresh, calls: 1, units, by_grant };
        match message.used.by_meter.iter_mut().find(|(known, _)| *known == meter) {
            Some((_, metered)) => metered.add(&more),
            None => message.used.by_meter.push((meter, more)),
        }
    }
}

fn user(number: u8) -> UserId {
    format!("u{number}").parse().unwrap()
}
