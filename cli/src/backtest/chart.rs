//! A chart of a backtest: the count between its bounds, and below it each metric, scaled to its own greatest value.
//!
//! One SVG that stands for itself. Its colours are those of the reader's light or dark scheme.

use std::fmt::Write;

use jiff::Timestamp;
use wharfinger_core::scaling::backtest::{Backtest, Moment};
use wharfinger_core::scaling::bounds;

use super::metrics::Metrics;
use super::table::course;

const WIDTH: f64 = 960.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 944.0;
/// Where the count is drawn: its upper and lower end.
const COUNT: (f64, f64) = (48.0, 288.0);
/// Where the metrics are.
const METRICS: (f64, f64) = (320.0, 440.0);
/// How high a line of the legend is.
const LINE: f64 = 18.0;

/// How many ticks an axis has at most.
const TICKS: usize = 8;

/// Steps between two ticks of the time, in seconds.
const STEPS: [i32; 13] = [
    60, 300, 900, 1_800, 3_600, 7_200, 14_400, 43_200, 86_400, 172_800, 604_800, 2_592_000, 31_536_000,
];

/// The colours, seen on white and on black: of Okabe and Ito, without those that are too near to either.
const COLOURS: [&str; 6] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];

/// How the lines are dashed when the colours come again.
const DASHES: [&str; 4] = ["none", "7 3", "2 3", "8 3 2 3"];

/// How many characters of a name are shown: of the widest ones so many fit beside the rest of the line.
const NAME: usize = 60;

const STYLE: &str = "\
:root{color-scheme:light dark;color:#1f2328;background:#fff}\
@media(prefers-color-scheme:dark){:root{color:#e6edf3;background:#0d1117}}\
text{font:12px system-ui,sans-serif;fill:currentColor}\
.grid{stroke:currentColor;stroke-opacity:.15}\
.axis{stroke:currentColor;stroke-opacity:.6}\
.bound{fill:none;stroke:currentColor;stroke-opacity:.6;stroke-dasharray:4 4}\
.count{fill:none;stroke:currentColor;stroke-width:2}\
.metric{fill:none;stroke-width:1.5}";

/// Draws it.
pub(super) fn draw(backtest: &Backtest, metrics: &Metrics, moments: &[Moment]) -> String {
    let height = METRICS.1 + 48.0 + LINE * number(metrics.columns.len());
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">\
         <title>{0}: desired count</title><style>{STYLE}</style>\n\
         <text x=\"{LEFT}\" y=\"24\">{1}: desired count, with its bounds dashed; times are UTC</text>\n",
        escaped(&backtest.target.to_string()),
        escaped(&shortened(&backtest.target.to_string())),
    );
    let (Some(first), Some(last)) = (moments.first(), moments.last()) else {
        svg.push_str("<text x=\"56\" y=\"60\">there are no rows</text></svg>\n");
        return svg;
    };
    let across = Across {
        from: first.time,
        seconds: last.time.duration_since(first.time).as_secs_f64().max(1.0),
    };
    across.axis(&mut svg);
    counts(&mut svg, backtest, moments, &across);
    values(&mut svg, metrics, &across);
    svg.push_str("</svg>\n");
    svg
}

/// The axis of the time.
struct Across {
    from: Timestamp,
    seconds: f64,
}

impl Across {
    fn x(&self, time: Timestamp) -> f64 {
        LEFT + (RIGHT - LEFT) * time.duration_since(self.from).as_secs_f64() / self.seconds
    }

    fn axis(&self, svg: &mut String) {
        let fits = |step: &&i32| self.seconds <= f64::from(**step) * number(TICKS);
        let step: i64 = STEPS.iter().find(fits).or(STEPS.last()).copied().unwrap_or(1).into();
        let form = match self.seconds {
            s if s <= 86_400.0 => "%H:%M",
            _ if step < 86_400 => "%m-%d %H:%M",
            _ => "%Y-%m-%d",
        };
        let first = self.from.as_second().div_euclid(step) * step;
        let ticks =
            std::iter::successors(Some(first), |at| at.checked_add(step)).skip_while(|at| *at < self.from.as_second());
        for at in ticks.map_while(|at| Timestamp::from_second(at).ok()).take(TICKS + 1) {
            let x = self.x(at);
            if x > RIGHT {
                break;
            }
            line(svg, "grid", (x, COUNT.0), (x, METRICS.1));
            let text = at.strftime(form).to_string();
            let (x, anchor) = within(x, &text);
            label(svg, (x, METRICS.1 + 18.0), anchor, &text);
        }
    }
}

/// Where a text in the middle of `x` goes so that none of it is cut off at the right.
fn within(x: f64, text: &str) -> (f64, &'static str) {
    // No digit is wider.
    let half = 3.5 * number(text.len());
    if x + half > WIDTH {
        (WIDTH - 2.0, "end")
    } else {
        (x, "middle")
    }
}

/// The count and its bounds.
fn counts(svg: &mut String, backtest: &Backtest, moments: &[Moment], across: &Across) {
    let course: Vec<_> = course(moments).collect();
    let bounds: Vec<_> = course
        .iter()
        .map(|(time, _)| bounds(&backtest.scaling, None, *time).bounds)
        .collect();
    let counts = course.iter().map(|(_, count)| *count);
    let most = bounds.iter().map(|b| b.max).chain(counts).max();
    let most = most.unwrap_or_default().max(1);
    let y = |count: u32| COUNT.1 - (COUNT.1 - COUNT.0) * f64::from(count) / f64::from(most);
    let step = most.div_ceil(6);
    for count in (0..=most).step_by(step as usize) {
        line(svg, "grid", (LEFT, y(count)), (RIGHT, y(count)));
        label(svg, (LEFT - 8.0, y(count) + 4.0), "end", &count.to_string());
    }
    line(svg, "axis", (LEFT, COUNT.0), (LEFT, COUNT.1));
    line(svg, "axis", (LEFT, COUNT.1), (RIGHT, COUNT.1));
    let steps = |of: &dyn Fn(usize) -> u32| {
        let mut path = String::new();
        let mut before = None;
        for (i, (time, _)) in course.iter().enumerate() {
            let (x, now) = (across.x(*time), of(i));
            match before {
                None => push(&mut path, format_args!("M{x:.1} {:.1}", y(now))),
                Some(before) if before != now => push(&mut path, format_args!("H{x:.1}V{:.1}", y(now))),
                Some(_) => {}
            }
            before = Some(now);
        }
        path + &format!("H{RIGHT:.1}")
    };
    for path in [steps(&|i| bounds[i].min), steps(&|i| bounds[i].max)] {
        push(svg, format_args!("<path class=\"bound\" d=\"{path}\"/>\n"));
    }
    let path = steps(&|i| course[i].1);
    push(svg, format_args!("<path class=\"count\" d=\"{path}\"/>\n"));
}

/// Each metric, with its line in the legend.
fn values(svg: &mut String, metrics: &Metrics, across: &Across) {
    line(svg, "axis", (LEFT, METRICS.0), (LEFT, METRICS.1));
    line(svg, "axis", (LEFT, METRICS.1), (RIGHT, METRICS.1));
    label(
        svg,
        (LEFT, METRICS.0 - 8.0),
        "start",
        "the metrics, each on a scale of its own",
    );
    let dashes = DASHES
        .iter()
        .flat_map(|dash| COLOURS.iter().map(move |colour| (colour, dash)));
    for ((i, column), (colour, dash)) in metrics.columns.iter().enumerate().zip(dashes.cycle()) {
        let path = |svg: &mut String, d: &str| {
            let style = format_args!("class=\"metric\" stroke=\"{colour}\" stroke-dasharray=\"{dash}\"");
            push(svg, format_args!("<path {style} d=\"{d}\"/>\n"));
        };
        let known = metrics.rows.iter().filter_map(|row| row.values[column]);
        let (low, high) = known.fold((0.0_f64, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
        let at = METRICS.1 + 40.0 + LINE * number(i);
        path(svg, &format!("M{LEFT} {}h24", at - 4.0));
        let name = shortened(column);
        let told = if high.is_finite() {
            format!("{name}, drawn from {} to {}", value(low), value(high))
        } else {
            format!("{name}, no data")
        };
        label(svg, (LEFT + 32.0, at), "start", &told);
        // In halves: the whole of the greatest numbers is beyond every number.
        let range = if high > low { high / 2.0 - low / 2.0 } else { 1.0 };
        let y = |value: f64| METRICS.1 - (METRICS.1 - METRICS.0) * ((value / 2.0 - low / 2.0) / range);
        path(svg, &line_of(metrics, column, across, y));
    }
}

/// A value of a metric, no longer than it must be.
fn value(value: f64) -> String {
    let size = value.abs();
    if size != 0.0 && !(1e-4..1e9).contains(&size) {
        return format!("{value:.3e}");
    }
    let text = format!("{value:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A name whose middle is left out where it is too long: names differ at their ends.
fn shortened(name: &str) -> String {
    let all: Vec<_> = name.chars().collect();
    if all.len() <= NAME {
        return name.to_owned();
    }
    let (begin, end) = (&all[..NAME / 2], &all[all.len() - (NAME / 2 - 1)..]);
    begin.iter().chain(&['…']).chain(end).collect()
}

/// A line through the values, broken where they are missing. Of the values within one pixel the least and the greatest
/// are drawn.
fn line_of(metrics: &Metrics, column: &str, across: &Across, y: impl Fn(f64) -> f64) -> String {
    let mut pixels: Vec<Pixel> = Vec::new();
    let mut broken = true;
    for row in &metrics.rows {
        let Some(value) = row.values[column] else {
            broken = true;
            continue;
        };
        let x = across.x(row.time).round();
        match pixels.last_mut() {
            Some(last) if !broken && (last.x - x).abs() < 0.5 => {
                (last.low, last.high) = (last.low.min(value), last.high.max(value));
            }
            _ => pixels.push(Pixel {
                begins: broken,
                x,
                low: value,
                high: value,
            }),
        }
        broken = false;
    }
    let mut path = String::new();
    for Pixel { begins, x, low, high } in pixels {
        let word = if begins { 'M' } else { 'L' };
        // A lone value is a short dash, which is seen.
        push(&mut path, format_args!("{word}{x:.0} {:.1}V{:.1}h1", y(low), y(high)));
    }
    path
}

/// The values within a pixel's width.
struct Pixel {
    /// Whether the one before is missing.
    begins: bool,
    x: f64,
    low: f64,
    high: f64,
}

fn line(svg: &mut String, class: &str, from: (f64, f64), to: (f64, f64)) {
    push(
        svg,
        format_args!(
            "<line class=\"{class}\" x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\"/>\n",
            from.0, from.1, to.0, to.1
        ),
    );
}

fn label(svg: &mut String, at: (f64, f64), anchor: &str, text: &str) {
    let text = escaped(text);
    push(
        svg,
        format_args!(
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{text}</text>\n",
            at.0, at.1
        ),
    );
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn push(text: &mut String, more: std::fmt::Arguments<'_>) {
    // Into memory it cannot fail.
    let _ = text.write_fmt(more);
}

/// A small number, as a length.
fn number(n: usize) -> f64 {
    u32::try_from(n).map_or(f64::from(u32::MAX), f64::from)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use wharfinger_core::ids::Target;
    use wharfinger_core::scaling::backtest::Row;

    use super::*;

    /// A chart of these columns, with a line each five minutes.
    fn drawn(columns: &[(&str, &[f64])]) -> String {
        let scaling = serde_json::from_value(serde_json::json!({ "min": 1, "max": 4 })).unwrap();
        let backtest = Backtest {
            target: Target::service("prod", "web"),
            scaling,
            alarms: BTreeMap::new(),
            from: None,
        };
        let count = columns.iter().map(|(_, values)| values.len()).max().unwrap_or_default();
        let row = |i: usize| Row {
            time: Timestamp::from_second(300 * i64::try_from(i).unwrap()).unwrap(),
            values: columns
                .iter()
                .map(|(name, values)| ((*name).to_owned(), values.get(i).copied()))
                .collect(),
        };
        let rows: Vec<_> = (0..count).map(row).collect();
        let moments = backtest.run(&rows);
        let columns = columns.iter().map(|(name, _)| (*name).to_owned()).collect();
        draw(&backtest, &Metrics::of(columns, rows), &moments)
    }

    #[test]
    fn every_line_differs_from_the_others() {
        let names: Vec<_> = (0..24).map(|i| format!("metric-{i}")).collect();
        let columns: Vec<_> = names.iter().map(|name| (name.as_str(), &[1.0, 2.0][..])).collect();
        let svg = drawn(&columns);
        let styles = svg.lines().filter(|line| line.contains("class=\"metric\""));
        let styles: std::collections::BTreeSet<_> = styles.filter_map(|line| line.split(" d=").next()).collect();
        assert_eq!(styles.len(), 24, "{styles:?}");
    }

    #[test]
    fn the_greatest_numbers_and_the_longest_names_fit() {
        let long = format!("{}-a", "W".repeat(250));
        let svg = drawn(&[(&long, &[1e308, -1e308, 0.0]), ("tiny", &[3e-9, 1.5])]);
        for no in ["NaN", "inf", "0000000"] {
            assert!(!svg.contains(no), "{no}: {svg}");
        }
        for told in [
            "drawn from -1.000e308 to 1.000e308",
            "tiny, drawn from 0 to 1.5",
            "W…W",
            "WW-a, drawn",
        ] {
            assert!(svg.contains(told), "{told}: {svg}");
        }
    }

    #[test]
    fn numbers_are_no_longer_than_they_must_be() {
        for (number, told) in [
            (0.0, "0"),
            (120.0, "120"),
            (0.1 + 0.2, "0.3"),
            (-2.5, "-2.5"),
            (123_456_789.0, "123456789"),
            (1e9, "1.000e9"),
            (-3e-9, "-3.000e-9"),
        ] {
            assert_eq!(value(number), told);
        }
    }

    #[test]
    fn the_last_time_is_not_cut_off() {
        assert_eq!(within(500.0, "09:00"), (500.0, "middle"));
        assert_eq!(within(944.0, "09:00"), (958.0, "end"));
        assert_eq!(within(930.0, "01-31 09:00"), (958.0, "end"));
    }
}
