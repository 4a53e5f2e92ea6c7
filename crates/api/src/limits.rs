//! Every bound of the HTTP surface that is not an option, in one place.

/// Largest body of a consume, a quote or an administrator's write, in bytes.
pub const BODY_BYTES_MAX: usize = 64 * 1024;
/// Largest body of a batch or a rate card, in bytes.
pub const BULK_BODY_BYTES_MAX: usize = 1024 * 1024;
/// Most that is read of a body that is refused unread, in bytes: who sends no more hears why.
pub const UNWANTED_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Most items in one batch.
pub const BATCH_ITEMS_MAX: usize = 1_000;
/// Most imports in one request.
pub const IMPORT_ITEMS_MAX: usize = 500;
/// Rows of a page where the caller does not say.
pub const PAGE_ROWS_DEFAULT: usize = 100;
/// Most rows of a page.
pub const PAGE_ROWS_MAX: usize = 500;
/// Most headers of a request.
pub const HEADERS_MAX: usize = 64;
/// Largest head of a request (request line and headers), in bytes.
pub const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Longest name of a workspace, in bytes.
pub const NAME_BYTES_MAX: usize = 200;
/// Features that a plan names.
pub const PLAN_FEATURES_MAX: usize = 256;
/// Largest priority of a grant; the smallest burns first.
pub const PRIORITY_MAX: u64 = 100;
/// Priority of a grant that names none.
pub const PRIORITY_DEFAULT: u8 = 50;
/// Cycles that what is kept of a grant may last at most, if it has an end: a century of months.
pub const ROLLOVER_CYCLES_MAX: u32 = 1_200;
/// Longest operator key, in bytes; the shortest has [`OPERATOR_KEY_BYTES_MIN`].
pub const OPERATOR_KEY_BYTES_MAX: usize = 256;
pub const OPERATOR_KEY_BYTES_MIN: usize = 16;
