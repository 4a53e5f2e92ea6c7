//! The one who knows: applies every committed entry first, keeps what clients were told, and judges with the sentences
//! of `testkit`. Not here: the sentences themselves.

use super::dues::note_rollover;
use super::images::Images;
use super::shard::Entry;
use super::words::{Charge, Consume};
use crate::crossings::{Crossing, Seen};
use crate::outcome::{BrokenAt, Stranded};
use ledger::{
    AdminCommand, Applied, Change, Command, ForgetMode, HolderStatus, IntentNo, LineResult, Outcome, State,
    Subject, Workspace,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use testkit::checkers::{self, Broken, Verdict};
use testkit::ghost::Ghost;
use testkit::holds::Holds;
use testkit::imports::{self, Imports};
use testkit::order::RealTime;
use testkit::reference::{Finals, Reference};
use testkit::refunds::{Refunds, refund_of};
use testkit::told::{self, Told};
use testkit::windows::{Charges, Clock};
use types::{Credits, Durability, HolderId, IdempotencyKey, LineId, Timestamp, UserId, WorkspaceId};

/// Of so many batches and changes one is judged step by step, which costs a copy of the pool; in thorough runs each is.
const STEP_EVERY: u64 = 64;
const CHANGE_EVERY: u64 = 4;

#[derive(Default)]
struct Pool {
    ghost: Ghost,
    told: Told,
    holds: Holds,
    refunds: Refunds,
    imports: Imports,
    charges: Charges,
    /// When a key's charge was told first.
    keys_told_ms: BTreeMap<(UserId, IdempotencyKey), u64>,
    reference: Reference,
}

#[derive(Default)]
struct Fire {
    since_ms: u64,
    spent: bool,
    recalled: bool,
    crashed: bool,
    led_by_another: bool,
}

pub struct Oracle {
    pub state: State,
    pub index: u64,
    pools: BTreeMap<WorkspaceId, Pool>,
    pub order: RealTime,
    pub broken: Option<BrokenAt>,
    pub seen: Seen,
    images: Images,
    intents: BTreeMap<(WorkspaceId, IntentNo), Fire>,
    pub moved_ms: Vec<u64>,
    applied_keys: BTreeMap<IdempotencyKey, u32>,
    /// Since when each line is taken away.
    frozen: BTreeMap<(WorkspaceId, LineId), u64>,
    /// The least durable that each workspace has ever said its consumes are.
    weakest: BTreeMap<WorkspaceId, Durability>,
    pub draws: u64,
    pub told: u64,
    pub told_local: u64,
    /// What was left in a pool when a client was first refused for want of credits.
    pub stranded: Option<Stranded>,
    pub partitions_under_way: u32,
    thorough: bool,
}

impl Oracle {
    pub fn new(thorough: bool) -> Self {
        Self {
            state: State::new(),
            index: 0,
            pools: BTreeMap::new(),
            order: RealTime::default(),
            broken: None,
            seen: Seen::default(),
            images: Images::default(),
            intents: BTreeMap::new(),
            moved_ms: Vec::new(),
            applied_keys: BTreeMap::new(),
            frozen: BTreeMap::new(),
            weakest: BTreeMap::new(),
            draws: 0,
            told: 0,
            told_local: 0,
            stranded: None,
            partitions_under_way: 0,
            thorough,
        }
    }

    pub fn judge(&mut self, verdict: Verdict, now_ms: u64) {
        if let Err(Broken { sentence, what }) = verdict
            && self.broken.is_none()
        {
            self.broken = Some(BrokenAt { at_ms: now_ms, sentence: sentence.to_owned(), what });
        }
    }

    fn pool(&mut self, workspace: &WorkspaceId) -> &mut Pool {
        let holders = &self.state.holders;
        self.pools.entry(workspace.clone()).or_insert_with(|| {
            let fenced = holders.iter().filter(|(_, record)| record.status == HolderStatus::Fenced);
            let fenced = fenced.map(|(id, _)| *id).collect();
            let ghost = Ghost { fenced, ..Ghost::default() };
            Pool { ghost, charges: Charges::by(Clock::Utc), ..Pool::default() }
        })
    }

    /// Also those that somebody has asked for and nobody has made yet.
    fn all_workspaces(&self) -> Vec<WorkspaceId> {
        let asked_for = self.pools.keys().filter(|id| !self.state.workspaces.contains_key(*id));
        self.state.workspaces.keys().chain(asked_for).cloned().collect()
    }

    // ---- the ledger

    /// An entry was committed: it is applied here before anywhere else.
    pub fn commit(&mut self, index: u64, entry: &Entry, now_ms: u64) -> Applied {
        assert_eq!(index, self.index + 1, "entries are committed in order");
        self.index = index;
        let nothing = Applied { result: Ok(Outcome::Ticked), events: Vec::new() };
        let Some(command) = &entry.command else { return nothing };
        let touched = match command.workspace() {
            Some(workspace) => vec![workspace.clone()],
            None => self.all_workspaces(),
        };
        let every = match **command {
            _ if self.thorough => 1,
            Command::Admin(_) => CHANGE_EVERY,
            _ => STEP_EVERY,
        };
        let by_step = index.is_multiple_of(every);
        let mut before: Vec<(WorkspaceId, Finals, Option<Arc<Workspace>>)> = Vec::new();
        for workspace in touched {
            let known = self.state.workspaces.get(&workspace);
            let finals = known.map(|known| Reference::about_to_apply(known, command)).unwrap_or_default();
            let is_due = |known: &&Arc<Workspace>| {
                known.next_due.is_some_and(|due| due <= entry.at.max(self.state.now))
            };
            let is_late = |known: &&Arc<Workspace>| match &**command {
                Command::Holder(batch) => batch.lines.iter().any(|message| message.cycle < known.cycle),
                _ => false,
            };
            let copy = known.filter(|known| by_step || is_due(known) || is_late(known)).cloned();
            before.push((workspace, finals, copy));
        }
        let is_due = |state: &State| {
            let due = command.workspace().and_then(|id| state.workspace(id)).and_then(|w| w.next_due);
            due.is_some_and(|due| due <= entry.at.max(state.now))
        };
        let was_due = is_due(&self.state);
        let revision =
            |state: &State| command.workspace().and_then(|id| state.workspace(id)).map(|w| w.revision);
        let was = revision(&self.state);
        let has_preview = |change: &Change| matches!(change, Change::Plan(_) | Change::SetPooling(_));
        let previews = matches!(&**command, Command::Admin(admin) if has_preview(&admin.change));
        let previewed = previews.then(|| self.state.clone());
        let applied = self.state.apply(entry.at, command);
        if let (Some(before), Some(after)) =
            (previewed, command.workspace().and_then(|id| self.state.workspace(id)))
        {
            let at = entry.at;
            let plan = checkers::a_preview_of_a_plan_is_what_happens(&before, at, command, &applied);
            let switch = checkers::a_switch_moves_nothing_and_is_what_was_previewed(
                &before, at, command, &applied, after,
            );
            [plan, switch].into_iter().for_each(|verdict| self.judge(verdict, now_ms));
        }
        let changes = was != revision(&self.state) && !was_due;
        self.judge(self.a_repeated_change_changes_nothing(command, changes), now_ms);
        self.judge(checkers::a_forget_does_what_was_asked(command, &applied), now_ms);
        for (workspace, finals, copy) in before {
            let verdict = self.judge_entry(&workspace, command, &applied, finals, copy.as_deref());
            self.judge(verdict, now_ms);
        }
        if let Some(workspace) = command.workspace().and_then(|id| self.state.workspace(id)) {
            let weakest = self.weakest.entry(workspace.id.clone()).or_insert(workspace.durability);
            *weakest = (*weakest).min(workspace.durability);
        }
        self.note_crossings(command, &applied, now_ms);
        self.images.keep(index, &self.state);
        applied
    }

    fn judge_entry(
        &mut self,
        workspace: &WorkspaceId,
        command: &Command,
        applied: &Applied,
        finals: Finals,
        before: Option<&Workspace>,
    ) -> Verdict {
        self.pool(workspace);
        let Some(Pool { ghost, told, reference, refunds, imports, charges, .. }) =
            self.pools.get_mut(workspace)
        else {
            return Ok(());
        };
        ghost.applied(command, applied);
        let Some(after) = self.state.workspace(workspace) else { return Ok(()) };
        reference.applied(after, command, applied, finals, self.state.now)?;
        if let (Command::Holder(batch), Ok(outcome)) = (command, &applied.result) {
            told.applied(batch, outcome)?;
            charges.saw(after, batch.lines.iter().map(|message| &message.user), self.state.now, &[])?;
        }
        imports.applied(told, command, applied)?;
        let elsewhere = imports::charged(command, applied);
        charges.saw(after, elsewhere.iter().map(|(user, ..)| user), self.state.now, &elsewhere)?;
        // What a service charges counts for whose chain it is, too.
        if matches!(command, Command::Forget { .. }) || !after.services.is_empty() {
            charges.saw(after, after.users.keys(), self.state.now, &[])?;
        }
        if let Some((new, answer)) = refund_of(command, applied) {
            let is_news = refunds.applied(after, new, answer)?;
            self.seen.saw(if is_news { Crossing::Refunded } else { Crossing::RefundAskedAgain });
        }
        for line in told::lines_of(command) {
            told::nothing_is_told_on_a_line_beyond_what_it_has(after, told, line)?;
        }
        told::nobody_was_told_more_than_the_pool_was_granted(after, told)?;
        told::what_was_told_is_gone_from_the_pool(after, told)?;
        let Some(before) = before else { return Ok(()) };
        note_rollover(&mut |crossing| self.seen.saw(crossing), before, after, self.partitions_under_way > 0);
        checkers::all_of_a_step(before, command, after, self.state.now)
    }

    /// S7 of administrators: the same key is the same change.
    fn a_repeated_change_changes_nothing(&self, command: &Command, changes: bool) -> Verdict {
        let Command::Admin(AdminCommand { keyed: Some(keyed), .. }) = command else { return Ok(()) };
        if !changes || self.was_applied(&keyed.key) == 0 {
            return Ok(());
        }
        let sentence = "S7 a repeated change changes nothing";
        Err(Broken { sentence, what: format!("{command:?}") })
    }

    /// The last state that is kept of those up to `index`.
    pub fn image_up_to(&self, index: u64) -> Option<(u64, &State)> {
        self.images.up_to(index)
    }

    /// S13: a replica has applied up to `index`.
    pub fn compare(&mut self, index: u64, replica: usize, state: &State, now_ms: u64) {
        let same = self.images.at(index).is_none_or(|image| image == state);
        if !same {
            let what = format!("replica {replica} differs at index {index}");
            self.judge(Err(Broken { sentence: "S13 equal index means equal state", what }), now_ms);
        }
    }

    /// Everything that can be judged at any moment, in full: the ledger's own recount by turns with those from outside.
    pub fn judge_all(&mut self, turn: u64, now_ms: u64) {
        if turn.is_multiple_of(2) {
            if let Some(violation) = self.state.violations().first() {
                let broken = Broken { sentence: violation.invariant, what: violation.what.clone() };
                self.judge(Err(broken), now_ms);
            }
            return self.note_two_holders();
        }
        let mut verdicts = Vec::new();
        for (id, workspace) in &self.state.workspaces {
            let Some(Pool { ghost, told, .. }) = self.pools.get(id) else { continue };
            verdicts.push(checkers::all_of_a_state(workspace, &self.state, ghost));
            verdicts.push(checkers::nothing_is_pending_when_nothing_is_out(workspace));
            verdicts.push(told::all_of_the_told(workspace, told));
        }
        for verdict in verdicts {
            self.judge(verdict, now_ms);
        }
    }

    /// S18 of grants: none ends before its time, as long as most clocks are right.
    pub fn judge_ends(&mut self, true_now: Timestamp, clocks_are_right: bool, now_ms: u64) {
        /// How far a median of right clocks may be off: they are read a round trip ago.
        const SLACK_MS: i64 = 2_000;
        let pools = self.state.workspaces.values().filter(|_| clocks_are_right);
        let judge = |pool: &Arc<Workspace>| checkers::nothing_ends_early(pool, true_now.plus_ms(SLACK_MS));
        let verdicts: Vec<Verdict> = pools.map(judge).collect();
        verdicts.into_iter().for_each(|verdict| self.judge(verdict, now_ms));
    }

    // ---- clients

    pub fn asked_to_charge(&mut self, workspace: &WorkspaceId, user: &UserId, amount: Credits) {
        self.pool(workspace).told.asked(user, amount);
    }

    /// A client was told. `excused`: what remembered its key may have been lost.
    pub fn told(&mut self, consume: &Consume, charge: &Charge, excused: bool, now_ms: u64) {
        let line = LineId { holder: charge.holder, number: charge.line };
        let pool = self.pool(&consume.workspace);
        let mut again = false;
        let mut forgot = false;
        if let Some(key) = &consume.key {
            let known = pool.told.knows(&consume.user, key).is_some();
            match pool.told.keyed(&consume.user, key, (line, charge.sequence), excused) {
                Ok(same) => again = same,
                Err(broken) => return self.judge(Err(broken), now_ms),
            }
            forgot = known && !again;
            if !again {
                pool.keys_told_ms.insert((consume.user.clone(), key.clone()), now_ms);
            }
        }
        if forgot {
            self.seen.saw(Crossing::KeyForgottenWithItsDisk);
        }
        if again {
            return;
        }
        self.judge(told::a_consume_charges_its_price(consume.price, charge.amount), now_ms);
        let told = &mut self.pool(&consume.workspace).told;
        let verdict = told.charged(&consume.user, (line, charge.sequence), charge.amount);
        self.judge(verdict, now_ms);
        self.told += 1;
        self.told_local += u64::from(charge.local);
        if self.frozen.contains_key(&(consume.workspace.clone(), line)) {
            self.seen.saw(Crossing::SpentOnFrozenLine);
            for ((workspace, no), fire) in &mut self.intents {
                let lines = self.state.workspace(workspace).and_then(|w| w.intents.get(no));
                fire.spent |= lines.is_some_and(|intent| intent.lines.contains(&line));
            }
        }
        // What a consume asks for itself stands before what its workspace says.
        let weakest = self.weakest.get(&consume.workspace).filter(|_| consume.durability.is_none());
        let declared = weakest.copied().unwrap_or(Durability::Local);
        let Some(workspace) = self.state.workspace(&consume.workspace) else { return };
        let Some(Pool { told, .. }) = self.pools.get(&consume.workspace) else { return };
        let verdicts = [
            told::nobody_was_told_more_than_the_pool_was_granted(workspace, told),
            told::what_was_told_is_gone_from_the_pool(workspace, told),
            told::nothing_is_told_on_a_line_beyond_what_it_has(workspace, told, line),
            told::a_consume_is_as_durable_as_its_workspace_says(line, charge.durability, declared),
        ];
        for verdict in verdicts {
            self.judge(verdict, now_ms);
        }
    }

    /// Something was spent on this line at `spent_ms`, by a holder whose sessions last so long.
    pub fn spent(&mut self, workspace: &WorkspaceId, line: LineId, amount: Credits, at: (u64, u64)) {
        let (spent_ms, ttl_ms) = at;
        let taken_ms = self.frozen.get(&(workspace.clone(), line)).copied();
        let until_ms = taken_ms.map(|taken_ms| taken_ms + ttl_ms);
        let verdict = told::nothing_taken_away_is_spent_later_than_told(line, amount, spent_ms, until_ms);
        self.judge(verdict, spent_ms);
    }

    pub fn is_fenced(&self, holder: HolderId) -> bool {
        self.state.holders.get(&holder).is_some_and(|record| record.status == HolderStatus::Fenced)
    }

    pub fn refused_for_credits(&mut self, workspace: &WorkspaceId, now_ms: u64) {
        let Some(pool) = self.state.workspaces.get(workspace).filter(|_| self.stranded.is_none()) else {
            return;
        };
        let totals = &pool.totals;
        let told = self.pools.get(workspace).map(|pool| &pool.told);
        let left = |(id, line): (&LineId, &ledger::Line)| {
            let spent = told.map_or(0, |told| super::served::spent_and_not_reported(told, *id, line));
            line.outstanding().micros().saturating_sub(spent)
        };
        self.stranded = Some(Stranded {
            at_ms: now_ms,
            available: totals.available.micros(),
            out: pool.lines.iter().map(left).sum(),
            granted: totals.amount.micros(),
        });
    }

    pub fn holds_of(&mut self, workspace: &WorkspaceId) -> (&mut Told, &mut Holds) {
        let pool = self.pool(workspace);
        (&mut pool.told, &mut pool.holds)
    }

    /// All pools' holds that are known.
    pub fn all_holds(&self) -> impl Iterator<Item = (&WorkspaceId, &Holds)> {
        self.pools.iter().map(|(id, pool)| (id, &pool.holds))
    }

    pub fn told_of(&self, workspace: &WorkspaceId) -> Option<&Told> {
        self.pools.get(workspace).map(|pool| &pool.told)
    }

    /// The line that this key was charged on last, and when that was told.
    pub fn key_told(
        &self,
        workspace: &WorkspaceId,
        user: &UserId,
        key: &IdempotencyKey,
    ) -> Option<(LineId, u64)> {
        let pool = self.pools.get(workspace)?;
        let (line, _) = pool.told.knows(user, key)?;
        Some((line, pool.keys_told_ms.get(&(user.clone(), key.clone())).copied()?))
    }

    pub fn was_applied(&self, key: &IdempotencyKey) -> u32 {
        self.applied_keys.get(key).copied().unwrap_or_default()
    }

    /// S5, S10, S11: a journal was opened; its lines are those of `holder`.
    pub fn recovered(&mut self, holder: HolderId, lines: &[journal::LineView], exact: bool, now_ms: u64) {
        let mut verdicts = Vec::new();
        let mut there = BTreeSet::new();
        for view in lines {
            let line = LineId { holder, number: view.line.number };
            there.insert((view.line.workspace.clone(), line));
            if let Some(Pool { told, .. }) = self.pools.get(&view.line.workspace) {
                let (used, lost) = (view.used, view.unattributed);
                verdicts.push(told::the_disk_counts_what_was_told(told, line, used, lost, exact));
            }
        }
        for (id, workspace) in &self.state.workspaces {
            let Some(Pool { told, .. }) = self.pools.get(id) else { continue };
            for line in workspace.lines.keys().filter(|line| line.holder == holder) {
                let charged = told.on_line.get(line).copied().unwrap_or_default();
                if charged > 0 && !there.contains(&(id.clone(), *line)) {
                    let what = format!("{line:?} of {id}, on which {charged} was told");
                    let sentence = "S11 a line that was charged is in the journal";
                    verdicts.push(Err(Broken { sentence, what }));
                }
            }
        }
        for verdict in verdicts {
            self.judge(verdict, now_ms);
        }
    }

    /// Nothing is out any more but on lost holders' lines.
    pub fn judge_rest(&mut self, now_ms: u64) {
        let now = self.state.now;
        let known = self.pools.iter().filter_map(|(id, pool)| Some((self.state.workspaces.get(id)?, pool)));
        let judged: Vec<Verdict> = known
            .flat_map(|(workspace, Pool { told, reference, .. })| {
                let used = told::at_rest_used_is_what_was_told(&**workspace, told);
                [used, reference.compare(workspace, now)]
            })
            .collect();
        judged.into_iter().for_each(|verdict| self.judge(verdict, now_ms));
    }

    // ---- crossings

    pub fn saw(&mut self, crossing: Crossing) {
        self.seen.saw(crossing);
    }

    pub fn a_holder_crashed(&mut self, holder: HolderId) {
        let state = &self.state;
        for ((workspace, no), fire) in &mut self.intents {
            let intent = state.workspace(workspace).and_then(|w| w.intents.get(no));
            fire.crashed |=
                intent.is_some_and(|intent| intent.lines.iter().any(|line| line.holder == holder));
        }
    }

    /// Their holder has answered a recall of these lines.
    pub fn recalled(&mut self, workspace: &WorkspaceId, lines: &BTreeSet<LineId>) {
        let pool = self.state.workspaces.get(workspace);
        for ((_, no), fire) in self.intents.iter_mut().filter(|((of, _), _)| of == workspace) {
            let intent = pool.and_then(|pool| pool.intents.get(no));
            fire.recalled |=
                intent.is_some_and(|intent| intent.lines.iter().any(|line| lines.contains(line)));
        }
    }

    pub fn another_leader(&mut self) {
        self.intents.values_mut().for_each(|fire| fire.led_by_another = true);
    }

    fn note_two_holders(&mut self) {
        let two = self.state.workspaces.values().any(|workspace| {
            workspace.users.values().any(|user| {
                let mut lines = user.lines.iter().map(|line| line.holder);
                let first = lines.next();
                lines.any(|holder| Some(holder) != first)
            })
        });
        if two {
            self.saw(Crossing::TwoHoldersOfOneUser);
        }
    }

    fn note_crossings(&mut self, command: &Command, applied: &Applied, now_ms: u64) {
        let Ok(outcome) = &applied.result else { return };
        match command {
            Command::Admin(admin) => {
                if let Some(keyed) = &admin.keyed {
                    *self.applied_keys.entry(keyed.key.clone()).or_default() += 1;
                }
                let Some(workspace) = self.state.workspaces.get(&admin.workspace) else { return };
                let out_of = |user: &UserId| workspace.user(user).map_or(Credits::ZERO, |user| user.out);
                match &admin.change {
                    Change::SetLimit { of: Subject::User(user), amount: Some(limit), .. } => {
                        let used = workspace.user(user).map_or(Credits::ZERO, |user| user.used);
                        let out = out_of(user);
                        if !out.is_zero() && used.saturating_add(out) > *limit {
                            self.seen.saw(Crossing::LimitCutBelowOut);
                        }
                    }
                    Change::PutMember { user, ai_access: Some(false), .. } if !out_of(user).is_zero() => {
                        self.seen.saw(Crossing::AccessOffWhileOut);
                    }
                    Change::VoidGrant { .. } if !applied.events.is_empty() => {
                        self.seen.saw(Crossing::GrantEndsWhileOut);
                    }
                    Change::Reallocate { id, .. } => {
                        if let (Outcome::Reallocation(answer), Some(no)) =
                            (outcome, workspace.reallocations.get(id))
                            && !answer.pending.is_empty()
                        {
                            self.seen.saw(Crossing::ReallocationLeavesPending);
                            let fire = Fire { since_ms: now_ms, ..Fire::default() };
                            self.intents.entry((admin.workspace.clone(), *no)).or_insert(fire);
                        }
                    }
                    _ => {}
                }
            }
            Command::Holder(batch) => {
                let Outcome::Lines(answers) = outcome else { return };
                if !applied.events.is_empty() {
                    self.seen.saw(Crossing::GrantEndsWhileOut);
                }
                let fenced = self.state.holders.get(&batch.holder);
                let fenced = fenced.is_some_and(|record| record.status == HolderStatus::Fenced);
                for (message, answer) in batch.lines.iter().zip(answers) {
                    let line = (batch.workspace.clone(), batch.line_id(message));
                    match &answer.result {
                        LineResult::Line { frozen: true, .. } => {
                            self.frozen.entry(line).or_insert(now_ms);
                        }
                        LineResult::Line { .. } => {}
                        LineResult::Closed if fenced => self.seen.saw(Crossing::EvidenceIsTaken),
                        LineResult::Closed => {
                            let lost = |b: &(types::Backing, Credits, Credits)| !b.2.is_zero();
                            if message.used.by_backing.iter().any(lost) {
                                self.seen.saw(Crossing::UnattributedReachesTheLedger);
                            }
                            self.frozen.remove(&line);
                        }
                        LineResult::Rejected(_) if fenced => self.seen.saw(Crossing::WrittenOffHolderWakes),
                        LineResult::Rejected(_) => {}
                    }
                    self.draws += u64::from(matches!(message.wish, ledger::Wish::Draw { .. }));
                }
            }
            Command::Forget { mode, .. } => {
                if let Outcome::Forgotten { exposure, .. } = outcome
                    && *mode == ForgetMode::Credit
                    && !exposure.is_zero()
                {
                    self.seen.saw(Crossing::ExposureIsBooked);
                }
            }
            Command::Register { .. }
            | Command::Prices(_)
            | Command::Tick { .. }
            | Command::SetCycleEnds { .. }
            | Command::SetClock { .. } => {}
        }
        for event in &applied.events {
            if let (ledger::Event::Recall { line, .. }, Some(workspace)) = (event, command.workspace()) {
                self.frozen.entry((workspace.clone(), *line)).or_insert(now_ms);
            }
        }
        self.settle_intents(now_ms);
    }

    fn settle_intents(&mut self, now_ms: u64) {
        let Self { intents, state, seen, moved_ms, .. } = self;
        intents.retain(|(workspace, no), fire| {
            let intent = state.workspace(workspace).and_then(|w| w.intents.get(no));
            let Some(intent) = intent.filter(|intent| intent.pending().is_zero()) else {
                return intent.is_some();
            };
            if !intent.lapsed.is_zero() {
                seen.saw(Crossing::PendingPartLapses);
            }
            if !intent.moved.is_zero() {
                seen.saw(Crossing::PendingPartArrives);
            }
            if fire.spent && fire.recalled && fire.crashed && fire.led_by_another {
                seen.saw(Crossing::ReallocationUnderFire);
            }
            moved_ms.push(now_ms - fire.since_ms);
            false
        });
    }
}
