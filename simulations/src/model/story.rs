//! A counterexample in English: one line for each event, and which sentences it broke. Not here: how it is found.

use super::check::Walk;
use super::hold::Stage;
use super::overage::{BEYOND, Overage};
use super::words::{Backing, ByBacking, ByGrant, GRANTS, Holder, LineId, Message, Numbers, Recall, Wish};
use super::{Event, Protocol, State, rules};

/// The walk as numbered lines; a sentence is named where it breaks first.
pub fn tell(protocol: &Protocol, walk: &Walk) -> String {
    let teller = Teller {
        plain: is_plain(protocol),
        timed: protocol.world.session > 0,
        overage: protocol.world.overage_cap().is_some(),
    };
    let mut story = Vec::new();
    let mut known = Vec::new();
    for (at, step) in walk.windows(2).enumerate() {
        let [(before, Some(event)), (after, _)] = step else { continue };
        story.push(format!("{:>3}. {}", at + 1, teller.happened(before, *event, after)));
        let broken = rules::ALWAYS.iter().filter(|rule| !(rule.holds)(protocol, after));
        let news: Vec<_> = broken.map(|rule| rule.sentence).filter(|rule| !known.contains(rule)).collect();
        story.extend(news.iter().map(|sentence| format!("     ✗ {sentence}")));
        known.extend(news);
    }
    story.join("\n")
}

/// Whether one number says all: no allocations, and only one grant.
fn is_plain(protocol: &Protocol) -> bool {
    let allocated: u8 = protocol.world.allocations.iter().map(|earmark| earmark.sum()).sum();
    allocated == 0 && protocol.world.grants[1].amount == 0
}

struct Teller {
    plain: bool,
    timed: bool,
    overage: bool,
}

impl Teller {
    fn happened(&self, before: &State, event: Event, after: &State) -> String {
        let sent = || self.sent(before, after).unwrap_or("nothing new".to_string());
        let funds = self.funds(after);
        match event {
            Event::Ask(at) | Event::AskFor(at) => {
                let as_before =
                    format!("for {}, in the very words of an earlier Draw", line(after.nodes[at].line()));
                format!("{} asks: {}", node(after, at), self.sent(before, after).unwrap_or(as_before))
            }
            Event::AdvanceWatermark(at) => self.advanced(after, at),
            Event::Spend(at) => self.spent(before, after, at),
            Event::SpendOn(at) => format!("{}, on the feature", self.spent(before, after, at)),
            Event::Sync(at) => {
                let used = self.credits(after.nodes[at].disk.used);
                format!("the disk of {} catches up (used on disk: {used})", node(after, at))
            }
            Event::Report(at) => format!("{} reports: {}", node(after, at), sent()),
            Event::GiveBack(at) => format!("{} gives back what is idle: {}", node(after, at), sent()),
            Event::Close(at) => format!("{} closes its line: {}", node(after, at), sent()),
            Event::Renew(at) => format!("{} asks for its session: {}", node(after, at), sent()),
            Event::OpenHold(_)
            | Event::HoldMore(_)
            | Event::Confirm(_)
            | Event::Settle(..)
            | Event::Release(_)
            | Event::ExpireHold(_) => self.hold_changed(before, event, after),
            Event::Kill(at) => format!("the process of {} is killed", node(before, at)),
            Event::LosePower(at) => format!("{} loses power; what was not synced is gone", node(before, at)),
            Event::LoseDisk(at) => format!("the disk of {} is lost; it gets an empty one", node(before, at)),
            Event::Restart(at) | Event::FinishRounding(at) => self.restarted(after, at),
            Event::Deliver(message) => self.delivered(before, message, after),
            Event::Recall(id) => format!("the ledger recalls {} ({funds})", line(id)),
            Event::WriteOff(lost) => {
                let until = self.until(after);
                format!("the operator declares {} lost ({funds}{until})", holder(lost))
            }
            Event::Reallocate => {
                let (was, is) = (before.ledger.intent, after.ledger.intent);
                let (asked, paid) = (is.asked - was.asked, is.paid - was.paid);
                let (pending, until) = (asked - paid, self.until(after));
                format!(
                    "{asked} are moved from Ann to Bob: {paid} at once, {pending} pending ({funds}{until})"
                )
            }
            Event::Expire(grant) => format!("grant {} ends ({funds})", letter(grant)),
            Event::RollOver => format!("the cycle rolls over ({funds})"),
            Event::TurnWindow => "the next window of the limit begins".to_string(),
            Event::LimitFeature => "the feature is limited".to_string(),
            Event::Elect => "another leader is elected".to_string(),
            Event::Tick => format!("time passes: it is {}", after.now),
            Event::TakeSilenceForReturn(id) => {
                format!("the lease of {} expires, and the ledger takes it back ({funds})", line(id))
            }
            Event::TakeCopyForProof(id) => {
                let name = holder(id.holder);
                format!("a copy of the disk of {name} is taken for its Close of {} ({funds})", line(id))
            }
            Event::DeliverToDeposedLeader(message) => {
                format!("the leader that was hears {}, answers {}", self.text(message), sent())
            }
        }
    }

    fn advanced(&self, after: &State, at: usize) -> String {
        let memory = after.nodes[at].serving().unwrap_or_default();
        let (wanted, synced) = (self.credits(memory.watermark), self.credits(after.nodes[at].disk.watermark));
        format!("{} raises its watermark to {wanted} (on disk: {synced})", node(after, at))
    }

    fn spent(&self, before: &State, after: &State, at: usize) -> String {
        let was = before.nodes[at].serving().unwrap_or_default();
        let is = after.nodes[at].serving().unwrap_or_default();
        let amount = is.used.minus(was.used);
        let what = if self.plain { "1 credit".to_string() } else { self.credits(amount) };
        let (n, used, watermark) = (after.nodes[at].line().n, is.spent().sum(), is.watermark.sum());
        format!("{} spends {what} of line {n} (used {used}, watermark {watermark})", node(after, at))
    }

    fn hold_changed(&self, before: &State, event: Event, after: &State) -> String {
        let (at, what) = match event {
            Event::OpenHold(at) => (at, "opens a hold".to_string()),
            Event::HoldMore(at) => (at, "holds more".to_string()),
            Event::Confirm(at) => (at, "notes that a part of its hold is used".to_string()),
            Event::Settle(at, used) => {
                let late = before.nodes[at].page_cache.hold.stage != Stage::Open;
                (at, format!("settles its hold {}with {used} used", if late { "late, " } else { "" }))
            }
            Event::Release(at) => (at, "releases its hold".to_string()),
            Event::ExpireHold(at) => (at, "sees its hold expire".to_string()),
            _ => return String::new(),
        };
        let memory = after.nodes[at].memory().copied().unwrap_or_default();
        let (used, watermark) = (memory.spent().sum(), memory.watermark.sum());
        let (held, confirmed) = (self.credits(memory.hold.set_aside()), memory.hold.confirmed.sum());
        let confirmed = if confirmed > 0 { format!(", confirmed {confirmed}") } else { String::new() };
        format!("{} {what} (used {used}, held {held}{confirmed}, watermark {watermark})", node(after, at))
    }

    /// What an administrator is told who takes something away.
    fn until(&self, state: &State) -> String {
        let latest = state.witness.until.iter().max().filter(|until| self.timed && **until > 0);
        latest.map(|until| format!("; nobody spends it after {until}")).unwrap_or_default()
    }

    fn restarted(&self, after: &State, at: usize) -> String {
        let name = node(after, at);
        let Some(memory) = after.nodes[at].memory() else {
            return format!("{name} restarts and writes the new boot id, but not yet the rounded numbers");
        };
        let (used, unattributed) = (self.credits(memory.spent()), self.credits(memory.unattributed));
        let (watermark, returned) = (self.credits(memory.watermark), self.credits(memory.returned));
        let held = memory.hold.set_aside();
        let held = if held.sum() > 0 { format!(", held {}", self.credits(held)) } else { String::new() };
        format!(
            "{name} restarts: used {used}, of it unattributed {unattributed}{held}; watermark {watermark}, returned {returned}"
        )
    }

    fn delivered(&self, before: &State, message: Message, after: &State) -> String {
        let what = self.text(message);
        let answer = self.sent(before, after).map(|answer| format!(", answers {answer}")).unwrap_or_default();
        match message {
            Message::Numbers(Numbers { line: id, .. }) => {
                let books = match after.ledger.line(id) {
                    Some(line) => {
                        let numbers = [
                            ("D", line.drawn),
                            ("U", line.used),
                            ("R", line.returned),
                            ("Z", line.unattributed),
                            ("W", line.written_off),
                        ];
                        self.numbers(&numbers).unwrap_or("nothing drawn".to_string())
                    }
                    None => "no line".to_string(),
                };
                format!("the ledger hears {what}{answer} (books: {books}; {})", self.funds(after))
            }
            Message::Drawn { line: id, .. } => {
                let at = id.holder.node as usize;
                let drawn = after.nodes[at].serving().unwrap_or_default().drawn;
                format!("{} hears {what}{answer} (it believes D {})", node(after, at), self.credits(drawn))
            }
            Message::StaleLine { line: id } | Message::OtherList { line: id } => {
                format!("{} hears {what}", holder(id.holder))
            }
            Message::Renew { .. } => format!("the leader hears {what}{answer}"),
            Message::Renewed { holder: id, .. } => {
                let node = &after.nodes[id.node as usize];
                let ends = u16::from(node.booted_at) + u16::from(node.session);
                format!("{} hears {what}{answer} (its session ends at {ends})", holder(id))
            }
        }
    }

    /// What a step put into the network that was not there.
    fn sent(&self, before: &State, after: &State) -> Option<String> {
        let mut news = after.network.iter().filter(|message| !before.network.contains(message));
        news.next().map(|message| self.text(*message))
    }

    fn text(&self, message: Message) -> String {
        match message {
            Message::Numbers(Numbers { line: id, returned, used, unattributed, wish, .. }) => {
                let numbers = self.numbers(&[("U", used), ("R", returned), ("Z", unattributed)]);
                let numbers = numbers.map(|numbers| format!("; {numbers}")).unwrap_or_default();
                match wish {
                    Wish::Report if returned.sum() > 0 => format!("Return({}{numbers})", line(id)),
                    Wish::Report => format!("Report({}{numbers})", line(id)),
                    Wish::Draw { target, floor: 0 } => format!("Draw({} to {target}{numbers})", line(id)),
                    Wish::Draw { target, floor } => {
                        format!("Draw({} to {target}, or at least {floor}{numbers})", line(id))
                    }
                    Wish::Close => format!("Close({}{numbers})", line(id)),
                }
            }
            Message::Drawn { line: id, drawn, recall } => {
                let word = match recall {
                    Recall::No => "Drawn",
                    Recall::Once => "Recall",
                    Recall::ForGood => "Recall for good",
                };
                format!("{word}({}; D {})", line(id), self.credits(drawn))
            }
            Message::StaleLine { line: id } => format!("StaleLine({})", line(id)),
            Message::OtherList { line: id } => format!("OtherList({})", line(id)),
            Message::Renew { holder: id, boot, sent } => {
                format!("Renew({}, boot {boot}, {sent} after it)", holder(id))
            }
            Message::Renewed { holder: id, boot, sent, recall } => {
                let recall = recall
                    .map(|(id, drawn)| format!("; Recall for good({}; D {})", line(id), self.credits(drawn)))
                    .unwrap_or_default();
                format!("Renewed({}, boot {boot}, {sent} after it{recall})", holder(id))
            }
        }
    }

    /// Those that are not zero.
    fn numbers(&self, numbers: &[(&str, ByBacking)]) -> Option<String> {
        let some = numbers.iter().filter(|(_, number)| number.sum() > 0);
        let texts: Vec<_> =
            some.map(|(letter, number)| format!("{letter} {}", self.credits(*number))).collect();
        (!texts.is_empty()).then(|| texts.join(", "))
    }

    fn credits(&self, numbers: ByBacking) -> String {
        if self.plain || numbers.sum() == 0 {
            return numbers.sum().to_string();
        }
        let some = Backing::ALL.into_iter().filter(|backing| numbers[*backing] > 0);
        let texts = some.map(|backing| {
            if self.overage && backing.grant() == BEYOND {
                return format!("{} overage", numbers[backing]);
            }
            let source = if backing.is_allocation() { "own" } else { "shared" };
            format!("{} {source} {}", numbers[backing], letter(backing.grant()))
        });
        texts.collect::<Vec<_>>().join(" + ")
    }

    fn funds(&self, state: &State) -> String {
        let funds = state.ledger.funds;
        if self.plain {
            return format!("available {}", funds.available[0]);
        }
        let mut texts = vec![format!("available {}", by_grant(funds.available))];
        for (earmarks, user) in funds.earmarks.into_iter().zip(["Ann", "Bob"]) {
            (earmarks.sum() > 0).then(|| texts.push(format!("for {user} {}", by_grant(earmarks))));
        }
        for (cycle, overage) in funds.overage.iter().enumerate().filter(|(_, overage)| overage.minted > 0) {
            let Overage { minted, resourced } = overage;
            texts.push(format!("overage of cycle {cycle}: {minted}, {resourced} of it paid for"));
        }
        texts.join(", ")
    }
}

fn by_grant(numbers: ByGrant) -> String {
    let some = (0..GRANTS).filter(|grant| numbers[*grant] > 0);
    let texts: Vec<_> = some.map(|grant| format!("{} {}", numbers[grant], letter(grant))).collect();
    if texts.is_empty() { "0".to_string() } else { texts.join(" + ") }
}

fn letter(grant: usize) -> &'static str {
    if grant == 0 { "A" } else { "B" }
}

fn node(state: &State, at: usize) -> String {
    holder(state.nodes[at].holder)
}

fn holder(holder: Holder) -> String {
    let new = if holder.disk > 0 { " (new disk)" } else { "" };
    format!("n{}{new}", holder.node + 1)
}

fn line(id: LineId) -> String {
    format!("line {} of {}", id.n, holder(id.holder))
}
