//! Plots of values over time, as inline SVG. Colours come from the page, which knows whether it is dark.

use std::fmt::Write as _;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 240.0;
const LEFT: f64 = 76.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 30.0;
/// Lines of the grid, about.
const LINES: f64 = 4.0;
/// More samples than pixels say nothing: neighbours are left out.
const POINTS_MAX: usize = 600;

/// One line: its name, its colour (a class of the page), and its values over seconds; `None` is a gap.
pub struct Line<'n> {
    pub name: &'n str,
    pub class: &'static str,
    pub points: Vec<(f64, Option<f64>)>,
}

/// A plot over so many seconds; `say` writes a value for people. Nothing when no line has two values.
pub fn plot(title: &str, secs_max: f64, lines: &[Line<'_>], say: impl Fn(f64) -> String) -> String {
    let values = || lines.iter().flat_map(|line| line.points.iter().filter_map(|(_, value)| *value));
    if lines.iter().all(|line| line.points.iter().filter(|(_, value)| value.is_some()).count() < 2) {
        return String::new();
    }
    let step = nice(values().fold(0.0, f64::max).max(1e-9) / LINES);
    let top = step * (values().fold(0.0, f64::max) / step).ceil().max(1.0);
    let x = |secs: f64| LEFT + secs / secs_max * (WIDTH - LEFT - RIGHT);
    let y = |value: f64| HEIGHT - BOTTOM - value / top * (HEIGHT - TOP - BOTTOM);

    let mut svg = format!("<figure><figcaption>{title}");
    if lines.len() > 1 {
        for line in lines {
            let _ = write!(svg, " <span class='key {}'>{}</span>", line.class, line.name);
        }
    }
    let _ = write!(svg, "</figcaption>\n<svg viewBox='0 0 {WIDTH} {HEIGHT}' role='img' aria-label='{title}'>");
    let mut value = 0.0;
    while value <= top + step / 2.0 {
        let (at, words) = (y(value), say(value));
        let _ = write!(
            svg,
            "<path class='grid' d='M{LEFT} {at:.1}H{:.1}'/><text x='{:.1}' y='{:.1}' text-anchor='end'>{words}</text>",
            WIDTH - RIGHT,
            LEFT - 8.0,
            at + 4.0
        );
        value += step;
    }
    let (mut secs, step) = (0.0, nice(secs_max / 6.0));
    while secs <= secs_max {
        let at = x(secs);
        let anchor = if at > WIDTH - RIGHT - 20.0 { "end" } else { "middle" };
        let (foot, words) = (HEIGHT - 10.0, (secs * 100.0).round() / 100.0);
        let _ = write!(svg, "<text x='{at:.1}' y='{foot:.1}' text-anchor='{anchor}'>{words} s</text>");
        secs += step;
    }
    for line in lines {
        let every = line.points.len().div_ceil(POINTS_MAX).max(1);
        let points: Vec<_> = line.points.iter().step_by(every).collect();
        let (mut path, mut dots, mut pen) = (String::new(), String::new(), 'M');
        for (secs, value) in points {
            let Some(value) = value else {
                pen = 'M';
                continue;
            };
            let (at, height) = (x(*secs), y(*value));
            let _ = write!(path, "{pen}{at:.1} {height:.1}");
            let _ = write!(
                dots,
                "<circle cx='{at:.1}' cy='{height:.1}' r='6'><title>{} {} at {secs:.0} s</title></circle>",
                line.name,
                say(*value)
            );
            pen = 'L';
        }
        let _ = write!(svg, "<path class='line {}' d='{path}'/>{dots}", line.class);
    }
    svg += "</svg></figure>\n";
    svg
}

/// The next larger of 1, 2, 5, 10, 20 and so on.
fn nice(least: f64) -> f64 {
    let magnitude = 10f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|n| n * magnitude).find(|step| *step >= least * 0.999).unwrap_or(least)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_round() {
        for (least, wanted) in [(0.9, 1.0), (1.0, 1.0), (1.1, 2.0), (23.0, 50.0), (0.03, 0.05), (700.0, 1000.0)] {
            assert!((nice(least) - wanted).abs() < wanted * 1e-9, "{least}: {}", nice(least));
        }
    }

    #[test]
    fn a_gap_lifts_the_pen() {
        let points = vec![(0.0, Some(1.0)), (1.0, None), (2.0, Some(2.0)), (3.0, Some(3.0))];
        let svg = plot("t", 3.0, &[Line { name: "n", class: "a", points }], |value| format!("{value}"));
        assert_eq!(svg.matches("M76").count() - svg.matches("class='grid'").count(), 1, "{svg}");
        assert_eq!(svg.matches("<circle").count(), 3);
        assert_eq!(plot("t", 3.0, &[], |_| String::new()), "");
    }
}
