//! What a report looks like, from small ones to absurd ones: the page is one whole file that needs nothing else, the text
//! fits a terminal. The page of the fullest one is left in the target folder, to look at. Not here: numbers as text and
//! ticks (beside them), and how a report comes about.

use simulations::baseline::Baseline;
use simulations::outcome::{BrokenAt, FaultSpan, Outcome, Sample, Served};
use simulations::report::{Input, Part, Report, SeedFigures, Shown, Spread, VariantReport, html, part, text};
use std::collections::BTreeMap;
use std::time::Instant;

const CREDIT: u64 = 1_000_000;

/// Numbers that look like chance and are the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end.max(1)
    }

    fn share(&mut self) -> f64 {
        self.below(1_000_000) as f64 / 1e6
    }
}

fn by_name(pairs: &[(&str, u64)]) -> BTreeMap<String, u64> {
    pairs.iter().map(|(name, number)| ((*name).to_owned(), *number)).collect()
}

/// A pool of 1,000 credits that is spent within ten minutes, with a bad moment every minute.
fn outcome(seed: u64, faults: u64) -> Outcome {
    let mut dice = Dice(seed);
    let (mut used, mut falsely, mut rightly) = (0, 0, 0);
    let mut timeline = Vec::new();
    for turn in 1..=300 {
        let is_bad = turn % 30 > 22;
        used = (used + dice.below(7 * CREDIT)).min(1_000 * CREDIT);
        let out = (1_000 * CREDIT - used).min(dice.below(90 * CREDIT));
        falsely += if is_bad { dice.below(5) } else { 0 };
        rightly += if used > 900 * CREDIT { dice.below(9) } else { 0 };
        timeline.push(Sample {
            at_ms: turn * 2_000,
            available: 1_000 * CREDIT - used - out,
            out,
            used,
            told: used - used / 40,
            refusals: by_name(&[("exhausted", rightly), ("credits-unreachable", falsely)]),
            refused: rightly + falsely,
            faults_active: u32::from(is_bad),
            nodes_up: if is_bad { 4 } else { 5 },
            led: turn % 30 != 25,
            asked: turn * 40,
            falsely,
            out_of_reach: if is_bad { out / 3 } else { 0 },
        });
    }
    let kinds = ["partition", "crash", "one-way", "slow-sync"];
    let span = |turn: u64, dice: &mut Dice| FaultSpan {
        kind: kinds[turn as usize % 4].to_owned(),
        at_ms: dice.below(600_000),
        for_ms: dice.below(20_000),
        place: if turn % 4 == 2 { "n1 → n3".to_owned() } else { format!("n{}", turn % 5 + 1) },
    };
    let served =
        Served { asked: 12_000, falsely: by_name(&[("credits-unreachable", falsely)]), ..Served::default() };
    Outcome {
        seed,
        minutes: 10,
        nodes: 5,
        operations: 12_000,
        served,
        fault_spans: (0..faults).map(|turn| span(turn, &mut dice)).collect(),
        timeline,
        ..Outcome::default()
    }
}

fn spread(times: u64, middle: u64) -> Spread {
    let histogram =
        (0..8u64).map(|power| ((middle >> 3) << power, times / 8 * (8 - power.abs_diff(3)) / 4)).collect();
    Spread { count: times, p50: middle, p90: middle * 4, p99: middle * 9, max: middle * 14, histogram }
}

fn variant(name: &str, seeds: u64, worse_by: f64) -> VariantReport {
    let mut dice = Dice(7);
    let figures = |seed| {
        let falsely = dice.share().powi(4) * 3.0 * worse_by;
        let stranded = if dice.below(2) == 0 { 0.0 } else { dice.share().powi(3) * 200.0 * worse_by };
        SeedFigures {
            seed,
            refused_percent: falsely + dice.share(),
            falsely_percent: falsely,
            local_percent: 97.0 - falsely - dice.share() * 4.0,
            stranded,
            is_broken: false,
        }
    };
    let by_seed: Vec<SeedFigures> = (0..seeds).map(figures).collect();
    let shown = |seed, why: &str| {
        let replay =
            format!("tranche-sim run --topology my.toml --policy {name}.toml --seeds 500 --seed {seed}");
        Some(Shown { seed, why: why.to_owned(), replay, outcome: outcome(seed, 40) })
    };
    VariantReport {
        name: name.to_owned(),
        nodes: 5,
        seeds,
        asked: seeds * 12_000,
        charged: seeds * 11_800,
        local: seeds * 11_400,
        refused: by_name(&[
            ("exhausted", seeds * 150),
            ("credits-unreachable", seeds * 40),
            ("no-answer", seeds * 10),
        ]),
        falsely: by_name(&[("credits-unreachable", seeds * 38), ("no-answer", seeds * 10)]),
        faults: by_name(&[("partition", seeds * 4), ("crash", seeds * 3)]),
        by_seed,
        recalls: spread(seeds * 80, 64),
        failovers: spread(seeds * 8, 1_024),
        reallocations: spread(seeds * 8, 512),
        commands_per_thousand: 14.0 * worse_by,
        median: shown(seeds / 2, "as much as in half of the seeds"),
        worst: shown(seeds.saturating_sub(1), "most falsely refused"),
        ..VariantReport::default()
    }
}

fn report(variants: Vec<VariantReport>) -> Report {
    let input = |role: &str, about: &str| Input {
        role: role.to_owned(),
        file: format!("{role}.toml"),
        about: about.to_owned(),
    };
    Report {
        inputs: vec![input("topology", "Five nodes in three zones"), input("faults", "A bad weekend")],
        seeds: variants.first().map_or(0, |first| first.seeds),
        minutes: 10,
        wall_s: 61.5,
        simulated_hours: variants.iter().map(|variant| variant.seeds as f64 / 6.0).sum(),
        variants,
        baselines: vec![Baseline {
            name: "one counter".to_owned(),
            asked: 9,
            refused: 2,
            ..Baseline::default()
        }],
        baseline_seeds: 20,
        ..Report::default()
    }
}

/// Panics where a tag is closed that is not open, or left open.
fn balanced(page: &str) {
    const VOID: [&str; 3] = ["meta", "br", "!doctype"];
    let mut open: Vec<&str> = Vec::new();
    let mut rest = page;
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        let end = rest.find('>').expect("a tag ends");
        let tag = &rest[..end];
        rest = &rest[end + 1..];
        let name = tag.trim_start_matches('/').split([' ', '/']).next().expect("a tag has a name");
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "closed before: {}", &rest[..rest.len().min(120)]);
        } else if !tag.ends_with('/') && !VOID.contains(&name) {
            open.push(name);
            if name == "style" || name == "script" {
                rest = &rest[rest.find("</").expect("it is closed")..];
            }
        }
    }
    assert!(open.is_empty(), "left open: {open:?}");
}

/// What is true of every report.
fn sound(report: &Report) -> (String, String) {
    let (page, text) = (html(report), text(report));
    balanced(&page);
    for word in ["NaN", "inf\"", "undefined"] {
        assert!(!page.contains(word), "{word}");
    }
    let elsewhere = page.replace("http://www.w3.org/2000/svg", "");
    for word in ["http", "//cdn", "@import", "url(", "<link", "<img", " src="] {
        assert!(!elsewhere.contains(word), "{word}");
    }
    assert!(text.lines().count() <= 42, "{text}");
    for line in text.lines() {
        assert!(line.chars().count() <= 100, "{line}");
    }
    (page, text)
}

fn left_to_look_at(name: &str, page: &str) {
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(file, page).expect("the target folder can be written to");
}

#[test]
fn a_full_report_is_small_and_quick() {
    let variants =
        vec![variant("standard", 500, 1.0), variant("wide", 500, 0.7), variant("narrow", 500, 1.4)];
    let report = report(variants);
    #[expect(clippy::disallowed_methods, reason = "measures the machine, not the simulation")]
    let before = Instant::now();
    let (page, text) = sound(&report);
    assert!(before.elapsed().as_secs_f64() < 5.0, "{:?}", before.elapsed());
    assert!(page.len() < 3_000_000, "{} bytes", page.len());
    assert!(page.contains("No pool was overdrawn, and no promise was broken."));
    assert!(text.starts_with("OK: No pool was overdrawn"), "{text}");
    assert!(page.contains("fewer than 1 in 166 such runs"));
    for answer in ["Was anybody refused", "stranded", "The worst seed: 499", "Which variant fares better"] {
        assert!(page.contains(answer), "{answer}");
    }
    left_to_look_at("report.html", &page);
    let mut crowded = report;
    for variant in &mut crowded.variants {
        for shown in [&mut variant.median, &mut variant.worst].into_iter().flatten() {
            shown.outcome = outcome(shown.seed, 2_000);
        }
    }
    let (page, _) = sound(&crowded);
    assert!(page.len() < 3_000_000, "{} bytes", page.len());
    left_to_look_at("crowded.html", &page);
}

#[test]
fn a_part_is_a_page_by_itself() {
    let full = report(vec![variant("standard", 40, 1.0), variant("wide", 40, 0.7)]);
    let run = part(&full, Part::WorstRun).unwrap();
    assert!(run.contains("The worst seed: 39") && run.contains("<svg") && !run.contains("<section"), "{run}");
    let others = part(&full, Part::OtherWays).unwrap();
    assert!(others.contains("one counter") && !others.contains("<article"), "{others}");
    for page in [&run, &others] {
        balanced(page);
    }
    let bare = Report::default();
    assert_eq!((part(&bare, Part::WorstRun), part(&bare, Part::OtherWays)), (None, None));
}

#[test]
fn an_empty_report_proves_nothing() {
    let (page, text) = sound(&Report::default());
    assert!(page.contains("nothing is proven"));
    assert!(text.starts_with("IDLE"), "{text}");
    // Runs without a request neither.
    let idle = VariantReport {
        asked: 0,
        refused: BTreeMap::new(),
        falsely: BTreeMap::new(),
        ..variant("idle", 3, 1.0)
    };
    assert!(sound(&report(vec![idle])).0.contains("nothing is proven"));
    let bare = VariantReport { name: "bare".into(), seeds: 1, asked: 5, ..VariantReport::default() };
    assert!(sound(&report(vec![bare.clone(), bare])).0.contains("Never happened"));
}

#[test]
fn no_refusal_is_said_so() {
    let calm = VariantReport {
        refused: BTreeMap::new(),
        falsely: BTreeMap::new(),
        by_seed: (0..9)
            .map(|seed| SeedFigures { seed, local_percent: 100.0, ..SeedFigures::default() })
            .collect(),
        ..variant("calm", 9, 1.0)
    };
    let (page, text) = sound(&report(vec![calm]));
    assert!(page.contains("Never, in 108,000 requests."));
    assert!(page.contains("In no seed"));
    assert!(text.contains("falsely refused        0 %  0 of 108,000"), "{text}");
}

#[test]
fn one_seed_is_enough_for_a_page() {
    let mut one = variant("alone", 1, 1.0);
    one.median = one.worst.clone();
    let (page, text) = sound(&Report { baseline_seeds: 1, ..report(vec![one]) });
    assert!(page.contains("over the first seed; of"));
    assert!(page.contains("1 seed of 10 simulated min"));
    assert_eq!(page.matches("<article").count(), 1, "the same run is shown once");
    assert!(!page.contains("Which variant fares better") && !text.contains("variant "), "{text}");
}

#[test]
fn numbers_may_be_as_large_as_they_like() {
    let most = u64::MAX;
    let long = Spread {
        count: most,
        p50: most,
        p90: most,
        p99: most,
        max: most,
        histogram: vec![(most, most), (1, most)],
    };
    let end = Sample { at_ms: most, available: most, out: most, used: most, told: most, ..Sample::default() };
    let run = Outcome {
        minutes: most,
        operations: most,
        fault_spans: vec![FaultSpan { kind: "skew".into(), at_ms: most, for_ms: most, place: String::new() }],
        timeline: vec![Sample::default(), end],
        ..Outcome::default()
    };
    let shown = Some(Shown { seed: most, outcome: run, ..Shown::default() });
    let far = |seed| SeedFigures { seed, stranded: 1e18, falsely_percent: 1e-12, ..SeedFigures::default() };
    let huge = VariantReport {
        nodes: usize::MAX,
        seeds: most,
        asked: most,
        charged: most,
        refused: by_name(&[("exhausted", most), ("no-answer", most)]),
        falsely: by_name(&[("exhausted", most), ("no-answer", 1)]),
        faults: by_name(&[("crash", most), ("drain", most)]),
        by_seed: vec![far(0), far(1), SeedFigures { stranded: f64::NAN, ..far(2) }],
        recalls: long.clone(),
        failovers: long.clone(),
        reallocations: long,
        median: shown.clone(),
        worst: shown,
        ..variant(&"long".repeat(80), 3, 1.0)
    };
    sound(&Report { minutes: most, ..report(vec![huge.clone(), huge]) });
}

#[test]
fn what_broke_stands_first_with_its_command() {
    let mut bad = variant("standard", 40, 1.0);
    bad.broken =
        BTreeMap::from([(7, "S3 never overdrawn: 120 of 100".to_owned()), (39, "S9 twice".to_owned())]);
    bad.overdrawn = 1;
    if let Some(worst) = &mut bad.worst {
        worst.outcome.broken =
            Some(BrokenAt { at_ms: 300_000, sentence: "S9 twice".into(), what: "by n1 and by n3".into() });
    }
    let (page, text) = sound(&report(vec![bad.clone(), variant("wide", 40, 0.9)]));
    assert!(page.contains("A pool was overdrawn in 1 of 80 runs."));
    assert!(text.starts_with("FAILED: A pool was overdrawn in 1 of 80 runs."), "{text}");
    let command = "tranche-sim run --topology my.toml --policy standard.toml --seeds 500 --seed 7";
    assert!(page.contains(&format!(">{command}</code>")) && text.contains(command), "{text}");
    let (broke, refused) = (page.find("What broke").unwrap(), page.find("Was anybody refused").unwrap());
    assert!(broke < refused && page.contains("Broken at 5\u{a0}min"));
    assert!(!page.contains("95\u{a0}% confidence"));
    left_to_look_at("broken.html", &page);
    // Another promise than the first.
    bad.overdrawn = 0;
    let (page, _) = sound(&report(vec![bad.clone()]));
    assert!(page.contains("No overdraft was seen, but 2 of 40 runs broke another promise, and ended there."));
    // One that stopped: nobody can say.
    bad.unknown = 1;
    let (page, text) = sound(&report(vec![bad.clone()]));
    assert!(
        page.contains("1 run of 40 stopped; whether a pool was overdrawn is not known. Another one broke")
    );
    assert!(
        text.starts_with("FAILED: 1 run of 40 stopped") && !page.contains("No overdraft was seen"),
        "{text}"
    );
    // More than anybody reads.
    bad.broken = (0..300).map(|seed| (seed, "S3 never overdrawn".repeat(20))).collect();
    let (page, text) = sound(&report(vec![bad]));
    assert!(page.contains("And 260 more") && text.contains("and 297 broken seeds more"), "{text}");
}

#[test]
fn no_text_from_outside_does_anything() {
    let evil = "</style><script>alert(1)</script>\"'><b onload=x>&\u{1b}[31m\n";
    let mut hostile = variant(evil, 3, 1.0);
    hostile.broken = BTreeMap::from([(1, evil.to_owned())]);
    for names in [&mut hostile.refused, &mut hostile.falsely, &mut hostile.faults] {
        names.insert(evil.to_owned(), 9_999);
    }
    for shown in [&mut hostile.median, &mut hostile.worst].into_iter().flatten() {
        (shown.why, shown.replay) = (evil.to_owned(), evil.to_owned());
        shown.outcome.broken = Some(BrokenAt { at_ms: 1, sentence: evil.to_owned(), what: evil.to_owned() });
        for span in &mut shown.outcome.fault_spans {
            (span.kind, span.place) = (evil.to_owned(), evil.to_owned());
        }
    }
    let other = hostile.clone();
    let mut report = report(vec![hostile, other]);
    report.inputs.push(Input { role: evil.to_owned(), file: evil.to_owned(), about: evil.to_owned() });
    let (page, text) = sound(&report);
    assert!(!page.contains("<script>alert") && !page.contains("<b onload") && !page.contains('\u{1b}'));
    assert!(!text.contains('\u{1b}'), "{text}");
}
