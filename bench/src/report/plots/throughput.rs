//! Rates and their ceilings.

use std::path::Path;

use plotters::style::text_anchor::HPos;

use super::{BAR, CEILING, INK, MET, MISSED, NAMES, Scale, bar, canvas, failed, label};
use crate::{figures::Finding, report::table::number};

/// Draws a pair of bars for each comparison of rates, each pair with its own scale.
pub(super) fn draw(file: &Path, findings: &[Finding]) -> anyhow::Result<()> {
    let compared: Vec<_> = findings
        .iter()
        .filter(|finding| finding.unit.ends_with("/s"))
        .filter_map(|finding| Some((finding, finding.ceiling.as_ref()?)))
        .collect();
    if compared.is_empty() {
        return Ok(());
    }
    let height = 60 + 2 * BAR * u32::try_from(compared.len())?;
    let area =
        canvas(file, (NAMES + 460 + 330, height), "What is reached (colour), above its ceiling (grey)")?;
    for (index, (finding, ceiling)) in (0_i32..).zip(&compared) {
        let top = 50 + 2 * index * BAR.cast_signed();
        let scale = Scale { left: NAMES, width: 460, most: finding.value.max(ceiling.value) };
        let left = NAMES.cast_signed();
        let color = match finding.met {
            Some(true) => MET,
            Some(false) => MISSED,
            None => INK,
        };
        let (ours, bound) = (scale.x(finding.value), scale.x(ceiling.value));
        bar(&area, (left, top + 4), ours, 20, color)?;
        bar(&area, (left, top + 26), bound, 20, CEILING)?;
        let name = format!("{} · {}", finding.row, finding.case);
        label(&area, &name, (left - 10, top + 14), HPos::Right)?;
        let text = format!("{} {}", number(finding.value), finding.unit);
        label(&area, &text, (ours + 8, top + 14), HPos::Left)?;
        let text = format!("{} ({})", number(ceiling.value), ceiling.name);
        label(&area, &text, (bound + 8, top + 36), HPos::Left)?;
    }
    area.present().map_err(failed)
}
