//! Instances and flavors.

use chassis::testing::TestDb;
use harness::service::Service;
use proto::{
    cinder::v1::{CreateVolumeRequest, volume_service_client::VolumeServiceClient},
    glance::v1::{Image, UpdateImagePropertiesRequest, image_service_client::ImageServiceClient},
    nova::v1::{
        AttachVolumeRequest, CompareInstanceRequest, ConfirmResizeRequest, CreateFlavorRequest,
        DeleteFlavorRequest, DeleteInstanceRequest, DetachVolumeRequest, Flavor, GetFlavorRequest,
        GetInstanceHistoryRequest, GetInstanceRequest, ListDriftRequest, ListFlavorsRequest,
        ListInstancesRequest, ListVolumeAttachmentsRequest, RebuildInstanceRequest,
        ReportInstanceStateRequest, ResizeInstanceRequest, RevertResizeRequest, ShelveInstanceRequest,
        SnapshotInstanceRequest, UnshelveInstanceRequest, UpdateInstanceImagePropertiesRequest,
        flavor_service_client::FlavorServiceClient, instance::State,
        instance_service_client::InstanceServiceClient,
    },
};
use tonic::transport::Channel;

use crate::world::start_cinder;

use super::{
    Peaks, ask, at_once, channel, creating, first, glance, image, methods, nova_with, of_demo, properties,
    registered,
};

/// How many properties the images have: a snapshot has others besides.
const PROPERTIES: usize = 100;

/// Instances for each of the images: together more than a page holds.
const ROUNDS: usize = 4;

pub(super) async fn the_largest_calls_about_instances_fit_into_memory(db: TestDb) {
    let other = db.another().await;
    let glance = glance(&other);
    let volumes = db.another().await;
    let cinder = start_cinder(&volumes.url, &glance.endpoint(), "none");
    let nova = nova_with(&db, &glance, &["--cinder-endpoint", &cinder.endpoint()]);
    let client = InstanceServiceClient::new(channel(&nova).await);
    let mut peaks = Peaks(&nova, Vec::new());
    let (images, ids) = made(&glance, &client, &mut peaks).await;
    read(&client, &ids, &mut peaks).await;
    volumes_of(&client, &cinder, &ids, &mut peaks).await;
    change(&client, &ids, &images, &mut peaks).await;
    flavors(&nova, &mut peaks).await;
    peaks.check(&methods(proto::nova::DESCRIPTORS));
}

type Client = InstanceServiceClient<Channel>;

/// Images that have changed since instances were made from them, and those.
async fn made(glance: &Service, client: &Client, peaks: &mut Peaks<'_>) -> (Vec<Image>, Vec<String>) {
    // Each of another image, which has changed since: no two share anything.
    let mut images = Vec::new();
    for number in 0..at_once() {
        let image = Image { properties: first(PROPERTIES, properties("x", number)), ..image(number) };
        images.push(registered(glance, image).await);
    }
    let mut ids = Vec::new();
    for round in 0..ROUNDS {
        let created =
            ask!(peaks, client, create_instance, "CreateInstance, of another image each", |number| creating(
                &images[number],
                1,
                round * at_once() + number
            ));
        ids.extend(created.into_iter().map(|answer| answer.into_inner().instances.remove(0).id));
    }
    for (number, image) in images.iter().enumerate() {
        let set = first(PROPERTIES, properties("y", number + 100));
        let request = UpdateImagePropertiesRequest { image_id: image.id.clone(), set, ..Default::default() };
        let mut images = ImageServiceClient::new(channel(glance).await);
        images.update_image_properties(of_demo(request)).await.unwrap();
    }
    (images, ids)
}

async fn read(client: &Client, ids: &[String], peaks: &mut Peaks<'_>) {
    let id = |number: usize| ids[number].clone();
    ask!(peaks, client, get_instance, "GetInstance", |number| GetInstanceRequest { id: id(number) });
    ask!(peaks, client, list_instances, "ListInstances", |_number| ListInstancesRequest {
        page_size: 1000,
        ..ListInstancesRequest::default()
    });
    ask!(peaks, client, compare_instance, "CompareInstance", |number| CompareInstanceRequest {
        id: id(number)
    });
    ask!(peaks, client, list_drift, "ListDrift", |_number| ListDriftRequest {
        page_size: 1000,
        ..ListDriftRequest::default()
    });
}

/// Each instance gets a volume, shows it, and loses it again.
async fn volumes_of(client: &Client, cinder: &Service, ids: &[String], peaks: &mut Peaks<'_>) {
    let mut volumes = VolumeServiceClient::new(channel(cinder).await);
    let mut volume_ids = Vec::new();
    for _ in 0..at_once() {
        let request = of_demo(CreateVolumeRequest { size_gib: Some(1), ..CreateVolumeRequest::default() });
        volume_ids.push(volumes.create_volume(request).await.unwrap().into_inner().id);
    }
    let id = |number: usize| ids[number].clone();
    ask!(peaks, client, attach_volume, "AttachVolume", |number| AttachVolumeRequest {
        id: id(number),
        volume_id: volume_ids[number].clone(),
        ..AttachVolumeRequest::default()
    });
    ask!(peaks, client, list_volume_attachments, "ListVolumeAttachments", |number| {
        ListVolumeAttachmentsRequest { id: id(number) }
    });
    ask!(peaks, client, detach_volume, "DetachVolume", |number| DetachVolumeRequest {
        id: id(number),
        volume_id: volume_ids[number].clone(),
        ..DetachVolumeRequest::default()
    });
}

async fn change(client: &Client, ids: &[String], images: &[Image], peaks: &mut Peaks<'_>) {
    let id = |number: usize| ids[number].clone();
    ask!(peaks, client, update_instance_image_properties, "UpdateInstanceImageProperties", |number| {
        let short = |(name, value): (String, String)| (name, value[..200].to_owned());
        let set = first(PROPERTIES, properties("z", 0)).into_iter().map(short).collect();
        UpdateInstanceImagePropertiesRequest { id: id(number), set, ..Default::default() }
    });
    ask!(peaks, client, snapshot_instance, "SnapshotInstance", |number| {
        let of_its_own = |(name, value): (String, String)| (format!("own{}", &name[3..]), value);
        let metadata = first(20, properties("s", number)).into_iter().map(of_its_own).collect();
        SnapshotInstanceRequest { id: id(number), name: "n".repeat(255), metadata, ..Default::default() }
    });
    ask!(peaks, client, rebuild_instance, "RebuildInstance", |number| RebuildInstanceRequest {
        id: id(number),
        image_id: images[(number + 1) % at_once()].id.clone(),
        ..RebuildInstanceRequest::default()
    });
    for _ in 0..2 {
        ask!(peaks, client, resize_instance, "ResizeInstance", |number| ResizeInstanceRequest {
            id: id(number),
            flavor_id: "2".into(),
            ..ResizeInstanceRequest::default()
        });
        ask!(peaks, client, revert_resize, "RevertResize", |number| RevertResizeRequest {
            id: id(number),
            ..RevertResizeRequest::default()
        });
    }
    ask!(peaks, client, resize_instance, "ResizeInstance", |number| ResizeInstanceRequest {
        id: id(number),
        flavor_id: "2".into(),
        ..ResizeInstanceRequest::default()
    });
    ask!(peaks, client, confirm_resize, "ConfirmResize", |number| ConfirmResizeRequest {
        id: id(number),
        ..ConfirmResizeRequest::default()
    });
    ask!(peaks, client, shelve_instance, "ShelveInstance", |number| ShelveInstanceRequest {
        id: id(number),
        ..ShelveInstanceRequest::default()
    });
    ask!(peaks, client, unshelve_instance, "UnshelveInstance", |number| UnshelveInstanceRequest {
        id: id(number),
        ..UnshelveInstanceRequest::default()
    });
    ask!(peaks, client, report_instance_state, "ReportInstanceState", |number| {
        ReportInstanceStateRequest {
            id: id(number),
            seen_state: State::Active.into(),
            state: State::Stopped.into(),
            ..ReportInstanceStateRequest::default()
        }
    });
    ask!(peaks, client, get_instance_history, "GetInstanceHistory", |number| GetInstanceHistoryRequest {
        id: id(number),
        page_size: 1000,
        ..GetInstanceHistoryRequest::default()
    });
    ask!(peaks, client, delete_instance, "DeleteInstance", |number| DeleteInstanceRequest {
        id: id(number),
        ..DeleteInstanceRequest::default()
    });
}

async fn flavors(nova: &Service, peaks: &mut Peaks<'_>) {
    let client = FlavorServiceClient::new(channel(nova).await);
    let name = |number: usize| format!("{number:03}{}", "\u{1F600}".repeat(252));
    ask!(peaks, client, create_flavor, "CreateFlavor", |number| {
        let (id, name) = (name(number), name(number));
        let flavor = Flavor { id, name, memory_mb: 1, vcpus: 1, ..Flavor::default() };
        CreateFlavorRequest { flavor: Some(flavor) }
    });
    ask!(peaks, client, get_flavor, "GetFlavor", |number| GetFlavorRequest { id: name(number) });
    ask!(peaks, client, list_flavors, "ListFlavors", |_number| ListFlavorsRequest {
        page_size: 1000,
        ..ListFlavorsRequest::default()
    });
    ask!(peaks, client, delete_flavor, "DeleteFlavor", |number| DeleteFlavorRequest { id: name(number) });
}
