//! Every bound of the replicated state, in one place. Past a bound the command is rejected and nothing changes.

/// Grants in one workspace, voided and expired ones included. What its plan gives with a cycle is given beyond it.
pub const GRANTS_MAX: usize = 10_000;
/// Users one workspace knows: members, allocations, limits, and whoever holds a line.
pub const USERS_MAX: usize = 1_000_000;
/// Seats in one workspace whose credits are not pooled.
pub const SEATS_NOT_POOLED_MAX: usize = 100_000;
/// Services in one workspace.
pub const SERVICES_MAX: usize = 10_000;
/// Teams in one workspace.
pub const TEAMS_MAX: usize = 1_000;
/// Teams nested in each other, the outermost counted in.
pub const TEAM_DEPTH_MAX: usize = 8;
/// Features of one workspace that have limits.
pub const LIMITED_FEATURES_MAX: usize = 64;
/// Features that a plan names.
pub const PLAN_FEATURES_MAX: usize = 256;
/// Models of one workspace that have limits.
pub const LIMITED_MODELS_MAX: usize = 64;
/// Ends of cycles that are known ahead, this one's included.
pub const CYCLE_ENDS_MAX: usize = 4;
/// Reallocations one workspace remembers: those of its current cycle and of the one before.
pub const REALLOCATIONS_MAX: usize = 100_000;
/// Refunds one workspace remembers: those of charges of its current cycle and of the one before.
pub const REFUNDS_MAX: usize = 100_000;
/// Imports in one request.
pub const IMPORT_ITEMS_MAX: usize = 500;
/// How long after it happened usage can be told of, unless its cycle and the one after are over before.
pub const IMPORT_GRACE_MS: i64 = 45 * 24 * 60 * 60 * 1000;
/// Imports one workspace remembers: those whose usage can still be told of.
pub const IMPORTS_MAX: usize = 200_000;
/// Grants that an import's answer names, the first ones that paid; all of them pay.
pub const IMPORT_PARTS_SHOWN: usize = 32;
/// One item of usage that is told of later, in micro-credits: as much as one charge can be.
pub const IMPORT_MICROS_MAX: u64 = (1 << 48) - 1;
/// Allocations that a workspace may have been given in its life and still be switched to parts of seats.
pub const ALLOCATIONS_BEFORE_SWITCH_MAX: u32 = 1 << 31;
/// Feature × model pairs that are metered by name in one workspace; what comes later is metered as `other`.
pub const METERED_NAMES_MAX: usize = 1_024;
/// Lines one holder may have open for one user and scope: the current one and those being closed, under whichever list of what
/// is limited.
pub const LINES_PER_HOLDER_AND_SCOPE_MAX: usize = 8;
/// Idempotency keys one workspace remembers for its administrators' writes.
pub const KEYS_MAX: usize = 10_000;
/// How long such a key is remembered.
pub const KEY_WINDOW_MS: i64 = 24 * 60 * 60 * 1000;
/// Rate cards that are kept: in force, scheduled, replaced.
pub const RATE_CARDS_MAX: usize = 16;
/// For how long prices that were replaced can still be settled under; then they go as soon as their place is needed.
pub const REPLACED_PRICES_KEPT_MS: i64 = 24 * 60 * 60 * 1000;
/// Of rate cards, where a card that is put at once needs the place.
pub const REPLACED_PRICES_KEPT_AT_LEAST_MS: i64 = 60 * 60 * 1000;
/// Lists of its own prices that are kept of one workspace, the one in force included.
pub const OWN_PRICES_MAX: usize = 16;
/// Workspaces with prices of their own.
pub const OWN_PRICES_WORKSPACES_MAX: usize = 1_024;
/// Entries of all those lists together.
pub const OWN_PRICES_KEPT_MAX: usize = 65_536;
/// Idempotency keys that are remembered for changes of prices.
pub const PRICE_KEYS_MAX: usize = 1_000;
/// Longest name of a workspace, in bytes.
pub const NAME_BYTES_MAX: usize = 200;
/// Largest priority number; the smallest burns first.
pub const PRIORITY_MAX: u8 = 100;
/// Cycles with overage that one answer tells of, the latest ones.
pub const OVERAGE_CYCLES_SHOWN: usize = 24;
/// Priority of a grant that names none.
pub const PRIORITY_DEFAULT: u8 = 50;
