use std::{collections::BTreeMap, sync::Arc};

use chrono::DateTime;
use common::{violations::Violations, volume_image_metadata::VolumeImageMetadata};

use super::*;
use crate::volume::{Record, Status, Storage, Volume};

/// So many seconds after some day.
fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
}

fn reservation(instance_id: Option<Id>) -> Attachment {
    Attachment {
        id: Id::random(),
        volume_id: Id::random(),
        instance_id,
        status: Reserved,
        mode: Mode::ReadWrite,
        host: String::new(),
        mountpoint: String::new(),
        user_id: "alice".to_owned(),
        project_id: "demo".to_owned(),
        lease_micros: 60_000_000,
        lease_time: Some(at(60)),
        revision: 1,
        create_time: at(0),
        attach_time: None,
    }
}

fn volume(attachments: Vec<Attachment>) -> Volume {
    let volume = Volume {
        id: Id::random(),
        name: String::new(),
        description: String::new(),
        project_id: "demo".to_owned(),
        user_id: "alice".to_owned(),
        size_gib: 1,
        volume_type_id: Id::random(),
        volume_type: "__DEFAULT__".into(),
        availability_zone: "nova".to_owned(),
        metadata: BTreeMap::new(),
        status: Status::Available,
        task: None,
        last_failure: None,
        record: Arc::new(Record::new(VolumeImageMetadata::default())),
        bootable: false,
        snapshot_id: None,
        source_volume_id: None,
        attachments: Vec::new(),
        multiattach: false,
        read_only: false,
        storage: Storage::None,
        host: String::new(),
        data_id: None,
        revision: 1,
        create_time: at(0),
        update_time: at(0),
    };
    volume.with_attachments(attachments)
}

fn moves() -> [Move; 8] {
    let mountpoint = "/dev/vdb".to_owned();
    let connector = Connector { host: "c1".to_owned(), json: r#"{"host": "c1"}"#.to_owned() };
    [
        Move::Connect { connector, mountpoint: mountpoint.clone() },
        Move::Renew(TimeDelta::seconds(5)),
        Move::Confirm,
        Move::Complete { mountpoint, instance_id: None },
        Move::BeginDetaching,
        Move::RollDetaching,
        Move::Export { connection_info: "{}".to_owned() },
        Move::Fail { message: "no target".to_owned() },
    ]
}

#[test]
fn each_move_is_allowed_from_exactly_one_status() {
    for change in moves() {
        let allowed: Vec<_> = AttachmentStatus::ALL
            .iter()
            .filter(|status| {
                let before = Attachment { status: **status, ..reservation(None) };
                before.moved(&change, at(1)).is_ok()
            })
            .collect();
        // Confirming what does not end by itself anyway is no mistake.
        let expected = if change == Move::Confirm { 4 } else { 1 };
        assert_eq!(allowed.len(), expected, "{change:?}: {allowed:?}");
    }
}

#[test]
fn an_attachment_goes_from_the_reservation_to_the_end() {
    let [connect, renew, confirm, complete, begin, roll, export, fail] = moves();
    let reserved = reservation(None);
    let renewed = reserved.moved(&renew, at(30)).unwrap();
    assert_eq!((renewed.lease_time, renewed.revision), (Some(at(35)), 2));
    let confirmed = renewed.moved(&confirm, at(31)).unwrap();
    assert_eq!((confirmed.lease_time, confirmed.revision), (None, 3));
    assert_eq!(confirmed.moved(&confirm, at(32)).unwrap(), confirmed);
    assert_eq!(confirmed.moved(&renew, at(32)).unwrap(), confirmed, "it does not lapse any more");
    let attaching = confirmed.moved(&connect, at(33)).unwrap();
    assert_eq!((attaching.status, attaching.host.as_str(), attaching.revision), (Attaching, "c1", 4));
    assert_eq!(attaching.mountpoint, "/dev/vdb");
    let exported = attaching.moved(&export, at(34)).unwrap();
    assert_eq!((exported.status, exported.revision), (Attaching, 5));
    let failed = exported.moved(&fail, at(35)).unwrap();
    assert_eq!((failed.status, failed.host.as_str(), failed.lease_time), (Reserved, "", Some(at(95))));
    let attached = exported.moved(&complete, at(36)).unwrap();
    assert_eq!((attached.status, attached.attach_time), (Attached, Some(at(36))));
    let detaching = attached.moved(&begin, at(37)).unwrap();
    assert_eq!(detaching.status, Detaching);
    let again = detaching.moved(&roll, at(38)).unwrap();
    assert_eq!((again.status, again.attach_time), (Attached, Some(at(36))));
}

#[test]
fn the_status_of_a_volume_follows_from_its_attachments() {
    let of = |status| Attachment { status, ..reservation(None) };
    for (statuses, expected) in [
        (&[][..], Status::Available),
        (&[Reserved], Status::Reserved),
        (&[Attaching, Reserved], Status::Reserved),
        (&[Reserved, Attached], Status::InUse),
        (&[Detaching], Status::InUse),
    ] {
        let attachments: Vec<_> = statuses.iter().copied().map(of).collect();
        assert_eq!(volume(attachments).status, expected, "{statuses:?}");
    }
    for status in [Status::Creating, Status::Error, Status::Deleting, Status::AwaitingTransfer] {
        let unusable = Volume { status, ..volume(Vec::new()) };
        assert_eq!(unusable.with_attachments(vec![of(Attached)]).status, status);
    }
}

#[test]
fn another_instance_needs_a_volume_for_several() {
    let (one, other) = (Some(Id::random()), Some(Id::random()));
    let reserved = volume(vec![reservation(one)]);
    assert_eq!(reserved.reservable(one, None).unwrap(), Mode::ReadWrite);
    for refused in [other, None] {
        let error = reserved.reservable(refused, None).unwrap_err();
        assert!(
            matches!(error, Error::Attachment(AttachmentError::VolumeReserved { instance_id, .. }) if instance_id == one)
        );
    }
    let nobodys = volume(vec![reservation(None)]);
    assert!(matches!(
        nobodys.reservable(None, None).unwrap_err(),
        Error::Attachment(AttachmentError::VolumeReserved { .. })
    ));
    let used = volume(vec![Attachment { status: Attached, ..reservation(one) }]);
    let error = used.reservable(other, None).unwrap_err();
    assert!(
        matches!(error, Error::Attachment(AttachmentError::VolumeInUse { instance_id, .. }) if instance_id == one)
    );
    let shared = Volume { multiattach: true, ..used };
    shared.reservable(other, None).unwrap();
    let full = Volume { multiattach: true, ..volume(vec![reservation(one); ATTACHMENT_LIMIT]) };
    assert!(matches!(full.reservable(one, None).unwrap_err(), Error::Attachment(AttachmentError::Limit(_))));
}

#[test]
fn a_volume_that_is_read_only_is_not_written() {
    let read_only = Volume { read_only: true, ..volume(Vec::new()) };
    assert_eq!(read_only.reservable(None, None).unwrap(), Mode::ReadOnly);
    assert_eq!(read_only.reservable(None, Some(Mode::ReadOnly)).unwrap(), Mode::ReadOnly);
    let error = read_only.reservable(None, Some(Mode::ReadWrite)).unwrap_err();
    assert!(matches!(error, Error::Attachment(AttachmentError::VolumeReadOnly(_))));
    assert_eq!(volume(Vec::new()).reservable(None, Some(Mode::ReadOnly)).unwrap(), Mode::ReadOnly);
}

#[test]
fn a_volume_without_usable_data_is_not_attached() {
    for status in [Status::Creating, Status::AwaitingTransfer, Status::Error, Status::Deleting] {
        let unusable = Volume { status, ..volume(Vec::new()) };
        assert!(matches!(unusable.reservable(None, None).unwrap_err(), Error::WrongState { .. }), "{status}");
    }
}

#[test]
fn a_reservation_is_over_at_the_end_of_its_lease() {
    let lapsing = reservation(None);
    let confirmed = Attachment { lease_time: None, ..reservation(None) };
    let before = volume(vec![lapsing.clone(), confirmed.clone()]);
    assert_eq!(before.without_lapsed(at(59)).1, []);
    let (after, lapsed) = before.without_lapsed(at(60));
    assert_eq!((lapsed, after.attachments), (vec![lapsing], vec![confirmed]));
}

#[test]
fn all_that_is_wrong_with_a_request_is_told() {
    let deep = format!("{{\"host\": \"c1\", \"x\": {}{}}}", "[".repeat(9000), "]".repeat(9000));
    let bad = NewAttachment {
        volume_id: "1".to_owned(),
        instance_id: "2".to_owned(),
        lease: Some(TimeDelta::seconds(3601)),
        connector: deep,
        request_id: "\n".to_owned(),
        ..NewAttachment::default()
    };
    let violations = bad.check(Violations::default()).unwrap_err();
    assert_eq!(violations.fields(), "volume_id, instance_id, lease, connector, request_id");
    for connector in ["[]", "{", "{}", r#"{"host": 1}"#, r#"{"host": ""}"#, r#"{"host": "a\u0000"}"#] {
        let connector = connector.to_owned();
        let update = AttachmentUpdate { connector, ..AttachmentUpdate::default() };
        assert_eq!(update.check(Violations::default()).unwrap_err().fields(), "connector");
    }
    let both = AttachmentUpdate { confirm: true, lease: Some(DEFAULT_LEASE), ..AttachmentUpdate::default() };
    assert_eq!(both.check(Violations::default()).unwrap_err().fields(), "connector");
    let report = AttachmentReport { failure: "x".to_owned(), ..AttachmentReport::default() };
    assert_eq!(report.check(Violations::default()).unwrap_err().fields(), "seen_status");
}

#[test]
fn what_identifies_a_retry_never_changes() {
    let request = NewAttachment {
        volume_id: "00000000-0000-4000-8000-000000000001".to_owned(),
        mode: Some(Mode::ReadOnly),
        connector: r#"{"host": "c1"}"#.to_owned(),
        request_id: "r".to_owned(),
        ..NewAttachment::default()
    };
    let expected = r#"{"volume_id":"00000000-0000-4000-8000-000000000001","instance_id":null,"mode":"ReadOnly","lease_micros":600000000,"connector":{"host":"c1","json":"{\"host\": \"c1\"}"}}"#;
    let request = request.check(Violations::default()).unwrap();
    assert_eq!(serde_json::to_string(&request).unwrap(), expected);
}
