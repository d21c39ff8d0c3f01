//! Lists of volumes ([`chassis::records::List`]).

use chassis::{
    db::QueryBuilder,
    page::{Key, Page, Read},
    records::{List, Resources, Values},
    scope::Scope,
};

use super::{
    Store,
    volume::{ROWS, VolumeRow},
};
use crate::{
    error::Error,
    list::{VolumeFilter, VolumeOrder},
    volume::Volume,
};

/// Volumes and their records.
pub(super) const VOLUMES: Resources = Resources { table: "volumes", rows: ROWS, values: Values::Beginning };

impl Store {
    /// A page of volumes within `scope`, as far as it fits into an answer.
    pub async fn list_volumes(
        &self,
        filter: &VolumeFilter,
        page: &Page<VolumeOrder>,
        scope: &Scope,
    ) -> Result<Read<Volume>, Error> {
        let list = List {
            resources: &VOLUMES,
            scope,
            conditions: |query: &mut QueryBuilder| push_conditions(query, filter),
            names_a_group: filter.names_a_project(),
            records: &filter.records,
            page,
        };
        let rows: Vec<VolumeRow> = list.read(&self.db).await?;
        self.complete_page(rows).await
    }
}

/// Adds the conditions on volumes.
fn push_conditions(query: &mut QueryBuilder, filter: &VolumeFilter) {
    for (condition, value) in &filter.columns {
        query.push(" AND ");
        value.push_bind(query.push(condition));
    }
    if let Some(bootable) = filter.bootable {
        query.push(if bootable { " AND bootable" } else { " AND NOT bootable" });
    }
    if let Some(name) = &filter.volume_type {
        query.push(" AND volume_type_id IN (SELECT id FROM volume_types WHERE name = ").push_bind(name);
        if let Some(id) = filter.volume_type_id() {
            query.push(" OR id = ").push_bind(id);
        }
        query.push(")");
    }
    match filter.task_state {
        None => {}
        Some(None) => {
            query.push(" AND NOT EXISTS (SELECT 1 FROM volume_tasks t WHERE t.volume_id = listed.id)");
        }
        Some(Some(state)) => {
            query.push(
                " AND EXISTS (SELECT 1 FROM volume_tasks t WHERE t.volume_id = listed.id AND t.task_state = ",
            );
            query.push_bind(state.as_str()).push(")");
        }
    }
    if let Some(instance_id) = filter.instance_id {
        query.push(" AND listed.id IN (SELECT a.volume_id FROM attachments a WHERE a.instance_id = ");
        query.push_bind(instance_id).push(")");
    }
    for (key, value) in &filter.metadata {
        query.push(" AND listed.id IN (SELECT m.volume_id FROM volume_metadata m WHERE m.key = ");
        query.push_bind(key).push(" AND m.value = ").push_bind(value).push(")");
    }
}

impl VolumeOrder {
    /// The volume's value of this sort key.
    #[must_use]
    pub fn key(self, volume: &Volume) -> Key {
        match self {
            Self::Name => Key::Text(volume.name.clone()),
            Self::Status => Key::Text(volume.status.as_str().to_owned()),
            Self::SizeGib => Key::Integer(volume.size_gib.into()),
            Self::Id => Key::Id(volume.id),
            Self::CreateTime => Key::Micros(volume.create_time),
            Self::UpdateTime => Key::Micros(volume.update_time),
        }
    }
}
