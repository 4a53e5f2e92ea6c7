//! One replica's ledger, changed as the log changes it. Not here: what is measured on it.

use ledger::{
    AdminCommand, Change, Command, GrantKind, HolderBatch, LineMessage, NewGrant, State, Used, Wish,
    WorkspaceSettings,
};
use types::{
    Credits, CycleNumber, DiskId, GrantId, HolderId, LineNumber, NodeId, Scope, TeamId, Timestamp, UserId,
    WorkspaceId,
};

const NOW: Timestamp = Timestamp::from_millis(1_770_000_000_000);
const HOLDER: HolderId = HolderId { node: NodeId(1), disk: DiskId(1) };
const PLENTY: u64 = 1_000_000_000;

/// One holder is registered.
pub struct Replica(State);

impl Replica {
    pub fn new() -> Self {
        let mut replica = Self(State::new());
        replica.apply(&Command::Register { holder: HOLDER, journal_sequence: 0 });
        replica
    }

    /// What is refused was measured for nothing.
    pub fn apply(&mut self, command: &Command) {
        let applied = self.0.apply(NOW, command);
        assert!(applied.result.is_ok(), "{command:?}: {:?}", applied.result);
    }

    pub fn change(&mut self, workspace: &WorkspaceId, change: Change) {
        let workspace = workspace.clone();
        self.apply(&Command::Admin(AdminCommand { workspace, keyed: None, if_match: None, change }));
    }

    /// With one grant of more than anybody spends.
    pub fn make_pool(&mut self, id: &WorkspaceId) {
        self.change(id, Change::PutWorkspace(WorkspaceSettings::unchanged()));
        self.grant(id, "2026-01", PLENTY);
    }

    pub fn grant(&mut self, workspace: &WorkspaceId, id: &str, amount: u64) {
        let grant = NewGrant {
            id: GrantId::parse(id).expect("an id"),
            kind: GrantKind::Plan,
            amount: credits(amount),
            priority: 50,
            paid: true,
            starts_at: None,
            expires_at: None,
            price: None,
            term: ledger::Term::Lasting,
        };
        self.change(workspace, Change::MakeGrant(grant));
    }
}

/// One line's message in a batch of its own.
pub fn says(workspace: &WorkspaceId, line: LineMessage) -> Command {
    Command::Holder(HolderBatch {
        holder: HOLDER,
        journal_sequence: 0,
        workspace: workspace.clone(),
        lines: vec![line],
        recalled: false,
    })
}

/// Of a scope that anything may be spent from.
pub fn line(user: &UserId, number: u64, used: Used, wish: Wish) -> LineMessage {
    LineMessage {
        number: LineNumber(number + 1),
        user: user.clone(),
        cycle: CycleNumber::FIRST,
        scope: Scope::ANYTHING,
        returned: Vec::new(),
        used,
        held: Credits::ZERO,
        confirmed: Credits::ZERO,
        wish,
    }
}

pub fn workspace(number: u64) -> WorkspaceId {
    WorkspaceId::parse(&format!("workspace-{number}")).expect("an id")
}

pub fn team(number: usize) -> TeamId {
    TeamId::parse(&format!("team-{number}")).expect("an id")
}

/// Eleven characters long.
pub fn user(number: u64) -> UserId {
    UserId::parse(&format!("user-{number:06}")).expect("an id")
}

pub fn credits(whole: u64) -> Credits {
    Credits::whole(whole).expect("an amount")
}
