//! Fault plans as somebody writes them: what they draw, and where they are wrong.

use super::*;

pub fn topology() -> Topology {
    let zones: String =
        ["a", "b", "c"].map(|name| format!("[[zone]]\nname = \"{name}\"\nnodes = 2\n")).concat();
    let content = format!("{zones}[latency]\nwithin_zone = \"1ms\"\nbetween_zones = \"2ms\"\n");
    Topology::parse(&Text { name: "t.toml".into(), content }).unwrap()
}

pub fn parse(content: &str) -> Result<FaultPlan, String> {
    let text = Text { name: "f.toml".into(), content: content.into() };
    FaultPlan::parse(&text, &topology(), 10).map_err(|why| why.to_string())
}

#[test]
fn a_zone_falls_and_comes_back_again_and_again() {
    let plan = parse(
        "[[fault]]\nkind = \"crash\"\nzone = \"b\"\nat = \"1m\"\nfor = \"10s..20s\"\ntimes = 3\nagain_after = \"1m\"\n",
    );
    let faults = plan.unwrap().draw(7, 6, 600_000);
    let at: Vec<u64> = faults.iter().map(|fault| fault.at_ms).collect();
    assert_eq!(at, [60_000, 60_000, 120_000, 120_000, 180_000, 180_000]);
    assert!(faults.iter().all(|fault| (10_000..=20_000).contains(&fault.for_ms)));
    let mut names: Vec<String> =
        spans(&faults[..2], &topology()).into_iter().map(|span| span.place).collect();
    names.sort_unstable();
    assert_eq!(names, ["n3", "n4"]);
}

#[test]
fn chance_has_its_kinds_and_the_run_its_end() {
    let plan = parse("[chance]\nevery = \"2s..5s\"\nkinds = [\"crash\", \"partition\"]\n").unwrap();
    let faults = plan.draw(3, 6, 120_000);
    assert!(faults.len() > 5 && faults.iter().all(|fault| fault.at_ms + fault.for_ms <= 120_000));
    assert!(faults.iter().all(|fault| matches!(fault.what.kind(), Kind::Crash | Kind::Partition)));
    let gaps: Vec<u64> = faults.windows(2).map(|pair| pair[1].at_ms - pair[0].at_ms).collect();
    assert!(gaps.iter().all(|gap| (2_000..=5_000).contains(gap)) && faults[0].at_ms <= 5_000, "{gaps:?}");
    assert!(faults != plan.draw(4, 6, 120_000) && faults == plan.draw(3, 6, 120_000));
    assert!(FaultPlan::nothing().draw(3, 6, 120_000).is_empty());
}

#[test]
fn every_kind_can_be_planned() {
    for kind in SUPPORTED {
        let needs = needs(kind);
        let mut content = format!("[[fault]]\nkind = \"{}\"\nat = \"1s\"\nfor = \"5s\"\n", kind.name());
        let fields = [
            (needs.nodes, "node = \"any\"\n"),
            (needs.link, "from = \"n1\"\nto = \"n2\"\n"),
            (needs.percent, "percent = 30\n"),
            (needs.by, "by = \"20ms..40ms\"\n"),
            (needs.every, "every = \"1s\"\n"),
            (needs.count, "count = 2\n"),
            (needs.speed, "speed_percent = 90\n"),
        ];
        fields.iter().filter(|(needed, _)| *needed).for_each(|(_, line)| content += line);
        let faults = parse(&content).unwrap().draw(1, 6, 60_000);
        assert_eq!(faults[0].what.kind(), kind);
    }
}

#[test]
fn the_fault_past_the_bound_is_named() {
    let fault = |place: &str, times: u64| {
        let when = "kind = \"crash\"\nat = \"1s\"\nfor = \"5s\"\n";
        let again = format!("times = {times}\nagain_after = \"1ms\"\n");
        format!("[[fault]]\n{when}{place}\n{}", if times > 1 { again } else { String::new() })
    };
    let node = "node = \"n1\"";
    assert!(parse(&fault(node, 10_000)).is_ok());
    assert!(parse(&format!("{}{}", fault(node, 9_999), fault(node, 1))).is_ok());
    let why = parse(&format!("{}{}", fault(node, 10_000), fault(node, 1))).unwrap_err();
    assert_eq!(why, "f.toml, line 9, kind: 10001 faults by this one; at most 10000");
    // A zone of two nodes is two faults.
    assert!(parse(&format!("{}{}", fault(node, 2), fault("zone = \"b\"", 4_999))).is_ok());
    let why = parse(&format!("{}{}", fault(node, 2), fault("zone = \"b\"", 5_000))).unwrap_err();
    assert_eq!(why, "f.toml, line 13, times: 10002 faults by this one; at most 10000");
}

#[test]
fn a_ring_has_at_least_four_nodes() {
    let of = |nodes: usize, content: &str| {
        let zone = format!("[[zone]]\nname = \"a\"\nnodes = {nodes}\n[latency]\nwithin_zone = \"1ms\"\n");
        let topology = Topology::parse(&Text { name: "t.toml".into(), content: zone }).unwrap();
        let text = Text { name: "f.toml".into(), content: content.into() };
        FaultPlan::parse(&text, &topology, 10).map_err(|why| why.to_string())
    };
    let listed = "[[fault]]\nat = \"1s\"\nfor = \"5s\"\nkind = \"ring\"\n";
    let chance = "[chance]\nevery = \"1s\"\nkinds = [\"crash\", \"ring\"]\n";
    assert!(of(4, listed).is_ok() && of(4, chance).is_ok());
    let why = "\"ring\": of fewer than 4 nodes each has all others as neighbours";
    assert_eq!(of(3, listed).unwrap_err(), format!("f.toml, line 4, kind: {why}"));
    assert_eq!(of(3, chance).unwrap_err(), format!("f.toml, line 3, kinds: {why}"));
    // Where no kinds are named, there are those that do something.
    let all = |nodes: usize| of(nodes, "[chance]\nevery = \"1s\"\n").unwrap().chance.unwrap().0;
    assert!(!all(3).contains(&Kind::Ring) && all(4).contains(&Kind::Ring));
    assert_eq!(all(3).len() + 1, all(4).len());
}

#[test]
fn what_takes_no_time_is_refused() {
    let crash =
        |lasts: &str| format!("[[fault]]\nkind = \"crash\"\nnode = \"n1\"\nat = \"1s\"\nfor = \"{lasts}\"\n");
    assert!(parse(&crash("1ms")).is_ok());
    let why = parse(&crash("0.9ms")).unwrap_err();
    assert_eq!(why, "f.toml, line 5, for: at least 1 ms");
}

#[test]
fn what_is_wrong_is_named() {
    let of = |rest: &str| parse(&format!("[[fault]]\nat = \"1s\"\nfor = \"5s\"\n{rest}")).unwrap_err();
    assert!(of("kind = \"crush\"\n").starts_with("f.toml, line 4, kind: \"crush\": there are drop, delay"));
    assert_eq!(
        of("kind = \"crash\"\nnode = \"n9\"\n"),
        "f.toml, line 5, node: there is no node \"n9\"; there are n1 to n6"
    );
    assert_eq!(of("kind = \"crash\"\n"), "f.toml, line 4, kind: \"crash\" needs one of node, nodes, zone");
    assert_eq!(
        of("kind = \"crash\"\nzone = \"z\"\n"),
        "f.toml, line 5, zone: there is no zone \"z\"; there are a, b, c"
    );
    assert_eq!(
        of("kind = \"crash\"\nnode = \"n1\"\npercent = 3\n"),
        "f.toml, line 6, percent: \"crash\" has no percent"
    );
    assert_eq!(
        of("kind = \"drop\"\nfrom = \"n1\"\nto = \"n2\"\n"),
        "f.toml, line 4, kind: \"drop\" needs percent"
    );
    assert!(of("kind = \"drop\"\nfrom = \"n1\"\nto = \"n2\"\npercent = 101\n").ends_with("101: 1 to 100"));
    assert!(of("kind = \"one-way\"\nfrom = \"n1\"\nto = \"n1\"\n").ends_with("to: a link has two ends"));
    assert!(
        of("kind = \"drop\"\nfrom = \"n1\"\nto = \"n2\"\npercent = 3\nzone = \"a\"\n")
            .contains("is of a link")
    );
    assert!(of("kind = \"crash\"\nnodes = []\n").ends_with("nodes: at least one node"));
    assert!(of("kind = \"crash\"\nnode = \"n1\"\nback = true\n").ends_with("back: \"crash\" has no back"));
    let slow = |by: &str| {
        parse(&format!(
            "[[fault]]\nat = \"1s\"\nfor = \"5s\"\nkind = \"slow-sync\"\nnode = \"n1\"\nby = \"{by}\"\n"
        ))
    };
    assert!(slow("1ms").is_ok() && slow("5s").is_ok());
    assert!(slow("0.9ms").unwrap_err().ends_with("by: 1 ms to 5 s") && slow("5.1s").is_err());
    let late = parse("[[fault]]\nkind = \"ring\"\nat = \"10m\"\nfor = \"5s\"\n").unwrap_err();
    assert_eq!(late, "f.toml, line 3, at: the load is over after 10 min, before this begins");
    assert!(parse("[[fault]]\nkind = \"ring\"\nat = \"9m..11m\"\nfor = \"5s\"\n").is_ok());
    assert!(of("kind = \"ring\"\nnode = \"n1\"\n").ends_with("node: \"ring\" is everywhere"));
    assert!(of("kind = \"ring\"\ntimes = 2\n").ends_with("what comes more than once needs again_after"));
}
