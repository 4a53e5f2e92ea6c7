//! Pictures as inline SVG, coloured by the page's style: how long something took, how something is spread over seeds, and
//! variants beside each other. Not here: a run over time (`course`), and the style itself (`style.css`).

use super::Spread;
use super::figures::{Figure, count, number, percent, quantile, short, time};
use super::scale::{Scale, duration_ticks, step, ticks, whole_ticks};
use super::words::{cut, escape};
use std::collections::BTreeMap;
use std::fmt::Write;

/// A picture that grows; coordinates are pixels of its own size.
#[derive(Debug)]
pub struct Svg {
    width: f64,
    height: f64,
    body: String,
}

/// A coordinate: a tenth of a pixel is fine enough.
pub fn px(value: f64) -> String {
    let text = format!("{:.1}", if value.is_finite() { value } else { 0.0 });
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

impl Svg {
    pub fn new(width: f64, height: f64) -> Self {
        Self { width, height, body: String::new() }
    }

    pub fn line(&mut self, class: &str, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
        let (x1, y1, x2, y2) = (px(x1), px(y1), px(x2), px(y2));
        let _ =
            write!(self.body, "<line class=\"{class}\" x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\"/>");
    }

    /// With what it says when it is pointed at; nothing where that is empty.
    pub fn rect(&mut self, class: &str, (x, y): (f64, f64), (width, height): (f64, f64), title: &str) {
        let (x, y, width, height) = (px(x), px(y), px(width.max(0.0)), px(height.max(0.0)));
        let start =
            format!("<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\"");
        let _ = match title {
            "" => write!(self.body, "{start}/>"),
            _ => write!(self.body, "{start}><title>{}</title></rect>", escape(title)),
        };
    }

    /// The class says where the text is anchored: `e` at its end, `m` in its middle, else at its start.
    pub fn text(&mut self, class: &str, (x, y): (f64, f64), text: &str) {
        let (x, y) = (px(x), px(y));
        let _ = write!(self.body, "<text class=\"{class}\" x=\"{x}\" y=\"{y}\">{}</text>", escape(text));
    }

    pub fn path(&mut self, class: &str, d: &str) {
        let _ = write!(self.body, "<path class=\"{class}\" d=\"{d}\"/>");
    }

    pub fn dot(&mut self, class: &str, (x, y): (f64, f64), radius: f64, title: &str) {
        let (x, y, r) = (px(x), px(y), px(radius));
        let start = format!("<circle class=\"{class}\" cx=\"{x}\" cy=\"{y}\" r=\"{r}\"");
        let _ = match title {
            "" => write!(self.body, "{start}/>"),
            _ => write!(self.body, "{start}><title>{}</title></circle>", escape(title)),
        };
    }

    pub fn done(self, class: &str, label: &str) -> String {
        self.with(class, label, "")
    }

    /// With attributes of the picture itself.
    pub fn with(self, class: &str, label: &str, attributes: &str) -> String {
        let (width, height, label, body) = (px(self.width), px(self.height), escape(label), self.body);
        format!(
            "<svg class=\"{class}\" viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{label}\"{attributes}>{body}</svg>"
        )
    }
}

/// Panels stand three in a row.
const WIDTH: f64 = 340.0;
const HEIGHT: f64 = 150.0;
const LEFT: f64 = 40.0;
const RIGHT: f64 = 330.0;
const TOP: f64 = 20.0;
const FLOOR: f64 = 126.0;

/// The y axis: faint lines at round values, and the floor.
fn y_axis(svg: &mut Svg, y: &Scale, ticks: &[f64], name: impl Fn(f64) -> String) {
    for tick in ticks {
        let at = y.at(*tick);
        if at < FLOOR - 1.0 {
            svg.line("grid", (LEFT, at), (RIGHT, at));
        }
        svg.text("tick e", (LEFT - 6.0, at + 4.0), &name(*tick));
    }
    svg.line("floor", (LEFT, FLOOR), (RIGHT, FLOOR));
}

/// How often something took how long; marks at the middle and at p99.
pub fn durations(spread: &Spread, what: &str) -> String {
    // By power of two: a bin ends there and begins at half of it.
    let mut bins: BTreeMap<u32, u64> = BTreeMap::new();
    for (until, times) in spread.histogram.iter().filter(|(_, times)| *times > 0) {
        let power = until.max(&1).checked_next_power_of_two().map_or(63, u64::trailing_zeros);
        let bin = bins.entry(power).or_default();
        *bin = bin.saturating_add(*times);
    }
    let mut svg = Svg::new(WIDTH, HEIGHT);
    let (Some((first, _)), Some((last, _))) = (bins.first_key_value(), bins.last_key_value()) else {
        return String::new();
    };
    // Never so few bins that one of them fills the picture.
    let (first, last) = (f64::from(*first), f64::from(*last));
    let wider = ((8.0 - (last - first)) / 2.0).max(0.0).floor();
    let (first, last) = ((first - wider).max(0.0), last + wider);
    let (low, high) = (2f64.powf(first - 1.0), 2f64.powf(last));
    let x = Scale::log((low, high), (LEFT, RIGHT));
    let most = bins.values().copied().max().unwrap_or(1);
    let y = Scale::straight((0.0, most as f64), (FLOOR, TOP));
    y_axis(&mut svg, &y, &whole_ticks(most as f64, 4), short);
    for (power, times) in &bins {
        let until = 2f64.powf(f64::from(*power));
        let (from, to, top) = (x.at(until / 2.0), x.at(until), y.at(*times as f64).min(FLOOR - 1.0));
        let title = format!("{} to {}: {}", time((until / 2.0) as u64), time(until as u64), count(*times));
        svg.rect("bar", (from + 0.75, top), (to - from - 1.5, FLOOR - top), &title);
    }
    let mut free_from = f64::NEG_INFINITY;
    for tick in duration_ticks(low.max(1.0), high) {
        let (at, name) = (x.at(tick as f64), time(tick));
        svg.line("floor", (at, FLOOR), (at, FLOOR + 4.0));
        let half = name.chars().count() as f64 * 3.2;
        if at - half > free_from {
            svg.text("tick m", (at, FLOOR + 17.0), &name);
            free_from = at + half + 8.0;
        }
    }
    for (name, value, anchor, shift) in [("p50", spread.p50, "e", -4.0), ("p99", spread.p99, "", 4.0)] {
        let at = x.at(value as f64);
        let (anchor, shift) = if at > RIGHT - 28.0 { ("e", -4.0) } else { (anchor, shift) };
        svg.line("mark", (at, TOP - 10.0), (at, FLOOR));
        svg.text(&format!("note {anchor}"), (at + shift, TOP - 3.0), name);
    }
    let label = format!("{what}: {} times; half within {}", count(spread.count), time(spread.p50));
    svg.done("panel", &label)
}

/// How many seeds ended with how much; for amounts that are often 0 and sometimes large.
pub fn histogram(figure: Figure, sorted: &[f64]) -> String {
    let Some(max) = sorted.last().copied() else { return String::new() };
    let width = if max > 0.0 { step(max, 16) } else { 1.0 };
    let many = ((max / width - 1e-9).ceil().max(1.0)) as usize;
    let mut bins = vec![0u64; many];
    for value in sorted {
        bins[((value / width).floor().max(0.0) as usize).min(many - 1)] += 1;
    }
    let most = bins.iter().copied().max().unwrap_or(1);
    let mut svg = Svg::new(WIDTH, HEIGHT);
    let x = Scale::straight((0.0, width * many as f64), (LEFT, RIGHT));
    let y = Scale::straight((0.0, most as f64), (FLOOR, TOP));
    y_axis(&mut svg, &y, &whole_ticks(most as f64, 4), short);
    for (at, seeds) in bins.iter().enumerate().filter(|(_, seeds)| **seeds > 0) {
        let from = at as f64 * width;
        let top = y.at(*seeds as f64).min(FLOOR - 1.0);
        let (left, right) = (x.at(from), x.at(from + width));
        let (low, high) = (figure.tick(from), figure.tick(from + width));
        let title = format!("{low} to {high}: in {} seeds", count(*seeds));
        svg.rect("bar", (left + 0.75, top), (right - left - 1.5, FLOOR - top), &title);
    }
    for tick in ticks(0.0, width * many as f64, 5) {
        let at = x.at(tick);
        svg.line("floor", (at, FLOOR), (at, FLOOR + 4.0));
        svg.text("tick m", (at, FLOOR + 17.0), &figure.tick(tick));
    }
    svg.done("panel", &format!("{} over {} seeds", figure.name(), count(sorted.len() as u64)))
}

/// All seeds from the best to the worst, each a step.
pub fn ranked(figure: Figure, best_first: &[f64]) -> String {
    let many = best_first.len();
    if many == 0 {
        return String::new();
    }
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for value in best_first {
        (low, high) = (low.min(*value), high.max(*value));
    }
    // Shares near 100 % are looked at from near.
    let from_zero = !figure.is_more_better() || low < 50.0;
    let pace = step(if from_zero { high } else { high - low }, 4);
    let bottom = if from_zero { 0.0 } else { (low / pace - 1e-9).floor() * pace };
    let top = if high > bottom { high } else { bottom + 1.0 };
    let mut svg = Svg::new(WIDTH, HEIGHT);
    let x = Scale::straight((0.0, many as f64), (LEFT, RIGHT));
    let y = Scale::straight((bottom, top), (FLOOR, TOP));
    y_axis(&mut svg, &y, &ticks(bottom, top, 4), |value| figure.tick(value));
    let mut d = format!("M{} {}", px(LEFT), px(y.at(best_first[0])));
    // Finer than pixels helps nobody.
    for rank in (0..many).step_by(many.div_ceil(1_000)).chain([many - 1]) {
        let _ = write!(d, "V{}H{}", px(y.at(best_first[rank])), px(x.at(rank as f64 + 1.0)));
    }
    if from_zero {
        svg.path("under", &format!("{d}V{}H{}Z", px(FLOOR), px(LEFT)));
    }
    svg.path("ranked", &d);
    for (part, name) in [(0.5, "half"), (0.95, "19 of 20"), (1.0, "worst")] {
        let rank = ((part * many as f64).ceil() as usize).clamp(1, many) - 1;
        let at = x.at((part * many as f64).max(1.0));
        svg.line("floor", (at, FLOOR), (at, FLOOR + 4.0));
        let title = format!("{name}: {}", figure.text(best_first[rank]));
        svg.dot("knot", (x.at(rank as f64 + 0.5), y.at(best_first[rank])), 3.2, &title);
        if name != "19 of 20" && (many >= 4 || name == "worst") {
            let class = if name == "worst" { "tick e" } else { "tick m" };
            svg.text(class, (at, FLOOR + 17.0), name);
        }
    }
    svg.text("tick", (LEFT, FLOOR + 17.0), "best seed");
    svg.done("panel", &format!("{}, seeds from best to worst", figure.name()))
}

/// A row of variants: each with its name, what is written at its end, and a drawing on a shared axis.
struct Rows {
    svg: Svg,
    x: Scale,
}

const ROWS_WIDTH: f64 = 266.0;
const ROW: f64 = 42.0;

impl Rows {
    fn new(many: usize, x: impl Fn((f64, f64)) -> Scale, ticks: &[(f64, String)]) -> Self {
        let floor = ROW * many as f64 + 6.0;
        let mut svg = Svg::new(ROWS_WIDTH, floor + 24.0);
        let x = x((8.0, ROWS_WIDTH - 14.0));
        let mut free_from = f64::NEG_INFINITY;
        for (value, name) in ticks {
            let at = x.at(*value);
            svg.line("grid", (at, 0.0), (at, floor));
            let half = name.chars().count() as f64 * 3.2;
            if at - half > free_from {
                svg.text("tick m", (at.clamp(half, ROWS_WIDTH - half), floor + 16.0), name);
                free_from = at + half + 8.0;
            }
        }
        svg.line("floor", (8.0, floor), (ROWS_WIDTH - 14.0, floor));
        Self { svg, x }
    }

    fn name(&mut self, turn: usize, name: &str, value: &str) -> f64 {
        let top = turn as f64 * ROW;
        let room = 37usize.saturating_sub(value.chars().count());
        self.svg.text("name", (8.0, top + 14.0), &cut(name, room.max(8)));
        self.svg.text("value e", (ROWS_WIDTH - 14.0, top + 14.0), value);
        top + 28.0
    }
}

/// One figure of every variant over the same seeds: each seed a point, the middle nine tenths a line, the half a bar. The
/// axis ends where the worst would leave the others no room; the worst is written beside.
pub fn by_variant(figure: Figure, variants: &[(&str, Vec<f64>)]) -> String {
    let values = || variants.iter().flat_map(|(_, sorted)| sorted.iter().copied());
    let (least, most) = (values().fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max));
    let at = |part: f64| variants.iter().map(move |(_, sorted)| quantile(sorted, part));
    let (p5, p95) = (at(0.05).fold(f64::INFINITY, f64::min), at(0.95).fold(0.0, f64::max));
    let (low, high) = match figure.is_more_better() {
        true if least > 50.0 && least < most => (least.max(p5 - (most - p5) * 0.4), most),
        true => (0.0, most),
        false => (0.0, if p95 > 0.0 { most.min(p95 * 1.4) } else { most }),
    };
    let high = if high > low { high } else { low + 1.0 };
    let named: Vec<(f64, String)> =
        ticks(low, high, 4).into_iter().map(|tick| (tick, figure.tick(tick))).collect();
    let mut rows = Rows::new(variants.len(), |pixels| Scale::straight((low, high), pixels), &named);
    for (turn, (name, sorted)) in variants.iter().enumerate() {
        let middle = quantile(sorted, 0.5);
        let worst = quantile(sorted, if figure.is_more_better() { 0.0 } else { 1.0 });
        let y = rows.name(turn, name, &format!("{}, worst {}", figure.text(middle), figure.text(worst)));
        let mut d = String::new();
        for (at, value) in sorted.iter().enumerate().step_by(sorted.len().div_ceil(1_500).max(1)) {
            // Beside each other by a pattern that looks like none, the same in every report.
            let aside = ((at * 7) % 11) as f64 - 5.0;
            if (low..=high).contains(value) {
                let _ = write!(d, "M{} {}h0", px(rows.x.at(*value)), px(y + aside));
            }
        }
        rows.svg.path("seeds", &d);
        if sorted.is_empty() {
            continue;
        }
        let at = |part| rows.x.at(quantile(sorted, part));
        let (p5, p25, p75, p95) = (at(0.05), at(0.25), at(0.75), at(0.95));
        rows.svg.line("span", (p5, y), (p95, y));
        rows.svg.line("half", (p25, y), (p75, y));
        rows.svg.dot("knot", (rows.x.at(middle), y), 4.0, &format!("in the middle: {}", figure.text(middle)));
    }
    rows.svg.done("rows", &format!("{} by variant", figure.name()))
}

/// How long something took, of every variant: from p50 over p99 to the longest.
pub fn spreads(what: &str, variants: &[(&str, &Spread)]) -> String {
    let some = || variants.iter().map(|(_, spread)| *spread).filter(|spread| spread.count > 0);
    let low = some().map(|spread| spread.p50.max(1)).min().unwrap_or(1) as f64 / 1.5;
    let high = some().map(|spread| spread.max.max(2)).max().unwrap_or(1_000) as f64 * 1.1;
    let named: Vec<(f64, String)> =
        duration_ticks(low, high).into_iter().map(|tick| (tick as f64, time(tick))).collect();
    let mut rows = Rows::new(variants.len(), |pixels| Scale::log((low, high), pixels), &named);
    for (turn, (name, spread)) in variants.iter().enumerate() {
        if spread.count == 0 {
            rows.name(turn, name, "never");
            continue;
        }
        let y = rows.name(turn, name, &format!("{} … {}", time(spread.p50), time(spread.p99)));
        let at = |ms: u64| rows.x.at(ms as f64);
        let (p50, p90, p99, max) = (at(spread.p50), at(spread.p90), at(spread.p99), at(spread.max));
        rows.svg.line("span", (p50, y), (max, y));
        rows.svg.line("half", (p50, y), (p90, y));
        rows.svg.dot("knot", (p50, y), 4.0, &format!("p50 {}", time(spread.p50)));
        rows.svg.line("stop", (p99, y - 6.0), (p99, y + 6.0));
        rows.svg.line("stop", (max, y - 3.0), (max, y + 3.0));
    }
    rows.svg.done("rows", &format!("{what} by variant"))
}

/// One number of every variant, as bars.
pub fn bars(what: &str, variants: &[(&str, f64)]) -> String {
    let high = variants.iter().map(|(_, value)| *value).filter(|value| value.is_finite()).fold(0.0, f64::max);
    let high = if high > 0.0 { high } else { 1.0 };
    let named: Vec<(f64, String)> = ticks(0.0, high, 4).into_iter().map(|tick| (tick, short(tick))).collect();
    let mut rows = Rows::new(variants.len(), |pixels| Scale::straight((0.0, high), pixels), &named);
    for (turn, (name, value)) in variants.iter().enumerate() {
        let y = rows.name(turn, name, &number(*value));
        let width = (rows.x.at(*value) - 8.0).max(1.0);
        rows.svg.rect("bar", (8.0, y - 5.0), (width, 10.0), "");
    }
    rows.svg.done("rows", &format!("{what} by variant"))
}

/// A whole in parts, as one bar: (class, part in per cent, what it is).
pub fn whole(parts: &[(&str, f64, &str)]) -> String {
    let mut html = String::from("<div class=\"whole\">");
    for (class, part, name) in parts.iter().filter(|(_, part, _)| *part > 0.0) {
        let title = escape(&format!("{name}: {}", percent(*part)));
        let _ =
            write!(html, "<span class=\"{class}\" style=\"flex-grow:{part:.4}\" title=\"{title}\"></span>");
    }
    html.push_str("</div>");
    html
}
