//! How fast one replica's ledger applies what holders say, and what a long chain costs there. Not here: memory (`memory`),
//! the way to the ledger (`crowd`).

use crate::replica::{Replica, credits, line, says, team, user, workspace};
use benches::claim::{Claim, Target, thousands, times};
use benches::rounds::{Rounds, ns_per, pin_this_thread};
use benches::{NotMeasured, Size};
use ledger::{Change, Command, Overflow, ServiceChange, Subject, TeamChange, Used, Wish};
use std::path::Path;
use types::Window;

const ROUNDS: usize = 31;
const USERS: u64 = 10_000;
/// Teams around each other; with the user's own allocation and what is shared, five links.
const TEAMS: usize = 3;
/// What each link before the last has: it is used up by the first draws.
const USED_UP: u64 = 1;
/// Nobody reaches it.
const HIGH: u64 = 100_000_000;

pub fn measure(size: Size, _target: &Path) -> Result<Vec<Claim>, NotMeasured> {
    pin_this_thread(0);
    let users = size.of(USERS);
    let (mut flat, mut deep) = (Pool::new(users, 0), Pool::new(users, TEAMS));
    let rounds = Rounds::run(size.rounds(ROUNDS), &mut [&mut || flat.draws(), &mut || deep.draws()]);
    let (ns_flat, ns_deep, ratio) = (rounds.median(0), rounds.median(1), rounds.ratio(1, 0));
    let per_second = 1e9 / ns_flat;
    let how = format!(
        "one thread, one workspace of {} users with a line each: a command for each draw of a credit more; median of {} rounds",
        thousands(users as f64),
        size.rounds(ROUNDS)
    );
    Ok(vec![
        Claim {
            id: "apply",
            what: "draws that one replica's ledger applies per second and core",
            against: "–",
            target: "≥ 200,000/s",
            bound: Target::AtLeast(200_000.0),
            value: per_second,
            measured: format!("{}/s", thousands(per_second)),
            if_missed: "each command checks the pool's books as far as it changed them, in release builds too".into(),
            how: format!("{how}; {ns_flat:.0} ns each"),
            numbers: vec![("ns", ns_flat)],
        },
        Claim {
            id: "chain",
            what: "a draw behind an allocation and three nested reserves that are used up, with a limit on each",
            against: "a draw on what is shared",
            target: "≤ 1.5×",
            bound: Target::AtMost(1.5),
            value: ratio,
            measured: times(ratio),
            if_missed: "a flat draw looks at one record, this one at the user's limit and at three teams with a reserve, a limit and a \
                        window each"
                .into(),
            how: format!(
                "{how}, {ns_deep:.0} ns through five links, {ns_flat:.0} ns through one. What is spent of a lease asks none of them"
            ),
            numbers: vec![("flat_ns", ns_flat), ("deep_ns", ns_deep)],
        },
    ])
}

/// One pool whose users draw through so many nested teams.
struct Pool {
    replica: Replica,
    users: u64,
    /// How many credits each user's line was asked to have last.
    target: u64,
}

impl Pool {
    fn new(users: u64, teams: usize) -> Self {
        let (mut replica, pool) = (Replica::new(), workspace(0));
        replica.make_pool(&pool);
        let mut change = |change| replica.change(&pool, change);
        let limit = |of| Change::SetLimit { of, window: Window::Day, amount: Some(credits(HIGH)) };
        for number in 0..teams {
            let (id, parent) = (team(number), number.checked_sub(1).map(team));
            change(Change::Team { team: id.clone(), change: TeamChange::Put { parent } });
            let reserve = TeamChange::SetReserve { amount: credits(USED_UP) };
            change(Change::Team { team: id.clone(), change: reserve });
            change(limit(Subject::Team(id)));
        }
        let innermost = teams.checked_sub(1).map(team);
        for number in (0..users).filter(|_| teams > 0) {
            let (user, team, service) = (user(number), Some(innermost.clone()), ServiceChange::NONE);
            change(Change::PutMember { user: user.clone(), ai_access: None, team, role: None, service });
            let (amount, overflow) = (credits(USED_UP), Some(Overflow::Shared));
            change(Change::SetAllocation { user: user.clone(), amount, overflow });
            change(limit(Subject::User(user)));
        }
        Self { replica, users, target: 0 }
    }

    /// Each user's line is raised once more; nanoseconds each.
    fn draws(&mut self) -> f64 {
        self.target += 1;
        let commands: Vec<Command> = (0..self.users).map(|user| self.draw(user)).collect();
        ns_per(self.users, || commands.iter().for_each(|command| self.replica.apply(command)))
    }

    fn draw(&self, number: u64) -> Command {
        let (target, need) = (credits(self.target), credits(1));
        let wish = Wish::Draw { target, floor: target, need };
        says(&workspace(0), line(&user(number), number, Used::default(), wish))
    }
}
