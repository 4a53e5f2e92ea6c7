//! The rules of the house as tests: who may import whom, where clocks and chance live, how files look.
//! Not here: how a rule judges (`house/rules.rs`), how the tree is read (`house/found.rs`), the product.
//!
//! Who breaks a rule on purpose changes the table and gives the reason in its row.

#[path = "house/found.rs"]
mod found;
#[path = "house/rules.rs"]
mod rules;

use std::collections::BTreeSet;
use std::fs;

use found::{in_src, left_by_tools, metadata, room_of, root, sources, texts};
use rules::Row;

/// The floors. A room imports its own row and nothing else; imports go down or stay level, never up.
/// `(room)`: for the room's own tests only. `all`: every room of a lower floor.
const FLOORS: &str = "
floor | room        | may import                                         | what is special about the row
0     | types       |                                                    | the words; every other room may speak them
0     | wire        | types                                              | the one place where bytes are made
0     | platform    | types                                              | the outside world as traits
1     | pricing     | types                                              | pure
1     | calendar    | types                                              | pure; has the zones built in, so that nothing is read from the machine
1     | placement   | types                                              | pure
1     | escrow      |                                                    | pure, a leaf of std alone: loom and shuttle recompile all it imports
1     | ledger      | types pricing                                      | pure
1     | leasing     | types ledger                                       | pure; of the ledger only its words
2     | journal     | types wire platform                                |
2     | replication | types ledger pricing wire platform                 | beyond the plan: pricing, for the rate cards in the commands it turns into bytes
2     | actors      | types leasing escrow ledger journal replication placement platform calendar | beyond the plan: calendar, to look up when the cycles end of the pools it leads
2     | quota       | types actors escrow ledger leasing pricing journal replication placement platform calendar | beyond the plan: calendar, to look up ends where the cycles are changed
3     | transport   | types wire platform replication quota actors ledger leasing placement (journal) | beyond the plan: actors, ledger, leasing, placement; it also implements the port of actors, and turns into frames the words that cross its ports; its tests join whole holders
3     | api         | types wire quota platform                          | of platform only the listener: a simulated network serves HTTP too
3     | dashboard   | types quota                                        |
3     | client      | types wire                                         |
3     | cli         | types wire client                                  |
4     | cluster     | all                                                | the joint
5     | seeded-libc |                                                    | replaces a C function in the simulator's binary; the only unsafe code
5     | testkit     | types ledger client                                | judges the product, so the product must not know it
6     | simulations | all                                                | whole nodes through the same joint
6     | benches     | all                                                | measures single rooms too
6     | tests       | types wire client testkit                          | black box: reaches a node through ports only
6     | xtask       |                                                    | starts cargo; must build when nothing else does
";

/// Parts that one room hides from all others, so that it alone changes with them.
const PARTS: &str = "
part              | rooms                                 | why
openraft          | replication                           | alpha releases: its types stop here, transport carries its messages unopened
openraft-rt       | replication simulations               | simulations seed the runtime
openraft-rt-tokio | replication simulations               | simulations seed the runtime
redb              | replication                           | one store, one owner of its files
bincode           | wire                                  | unmaintained and frozen: its bytes are made in one place
ractor            | actors                                | mailboxes are the shells' business
axum              | api benches                           | everything behind the edge knows no HTTP; benches measure beside an empty route
rustix            | platform tests benches                | the operating system is behind the traits; tests stop and kill processes
getrandom         | platform                              | chance comes from platform::Entropy
rand              | cli testkit simulations benches tests | seeded streams of load, never a decision of the product
loom              | escrow                                | escrow alone is small enough to be explored in every interleaving
rand_chacha       | simulations                           | seeds that stay worth keeping
turmoil           | simulations                           | whole nodes under a simulated network
shuttle           | escrow                                | the same races, larger, by many random schedules; optional, in no build but its own test's
stateright        | simulations                           | the protocol's model
";

/// Who declares an atomic, and why no step of anybody spans two of them: what takes several steps lives in `escrow`, and is a race of
/// its tests.
const SHARED: &str = "
file                                  | why one step is enough
crates/actors/src/handle.rs           | the ledger's last word, each part read alone and at most an answer old; `put` is its owner's alone
crates/actors/src/holder.rs           | a number that is given out once; a maximum
crates/actors/src/sessions.rs         | two maxima; what is set once and never taken back; a swap
crates/cli/src/replay/drive.rs        | counts for the eye
crates/client/src/exchange.rs         | whose turn it is: anybody's would do
crates/journal/src/keys.rs            | a bound that is taken in one step; the last of what clocks said, read alone
crates/journal/src/writer.rs          | written by the journal's task alone, each read alone
crates/platform/src/agreed.rs         | read alone; what must fit together is behind a lock
crates/platform/src/clock.rs          | two clocks that each is read alone
crates/platform/src/test_clock.rs     | one number
crates/quota/src/counts.rs            | counts
crates/replication/src/log.rs         | counts
crates/replication/src/machine.rs     | a count
crates/transport/src/counters.rs      | counts
crates/transport/src/peer.rs          | a swap
crates/types/src/planted.rs           | set before anything starts
";

/// Rooms without runtime, clock, chance, hash order and floats.
const PURE: [&str; 6] = ["ledger", "leasing", "escrow", "placement", "pricing", "calendar"];

/// Rooms that read a clock or draw numbers themselves: `platform` is the place for it, the others measure,
/// replay seeded load or attack the product from outside.
const OWN_CLOCK: [&str; 8] =
    ["platform", "cli", "seeded-libc", "testkit", "xtask", "simulations", "benches", "tests"];

/// What stands at the top level beside dot-files; prose for users goes to `docs/`, code to a room.
const TOP_LEVEL: &str = "
Cargo.toml Cargo.lock crates cluster simulations benches tests docs
README.md ARCHITECTURE.md CHANGELOG.md CONTRIBUTING.md LICENSE-MIT LICENSE-APACHE
rustfmt.toml clippy.toml deny.toml
";

/// The one crate with lints of its own: the others forbid unsafe code.
const WITH_UNSAFE_CODE: &str = "seeded-libc";

const LINES_MAX: usize = 600;

#[track_caller]
fn none(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn rooms_import_what_their_rows_allow() {
    let metadata = metadata();
    let (rows, imports) = (Row::all(FLOORS), found::between_rooms(&metadata));
    assert!(imports.len() > 40, "only {} imports were found: the reading is broken", imports.len());
    let rooms: BTreeSet<&str> = metadata.packages.iter().map(|package| package.name.as_str()).collect();
    let without_row = rooms.iter().filter(|room| !rows.iter().any(|row| row.room == **room));
    let mut complaints: Vec<String> =
        without_row.map(|room| format!("`{room}` has no row in FLOORS")).collect();
    complaints.extend(rules::against_floors(&rows, &imports));
    for row in &rows {
        let used = |word: &&str| imports.iter().any(|import| import.from == row.room && import.to == **word);
        let unused: Vec<&str> =
            row.may.split_whitespace().filter(|word| *word != "all" && !used(word)).collect();
        if !unused.is_empty() {
            println!("allowed and not used: {} → {}", row.room, unused.join(" "));
        }
    }
    none(&complaints);
}

#[test]
fn rows_look_down() {
    none(&rules::rows_that_look_up(&Row::all(FLOORS)));
}

#[test]
fn parts_stay_in_the_rooms_that_hide_them() {
    none(&rules::against_parts(PARTS, &found::imports(&metadata())));
}

#[test]
fn pure_rooms_are_pure() {
    let mut complaints = rules::impure_imports(&found::imports(&metadata()));
    for room in PURE {
        let folder = root().join("crates").join(room);
        if !folder.join("clippy.toml").is_file() {
            complaints.push(format!(
                "`{room}` is pure and has no clippy.toml of its own that bans clocks and hash maps"
            ));
        }
        let lib = fs::read_to_string(folder.join("src/lib.rs")).expect("a room has a lib.rs");
        for lint in ["arithmetic_side_effects", "float_arithmetic", "wildcard_enum_match_arm"] {
            let denies = lib.split("#![deny(").skip(1).filter_map(|rest| rest.split(")]").next());
            if !denies.into_iter().any(|list| list.contains(&format!("clippy::{lint}"))) {
                complaints.push(format!("crates/{room}/src/lib.rs does not deny clippy::{lint}"));
            }
        }
    }
    for (path, text) in sources().filter(|(path, _)| in_src(path) && PURE.contains(&room_of(path))) {
        for (at, line) in rules::code(&text) {
            let impure =
                ["HashMap", "HashSet", "tokio::", "async fn", "thread::sleep", "std::fs", "std::net"];
            let found = impure.iter().filter(|word| rules::says(line, word));
            complaints.extend(found.map(|word| format!("{path}:{at}: `{word}` in a pure room")));
        }
    }
    none(&complaints);
}

#[test]
fn clocks_and_chance_live_in_platform() {
    let mut complaints = Vec::new();
    for (path, text) in sources().filter(|(path, _)| in_src(path) && !OWN_CLOCK.contains(&room_of(path))) {
        let found = rules::clocks_and_chance(&text).into_iter();
        complaints
            .extend(found.map(|(at, what)| format!("{path}:{at}: `{what}`: ask platform::Clock or Entropy")));
    }
    none(&complaints);
}

#[test]
fn folders_are_named_as_their_crates_and_nothing_is_published() {
    let metadata = metadata();
    let mut complaints = Vec::new();
    for package in &metadata.packages {
        let manifest = package.manifest_path.strip_prefix(root()).expect("a member lies in the tree");
        let folder = manifest.parent().map(|folder| folder.as_str()).unwrap_or_default();
        if folder.strip_prefix("crates/").unwrap_or(folder) != package.name.as_str() {
            complaints
                .push(format!("the crate `{}` lies in `{folder}`: one name for one thing", package.name));
        }
        if package.publish != Some(Vec::new()) {
            complaints.push(format!("{manifest}: say `publish.workspace = true`, which is false"));
        }
        let text = fs::read_to_string(&package.manifest_path).expect("cargo just read it");
        if !text.contains("[lints]\nworkspace = true") && package.name.as_str() != WITH_UNSAFE_CODE {
            complaints.push(format!("{manifest}: say `[lints] workspace = true`"));
        }
    }
    for entry in fs::read_dir(root().join("crates")).expect("crates/ is readable").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !metadata.packages.iter().any(|package| *package.name == name) {
            complaints.push(format!("crates/{name} is no crate: a room is made when something lives in it"));
        }
    }
    none(&complaints);
}

/// Where there are none, nobody looks for them: for each crate that costs as much as a test of its own.
#[test]
fn examples_in_docs_run_where_there_are_some() {
    let metadata = metadata();
    let runs = |room: &str| {
        let package = metadata.packages.iter().find(|package| package.name.as_str() == room);
        package.is_some_and(|package| package.targets.iter().any(|target| target.doctest))
    };
    let mut complaints = Vec::new();
    for (path, text) in sources().filter(|(path, _)| in_src(path) && !runs(room_of(path))) {
        let found = rules::examples(&text).into_iter();
        complaints.extend(found.map(|at| {
            format!("{path}:{at}: an example, and the manifest says `doctest = false`: it would never run")
        }));
    }
    none(&complaints);
}

#[test]
fn the_top_level_is_as_planned() {
    let mut complaints = Vec::new();
    for entry in fs::read_dir(root()).expect("the root is readable").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !TOP_LEVEL.split_whitespace().any(|allowed| allowed == name)
            && !name.starts_with('.')
            && !left_by_tools(&name)
        {
            complaints.push(format!("`{name}` stands at the top level: prose goes to docs/, code to a room"));
        }
    }
    none(&complaints);
}

#[test]
fn files_have_manners() {
    let complaints: Vec<String> = sources().flat_map(|(path, text)| rules::manners(&path, &text)).collect();
    none(&complaints);
}

#[test]
fn no_file_names_folders_of_one_machine() {
    let complaints: Vec<String> =
        texts().iter().flat_map(|(path, text)| rules::foreign_folders(path, text)).collect();
    none(&complaints);
}

#[test]
fn what_threads_share_without_a_lock_says_why_one_step_is_enough() {
    let is_product = |path: &str| {
        in_src(path) && !["escrow", "seeded-libc", "simulations", "testkit"].contains(&room_of(path))
    };
    let declares = |(path, text): (String, String)| {
        (is_product(&path) && rules::declares_an_atomic(&text)).then_some(path)
    };
    let found: BTreeSet<String> = sources().filter_map(declares).collect();
    assert!(found.len() > 10, "only {} were found: the reading is broken", found.len());
    let rows: BTreeSet<String> = rules::shared(SHARED).map(str::to_owned).collect();
    let complaints = found.symmetric_difference(&rows);
    let complaints = complaints
        .map(|path| format!("`{path}` declares an atomic and has no row in SHARED, or the other way round"));
    none(&complaints.collect::<Vec<_>>());
}
