//! Draws plots as SVG. All but the heat map take their colours from the page around them.

use std::error::Error as AnyError;
use std::ops::Range;

use plotters::coord::Shift;
use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

use crate::error::{Error, Kind, Result};

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<Steps, RangedCoordf64>>;
type Drawn = std::result::Result<(), Box<dyn AnyError>>;

/// Placeholders that become colours of the page: text, grid, the model's series, the series to compare with.
const INK: RGBColor = RGBColor(1, 1, 1);
const GRID: RGBColor = RGBColor(2, 2, 2);
const OURS: RGBColor = RGBColor(3, 3, 3);
const THEIRS: RGBColor = RGBColor(4, 4, 4);
const COLOURS: [(&str, &str); 4] = [
    ("#010101", "var(--ink)"),
    ("#020202", "var(--grid)"),
    ("#030303", "var(--ours)"),
    ("#040404", "var(--theirs)"),
];

/// In pixels: wide enough for a column of the page, narrow enough for the text to be readable on a phone.
const WIDTH: u32 = 430;
const HEIGHT: u32 = 240;
const LETTERS: u32 = 16;

#[derive(Clone, Debug, Default)]
pub struct Line {
    pub name: String,
    pub points: Vec<(f64, f64)>,
    /// Whether it is only for comparison.
    pub is_other: bool,
}

/// One series of bars.
#[derive(Clone, Debug, Default)]
pub struct Bars {
    pub name: String,
    /// A value for each label.
    pub values: Vec<f64>,
    /// Whether they are only for comparison.
    pub is_other: bool,
}

/// Curves over whole numbers: epochs, runs.
pub fn lines(x: &str, labels: &dyn Fn(f64) -> String, lines: &[Line]) -> Result<String> {
    themed(WIDTH, HEIGHT, |area| {
        let points = || lines.iter().flat_map(|line| &line.points);
        let range = |of: fn(&(f64, f64)) -> f64| {
            points().map(of).fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
                (low.min(value), high.max(value))
            })
        };
        let ((left, right), (low, high)) = (range(|point| point.0), range(|point| point.1));
        let room = ((high - low) * 0.1).max(high.abs() * 0.02).max(1e-9);
        let steps = Steps { first: left, last: right, most: 7 };
        let mut chart = chart(area, steps, low - room..high + room, x, labels, &number)?;
        for line in lines {
            let colour = colour(line.is_other);
            chart.draw_series(LineSeries::new(line.points.iter().copied(), colour.stroke_width(2)))?;
            let dots = line.points.iter().map(|point| Circle::new(*point, 3, colour.filled()));
            chart.draw_series(dots)?;
        }
        Ok(())
    })
}

/// Bars beside each other, a group for each label.
pub fn bars(x: &str, labels: &[String], series: &[Bars], show: &dyn Fn(f64) -> String) -> Result<String> {
    themed(WIDTH, HEIGHT, |area| {
        let groups = labels.len();
        let highest =
            series.iter().flat_map(|bars| &bars.values).fold(0.0f64, |high, value| high.max(*value));
        let steps = Steps { first: 0.0, last: groups as f64 - 1.0, most: 11 };
        let label = |tick: f64| labels.get(tick.round() as usize).cloned().unwrap_or_default();
        let mut chart = chart(area, steps, 0.0..(highest * 1.15).max(1e-9), x, &label, show)?;
        let width = 0.8 / series.len().max(1) as f64;
        for (place, bars) in series.iter().enumerate() {
            let colour = colour(bars.is_other).filled();
            let bar = |(group, value): (usize, &f64)| {
                let left = group as f64 - 0.4 + place as f64 * width;
                Rectangle::new([(left, 0.0), (left + width * 0.92, *value)], colour)
            };
            chart.draw_series(bars.values.iter().enumerate().map(bar))?;
        }
        Ok(())
    })
}

/// A heat map with numbers in its cells, as an SVG file of its own. `values` are row by row.
pub fn heat_map(rows: &[String], columns: &[String], values: &[f64]) -> Result<String> {
    const CELL: (i32, i32) = (74, 34);
    const LONGEST: usize = 34;
    let (low, high) = values
        .iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(*value), high.max(*value)));
    let shorten = |text: &str, most: usize| match text.char_indices().nth(most) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    };
    let margin = (LONGEST as i32 * 8, 34);
    let width = margin.0 + CELL.0 * columns.len() as i32 + 8;
    let height = margin.1 + CELL.1 * rows.len() as i32 + 8;
    draw(width.unsigned_abs(), height.unsigned_abs(), |area| {
        area.fill(&WHITE)?;
        let font = ("sans-serif", LETTERS).into_font();
        let text =
            |text: String, at: (i32, i32), colour: RGBColor| Text::new(text, at, font.clone().color(&colour));
        for (place, name) in columns.iter().enumerate() {
            area.draw(&text(shorten(name, 8), (margin.0 + place as i32 * CELL.0 + 8, 10), BLACK))?;
        }
        for (row, name) in rows.iter().enumerate() {
            let top = margin.1 + row as i32 * CELL.1;
            area.draw(&text(shorten(name, LONGEST), (8, top + 10), BLACK))?;
            for column in 0..columns.len() {
                let value = values[row * columns.len() + column];
                let part = if high > low { (value - low) / (high - low) } else { 0.5 };
                // From pale to dark blue: readable in grey, too.
                let mix = |from: f64, to: f64| (from + (to - from) * part) as u8;
                let fill = RGBColor(mix(239.0, 8.0), mix(243.0, 64.0), mix(255.0, 129.0));
                let left = margin.0 + column as i32 * CELL.0;
                area.draw(&Rectangle::new(
                    [(left, top), (left + CELL.0 - 2, top + CELL.1 - 2)],
                    fill.filled(),
                ))?;
                let ink = if part > 0.5 { WHITE } else { BLACK };
                area.draw(&text(format!("{value:.2}"), (left + 18, top + 10), ink))?;
            }
        }
        Ok(())
    })
}

/// The empty chart: `x` names the horizontal axis, `of_step` and `of_value` label the ticks.
fn chart<'a, 'b>(
    area: &'a Area<'b>,
    steps: Steps,
    values: Range<f64>,
    x: &str,
    of_step: &dyn Fn(f64) -> String,
    of_value: &dyn Fn(f64) -> String,
) -> std::result::Result<Chart<'a, 'b>, Box<dyn AnyError>> {
    let mut chart = ChartBuilder::on(area)
        .margin(6)
        .margin_right(14)
        .x_label_area_size(44)
        .y_label_area_size(58)
        .build_cartesian_2d(steps, values)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(GRID)
        .label_style(letters())
        .x_desc(x)
        .x_label_formatter(&|step| of_step(*step))
        .y_label_formatter(&|value| of_value(*value))
        .y_labels(5)
        .draw()?;
    Ok(chart)
}

fn colour(is_other: bool) -> RGBColor {
    if is_other { THEIRS } else { OURS }
}

fn letters() -> TextStyle<'static> {
    ("sans-serif", LETTERS).into_font().color(&INK)
}

/// An axis of whole numbers, with half a step of margin at either end and at most `most` labels.
#[derive(Clone, Copy, Debug)]
struct Steps {
    first: f64,
    last: f64,
    most: usize,
}

impl Ranged for Steps {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn range(&self) -> Range<f64> {
        self.first - 0.5..self.last + 0.5
    }

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        RangedCoordf64::from(self.range()).map(value, limit)
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        let steps = (self.last - self.first) as usize + 1;
        let place = |step: usize| self.first + step as f64;
        (0..steps).step_by(steps.div_ceil(self.most)).map(place).collect()
    }
}

/// A short number for a label: 0.012, 1.25, 250, 12k, 3.4M.
pub fn number(value: f64) -> String {
    let text = match value.abs() {
        0.0 => "0".to_owned(),
        0.0..0.1 => format!("{value:.3}"),
        0.1..10.0 => format!("{value:.2}"),
        10.0..1e3 => format!("{value:.0}"),
        1e3..1e6 => format!("{:.0}k", value / 1e3),
        _ => format!("{:.1}M", value / 1e6),
    };
    match text.split_once('.') {
        // 0.50 says no more than 0.5, and 2.0M no more than 2M.
        Some((whole, decimals)) => {
            let (digits, unit) = decimals.split_at(decimals.trim_end_matches('M').len());
            match digits.trim_end_matches('0') {
                "" => format!("{whole}{unit}"),
                digits => format!("{whole}.{digits}{unit}"),
            }
        }
        None => text,
    }
}

/// Draws a plot in the colours of the page.
fn themed(width: u32, height: u32, paint: impl FnOnce(&Area<'_>) -> Drawn) -> Result<String> {
    let svg = draw(width, height, paint)?;
    Ok(COLOURS.iter().fold(svg, |svg, (stand_in, colour)| svg.replace(stand_in, colour)))
}

fn draw(width: u32, height: u32, paint: impl FnOnce(&Area<'_>) -> Drawn) -> Result<String> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (width, height)).into_drawing_area();
        paint(&area)
            .and_then(|()| Ok(area.present()?))
            .map_err(|error| Error::new(Kind::Failed, format!("a plot cannot be drawn: {error}")))?;
    }
    Ok(svg)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plots_of_one_point_and_of_equal_values_are_drawn() {
        let line = Line { name: "a <b>".into(), points: vec![(1.0, 0.5)], is_other: false };
        let svg = lines("epoch", &|tick| format!("{tick}"), &[line.clone(), line]).expect("drawn");
        assert!(svg.contains("var(--ours)") && !svg.contains("<b>") && !svg.contains("NaN"), "{svg}");
        let flat = Bars { name: "x".into(), values: vec![0.0, 0.0], is_other: true };
        let svg = bars("", &["1".into(), "2".into()], &[flat], &number).expect("drawn");
        assert!(svg.contains("var(--theirs)") && !svg.contains("NaN"), "{svg}");
        let svg = heat_map(&["<script>".into()], &["7".into()], &[3.0]).expect("drawn");
        assert!(!svg.contains("<script>") && svg.contains("3.00"), "{svg}");
    }
}
