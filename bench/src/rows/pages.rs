//! Pages of lists anywhere in many and in very many resources, compared with the SQL that returns the same rows.

use std::{future::Future, sync::Arc};

use super::loader::{Loader, Place, jump};
use crate::{
    bench::{Bench, Case},
    ceiling::pgbench::Pgbench,
    figures::{Finding, Goal, Run, median_of},
    load::{Shape, drive},
    process::Watch,
};

/// Resources on a page.
pub(super) const PAGE: usize = 100;

/// [`PAGE`], for requests.
pub(super) const PAGE_SIZE: i32 = 100;

/// Where pages begin, spread over the whole list.
const PLACES: i32 = 5_000;

/// Resources in the smaller list.
const FEWER: u64 = 10_000;

/// When copy `:n` was created, in SQL.
const PLACE: &str = "'2020-01-01 00:00:00+00'::timestamptz + :n * interval '1 second'";

/// A list of a service.
pub(super) trait List: Clone + Send + 'static {
    /// Reads the page behind `token`, or the first one, with all that must be on it; returns the next page's token.
    fn page(
        self,
        worker: usize,
        token: String,
    ) -> impl Future<Output = anyhow::Result<String>> + Send + 'static;
}

/// The resources of a row, and their lists.
pub(super) struct Resources<'a, L> {
    /// The row, which its database is named after.
    pub(super) row: &'static str,
    /// The table of the resources, and the column that names them in other tables.
    pub(super) table: (&'static str, &'static str),
    /// URL of the database.
    pub(super) database: &'a str,
    /// The processes to watch.
    pub(super) watch: Watch,
    /// Each list with its name, and the SQL of the same page as one would write it by hand; `:place` is where it begins.
    pub(super) lists: Vec<(&'static str, L, &'static str)>,
}

impl<L: List> Resources<'_, L> {
    /// Measures all lists among as many resources as the bench's plan says.
    pub(super) async fn measure(self, bench: &mut Bench) -> anyhow::Result<()> {
        let (parent, link) = self.table;
        let mut loader = Loader::new(self.database, parent, link).await?;
        let mut fewer = Vec::new();
        for count in [FEWER, bench.plan.max_images] {
            if count == FEWER && !fewer.is_empty() {
                break;
            }
            loader.grow_to(bench, i64::try_from(count)?).await?;
            loader.vacuum().await?;
            let places: Arc<[Place]> = loader.places(PLACES).await?.into();
            for (index, (name, list, sql)) in self.lists.iter().enumerate() {
                let name = format!("{name} of {count}");
                let pages = Pages { list: list.clone(), watch: &self.watch, places: &places };
                let p99 = pages.latency(bench, self.row, &name, fewer.get(index).copied()).await?;
                fewer.push(p99);
                let script = format!("\\set n random(1, {count})\n{};\n", in_a_line(sql));
                let pgbench = Pgbench::new(&script, &in_order(self.database), bench.world.server()?)?;
                pages.compare(bench, self.row, &name, &pgbench).await?;
            }
        }
        Ok(())
    }
}

/// A list, read at random positions.
struct Pages<'a, L> {
    list: L,
    watch: &'a Watch,
    places: &'a Arc<[Place]>,
}

impl<L: List> Pages<'_, L> {
    /// p99 with one request in flight, compared with that of the smaller list.
    async fn latency(
        &self,
        bench: &mut Bench,
        row: &'static str,
        name: &str,
        fewer: Option<f64>,
    ) -> anyhow::Result<f64> {
        let shape = bench.plan.shape(1);
        let runs = bench.repeat(row, name, async || self.read(shape).await).await?;
        let p99 = median_of(&runs, |run| run.latency_us.p99) / 1e3;
        let finding = Finding::value(row, format!("p99 of {name}"), "ms", p99).with_runs(runs);
        bench.note(match fewer {
            Some(fewer) => finding.against("p99 of 10000", fewer).with_goal(Goal::RatioAtMost(1.5)),
            None => finding,
        });
        Ok(p99)
    }

    /// The rate of pages, compared with that of pgbench.
    async fn compare(
        &self,
        bench: &mut Bench,
        row: &'static str,
        name: &str,
        pgbench: &Pgbench,
    ) -> anyhow::Result<()> {
        for in_flight in [1, 16] {
            let shape = bench.plan.shape(in_flight);
            let case = Case {
                row,
                name: format!("{name}, {in_flight} in flight"),
                unit: "pages/s",
                ceiling: "pgbench, the same rows",
                goal: Some(0.5),
            };
            bench.compare(case, async || self.read(shape).await, async || pgbench.run(shape).await).await?;
        }
        Ok(())
    }

    async fn read(&self, shape: Shape) -> anyhow::Result<Run> {
        let token = self.list.clone().page(0, String::new()).await?;
        let tokens =
            self.places.iter().map(|place| jump(&token, place)).collect::<anyhow::Result<Arc<[_]>>>()?;
        let list = self.list.clone();
        drive(shape, self.watch, move |turn| {
            let token = tokens[(turn.worker * 331 + turn.number) % tokens.len()].clone();
            let page = list.clone().page(turn.worker, token);
            async move { page.await.map(drop) }
        })
        .await
    }
}

fn in_a_line(sql: &str) -> String {
    sql.replace('\n', " ").replace(":place", PLACE)
}

/// The database, with sessions that read ranges in order as the service's do; by default, PostgreSQL would collect whole
/// ranges.
fn in_order(database: &str) -> String {
    format!("{database}?options=-c%20enable_bitmapscan%3Doff%20-c%20random_page_cost%3D1.1%20-c%20jit%3Doff")
}
