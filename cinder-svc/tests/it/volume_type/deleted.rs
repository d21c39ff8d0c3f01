//! Volume types that are deleted, also while a volume is about to get one.

use std::sync::Arc;

use chassis::{
    caller::{Caller, Identity},
    on_both_databases,
    scope::Scope,
    testing::TestDb,
    turns::Decided,
};
use cinder_svc::{
    error::{Error, VolumeTypeError},
    quota::{Growth, Quota},
    store::{Change, Claim, Creation, Entry},
    volume::{NewVolume, Operation, Step, Volume, access::VOLUMES},
    volumes::VolumeApi,
};
use common::{clock, id::Id, violations::Violations};
use tonic::Code;

use super::{delete, get, named};
use crate::support::{Cinder, assert_error};

on_both_databases!(
    a_type_in_use_and_the_default_stay,
    a_volume_whose_type_has_just_been_deleted_is_not_created,
    a_volume_does_not_get_a_type_that_has_just_been_deleted,
);

async fn a_type_in_use_and_the_default_stay(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let ssd = cinder.volume_type(named("ssd")).await.unwrap();
    let volume = cinder.blank("demo", 1, "ssd").await.unwrap();
    let refused = delete(&cinder, &ssd.id, "").await.unwrap_err();
    assert_error(&refused, Code::FailedPrecondition, "VOLUME_TYPE_IN_USE");
    cinder.delete(&volume.id).await.unwrap();
    let refused = delete(&cinder, &ssd.id, "x").await.unwrap_err();
    assert_error(&refused, Code::Aborted, "STALE_ETAG");
    delete(&cinder, &ssd.id, &ssd.etag).await.unwrap();
    let refused = delete(&cinder, &ssd.id, "").await.unwrap_err();
    assert_error(&refused, Code::NotFound, "VOLUME_TYPE_NOT_FOUND");
    let default = get(&cinder, "demo", "").await.unwrap();
    let refused = delete(&cinder, &default.id, "").await.unwrap_err();
    assert_error(&refused, Code::FailedPrecondition, "VOLUME_TYPE_IS_DEFAULT");
}

async fn a_volume_whose_type_has_just_been_deleted_is_not_created(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let (api, alice) = (cinder.api().await, alice());
    let ssd = cinder.volume_type(named("ssd")).await.unwrap();
    // This replica has used the type, and does not look for it again.
    let used = api.create_volume(blank("ssd", false), &alice, None).await.unwrap();
    let decided = api.create_volume(blank("ssd", true), &alice, None).await.unwrap();
    cinder.delete(&used.id.to_string()).await.unwrap();
    delete(&cinder, &ssd.id, "").await.unwrap();
    for request_id in [None, Some("once")] {
        let (kept, refused) = tokio::join!(
            create(&api, &alice, None, Volume { id: Id::now(), ..plain(&api, &alice).await }),
            create(&api, &alice, request_id, Volume { id: Id::now(), ..decided.clone() }),
        );
        kept.unwrap();
        let error = refused.unwrap_err();
        assert!(
            matches!(&error, Error::VolumeType(VolumeTypeError::NotFound(name)) if name == "ssd"),
            "{error}"
        );
    }
    assert_eq!(cinder.count("SELECT COUNT(*) FROM volumes").await, 2);
    let error = api.create_volume(blank("ssd", false), &alice, None).await.unwrap_err();
    assert!(matches!(error, Error::VolumeType(VolumeTypeError::NoSuch(_))), "{error}");
}

async fn a_volume_does_not_get_a_type_that_has_just_been_deleted(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let (api, alice) = (cinder.api().await, alice());
    let ssd = cinder.volume_type(named("ssd")).await.unwrap();
    let before = api.create_volume(blank("", false), &alice, None).await.unwrap();
    delete(&cinder, &ssd.id, "").await.unwrap();
    let entry = Entry::new(Operation::Retype, Step::Finished, alice.actor.clone(), clock::now());
    let (volume_type_id, volume_type) = (ssd.id.parse().unwrap(), Arc::from("ssd"));
    let after = Volume { volume_type_id, volume_type, ..before.clone() };
    let change = Change::new(before.clone(), Some(after), entry);
    let scope = Scope::change(&alice, VOLUMES).unwrap();
    let decide = async || Ok(Decided::<_, ()>::Change(Box::new(change.clone())));
    let error = api.store.change(before.id, &scope, decide).await.unwrap_err();
    assert!(matches!(&error, Error::VolumeType(VolumeTypeError::NoSuch(name)) if name == "ssd"), "{error}");
    assert_eq!(api.get_volume(before.id, &alice).await.unwrap(), before);
}

/// The member of project demo who creates the volumes.
fn alice() -> Caller {
    let mut headers = tonic::metadata::MetadataMap::new();
    headers.insert("x-auth-token", "alice:demo:member".parse().unwrap());
    Identity::Development.caller(&headers.into_headers()).unwrap()
}

/// A request for a blank volume of that type.
fn blank(volume_type: &str, validate_only: bool) -> cinder_svc::volume::CreateVolume {
    let volume_type = volume_type.to_owned();
    let new = NewVolume { size_gib: Some(1), volume_type, validate_only, ..NewVolume::default() };
    new.check(Violations::default()).unwrap()
}

/// A volume of the default type that could be created.
async fn plain(api: &VolumeApi, caller: &Caller) -> Volume {
    api.create_volume(blank("", true), caller, None).await.unwrap()
}

/// Writes a volume that was decided on before.
async fn create(
    api: &VolumeApi,
    caller: &Caller,
    request_id: Option<&str>,
    volume: Volume,
) -> Result<Volume, Error> {
    let claim = Claim::new("volume", request_id, &"content", &caller.actor, volume.id);
    let scope = Scope::create(caller, VOLUMES).unwrap();
    let growth = Growth::volume(volume.size_gib, &volume.volume_type);
    api.store.create(Creation { claim, scope, size: 1000, volume, quota: Quota::default(), growth }).await
}
