//! The bodies of requests on snapshots, and of their answers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    http::{
        Call,
        list::pages,
        render::{NOTHING, some, time},
        since,
        values::Flag,
    },
    volume::{
        Snapshot, SnapshotStatus,
        snapshot::{NewSnapshot, SnapshotUpdate},
    },
};

/// A snapshot.
#[derive(Serialize, ToSchema)]
#[schema(as = Snapshot)]
pub(in crate::http) struct SnapshotView {
    id: String,
    name: String,
    description: Option<String>,
    volume_id: String,
    status: &'static str,
    /// GiB.
    size: i32,
    created_at: String,
    updated_at: Option<String>,
    metadata: BTreeMap<String, String>,
    #[serde(rename = "os-extended-snapshot-attributes:project_id")]
    project_id: String,
    #[serde(rename = "os-extended-snapshot-attributes:progress")]
    progress: &'static str,
    /// Since 3.14.
    #[serde(skip_serializing_if = "Option::is_none")]
    group_snapshot_id: Option<Value>,
    /// Since 3.41.
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<String>,
    /// Since 3.65.
    #[serde(skip_serializing_if = "Option::is_none")]
    consumes_quota: Option<bool>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = OneSnapshot)]
pub(in crate::http) struct One {
    pub(super) snapshot: SnapshotView,
}

pages! {
    /// A page of snapshots.
    Snapshots { snapshots: SnapshotView, snapshots_links }
}

#[derive(Deserialize, ToSchema)]
#[schema(as = CreateSnapshot)]
pub(in crate::http) struct Create {
    pub(super) snapshot: New,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = NewSnapshot)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct New {
    pub(super) volume_id: Option<String>,
    #[serde(alias = "display_name")]
    name: Option<String>,
    #[serde(alias = "display_description")]
    description: Option<String>,
    metadata: Option<BTreeMap<String, String>>,
    /// Says nothing: a volume that is in use can be snapshot.
    #[serde(rename = "force")]
    _force: Option<Flag>,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = UpdateSnapshot)]
pub(in crate::http) struct Update {
    pub(super) snapshot: Change,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = SnapshotUpdate)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Change {
    #[serde(alias = "display_name")]
    name: Option<String>,
    #[serde(alias = "display_description")]
    description: Option<String>,
}

impl New {
    pub(super) fn plain(self, volume_id: String) -> NewSnapshot {
        NewSnapshot {
            volume_id,
            name: self.name.unwrap_or_default(),
            description: self.description.unwrap_or_default(),
            metadata: self.metadata.unwrap_or_default(),
            quiesced: false,
            request_id: String::new(),
            volume_etag: String::new(),
        }
    }
}

impl Change {
    pub(super) fn plain(self) -> SnapshotUpdate {
        let Self { name, description } = self;
        SnapshotUpdate { name, description, ..SnapshotUpdate::default() }
    }
}

impl SnapshotView {
    /// A snapshot as `call` shows it.
    pub(super) fn new(snapshot: Snapshot, call: &Call) -> Self {
        Self {
            id: snapshot.id.to_string(),
            name: snapshot.name,
            description: some(snapshot.description),
            volume_id: snapshot.volume_id.to_string(),
            status: snapshot.status.as_str(),
            size: snapshot.size_gib,
            created_at: time(snapshot.create_time),
            updated_at: (snapshot.revision > 1).then(|| time(snapshot.update_time)),
            metadata: snapshot.metadata,
            project_id: snapshot.project_id,
            progress: if snapshot.status == SnapshotStatus::Available { "100%" } else { "0%" },
            group_snapshot_id: if call.version.is_in(since(14)) { NOTHING } else { None },
            user_id: call.version.is_in(since(41)).then_some(snapshot.user_id),
            consumes_quota: call.version.is_in(since(65)).then_some(true),
        }
    }
}
