//! The findings as plots.

use std::path::Path;

use anyhow::anyhow;
use plotters::{
    coord::Shift,
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use super::table::{goal, number};
use crate::figures::{Finding, GrowthPoint};

mod growth;
mod throughput;

/// A plot that is being drawn.
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

const MET: RGBColor = RGBColor(34, 139, 84);
const MISSED: RGBColor = RGBColor(200, 60, 50);
const CEILING: RGBColor = RGBColor(170, 176, 184);
const INK: RGBColor = RGBColor(40, 44, 52);

/// Height of a bar with the space around it, in pixels.
const BAR: u32 = 30;

/// Width of the names on the left, in pixels.
const NAMES: u32 = 430;

/// Writes every plot that there are figures for.
pub(super) fn write(folder: &Path, findings: &[Finding], points: &[GrowthPoint]) -> anyhow::Result<()> {
    goals(&folder.join("goals.svg"), findings)?;
    throughput::draw(&folder.join("throughput.svg"), findings)?;
    if points.len() > 1 { growth::draw(&folder.join("growth.svg"), points) } else { Ok(()) }
}

/// How far each goal is reached: whatever reaches the line is met.
fn goals(file: &Path, findings: &[Finding]) -> anyhow::Result<()> {
    let asked: Vec<_> = findings.iter().filter_map(|finding| Some((finding, finding.progress()?))).collect();
    if asked.is_empty() {
        return Ok(());
    }
    let scale = Scale { left: NAMES, width: 460, most: 2.5 };
    let height = 70 + BAR * u32::try_from(asked.len())?;
    let area = canvas(file, (scale.left + scale.width + 190, height), "Goals: met right of the line")?;
    for (index, (finding, progress)) in (0_i32..).zip(&asked) {
        let top = 50 + index * BAR.cast_signed();
        let color = if finding.met == Some(true) { MET } else { MISSED };
        bar(&area, (scale.left.cast_signed(), top + 5), scale.x(*progress), BAR.cast_signed() - 10, color)?;
        let name = format!("{} · {}", finding.row, finding.case);
        label(&area, &name, (scale.left.cast_signed() - 10, top + 15), HPos::Right)?;
        let reached = finding.ratio.map_or_else(
            || format!("{} {}", number(finding.value), finding.unit),
            |ratio| format!("{} ×", number(ratio)),
        );
        let text = format!("{reached}, asked {}", finding.goal.map(goal).unwrap_or_default());
        label(&area, &text, (scale.x(*progress) + 8, top + 15), HPos::Left)?;
    }
    let line = scale.x(1.0);
    let path = PathElement::new(vec![(line, 42), (line, height.cast_signed() - 10)], INK.stroke_width(2));
    area.draw(&path).map_err(failed)?;
    area.present().map_err(failed)
}

/// Maps figures to pixels, linearly; figures above `most` are cut off.
struct Scale {
    left: u32,
    width: u32,
    most: f64,
}

impl Scale {
    #[expect(clippy::cast_possible_truncation, reason = "it is a coordinate in the plot")]
    fn x(&self, value: f64) -> i32 {
        let share = (value / self.most).clamp(0.0, 1.0);
        (f64::from(self.left) + share * f64::from(self.width)).round() as i32
    }
}

/// An empty plot with a title.
fn canvas<'a>(file: &'a Path, size: (u32, u32), title: &str) -> anyhow::Result<Area<'a>> {
    let area = SVGBackend::new(file, size).into_drawing_area();
    area.fill(&WHITE).map_err(failed)?;
    let style = ("sans-serif", 20).into_font().style(FontStyle::Bold).color(&INK);
    area.draw(&Text::new(title.to_owned(), (16, 14), style)).map_err(failed)?;
    Ok(area)
}

/// A bar from a point to `end`.
fn bar(area: &Area<'_>, from: (i32, i32), end: i32, height: i32, color: RGBColor) -> anyhow::Result<()> {
    let corner = (end.max(from.0 + 1), from.1 + height);
    area.draw(&Rectangle::new([from, corner], color.filled())).map_err(failed)
}

/// A line of text, vertically centered at this height.
fn label(area: &Area<'_>, text: &str, at: (i32, i32), side: HPos) -> anyhow::Result<()> {
    let style = ("sans-serif", 13).into_font().color(&INK).pos(Pos::new(side, VPos::Center));
    area.draw(&Text::new(text.to_owned(), at, style)).map_err(failed)
}

/// The error of a plot that could not be drawn.
#[expect(clippy::needless_pass_by_value, reason = "it is what map_err passes")]
fn failed<E: std::error::Error + Send + Sync>(error: DrawingAreaErrorKind<E>) -> anyhow::Error {
    anyhow!("cannot draw: {error}")
}
