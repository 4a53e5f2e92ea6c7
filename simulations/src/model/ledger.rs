//! The ledger's half of the protocol: what the replicated state machine does with a message and with an
//! administrator's word. Not here: Raft, which is taken for granted (one ledger, which never forgets by
//! accident); what a leader knows beside the ledger (`session`).

use super::Protocol;
use super::limit::Window;
use super::mistakes::Mistake;
use super::overage::{BEYOND, INCLUDED, Overage};
use super::scope::{Limited, Scope};
use super::words::{
    Backing, ByBacking, ByGrant, CYCLES, DISKS, GRANTS, Holder, LineId, Message, NODES, Numbers, Recall,
    User, Wish,
};
use super::worlds::{AfterLoss, Lasts};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ledger {
    pub funds: Funds,
    /// Lines that are not forgotten, in order of their names.
    pub lines: Vec<Line>,
    /// The highest n closed of each holder: all that is kept of closed lines.
    pub highest: [u8; NODES * DISKS],
    pub fenced: [bool; NODES * DISKS],
    pub cycle: u8,
    pub over: [bool; GRANTS],
    pub expired: ByGrant,
    pub books: [Book; CYCLES],
    /// What was available when the cycle began,
    pub opened_with: ByGrant,
    /// and what lines of the cycle before have given back to it since.
    pub carried: ByGrant,
    /// Earmarks that ended with their cycle, drawn or not.
    pub ended: ByGrant,
    pub intent: Intent,
    pub window: Window,
    pub limited: Limited,
}

/// What is kept of the lines of a cycle when they are folded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Book {
    pub used: ByBacking,
    pub unattributed: ByBacking,
    pub written_off: ByBacking,
    /// Credited back for holders declared lost, and not yet proven unspent.
    pub exposure: ByBacking,
}

impl Book {
    pub fn charged(&self) -> ByBacking {
        self.used.plus(self.unattributed).plus(self.written_off)
    }

    pub fn plus(&self, other: &Book) -> Book {
        Book {
            used: self.used.plus(other.used),
            unattributed: self.unattributed.plus(other.unattributed),
            written_off: self.written_off.plus(other.written_off),
            exposure: self.exposure.plus(other.exposure),
        }
    }
}

/// What a draw is taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Funds {
    pub available: ByGrant,
    /// Part of `available`, set aside for a user, and named by grant (R12).
    pub earmarks: [ByGrant; 2],
    pub overage: [Overage; CYCLES],
}

/// What an administrator moved from Ann to Bob: asked = paid + pending (on the lines) + lapsed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Intent {
    pub asked: u8,
    pub paid: u8,
    pub lapsed: u8,
}

/// Numbers that only grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Line {
    pub id: LineId,
    pub user: User,
    pub cycle: u8,
    pub drawn: ByBacking,
    pub used: ByBacking,
    pub returned: ByBacking,
    pub unattributed: ByBacking,
    pub written_off: ByBacking,
    /// The holder was declared lost: nothing that arrives makes credits available (R7).
    pub lost: bool,
    /// ΣD when the line was frozen; it draws no more.
    pub frozen_at: Option<u8>,
    /// What the transfer intent still hopes to get from this line, at most.
    pub pending: u8,
    /// Its holder could spend no more when the window began: it does not count in a limit.
    pub struck: bool,
    pub scope: Scope,
}

impl Line {
    fn open(id: LineId, user: User, cycle: u8, scope: Scope) -> Line {
        let none = ByBacking::default();
        Line {
            id,
            user,
            cycle,
            drawn: none,
            used: none,
            returned: none,
            unattributed: none,
            written_off: none,
            lost: false,
            frozen_at: None,
            pending: 0,
            struck: false,
            scope: Scope { used: 0, ..scope },
        }
    }

    /// o = D − ΣU − R − Z − W
    pub fn outstanding(&self) -> ByBacking {
        self.drawn.minus(self.used).minus(self.returned).minus(self.unattributed).minus(self.written_off)
    }

    /// ΣU + Z + W: what will never come back.
    pub fn charged(&self) -> ByBacking {
        self.used.plus(self.unattributed).plus(self.written_off)
    }

    pub fn freeze(&mut self) {
        self.frozen_at.get_or_insert(self.drawn.sum());
    }
}

impl Ledger {
    pub fn line(&self, id: LineId) -> Option<&Line> {
        self.lines.iter().find(|line| line.id == id)
    }

    /// The books of all cycles together.
    pub fn book(&self) -> Book {
        self.books.iter().fold(Book::default(), |all, book| all.plus(book))
    }

    /// A holder's message: numbers are merged by max first, then the wish is looked at.
    pub fn receive(&mut self, protocol: &Protocol, message: Numbers) -> Option<Message> {
        let Numbers { line: id, wish, .. } = message;
        self.fence_older_disks(id.holder);
        let Some(at) = self.lines.iter().position(|line| line.id == id) else {
            return self.receive_unknown(protocol, message);
        };
        let mut line = self.lines.remove(at);
        if line.lost && !protocol.has(Mistake::LateReturnCredits) {
            Self::relabel(protocol, &mut line, message);
        } else {
            self.merge(protocol, &mut line, message);
        }
        match wish {
            Wish::Report => {}
            Wish::Draw { target, floor } => self.draw(protocol, &mut line, target, floor),
            Wish::Close => return Some(self.fold(protocol, line)),
        }
        self.lines.insert(at, line);
        let asked = matches!(wish, Wish::Draw { .. });
        let recall = if line.frozen_at.is_some() { Recall::ForGood } else { Recall::No };
        asked.then_some(Message::Drawn { line: id, drawn: line.drawn, recall })
    }

    /// The first draw of an unknown n opens the line, if n is higher than any n that was closed: draws of
    /// several users may overtake each other. A Close of a line that was never opened is remembered too,
    /// or its own late draw would open it for nobody.
    fn receive_unknown(&mut self, protocol: &Protocol, message: Numbers) -> Option<Message> {
        let Numbers { line: id, wish, .. } = message;
        let highest = self.highest_of(protocol, id);
        if id.n <= *highest && !protocol.has(Mistake::ForgottenLineReopened) {
            return Some(Message::StaleLine { line: id });
        }
        match wish {
            Wish::Report => None,
            Wish::Close => {
                let remembered = !protocol.has(Mistake::EarlyCloseForgotten);
                *highest = if remembered { id.n.max(*highest) } else { *highest };
                Some(Message::StaleLine { line: id })
            }
            Wish::Draw { .. } if self.fenced[id.holder.index()] => None,
            Wish::Draw { .. } if !self.opens(protocol, message.scope) => {
                Some(Message::OtherList { line: id })
            }
            Wish::Draw { .. } => {
                let user = protocol.world.users[id.holder.node as usize];
                let line = Line::open(id, user, self.cycle, message.scope);
                self.lines.push(line);
                self.lines.sort_by_key(|line| line.id);
                self.receive(protocol, message)
            }
        }
    }

    fn highest_of(&mut self, protocol: &Protocol, id: LineId) -> &mut u8 {
        let numbered_by = if protocol.world.one_holder { Holder { node: 0, ..id.holder } } else { id.holder };
        &mut self.highest[numbered_by.index()]
    }

    /// R10: a node that speaks with a new disk has lost the old one, and the old holder with it.
    fn fence_older_disks(&mut self, holder: Holder) {
        for disk in 0..holder.disk {
            self.fenced[Holder { disk, ..holder }.index()] = true;
        }
    }

    fn merge(&mut self, protocol: &Protocol, line: &mut Line, message: Numbers) {
        let Numbers { returned, used, unattributed, .. } = message;
        let returned = match protocol.has(Mistake::BackingsByPosition) {
            true => line.drawn.last(returned.sum()),
            false => returned,
        };
        if protocol.has(Mistake::IntentPaidTwice) {
            let again = line.pending.min(returned.of_allocation()).min(line.returned.of_allocation());
            line.pending -= again;
            self.intent.paid += again;
            self.funds.earmarks[User::Bob as usize][0] += again;
        }
        let (known, lost) = (line.used.plus(line.unattributed), line.unattributed);
        let news = returned.minus(line.returned);
        self.take_back(protocol, line, news);
        line.used = match protocol.has(Mistake::DeltaReports) {
            true => line.used.plus(used),
            false => line.used.max(used),
        };
        line.unattributed = line.unattributed.max(unattributed);
        let charged = line.used.plus(line.unattributed).minus(known);
        self.count_in_window(protocol, line, charged.sum());
        let named = message.scope.used.saturating_sub(line.scope.used);
        line.scope.used += named;
        let lost = line.unattributed.minus(lost).sum();
        self.count_on_feature(protocol, line, charged.sum(), named, lost);
        let too_early = news.sum() > 0 && protocol.has(Mistake::LapsesAtTheFirstReturn);
        if line.outstanding().of_allocation() == 0 || too_early {
            self.lapse(line);
        }
    }

    /// R7: what arrives late may re-label written-off as used; it never makes credits available. And
    /// only a durable Close is proof, for only its sender spends no more.
    fn relabel(protocol: &Protocol, line: &mut Line, message: Numbers) {
        let Numbers { used, unattributed, wish, .. } = message;
        let careless = protocol.has(Mistake::EvidenceBesideWriteOff);
        if wish != Wish::Close && !careless {
            return;
        }
        let known = line.used.plus(line.unattributed);
        line.used = line.used.max(used);
        line.unattributed = line.unattributed.max(unattributed);
        let learnt = line.used.plus(line.unattributed).minus(known);
        if !careless {
            line.written_off = line.written_off.minus(learnt);
        }
    }

    /// A returned credit goes back to its very grant and its earmark; an intent on the line is paid first. If
    /// its cycle has ended, the earmark has too: a grant that lasts gets it back as `carried`.
    fn take_back(&mut self, protocol: &Protocol, line: &mut Line, amount: ByBacking) {
        line.returned = line.returned.plus(amount);
        for backing in Backing::ALL {
            self.release(protocol, line, backing, amount[backing]);
        }
    }

    fn release(&mut self, protocol: &Protocol, line: &mut Line, backing: Backing, amount: u8) {
        let late = line.cycle != self.cycle;
        let overage = &mut self.funds.overage[line.cycle as usize];
        let (grant, amount) = match backing.grant() {
            _ if protocol.has(Mistake::ReturnIntoTheNewCycle) => (self.cycle as usize, amount),
            _ if late && protocol.has(Mistake::BillIsFinalAtRollover) => (backing.grant(), amount),
            BEYOND if protocol.world.overage_cap().is_some() => (INCLUDED, overage.unmint(protocol, amount)),
            grant if backing.is_allocation() => (grant, amount),
            grant => (grant, amount - overage.resource(protocol, amount)),
        };
        if self.over[grant] || (late && protocol.has(Mistake::CarriedExpires)) {
            self.expired[grant] += amount;
        } else {
            self.funds.available[grant] += amount;
            let booked = late && !protocol.has(Mistake::CarriedNotBooked);
            self.carried[grant] += if booked { amount } else { 0 };
        }
        if !backing.is_allocation() {
            return;
        }
        if late && !protocol.has(Mistake::EarmarkOutlivesItsCycle) {
            self.ended[grant] += amount;
            return;
        }
        let paid = amount.min(line.pending);
        line.pending -= paid;
        self.intent.paid += paid;
        self.funds.earmarks[User::Bob as usize][grant] += paid;
        let donor = if protocol.has(Mistake::IntentAlsoBackToDonor) { amount } else { amount - paid };
        self.funds.earmarks[line.user as usize][grant] += donor;
    }

    /// What an intent could not get has been spent.
    fn lapse(&mut self, line: &mut Line) {
        self.intent.lapsed += line.pending;
        line.pending = 0;
    }

    /// R1: "let ΣD become target". Allocation first, then shared, all or nothing below the floor.
    fn draw(&mut self, protocol: &Protocol, line: &mut Line, target: u8, floor: u8) {
        let frozen = line.frozen_at.is_some() && !self.draws_though_frozen(protocol, line);
        if frozen || line.lost || self.fenced[line.id.holder.index()] {
            return;
        }
        let missing = match protocol.has(Mistake::RelativeDraws) {
            true => target,
            false => target.saturating_sub(line.drawn.sum()),
        };
        let mut funds = self.funds;
        let mut drawn = line.drawn;
        let exceeds = missing > funds.available[INCLUDED] && protocol.has(Mistake::OverageForTheWholeDraw);
        for _ in 0..missing {
            let more = drawn.minus(line.drawn).sum();
            if !self.is_within_limit(protocol, line, more) || !self.is_within_feature(protocol, line, more) {
                break;
            }
            let included = if exceeds { None } else { funds.next_for(protocol, line.user) };
            if let Some(backing) = included {
                funds.take(line.user, backing);
                drawn[backing] += 1;
                continue;
            }
            let overage = &mut funds.overage[self.cycle as usize];
            let may = protocol.world.overflow[line.user as usize];
            let Some(backing) = may.then(|| overage.mint(protocol, self.charged_beyond())).flatten() else {
                break;
            };
            drawn[backing] += 1;
        }
        if drawn.sum() >= floor {
            self.funds = funds;
            line.drawn = drawn;
        }
    }

    /// Overage that is surely used, as far as the ledger has heard.
    fn charged_beyond(&self) -> u8 {
        let lines = self.lines.iter().filter(|line| line.cycle == self.cycle);
        let charged = lines.map(|line| line.charged()).chain([self.books[self.cycle as usize].charged()]);
        charged.map(|charged| charged[Backing::shared(BEYOND)]).sum()
    }

    fn draws_though_frozen(&self, protocol: &Protocol, line: &Line) -> bool {
        match line.cycle == self.cycle {
            true => protocol.has(Mistake::IntentDoesNotFreeze),
            false => protocol.has(Mistake::LineOutlivesItsCycle),
        }
    }

    /// The line is done: what its numbers do not claim goes back, the rest is added to the totals, and
    /// the line is forgotten. Only the highest n stays.
    fn fold(&mut self, protocol: &Protocol, mut line: Line) -> Message {
        let highest = self.highest_of(protocol, line.id);
        *highest = line.id.n.max(*highest);
        let unclaimed = line.outstanding();
        self.take_back(protocol, &mut line, unclaimed);
        if !protocol.has(Mistake::IntentForgottenAtClose) {
            self.lapse(&mut line);
        }
        let book = &mut self.books[line.cycle as usize];
        book.used = book.used.plus(line.used);
        book.unattributed = book.unattributed.plus(line.unattributed);
        match protocol.world.after_loss {
            AfterLoss::Charge => book.written_off = book.written_off.plus(line.written_off),
            AfterLoss::CreditBack => book.exposure = book.exposure.minus(line.written_off),
        }
        Message::StaleLine { line: line.id }
    }

    /// A recall takes effect when the Return is applied (R9): asking changes nothing here.
    pub fn recall(&mut self, protocol: &Protocol, id: LineId) -> Option<Message> {
        let line = self.line(id).filter(|line| !line.lost)?;
        let recall = if line.frozen_at.is_some() { Recall::ForGood } else { Recall::Once };
        let drawn = line.drawn;
        if protocol.has(Mistake::RecallFreesAtDeadline) {
            self.credit_back_unproven(protocol, id);
        }
        Some(Message::Drawn { line: id, drawn, recall })
    }

    /// Only mistakes do this: to take silence, or a deadline, for a Return (R8, R9).
    pub fn credit_back_unproven(&mut self, protocol: &Protocol, id: LineId) {
        let Some(at) = self.lines.iter().position(|line| line.id == id) else { return };
        let mut line = self.lines[at];
        let outstanding = line.outstanding();
        self.take_back(protocol, &mut line, outstanding);
        line.freeze();
        self.lines[at] = line;
    }

    /// The operator declares a holder lost for good. What it had out is charged, or credited back as a
    /// booked exposure. The lines stay until their holder, should it wake, closes them.
    pub fn write_off(&mut self, protocol: &Protocol, holder: Holder) {
        self.fenced[holder.index()] = true;
        for at in 0..self.lines.len() {
            let mut line = self.lines[at];
            if line.id.holder != holder || line.lost {
                continue;
            }
            let lost = line.outstanding();
            if protocol.world.after_loss == AfterLoss::CreditBack {
                let book = &mut self.books[line.cycle as usize];
                book.exposure = book.exposure.plus(lost);
                for backing in Backing::ALL {
                    self.release(protocol, &mut line, backing, lost[backing]);
                }
            }
            self.lapse(&mut line);
            self.count_in_window(protocol, &line, lost.sum());
            self.count_on_feature(protocol, &line, lost.sum(), 0, lost.sum());
            line.written_off = lost;
            line.lost = true;
            line.freeze();
            self.lines[at] = line;
        }
    }

    /// Ann → Bob. The undrawn earmark moves at once; the rest becomes an intent that names lines, and
    /// for each at most so much. These lines draw no more and are recalled.
    pub fn reallocate(&mut self, amount: u8) -> Option<Vec<Message>> {
        let [ann, bob] = &mut self.funds.earmarks;
        let mut rest = amount;
        for grant in 0..GRANTS {
            let moved = rest.min(ann[grant]);
            ann[grant] -= moved;
            bob[grant] += moved;
            rest -= moved;
        }
        self.intent.asked += amount;
        self.intent.paid += amount - rest;
        let mut recalls = Vec::new();
        for line in self.lines.iter_mut().filter(|line| line.user == User::Ann && line.cycle == self.cycle) {
            let promised = rest.min(line.outstanding().of_allocation().saturating_sub(line.pending));
            line.pending += promised;
            rest -= promised;
            if promised > 0 {
                line.freeze();
                recalls.push(Message::Drawn { line: line.id, drawn: line.drawn, recall: Recall::ForGood });
            }
        }
        (rest == 0).then_some(recalls)
    }

    /// A grant's window ends: what is available of it is gone, what is out of it stays out.
    pub fn expire(&mut self, grant: usize) {
        self.over[grant] = true;
        self.expired[grant] += self.funds.available[grant];
        self.funds.available[grant] = 0;
    }

    /// Cycle e → e+1. The old lines draw no more, intents end, earmarks end. The new cycle waits for nobody.
    pub fn roll_over(&mut self, protocol: &Protocol) -> Vec<Message> {
        for at in 0..self.lines.len() {
            let mut line = self.lines[at];
            self.lapse(&mut line);
            line.freeze();
            self.lines[at] = line;
        }
        for grant in 0..GRANTS {
            for earmarks in &mut self.funds.earmarks {
                self.ended[grant] += earmarks[grant];
                earmarks[grant] = 0;
            }
            match protocol.world.grants[grant].lasts {
                Lasts::PartOfTheCycle | Lasts::ThisCycle => self.expire(grant),
                Lasts::BothCycles | Lasts::Minted => {}
                Lasts::NextCycle => self.funds.available[grant] += protocol.world.grants[grant].amount,
            }
        }
        self.cycle += 1;
        self.opened_with = self.funds.available;
        let live = self.lines.iter().filter(|line| !line.lost);
        let recall = Recall::ForGood;
        live.map(|line| Message::Drawn { line: line.id, drawn: line.drawn, recall }).collect()
    }
}

impl Funds {
    /// The backing of the next credit for this user, in burn order.
    fn next_for(&self, protocol: &Protocol, user: User) -> Option<Backing> {
        let overflow = protocol.world.overflow[user as usize];
        Backing::ALL.into_iter().find(|backing| match backing.is_allocation() {
            true => self.funded(protocol, user, backing.grant()),
            false => overflow && self.shared(protocol, backing.grant()) > 0,
        })
    }

    /// R12: an allocation is drawn from the grants its earmark names.
    fn funded(&self, protocol: &Protocol, user: User, grant: usize) -> bool {
        let earmarks = self.earmarks[user as usize];
        match protocol.has(Mistake::EarmarkWithoutGrants) {
            true => earmarks.sum() > 0 && self.available[grant] > 0,
            false => earmarks[grant] > 0,
        }
    }

    fn shared(&self, protocol: &Protocol, grant: usize) -> u8 {
        let [ann, bob] = self.earmarks;
        match protocol.has(Mistake::EarmarkWithoutGrants) {
            true => self.available.sum().saturating_sub(ann.sum() + bob.sum()).min(self.available[grant]),
            false => self.available[grant].saturating_sub(ann[grant] + bob[grant]),
        }
    }

    fn take(&mut self, user: User, backing: Backing) {
        let grant = backing.grant();
        self.available[grant] = self.available[grant].saturating_sub(1);
        if backing.is_allocation() {
            let earmarks = &mut self.earmarks[user as usize];
            let named = if earmarks[grant] > 0 { grant } else { GRANTS - 1 - grant };
            earmarks[named] -= 1;
        }
    }
}
