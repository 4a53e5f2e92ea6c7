//! Whom to recall before a draw is refused. Not here: how long to wait (`actors`).

use ledger::{AllocationNo, DenialReason, Line, LineMessage, LineResult, Subject, Wish, Workspace};
use std::collections::{BTreeMap, BTreeSet};
use types::{Backing, Credits, LineId, LineNumber, Scope, Source, Timestamp, UserId};

/// One line to be asked for what it can spare. Every message to a holder carries D.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecallLine {
    pub line: LineId,
    pub user: UserId,
    pub scope: Scope,
    pub drawn: Vec<(Backing, Credits)>,
    pub frozen: bool,
    /// How much of what it does not need the holder may keep.
    pub keep: Credits,
}

/// A round has two waves: the first leaves half, and leaves young draws alone; the second takes all that is idle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wave {
    Half { now: Timestamp, young_ms: i64 },
    All,
}

/// A draw that the ledger denied although credits are out elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Short {
    pub line: LineId,
    pub user: UserId,
    pub scope: Scope,
    pub reason: DenialReason,
    /// By how much.
    pub missing: Credits,
}

impl Short {
    /// Of what the ledger answered to a line's message, if credits that are out elsewhere could change it.
    pub fn of(line: LineId, message: &LineMessage, answer: &LineResult) -> Option<Self> {
        let (Wish::Draw { floor, need, .. }, LineResult::Line { drawn, denied: Some(denial), .. }) =
            (message.wish, answer)
        else {
            return None;
        };
        let drawn = drawn.iter().fold(Credits::ZERO, |sum, (_, drawn)| sum.saturating_add(*drawn));
        let missing = need.max(floor).saturating_sub(drawn);
        let (user, scope) = (message.user.clone(), message.scope.clone());
        let short = Self { line, user, scope, reason: denial.reason.clone(), missing };
        (!denial.elsewhere.is_zero()).then_some(short)
    }
}

/// The first wave asks as many lines as could give so many times what is missing: a part of what is out is spent by now,
/// and who is short next finds the rest in the pool.
const TIMES_MISSING: u64 = 8;

/// The lines that could serve denied draws if they gave back what they do not need: first those of their own users, then
/// the fullest. The first wave stops where what is out is enough; the second asks every line, so that nobody is refused
/// what lies idle.
pub fn choose(workspace: &Workspace, short: &[Short], wave: Wave) -> Vec<RecallLine> {
    let wanted = Wanted::by(workspace, short);
    let mut serving: Vec<(Serves, Credits, LineId, &Line)> = Vec::new();
    for (id, line) in &workspace.lines {
        let out = line.outstanding();
        let is_young = match wave {
            Wave::Half { now, young_ms } => now.since_ms(line.heard_at) < young_ms,
            Wave::All => false,
        };
        if line.written_off || out.is_zero() || is_young {
            continue;
        }
        if let Some(serves) = wanted.served_by(workspace, *id, line) {
            serving.push((serves, out, *id, line));
        }
    }
    // What serves its own user is seldom more than a few lines, and all that some draws can get: all of them are asked.
    serving.sort_by(|(a, x, i, _), (b, y, j, _)| a.cmp(b).then(y.cmp(x)).then(i.cmp(j)));
    let mut enough = Credits::from_micros(wanted.shared_missing.micros().saturating_mul(TIMES_MISSING))
        .unwrap_or(Credits::MAX);
    let mut enough_under_limits =
        Credits::from_micros(wanted.limit_missing.micros().saturating_mul(TIMES_MISSING))
            .unwrap_or(Credits::MAX);
    let mut chosen = Vec::new();
    for (serves, out, id, line) in serving {
        let keep = match wave {
            Wave::Half { .. } if serves == Serves::ItsLimit && enough_under_limits.is_zero() => continue,
            Wave::Half { .. } if serves == Serves::Anybody && enough.is_zero() => break,
            Wave::Half { .. } => half(out),
            Wave::All => Credits::ZERO,
        };
        let gives =
            line.outstanding_from(Source::Shared).saturating_add(line.outstanding_from(Source::Overage));
        let gives = line.reserves.iter().fold(gives, |sum, (_, no)| sum.saturating_add(line.out_of(*no).0));
        enough = enough.saturating_sub(half(gives));
        if serves == Serves::ItsLimit {
            enough_under_limits = enough_under_limits.saturating_sub(half(out));
        }
        chosen.push(RecallLine::of(id, line, keep));
    }
    chosen
}

/// Whom what a line has out could serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Serves {
    ItsUser,
    /// Others under a limit of the same team, feature or model.
    ItsLimit,
    Anybody,
}

/// All that is short of one pool, so that its lines are gone through once, however many they are.
#[derive(Default)]
struct Wanted<'a> {
    /// By whose chain it is: the lines that are short.
    by_chain: BTreeMap<&'a UserId, BTreeSet<LineId>>,
    /// What anybody's line could serve: by line, as one may have asked twice.
    shared: BTreeMap<LineId, Credits>,
    shared_missing: Credits,
    /// By reserve: the lines that are short and may draw on it.
    reserves: BTreeMap<AllocationNo, BTreeSet<LineId>>,
    /// By team, feature or model whose limit is in the way: the lines that are short.
    by_limit: BTreeMap<Subject, BTreeSet<LineId>>,
    limit_missing: Credits,
}

impl<'a> Wanted<'a> {
    fn by(workspace: &'a Workspace, short: &'a [Short]) -> Self {
        let mut wanted = Self::default();
        for short in short {
            let own_only = match &short.reason {
                DenialReason::Exhausted | DenialReason::OverageCapReached => false,
                DenialReason::AllocationExhausted | DenialReason::LimitReached(_) => true,
                DenialReason::AccessDisabled
                | DenialReason::FeatureNotInPlan(_)
                | DenialReason::UnknownUser
                | DenialReason::Frozen
                | DenialReason::ScopesChanged => continue,
            };
            wanted.by_chain.entry(workspace.chain_of(&short.user)).or_default().insert(short.line);
            if !own_only {
                let missing = wanted.shared.entry(short.line).or_default();
                *missing = (*missing).max(short.missing);
            }
            if let DenialReason::LimitReached(hit) = &short.reason {
                let Short { line, user, scope, missing, .. } = short;
                let limits = workspace.limits_short_of(*line, user, scope, *missing, hit.at);
                for of in limits.into_iter().filter(|of| !matches!(of, Subject::User(_))) {
                    wanted.by_limit.entry(of).or_default().insert(*line);
                    wanted.limit_missing = wanted.limit_missing.saturating_add(*missing);
                }
            } else {
                for (_, reserve) in workspace.reserves_for(&short.user) {
                    wanted.reserves.entry(reserve.no).or_default().insert(short.line);
                }
            }
        }
        wanted.shared_missing =
            wanted.shared.values().fold(Credits::ZERO, |sum, missing| sum.saturating_add(*missing));
        wanted
    }

    /// No line is asked for the sake of its own draw alone.
    fn served_by(&self, workspace: &Workspace, id: LineId, line: &Line) -> Option<Serves> {
        if self.by_chain.get(line.draws_on()).is_some_and(|lines| lines.iter().any(|short| *short != id)) {
            return Some(Serves::ItsUser);
        }
        let serves_his_limit = |(of, lines): (&Subject, &BTreeSet<LineId>)| {
            lines.iter().any(|short| *short != id) && workspace.is_counted_by(line, of)
        };
        if self.by_limit.iter().any(serves_his_limit) {
            return Some(Serves::ItsLimit);
        }
        let others = self.shared.len().saturating_sub(usize::from(self.shared.contains_key(&id)));
        // Overage that comes back makes room under the cap and frees what paid for it.
        let is_out = |source| !line.outstanding_from(source).is_zero();
        let serves_a_member = |(_, no): &(u8, AllocationNo)| {
            let of_others = self.reserves.get(no).is_some_and(|lines| lines.iter().any(|short| *short != id));
            of_others && !line.out_of(*no).0.is_zero()
        };
        let serves = others > 0 && (is_out(Source::Shared) || is_out(Source::Overage))
            || line.reserves.iter().any(serves_a_member);
        serves.then_some(Serves::Anybody)
    }
}

fn half(credits: Credits) -> Credits {
    Credits::from_micros(credits.micros() >> 1).unwrap_or(Credits::ZERO)
}

/// Lines with something out that is shared when it comes back: what a raise of an allocation may need.
pub fn shared_lines(workspace: &Workspace) -> Vec<RecallLine> {
    let shares = |line: &Line| {
        let is_out = |source| !line.outstanding_from(source).is_zero();
        !line.written_off && (is_out(Source::Shared) || is_out(Source::Overage))
    };
    let lines = workspace.lines.iter().filter(|(_, line)| shares(line));
    lines.map(|(id, line)| RecallLine::of(*id, line, Credits::ZERO)).collect()
}

/// Lines with anything out, asked for their numbers only: everything may be kept.
pub fn leased_lines(workspace: &Workspace) -> Vec<RecallLine> {
    let lines = workspace.lines.iter().filter(|(_, line)| !line.written_off && !line.outstanding().is_zero());
    lines.map(|(id, line)| RecallLine::of(*id, line, Credits::MAX)).collect()
}

/// Lines that changed under their holders and must come back whole.
pub fn frozen_lines(workspace: &Workspace) -> Vec<RecallLine> {
    let lines = workspace.lines.iter().filter(|(_, line)| line.frozen);
    lines.map(|(id, line)| RecallLine::of(*id, line, Credits::ZERO)).collect()
}

impl RecallLine {
    fn of(line: LineId, entry: &Line, keep: Credits) -> Self {
        let drawn = entry.backings.iter().map(|numbers| (numbers.backing, numbers.drawn)).collect();
        Self { line, user: entry.user.clone(), scope: entry.scope.clone(), drawn, frozen: entry.frozen, keep }
    }

    pub fn number(&self) -> LineNumber {
        self.line.number
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger::{
        AdminCommand, Change, Command, GrantKind, HolderBatch, LineMessage, NewGrant, Outcome, State,
        TeamChange, Used, Wish, WorkspaceSettings,
    };
    use types::{CycleNumber, DiskId, HolderId, NodeId, TeamId, WorkspaceId};

    const NOW: Timestamp = Timestamp::from_millis(1_000);
    const HALF: Wave = Wave::Half { now: NOW, young_ms: 50 };

    fn whole(n: u64) -> Credits {
        Credits::whole(n).unwrap()
    }

    fn line(number: u64) -> LineId {
        LineId { holder: HolderId { node: NodeId(1), disk: DiskId(1) }, number: LineNumber(number) }
    }

    fn user(number: u64) -> UserId {
        format!("u{number}").parse().unwrap()
    }

    /// A pool all of whose credits are out: line 1 has 1, each next one more.
    fn all_out(lines: u64) -> State {
        all_out_after(lines, Vec::new())
    }

    fn all_out_after(lines: u64, changes: Vec<Change>) -> State {
        let (mut state, id) = (State::new(), WorkspaceId::parse("w").unwrap());
        let mut apply = |command| state.apply(Timestamp::from_millis(0), &command).result.unwrap();
        let admin = |change| {
            Command::Admin(AdminCommand { workspace: id.clone(), keyed: None, if_match: None, change })
        };
        let settings = WorkspaceSettings::unchanged();
        apply(admin(Change::PutWorkspace(settings)));
        apply(admin(Change::MakeGrant(NewGrant {
            id: "g".parse().unwrap(),
            kind: GrantKind::Pack,
            amount: whole((1..=lines).sum()),
            priority: 50,
            paid: true,
            starts_at: None,
            expires_at: None,
            term: ledger::Term::Lasting,
            price: None,
        })));
        changes.into_iter().for_each(|change| {
            apply(admin(change));
        });
        let holder = line(1).holder;
        apply(Command::Register { holder, journal_sequence: 0 });
        let draw = |number| LineMessage {
            number: LineNumber(number),
            user: user(number),
            cycle: CycleNumber::FIRST,
            scope: Scope::ANYTHING,
            returned: Vec::new(),
            used: Used::default(),
            held: Credits::ZERO,
            confirmed: Credits::ZERO,
            wish: Wish::Draw { target: whole(number), floor: whole(number), need: whole(number) },
        };
        let lines = (1..=lines).map(draw).collect();
        let batch =
            HolderBatch { holder, journal_sequence: 0, workspace: id.clone(), lines, recalled: false };
        assert!(matches!(apply(Command::Holder(batch)), Outcome::Lines(_)));
        state
    }

    fn short(number: u64, missing: u64) -> Short {
        Short {
            line: line(number),
            user: user(number),
            scope: Scope::ANYTHING,
            reason: DenialReason::Exhausted,
            missing: whole(missing),
        }
    }

    fn asked(state: &State, short: &[Short], wave: Wave) -> Vec<(u64, Credits)> {
        let workspace = state.workspaces.values().next().unwrap();
        choose(workspace, short, wave).into_iter().map(|line| (line.line.number.0, line.keep)).collect()
    }

    #[test]
    fn a_small_need_asks_few_lines_and_the_fullest_before_anybody_is_refused_all() {
        let state = all_out(1_000);
        assert_eq!(asked(&state, &[short(7, 1)], HALF), [(1_000, whole(500))]);
        let of_many = asked(&state, &[short(7, 300)], HALF);
        // 8 × 300 in halves of 1000, 999, 998, 997, 996
        assert_eq!(
            of_many.iter().map(|(number, _)| *number).collect::<Vec<_>>(),
            [1_000, 999, 998, 997, 996]
        );
        let all = asked(&state, &[short(7, 1)], Wave::All);
        assert_eq!(all.len(), 999, "but the one that asks");
        assert!(all.iter().all(|(number, keep)| *number != 7 && keep.is_zero()));
        assert!(all.is_sorted_by(|(a, _), (b, _)| a > b), "fullest first");
    }

    #[test]
    fn what_is_out_of_a_reserve_serves_its_members_alone() {
        let team: TeamId = "t".parse().unwrap();
        let of_team = |change| Change::Team { team: team.clone(), change };
        let member = |number| {
            let team = Some(Some(team.clone()));
            Change::PutMember {
                user: user(number),
                ai_access: None,
                team,
                role: None,
                service: ledger::ServiceChange::NONE,
            }
        };
        let reserve = TeamChange::SetReserve { amount: whole(6) };
        let mut changes = vec![of_team(TeamChange::Put { parent: None }), of_team(reserve)];
        changes.extend((1..=3).map(member));
        // Lines 1 to 3 have the reserve out, 4 and 5 what is shared.
        let state = all_out_after(5, changes.clone());
        let numbers = |state: &State, short: &[Short]| {
            asked(state, short, Wave::All).into_iter().map(|(number, _)| number).collect::<Vec<_>>()
        };
        assert_eq!(numbers(&state, &[short(5, 9)]), [4]);
        assert_eq!(numbers(&state, &[short(1, 9)]), [5, 4, 3, 2]);
        let own = Short { reason: DenialReason::AllocationExhausted, ..short(1, 9) };
        assert_eq!(numbers(&state, std::slice::from_ref(&own)), [3, 2], "where each seat has its own");
        let (amount, overflow) = (Credits::ZERO, Some(ledger::Overflow::None));
        changes.push(Change::SetAllocation { user: user(1), amount, overflow });
        let state = all_out_after(5, changes);
        assert_eq!(numbers(&state, &[own]), [], "he may not draw on it");
    }

    #[test]
    fn who_is_at_his_teams_end_is_served_by_its_members_and_by_those_of_teams_in_it() {
        let [outer, inner]: [TeamId; 2] = ["t", "u"].map(|team| team.parse().unwrap());
        let put = |team: &TeamId, parent: Option<&TeamId>| Change::Team {
            team: team.clone(),
            change: TeamChange::Put { parent: parent.cloned() },
        };
        let member = |number, team: &TeamId| {
            let team = Some(Some(team.clone()));
            Change::PutMember {
                user: user(number),
                ai_access: None,
                team,
                role: None,
                service: ledger::ServiceChange::NONE,
            }
        };
        let (of, window) = (ledger::Subject::Team(outer.clone()), types::Window::Day);
        let limit = Change::SetLimit { of: of.clone(), window, amount: Some(whole(10)) };
        let mut changes = vec![put(&outer, None), put(&inner, Some(&outer)), limit];
        changes.extend([member(1, &outer), member(2, &inner), member(3, &inner)]);
        // Lines 1 to 3 count, 4 and 5 do not.
        let state = all_out_after(5, changes);
        let at = Timestamp::from_millis(0);
        let limit = ledger::LimitHit { of, window, amount: whole(10), at, resets_at: None };
        let short = |number, missing| Short {
            reason: DenialReason::LimitReached(limit.clone()),
            ..short(number, missing)
        };
        let all = asked(&state, &[short(1, 9)], Wave::All);
        assert_eq!(all, [(3, Credits::ZERO), (2, Credits::ZERO)]);
        // 8 times a tenth of a credit are in the half of the fullest.
        let little = Short { missing: Credits::from_micros(100_000).unwrap(), ..short(1, 9) };
        assert_eq!(asked(&state, &[little], HALF), [], "there is room for as little as that");
        assert_eq!(asked(&state, &[short(1, 9)], HALF).len(), 2);
        let other = Short { user: user(4), ..short(4, 9) };
        assert_eq!(asked(&state, &[other], Wave::All), [], "he is in no team");
    }

    #[test]
    fn however_many_are_short_a_line_is_asked_once() {
        let state = all_out(100);
        let mut many: Vec<_> = (1..=100).map(|number| short(number, 50)).collect();
        assert_eq!(asked(&state, &many, Wave::All).len(), 100, "each serves another one");
        many.extend((1..=100).map(|number| short(number, 50)));
        assert_eq!(asked(&state, &many, HALF).len(), 100);
        let twice = [short(100, 1), short(100, 1)];
        assert_eq!(
            asked(&state, &twice, HALF),
            [(99, Credits::from_micros(49_500_000).unwrap())],
            "asked twice, and not itself"
        );
    }

    #[test]
    fn young_lines_are_left_alone_by_the_first_wave() {
        let young = Wave::Half { now: Timestamp::from_millis(49), young_ms: 50 };
        assert_eq!(asked(&all_out(3), &[short(1, 1)], young), []);
        assert_eq!(
            asked(&all_out(3), &[short(1, 1)], Wave::Half { now: Timestamp::from_millis(50), young_ms: 50 })
                .len(),
            2
        );
    }

    #[test]
    fn who_is_at_his_own_end_is_served_by_his_own_lines_alone() {
        let state = all_out(5);
        let at = Timestamp::from_millis(0);
        let of = ledger::Subject::User(user(3));
        let limit =
            ledger::LimitHit { of, window: types::Window::Day, amount: whole(9), at, resets_at: None };
        for reason in [DenialReason::LimitReached(limit), DenialReason::AllocationExhausted] {
            let of_another_node = [Short { line: line(77), reason: reason.clone(), ..short(3, 9) }];
            assert_eq!(asked(&state, &of_another_node, Wave::All), [(3, Credits::ZERO)]);
            let half = Credits::from_micros(1_500_000).unwrap();
            assert_eq!(asked(&state, &of_another_node, HALF), [(3, half)]);
            assert_eq!(asked(&state, &[Short { reason, ..short(3, 9) }], Wave::All), []);
        }
        for reason in [
            DenialReason::AccessDisabled,
            DenialReason::FeatureNotInPlan("pro".parse().unwrap()),
            DenialReason::UnknownUser,
            DenialReason::Frozen,
            DenialReason::ScopesChanged,
        ] {
            assert_eq!(asked(&state, &[Short { reason, ..short(3, 9) }], Wave::All), []);
        }
    }
}
