//! The data of volumes, and reports of those who run a backend.

use std::collections::BTreeSet;

use chassis::testing::TestDb;
use proto::cinder::v1::{
    CreateAttachmentRequest, CreateSnapshotRequest, CreateVolumeRequest, ReadVolumeDataRequest,
    ReportAttachmentRequest, ReportSnapshotStateRequest, ReportVolumeStateRequest, Volume,
    WriteVolumeDataRequest, attachment, attachment_service_client::AttachmentServiceClient,
    report_volume_state_request::Result as Outcome, snapshot, snapshot_service_client::SnapshotServiceClient,
    volume::Status, volume_service_client::VolumeServiceClient, volume_task::State,
    write_volume_data_request::Part,
};
use tonic::{Status as Refusal, transport::Channel};

use super::{Peaks, ask, at_once, channel, glance, of_demo, volumes::cinder};

/// The calls that need data, or somebody who reports.
pub(super) const CALLS: [&str; 5] =
    ["ReadVolumeData", "WriteVolumeData", "ReportVolumeState", "ReportSnapshotState", "ReportAttachment"];

/// Size of a part of the data, in bytes.
const PART: usize = 1 << 20;

/// How many of them are written to each volume.
const PARTS: usize = 32;

pub(super) async fn the_data_of_volumes_fits_into_memory(db: TestDb) {
    let other = db.another().await;
    let glance = glance(&other);
    let folder = tempfile::tempdir().unwrap();
    let storage = format!("dir:{}", folder.path().join("volumes").display());
    let cinder = cinder(&db, &glance, &storage);
    let client = VolumeServiceClient::new(channel(&cinder).await);
    let mut ids = Vec::new();
    for _ in 0..at_once() {
        ids.push(blank(&client).await.id);
    }
    let mut peaks = Peaks(&cinder, Vec::new());
    let write = |number: usize| write(client.clone(), ids[number].clone());
    peaks.of("WriteVolumeData", write).await;
    peaks.of("ReadVolumeData", |number: usize| read(client.clone(), ids[number].clone())).await;
    peaks.check(&CALLS[..2].iter().map(|call| (*call).to_owned()).collect());
}

pub(super) async fn the_largest_reports_about_volumes_fit_into_memory(db: TestDb) {
    let other = db.another().await;
    let glance = glance(&other);
    let cinder = cinder(&db, &glance, "agent");
    let client = VolumeServiceClient::new(channel(&cinder).await);
    let mut ids = Vec::new();
    for _ in 0..at_once() {
        ids.push(blank(&client).await.id);
    }
    let id = |number: usize| ids[number].clone();
    let mut peaks = Peaks(&cinder, Vec::new());
    ask!(peaks, client, report_volume_state, "ReportVolumeState", |number| ReportVolumeStateRequest {
        id: id(number),
        seen_status: Status::Creating.into(),
        seen_task_state: State::Creating.into(),
        result: Outcome::Succeeded.into(),
        host: Some("h".repeat(255)),
        ..ReportVolumeStateRequest::default()
    });
    let snapshots = SnapshotServiceClient::new(channel(&cinder).await);
    let taken = ask!(peaks, snapshots, create_snapshot, "CreateSnapshot", |number| CreateSnapshotRequest {
        volume_id: id(number),
        ..CreateSnapshotRequest::default()
    });
    let taken: Vec<_> = taken.into_iter().map(|answer| answer.into_inner().id).collect();
    ask!(peaks, snapshots, report_snapshot_state, "ReportSnapshotState", |number| {
        ReportSnapshotStateRequest {
            id: taken[number].clone(),
            seen_status: snapshot::Status::Creating.into(),
            status: snapshot::Status::Error.into(),
            message: "\u{1F600}".repeat(255),
            ..ReportSnapshotStateRequest::default()
        }
    });
    let attachments = AttachmentServiceClient::new(channel(&cinder).await);
    let attached = ask!(peaks, attachments, create_attachment, "CreateAttachment", |number| {
        let connector = format!(r#"{{"host": "h", "filler": "{}"}}"#, "x".repeat(65_000));
        CreateAttachmentRequest { volume_id: id(number), connector, ..CreateAttachmentRequest::default() }
    });
    let attached: Vec<_> = attached.into_iter().map(|answer| answer.into_inner().id).collect();
    ask!(peaks, attachments, report_attachment, "ReportAttachment", |number| ReportAttachmentRequest {
        id: attached[number].clone(),
        seen_status: attachment::Status::Attaching.into(),
        connection_info: format!(r#"{{"filler": "{}"}}"#, "x".repeat(65_000)),
        ..ReportAttachmentRequest::default()
    });
    let calls: BTreeSet<_> = CALLS[2..].iter().map(|call| (*call).to_owned()).collect();
    peaks.check(&calls);
}

/// A new volume of one GiB without an image.
async fn blank(client: &VolumeServiceClient<Channel>) -> Volume {
    let request = CreateVolumeRequest { size_gib: Some(1), ..CreateVolumeRequest::default() };
    client.clone().create_volume(of_demo(request)).await.unwrap().into_inner()
}

/// Replaces the data of a volume once it is there.
async fn write(mut client: VolumeServiceClient<Channel>, id: String) -> Result<(), Refusal> {
    let part = move |_| WriteVolumeDataRequest {
        id: id.clone(),
        part: Some(Part::Data(vec![7; PART].into())),
        ..WriteVolumeDataRequest::default()
    };
    client.write_volume_data(of_demo(tokio_stream::iter((0..PARTS).map(part)))).await.map(drop)
}

/// Reads the data of a volume.
async fn read(mut client: VolumeServiceClient<Channel>, id: String) -> Result<(), Refusal> {
    let request = ReadVolumeDataRequest { id, ..ReadVolumeDataRequest::default() };
    let mut parts = client.read_volume_data(of_demo(request)).await?.into_inner();
    while parts.message().await?.is_some() {}
    Ok(())
}
