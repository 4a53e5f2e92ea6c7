//! A desk in front of one ledger that takes commands as text. Alone knows the ledger's API among the script tests.
//!
//! Words and their options: `words`. How answers read: `answers`.

mod answers;
mod words;

use ledger::{
    AdminCommand, Change, ChargePart, Command, HolderBatch, LineMessage, NewRefund, Outcome, Query, State,
    Wish,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use types::{
    AnyCharge, ChargeId, CycleNumber, GrantNo, HolderId, Limited, LineId, Scope, Timestamp, UserId,
    WorkspaceId,
};
use words::{Bad, Words};

/// Midnight UTC of day 20,000 after 1970-01-01: scripts count time from here.
const START: Timestamp = Timestamp::from_millis(20_000 * 86_400_000);

pub struct Desk {
    state: State,
    at: Timestamp,
    /// Whose line it is, since its first message.
    owners: BTreeMap<(WorkspaceId, LineId), UserId>,
    /// In the middle of a long repetition, where comparing with what was before would copy everything each time.
    is_quick: bool,
}

impl Desk {
    /// With workspace `w` made and nodes `n1` to `n3` registered.
    pub fn new() -> Self {
        let mut desk = Self { state: State::new(), at: START, owners: BTreeMap::new(), is_quick: false };
        for command in ["workspace", "register n1", "register n2", "register n3"] {
            desk.perform(command).unwrap();
        }
        desk
    }

    pub fn assert_books_are_right(&self, when: &str) {
        let violations = self.state.violations();
        assert!(violations.is_empty(), "after {when}: {violations:#?}");
        for workspace in self.state.workspaces.values() {
            let view = workspace.view(self.at);
            let sum = types::Credits::checked_sum([view.used, view.held, view.available, view.leased]);
            assert_eq!(sum, view.granted.checked_add(view.refunded), "after {when}: {view:#?}");
        }
    }

    /// Does what one line says and answers what is to be shown.
    pub fn perform(&mut self, line: &str) -> Result<String, Bad> {
        let mut words = Words::of(line)?;
        let verb = words.next("a verb")?;
        let workspace: WorkspaceId = words.option_or("in", "w")?;
        let shown = match verb.as_str() {
            "time" => self.set_time(words.time(START)?)?,
            "repeat" => return self.repeat(line),
            "look-up" => {
                let cycle = CycleNumber(words.parsed("a cycle")?);
                let ends = words.cycle_ends(START)?;
                self.apply(&Command::SetCycleEnds { workspace, cycle, ends })
            }
            "look-up-clock" => self.apply(&Command::SetClock { workspace, clock: words.clock(START)? }),
            "register" | "forget" | "tick" | "prices" => {
                self.holder_or_clock(&verb, workspace, &mut words)?
            }
            "draw" | "report" | "close" => self.line(&verb, workspace, &mut words)?,
            "show" => self.show(workspace, &mut words)?,
            _ => self.administrate(&verb, workspace, &mut words)?,
        };
        words.end()?;
        Ok(shown)
    }

    fn set_time(&mut self, at: Timestamp) -> Result<String, Bad> {
        self.at = at;
        Ok(String::new())
    }

    /// `repeat 3 grant g{} 1`: the last answer is shown.
    fn repeat(&mut self, line: &str) -> Result<String, Bad> {
        let bad = || Bad::Missing("repeat COUNT COMMAND");
        let (count, command) =
            line.strip_prefix("repeat ").and_then(|rest| rest.split_once(' ')).ok_or_else(bad)?;
        let count: u64 = count.parse().map_err(|_| bad())?;
        let mut shown = String::new();
        for i in 1..=count {
            self.is_quick = i < count;
            shown = self.perform(&command.replace("{}", &i.to_string()))?;
        }
        Ok(shown)
    }

    fn apply(&mut self, command: &Command) -> String {
        if self.is_quick {
            let applied = self.state.apply(self.at, command);
            return answers::applied(&self.state, command, &applied);
        }
        let before = self.state.clone();
        let applied = self.state.apply(self.at, command);
        if let Command::Holder(batch) = command
            && !before.would_change(batch, self.at)
        {
            self.assert_only_heard(before.clone(), batch);
        }
        if applied.result.is_err() {
            self.assert_only_time_passed(before, command);
        }
        answers::applied(&self.state, command, &applied)
    }

    /// A rejection writes nothing; what had expired by then may be booked.
    fn assert_only_time_passed(&self, mut before: State, command: &Command) {
        if let (Some(workspace), Command::Admin(_)) = (command.workspace(), command) {
            before.apply(self.at, &Command::Tick { workspace: workspace.clone() });
        }
        let same = before.workspaces == self.state.workspaces && before.meta == self.state.meta;
        assert!(same, "{command:?} was rejected and wrote");
    }

    /// What `would_change` calls no change: the holder was heard, and time passed.
    fn assert_only_heard(&self, mut before: State, batch: &HolderBatch) {
        before.apply(self.at, &Command::Tick { workspace: batch.workspace.clone() });
        before.holders.clone_from(&self.state.holders);
        let Some(after) = self.state.workspace(&batch.workspace) else { return };
        let known = Arc::make_mut(before.workspaces.get_mut(&batch.workspace).expect("as after"));
        for (id, line) in &mut known.lines {
            let now = &after.lines[id];
            (line.heard_at, line.held, line.confirmed) = (now.heard_at, now.held, now.confirmed);
            // Calls that cost nothing are counted without a credit that moves.
            line.meters.clone_from(&now.meters);
        }
        known.meters.clone_from(&after.meters);
        known.meter_numbers.clone_from(&after.meter_numbers);
        known.metered_names.clone_from(&after.metered_names);
        assert_eq!(&before, &self.state, "a batch that would not change anything did");
    }

    fn administrate(&mut self, verb: &str, workspace: WorkspaceId, words: &mut Words) -> Result<String, Bad> {
        let if_match = words.revision("if-match")?;
        let key: Option<types::IdempotencyKey> = words.option("key")?;
        let change = match verb {
            "refund" => Change::Refund(Box::new(self.new_refund(&workspace, words)?)),
            _ => words.change(verb, START)?,
        };
        let keyed = key.map(|key| ledger::KeyedBy { key, command_hash: hash(&change) });
        Ok(self.apply(&Command::Admin(AdminCommand { workspace, keyed, if_match, change })))
    }

    /// `refund n1#1 3 ann paid=own/g1:2,shared/g2:1 amount=1 id=r cycle=1`: of the third charge on that line.
    fn new_refund(&self, workspace: &WorkspaceId, words: &mut Words) -> Result<NewRefund, Bad> {
        let (holder, line) = words.line()?;
        let charge = ChargeId { node: holder.node, line, sequence: words.parsed("a sequence")? };
        let user = words.parsed("a user")?;
        let id = LineId { holder, number: line };
        let cycle = words.option("cycle")?.map_or(self.cycle(workspace, id), CycleNumber);
        let paid = words.paid(|id| self.grant(workspace, id))?;
        let part = |(backing, amount)| ChargePart { line, cycle, backing, amount };
        Ok(NewRefund {
            id: words.option("id")?,
            holder,
            charge: AnyCharge::Consume(charge),
            user,
            parts: paid.into_iter().map(part).collect(),
            amount: words.option("amount")?,
        })
    }

    fn holder_or_clock(
        &mut self,
        verb: &str,
        workspace: WorkspaceId,
        words: &mut Words,
    ) -> Result<String, Bad> {
        let command = match verb {
            "tick" => Command::Tick { workspace },
            "prices" => Command::Prices(ledger::PriceCommand {
                keyed: None,
                if_match: words.revision("if-match")?,
                change: ledger::PriceChange::PutCard { list: Default::default(), effective_at: None },
            }),
            "register" => Command::Register {
                holder: words.holder()?,
                journal_sequence: words.option_or("sequence", "0")?,
            },
            _ => Command::Forget { holder: words.holder()?, mode: words.forget_mode()? },
        };
        Ok(self.apply(&command))
    }

    /// `draw n1#1 ann 10 floor=2 need=5`, `report n1#1 used=shared/g1:3`, `close n1#1`.
    fn line(&mut self, verb: &str, workspace: WorkspaceId, words: &mut Words) -> Result<String, Bad> {
        let (holder, number) = words.line()?;
        let id = LineId { holder, number };
        let user = match words.option("user")? {
            Some(user) => user,
            None => match self.owners.get(&(workspace.clone(), id)) {
                Some(user) => {
                    words.skip(user.as_str());
                    user.clone()
                }
                None => words.parsed("a user")?,
            },
        };
        self.owners.entry((workspace.clone(), id)).or_insert_with(|| user.clone());
        let wish = match verb {
            "report" => Wish::Report,
            "close" => Wish::Close,
            _ => {
                let target = words.parsed("a target")?;
                let floor = words.option("floor")?.unwrap_or(target);
                Wish::Draw { target, floor, need: words.option("need")?.unwrap_or(floor) }
            }
        };
        let grant = |id: &str| self.grant(&workspace, id);
        let message = LineMessage {
            number,
            user,
            cycle: words.option("cycle")?.map_or(self.cycle(&workspace, id), CycleNumber),
            scope: self.scope(&workspace, id, words)?,
            returned: words.returned(grant)?,
            used: words.used(grant, self.at.day())?,
            held: words.option_or("held", "0")?,
            confirmed: words.option_or("confirmed", "0")?,
            wish,
        };
        let journal_sequence = words.option_or("sequence", "0")?;
        let recalled = words.option_or("recalled", "false")?;
        Ok(self.apply(&Command::Holder(HolderBatch {
            holder,
            journal_sequence,
            workspace,
            recalled,
            lines: vec![message],
        })))
    }

    /// An open line's own, a new one's is this one.
    fn cycle(&self, workspace: &WorkspaceId, line: LineId) -> CycleNumber {
        let Some(known) = self.state.workspace(workspace) else { return CycleNumber::FIRST };
        known.lines.get(&line).map_or(known.cycle, |line| line.cycle)
    }

    /// An open line's own, unless other words say.
    fn scope(&self, workspace: &WorkspaceId, line: LineId, words: &mut Words) -> Result<Scope, Bad> {
        let known = self.state.workspace(workspace);
        let said = words.scope(&known.map_or_else(Limited::default, |known| known.limited.clone()))?;
        let open = known.and_then(|known| known.lines.get(&line));
        Ok(open.map_or(said, |line| line.scope.clone()))
    }

    fn grant(&self, workspace: &WorkspaceId, id: &str) -> Option<GrantNo> {
        self.state.workspace(workspace)?.grant_ids.get(id).copied()
    }

    fn show(&self, id: WorkspaceId, words: &mut Words) -> Result<String, Bad> {
        let what = words.next("what to show")?;
        let query = match what.as_str() {
            "lines" => {
                return Ok(self.state.workspace(&id).map_or_else(String::new, answers::lines));
            }
            "pool" => Query::Workspace { id },
            "grants" => Query::Grants { id, page: words.page()? },
            "members" => Query::Members { id, which: words.which_members()?, page: words.page()? },
            "member" => Query::Member { id, user: words.parsed("a user")? },
            "allocation" => Query::Allocation { id, user: words.parsed("a user")? },
            "reallocation" => Query::Reallocation { id, reallocation: words.parsed("an id")? },
            "refund" => Query::Refund { id, refund: words.parsed("an id")? },
            "overage" => Query::Overage { id, user: words.option("user")? },
            "teams" => Query::Teams { id, team: None, page: words.page()? },
            "team" => Query::Teams { id, team: Some(words.parsed("a team")?), page: words.page()? },
            "limits" => {
                let whose = words.next("whose")?;
                Query::Limits { id, of: words.subject(&whose)? }
            }
            "plan" => Query::Plan { id },
            "pooling" => Query::Pooling { id, after: None },
            "pooling-after" => Query::Pooling { id, after: Some(words.pooling()?) },
            "plan-after" => Query::PlanAfter { id, change: words.plan()? },
            "usage" => Query::Usage { id, query: words.usage_query(START.day())? },
            _ => return Err(Bad::Unknown(what)),
        };
        Ok(answers::answer(&self.state.answer(&query, self.at)))
    }
}

fn hash(change: &Change) -> [u8; 32] {
    words::digest(&format!("{change:?}"))
}

/// Node and disk as scripts write them: `n1`, or `n1/2` for another disk than 1.
fn holder_text(holder: HolderId) -> String {
    if holder.disk.0 == 1 { holder.node.to_string() } else { format!("{}/{}", holder.node, holder.disk.0) }
}

fn line_text(id: LineId) -> String {
    format!("{}#{}", holder_text(id.holder), id.number.0)
}

fn is_quiet(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Registered | Outcome::Ticked)
}
