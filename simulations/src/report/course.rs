//! One run over time: the pool, leases, refusals, nodes and faults under each other on one axis of time, once for a wide
//! page and once for a narrow one. Not here: which runs are shown, and scales and strokes (`scale`, `chart`).

use super::chart::{Svg, px};
use super::figures::{count, credits_of, number, short, sum, time};
use super::scale::{Scale, ticks, time_ticks};
use super::words::cut;
use crate::outcome::{FaultSpan, Outcome, Sample};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Where things stand on the page.
#[derive(Clone, Copy, Debug)]
struct Layout {
    width: f64,
    left: f64,
    right: f64,
    /// Titles stand left of the plot, and names at the ends of lines; else both stand above.
    is_wide: bool,
    columns: usize,
}

const WIDE: Layout = Layout { width: 1_080.0, left: 196.0, right: 944.0, is_wide: true, columns: 374 };
const NARROW: Layout = Layout { width: 360.0, left: 40.0, right: 352.0, is_wide: false, columns: 156 };

/// A stretch of time, in credits and by the second.
#[derive(Clone, Debug, Default)]
struct Column {
    at_ms: u64,
    used: f64,
    out: f64,
    free: f64,
    told: f64,
    out_of_reach: f64,
    falsely: f64,
    rightly: f64,
    up: usize,
    is_led: bool,
}

impl Column {
    const fn all(&self) -> f64 {
        self.used + self.out + self.free
    }
}

/// While there was load: what the world then does to come to rest would dwarf it. All, where something broke only then.
fn under_load(outcome: &Outcome) -> &[Sample] {
    let end_ms = outcome.minutes.saturating_mul(60_000);
    let broke_later = outcome.broken.as_ref().is_some_and(|broken| broken.at_ms > end_ms);
    match outcome.timeline.partition_point(|sample| sample.at_ms <= end_ms) {
        0 => &outcome.timeline,
        _ if broke_later => &outcome.timeline,
        some => &outcome.timeline[..some],
    }
}

/// At most so many columns: what is counted goes by differences, what is bad in between is kept.
fn columns(timeline: &[Sample], most: usize) -> Vec<Column> {
    let each = timeline.len().div_ceil(most.max(1)).max(1);
    let mut columns: Vec<Column> = Vec::new();
    let (mut before_ms, mut falsely, mut refused) = (0, 0, 0);
    for part in timeline.chunks(each) {
        let last = &part[part.len() - 1];
        let seconds = (last.at_ms.saturating_sub(before_ms)).max(1) as f64 / 1_000.0;
        let false_ones = last.falsely.saturating_sub(falsely);
        let all_ones = last.refused.saturating_sub(refused);
        columns.push(Column {
            at_ms: last.at_ms,
            used: credits_of(last.used),
            out: credits_of(last.out),
            free: credits_of(last.available),
            told: credits_of(last.told),
            out_of_reach: part.iter().map(|sample| credits_of(sample.out_of_reach)).fold(0.0, f64::max),
            falsely: false_ones as f64 / seconds,
            rightly: all_ones.saturating_sub(false_ones) as f64 / seconds,
            up: part.iter().map(|sample| sample.nodes_up).min().unwrap_or(0),
            is_led: part.iter().all(|sample| sample.led),
        });
        (before_ms, falsely, refused) = (last.at_ms, last.falsely, last.refused);
    }
    columns
}

/// Both pictures of a run, and its numbers for the hover.
pub fn course(outcome: &Outcome) -> String {
    if outcome.timeline.is_empty() {
        return "<p class=\"none\">No timeline was kept of this run.</p>".to_owned();
    }
    let mut html = picture(outcome, WIDE);
    html.push_str(&picture(outcome, NARROW));
    let _ = write!(html, "<script type=\"application/json\" class=\"numbers\">{}</script>", numbers(outcome));
    html
}

/// `[at_ms, used, out, available, told, out of reach, falsely/s, rightly/s, up, led]` of each column.
fn numbers(outcome: &Outcome) -> String {
    let mut text = String::from("[");
    for (at, one) in columns(under_load(outcome), WIDE.columns).iter().enumerate() {
        let comma = if at == 0 { "" } else { "," };
        let credits = [one.used, one.out, one.free, one.told, one.out_of_reach, one.falsely, one.rightly]
            .map(|value| format!("{}", (value * 100.0).round() / 100.0));
        let (at_ms, credits, led) = (one.at_ms, credits.join(","), u8::from(one.is_led));
        let _ = write!(text, "{comma}[{at_ms},{credits},{},{led}]", one.up);
    }
    text.push(']');
    text
}

/// A picture in the making: panels are put under each other.
struct Course<'a> {
    outcome: &'a Outcome,
    layout: Layout,
    columns: Vec<Column>,
    x: Scale,
    end_ms: u64,
    svg: Svg,
    y: f64,
}

fn picture(outcome: &Outcome, layout: Layout) -> String {
    let columns = columns(under_load(outcome), layout.columns);
    let last_ms = columns.last().map_or(1, |column| column.at_ms);
    let end_ms = last_ms.max(1);
    let x = Scale::straight((0.0, end_ms as f64), (layout.left, layout.right));
    let lanes = Lanes::of(&outcome.fault_spans, layout, &x, end_ms);
    // Drawn first to know how high it becomes, then under a frame of that height.
    let mut course = Course { outcome, layout, columns, x, end_ms, svg: Svg::new(0.0, 0.0), y: 0.0 };
    course.draw(&lanes);
    let height = course.y + 26.0;
    course.svg = Svg::new(layout.width, height);
    course.frame();
    course.y = 0.0;
    course.draw(&lanes);
    course.axis();
    course.svg.line("cross", (layout.left, 0.0), (layout.left, height - 26.0));
    let (left, right) = (px(layout.left), px(layout.right));
    let class = if layout.is_wide { "course wide" } else { "course narrow" };
    let label = format!("Seed {} over time: pool, leases, refusals, nodes, faults", outcome.seed);
    let attributes = format!(" data-left=\"{left}\" data-right=\"{right}\" data-end=\"{end_ms}\"");
    course.svg.with(class, &label, &attributes)
}

/// What stands at the end of a line or layer: its colour, its name, and where.
struct Name {
    class: &'static str,
    name: String,
    y: f64,
}

impl Course<'_> {
    fn draw(&mut self, lanes: &Lanes) {
        self.pool();
        self.leases();
        self.refusals();
        self.nodes();
        self.faults(lanes);
    }

    /// Faint bands through all panels where a fault is on.
    fn frame(&mut self) {
        let mut spans: Vec<(u64, u64)> = Vec::new();
        let mut sorted: Vec<&FaultSpan> = self.outcome.fault_spans.iter().collect();
        sorted.sort_by_key(|span| span.at_ms);
        for span in sorted {
            let end = span.at_ms.saturating_add(span.for_ms);
            match spans.last_mut() {
                Some((_, last)) if *last >= span.at_ms => *last = end.max(*last),
                _ => spans.push((span.at_ms, end)),
            }
        }
        for (from, to) in spans {
            let (left, right) = (self.x.at(from as f64), self.x.at(to as f64));
            self.svg.rect("shade", (left, 0.0), (right - left, self.y), "");
        }
        for tick in self.ticks() {
            let at = self.x.at(tick as f64);
            self.svg.line("grid", (at, 0.0), (at, self.y));
        }
    }

    fn ticks(&self) -> Vec<u64> {
        time_ticks(self.end_ms, if self.layout.is_wide { 10 } else { 5 })
    }

    fn axis(&mut self) {
        let (left, right, floor) = (self.layout.left, self.layout.right, self.y);
        self.svg.line("floor", (left, floor), (right, floor));
        for tick in self.ticks() {
            let at = self.x.at(tick as f64);
            self.svg.line("floor", (at, floor), (at, floor + 4.0));
            let class = if at > right - 12.0 { "tick e" } else { "tick m" };
            let name = if tick == 0 { "0".to_owned() } else { time(tick) };
            self.svg.text(class, (at, floor + 18.0), &name);
        }
        let healed_ms = self.outcome.minutes.saturating_mul(60_000);
        if healed_ms > 0 && healed_ms < self.end_ms {
            let at = self.x.at(healed_ms as f64);
            self.svg.line("healed", (at, 0.0), (at, floor));
            if self.layout.is_wide {
                self.svg.text("note e halo", (at - 5.0, 11.0), "load ends, all heals");
            }
        }
        if let Some(broken) = &self.outcome.broken {
            let at = self.x.at(broken.at_ms as f64);
            self.svg.line("break", (at, 0.0), (at, floor));
            let on_right = at < self.layout.right - 200.0;
            let (class, shift) = if on_right { ("false-ink", 5.0) } else { ("false-ink e", -5.0) };
            let text = cut(&format!("broken: {}", broken.sentence), 40);
            self.svg.text(&format!("note halo {class}"), (at + shift, 25.0), &text);
        }
    }

    /// Begins a panel: its title, where its plot lies, its y axis. Returns the scale.
    fn panel(&mut self, title: &str, about: &[&str], height: f64, high: f64, ticks: &[f64]) -> Scale {
        let Layout { left, right, is_wide, .. } = self.layout;
        let top = if is_wide {
            self.svg.text("title", (0.0, self.y + 12.0), title);
            for (line, text) in about.iter().enumerate() {
                self.svg.text("about", (0.0, self.y + 28.0 + line as f64 * 15.0), text);
            }
            self.y + 4.0
        } else {
            self.svg.text("title", (0.0, self.y + 14.0), title);
            self.y + if about.is_empty() { 26.0 } else { 40.0 }
        };
        let floor = top + height;
        let scale = Scale::straight((0.0, high), (floor, top));
        for tick in ticks {
            let at = scale.at(*tick);
            if *tick > 0.0 {
                self.svg.line("grid", (left, at), (right, at));
            }
            self.svg.text("tick e", (left - 6.0, at + 4.0), &short(*tick));
        }
        self.y = floor + if is_wide { 26.0 } else { 18.0 };
        scale
    }

    /// Names at the ends of what they name; in a narrow picture, beside each other under the title.
    fn names(&mut self, top: f64, floor: f64, mut names: Vec<Name>) {
        if !self.layout.is_wide {
            let mut x = 0.0;
            for name in &names {
                self.svg.rect(&format!("chip {}", name.class), (x, top - 14.0), (8.0, 8.0), "");
                self.svg.text("tick", (x + 12.0, top - 6.0), &name.name);
                x += 22.0 + name.name.chars().count() as f64 * 6.2;
            }
            return;
        }
        names.sort_by(|a, b| a.y.total_cmp(&b.y));
        let mut free_from = top - 2.0;
        let room = names.len() as f64 * 15.0;
        for name in &mut names {
            name.y = name.y.max(free_from + 7.0);
            free_from = name.y + 8.0;
        }
        // Pushed over the floor, they go up together.
        let over = (free_from - floor - 4.0).max(0.0).min((floor - top - room + 20.0).max(0.0));
        for name in &names {
            let (x, y) = (self.layout.right + 10.0, name.y - over);
            self.svg.rect(&format!("chip {}", name.class), (x, y - 4.0), (8.0, 8.0), "");
            self.svg.text("name", (x + 13.0, y + 4.0), &name.name);
        }
    }

    /// The area between two values of each column, as steps that end at the column.
    fn area(&mut self, class: &str, scale: &Scale, low: fn(&Column) -> f64, high: fn(&Column) -> f64) {
        let mut d = String::new();
        for (at, column) in self.columns.iter().enumerate() {
            let (x, y) = (px(self.x.at(column.at_ms as f64)), px(scale.at(high(column))));
            let _ = write!(d, "{}{x} {y}", if at == 0 { 'M' } else { 'L' });
        }
        for column in self.columns.iter().rev() {
            let (x, y) = (px(self.x.at(column.at_ms as f64)), px(scale.at(low(column))));
            let _ = write!(d, "L{x} {y}");
        }
        self.svg.path(class, &format!("{d}Z"));
    }

    fn trace(&mut self, class: &str, scale: &Scale, value: fn(&Column) -> f64) {
        let mut d = String::new();
        for (at, column) in self.columns.iter().enumerate() {
            let (x, y) = (px(self.x.at(column.at_ms as f64)), px(scale.at(value(column))));
            let _ = write!(d, "{}{x} {y}", if at == 0 { 'M' } else { 'L' });
        }
        self.svg.path(class, &d);
    }

    fn pool(&mut self) {
        let high = self.columns.iter().map(Column::all).fold(0.0, f64::max).max(1e-6);
        let height = if self.layout.is_wide { 190.0 } else { 150.0 };
        let about = ["in credits, all pools together;", "told: what clients know that", "they have spent"];
        let title = if self.layout.is_wide { "The pool" } else { "The pool, credits" };
        let scale = self.panel(title, &about, height, high, &ticks(0.0, high, 4));
        self.area("used", &scale, |_| 0.0, |column| column.used);
        self.area("out", &scale, |column| column.used, |column| column.used + column.out);
        self.area("free", &scale, |column| column.used + column.out, Column::all);
        self.trace("told", &scale, |column| column.told);
        let at = self.columns.last().cloned().unwrap_or_default();
        let (used, out, all) = (scale.at(at.used), scale.at(at.used + at.out), scale.at(at.all()));
        let (floor, top) = (scale.at(0.0), scale.at(high));
        let mut names = vec![
            Name { class: "free", name: "available".into(), y: f64::midpoint(out, all) },
            Name { class: "out", name: "out on leases".into(), y: f64::midpoint(used, out) },
            Name { class: "used", name: "used".into(), y: f64::midpoint(floor, used) },
        ];
        names.push(Name { class: "told-chip", name: "told to clients".into(), y: scale.at(at.told) });
        self.names(top, floor, names);
    }

    fn leases(&mut self) {
        let high = self.columns.iter().map(|column| column.out.max(column.out_of_reach)).fold(0.0, f64::max);
        let (high, height) = (high.max(1e-6), 74.0);
        let title = if self.layout.is_wide { "Out on leases" } else { "Out on leases, credits" };
        let about = ["in credits; out of reach", "while the holder is down", "or cut off"];
        let scale = self.panel(title, &about, height, high, &ticks(0.0, high, 3));
        self.area("out", &scale, |_| 0.0, |column| column.out);
        self.area("unreached", &scale, |_| 0.0, |column| column.out_of_reach);
        let (floor, top) = (scale.at(0.0), scale.at(high));
        let middle = f64::midpoint(floor, top);
        let names = vec![
            Name { class: "out", name: "out".into(), y: middle - 8.0 },
            Name { class: "unreached", name: "out of reach".into(), y: middle + 8.0 },
        ];
        self.names(top, floor, names);
    }

    fn refusals(&mut self) {
        let all = |column: &Column| column.falsely + column.rightly;
        let high = self.columns.iter().map(all).fold(0.0, f64::max);
        let title = if self.layout.is_wide { "Refusals" } else { "Refusals a second" };
        if high == 0.0 {
            let scale = self.panel(title, &["a second"], 20.0, 1.0, &[]);
            let at = (self.layout.left + 8.0, scale.at(0.3));
            return self.svg.text("tick", at, "nobody was refused");
        }
        let scale = self.panel(title, &["a second"], 84.0, high, &ticks(0.0, high, 3));
        let floor = scale.at(0.0);
        let (mut rightly, mut falsely) = (String::new(), String::new());
        let mut from = self.x.at(0.0);
        for column in &self.columns {
            let to = self.x.at(column.at_ms as f64);
            let (middle, top) = (scale.at(column.falsely), scale.at(all(column)));
            let width = px((to - from - 0.4).max(0.6));
            for (d, low, high) in [(&mut falsely, floor, middle), (&mut rightly, middle, top)] {
                if low - high > 0.05 {
                    let _ = write!(d, "M{} {}h{width}V{}h-{width}Z", px(from), px(low), px(high));
                }
            }
            from = to;
        }
        self.svg.path("rightly", &rightly);
        self.svg.path("falsely", &falsely);
        let (top, middle) = (scale.at(high), f64::midpoint(floor, scale.at(high)));
        let names = vec![
            Name { class: "rightly", name: "rightly".into(), y: middle - 8.0 },
            Name { class: "falsely", name: "falsely".into(), y: middle + 8.0 },
        ];
        self.names(top, floor, names);
    }

    fn nodes(&mut self) {
        let most = self.columns.iter().map(|column| column.up).max().unwrap_or(0).max(self.outcome.nodes);
        let title = if self.layout.is_wide { "Nodes up" } else { "Nodes up, and whether one leads" };
        let high = most.max(1) as f64;
        let about: &[&str] = if self.layout.is_wide { &["and whether one leads"] } else { &[] };
        let scale = self.panel(title, about, 44.0, high, &[0.0, high]);
        let (floor, left) = (scale.at(0.0), self.layout.left);
        let mut d = String::new();
        let (mut leaderless, mut from) = (Vec::<(f64, f64)>::new(), left);
        for column in &self.columns {
            let (to, y) = (self.x.at(column.at_ms as f64), px(scale.at(column.up as f64)));
            let _ = if d.is_empty() {
                write!(d, "M{} {y}H{}", px(from), px(to))
            } else {
                write!(d, "V{y}H{}", px(to))
            };
            if !column.is_led {
                match leaderless.last_mut() {
                    Some((_, end)) if (*end - from).abs() < 0.01 => *end = to,
                    _ => leaderless.push((from, to)),
                }
            }
            from = to;
        }
        self.svg.path("up", &d);
        let ribbon = floor + 5.0;
        self.svg.rect("led", (left, ribbon), (self.layout.right - left, 5.0), "");
        for (from, to) in leaderless {
            self.svg.rect("unled", (from, ribbon), ((to - from).max(1.5), 5.0), "");
        }
        self.y += 8.0;
        if self.layout.is_wide {
            let up =
                Name { class: "up-chip", name: format!("all {}", count(most as u64)), y: scale.at(high) };
            let led = Name { class: "unled", name: "no leader".into(), y: ribbon + 2.5 };
            self.names(scale.at(high) - 8.0, ribbon + 12.0, vec![up, led]);
        }
    }

    fn faults(&mut self, lanes: &Lanes) {
        let (title, top) = ("Faults", self.y);
        self.svg.text("title", (0.0, top + 12.0), title);
        if lanes.kinds.is_empty() {
            let begun = sum(&self.outcome.faults);
            let text = if begun == 0 { "none" } else { "their times were not written down" };
            self.svg.text("tick", (self.layout.left + 8.0, top + 12.0), text);
            self.y += 26.0;
            return;
        }
        let mut y = if self.layout.is_wide { top } else { top + 22.0 };
        for (kind, lanes) in &lanes.kinds {
            if self.layout.is_wide {
                self.svg.text("tick e", (self.layout.left - 8.0, y + 12.0), &cut(kind, 24));
            } else {
                self.svg.text("tick halo", (self.layout.left, y + 10.0), kind);
                y += 13.0;
            }
            for lane in lanes {
                self.lane(lane, y);
                y += LANE;
            }
            y += if self.layout.is_wide { 3.0 } else { 2.0 };
        }
        self.y = y + 4.0;
    }

    fn lane(&mut self, lane: &[Bar], y: f64) {
        for (at, bar) in lane.iter().enumerate() {
            self.svg.rect("fault", (bar.from, y + 2.0), (bar.to - bar.from, LANE - 4.0), &bar.title);
            let needs = bar.place.chars().count() as f64 * LETTER + 6.0;
            let next = lane.get(at + 1).map_or(self.layout.right, |bar| bar.from);
            if bar.place.is_empty() {
                continue;
            }
            if bar.to - bar.from > needs {
                self.svg.text("place m", (f64::midpoint(bar.from, bar.to), y + 11.5), &bar.place);
            } else if next - bar.to > needs {
                self.svg.text("aside", (bar.to + 3.0, y + 11.5), &bar.place);
            }
        }
    }
}

const LANE: f64 = 16.0;
const LETTER: f64 = 5.8;
/// Of one kind; what overlaps more often becomes one bar in the last.
const LANES_MAX: usize = 4;

struct Bar {
    from: f64,
    to: f64,
    place: String,
    title: String,
}

/// Faults by kind, in the order in which kinds come first; those of a kind that overlap lie under each other.
struct Lanes {
    kinds: Vec<(String, Vec<Vec<Bar>>)>,
}

impl Lanes {
    fn of(spans: &[FaultSpan], layout: Layout, x: &Scale, end_ms: u64) -> Self {
        let mut sorted: Vec<&FaultSpan> = spans.iter().filter(|span| span.at_ms <= end_ms).collect();
        sorted.sort_by_key(|span| (span.at_ms, span.for_ms));
        let mut kinds: Vec<(String, Vec<Vec<Bar>>)> = Vec::new();
        let mut known: BTreeMap<&str, usize> = BTreeMap::new();
        for span in sorted {
            let kind = *known.entry(&span.kind).or_insert_with(|| {
                kinds.push((span.kind.clone(), Vec::new()));
                kinds.len() - 1
            });
            let from = x.at(span.at_ms as f64).min(layout.right - 2.5);
            let to = x.at(span.at_ms.saturating_add(span.for_ms) as f64).max(from + 2.5);
            let (kind_name, at, long) = (&span.kind, time(span.at_ms), time(span.for_ms));
            let place = cut(&span.place, 24);
            // A finger does not hover.
            let is_wide = layout.is_wide;
            let title = if is_wide {
                format!("{kind_name} {} at {at} for {long}", span.place)
            } else {
                String::new()
            };
            let bar = Bar { from, to, place, title };
            let lanes = &mut kinds[kind].1;
            let is_free = |lane: &Vec<Bar>| lane.last().is_none_or(|last| last.to < from - 1.0);
            match lanes.iter().position(is_free) {
                Some(free) => lanes[free].push(bar),
                None if lanes.len() < LANES_MAX => lanes.push(vec![bar]),
                None => {
                    if let Some(last) = lanes[LANES_MAX - 1].last_mut() {
                        last.to = last.to.max(bar.to);
                        last.place.clear();
                        last.title = format!("{kind_name}: several at once");
                    }
                }
            }
        }
        Self { kinds }
    }
}

/// What a run showed, in one line.
pub fn summary(outcome: &Outcome) -> Vec<(String, String)> {
    let served = &outcome.served;
    let mut facts = vec![
        ("requests".to_owned(), count(if served.asked > 0 { served.asked } else { outcome.operations })),
        ("falsely refused".to_owned(), count(sum(&served.falsely))),
        ("refused in all".to_owned(), count(sum(&served.refused))),
        ("stranded".to_owned(), number(credits_of(served.stranded))),
        ("elections".to_owned(), count(outcome.elections)),
        ("faults".to_owned(), count(sum(&outcome.faults).max(outcome.fault_spans.len() as u64))),
    ];
    if let Some(first) = &served.first_false_refusal {
        facts.push(("first false refusal after".to_owned(), time(first.at_ms)));
    }
    facts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(at_ms: u64, falsely: u64, refused: u64) -> Sample {
        Sample { at_ms, falsely, refused, available: 1, nodes_up: 3, led: true, ..Sample::default() }
    }

    #[test]
    fn few_columns_keep_what_was_bad() {
        let mut timeline: Vec<Sample> = (1..=100).map(|at| sample(at * 1_000, at, at * 3)).collect();
        (timeline[40].led, timeline[41].nodes_up) = (false, 1);
        let few = columns(&timeline, 10);
        assert_eq!(few.len(), 10);
        assert!(few.iter().all(|one| (one.falsely - 1.0).abs() < 1e-9 && (one.rightly - 2.0).abs() < 1e-9));
        assert_eq!(few.iter().filter(|one| !one.is_led && one.up == 1).count(), 1);
    }

    #[test]
    fn faults_that_overlap_lie_under_each_other() {
        let span = |at_ms, for_ms| FaultSpan { kind: "crash".into(), at_ms, for_ms, place: "n1".into() };
        let x = Scale::straight((0.0, 100.0), (WIDE.left, WIDE.right));
        let lanes = Lanes::of(&[span(0, 50), span(60, 10), span(20, 20), span(900, 1)], WIDE, &x, 100);
        let many: Vec<usize> = lanes.kinds[0].1.iter().map(Vec::len).collect();
        assert_eq!(many, [2, 1]);
        let crowd: Vec<FaultSpan> = (0..50).map(|_| span(0, 100)).collect();
        assert_eq!(Lanes::of(&crowd, WIDE, &x, 100).kinds[0].1.len(), LANES_MAX);
    }

    #[test]
    fn a_run_without_times_says_so() {
        assert!(course(&Outcome::default()).contains("No timeline"));
        let one = Outcome { timeline: vec![Sample::default()], ..Outcome::default() };
        let drawn = course(&one);
        assert!(drawn.contains("nobody was refused") && !drawn.contains("NaN"), "{drawn}");
        let endless = Sample { used: u64::MAX, out: u64::MAX, at_ms: u64::MAX, ..Sample::default() };
        let huge = Outcome { timeline: vec![endless.clone(), endless], ..Outcome::default() };
        assert!(!course(&huge).contains("NaN"));
    }
}
