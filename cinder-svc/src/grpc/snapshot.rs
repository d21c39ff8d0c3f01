//! `cinder.v1.SnapshotService`.

use chassis::{
    edge::Room,
    grpc::{GrpcResult, PAGE, answer_in},
    page::Page,
};
use common::{clock::timestamp, id::Id, violations::Violations};
use prost::Message;
use prost_types::FieldMask;
use proto::cinder::v1::{self as pb, snapshot, snapshot_service_server::SnapshotService};
use tonic::{Request, Response};

use super::{caller, parse::unknown, render};
use crate::{
    error::Error,
    list::{SNAPSHOT_ORDER, SnapshotFilter},
    volume::{
        Snapshot, SnapshotStatus,
        snapshot::{NewSnapshot, SnapshotReport, SnapshotUpdate},
    },
    volumes::{VolumeApi, snapshots::SnapshotRequest},
};

/// The service.
pub(super) struct Api {
    pub(super) volumes: VolumeApi,
}

#[tonic::async_trait]
impl SnapshotService for Api {
    async fn create_snapshot(&self, request: Request<pb::CreateSnapshotRequest>) -> GrpcResult<pb::Snapshot> {
        let caller = caller(&request)?;
        let message = request.into_inner();
        let new = NewSnapshot {
            volume_id: message.volume_id,
            name: message.name,
            description: message.description,
            metadata: message.metadata,
            quiesced: message.quiesced,
            request_id: message.request_id,
            volume_etag: message.volume_etag,
        };
        let request = new.check().map_err(Error::from)?;
        Ok(Response::new(render(self.volumes.create_snapshot(&request, &caller).await?)))
    }

    async fn get_snapshot(&self, request: Request<pb::GetSnapshotRequest>) -> GrpcResult<pb::Snapshot> {
        let caller = caller(&request)?;
        let id = Id::from_field("id", &request.into_inner().id).map_err(Error::from)?;
        Ok(Response::new(render(self.volumes.get_snapshot(id, &caller).await?)))
    }

    async fn list_snapshots(
        &self,
        request: Request<pb::ListSnapshotsRequest>,
    ) -> GrpcResult<pb::ListSnapshotsResponse> {
        let room = Room::of(request.extensions(), PAGE).await;
        let caller = caller(&request)?;
        let pb::ListSnapshotsRequest { page_size, page_token, filter, order_by, all_projects } =
            request.into_inner();
        let mut problems = Violations::default();
        let wanted = problems.take("filter", SnapshotFilter::parse(&filter)).unwrap_or_default();
        let scope = wanted.scope(all_projects, &caller)?;
        let list = ["snapshots", &scope.binding(), &filter];
        let page = Page::parse(problems, page_size, &page_token, &order_by, &list, SNAPSHOT_ORDER)
            .map_err(Error::from)?;
        let listed = self.volumes.list_snapshots(&wanted, &page, &scope).await?;
        let (snapshots, next_page_token) =
            page.finish(listed, |snapshot, by| by.key(snapshot), render, Message::encoded_len);
        Ok(answer_in(room, pb::ListSnapshotsResponse { snapshots, next_page_token }))
    }

    async fn update_snapshot(&self, request: Request<pb::UpdateSnapshotRequest>) -> GrpcResult<pb::Snapshot> {
        let caller = caller(&request)?;
        let pb::UpdateSnapshotRequest { snapshot, update_mask } = request.into_inner();
        let snapshot = snapshot.unwrap_or_default();
        let mut problems = Violations::default();
        let id = problems.take("snapshot.id", snapshot.id.parse::<Id>());
        let update = update(&snapshot, update_mask.as_ref(), &mut problems);
        // With a malformed id, the request is refused before the id is used.
        let id = id.unwrap_or_else(|| Id::from(common::id::NIL));
        let request = SnapshotRequest { id, etag: &snapshot.etag, caller: &caller };
        Ok(Response::new(render(self.volumes.update_snapshot(request, &update, problems).await?)))
    }

    async fn delete_snapshot(&self, request: Request<pb::DeleteSnapshotRequest>) -> GrpcResult<()> {
        let caller = caller(&request)?;
        let pb::DeleteSnapshotRequest { id, force, etag, request_id } = request.into_inner();
        let mut problems = Violations::default();
        let id = problems.take("id", id.parse::<Id>());
        problems.take("request_id", common::text::optional_name(&request_id));
        problems.check().map_err(Error::from)?;
        let id = id.expect("a malformed id is a violation");
        let request = SnapshotRequest { id, etag: &etag, caller: &caller };
        self.volumes.delete_snapshot(request, force, &request_id).await?;
        Ok(Response::new(()))
    }

    async fn report_snapshot_state(
        &self,
        request: Request<pb::ReportSnapshotStateRequest>,
    ) -> GrpcResult<pb::Snapshot> {
        let caller = caller(&request)?;
        let pb::ReportSnapshotStateRequest { id, seen_status, status, message, etag } = request.into_inner();
        let mut problems = Violations::default();
        let id = problems.take("id", id.parse::<Id>());
        let seen_status = problems.take("seen_status", read_status(seen_status)).flatten();
        let status = problems.take("status", read_status(status)).flatten();
        if seen_status.is_none() && problems.is_empty() {
            problems.add("seen_status", "must be given: the status that the report is about");
        }
        let seen_status = seen_status.unwrap_or(SnapshotStatus::Creating);
        let report = SnapshotReport { seen_status, status, message };
        // With a malformed id, the request is refused before the id is used.
        let id = id.unwrap_or_else(|| Id::from(common::id::NIL));
        let request = SnapshotRequest { id, etag: &etag, caller: &caller };
        Ok(Response::new(render(self.volumes.report_snapshot(request, &report, problems).await?)))
    }
}

/// The fields that an update can name.
const FIELDS: [&str; 3] = ["name", "description", "metadata"];

/// What an update changes: the fields of `mask`, or without one those that are set.
fn update(snapshot: &pb::Snapshot, mask: Option<&FieldMask>, problems: &mut Violations) -> SnapshotUpdate {
    let paths = mask.map(|mask| mask.paths.as_slice()).unwrap_or_default();
    for path in paths {
        if path != "*" && !FIELDS.contains(&path.as_str()) {
            let problem = format!("{path:?} cannot be updated; {} can", FIELDS.join(", "));
            problems.add("update_mask", problem);
        }
    }
    let is_named = |field: &str, is_set: bool| match paths {
        [] => is_set,
        paths => paths.iter().any(|path| path == field || path == "*"),
    };
    let text = |field, text: &String| is_named(field, !text.is_empty()).then(|| text.clone());
    SnapshotUpdate {
        name: text("name", &snapshot.name),
        description: text("description", &snapshot.description),
        metadata: is_named("metadata", !snapshot.metadata.is_empty()).then(|| snapshot.metadata.clone()),
    }
}

fn read_status(number: i32) -> Result<Option<SnapshotStatus>, String> {
    match snapshot::Status::try_from(number).map_err(|_| unknown(number))? {
        snapshot::Status::Unspecified => Ok(None),
        status => Ok(SnapshotStatus::from_name(status.as_str_name())),
    }
}

/// A snapshot.
fn render(snapshot: Snapshot) -> pb::Snapshot {
    let metadata = &snapshot.record.metadata;
    pb::Snapshot {
        id: snapshot.id.to_string(),
        etag: snapshot.etag(),
        volume_id: snapshot.volume_id.to_string(),
        size_gib: snapshot.size_gib,
        volume_type_id: snapshot.volume_type_id.to_string(),
        status: status(snapshot.status).into(),
        last_failure: snapshot.last_failure.map(render::failure),
        image: metadata.image.clone().map(render::source_image),
        image_properties: metadata.properties.clone(),
        bootable: snapshot.bootable,
        storage: render::storage(snapshot.storage).into(),
        revision: snapshot.revision,
        create_time: Some(timestamp(snapshot.create_time)),
        update_time: Some(timestamp(snapshot.update_time)),
        name: snapshot.name,
        description: snapshot.description,
        project_id: snapshot.project_id,
        user_id: snapshot.user_id,
        metadata: snapshot.metadata,
    }
}

const fn status(status: SnapshotStatus) -> snapshot::Status {
    match status {
        SnapshotStatus::Creating => snapshot::Status::Creating,
        SnapshotStatus::Available => snapshot::Status::Available,
        SnapshotStatus::Error => snapshot::Status::Error,
        SnapshotStatus::Deleting => snapshot::Status::Deleting,
    }
}
