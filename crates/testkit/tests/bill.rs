//! Overage against one counter: of each cycle nobody has paid for exactly what is out or charged in it beyond what was
//! included, after every entry, whatever holders draw, spend, lose and give back, and when. As in the model, with numbers that
//! are not small. With reserves: nobody owes for what is there for him. Not here: allocations, voids, users with rules of
//! their own (`ledger`'s scripts).

use ledger::{
    AdminCommand, Change, Command, CycleEnds, GrantKind, HolderBatch, LineMessage, LineResult, NewGrant,
    Outcome, OverageRule, Rollover, State, TeamChange, Term, Wish, Workspace, WorkspaceSettings,
};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use std::collections::BTreeMap;
use testkit::history::START;
use testkit::holder::Holder;
use types::{
    CivilDate, Credits, CycleDays, CycleNumber, CycleRule, DiskId, Every, HolderId, LineNumber, NodeId,
    TeamId, Timestamp, UserId, WorkspaceId, ZoneName,
};

const DAYS: i64 = 5;
const SEEDS: u64 = 400;
const STEPS: u32 = 120;

struct Pool {
    state: State,
    at: Timestamp,
    holders: Vec<Holder>,
    included: BTreeMap<CycleNumber, u64>,
    /// On lines that were closed.
    charged: BTreeMap<CycleNumber, u64>,
    cap: Option<u64>,
}

fn credits(micros: u64) -> Credits {
    Credits::from_micros(micros).expect("small")
}

fn workspace() -> WorkspaceId {
    "w".parse().expect("an id")
}

impl Pool {
    fn new(rng: &mut SmallRng) -> Self {
        let cap = rng.random_bool(0.7).then(|| rng.random_range(0..60));
        let (included, charged) = Default::default();
        let mut pool = Self { state: State::new(), at: START, holders: Vec::new(), included, charged, cap };
        let cycle = CycleDays { every: Every::Month, anchor: CivilDate::new(2026, 1, 1).expect("a date") };
        let ends = (1..=3).map(|n| START.plus_ms(n * DAYS * 86_400_000)).collect();
        let ends = Some(CycleEnds { rule: CycleRule::of(cycle, ZoneName::utc()), ends });
        let cycle = Some(cycle);
        pool.admin(Change::PutWorkspace(WorkspaceSettings { cycle, ends, ..WorkspaceSettings::unchanged() }));
        for number in 0..3_u32 {
            let amount = rng.random_range(1..200);
            let starts_at = START.plus_ms(i64::from(number) * DAYS * 86_400_000);
            pool.included.insert(CycleNumber(number + 1), amount);
            pool.admin(Change::MakeGrant(NewGrant {
                id: format!("g{number}").parse().expect("an id"),
                kind: GrantKind::Plan,
                amount: credits(amount),
                priority: 50,
                paid: true,
                starts_at: Some(starts_at),
                expires_at: None,
                term: Term::Cycle(Rollover::NONE),
                price: None,
            }));
        }
        let rule = cap.map_or(OverageRule::On, |cap| OverageRule::UpTo(credits(cap)));
        pool.admin(Change::SetOverage { user: None, rule: Some(rule) });
        for node in 1..=3 {
            let id = HolderId { node: NodeId(node), disk: DiskId(u64::from(node)) };
            pool.apply(&Command::Register { holder: id, journal_sequence: 0 });
            pool.holders.push(Holder::new(id, workspace(), 3));
        }
        pool
    }

    fn admin(&mut self, change: Change) {
        let admin = AdminCommand { workspace: workspace(), keyed: None, if_match: None, change };
        self.apply(&Command::Admin(admin));
    }

    fn apply(&mut self, command: &Command) -> Outcome {
        let outcome = self.state.apply(self.at, command).result.expect("it is taken");
        assert_eq!(self.state.violations(), [], "after {command:?}");
        outcome
    }

    fn pool(&self) -> &Workspace {
        self.state.workspace(&workspace()).expect("it was made")
    }

    fn say(&mut self, at: usize, message: &LineMessage, recalled: bool) {
        let batch = HolderBatch { recalled, ..self.holders[at].batch(vec![message.clone()]) };
        let Outcome::Lines(answers) = self.apply(&Command::Holder(batch)) else {
            panic!("lines are answered")
        };
        if message.wish == Wish::Close && answers[0].result == LineResult::Closed {
            let charged = message.used.by_backing.iter().map(|(_, used, lost)| used.micros() + lost.micros());
            *self.charged.entry(message.cycle).or_default() += charged.sum::<u64>();
        }
        self.holders[at].hear(&answers[0]);
    }

    /// Two teams in each other with reserves, and two of the three users in them.
    fn reserve(&mut self, rng: &mut SmallRng) {
        let team = |name: &str| TeamId::parse(name).expect("an id");
        let mut left = self.included[&CycleNumber(1)];
        for (name, parent) in [("corp", None), ("design", Some(team("corp")))] {
            self.admin(Change::Team { team: team(name), change: TeamChange::Put { parent } });
            let amount = rng.random_range(0..=left);
            left -= amount;
            let change = TeamChange::SetReserve { amount: credits(amount) };
            self.admin(Change::Team { team: team(name), change });
        }
        for (user, name) in [("ann", "design"), ("bob", "corp")] {
            let (user, team) = (user.parse().expect("an id"), Some(Some(team(name))));
            self.admin(Change::PutMember {
                user,
                ai_access: None,
                team,
                role: None,
                service: ledger::ServiceChange::NONE,
            });
        }
    }

    /// Whoever owes for this cycle's overage has nothing included left that he may draw on, wherever it came back to.
    fn judge_reserves(&self) -> bool {
        let pool = self.pool();
        let Some(overage) = pool.overages.get(&pool.cycle) else { return false };
        let free: u64 =
            pool.grants_in_burn_order().filter(|g| g.is_drawable(self.at)).map(|g| g.shared().micros()).sum();
        let mut any = false;
        for (user, account) in &overage.accounts {
            let paid: u64 = account.paid_by.iter().map(|payer| payer.amount.micros()).sum();
            let owes = account.made.micros() - paid;
            let there: u64 = pool.reserves_for(user).map(|(_, r)| r.earmarks.total().micros()).sum();
            assert!(owes == 0 || free + there == 0, "{user} owes {owes}, shared {free}, reserved {there}");
            any |= owes > 0;
        }
        any
    }

    /// A counter without leases would have given so much beyond what was included.
    fn judge(&self) -> bool {
        let pool = self.pool();
        let mut any = false;
        for (cycle, included) in &self.included {
            let open = pool.lines.values().filter(|line| line.cycle == *cycle);
            let taken: u64 = open.map(|line| line.drawn().micros() - line.returned().micros()).sum();
            let taken = taken + self.charged.get(cycle).copied().unwrap_or_default();
            let beyond = taken.saturating_sub(*included);
            assert_eq!(pool.unpaid_overage(*cycle).micros(), beyond, "{cycle:?}: {taken} of {included}");
            assert!(self.cap.is_none_or(|cap| beyond <= cap), "{beyond} within {:?}", self.cap);
            any |= beyond > 0;
        }
        any
    }

    fn step(&mut self, rng: &mut SmallRng) {
        let at = rng.random_range(0..self.holders.len());
        let user: UserId = ["ann", "bob", "cid"][rng.random_range(0..3)].parse().expect("an id");
        let numbers: Vec<LineNumber> = self.holders[at].lines.keys().copied().collect();
        let some = numbers.get(rng.random_range(0..numbers.len().max(1))).copied();
        let some = some.filter(|number| !self.holders[at].lines[number].is_closing);
        match (rng.random_range(0..20), some) {
            (0..8, _) => {
                let (more, floor) = (rng.random_range(1..40), rng.random_range(0..40));
                let message = self.holders[at].draw(&user, more, floor);
                self.say(at, &message, rng.random());
            }
            (8..12, _) => {
                // What it holds anyway.
                let price = rng.random_range(1..20);
                let now = self.at;
                let _charge = self.holders[at].spend(&user, price, now);
            }
            (12..14, Some(number)) => {
                let message = self.holders[at].report(number);
                self.say(at, &message, false);
            }
            (14..17, Some(number)) => {
                let message = self.holders[at].give_back(number, rng.random_range(0..10));
                self.say(at, &message, false);
            }
            (17..19, Some(number)) => {
                let message = self.holders[at].close(number);
                self.say(at, &message, false);
            }
            (19, _) if rng.random_bool(0.3) => self.holders[at].crash(),
            (19, _) => {
                self.at = self.at.plus_ms(rng.random_range(0..3 * 86_400_000));
                self.apply(&Command::Tick { workspace: workspace() });
            }
            _ => {}
        }
    }
}

#[test]
fn nobody_has_paid_for_what_is_beyond_what_was_included_and_for_nothing_else() {
    let (mut beyond, mut paid) = (0, 0);
    for seed in 0..SEEDS {
        let mut rng = SmallRng::seed_from_u64(seed);
        let mut pool = Pool::new(&mut rng);
        let mut any = false;
        for _ in 0..STEPS {
            // Not past the last cycle that something is included in.
            let end = START.plus_ms(3 * DAYS * 86_400_000 - 1);
            pool.at = pool.at.min(end);
            pool.step(&mut rng);
            any |= pool.judge();
        }
        beyond += u32::from(any);
        paid += u32::from(!pool.pool().totals.for_overage.is_zero());
    }
    assert!(beyond > 100 && paid > 30, "{beyond} runs went beyond, in {paid} something came back");
}

#[test]
fn nobody_owes_for_what_is_there_for_him() {
    let (mut beyond, mut paid) = (0, 0);
    for seed in 0..SEEDS {
        let mut rng = SmallRng::seed_from_u64(seed);
        let mut pool = Pool::new(&mut rng);
        pool.reserve(&mut rng);
        let mut any = false;
        for _ in 0..STEPS {
            let end = START.plus_ms(3 * DAYS * 86_400_000 - 1);
            pool.at = pool.at.min(end);
            pool.step(&mut rng);
            any |= pool.judge_reserves();
        }
        beyond += u32::from(any);
        paid += u32::from(!pool.pool().totals.for_overage.is_zero());
    }
    assert!(beyond > 100 && paid > 30, "{beyond} runs went beyond, in {paid} something came back");
}
