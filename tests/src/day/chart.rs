//! The day as a picture: what the load asks for, and the counts that it got.

use std::fmt::Write;

use super::{Day, MINUTES, TARGET, Who};

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 316.0;

/// Where the axes begin, and what is left free to the right, for half of the last hour's label, and above.
const LEFT: f64 = 44.0;
const BOTTOM: f64 = 40.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 30.0;

/// How many tasks the picture shows.
const MOST: u32 = 45;

/// A line each, with its class.
const LINES: [(Who, &str, &str); 3] = [
    (Who::Target, "a", "target: 60"),
    (Who::Hpa, "b", "HPA's formula"),
    (Who::EachMinute, "c", "one task per minute in ALARM"),
];

/// Readable on light and dark ground: a page shows it as an image, which knows the reader's choice but not the page.
const STYLE: &str = "\
text{font:11px sans-serif;fill:#57606a}.g{stroke:#d0d7de;stroke-width:1}.l{fill:#afb8c1;fill-opacity:.45}\
path.a,path.b,path.c{fill:none;stroke-width:1.5}.a{stroke:#0969da}.b{stroke:#bc4c00}.c{stroke:#8250df}\
@media(prefers-color-scheme:dark){text{fill:#9198a1}.g{stroke:#3d444d}.l{fill:#656c76}\
.a{stroke:#4493f8}.b{stroke:#f0883e}.c{stroke:#ab7df8}}";

/// Which days the lines are of.
pub const CHARTED: [Who; 3] = [LINES[0].0, LINES[1].0, LINES[2].0];

/// The picture of these days, which are of one load.
pub fn svg(days: &[Day; 3]) -> String {
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">\n\
         <title>A day of one service: the tasks that its load needs, and the counts that each way of scaling gave it</title>\n\
         <style>{STYLE}</style>\n"
    );
    axes(&mut text);
    let _ = writeln!(text, "<path class=\"l\" d=\"{}\"/>", area(&days[0].load));
    for ((_, class, _), day) in LINES.iter().zip(days) {
        let _ = writeln!(text, "<path class=\"{class}\" d=\"{}\"/>", steps(&day.desired));
    }
    legend(&mut text);
    text.push_str("</svg>\n");
    text
}

fn axes(text: &mut String) {
    for tasks in (0..=MOST).step_by(15) {
        let at = y(tasks.into());
        let _ = writeln!(
            text,
            "<path class=\"g\" d=\"M{LEFT} {at:.1}H{}\"/><text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{tasks}</text>",
            WIDTH - RIGHT,
            LEFT - 5.0,
            at + 4.0
        );
    }
    for hour in (0..=24).step_by(3) {
        let _ = writeln!(
            text,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{hour}:00</text>",
            x(hour * 60),
            HEIGHT - BOTTOM + 16.0
        );
    }
    let (middle, centre) = (x(MINUTES / 2), y(f64::from(MOST) / 2.0));
    let _ = writeln!(
        text,
        "<text x=\"{middle:.1}\" y=\"{:.1}\" text-anchor=\"middle\">time of the day</text>\
         <text transform=\"translate(12 {centre:.1}) rotate(-90)\" text-anchor=\"middle\">tasks</text>",
        HEIGHT - 6.0
    );
}

fn legend(text: &mut String) {
    let _ = writeln!(
        text,
        "<rect class=\"l\" x=\"{LEFT}\" y=\"8\" width=\"16\" height=\"10\"/><text x=\"{}\" y=\"17\">the load asks for</text>",
        LEFT + 21.0
    );
    for (at, (_, class, name)) in [174.0, 284.0, 409.0].into_iter().zip(LINES) {
        let _ = writeln!(
            text,
            "<path class=\"{class}\" d=\"M{at} 13h16\"/><text x=\"{}\" y=\"17\">{name}</text>",
            at + 21.0
        );
    }
}

fn x(minute: u32) -> f64 {
    LEFT + (WIDTH - LEFT - RIGHT) * f64::from(minute) / f64::from(MINUTES)
}

fn y(tasks: f64) -> f64 {
    let bottom = HEIGHT - BOTTOM;
    bottom - (bottom - TOP) * tasks / f64::from(MOST)
}

/// What the load asks for at the target, every fifth minute.
fn area(load: &[f64]) -> String {
    let mut path = format!("M{LEFT} {:.1}", y(0.0));
    for (minute, load) in (0..MINUTES).zip(load).step_by(5) {
        let _ = write!(path, "L{:.1} {:.1}", x(minute), y(100.0 * load / TARGET));
    }
    let _ = write!(path, "L{:.1} {:.1}Z", x(MINUTES), y(0.0));
    path
}

/// A line that goes on level until the next change.
fn steps(counts: &[u32]) -> String {
    let mut path = String::new();
    let mut before = None;
    for (minute, count) in (0..MINUTES).zip(counts) {
        match before {
            Some(before) if before == count => {}
            Some(_) => drop(write!(path, "H{:.1}V{:.1}", x(minute), y((*count).into()))),
            None => drop(write!(path, "M{LEFT} {:.1}", y((*count).into()))),
        }
        before = Some(count);
    }
    let _ = write!(path, "H{:.1}", x(MINUTES));
    path
}
