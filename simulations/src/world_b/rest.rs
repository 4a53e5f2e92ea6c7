//! The last questions of a run, when nothing is wrong and nobody else asks any more: what must have come by then, what
//! must come at once, and that all there is is there for whoever asks. Not here: the books at rest (`judge`).

use crate::chance::{Stream, stream};
use crate::world_b::clients::{IN_TIME_MS, Office, credits, user_id, workspace, workspace_id};
use crate::world_b::http::{Answer, Ask, Http};
use crate::world_b::judge::leader_of;
use crate::world_b::machine::{API_PORT, Machine};
use crate::world_b::told::Spend;
use hyper::Method;
use ledger::{BackingNumbers, Grant, Line, State, Workspace};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use testkit::checkers::Broken;
use types::{BACKINGS_PER_LINE_MAX, Credits, GrantNo, LineId, Source, UserId, WorkspaceId};

/// What a holder's disk knows of its lines the ledger knows after this: reports go every two seconds, one may be lost with
/// a leader, and its answer takes a while.
const REPORTED_WITHIN: Duration = Duration::from_secs(5);
/// A recall of a reachable holder takes a second, and what says so a few messages and syncs more.
const RECALLED_WITHIN: Duration = Duration::from_millis(1_000 + 100);
/// Each pool is given so much before, so that there is something to ask for.
const GIFT: u64 = 1_000_000_000;
/// What ends so soon is not counted on, and counts as what may still be there.
const SOON_MS: i64 = 60_000;
/// Users nobody knows yet, by their numbers: who is recalled, who leaves credits on leases, who asks for all.
const RECALLED: usize = 900;
const LEAVES: std::ops::Range<usize> = 910..913;
const ASKS_FOR_ALL: usize = 920;

/// What is shared of a pool, wherever it lies.
#[derive(Clone, Copy, Debug, Default)]
struct Shared {
    /// Of grants that do not end meanwhile.
    lasting: Credits,
    /// Nothing else may be had for a while.
    is_all: bool,
}

/// One client, who asks one thing after the other.
struct Asker<'a> {
    office: &'a Office,
    http: Http,
    chance: Stream,
    workspace: usize,
}

impl Office {
    pub async fn ask_the_last_questions(&self) {
        for workspace in 0..self.load.workspaces {
            let chance = stream(self.seed, &format!("last questions {workspace}"));
            let mut asker = Asker { office: self, http: Http::default(), chance, workspace };
            asker.ask_all().await;
        }
    }

    fn breaks(&self, sentence: &'static str, what: String) {
        self.told.record().broken.push(Broken { sentence, what });
    }

    /// Nodes that are not gone.
    fn there(&self) -> Vec<Arc<Machine>> {
        let lost = self.told.record().lost.clone();
        self.machines.iter().filter(|machine| !lost.contains(&machine.index)).cloned().collect()
    }
}

impl Asker<'_> {
    fn id(&self) -> WorkspaceId {
        workspace(self.workspace)
    }

    async fn ask_all(&mut self) {
        let there = self.office.there();
        let (Some(first), Some(last)) = (there.first(), there.last()) else { return };
        let (first, last) = (api_of(first), api_of(last));
        self.give().await;
        self.is_recalled_at_once(first).await;
        for user in LEAVES {
            self.spend(first, user, 1_000_000).await;
        }
        tokio::time::sleep(REPORTED_WITHIN).await;
        self.reports_have_come(&there).await;
        self.all_is_there(last).await;
    }

    async fn give(&mut self) {
        let body = format!(r#"{{"id":"gift","kind":"correction","amount":"{}"}}"#, credits(GIFT));
        let path = format!("/v1/workspaces/{}/grants", workspace_id(self.workspace));
        let ask = Ask { method: Method::POST, path, key: None, body: Some(body) };
        let asked_ms = self.office.truth.ms();
        self.office.grant(&mut self.http, &mut self.chance, self.workspace, "gift", GIFT, ask).await;
        let took_ms = self.office.truth.ms() - asked_ms;
        if took_ms > IN_TIME_MS {
            let what = format!("a grant for {} took {took_ms} ms", self.id());
            self.office.breaks("once all is well a change is answered", what);
        }
    }

    /// Asks for a charge of a user once, as every client does.
    async fn spend(&mut self, to: SocketAddr, user: usize, micros: u64) -> Option<Answer> {
        let office = self.office;
        let spend = Spend {
            workspace: self.id(),
            user: UserId::parse(&user_id(user)).expect("a valid id"),
            key: None,
            price: Credits::from_micros(micros)?,
            sent: office.truth.ms(),
            doubtful: false,
            asked_anew: false,
        };
        let amount = spend.price;
        let body = format!(r#"{{"user":"{}","feature":"chat","amount":"{amount}"}}"#, spend.user);
        let path = format!("/v1/workspaces/{}/consume", spend.workspace);
        let ask = Ask { method: Method::POST, path, key: None, body: Some(body) };
        office.told.record().asks(&spend);
        let answer = self.http.ask(to, &ask, Duration::from_secs(12)).await;
        office.must_be_served(&spend, spend.sent, to, &answer);
        office.note(&ask, answer.as_ref().ok());
        match answer.ok()? {
            answer if answer.status == 200 => {
                office.charged(&spend, &answer);
                Some(answer)
            }
            answer => {
                office.told.record().refused(&spend);
                Some(answer)
            }
        }
    }

    /// Access is switched off, and what the user has out is back within a second.
    async fn is_recalled_at_once(&mut self, to: SocketAddr) {
        let spent = self.spend(to, RECALLED, 1).await;
        if spent.is_none_or(|answer| answer.status != 200) {
            return self.office.breaks("nobody is refused what was just granted", format!("{}", self.id()));
        }
        let (ws, user) = (workspace_id(self.workspace), user_id(RECALLED));
        let path = format!("/v1/workspaces/{ws}/members/{user}");
        let body = Some(r#"{"ai_access":false}"#.to_owned());
        let ask = Ask { method: Method::PUT, path, key: Some(format!("last-{ws}")), body };
        self.office.change(&mut self.http, &mut self.chance, self.workspace, ask).await;
        tokio::time::sleep(RECALLED_WITHIN).await;
        let user = UserId::parse(&user).expect("a valid id");
        let lines = |_: &State, pool: &Workspace| pool.user(&user).map(|user| user.lines.clone());
        let lines = leader_of(&self.office.machines, &self.id(), lines).flatten().unwrap_or_default();
        if !lines.is_empty() {
            let what = format!("{user} in {}: {lines:?}", self.id());
            self.office.breaks("a reachable holder is recalled within 1 s", what);
        }
    }

    /// The ledger knows of each open line what the disk knows.
    async fn reports_have_come(&self, there: &[Arc<Machine>]) {
        for quota in there.iter().filter_map(|machine| machine.running()) {
            let Ok(lines) = quota.holder().journal().lines().await else { continue };
            for view in lines.iter().filter(|view| !view.closed && view.line.workspace == self.id()) {
                let id = LineId { holder: quota.holder().id(), number: view.line.number };
                let spent_of = |line: &Line| {
                    let spent = |n: &BackingNumbers| n.used.micros() + n.unattributed.micros();
                    line.backings.iter().map(spent).sum::<u64>()
                };
                let known = |_: &State, pool: &Workspace| pool.lines.get(&id).map_or(0, spent_of);
                let known = leader_of(&self.office.machines, &self.id(), known);
                let spent = view.used.micros() + view.unattributed.micros();
                if known.is_some_and(|known| known != spent) {
                    let what = format!("{id:?} of {}: spent {spent}, the ledger knows {known:?}", self.id());
                    self.office.breaks("reports converge in 5 s", what);
                }
            }
        }
    }

    /// Whoever asks for exactly all that is shared gets it, though it lies idle on other nodes; then nothing is left.
    async fn all_is_there(&mut self, to: SocketAddr) {
        let lost = self.office.told.record().lost.clone();
        let gone = |id: &LineId| lost.iter().any(|node| self.office.machines[*node].id() == id.holder.node);
        let seen = |state: &State, pool: &Workspace| shared(state, pool, gone);
        let Some(Some(shared)) = leader_of(&self.office.machines, &self.id(), seen) else { return };
        let answer = self.spend(to, ASKS_FOR_ALL, shared.lasting.micros()).await;
        if answer.as_ref().is_none_or(|answer| answer.status != 200) {
            let what = format!("{} of {} at {to}: {answer:?}", shared.lasting, self.id());
            return self.office.breaks("nobody is refused what lies idle elsewhere", what);
        }
        if !shared.is_all {
            return;
        }
        let answer = self.spend(to, ASKS_FOR_ALL, 1).await;
        if answer.as_ref().is_none_or(|answer| answer.status != 402 || !says(answer, "exhausted")) {
            let what = format!("all of {} at {to}, and one micro-credit more: {answer:?}", self.id());
            self.office.breaks("nobody gets more than all there is", what);
        }
    }
}

fn says(answer: &Answer, code: &str) -> bool {
    String::from_utf8_lossy(&answer.body).contains(&format!("\"code\":\"{code}\""))
}

fn api_of(machine: &Machine) -> SocketAddr {
    SocketAddr::new(machine.ip(), API_PORT)
}

/// `None`: what a lost holder has comes back with the operator's word only.
fn shared(state: &State, pool: &Workspace, is_gone: impl Fn(&LineId) -> bool) -> Option<Shared> {
    if pool.lines.iter().any(|(id, line)| is_gone(id) && !line.written_off) {
        return None;
    }
    let soon = state.now.plus_ms(SOON_MS);
    let mut parts: BTreeMap<GrantNo, Credits> = BTreeMap::new();
    for n in pool.lines.values().flat_map(|line| &line.backings) {
        if n.backing.source == Source::Shared {
            let part = parts.entry(n.backing.grant).or_default();
            *part = part.saturating_add(n.outstanding());
        }
    }
    let part =
        |grant: &Grant| parts.get(&grant.no).copied().unwrap_or_default().saturating_add(grant.shared());
    let drawable = || pool.grants_in_burn_order().filter(|grant| grant.is_drawable(state.now));
    let there = || drawable().filter(|grant| !part(grant).is_zero());
    // No price is paid by more grants than one line may have.
    let payable = there().take(BACKINGS_PER_LINE_MAX).filter(|grant| grant.is_drawable(soon));
    let lasting = payable.fold(Credits::ZERO, |sum, grant| sum.saturating_add(part(grant)));
    let is_all = pool.grants.iter().all(|grant| grant.is_drawable(state.now) == grant.is_drawable(soon))
        && there().count() <= BACKINGS_PER_LINE_MAX;
    Some(Shared { lasting, is_all })
}
