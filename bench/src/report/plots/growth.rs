//! How figures depend on the number of instances.

use std::path::Path;

use plotters::prelude::*;

use super::{Area, INK, MET, canvas, failed};
use crate::{figures::GrowthPoint, report::table::number};

/// A curve: its title, and its figure at a point.
type Curve = (&'static str, fn(&GrowthPoint) -> f64);

const CURVES: [Curve; 6] = [
    ("GetInstance, p99, ms", |point| point.get_p99_us / 1e3),
    ("ListInstances, any page of 100, p99, ms", |point| point.list_p99_us / 1e3),
    ("instances with one metadata entry, p99, ms", |point| point.find_p99_us / 1e3),
    ("instances that drifted, p99, ms", |point| point.drift_p99_us / 1e3),
    ("CreateInstance, 64 in flight, a second", |point| point.create_per_second),
    ("bytes of the database for an instance", |point| point.bytes_per_instance),
];

/// Draws all curves, each from zero: a flat one does not depend on the number of instances.
pub(super) fn draw(file: &Path, points: &[GrowthPoint]) -> anyhow::Result<()> {
    let area = canvas(file, (1200, 720), "As the number of instances grows (flat: it does not matter)")?;
    let panels = area.margin(44, 10, 10, 10).split_evenly((2, 3));
    for (panel, curve) in panels.iter().zip(CURVES) {
        draw_curve(panel, points, curve)?;
    }
    area.present().map_err(failed)
}

fn draw_curve(panel: &Area<'_>, points: &[GrowthPoint], (title, figure): Curve) -> anyhow::Result<()> {
    let most = points.iter().map(figure).fold(f64::MIN_POSITIVE, f64::max) * 1.25;
    let counts = points.iter().map(|point| to_float(point.instances));
    let (fewest, largest) = counts.clone().fold((f64::MAX, 0.0), |(low, high), x| (x.min(low), x.max(high)));
    let mut chart = ChartBuilder::on(panel)
        .caption(title, ("sans-serif", 15).into_font().color(&INK))
        .margin(10)
        .x_label_area_size(34)
        .y_label_area_size(56)
        .build_cartesian_2d((fewest..largest).log_scale(), 0.0..most)
        .map_err(failed)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_label_formatter(&|x| format!("{x:.0e}"))
        .y_label_formatter(&|y| number(*y))
        .x_desc("instances")
        .draw()
        .map_err(failed)?;
    let line: Vec<_> = counts.zip(points.iter().map(figure)).collect();
    chart.draw_series(LineSeries::new(line.iter().copied(), MET.stroke_width(2))).map_err(failed)?;
    let dots = line.into_iter().map(|(x, y)| {
        EmptyElement::at((x, y))
            + Circle::new((0, 0), 4, MET.filled())
            + Text::new(number(y), (-12, -18), ("sans-serif", 12).into_font().color(&INK))
    });
    chart.draw_series(dots).map_err(failed)?;
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "there are far fewer than 2^52 instances")]
fn to_float(count: u64) -> f64 {
    count as f64
}
