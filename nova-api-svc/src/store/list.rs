//! Lists of instances ([`chassis::records::List`]).

use chassis::{
    db::QueryBuilder,
    page::{Page, Read},
    records::{List, Resources, Values},
};

use super::{
    Store,
    instance::{InstanceRow, ROWS},
};
use crate::{
    error::Error,
    instance::{Instance, Scope},
    list::{InstanceFilter, InstanceOrder},
};

/// Instances and their records.
pub(super) const INSTANCES: Resources = Resources { table: "instances", rows: ROWS, values: Values::Whole };

impl Store {
    /// A page of instances within `scope`, as far as it fits into an answer: one statement, or a second one if the first
    /// finds too few, plus what they share.
    pub async fn list_instances(
        &self,
        filter: &InstanceFilter,
        page: &Page<InstanceOrder>,
        scope: &Scope,
    ) -> Result<Read<Instance>, Error> {
        let list = List {
            resources: &INSTANCES,
            scope,
            conditions: |query: &mut QueryBuilder| push_conditions(query, filter),
            names_a_group: filter.names_a_group(),
            records: &filter.records,
            page,
        };
        let rows: Vec<InstanceRow> = list.read(&self.db).await?;
        self.complete_page(rows).await
    }
}

/// Adds the conditions on instances.
fn push_conditions(query: &mut QueryBuilder, filter: &InstanceFilter) {
    for (condition, value) in &filter.columns {
        value.push_bind(query.push(" AND ").push(condition));
    }
}
