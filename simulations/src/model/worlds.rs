//! The worlds that are searched: each small enough to be exhausted, each built around another crossing.
//! Not here: what happens in them (`steps`), and what must be true of it (`rules`).

use super::scope::{FEATURE, FEATURE_LOST};
use super::words::{ByGrant, GRANTS, User};

#[derive(Clone, Copy, Debug)]
pub struct World {
    pub name: &'static str,
    pub grants: [Grant; GRANTS],
    /// Earmarks of Ann and of Bob. Only grants that last to the end of the cycle may fund them.
    pub allocations: [ByGrant; 2],
    /// Whether Ann and Bob may draw on what is shared.
    pub overflow: [bool; 2],
    /// Whom each node serves.
    pub users: &'static [User],
    /// Both users are served by one holder, which numbers its lines for all of them together.
    pub one_holder: bool,
    /// A draw asks for so much more than the holder knows to have,
    pub draw: u8,
    /// and takes nothing if it cannot have at least so much more.
    pub least: u8,
    pub chunk: u8,
    /// What an administrator moves from Ann to Bob.
    pub moved: u8,
    pub after_loss: AfterLoss,
    /// What a hold sets aside when it is opened.
    pub hold: u8,
    /// How long it lasts. 0: it may expire whenever nobody has ended it yet.
    pub hold_lasts: u8,
    /// A session's time to live. 0: no sessions, a holder may always spend.
    pub session: u8,
    /// What may be spent in a window.
    pub limit: Option<u8>,
    /// What may be spent on the feature once it is limited.
    pub feature_limit: Option<u8>,
    pub budget: Budget,
}

#[derive(Clone, Copy, Debug)]
pub struct Grant {
    pub amount: u8,
    pub lasts: Lasts,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lasts {
    PartOfTheCycle,
    ThisCycle,
    BothCycles,
    NextCycle,
    /// Overage: made at the draw, at most `amount` in each cycle.
    Minted,
}

/// What the operator chose for the credits of a holder declared lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterLoss {
    Charge,
    CreditBack,
}

/// How often each thing may happen. Spending, syncing, restarting and delivering are free.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Budget {
    pub asks: u8,
    pub reports: u8,
    pub returns: u8,
    pub closes: u8,
    pub recalls: u8,
    pub kills: u8,
    pub power_losses: u8,
    pub disk_losses: u8,
    pub write_offs: u8,
    pub reallocations: u8,
    pub rollovers: u8,
    /// Windows of a limit that begin.
    pub windows: u8,
    /// Limits of the feature that are set.
    pub feature_limits: u8,
    /// Holds opened.
    pub holds: u8,
    /// Holds raised, or parts of them confirmed.
    pub extends: u8,
    pub renewals: u8,
    pub elections: u8,
    /// How far the clock may run.
    pub ticks: u8,
}

pub(super) const NOTHING: Budget = Budget {
    asks: 0,
    reports: 0,
    returns: 0,
    closes: 0,
    recalls: 0,
    kills: 0,
    power_losses: 0,
    disk_losses: 0,
    write_offs: 0,
    reallocations: 0,
    rollovers: 0,
    windows: 0,
    feature_limits: 0,
    holds: 0,
    extends: 0,
    renewals: 0,
    elections: 0,
    ticks: 0,
};

pub(super) const fn shared(amount: u8) -> [Grant; GRANTS] {
    [Grant { amount, lasts: Lasts::ThisCycle }, Grant { amount: 0, lasts: Lasts::ThisCycle }]
}

/// One node, one shared grant, nothing else: the others are told as differences from it.
pub(super) const ONE_NODE: World = World {
    name: "one node",
    grants: shared(3),
    allocations: [ByGrant([0, 0]); 2],
    overflow: [true, true],
    users: &[User::Ann],
    one_holder: false,
    draw: 2,
    least: 0,
    chunk: 1,
    moved: 0,
    after_loss: AfterLoss::Charge,
    hold: 0,
    hold_lasts: 0,
    session: 0,
    limit: None,
    feature_limit: None,
    budget: NOTHING,
};

/// Return × crash × recall, with the page cache, the disk and rounding in between.
pub const CRASHES: World = World {
    name: "crashes",
    chunk: 2,
    budget: Budget { asks: 2, reports: 2, returns: 1, recalls: 1, kills: 1, power_losses: 1, ..NOTHING },
    ..ONE_NODE
};

/// The power fails twice: what was rounded once is not rounded again.
pub const POWER_CUTS: World = World {
    name: "power cuts",
    grants: shared(4),
    chunk: 2,
    budget: Budget { asks: 2, reports: 2, recalls: 1, kills: 1, power_losses: 2, ..NOTHING },
    ..ONE_NODE
};

/// Lines are closed, folded and forgotten while old messages are still about.
pub const FORGETTING: World = World {
    name: "forgetting",
    grants: shared(4),
    budget: Budget { asks: 3, closes: 2, recalls: 1, kills: 1, ..NOTHING },
    ..ONE_NODE
};

/// Two users of one holder: their lines are numbered together, and their draws overtake each other.
pub const ONE_HOLDER: World = World {
    name: "two users of one holder",
    users: &[User::Ann, User::Bob],
    one_holder: true,
    budget: Budget { asks: 4, closes: 1, ..NOTHING },
    ..ONE_NODE
};

/// A disk is lost, or a holder only declared lost, and wakes.
pub const LOST_HOLDER: World = World {
    name: "lost holder, charged",
    budget: Budget {
        asks: 2,
        reports: 1,
        returns: 1,
        closes: 1,
        kills: 1,
        disk_losses: 1,
        write_offs: 1,
        ..NOTHING
    },
    ..ONE_NODE
};

/// The same, but what was out is credited back, as an exposure.
pub const EXPOSED: World =
    World { name: "lost holder, credited back", after_loss: AfterLoss::CreditBack, ..LOST_HOLDER };

/// Two holders of one user, and the last credits of the pool. A draw that would get little gets nothing.
pub const TWO_HOLDERS: World = World {
    name: "two holders of one user",
    users: &[User::Ann, User::Ann],
    least: 2,
    budget: Budget { asks: 3, returns: 1, recalls: 1, power_losses: 1, ..NOTHING },
    ..ONE_NODE
};

/// Allocations on grant B, shared credits on both; grant A ends in the middle of the cycle.
pub const TWO_GRANTS: World = World {
    name: "two grants, one expires",
    grants: [Grant { amount: 2, lasts: Lasts::PartOfTheCycle }, Grant { amount: 2, lasts: Lasts::ThisCycle }],
    allocations: [ByGrant([0, 2]), ByGrant([0, 0])],
    users: &[User::Ann, User::Bob],
    chunk: 2,
    budget: Budget { asks: 3, returns: 2, ..NOTHING },
    ..ONE_NODE
};

/// Ann's credits go to Bob while she spends them, her node crashes, and he draws.
pub const REALLOCATION: World = World {
    name: "reallocation",
    grants: shared(4),
    allocations: [ByGrant([3, 0]), ByGrant([0, 0])],
    overflow: [true, false],
    users: &[User::Ann, User::Bob],
    moved: 2,
    budget: Budget { asks: 3, closes: 1, reallocations: 1, kills: 1, ..NOTHING },
    ..ONE_NODE
};

/// Ann has drawn, returned and drawn again, on the same line, when her credits are moved.
pub const MOVED_LATE: World = World {
    name: "reallocation after a return",
    budget: Budget { asks: 3, returns: 1, closes: 1, reallocations: 1, ..NOTHING },
    ..REALLOCATION
};

/// Ann's credits are on two nodes when they are moved, and one of the two is given up.
pub const SCATTERED: World = World {
    name: "reallocation from two holders",
    grants: shared(4),
    allocations: [ByGrant([4, 0]), ByGrant([0, 0])],
    overflow: [false, false],
    users: &[User::Ann, User::Ann],
    moved: 3,
    budget: Budget { asks: 3, returns: 1, write_offs: 1, reallocations: 1, ..NOTHING },
    ..ONE_NODE
};

/// The cycle ends: grant A lasts over it, grant B is next month's.
pub const ROLLOVER: World = World {
    name: "rollover",
    grants: [Grant { amount: 2, lasts: Lasts::ThisCycle }, Grant { amount: 2, lasts: Lasts::NextCycle }],
    allocations: [ByGrant([1, 0]), ByGrant([0, 0])],
    moved: 1,
    budget: Budget { asks: 3, reports: 1, returns: 1, closes: 1, reallocations: 1, rollovers: 1, ..NOTHING },
    ..ONE_NODE
};

/// A pack outlives the cycle: what returns to it late is carried.
pub const CARRIED: World = World {
    name: "rollover with a pack",
    grants: [Grant { amount: 2, lasts: Lasts::BothCycles }, Grant { amount: 2, lasts: Lasts::NextCycle }],
    ..ROLLOVER
};

/// Two holders, and what they need beyond what is included. Included credits come back after overage was drawn.
pub const OVERAGE: World = World {
    name: "overage",
    grants: [Grant { amount: 2, lasts: Lasts::ThisCycle }, Grant { amount: 1, lasts: Lasts::Minted }],
    users: &[User::Ann, User::Bob],
    draw: 2,
    chunk: 2,
    budget: Budget { asks: 3, returns: 2, closes: 1, ..NOTHING },
    ..ONE_NODE
};

/// The cycle ends over overage, and only then included credits come back that were there for it.
pub const OVERAGE_ROLLOVER: World = World {
    name: "rollover over overage",
    budget: Budget { asks: 3, returns: 1, closes: 1, rollovers: 1, ..NOTHING },
    ..OVERAGE
};

/// A holder that has overage is given up.
pub const OVERAGE_LOST: World = World {
    name: "overage of a lost holder",
    budget: Budget { asks: 3, closes: 1, power_losses: 1, write_offs: 1, ..NOTHING },
    ..OVERAGE
};

/// Two holders under one limit, and a window that begins while credits are out at both.
pub const LIMITED: World = World {
    name: "limit",
    grants: shared(4),
    users: &[User::Ann, User::Ann],
    chunk: 2,
    limit: Some(2),
    budget: Budget { asks: 3, reports: 2, returns: 1, power_losses: 1, windows: 1, ..NOTHING },
    ..ONE_NODE
};

/// A holder out of reach does not block the next window for ever; it may have an open hold, and come back.
pub const LIMITED_SESSION: World = World {
    name: "limit and a session",
    grants: shared(2),
    users: &[User::Ann, User::Ann],
    draw: 1,
    hold: 1,
    hold_lasts: 2,
    session: 1,
    limit: Some(1),
    budget: Budget { asks: 2, renewals: 2, holds: 1, ticks: 3, windows: 1, ..NOTHING },
    ..ONE_NODE
};

/// A hold beside spends: settled, released or expired, before or after a power loss, a kill, a Return.
pub const HOLDS: World = World {
    name: "holds",
    hold: 2,
    budget: Budget {
        asks: 2,
        reports: 1,
        returns: 1,
        kills: 1,
        power_losses: 1,
        holds: 1,
        extends: 1,
        ..NOTHING
    },
    ..ONE_NODE
};

/// A hold that is extended twice: more is held, and a part is confirmed.
pub const EXTENDED: World = World {
    name: "extended hold",
    hold: 1,
    budget: Budget { asks: 2, power_losses: 1, closes: 1, holds: 1, extends: 2, ..NOTHING },
    ..ONE_NODE
};

/// A holder with an open hold loses its disk, or is declared lost, what it had is credited back, and it wakes.
pub const HELD_AND_LOST: World = World {
    name: "a lost holder with a hold",
    after_loss: AfterLoss::CreditBack,
    hold: 2,
    budget: Budget {
        asks: 2,
        closes: 1,
        power_losses: 1,
        disk_losses: 1,
        write_offs: 1,
        holds: 1,
        ..NOTHING
    },
    ..ONE_NODE
};

/// Ann's credits are held when they are moved to Bob.
pub const HELD_AND_MOVED: World = World {
    name: "reallocation of what is held",
    grants: shared(3),
    allocations: [ByGrant([3, 0]), ByGrant([0, 0])],
    overflow: [true, false],
    draw: 3,
    moved: 2,
    hold: 2,
    budget: Budget { asks: 1, reports: 1, returns: 1, closes: 1, reallocations: 1, holds: 1, ..NOTHING },
    ..ONE_NODE
};

/// The cycle ends over an open hold; the pack it is backed by lasts.
pub const HELD_OVER_ROLLOVER: World = World {
    name: "rollover over a hold",
    allocations: [ByGrant([0, 0]), ByGrant([0, 0])],
    hold: 2,
    budget: Budget { asks: 2, reports: 1, returns: 1, closes: 1, rollovers: 1, holds: 1, ..NOTHING },
    ..CARRIED
};

/// Credits are taken from a holder that cannot be reached, and an `until` is named.
pub const SESSIONS: World = World {
    name: "sessions",
    grants: shared(1),
    allocations: [ByGrant([1, 0]), ByGrant([0, 0])],
    draw: 1,
    moved: 1,
    session: 1,
    budget: Budget { asks: 1, reallocations: 1, renewals: 2, elections: 1, ticks: 3, ..NOTHING },
    ..ONE_NODE
};

/// The holder's machine reboots: its clock starts anew, and the answer to a renewal comes too late.
pub const REBOOTS: World = World {
    name: "sessions over a reboot",
    budget: Budget { asks: 1, power_losses: 1, reallocations: 1, renewals: 2, ticks: 3, ..NOTHING },
    ..SESSIONS
};

/// The holder is not only out of reach, but declared lost.
pub const FENCED: World = World {
    name: "sessions of a lost holder",
    chunk: 2,
    session: 1,
    budget: Budget { asks: 1, closes: 1, kills: 1, write_offs: 1, renewals: 2, ticks: 3, ..NOTHING },
    ..ONE_NODE
};

/// A hold may be settled when the session has ended, but not for ever.
pub const HELD_SESSION: World = World {
    name: "a hold and a session",
    grants: shared(1),
    allocations: [ByGrant([1, 0]), ByGrant([0, 0])],
    draw: 1,
    moved: 1,
    hold: 1,
    hold_lasts: 1,
    session: 1,
    budget: Budget { asks: 1, power_losses: 1, reallocations: 1, renewals: 2, holds: 1, ticks: 3, ..NOTHING },
    ..ONE_NODE
};

/// A hold whose client goes on confirming, before and after what it is on was taken away.
pub const HELD_AND_REFRESHED: World = World {
    name: "a hold that is refreshed, and a session",
    grants: shared(3),
    allocations: [ByGrant([3, 0]), ByGrant([0, 0])],
    draw: 3,
    hold: 3,
    hold_lasts: 2,
    budget: Budget { asks: 1, reallocations: 1, renewals: 1, holds: 1, extends: 2, ticks: 3, ..NOTHING },
    ..HELD_SESSION
};

/// Small enough for every run of the tests.
pub const ALL: &[World] = &[
    CRASHES,
    POWER_CUTS,
    FORGETTING,
    ONE_HOLDER,
    LOST_HOLDER,
    EXPOSED,
    TWO_HOLDERS,
    TWO_GRANTS,
    REALLOCATION,
    MOVED_LATE,
    SCATTERED,
    ROLLOVER,
    CARRIED,
    OVERAGE,
    OVERAGE_ROLLOVER,
    OVERAGE_LOST,
    LIMITED,
    LIMITED_SESSION,
    FEATURE,
    FEATURE_LOST,
    HOLDS,
    EXTENDED,
    HELD_AND_LOST,
    HELD_AND_MOVED,
    HELD_OVER_ROLLOVER,
    SESSIONS,
    REBOOTS,
    FENCED,
    HELD_SESSION,
    HELD_AND_REFRESHED,
];

/// The same crossings with more room, for a longer sitting.
pub const DEEP: &[World] = &[
    World {
        name: "deep crashes",
        budget: Budget { asks: 2, reports: 3, returns: 2, recalls: 1, kills: 2, power_losses: 2, ..NOTHING },
        ..CRASHES
    },
    World {
        name: "deep forgetting",
        budget: Budget { asks: 3, reports: 1, returns: 1, closes: 2, recalls: 1, kills: 1, ..NOTHING },
        ..FORGETTING
    },
    World {
        name: "deep reallocation",
        budget: Budget {
            asks: 3,
            reports: 1,
            returns: 1,
            closes: 1,
            reallocations: 1,
            power_losses: 1,
            ..NOTHING
        },
        ..REALLOCATION
    },
    World {
        name: "two reallocations, and a holder given up",
        moved: 1,
        after_loss: AfterLoss::CreditBack,
        budget: Budget { asks: 3, returns: 1, closes: 1, write_offs: 1, reallocations: 2, ..NOTHING },
        ..SCATTERED
    },
    World {
        name: "deep reallocation with a report and a kill",
        budget: Budget { asks: 3, reports: 1, closes: 1, reallocations: 1, kills: 1, ..NOTHING },
        ..REALLOCATION
    },
    World {
        name: "deep two holders of one user",
        budget: Budget { asks: 3, reports: 1, returns: 1, recalls: 1, power_losses: 1, ..NOTHING },
        ..TWO_HOLDERS
    },
    World {
        name: "deep reallocation from two holders",
        budget: Budget { asks: 3, reports: 1, returns: 1, write_offs: 1, reallocations: 1, ..NOTHING },
        ..SCATTERED
    },
    World {
        name: "deep two users of one holder",
        budget: Budget { asks: 4, reports: 1, closes: 1, ..NOTHING },
        ..ONE_HOLDER
    },
    World {
        name: "rollover, power loss and a holder given up",
        budget: Budget {
            asks: 2,
            reports: 1,
            closes: 1,
            power_losses: 1,
            write_offs: 1,
            reallocations: 1,
            rollovers: 1,
            ..NOTHING
        },
        ..CARRIED
    },
    World {
        name: "deep holds",
        budget: Budget {
            asks: 2,
            reports: 1,
            returns: 1,
            closes: 1,
            kills: 1,
            power_losses: 2,
            holds: 1,
            extends: 2,
            ..NOTHING
        },
        ..HOLDS
    },
    World {
        name: "deep sessions",
        grants: shared(2),
        allocations: [ByGrant([2, 0]), ByGrant([0, 0])],
        draw: 2,
        chunk: 2,
        session: 2,
        budget: Budget {
            asks: 1,
            power_losses: 1,
            reallocations: 1,
            renewals: 2,
            elections: 1,
            ticks: 4,
            ..NOTHING
        },
        ..SESSIONS
    },
    World {
        name: "deep hold and session",
        grants: shared(2),
        allocations: [ByGrant([2, 0]), ByGrant([0, 0])],
        draw: 2,
        hold: 2,
        hold_lasts: 2,
        budget: Budget {
            asks: 1,
            power_losses: 1,
            reallocations: 1,
            renewals: 2,
            holds: 1,
            extends: 1,
            ticks: 4,
            ..NOTHING
        },
        ..HELD_SESSION
    },
];

/// The world of that name, small or deep.
pub fn named(name: &str) -> Option<&'static World> {
    ALL.iter().chain(DEEP).find(|world| world.name == name)
}
