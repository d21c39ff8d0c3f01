//! Volumes, and what belongs to them.

use chassis::testing::TestDb;
use harness::service::Service;
use proto::{
    cinder::v1::{
        AcceptTransferRequest, BeginDetachingRequest, CompareVolumeRequest, CompleteAttachmentRequest,
        CreateAttachmentRequest, CreateSnapshotRequest, CreateTransferRequest, CreateVolumeRequest,
        CreateVolumeTypeRequest, DeleteAttachmentRequest, DeleteSnapshotRequest, DeleteTransferRequest,
        DeleteVolumeRequest, DeleteVolumeTypeRequest, ExtendVolumeRequest, GetAttachmentRequest,
        GetQuotaRequest, GetSnapshotRequest, GetTransferRequest, GetVolumeHistoryRequest, GetVolumeRequest,
        GetVolumeTypeRequest, ListAttachmentsRequest, ListDriftRequest, ListSnapshotsRequest,
        ListTransfersRequest, ListVolumeTypesRequest, ListVolumesRequest, QuotaLimit, ReimageVolumeRequest,
        RetypeVolumeRequest, RevertVolumeRequest, RollDetachingRequest, Snapshot, UpdateAttachmentRequest,
        UpdateQuotaRequest, UpdateSnapshotRequest, UpdateVolumeImagePropertiesRequest, UpdateVolumeRequest,
        UpdateVolumeTypeRequest, UploadVolumeToImageRequest, Volume, VolumeType,
        attachment_service_client::AttachmentServiceClient, create_volume_request::Source,
        quota_service_client::QuotaServiceClient, snapshot_service_client::SnapshotServiceClient,
        transfer_service_client::TransferServiceClient, volume_service_client::VolumeServiceClient,
        volume_type_service_client::VolumeTypeServiceClient,
    },
    glance::v1::{Image, UpdateImagePropertiesRequest, image_service_client::ImageServiceClient},
};
use tonic::transport::Channel;

use super::{
    PATIENT, Peaks, ask, at_once, channel, first, glance, image, metadata, methods, of_demo, properties,
    registered, volume_data,
};

/// How many properties the images have: volumes are given others besides.
const PROPERTIES: usize = 100;

/// Volumes of each of the images: together more than a page holds.
const ROUNDS: usize = 4;

/// cinder-svc, which allows any number of volumes.
pub(super) fn cinder(db: &TestDb, glance: &Service, storage: &str) -> Service {
    let own = [
        "--database-url",
        &db.url,
        "--glance-endpoint",
        &glance.endpoint(),
        "--glance-timeout-ms",
        "600000",
        "--storage",
        storage,
    ];
    Service::start("cinder-svc", PATIENT.iter().chain(&own).chain(&UNLIMITED)).unwrap()
}

/// Any number of volumes in a project.
const UNLIMITED: [&str; 3] = ["--quota-volumes=-1", "--quota-snapshots=-1", "--quota-gigabytes=-1"];

type Volumes = VolumeServiceClient<Channel>;

pub(super) async fn the_largest_calls_about_volumes_fit_into_memory(db: TestDb) {
    let other = db.another().await;
    let glance = glance(&other);
    let cinder = cinder(&db, &glance, "none");
    let volumes = VolumeServiceClient::new(channel(&cinder).await);
    let mut peaks = Peaks(&cinder, Vec::new());
    types(&cinder, &mut peaks).await;
    let (images, ids) = made(&glance, &volumes, &mut peaks).await;
    read(&volumes, &ids, &mut peaks).await;
    attachments(&cinder, &ids, &mut peaks).await;
    change(&volumes, &ids, &images, &mut peaks).await;
    snapshots(&cinder, &ids, &mut peaks).await;
    transfers(&cinder, &ids, &mut peaks).await;
    ask!(peaks, volumes, delete_volume, "DeleteVolume", |number| DeleteVolumeRequest {
        id: ids[number].clone(),
        ..DeleteVolumeRequest::default()
    });
    let calls = methods(proto::cinder::DESCRIPTORS);
    peaks.check(&calls.into_iter().filter(|call| !volume_data::CALLS.contains(&call.as_str())).collect());
}

/// Images that have changed since volumes were made from them, and those.
async fn made(glance: &Service, client: &Volumes, peaks: &mut Peaks<'_>) -> (Vec<Image>, Vec<String>) {
    // Each of another image, which has changed since: no two share anything.
    let mut images = Vec::new();
    for number in 0..at_once() {
        let image = Image { properties: first(PROPERTIES, properties("x", number)), ..image(number) };
        images.push(registered(glance, image).await);
    }
    let mut ids = Vec::new();
    for round in 0..ROUNDS {
        let created = ask!(peaks, client, create_volume, "CreateVolume, of another image each", |number| {
            creating(&images[number], round * at_once() + number)
        });
        ids.extend(created.into_iter().map(|answer| answer.into_inner().id));
    }
    for (number, image) in images.iter().enumerate() {
        let set = first(PROPERTIES, properties("y", number + 100));
        let request = UpdateImagePropertiesRequest { image_id: image.id.clone(), set, ..Default::default() };
        let mut images = ImageServiceClient::new(channel(glance).await);
        images.update_image_properties(of_demo(request)).await.unwrap();
    }
    (images, ids)
}

fn creating(image: &Image, seed: usize) -> CreateVolumeRequest {
    CreateVolumeRequest {
        name: "\u{1F600}".repeat(255),
        description: "\u{1F600}".repeat(255),
        source: Some(Source::ImageId(image.id.clone())),
        metadata: metadata(seed),
        request_id: format!("request {seed}"),
        ..CreateVolumeRequest::default()
    }
}

async fn read(client: &Volumes, ids: &[String], peaks: &mut Peaks<'_>) {
    let id = |number: usize| ids[number].clone();
    ask!(peaks, client, get_volume, "GetVolume", |number| GetVolumeRequest { id: id(number), revision: 0 });
    ask!(peaks, client, get_volume, "GetVolume, as it was", |number| GetVolumeRequest {
        id: id(number),
        revision: 1
    });
    ask!(peaks, client, list_volumes, "ListVolumes", |_number| ListVolumesRequest {
        page_size: 1000,
        ..ListVolumesRequest::default()
    });
    ask!(peaks, client, compare_volume, "CompareVolume", |number| CompareVolumeRequest { id: id(number) });
    ask!(peaks, client, list_drift, "ListDrift", |_number| ListDriftRequest {
        page_size: 1000,
        ..ListDriftRequest::default()
    });
}

async fn change(client: &Volumes, ids: &[String], images: &[Image], peaks: &mut Peaks<'_>) {
    let id = |number: usize| ids[number].clone();
    ask!(peaks, client, update_volume, "UpdateVolume", |number| {
        let volume = Volume { id: id(number), metadata: metadata(number + 500), ..Volume::default() };
        UpdateVolumeRequest { volume: Some(volume), ..UpdateVolumeRequest::default() }
    });
    ask!(peaks, client, extend_volume, "ExtendVolume", |number| ExtendVolumeRequest {
        id: id(number),
        size_gib: 2,
        ..ExtendVolumeRequest::default()
    });
    ask!(peaks, client, retype_volume, "RetypeVolume", |number| RetypeVolumeRequest {
        id: id(number),
        volume_type: "kept".into(),
        ..RetypeVolumeRequest::default()
    });
    ask!(peaks, client, update_volume_image_properties, "UpdateVolumeImageProperties", |number| {
        let set = first(PROPERTIES, properties("z", number));
        UpdateVolumeImagePropertiesRequest { id: id(number), set, ..Default::default() }
    });
    ask!(peaks, client, upload_volume_to_image, "UploadVolumeToImage", |number| {
        UploadVolumeToImageRequest { id: id(number), name: "n".repeat(255), ..Default::default() }
    });
    ask!(peaks, client, reimage_volume, "ReimageVolume", |number| ReimageVolumeRequest {
        id: id(number),
        image_id: images[(number + 1) % at_once()].id.clone(),
        ..ReimageVolumeRequest::default()
    });
    ask!(peaks, client, get_volume_history, "GetVolumeHistory", |number| GetVolumeHistoryRequest {
        id: id(number),
        page_size: 1000,
        ..GetVolumeHistoryRequest::default()
    });
}

async fn snapshots(cinder: &Service, ids: &[String], peaks: &mut Peaks<'_>) {
    let client = SnapshotServiceClient::new(channel(cinder).await);
    let taken = ask!(peaks, client, create_snapshot, "CreateSnapshot", |number| CreateSnapshotRequest {
        volume_id: ids[number].clone(),
        name: "\u{1F600}".repeat(255),
        description: "\u{1F600}".repeat(255),
        metadata: metadata(number),
        ..CreateSnapshotRequest::default()
    });
    let taken: Vec<_> = taken.into_iter().map(tonic::Response::into_inner).collect();
    let id = |number: usize| taken[number].id.clone();
    ask!(peaks, client, get_snapshot, "GetSnapshot", |number| GetSnapshotRequest { id: id(number) });
    ask!(peaks, client, list_snapshots, "ListSnapshots", |_number| ListSnapshotsRequest {
        page_size: 1000,
        ..ListSnapshotsRequest::default()
    });
    ask!(peaks, client, update_snapshot, "UpdateSnapshot", |number| {
        let snapshot = Snapshot { id: id(number), metadata: metadata(number + 500), ..Snapshot::default() };
        UpdateSnapshotRequest { snapshot: Some(snapshot), update_mask: None }
    });
    let volumes = VolumeServiceClient::new(channel(cinder).await);
    ask!(peaks, volumes, revert_volume, "RevertVolume", |number| RevertVolumeRequest {
        id: taken[number].volume_id.clone(),
        snapshot_id: id(number),
        ..RevertVolumeRequest::default()
    });
    ask!(peaks, client, delete_snapshot, "DeleteSnapshot", |number| DeleteSnapshotRequest {
        id: id(number),
        ..DeleteSnapshotRequest::default()
    });
}

async fn attachments(cinder: &Service, ids: &[String], peaks: &mut Peaks<'_>) {
    let client = AttachmentServiceClient::new(channel(cinder).await);
    let reserved = ask!(peaks, client, create_attachment, "CreateAttachment", |number| {
        CreateAttachmentRequest { volume_id: ids[number].clone(), ..CreateAttachmentRequest::default() }
    });
    let reserved: Vec<_> = reserved.into_iter().map(|answer| answer.into_inner().id).collect();
    let id = |number: usize| reserved[number].clone();
    ask!(peaks, client, update_attachment, "UpdateAttachment", |number| {
        let connector = format!(r#"{{"host": "h", "filler": "{}"}}"#, "x".repeat(65_000));
        UpdateAttachmentRequest { id: id(number), connector, ..Default::default() }
    });
    ask!(peaks, client, complete_attachment, "CompleteAttachment", |number| CompleteAttachmentRequest {
        id: id(number),
        ..CompleteAttachmentRequest::default()
    });
    ask!(peaks, client, get_attachment, "GetAttachment", |number| GetAttachmentRequest { id: id(number) });
    ask!(peaks, client, list_attachments, "ListAttachments", |_number| ListAttachmentsRequest {
        page_size: 1000,
        ..ListAttachmentsRequest::default()
    });
    ask!(peaks, client, begin_detaching, "BeginDetaching", |number| BeginDetachingRequest {
        id: id(number),
        ..BeginDetachingRequest::default()
    });
    ask!(peaks, client, roll_detaching, "RollDetaching", |number| RollDetachingRequest {
        id: id(number),
        ..RollDetachingRequest::default()
    });
    ask!(peaks, client, delete_attachment, "DeleteAttachment", |number| DeleteAttachmentRequest {
        id: id(number),
        ..DeleteAttachmentRequest::default()
    });
}

async fn transfers(cinder: &Service, ids: &[String], peaks: &mut Peaks<'_>) {
    let client = TransferServiceClient::new(channel(cinder).await);
    for end in ["AcceptTransfer", "DeleteTransfer"] {
        let offered =
            ask!(peaks, client, create_transfer, "CreateTransfer", |number| CreateTransferRequest {
                volume_id: ids[number].clone(),
                name: "\u{1F600}".repeat(255),
                ..CreateTransferRequest::default()
            });
        let offered: Vec<_> = offered.into_iter().map(tonic::Response::into_inner).collect();
        let id = |number: usize| offered[number].transfer.clone().unwrap().id;
        ask!(peaks, client, get_transfer, "GetTransfer", |number| GetTransferRequest { id: id(number) });
        ask!(peaks, client, list_transfers, "ListTransfers", |_number| ListTransfersRequest {
            page_size: 1000,
            ..ListTransfersRequest::default()
        });
        if end == "AcceptTransfer" {
            ask!(peaks, client, accept_transfer, "AcceptTransfer", |number| AcceptTransferRequest {
                id: id(number),
                auth_key: offered[number].auth_key.clone(),
            });
        } else {
            ask!(peaks, client, delete_transfer, "DeleteTransfer", |number| DeleteTransferRequest {
                id: id(number)
            });
        }
    }
}

/// Volume types and limits; a type named `kept` is there afterwards.
async fn types(cinder: &Service, peaks: &mut Peaks<'_>) {
    let client = VolumeTypeServiceClient::new(channel(cinder).await);
    let volume_type = |number: usize| VolumeType {
        name: format!("{number:03}{}", "\u{1F600}".repeat(252)),
        description: "\u{1F600}".repeat(255),
        project_ids: (0..1000).map(|project| format!("{project:0>255}")).collect(),
        extra_specs: (0..128).map(|spec| (format!("{spec:0>255}"), "\u{1F600}".repeat(255))).collect(),
        ..VolumeType::default()
    };
    let made = ask!(peaks, client, create_volume_type, "CreateVolumeType", |number| {
        CreateVolumeTypeRequest { volume_type: Some(volume_type(number)) }
    });
    let made: Vec<_> = made.into_iter().map(|answer| answer.into_inner().id).collect();
    let id = |number: usize| made[number].clone();
    ask!(peaks, client, get_volume_type, "GetVolumeType", |number| GetVolumeTypeRequest { id: id(number) });
    ask!(peaks, client, list_volume_types, "ListVolumeTypes", |_number| ListVolumeTypesRequest {
        page_size: 1000,
        ..ListVolumeTypesRequest::default()
    });
    ask!(peaks, client, update_volume_type, "UpdateVolumeType", |number| {
        let (id, name) = (id(number), String::new());
        let changed = VolumeType { id, name, description: "d".into(), ..volume_type(number) };
        UpdateVolumeTypeRequest { volume_type: Some(changed), update_mask: None }
    });
    ask!(peaks, client, delete_volume_type, "DeleteVolumeType", |number| DeleteVolumeTypeRequest {
        id: id(number),
        ..DeleteVolumeTypeRequest::default()
    });
    let kept = VolumeType { name: "kept".into(), is_public: true, ..VolumeType::default() };
    let request = CreateVolumeTypeRequest { volume_type: Some(kept) };
    client.clone().create_volume_type(of_demo(request)).await.unwrap();
    let quotas = QuotaServiceClient::new(channel(cinder).await);
    ask!(peaks, quotas, update_quota, "UpdateQuota", |number| UpdateQuotaRequest {
        project_id: format!("{number:0>255}"),
        limits: vec![QuotaLimit { resource: "volumes_kept".into(), limit: 7, used: 0 }],
        ..UpdateQuotaRequest::default()
    });
    ask!(peaks, quotas, get_quota, "GetQuota", |number| GetQuotaRequest {
        project_id: format!("{number:0>255}")
    });
}
