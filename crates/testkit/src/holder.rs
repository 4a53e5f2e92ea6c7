//! A simulated holder: the other half of the lease protocol, with true local numbers and a disk that can be behind.
//!
//! It keeps the rules R2 to R6: D is merged by max, the watermark is on disk before anything is spent beyond it, after
//! a crash what is above the synced numbers is unattributed, returns and closes are on disk before they are sent.
//! Not here: when it draws, reports or closes (`workload`), what the network does (`history`).

use ledger::{HolderBatch, LineAnswer, LineMessage, LineRejection, LineResult, Used, Wish};
use std::collections::BTreeMap;
use types::{
    Backing, Credits, CycleNumber, Feature, HolderId, Limited, LineId, LineNumber, Meter, Metered, Model,
    Scope, Shadowed, Timestamp, UserId, WorkspaceId,
};

#[derive(Clone, Debug)]
pub struct Holder {
    pub id: HolderId,
    pub workspace: WorkspaceId,
    pub lines: BTreeMap<LineNumber, HeldLine>,
    /// Of the journal; grows with everything that is synced.
    pub sequence: u64,
    /// The cycle it takes it to be: that of its next line.
    pub cycle: CycleNumber,
    last_line: LineNumber,
    /// What it has heard of that is limited.
    pub limited: Limited,
    /// How far the watermark runs ahead of what is used, in micro-credits.
    pub chunk: u64,
}

#[derive(Clone, Debug)]
pub struct HeldLine {
    pub user: UserId,
    pub cycle: CycleNumber,
    pub scope: Scope,
    /// In the order in which they are spent.
    pub backings: Vec<HeldBacking>,
    meters: BTreeMap<Meter, Metered>,
    synced_meters: BTreeMap<Meter, Metered>,
    /// Its Close is on disk: nothing is spent any more.
    pub is_closing: bool,
    /// Asked back whole: nothing is drawn any more.
    pub is_recalled: bool,
}

/// All in micro-credits.
#[derive(Clone, Debug)]
pub struct HeldBacking {
    pub backing: Backing,
    pub drawn: u64,
    pub used: u64,
    pub returned: u64,
    pub unattributed: u64,
    /// Used, as far as the disk knows.
    synced: u64,
    /// Used and unattributed never pass it.
    watermark: u64,
}

/// What a client was told: charged on this line, out of these backings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    pub line: LineId,
    pub user: UserId,
    pub feature: Feature,
    pub model: Option<Model>,
    pub parts: Vec<(Backing, u64)>,
}

/// What is asked for at such a price.
pub fn feature_at(price: u64) -> Feature {
    let feature = ["chat", "image", "search"][usize::try_from(price % 3).expect("below 3")];
    Feature::parse(feature).expect("a valid id")
}

pub fn model_at(price: u64) -> Option<Model> {
    (price % 4 > 1).then(|| Model::parse("m-1").expect("a valid id"))
}

fn credits(micros: u64) -> Credits {
    Credits::from_micros(micros).expect("a small number")
}

impl HeldBacking {
    /// What may still be spent or given back.
    pub fn left(&self) -> u64 {
        self.drawn - self.used - self.returned - self.unattributed
    }
}

impl HeldLine {
    fn new(user: UserId, cycle: CycleNumber, scope: Scope) -> Self {
        let (backings, meters, synced_meters) = Default::default();
        Self { user, cycle, scope, backings, meters, synced_meters, is_closing: false, is_recalled: false }
    }

    pub fn left(&self) -> u64 {
        self.backings.iter().map(HeldBacking::left).sum()
    }

    fn drawn(&self) -> u64 {
        self.backings.iter().map(|b| b.drawn).sum()
    }

    fn sync(&mut self) {
        self.backings.iter_mut().for_each(|b| b.synced = b.used);
        self.synced_meters.clone_from(&self.meters);
    }

    /// R2: by max, and in the order the ledger gives.
    fn install(&mut self, drawn: &[(Backing, Credits)]) {
        for (i, (backing, amount)) in drawn.iter().enumerate() {
            let at = self.backings.iter().position(|b| b.backing == *backing).unwrap_or_else(|| {
                let i = i.min(self.backings.len());
                let zero = HeldBacking {
                    backing: *backing,
                    drawn: 0,
                    used: 0,
                    returned: 0,
                    unattributed: 0,
                    synced: 0,
                    watermark: 0,
                };
                self.backings.insert(i, zero);
                i
            });
            self.backings[at].drawn = self.backings[at].drawn.max(amount.micros());
        }
    }
}

impl Holder {
    pub fn new(id: HolderId, workspace: WorkspaceId, chunk: u64) -> Self {
        let (cycle, last_line) = (CycleNumber::FIRST, LineNumber(0));
        let limited = Limited::default();
        Self { id, workspace, lines: BTreeMap::new(), sequence: 0, cycle, last_line, limited, chunk }
    }

    /// What is limited now, as a leader says. Lines of other lists are asked back.
    pub fn hear_limited(&mut self, limited: &Limited) {
        if self.limited.revision < limited.revision {
            self.limited.clone_from(limited);
        }
        let list = self.limited.list();
        self.lines.values_mut().for_each(|line| line.is_recalled |= line.scope.list != list);
    }

    /// The line this user's consumes at such a price are decided on.
    pub fn open_line(&self, user: &UserId, price: u64) -> Option<LineNumber> {
        let scope = self.limited.scope_of(&feature_at(price), model_at(price).as_ref());
        let is_his = |line: &HeldLine| line.user == *user && line.scope == scope;
        let open = |line: &HeldLine| is_his(line) && !line.is_closing && !line.is_recalled;
        self.lines.iter().find(|(_, line)| open(line)).map(|(number, _)| *number)
    }

    fn message(&self, number: LineNumber, wish: Wish) -> LineMessage {
        let line = &self.lines[&number];
        // R6: never ahead of the disk.
        let used = |b: &HeldBacking| (b.backing, credits(b.synced), credits(b.unattributed));
        LineMessage {
            number,
            user: line.user.clone(),
            cycle: line.cycle,
            scope: line.scope.clone(),
            returned: line.backings.iter().map(|b| (b.backing, credits(b.returned))).collect(),
            used: Used {
                by_backing: line.backings.iter().map(used).collect(),
                by_meter: line.synced_meters.iter().map(|(m, n)| (m.clone(), n.clone())).collect(),
            },
            held: Credits::ZERO,
            confirmed: Credits::ZERO,
            wish,
        }
    }

    pub fn batch(&self, lines: Vec<LineMessage>) -> HolderBatch {
        let (holder, journal_sequence) = (self.id, self.sequence);
        HolderBatch { holder, journal_sequence, workspace: self.workspace.clone(), lines, recalled: false }
    }

    /// For what costs so much: asks for `more` than was drawn so far, on a new line if there is none; half of what is beyond the floor is needed.
    pub fn draw(&mut self, user: &UserId, more: u64, floor: u64) -> LineMessage {
        let number = self.line_for(user, more);
        let drawn = self.lines[&number].drawn();
        let floor = floor.min(more);
        let need = credits(drawn + floor + (more - floor) / 2);
        let wish = Wish::Draw { target: credits(drawn + more), floor: credits(drawn + floor), need };
        self.message(number, wish)
    }

    fn line_for(&mut self, user: &UserId, price: u64) -> LineNumber {
        self.open_line(user, price).unwrap_or_else(|| {
            self.last_line = LineNumber(self.last_line.0 + 1);
            let scope = self.limited.scope_of(&feature_at(price), model_at(price).as_ref());
            self.lines.insert(self.last_line, HeldLine::new(user.clone(), self.cycle, scope));
            self.last_line
        })
    }

    /// A line for what costs so much, to count on: nothing is asked for.
    pub fn draw_nothing(&mut self, user: &UserId, price: u64) -> LineMessage {
        let number = self.line_for(user, price);
        let zero = Credits::ZERO;
        self.message(number, Wish::Draw { target: zero, floor: zero, need: zero })
    }

    /// Counts what would have been refused on the open line, if there is one. The ledger has to know it.
    pub fn count(&mut self, user: &UserId, price: u64, shadowed: Shadowed, now: Timestamp) -> bool {
        let number = self.open_line(user, price);
        let Some(line) = number.and_then(|number| self.lines.get_mut(&number)) else { return false };
        let meter = Meter { feature: feature_at(price), model: model_at(price), day: now.day() };
        let counted = Metered { calls: 1, units: shadowed.units(), ..Metered::default() };
        line.meters.entry(meter).or_default().add(&counted);
        true
    }

    /// Decides a consume: out of the open line or not at all.
    pub fn spend(&mut self, user: &UserId, price: u64, now: Timestamp) -> Option<Charge> {
        let number = self.open_line(user, price).filter(|number| self.lines[number].left() >= price)?;
        let chunk = self.chunk;
        let line = self.lines.get_mut(&number).expect("it is open");
        let mut missing = price;
        let mut parts = Vec::new();
        for b in &mut line.backings {
            let part = missing.min(b.left());
            if part == 0 {
                continue;
            }
            b.used += part;
            // R3: synced before it is spent.
            if b.used + b.unattributed > b.watermark {
                b.watermark = (b.used + b.unattributed + chunk).min(b.drawn - b.returned);
            }
            parts.push((b.backing, part));
            missing -= part;
        }
        let (feature, model) = (feature_at(price), model_at(price));
        let meter = Meter { feature: feature.clone(), model: model.clone(), day: now.day() };
        let metered = line.meters.entry(meter).or_default();
        let by_grant = parts.iter().map(|(backing, part)| (backing.grant, credits(*part))).collect();
        metered.add(&Metered { credits: credits(price), calls: 1, units: Vec::new(), by_grant });
        Some(Charge { line: LineId { holder: self.id, number }, user: user.clone(), feature, model, parts })
    }

    fn sync(&mut self, number: LineNumber) {
        self.sequence += 1;
        self.lines.get_mut(&number).expect("a known line").sync();
    }

    pub fn report(&mut self, number: LineNumber) -> LineMessage {
        self.sync(number);
        self.message(number, Wish::Report)
    }

    /// What was last synced, once more.
    pub fn repeat_report(&self, number: LineNumber) -> LineMessage {
        self.message(number, Wish::Report)
    }

    /// R5: gives back all but `keep`, from the end that is spent last; the watermark falls in the same record.
    pub fn give_back(&mut self, number: LineNumber, keep: u64) -> LineMessage {
        let line = self.lines.get_mut(&number).expect("a known line");
        let mut back = line.left().saturating_sub(keep);
        for b in line.backings.iter_mut().rev() {
            let part = back.min(b.left());
            b.returned += part;
            b.watermark = b.used + b.unattributed;
            back -= part;
        }
        self.report(number)
    }

    /// Final: from now on nothing is spent on it.
    pub fn close(&mut self, number: LineNumber) -> LineMessage {
        self.lines.get_mut(&number).expect("a known line").is_closing = true;
        self.lines.get_mut(&number).expect("a known line").backings.iter_mut().for_each(|b| {
            b.watermark = b.used + b.unattributed;
        });
        self.sync(number);
        self.message(number, Wish::Close)
    }

    /// R4: the power goes. What was not synced is unattributed, up to the watermark.
    pub fn crash(&mut self) {
        for line in self.lines.values_mut() {
            for b in &mut line.backings {
                b.used = b.synced;
                b.unattributed = b.watermark.max(b.synced + b.unattributed) - b.synced;
            }
            line.meters.clone_from(&line.synced_meters);
        }
        self.sequence += 1;
    }

    pub fn recall(&mut self, number: LineNumber) -> Option<LineMessage> {
        self.lines.get_mut(&number)?.is_recalled = true;
        Some(self.give_back(number, 0))
    }

    /// Takes an answer. A line with credits on it is never stale before it was closed.
    pub fn hear(&mut self, answer: &LineAnswer) {
        let LineAnswer { number, result } = answer;
        match result {
            LineResult::Line { drawn, frozen, .. } => {
                if let Some(line) = self.lines.get_mut(number).filter(|line| !line.is_closing) {
                    line.install(drawn);
                    line.is_recalled |= frozen;
                }
            }
            LineResult::Closed => drop(self.lines.remove(number)),
            LineResult::Rejected(LineRejection::StaleLine { highest }) => {
                self.last_line = self.last_line.max(*highest);
                self.lines.remove(number);
            }
            // It may have been said of a draw that is still on its way: the line is closed when it can be.
            LineResult::Rejected(LineRejection::OtherCycle { now }) => {
                self.cycle = self.cycle.max(*now);
                if let Some(line) = self.lines.get_mut(number) {
                    line.is_recalled = true;
                }
            }
            LineResult::Rejected(_) => {}
        }
    }
}
