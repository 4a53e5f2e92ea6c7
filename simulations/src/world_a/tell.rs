//! The film in words, for who looks at one run: made only where the film is kept. Not here: the numbers of the film, which
//! are hashed whether anybody looks or not (`film`).

use super::World;
use super::consume::feature_of;
use super::film::{Frame, Step};
use super::node::Running;
use super::words::{Charge, Consume, Index, index_of};
use crate::fault::Fault;
use crate::scene::{Lease, Line, Pool, Scene, Shot};
use ledger::{
    AdminCommand, Applied, Change, Command, LineResult, Outcome, OverageRule, PlanChange, State, Subject,
    When, Wish, Workspace,
};
use types::{Credits, CreditsDelta, HolderId, LineId, LineNumber, UserId, WorkspaceId};

impl World {
    pub fn name(&self, node: Index) -> String {
        self.config.names.get(node).cloned().unwrap_or_else(|| format!("n{}", node + 1))
    }

    fn holder(&self, holder: HolderId) -> String {
        self.name(index_of(holder.node))
    }

    fn line(&self, workspace: &WorkspaceId, node: Index, number: LineNumber) -> String {
        format!("{workspace}/{}/{}", self.name(node), number.0)
    }

    /// Says what the last frame is about.
    pub fn tell(&self, scene: impl FnOnce() -> Scene) {
        let is_kept = self.film.borrow().kept.is_some();
        if is_kept {
            let scene = scene();
            self.film.borrow_mut().tell(scene);
        }
    }

    pub fn shots(&self) -> Vec<Shot> {
        let film = self.film.borrow();
        let Some(kept) = &film.kept else { return Vec::new() };
        let shot = |(frame, scene): &(Frame, Option<Scene>)| {
            let words = || Scene {
                words: self.usual_words(frame),
                died: frame.step == Step::Killed,
                ..Scene::default()
            };
            Shot {
                at_us: frame.at_us,
                step: frame.step.name(),
                node: if frame.step.is_of_a_node() { self.name(frame.node) } else { String::new() },
                scene: scene.clone().unwrap_or_else(words),
            }
        };
        kept.iter().map(shot).collect()
    }

    fn usual_words(&self, frame: &Frame) -> String {
        let Frame { step, a, b, .. } = *frame;
        match step {
            Step::Asked => format!("is asked for {}", credits(a)),
            Step::Told => format!("charged on line {a}: its charge {b}"),
            Step::Refused => "refuses".into(),
            Step::NoAnswer => "gives no answer".into(),
            Step::AdminAsked => format!("is asked for change {a}"),
            Step::AdminAnswered => format!("answers change {a}: {}", if b == 1 { "done" } else { "refused" }),
            Step::DrawSent => format!("draws on line {a} up to {}", credits(b)),
            Step::GaveBack => format!("gives {} of line {a} back", credits(b)),
            Step::LineClosed => format!("closes line {a}, {} spent on it", credits(b)),
            Step::LineRejected => format!("learns that line {a} was rejected"),
            Step::RecallSent => format!("asks n{a} for {b} lines back"),
            Step::RecallTaken => format!("is asked for lines back: {a} open, {b} closing"),
            Step::RoundEnded => {
                format!("a recall round ends after {a} ms, {}", if b == 1 { "served" } else { "not served" })
            }
            Step::Committed => format!("entry {a} of term {b} is committed"),
            Step::LeaderElected => format!("leads in term {a}"),
            Step::FaultBegins => format!("fault {b} begins"),
            Step::FaultEnds => format!("fault {b} ends"),
            Step::Killed => format!("dies, its life {a}"),
            Step::Started => format!("starts its life {a}, its journal at {b}"),
            Step::NotStarted if a == 1 => "does not start: its disk is damaged".into(),
            Step::NotStarted => "does not start: its disk is full or fails".into(),
            Step::HolderRefused => "is refused by the cluster".into(),
            Step::Forgotten if a == 1 => "is forgotten".into(),
            Step::Forgotten => "could not be forgotten".into(),
            Step::Checked => format!("everything is judged, at entry {a}"),
            Step::Calm => "the faults are over; everything heals".into(),
            Step::Broken => "a sentence is broken".into(),
        }
    }

    // ---- scenes

    pub fn asked_scene(&self, consume: &Consume) -> Scene {
        let key = consume.key.as_ref().map_or_else(String::new, |key| format!(", key {key}"));
        let words = format!("is asked: {} for {} in {}{key}", consume.user, consume.price, consume.workspace);
        Scene { words, user: Some(consume.user.to_string()), ..Scene::default() }
    }

    pub fn charged_scene(&self, consume: &Consume, charge: &Charge) -> Scene {
        let holder = index_of(charge.holder.node);
        let line = self.line(&consume.workspace, holder, charge.line);
        let how = match (charge.replayed, charge.local) {
            (true, _) => ", again: the answer of its key",
            (false, true) => ", asking nobody",
            (false, false) => "",
        };
        let words = format!(
            "charged {} {} on {line}, its charge {}{how}",
            consume.user, charge.amount, charge.sequence
        );
        let running = self.nodes[holder].running();
        let leases = running.and_then(|running| self.lease_of(&running, consume, line));
        Scene {
            words,
            user: Some(consume.user.to_string()),
            leases: leases.into_iter().collect(),
            ..Scene::default()
        }
    }

    pub fn refused_scene(&self, consume: &Consume, why: &str) -> Scene {
        let words = format!("refuses {} {}: {why}", consume.user, consume.price);
        Scene { words, user: Some(consume.user.to_string()), ..Scene::default() }
    }

    fn lease_of(&self, running: &Running, consume: &Consume, line: String) -> Option<Lease> {
        let Consume { workspace, user, .. } = consume;
        let handle = running.find(workspace, user, &feature_of(consume))?;
        Some(Lease {
            node: self.name(running.node),
            line,
            user: user.to_string(),
            balance: handle.observe().balance,
            above: None,
            closed: false,
        })
    }

    /// What a holder does with a line of its own.
    pub fn lease_scene(
        &self,
        node: Index,
        (workspace, user, number): (&WorkspaceId, &UserId, LineNumber),
        (balance, above): (Credits, Credits),
        words: impl FnOnce(&str) -> String,
        closed: bool,
    ) -> Scene {
        let line = self.line(workspace, node, number);
        let words = words(&line);
        let (balance, above) = (balance.micros(), Some(above.micros()));
        let lease = Lease { node: self.name(node), line, user: user.to_string(), balance, above, closed };
        Scene { words, user: Some(user.to_string()), leases: vec![lease], ..Scene::default() }
    }

    pub fn fault_scene(&self, fault: &Fault, begins: bool) -> Scene {
        let place = fault.what.place(&|node| self.name(node));
        let what = format!("{} {place}", fault.what.kind().name());
        let what = what.trim_end();
        let words =
            if begins { format!("{what} begins, for {} ms", fault.for_ms) } else { format!("{what} ends") };
        Scene { words, ..Scene::default() }
    }

    /// An entry, and what it leaves behind in the books.
    pub fn committed_scene(
        &self,
        index: u64,
        command: Option<&Command>,
        applied: &Applied,
        after: &State,
    ) -> Scene {
        let Some(command) = command else {
            let words = format!("entry {index}: a new leader's first");
            return Scene { words, ..Scene::default() };
        };
        let mut scene =
            Scene { words: format!("entry {index}: {}", self.command(command, applied)), ..Scene::default() };
        if let Command::Admin(AdminCommand { change, .. }) = command {
            scene.user = user_of(change).map(ToString::to_string);
        }
        let of = command.workspace().and_then(|id| Some((id, after.workspace(id)?)));
        let all = after.workspaces.iter().map(|(id, workspace)| (id, &**workspace));
        let touched: Vec<(&WorkspaceId, &Workspace)> = match of {
            Some(one) => vec![one],
            None => all.collect(),
        };
        for (id, workspace) in touched {
            scene.pools.push(pool(id, workspace));
            let lines: Vec<LineId> = match command {
                Command::Holder(batch) => batch.lines.iter().map(|message| batch.line_id(message)).collect(),
                _ => workspace.lines.keys().copied().collect(),
            };
            scene.lines.extend(lines.into_iter().map(|line| self.line_now(id, line, workspace)));
        }
        scene
    }

    fn line_now(&self, id: &WorkspaceId, line: LineId, workspace: &Workspace) -> Line {
        let name = self.line(id, index_of(line.holder.node), line.number);
        let Some(known) = workspace.lines.get(&line) else {
            return Line { name, closed: true, ..Line::default() };
        };
        let sum = |part: &dyn Fn(&ledger::BackingNumbers) -> u64| known.backings.iter().map(part).sum();
        Line {
            name,
            user: known.user.to_string(),
            drawn: sum(&|n| n.drawn.micros()),
            returned: sum(&|n| n.returned.micros()),
            used: sum(&|n| n.used.micros() + n.unattributed.micros()),
            written_off: sum(&|n| n.written_off.micros()),
            frozen: known.frozen,
            closed: false,
        }
    }

    fn command(&self, command: &Command, applied: &Applied) -> String {
        let refused = match &applied.result {
            Err(rejection) => format!(": refused, {rejection:?}"),
            Ok(_) => String::new(),
        };
        match command {
            Command::Holder(batch) => {
                let answers = match &applied.result {
                    Ok(Outcome::Lines(answers)) => answers.as_slice(),
                    _ => &[],
                };
                let one = |(at, message): (usize, &ledger::LineMessage)| {
                    let line = self.line(&batch.workspace, index_of(batch.holder.node), message.number);
                    let wish = match message.wish {
                        Wish::Report => "reports".to_owned(),
                        Wish::Draw { target, .. } => format!("draws up to {target}"),
                        Wish::Close => "closes".to_owned(),
                    };
                    let answer = answers.get(at).map(|answer| answered(&answer.result)).unwrap_or_default();
                    format!("{line} of {} {wish}{answer}", message.user)
                };
                let told: Vec<String> = batch.lines.iter().enumerate().map(one).collect();
                format!("{}{refused}", told.join("; "))
            }
            Command::Admin(admin) => format!("{} in {}{refused}", change(&admin.change), admin.workspace),
            Command::Register { holder, journal_sequence } => {
                format!("{} registers, its journal at {journal_sequence}{refused}", self.holder(*holder))
            }
            Command::Forget { holder, mode } => {
                format!("{} is forgotten ({mode:?}){refused}", self.holder(*holder))
            }
            Command::Prices(_) => format!("prices{refused}"),
            Command::Tick { workspace } => format!("time passes in {workspace}{refused}"),
            Command::SetClock { workspace, .. } => {
                format!("what clocks show in {workspace} is known{refused}")
            }
            Command::SetCycleEnds { workspace, cycle, .. } => {
                format!("the ends of cycle {} and the next ones of {workspace} are known{refused}", cycle.0)
            }
        }
    }
}

fn answered(result: &LineResult) -> String {
    match result {
        LineResult::Line { denied: Some(denial), .. } => format!(" (denied: {:?})", denial.reason),
        LineResult::Line { frozen: true, .. } => " (frozen)".into(),
        LineResult::Line { .. } | LineResult::Closed => String::new(),
        LineResult::Rejected(rejection) => format!(" (rejected: {rejection:?})"),
    }
}

fn pool(id: &WorkspaceId, workspace: &Workspace) -> Pool {
    let totals = &workspace.totals;
    Pool {
        name: id.to_string(),
        granted: totals.amount.micros(),
        available: totals.available.micros(),
        out: totals.out.micros(),
        used: totals.used.micros() + totals.unattributed.micros() + totals.written_off.micros(),
        pending: workspace.intents.values().map(|intent| intent.pending().micros()).sum(),
    }
}

fn user_of(change: &Change) -> Option<&UserId> {
    match change {
        Change::PutMember { user, .. }
        | Change::SetAllocation { user, .. }
        | Change::AdjustAllocation { user, .. }
        | Change::RemoveAllocation { user }
        | Change::SetLimit { of: Subject::User(user), .. }
        | Change::LiftLimits { of: Subject::User(user) } => Some(user),
        Change::Reallocate { from, .. } => Some(from),
        Change::SetOverage { user, .. } => user.as_ref(),
        Change::Refund(refund) => Some(&refund.user),
        Change::PutWorkspace(_)
        | Change::MakeGrant(_)
        | Change::VoidGrant { .. }
        | Change::Team { .. }
        | Change::SetLimit { of: Subject::Team(_) | Subject::Feature(_) | Subject::Model(_), .. }
        | Change::LiftLimits { of: Subject::Team(_) | Subject::Feature(_) | Subject::Model(_) }
        | Change::SetPooling(_)
        | Change::ImportUsage(_)
        | Change::Plan(_) => None,
    }
}

fn change(change: &Change) -> String {
    match change {
        Change::PutWorkspace(_) => "settings".into(),
        Change::MakeGrant(grant) => format!("grant {} of {}", grant.id, grant.amount),
        Change::VoidGrant { grant } => format!("grant {grant} is voided"),
        Change::PutMember { user, ai_access, .. } => match ai_access {
            Some(true) => format!("{user} may spend"),
            Some(false) => format!("{user} may not spend any more"),
            None => format!("{user} is a member"),
        },
        Change::SetAllocation { user, amount, .. } => format!("{user} is allocated {amount}"),
        Change::AdjustAllocation { user, delta: CreditsDelta::Raise(by) } => {
            format!("{user} is allocated {by} more")
        }
        Change::AdjustAllocation { user, delta: CreditsDelta::Lower(by) } => {
            format!("{user} is allocated {by} less")
        }
        Change::RemoveAllocation { user } => format!("the allocation of {user} ends"),
        Change::Reallocate { id, from, to, amount } => format!("{amount} of {from} go to {to} ({id})"),
        Change::SetLimit { of, window, amount: Some(amount) } => {
            format!("{of} may spend {amount} per {window} at most")
        }
        Change::SetLimit { of, window, amount: None } => format!("{of} has no limit per {window}"),
        Change::LiftLimits { of } => format!("{of} has no limit"),
        Change::Plan(PlanChange::Set { plan, when }) => {
            let when = if *when == When::Now { "now" } else { "from the next cycle on" };
            let (allowance, per_seat) = (plan.allowance, plan.per_seat);
            format!("the plan is {}, {allowance} and {per_seat} a seat, {when}", plan.id)
        }
        Change::Team { team, change } => format!("team {team}: {change:?}"),
        Change::SetPooling(mode) => format!("credits for seats: {mode:?}"),
        Change::Plan(PlanChange::Cancel) => "the plan ends with its cycle".into(),
        Change::Refund(refund) => format!("a charge of {} is refunded", refund.user),
        Change::ImportUsage(items) => format!("{} items of usage are told of later", items.len()),
        Change::SetOverage { user, rule } => {
            let who = user.as_ref().map_or("everybody", |user| user.as_str());
            match rule {
                None => format!("nothing is said of overage for {who}"),
                Some(OverageRule::Off) => format!("no overage for {who}"),
                Some(OverageRule::On) => format!("overage for {who}"),
                Some(OverageRule::UpTo(cap)) => format!("overage for {who}, up to {cap}"),
            }
        }
    }
}

fn credits(micros: u64) -> String {
    Credits::from_micros(micros).unwrap_or(Credits::MAX).to_string()
}
