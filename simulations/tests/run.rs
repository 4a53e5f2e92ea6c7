//! `tranche-sim run` and `replay` as a person types them: their files, their answers, their exit codes. Not here: how a
//! report looks (`report`), what worlds find (`world_a`, `world_b`).

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

struct Desk(PathBuf);

const TOPOLOGY: &str =
    "# Three nodes.\n[[zone]]\nname = \"a\"\nnodes = 3\n[latency]\nwithin_zone = \"0.1ms..1ms\"\n";
const LOAD: &str = "\
minutes = 1
[[pool]]
granted = \"90%\"
members = 10
requests_per_second = 20
prices = [1, 2]
allocated_percent = 30
reallocate_every = \"2s..5s\"
";
const FAULTS: &str = "[[fault]]\nkind = \"crash\"\nnode = \"any\"\nat = \"10s..20s\"\nfor = \"5s\"\n";

impl Desk {
    fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("run-{name}"));
        let _new = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        let desk = Self(path);
        desk.put("topology.toml", TOPOLOGY).put("load.toml", LOAD).put("faults.toml", FAULTS);
        desk
    }

    fn put(&self, name: &str, content: &str) -> &Self {
        fs::write(self.0.join(name), content).unwrap();
        self
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tranche-sim"));
        command.args(arguments).current_dir(&self.0).stdin(Stdio::null());
        command
    }

    fn run(&self, more: &[&str]) -> Output {
        let plan = ["run", "--topology", "topology.toml", "--trace", "load.toml", "--faults", "faults.toml"];
        self.command(&plan).args(more).output().unwrap()
    }

    fn report(&self, directory: &str) -> Value {
        let text = fs::read_to_string(self.0.join(directory).join("report.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    fn results(&self, directory: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.0.join(directory).join("outcomes.jsonl")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_campaign_answers_with_text_page_and_numbers() {
    let desk = Desk::new("answers");
    desk.put("short.toml", "# Short leases.\n[lease]\nhorizon_ms = 200\nlease_min = 2\n");
    desk.put("long.toml", "[lease]\nhorizon_ms = 8000\n");
    let out = ["--policy", "short.toml", "--policy", "long.toml", "--what-if", "twice-the-nodes"];
    let ran = desk.run(&[&out[..], &["--seeds", "3", "--out", "out"]].concat());
    assert_eq!(ran.status.code(), Some(0), "{}", text(&ran.stderr));
    let said = text(&ran.stdout);
    assert!(
        said.contains("No pool was overdrawn") && said.contains("short") && said.contains("long"),
        "{said}"
    );
    let report = desk.report("out");
    let variants = report["variants"].as_array().unwrap();
    let of = |field: &str| variants.iter().map(|variant| variant[field].clone()).collect::<Vec<_>>();
    assert_eq!(of("name"), ["short", "long", "twice the nodes"]);
    assert_eq!(of("nodes"), [3, 3, 6]);
    assert_eq!(of("seeds"), [3, 3, 3]);
    assert!(variants.iter().all(|variant| variant["asked"].as_u64().unwrap() > 2_500), "{:?}", of("asked"));
    assert!(of("faults").iter().all(|faults| faults["crash"] == 3));
    assert_eq!(report["inputs"][1]["about"], "Short leases.");
    let roles: Vec<&str> =
        report["inputs"].as_array().unwrap().iter().map(|input| input["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["topology", "policy", "policy", "trace", "faults"]);
    let page = fs::read_to_string(desk.0.join("out/report.html")).unwrap();
    assert!(page.contains("<svg") && page.contains("tranche-sim replay --run out --seed"));
    let picture = ["picture", "--run", "out", "--part", "worst-run", "--to", "worst.html"];
    assert_eq!(desk.command(&picture).status().unwrap().code(), Some(0));
    assert!(fs::read_to_string(desk.0.join("worst.html")).unwrap().contains("The worst seed"));
    // Where users have rights of their own, nothing is compared with.
    let none = desk
        .command(&["picture", "--run", "out", "--part", "other-ways", "--to", "no.html"])
        .output()
        .unwrap();
    assert_eq!(none.status.code(), Some(2), "{}", text(&none.stderr));
    // What the text says can be pasted as it is.
    let at = said.find("the worst seed").unwrap();
    let command: String = said[at..].lines().skip(1).take_while(|line| line.starts_with("  ")).collect();
    let command = format!("{} --brief", command.replace('\\', " "));
    let pasted = Command::new("sh").args(["-c", &command]).current_dir(&desk.0).output().unwrap();
    assert_eq!(pasted.status.code(), Some(0), "{command}: {}", text(&pasted.stderr));
    assert!(text(&pasted.stdout).contains("\"seed\":"), "{command}");
}

#[test]
fn a_stopped_campaign_goes_on_where_it_was() {
    let desk = Desk::new("resumed");
    assert!(desk.run(&["--seeds", "4", "--out", "whole"]).status.success());
    assert!(desk.run(&["--seeds", "2", "--out", "parts"]).status.success());
    // The process died while it wrote its third result.
    let path = desk.0.join("parts/outcomes.jsonl");
    let mut content = fs::read_to_string(&path).unwrap();
    let half = content[..content.len() / 3].to_owned();
    content.push_str(&half);
    fs::write(&path, content).unwrap();
    assert!(desk.run(&["--seeds", "4", "--out", "parts"]).status.success());
    let sorted = |directory: &str| {
        let mut all = desk.results(directory);
        all.sort_by_key(|done| done["seed"].as_u64());
        all
    };
    assert_eq!(sorted("parts"), sorted("whole"), "the same seeds are the same runs");
    let other = desk.run(&["--seeds", "4", "--from", "9", "--out", "parts"]);
    assert_eq!(other.status.code(), Some(2));
    assert!(
        text(&other.stderr).contains("results of other files or seeds are there"),
        "{}",
        text(&other.stderr)
    );
    desk.put("load.toml", &LOAD.replace("members = 10", "members = 11"));
    assert_eq!(desk.run(&["--seeds", "4", "--out", "parts"]).status.code(), Some(2), "other files");
}

#[test]
fn who_goes_on_is_told_of_all_sessions_together() {
    let desk = Desk::new("sessions");
    let run = |seeds: &str| {
        let ran = desk.run(&["--seeds", seeds, "--out", "out", "--plant", "delta-reports"]);
        assert_eq!(ran.status.code(), Some(1), "{}", text(&ran.stderr));
        let description = fs::read_to_string(desk.0.join("out/run.json")).unwrap();
        let description: Value = serde_json::from_str(&description).unwrap();
        (
            text(&ran.stderr),
            description["wall_ms"].as_u64().unwrap(),
            desk.report("out")["wall_s"].as_f64().unwrap(),
        )
    };
    let (said, first_ms, wall_s) = run("2");
    assert!(said.contains("2 of 2 runs: 2 BROKEN") && first_ms > 0, "{said}");
    assert!((wall_s * 1_000.0 - first_ms as f64).abs() < 1_000.0, "{wall_s} {first_ms}");
    let (said, both_ms, wall_s) = run("3");
    assert!(said.contains("3 of 3 runs: 3 BROKEN") && both_ms > first_ms, "{said}");
    assert!(wall_s * 1_000.0 > first_ms as f64);
    // All is known already.
    let (said, all_ms, _) = run("3");
    assert!(!said.contains("runs:") && all_ms >= both_ms, "{said}");
}

#[test]
fn who_is_interrupted_says_how_to_go_on() {
    let desk = Desk::new("interrupted");
    desk.put("load.toml", &LOAD.replace("minutes = 1", "minutes = 30"));
    let plan =
        ["run", "--topology", "topology.toml", "--trace", "load.toml", "--seeds", "400", "--out", "out"];
    let mut running = desk.command(&plan).stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    // It has begun when there is something to go on from.
    let begun = || fs::metadata(desk.0.join("out/outcomes.jsonl")).is_ok_and(|file| file.len() > 0);
    while !begun() {
        assert!(running.try_wait().unwrap().is_none(), "it ended before it was stopped");
        std::thread::yield_now();
    }
    let pid = running.id().to_string();
    assert!(Command::new("sh").args(["-c", &format!("kill -INT {pid}")]).status().unwrap().success());
    let ended = running.wait_with_output().unwrap();
    let complaint = text(&ended.stderr);
    assert_eq!(ended.status.code(), Some(2), "{complaint}");
    assert!(complaint.contains("of 400 runs; the same command goes on from there"), "{complaint}");
    assert!(desk.results("out").len() < 400);
}

#[test]
fn what_is_wrong_in_a_file_is_named_by_file_line_and_field() {
    let desk = Desk::new("wrong");
    let complaint = |name: &str, content: &str, usual: &str| {
        desk.put(name, content);
        let ran = desk.run(&["--seeds", "1"]);
        desk.put(name, usual);
        assert_eq!(ran.status.code(), Some(2));
        text(&ran.stderr)
    };
    let why = complaint("faults.toml", &FAULTS.replace("any", "n7"), FAULTS);
    assert!(why.contains("faults.toml, line 3, node: there is no node \"n7\"; there are n1 to n3"), "{why}");
    let why = complaint("load.toml", &LOAD.replace("members = 10", "members = 0"), LOAD);
    assert!(why.contains("load.toml, line 4, members: 0: 1 to 10000"), "{why}");
    let why = complaint("topology.toml", &TOPOLOGY.replace("0.1ms..1ms", "fast"), TOPOLOGY);
    assert!(why.contains("topology.toml, line 6, within_zone: \"fast\" is no duration"), "{why}");
    let missing = desk.run(&["--policy", "nowhere.toml"]);
    assert_eq!(missing.status.code(), Some(2));
    assert!(text(&missing.stderr).contains("nowhere.toml"), "{}", text(&missing.stderr));
}

#[test]
fn recorded_traffic_is_a_load_by_itself() {
    let desk = Desk::new("recorded");
    let mut recording = "time,user,workspace,credits\n".to_owned();
    for second in 0..300 {
        recording += &format!("{}.5,ada{},acme,1.5\n", second / 5, second % 7);
    }
    desk.put("mine.csv", &recording);
    let plan = ["run", "--topology", "topology.toml", "--trace", "mine.csv", "--seeds", "2", "--out", "out"];
    let ran = desk.command(&plan).output().unwrap();
    assert_eq!(ran.status.code(), Some(0), "{}", text(&ran.stderr));
    let report = desk.report("out");
    let asked = report["variants"][0]["asked"].as_u64().unwrap();
    // What comes before the pools are made waits with them; what comes after the minute is left out.
    assert!((280..=300).contains(&(asked / 2)), "{asked}");
    assert_eq!(report["variants"][0]["broken"], serde_json::json!({}));
    desk.put("mine.csv", &recording.replace("17.5,ada3", "17.5,ada3,x"));
    let ran = desk.command(&plan).output().unwrap();
    assert_eq!(ran.status.code(), Some(2));
    assert!(text(&ran.stderr).contains("mine.csv"), "{}", text(&ran.stderr));
}

#[test]
fn a_mistake_in_the_product_fails_the_campaign_and_can_be_stepped_through() {
    let desk = Desk::new("planted");
    let ran = desk.run(&["--seeds", "3", "--out", "out", "--plant", "delta-reports"]);
    assert_eq!(ran.status.code(), Some(1), "{}{}", text(&ran.stdout), text(&ran.stderr));
    assert!(text(&ran.stdout).starts_with("FAILED"), "{}", text(&ran.stdout));
    let seed = desk.report("out")["variants"][0]["worst"]["seed"].to_string();
    let mut stepping = desk.command(&["replay", "--run", "out", "--seed", &seed]);
    let mut stepping = stepping.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let commands = b"n 3\nbreak user u0\nc\ns u0\nend\ns\n";
    std::io::Write::write_all(&mut stepping.stdin.take().unwrap(), commands).unwrap();
    let ended = stepping.wait_with_output().unwrap();
    let said = text(&ended.stdout);
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(said.starts_with("broken at ") && said.contains("breaks: user u0"), "{said}");
    assert!(said.contains("a sentence is broken") && said.contains("pool  acme: "), "{said}");
}

#[test]
fn what_another_program_ran_is_replayed_only_if_that_is_said() {
    let desk = Desk::new("other-program");
    assert!(desk.run(&["--seeds", "1", "--out", "out"]).status.success());
    let replay = |more: &[&str]| {
        let ran =
            desk.command(&["replay", "--run", "out", "--seed", "1", "--brief"]).args(more).output().unwrap();
        (ran.status.code(), text(&ran.stdout), text(&ran.stderr))
    };
    assert_eq!(replay(&[]).0, Some(0));
    let description = desk.0.join("out/run.json");
    let mut content: Value = serde_json::from_str(&fs::read_to_string(&description).unwrap()).unwrap();
    content["program"] = "0".repeat(64).into();
    fs::write(&description, content.to_string()).unwrap();
    let (status, said, complaint) = replay(&[]);
    assert_eq!((status, said.as_str()), (Some(2), ""), "{complaint}");
    assert!(
        complaint.contains("out: another build of this program ran it")
            && complaint.contains("--other-program")
    );
    assert_eq!(replay(&["--schedule"]).0, Some(2));
    let (status, said, complaint) = replay(&["--other-program"]);
    assert!(status == Some(0) && said.contains("\"seed\":1"), "{complaint}");
}

#[test]
fn a_bound_on_false_refusals_is_an_exit_status() {
    let desk = Desk::new("bound");
    let all = "[[fault]]\nkind = \"cold-start\"\nat = \"20s\"\nfor = \"20s\"\n";
    desk.put("faults.toml", all);
    let ran = desk.run(&["--seeds", "2", "--out", "out", "--falsely-max", "0.5"]);
    assert_eq!(ran.status.code(), Some(1), "{}", text(&ran.stdout));
    assert!(text(&ran.stdout).starts_with("FAILED: No pool was overdrawn, but"), "{}", text(&ran.stdout));
    for wrong in ["nan", "-1", "101"] {
        assert_eq!(desk.run(&["--falsely-max", wrong]).status.code(), Some(2));
    }
    assert!(desk.run(&["--seeds", "2", "--out", "out", "--falsely-max", "90"]).status.success());
}

/// A process that dies leaves what it had charged with the kernel; a machine whose power fails rounds up, and loses that.
#[test]
fn lost_is_what_went_with_memory() {
    let desk = Desk::new("lost");
    let lost = |kind: &str| {
        let faults = format!(
            "[[fault]]\nkind = \"{kind}\"\nnode = \"any\"\nat = \"5s\"\nfor = \"2s\"\ntimes = 8\nagain_after = \"5s\"\n"
        );
        desk.put("faults.toml", &faults);
        assert!(desk.run(&["--seeds", "4", "--out", kind]).status.success());
        let lost = |done: &Value| done["outcome"]["served"]["lost"].as_u64().unwrap();
        desk.results(kind).iter().map(lost).sum::<u64>()
    };
    assert_eq!(lost("crash"), 0);
    assert!(lost("power-loss") > 0);
}

#[test]
fn what_a_seed_draws_can_be_had_as_data() {
    let desk = Desk::new("schedule");
    assert!(desk.run(&["--seeds", "1", "--out", "out"]).status.success());
    let schedule = desk.command(&["replay", "--run", "out", "--seed", "1", "--schedule"]).output().unwrap();
    let schedule: Value = serde_json::from_slice(&schedule.stdout).unwrap();
    let requests = schedule["requests"].as_array().unwrap();
    let asked = desk.results("out")[0]["outcome"]["served"]["asked"].as_u64();
    assert_eq!(Some(requests.len() as u64), asked);
    assert_eq!(schedule["faults"].as_array().unwrap().len(), 1);
}

#[test]
fn everything_that_comes_with_the_simulator_is_understood() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let files = |folder: &str| -> Vec<PathBuf> {
        let all = fs::read_dir(root.join(folder)).unwrap().map(|entry| entry.unwrap().path());
        let mut all: Vec<PathBuf> =
            all.filter(|path| path.extension().is_some_and(|end| end == "toml")).collect();
        all.sort();
        assert!(all.len() >= 3, "{folder} is empty");
        all
    };
    let of_a_node = |path: &PathBuf| fs::read_to_string(path).unwrap().contains("[node]");
    let topologies: Vec<PathBuf> =
        files("cluster/topologies").into_iter().filter(|path| !of_a_node(path)).collect();
    let read = |path: &Path| simulations::plan::text::Text::read(path).unwrap();
    let widest = read(&root.join("cluster/topologies/three-zones.toml"));
    let about =
        |path: &Path| assert!(read(path).about().len() > 20, "{} does not say what it is", path.display());
    for topology in &topologies {
        about(topology);
        simulations::plan::topology::Topology::parse(&read(topology)).unwrap();
    }
    let widest = simulations::plan::topology::Topology::parse(&widest).unwrap();
    for faults in files("simulations/plans/faults") {
        about(&faults);
        simulations::plan::faults::FaultPlan::parse(&read(&faults), &widest, 10).unwrap();
    }
    for policy in files("simulations/plans/leases") {
        about(&policy);
        simulations::plan::policy::parse(&read(&policy)).unwrap();
    }
    for traffic in files("simulations/plans/traffic") {
        about(&traffic);
        simulations::plan::load::Load::read(&read(&traffic)).unwrap();
    }
}

/// Recordings of others are not here: small ones stand in for them.
#[test]
fn plans_of_recorded_hours_are_understood() {
    let desk = Desk::new("recorded-hours");
    let plans = Path::new(env!("CARGO_MANIFEST_DIR")).join("plans/recorded");
    desk.put(
        "servegen-m-mid-clients.csv",
        "client,window_start_s,requests_per_s,interarrival_cv\n7,135600,0.1,2\n",
    );
    for name in ["azure-conversation", "azure-code"] {
        let trace = format!("{}.csv", name.replace("azure-", "azure-llm-2023-"));
        desk.put(&trace, "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.6805900,374,44\n");
        desk.put("plan.toml", &fs::read_to_string(plans.join(format!("{name}.toml"))).unwrap());
        let plan = simulations::plan::text::Text::read(&desk.0.join("plan.toml")).unwrap();
        assert!(plan.about().starts_with("Azure's "), "{}", plan.about());
        assert_eq!(simulations::plan::load::Load::read(&plan).unwrap().minutes, 1);
    }
}
