//! Asks the simulator: what it predicts over many seeds, and what exactly happens in one of them. Not here: living through
//! it (`reality`, `clients`), comparing.

use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use tests::{micros, number, simulator, text};
use types::Credits;

/// What became of a load by the moment it ended.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    pub asked: u64,
    pub charged: u64,
    /// By reason.
    pub refused: BTreeMap<String, u64>,
    /// Out on lines of nodes that were down or cut off.
    pub stranded: Credits,
}

/// One seed of a plan.
#[derive(Clone, Debug)]
pub struct Schedule {
    pub run_ms: u64,
    /// Their numbers, by place; so many of them have replicas: the first ones.
    pub nodes: Vec<u16>,
    pub replicas: usize,
    pub tries: u32,
    pub requests: Vec<Request>,
    pub changes: Vec<Change>,
    pub faults: Vec<Fault>,
}

/// A consume without a key.
#[derive(Clone, Debug)]
pub struct Request {
    pub at_ms: u64,
    pub workspace: String,
    pub user: String,
    pub node: usize,
    pub amount: Credits,
}

/// As a request to the API.
#[derive(Clone, Debug)]
pub struct Change {
    pub at_ms: u64,
    pub method: &'static str,
    pub path: String,
    pub body: String,
}

#[derive(Clone, Debug)]
pub struct Fault {
    pub at_ms: u64,
    pub for_ms: u64,
    pub what: What,
}

#[derive(Clone, Debug)]
pub enum What {
    Crash(usize),
    LeaderCrash,
    Partition(Vec<usize>),
}

/// A plan over some seeds: as it is, and with leases of half the size.
#[derive(Debug)]
pub struct Simulated {
    pub usual: BTreeMap<u64, Figures>,
    pub half_the_lease: BTreeMap<u64, Figures>,
    pub schedule: Schedule,
}

impl Figures {
    /// Of a hundred requests, so many had no charge when the load ended: refused, not answered, or not yet.
    #[expect(clippy::cast_precision_loss, reason = "thousands")]
    pub fn not_served_percent(&self) -> f64 {
        (self.asked - self.charged) as f64 * 100.0 / self.asked.max(1) as f64
    }

    fn of(outcome: &Value) -> Self {
        assert!(outcome["broken"].is_null(), "a sentence broke in simulation: {}", outcome["broken"]);
        let served = &outcome["served"];
        let refused = served["refused"].as_object().expect("counts by reason");
        Self {
            asked: number(&served["asked"]),
            charged: number(&served["charged"]),
            refused: refused.iter().map(|(reason, count)| (reason.clone(), number(count))).collect(),
            stranded: micros(number(&served["stranded_at_end"])),
        }
    }
}

impl Simulated {
    /// Runs the plan of this test over `seeds` seeds from `seed` on.
    pub fn run(seed: u64, seeds: u64) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
        let out = tempfile::tempdir().expect("a temporary directory");
        let mut run = Command::new(simulator());
        run.arg("run").args(["--what-if", "half-the-lease", "--from", &seed.to_string()]);
        run.args(["--seeds", &seeds.to_string()]).arg("--out").arg(out.path());
        for (flag, file) in [
            ("--topology", "cluster/topologies/five-nodes.toml"),
            ("--trace", "simulations/plans/traffic/prediction.toml"),
            ("--faults", "simulations/plans/faults/prediction.toml"),
        ] {
            run.arg(flag).arg(root.join(file));
        }
        output(&mut run);
        let mut replay = Command::new(simulator());
        replay.arg("replay").arg("--run").arg(out.path()).args(["--seed", &seed.to_string(), "--schedule"]);
        let schedule = serde_json::from_str(&output(&mut replay)).expect("a schedule is JSON");
        let mut variants = [BTreeMap::new(), BTreeMap::new()];
        let lines =
            std::fs::read_to_string(out.path().join("outcomes.jsonl")).expect("a run leaves outcomes");
        for line in lines.lines() {
            let done: Value = serde_json::from_str(line).expect("an outcome is JSON");
            let variant = usize::try_from(number(&done["variant"])).expect("one of two");
            variants[variant].insert(number(&done["seed"]), Figures::of(&done["outcome"]));
        }
        let [usual, half_the_lease] = variants;
        Self { usual, half_the_lease, schedule: Schedule::of(&schedule) }
    }
}

/// What it printed.
fn output(command: &mut Command) -> String {
    let output = command.output().expect("the simulator can be started");
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{words}", output.status);
    String::from_utf8(output.stdout).expect("it prints text")
}

impl Schedule {
    fn of(json: &Value) -> Self {
        let list = |name: &str| json[name].as_array().unwrap_or_else(|| panic!("no list of {name}")).iter();
        Self {
            run_ms: number(&json["run_ms"]),
            replicas: place(&json["replicas"]),
            nodes: list("nodes").map(node_number).collect(),
            tries: u32::try_from(number(&json["tries"])).expect("a few"),
            requests: list("requests").map(Request::of).collect(),
            changes: list("changes").map(Change::of).collect(),
            faults: list("faults").map(Fault::of).collect(),
        }
    }
}

/// `n3` is 3.
fn node_number(name: &Value) -> u16 {
    let name = text(name);
    let number = name.strip_prefix('n').and_then(|digits| digits.parse().ok());
    number.unwrap_or_else(|| panic!("no real node is called {name}"))
}

fn place(json: &Value) -> usize {
    usize::try_from(number(json)).expect("a small number")
}

impl Request {
    fn of(json: &Value) -> Self {
        assert_eq!(json["keyed"], false, "the clients of this test have no keys");
        Self {
            at_ms: number(&json["at_ms"]),
            workspace: text(&json["workspace"]),
            user: text(&json["user"]),
            node: place(&json["node"]),
            amount: micros(number(&json["micros"])),
        }
    }
}

impl Change {
    fn of(json: &Value) -> Self {
        let word = |name: &str| text(&json[name]);
        let amount = || micros(number(&json["micros"]));
        let (method, path, body) = match word("change").as_str() {
            "make-workspace" => ("PUT", String::new(), r#"{"membership":"open"}"#.to_owned()),
            "grant" => {
                let body = format!(r#"{{"id":"{}","kind":"plan","amount":"{}"}}"#, word("id"), amount());
                ("POST", "/grants".to_owned(), body)
            }
            "allocate" => {
                let overflow = if json["overflow"] == true { "shared" } else { "none" };
                let body = format!(r#"{{"amount":"{}","overflow":"{overflow}"}}"#, amount());
                ("PUT", format!("/allocations/{}", word("user")), body)
            }
            "reallocate" => {
                let (id, from, to, amount) = (word("id"), word("from"), word("to"), amount());
                let body = format!(r#"{{"id":"{id}","from":"{from}","to":"{to}","amount":"{amount}"}}"#);
                ("POST", "/reallocations".to_owned(), body)
            }
            other => panic!("no administrator of this test knows {other}"),
        };
        let path = format!("/v1/workspaces/{}{path}", word("workspace"));
        Self { at_ms: number(&json["at_ms"]), method, path, body }
    }
}

impl Fault {
    fn of(json: &Value) -> Self {
        let what = match text(&json["fault"]).as_str() {
            "crash" => What::Crash(place(&json["node"])),
            "leader-crash" => What::LeaderCrash,
            "partition" => What::Partition(
                json["nodes"].as_array().expect("a list of nodes").iter().map(place).collect(),
            ),
            other => panic!("nobody in this test does {other}"),
        };
        Self { at_ms: number(&json["at_ms"]), for_ms: number(&json["for_ms"]), what }
    }
}
