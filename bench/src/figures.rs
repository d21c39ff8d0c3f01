//! Measurements, and how they compare with the goals.

use std::collections::BTreeMap;

use serde::Serialize;

/// One run of a load.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Run {
    /// Requests that were answered correctly.
    pub(crate) requests: u64,
    /// How long the load ran after the warm-up, in seconds.
    pub(crate) seconds: f64,
    /// Rate per second: of requests, unless the row says otherwise.
    pub(crate) per_second: f64,
    /// Latencies, in microseconds.
    pub(crate) latency_us: Latency,
    /// CPU time of each process, in microseconds per request.
    pub(crate) cpu_us: BTreeMap<&'static str, f64>,
    /// Peak resident memory of each process, in MiB.
    pub(crate) peak_mib: BTreeMap<&'static str, f64>,
}

/// Percentiles of latencies, in microseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Latency {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
}

/// A line of the report.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Finding {
    /// The row, as `--only` names it.
    pub(crate) row: &'static str,
    /// Which case of it.
    pub(crate) case: String,
    /// The unit of `value` and `ceiling`.
    pub(crate) unit: &'static str,
    /// The services' figure: the median of all runs.
    pub(crate) value: f64,
    /// The ceiling, if there is one.
    pub(crate) ceiling: Option<Ceiling>,
    /// The services' figure divided by the ceiling's: the median of all pairs.
    pub(crate) ratio: Option<f64>,
    /// The goal.
    pub(crate) goal: Option<Goal>,
    /// Whether the goal is met.
    pub(crate) met: Option<bool>,
    /// Every run of the services.
    pub(crate) runs: Vec<Run>,
    /// Every run of the ceiling, each right after that of the services.
    pub(crate) ceiling_runs: Vec<Run>,
}

/// A baseline that bounds the services.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Ceiling {
    /// Its name.
    pub(crate) name: &'static str,
    /// Its figure: the median of all runs.
    pub(crate) value: f64,
}

/// The goal of a finding.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Goal {
    /// The ratio is at least this.
    RatioAtLeast(f64),
    /// The ratio is at most this.
    RatioAtMost(f64),
    /// The value is at least this.
    AtLeast(f64),
    /// The value is at most this.
    AtMost(f64),
}

/// The figures at one number of instances.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct GrowthPoint {
    /// Instances in the database.
    pub(crate) instances: u64,
    /// p99 of `GetInstance` of any instance, one in flight.
    pub(crate) get_p99_us: f64,
    /// `ListInstances`, any page of 100, one in flight.
    pub(crate) list_p99_us: f64,
    /// First page of the instances with one entry of system metadata, one in flight.
    pub(crate) find_p99_us: f64,
    /// p99 of a page of instances that drifted, microseconds.
    pub(crate) drift_p99_us: f64,
    /// `CreateInstance`, 64 in flight.
    pub(crate) create_per_second: f64,
    /// Size of the database per instance, in bytes.
    pub(crate) bytes_per_instance: f64,
}

impl Finding {
    /// A figure without a ceiling.
    pub(crate) fn value(row: &'static str, case: impl Into<String>, unit: &'static str, value: f64) -> Self {
        Self {
            row,
            case: case.into(),
            unit,
            value,
            ceiling: None,
            ratio: None,
            goal: None,
            met: None,
            runs: Vec::new(),
            ceiling_runs: Vec::new(),
        }
    }

    /// The same, with its runs.
    #[must_use]
    pub(crate) fn with_runs(mut self, runs: Vec<Run>) -> Self {
        self.runs = runs;
        self
    }

    /// The same, compared with a ceiling.
    #[must_use]
    pub(crate) fn against(mut self, name: &'static str, value: f64) -> Self {
        self.ratio = Some(self.value / value);
        self.ceiling = Some(Ceiling { name, value });
        self
    }

    /// The same, with a goal.
    #[must_use]
    pub(crate) fn with_goal(mut self, goal: Goal) -> Self {
        self.goal = Some(goal);
        self.met = match goal {
            Goal::RatioAtLeast(goal) => self.ratio.map(|ratio| ratio >= goal),
            Goal::RatioAtMost(goal) => self.ratio.map(|ratio| ratio <= goal),
            Goal::AtLeast(goal) => Some(self.value >= goal),
            Goal::AtMost(goal) => Some(self.value <= goal),
        };
        self
    }

    /// How far the goal is reached: at least 1 if it is met.
    pub(crate) fn progress(&self) -> Option<f64> {
        Some(match self.goal? {
            Goal::RatioAtLeast(goal) => self.ratio? / goal,
            Goal::RatioAtMost(goal) => goal / self.ratio?,
            Goal::AtLeast(goal) => self.value / goal,
            // A goal of 0 is met only by 0.
            Goal::AtMost(goal) if self.value <= goal && goal == 0.0 => 1.0,
            Goal::AtMost(goal) => goal / self.value,
        })
    }
}

/// The median of `values`; NaN if there are none.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        length if length % 2 == 0 => f64::midpoint(values[middle - 1], values[middle]),
        _ => values[middle],
    }
}

/// The median of one figure over all runs.
pub(crate) fn median_of(runs: &[Run], figure: impl Fn(&Run) -> f64) -> f64 {
    median(runs.iter().map(figure))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert!((median([3.0, 1.0, 2.0]) - 2.0).abs() < 1e-9);
        assert!((median([4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < 1e-9);
        assert!(median([]).is_nan());
    }

    #[test]
    fn a_goal_is_met_from_its_side() {
        let finding = Finding::value("row", "case", "requests/s", 8.0).against("ceiling", 10.0);
        assert_eq!(finding.clone().with_goal(Goal::RatioAtLeast(0.7)).met, Some(true));
        assert_eq!(finding.clone().with_goal(Goal::RatioAtMost(0.7)).met, Some(false));
        assert_eq!(finding.with_goal(Goal::AtMost(7.0)).met, Some(false));
    }
}
