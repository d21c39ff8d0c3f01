//! A run of the benchmark: its environment, and the findings so far.

use crate::{
    figures::{Finding, Goal, GrowthPoint, Run, median, median_of},
    options::Plan,
    progress::Progress,
    world::World,
};

/// What the rows share.
pub(crate) struct Bench {
    pub(crate) plan: Plan,
    pub(crate) world: World,
    pub(crate) progress: Progress,
    pub(crate) findings: Vec<Finding>,
    pub(crate) growth: Vec<GrowthPoint>,
}

/// A comparison: its name and its goal.
pub(crate) struct Case {
    /// The row, as `--only` names it.
    pub(crate) row: &'static str,
    /// Which case of it.
    pub(crate) name: String,
    /// The unit.
    pub(crate) unit: &'static str,
    /// The baseline.
    pub(crate) ceiling: &'static str,
    /// The goal for the ratio.
    pub(crate) goal: Option<f64>,
}

impl Bench {
    /// Measures services and ceiling in alternation, so that whatever else happens on the machine affects both, and records
    /// the comparison.
    pub(crate) async fn compare(
        &mut self,
        case: Case,
        mut ours: impl AsyncFnMut() -> anyhow::Result<Run>,
        mut ceiling: impl AsyncFnMut() -> anyhow::Result<Run>,
    ) -> anyhow::Result<()> {
        let (mut runs, mut ceiling_runs) = (Vec::new(), Vec::new());
        for pair in 1..=self.plan.pairs {
            self.progress.say(&case, pair, self.plan.pairs, "ours");
            runs.push(ours().await?);
            self.progress.say(&case, pair, self.plan.pairs, case.ceiling);
            ceiling_runs.push(ceiling().await?);
        }
        let ratio = median(
            runs.iter().zip(&ceiling_runs).map(|(ours, ceiling)| ours.per_second / ceiling.per_second),
        );
        let value = median_of(&runs, |run| run.per_second);
        let bound = median_of(&ceiling_runs, |run| run.per_second);
        let mut finding = Finding::value(case.row, case.name, case.unit, value).against(case.ceiling, bound);
        finding.ratio = Some(ratio);
        finding.runs = runs;
        finding.ceiling_runs = ceiling_runs;
        self.note(match case.goal {
            Some(goal) => finding.with_goal(Goal::RatioAtLeast(goal)),
            None => finding,
        });
        Ok(())
    }

    /// Measures something without a ceiling a few times.
    pub(crate) async fn repeat(
        &mut self,
        row: &'static str,
        name: &str,
        mut ours: impl AsyncFnMut() -> anyhow::Result<Run>,
    ) -> anyhow::Result<Vec<Run>> {
        let mut runs = Vec::new();
        for pair in 1..=self.plan.pairs {
            self.progress.step(&format!("{row} · {name} · {pair}/{}", self.plan.pairs));
            runs.push(ours().await?);
        }
        Ok(runs)
    }

    /// Records a finding.
    pub(crate) fn note(&mut self, finding: Finding) {
        self.progress.found(&finding);
        self.findings.push(finding);
    }
}
