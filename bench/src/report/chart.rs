//! Lines over two axes, as SVG.
//! Both axes begin at zero, so that a line twice as high is twice as much.

use std::fmt::Write as _;

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 70.0;
const COLOURS: [&str; 4] = ["#0b6e4f", "#c8553d", "#3d6fc8", "#a8780b"];

/// A line with its name.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// For the legend.
    pub name: String,
    /// From left to right.
    pub points: Vec<(f64, f64)>,
}

/// Appends a heading and the picture.
pub fn draw(out: &mut String, title: &str, x_name: &str, lines: &[Line]) {
    let points = || lines.iter().flat_map(|line| &line.points);
    let x_max = points().map(|point| point.0).fold(f64::MIN_POSITIVE, f64::max);
    let y_max = points().map(|point| point.1).fold(f64::MIN_POSITIVE, f64::max);
    let _ = write!(out, "<h2>{}</h2><svg width={WIDTH} height={}>", escape(title), HEIGHT + 60.0);
    for step in 0..=4 {
        let share = f64::from(step) / 4.0;
        let (x, y) = (LEFT + share * (WIDTH - LEFT - 30.0), HEIGHT - share * (HEIGHT - 10.0));
        let _ = write!(
            out,
            "<line x1={LEFT} x2={WIDTH} y1={y} y2={y} stroke='#ddd'/><text x=0 y={}>{}</text>\
             <text x={x} y={}>{}</text>",
            y + 4.0,
            number(share * y_max),
            HEIGHT + 16.0,
            number(share * x_max)
        );
    }
    for (line, colour) in lines.iter().zip(COLOURS.iter().cycle()) {
        let place = |(x, y): &(f64, f64)| {
            format!("{:.1},{:.1}", LEFT + x / x_max * (WIDTH - LEFT - 30.0), HEIGHT - y / y_max * (HEIGHT - 10.0))
        };
        let path: Vec<String> = line.points.iter().map(place).collect();
        let _ = write!(out, "<polyline fill=none stroke='{colour}' stroke-width=1.5 points='{}'/>", path.join(" "));
    }
    let _ = write!(out, "<text x={} y={}>{}</text></svg><p>", WIDTH - 120.0, HEIGHT + 34.0, escape(x_name));
    for (line, colour) in lines.iter().zip(COLOURS.iter().cycle()) {
        let _ = write!(out, "<span style='color:{colour}'>■ {}</span> ", escape(&line.name));
    }
    out.push_str("</p>");
}

/// Text that a page may hold.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn number(value: f64) -> String {
    if value > 0.0 && value < 10.0 { format!("{value:.1}") } else { format!("{value:.0}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_point_is_at_the_upper_right_and_names_cannot_break_the_page() {
        let mut out = String::new();
        let line = Line { name: "<a&b>".to_owned(), points: vec![(0.0, 0.0), (2.0, 10.0)] };
        draw(&mut out, "title", "s", &[line]);
        assert!(out.contains("points='70.0,260.0 870.0,10.0'"), "{out}");
        assert!(out.contains("&lt;a&amp;b&gt;"), "{out}");
    }
}
