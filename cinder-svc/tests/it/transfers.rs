//! Transfers: volumes that are given to other projects.

use chassis::{on_both_databases, testing::TestDb};
use cinder_svc::quota::Quota;
use common::id::Id;
use peers::testing::glance::map;
use proto::cinder::v1::{
    AcceptTransferRequest, CreateAttachmentRequest, CreateSnapshotRequest, CreateTransferRequest,
    CreateTransferResponse, CreateVolumeRequest, DeleteTransferRequest, DeleteVolumeRequest,
    GetTransferRequest, GetVolumeRequest, ListSnapshotsRequest, ListTransfersRequest, Transfer, Volume,
    transfer_service_client::TransferServiceClient, volume::Status as VolumeStatus,
    volume_history_entry::Operation,
};
use tonic::{Code, Request, Status, transport::Channel};

use crate::support::{
    Cinder, OWNER, Settings, as_admin, as_alice, as_reader, as_service, as_stranger, assert_error, fields,
    from_image, made_as,
};

on_both_databases!(
    a_volume_goes_to_another_project_with_all_that_belongs_to_it,
    only_the_key_opens_it,
    an_offered_volume_is_not_used,
    an_offer_is_withdrawn,
    what_the_receiver_may_not_use_is_not_taken,
    of_many_who_take_it_one_succeeds,
    a_volume_is_offered_without_snapshots_if_it_has_none,
    only_the_owner_sees_the_offer,
    what_is_wrong_with_a_request_is_told_at_once,
);

impl Cinder {
    async fn offer(&self, volume: &Volume) -> (Transfer, String) {
        let request = CreateTransferRequest { volume_id: volume.id.clone(), ..Default::default() };
        let answer = self.transfers().create_transfer(as_alice(request)).await.unwrap().into_inner();
        (answer.transfer.unwrap(), answer.auth_key)
    }

    async fn take(&self, request: Request<AcceptTransferRequest>) -> Result<Transfer, Status> {
        Ok(self.transfers().accept_transfer(request).await?.into_inner())
    }
}

fn accept(transfer: &Transfer, auth_key: &str) -> AcceptTransferRequest {
    AcceptTransferRequest { id: transfer.id.clone(), auth_key: auth_key.to_owned() }
}

fn snapshot_of(volume: &Volume) -> CreateSnapshotRequest {
    CreateSnapshotRequest { volume_id: volume.id.clone(), ..Default::default() }
}

async fn a_volume_goes_to_another_project_with_all_that_belongs_to_it(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let image = cinder.glance.with(&[("hw_disk_bus", "scsi")]);
    let request = CreateVolumeRequest { metadata: map(&[("k", "v")]), ..from_image(&image) };
    let volume = cinder.create(request).await.unwrap();
    let snapshot = cinder.snapshots().create_snapshot(as_alice(snapshot_of(&volume))).await.unwrap();
    let snapshot = snapshot.into_inner();
    let (transfer, auth_key) = cinder.offer(&volume).await;
    assert_eq!(
        (transfer.source_project_id.as_str(), transfer.volume_id.as_str()),
        (OWNER, volume.id.as_str())
    );
    assert_eq!(cinder.get(&volume.id).await.unwrap().status(), VolumeStatus::AwaitingTransfer);
    assert!(auth_key.len() >= 32);
    let kept = "SELECT COUNT(*) FROM volume_transfers WHERE key_hash <> '' AND salt <> ''";
    assert_eq!(cinder.count(kept).await, 1);
    let taken = cinder.take(as_stranger(accept(&transfer, &auth_key))).await.unwrap();
    assert_eq!(taken.destination_project_id, "tea");
    let now = cinder.get(&volume.id).await.unwrap();
    assert_eq!(
        (now.project_id.as_str(), now.user_id.as_str(), now.status()),
        ("tea", "mallory", VolumeStatus::Available)
    );
    assert_eq!((&now.image, &now.image_properties), (&volume.image, &volume.image_properties));
    assert_eq!((&now.metadata, now.bootable), (&volume.metadata, volume.bootable));
    // Its snapshots went along, and the former owner sees neither.
    let list = cinder.snapshots().list_snapshots(as_stranger(ListSnapshotsRequest::default())).await.unwrap();
    let list = list.into_inner().snapshots;
    assert_eq!((list.len(), &list[0].id, list[0].project_id.as_str()), (1, &snapshot.id, "tea"));
    let get = GetVolumeRequest { id: volume.id.clone(), ..Default::default() };
    let hidden = cinder.volumes().get_volume(as_alice(get)).await.unwrap_err();
    assert_error(&hidden, Code::NotFound, "VOLUME_NOT_FOUND");
    let list = cinder.snapshots().list_snapshots(as_alice(ListSnapshotsRequest::default())).await.unwrap();
    assert_eq!(list.into_inner().snapshots.len(), 0);
    // History says so; the offer is over.
    let history = cinder.history(&volume.id).await;
    assert_eq!(history[0].operation(), Operation::Transfer);
    assert!(history[0].message.ends_with("from project demo to project tea"), "{}", history[0].message);
    let again = cinder.take(as_stranger(accept(&transfer, &auth_key))).await.unwrap_err();
    assert_error(&again, Code::NotFound, "TRANSFER_NOT_FOUND");
}

async fn only_the_key_opens_it(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let volume = cinder.volume().await;
    let (transfer, auth_key) = cinder.offer(&volume).await;
    for wrong in ["", "x", &auth_key[1..], &format!("{auth_key}0")] {
        let refused = cinder.take(as_stranger(accept(&transfer, wrong))).await.unwrap_err();
        let values = assert_error(&refused, Code::PermissionDenied, "WRONG_AUTH_KEY");
        assert_eq!(&values["transfer_id"], transfer.id.as_str());
        assert!(!format!("{refused:?}").contains(&auth_key));
    }
    // Neither a reader nor a service takes volumes.
    for request in [as_reader(accept(&transfer, &auth_key)), as_service(accept(&transfer, &auth_key))] {
        let refused = cinder.take(request).await.unwrap_err();
        assert_error(&refused, Code::PermissionDenied, "NOT_PERMITTED");
    }
    assert_eq!(cinder.get(&volume.id).await.unwrap().project_id, OWNER);
}

async fn an_offered_volume_is_not_used(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let volume = cinder.volume().await;
    let (transfer, auth_key) = cinder.offer(&volume).await;
    let refused = |status: Status| {
        let values = assert_error(&status, Code::FailedPrecondition, "WRONG_STATE");
        assert_eq!(&values["status"], "AWAITING_TRANSFER");
    };
    let again = CreateTransferRequest { volume_id: volume.id.clone(), ..Default::default() };
    refused(cinder.transfers().create_transfer(as_alice(again)).await.unwrap_err());
    let attach = CreateAttachmentRequest { volume_id: volume.id.clone(), ..Default::default() };
    refused(cinder.attachments().create_attachment(as_alice(attach.clone())).await.unwrap_err());
    refused(cinder.delete(&volume.id).await.unwrap_err());
    let snapshot = cinder.snapshots().create_snapshot(as_alice(snapshot_of(&volume))).await.unwrap_err();
    assert_error(&snapshot, Code::FailedPrecondition, "SOURCE_NOT_AVAILABLE");
    cinder.take(as_alice(accept(&transfer, &auth_key))).await.unwrap();
    assert_eq!(cinder.get(&volume.id).await.unwrap().project_id, OWNER, "one may take back what one offers");
    // What is in use is not offered.
    cinder.attachments().create_attachment(as_alice(attach)).await.unwrap();
    let offer = CreateTransferRequest { volume_id: volume.id.clone(), ..Default::default() };
    let refused = cinder.transfers().create_transfer(as_alice(offer)).await.unwrap_err();
    assert_eq!(&assert_error(&refused, Code::FailedPrecondition, "WRONG_STATE")["needed"], "AVAILABLE");
}

async fn an_offer_is_withdrawn(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let volume = cinder.volume().await;
    let (transfer, auth_key) = cinder.offer(&volume).await;
    let withdraw = DeleteTransferRequest { id: transfer.id.clone() };
    cinder.transfers().delete_transfer(as_alice(withdraw.clone())).await.unwrap();
    assert_eq!(cinder.get(&volume.id).await.unwrap().status(), VolumeStatus::Available);
    let gone = cinder.transfers().delete_transfer(as_alice(withdraw)).await.unwrap_err();
    assert_error(&gone, Code::NotFound, "TRANSFER_NOT_FOUND");
    let gone = cinder.take(as_stranger(accept(&transfer, &auth_key))).await.unwrap_err();
    assert_error(&gone, Code::NotFound, "TRANSFER_NOT_FOUND");
    // A volume that goes takes its offer along.
    let (transfer, _) = cinder.offer(&volume).await;
    let force = DeleteVolumeRequest { id: volume.id.clone(), force: true, ..Default::default() };
    cinder.volumes().delete_volume(as_admin(force)).await.unwrap();
    let request = GetTransferRequest { id: transfer.id };
    let gone = cinder.transfers().get_transfer(as_alice(request)).await.unwrap_err();
    assert_error(&gone, Code::NotFound, "TRANSFER_NOT_FOUND");
}

async fn what_the_receiver_may_not_use_is_not_taken(db: TestDb) {
    let quota = Quota { gigabytes: Some(4), snapshots: Some(1), ..Quota::default() };
    let cinder = Cinder::start_with(db, Settings { quota, ..Settings::default() }).await;
    let volume = cinder.blank(OWNER, 2, "").await.unwrap();
    cinder.snapshots().create_snapshot(as_alice(snapshot_of(&volume))).await.unwrap();
    let (transfer, auth_key) = cinder.offer(&volume).await;
    let small = cinder.blank("tea", 1, "").await.unwrap();
    let refused = cinder.take(as_stranger(accept(&transfer, &auth_key))).await.unwrap_err();
    let values = assert_error(&refused, Code::ResourceExhausted, "QUOTA_EXCEEDED");
    assert_eq!((&values["resource"], &values["requested"], &values["used"]), ("gigabytes", "4", "1"));
    assert_eq!(cinder.get(&volume.id).await.unwrap().status(), VolumeStatus::AwaitingTransfer);
    cinder.delete(&small.id).await.unwrap();
    cinder.take(as_stranger(accept(&transfer, &auth_key))).await.unwrap();
    // The former owner has room again.
    cinder.blank(OWNER, 4, "").await.unwrap();
}

async fn of_many_who_take_it_one_succeeds(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let volume = cinder.volume().await;
    let (transfer, auth_key) = cinder.offer(&volume).await;
    let replicas = cinder.replicas().await;
    let send = |number: usize| {
        let mut client: TransferServiceClient<Channel> =
            TransferServiceClient::new(replicas[number % 2].clone());
        let project = format!("p{number}");
        let request = made_as("u", &project, "member", accept(&transfer, &auth_key));
        tokio::spawn(async move { client.accept_transfer(request).await.map(|_| project) })
    };
    let mut taken = Vec::new();
    for answer in (0..16).map(send).collect::<Vec<_>>() {
        match answer.await.unwrap() {
            Ok(project) => taken.push(project),
            Err(refused) => drop(assert_error(&refused, Code::NotFound, "TRANSFER_NOT_FOUND")),
        }
    }
    assert_eq!(taken, [cinder.get(&volume.id).await.unwrap().project_id]);
}

async fn a_volume_is_offered_without_snapshots_if_it_has_none(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let (volume, other) = (cinder.volume().await, cinder.volume().await);
    cinder.snapshots().create_snapshot(as_alice(snapshot_of(&volume))).await.unwrap();
    let request = |volume: &Volume| CreateTransferRequest {
        volume_id: volume.id.clone(),
        without_snapshots: true,
        ..Default::default()
    };
    let refused = cinder.transfers().create_transfer(as_alice(request(&volume))).await.unwrap_err();
    assert_error(&refused, Code::FailedPrecondition, "VOLUME_HAS_SNAPSHOTS");
    assert_eq!(cinder.get(&volume.id).await.unwrap().status(), VolumeStatus::Available);
    let offered = cinder.transfers().create_transfer(as_alice(request(&other))).await.unwrap().into_inner();
    assert!(offered.transfer.unwrap().without_snapshots);
}

async fn only_the_owner_sees_the_offer(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let volume = cinder.volume().await;
    let offer = CreateTransferRequest { volume_id: volume.id.clone(), ..Default::default() };
    let hidden = cinder.transfers().create_transfer(as_stranger(offer.clone())).await.unwrap_err();
    assert_error(&hidden, Code::NotFound, "VOLUME_NOT_FOUND");
    let refused = cinder.transfers().create_transfer(as_reader(offer)).await.unwrap_err();
    assert_error(&refused, Code::PermissionDenied, "NOT_PERMITTED");
    let (transfer, _) = cinder.offer(&volume).await;
    let get = GetTransferRequest { id: transfer.id.clone() };
    assert_eq!(cinder.transfers().get_transfer(as_reader(get.clone())).await.unwrap().into_inner(), transfer);
    let hidden = cinder.transfers().get_transfer(as_stranger(get)).await.unwrap_err();
    assert_error(&hidden, Code::NotFound, "TRANSFER_NOT_FOUND");
    let withdraw = DeleteTransferRequest { id: transfer.id.clone() };
    let hidden = cinder.transfers().delete_transfer(as_stranger(withdraw.clone())).await.unwrap_err();
    assert_error(&hidden, Code::NotFound, "TRANSFER_NOT_FOUND");
    for request in [as_reader(withdraw.clone()), as_service(withdraw)] {
        let refused = cinder.transfers().delete_transfer(request).await.unwrap_err();
        assert_error(&refused, Code::PermissionDenied, "NOT_PERMITTED");
    }
    let list = async |request: Request<ListTransfersRequest>| {
        let page = cinder.transfers().list_transfers(request).await?.into_inner();
        Ok::<_, Status>(page.transfers.len())
    };
    let all = ListTransfersRequest { all_projects: true, ..Default::default() };
    assert_eq!(list(as_alice(ListTransfersRequest::default())).await.unwrap(), 1);
    assert_eq!(list(as_stranger(ListTransfersRequest::default())).await.unwrap(), 0);
    assert_eq!(list(as_admin(all.clone())).await.unwrap(), 1);
    for request in [as_alice(all.clone()), as_service(all)] {
        assert_error(&list(request).await.unwrap_err(), Code::PermissionDenied, "NOT_PERMITTED");
    }
}

async fn what_is_wrong_with_a_request_is_told_at_once(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let bad =
        CreateTransferRequest { volume_id: "1".to_owned(), name: "x".repeat(256), ..Default::default() };
    let refused = cinder.transfers().create_transfer(as_alice(bad)).await.unwrap_err();
    assert_eq!(fields(&refused), ["volume_id", "name"]);
    let volume = cinder.volume().await;
    let stale = CreateTransferRequest {
        volume_id: volume.id.clone(),
        volume_etag: "0-0".to_owned(),
        ..Default::default()
    };
    let refused = cinder.transfers().create_transfer(as_alice(stale)).await.unwrap_err();
    assert_error(&refused, Code::Aborted, "STALE_ETAG");
    let unknown = AcceptTransferRequest { id: Id::random().to_string(), auth_key: "x".to_owned() };
    let refused = cinder.take(as_stranger(unknown)).await.unwrap_err();
    assert_error(&refused, Code::NotFound, "TRANSFER_NOT_FOUND");
    let malformed = AcceptTransferRequest { id: "x".to_owned(), auth_key: String::new() };
    assert_eq!(fields(&cinder.take(as_stranger(malformed)).await.unwrap_err()), ["id"]);
    let offered: CreateTransferResponse = {
        let request = CreateTransferRequest {
            volume_id: volume.id.clone(),
            name: " to tea ".to_owned(),
            ..Default::default()
        };
        cinder.transfers().create_transfer(as_alice(request)).await.unwrap().into_inner()
    };
    assert_eq!(offered.transfer.unwrap().name, "to tea");
}
