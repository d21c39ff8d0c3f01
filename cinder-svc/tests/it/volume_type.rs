//! Volume types.

use std::collections::BTreeMap;

use chassis::{on_both_databases, testing::TestDb};
use prost_types::FieldMask;
use proto::cinder::v1::{
    CreateVolumeTypeRequest, DeleteVolumeTypeRequest, GetVolumeTypeRequest, ListVolumeTypesRequest,
    QuotaLimit, UpdateQuotaRequest, UpdateVolumeTypeRequest, VolumeType,
};
use tonic::{Code, Status};

use crate::support::{Cinder, Settings, as_admin, assert_error, assert_violation, fields, made_as};

mod deleted;

on_both_databases!(
    the_default_is_there,
    a_type_is_read_as_it_was_created_by_id_and_by_name,
    everything_wrong_is_told_at_once,
    a_taken_name_is_told,
    one_of_sixteen_gets_the_name,
    only_admins_change_types,
    a_private_type_is_for_its_projects,
    others_than_admins_see_only_what_means_something_to_them,
    an_update_changes_what_the_mask_names,
    changes_at_once_are_all_made,
    limits_follow_a_type,
    types_are_listed_page_by_page,
);

fn named(name: &str) -> VolumeType {
    VolumeType { name: name.to_owned(), is_public: true, ..VolumeType::default() }
}

fn map(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
    entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// The type, as a member of that project sees it.
async fn get(cinder: &Cinder, project: &str, id: &str) -> Result<VolumeType, Status> {
    let request = made_as("alice", project, "member", GetVolumeTypeRequest { id: id.to_owned() });
    Ok(cinder.types().get_volume_type(request).await?.into_inner())
}

async fn update(cinder: &Cinder, volume_type: VolumeType, paths: &[&str]) -> Result<VolumeType, Status> {
    let paths = paths.iter().map(|path| (*path).to_owned()).collect();
    let update_mask = Some(FieldMask { paths });
    let request = UpdateVolumeTypeRequest { volume_type: Some(volume_type), update_mask };
    Ok(cinder.types().update_volume_type(as_admin(request)).await?.into_inner())
}

async fn delete(cinder: &Cinder, id: &str, etag: &str) -> Result<(), Status> {
    let request = DeleteVolumeTypeRequest { id: id.to_owned(), etag: etag.to_owned() };
    cinder.types().delete_volume_type(as_admin(request)).await.map(tonic::Response::into_inner)
}

/// The names of all types that a member of that project is shown.
async fn list(cinder: &Cinder, project: &str, page_size: i32) -> Vec<String> {
    let mut names = Vec::new();
    let mut request = ListVolumeTypesRequest { page_size, ..ListVolumeTypesRequest::default() };
    loop {
        let page = made_as("alice", project, "member", request.clone());
        let page = cinder.types().list_volume_types(page).await.unwrap().into_inner();
        names.extend(page.volume_types.into_iter().map(|volume_type| volume_type.name));
        if page.next_page_token.is_empty() {
            return names;
        }
        request.page_token = page.next_page_token;
    }
}

async fn the_default_is_there(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let default = get(&cinder, "demo", "").await.unwrap();
    assert_eq!((default.name.as_str(), default.is_public), ("__DEFAULT__", true));
    assert_eq!(get(&cinder, "demo", "__DEFAULT__").await.unwrap(), default);
    let settings = Settings { default_volume_type: "gone", ..Settings::default() };
    let cinder = Cinder::start_with(cinder.db.another().await, settings).await;
    let refused = get(&cinder, "demo", "").await.unwrap_err();
    let values = assert_error(&refused, Code::FailedPrecondition, "DEFAULT_VOLUME_TYPE_NOT_FOUND");
    assert_eq!(&values["volume_type"], "gone");
}

async fn a_type_is_read_as_it_was_created_by_id_and_by_name(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let new = VolumeType {
        name: " größe \" ' \\ ".to_owned(),
        description: "two\nlines".to_owned(),
        project_ids: vec!["other".to_owned(), "demo".to_owned()],
        extra_specs: map(&[("a", ""), ("volume_backend_name", "🎉"), ("multiattach", "<is> True")]),
        ..VolumeType::default()
    };
    let created = cinder.volume_type(new.clone()).await.unwrap();
    let expected = VolumeType {
        id: created.id.clone(),
        name: new.name.trim().to_owned(),
        project_ids: vec!["demo".to_owned(), "other".to_owned()],
        etag: created.etag.clone(),
        create_time: created.create_time,
        update_time: created.create_time,
        ..new
    };
    assert_eq!(created, expected);
    assert!(created.create_time.is_some() && !created.etag.is_empty());
    for id in [&created.id, &created.name] {
        let request = as_admin(GetVolumeTypeRequest { id: id.clone() });
        assert_eq!(cinder.types().get_volume_type(request).await.unwrap().into_inner(), created);
    }
    // A type whose name is the id of another one does not hide it.
    let twin = cinder.volume_type(named(&created.id)).await.unwrap();
    assert_eq!(get(&cinder, "demo", &created.id).await.unwrap().id, created.id);
    assert_eq!(get(&cinder, "demo", &twin.id).await.unwrap().id, twin.id);
}

async fn everything_wrong_is_told_at_once(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let wrong = VolumeType {
        description: "x".repeat(256),
        project_ids: vec!["demo".to_owned()],
        extra_specs: map(&[("a b", ""), ("multiattach", "yes")]),
        ..named(" ")
    };
    let mut told = fields(&cinder.volume_type(wrong).await.unwrap_err());
    told.sort();
    assert_eq!(
        told,
        [
            "volume_type.description",
            "volume_type.extra_specs[\"a b\"]",
            "volume_type.extra_specs[\"multiattach\"]",
            "volume_type.name",
            "volume_type.project_ids"
        ]
    );
    let many: BTreeMap<_, _> = (0..129).map(|number| (format!("key{number}"), String::new())).collect();
    let refused = cinder.volume_type(VolumeType { extra_specs: many, ..named("x") }).await.unwrap_err();
    assert_violation(&refused, "volume_type.extra_specs", "at most 128");
    let unknown = update(&cinder, VolumeType { id: "x".to_owned(), ..named("x") }, &["size"]).await;
    assert_eq!(fields(&unknown.unwrap_err()), ["volume_type.id", "update_mask"]);
    assert_eq!(fields(&delete(&cinder, "x", "").await.unwrap_err()), ["id"]);
}

async fn a_taken_name_is_told(db: TestDb) {
    let cinder = Cinder::start(db).await;
    cinder.volume_type(named("ssd")).await.unwrap();
    let hdd = cinder.volume_type(named("hdd")).await.unwrap();
    let refused = cinder.volume_type(named("ssd")).await.unwrap_err();
    assert_error(&refused, Code::AlreadyExists, "VOLUME_TYPE_EXISTS");
    let renamed = VolumeType { name: "ssd".to_owned(), ..hdd.clone() };
    let refused = update(&cinder, renamed, &["name"]).await.unwrap_err();
    assert_eq!(&assert_error(&refused, Code::AlreadyExists, "VOLUME_TYPE_EXISTS")["volume_type"], "ssd");
    assert_eq!(update(&cinder, hdd.clone(), &["name"]).await.unwrap().name, "hdd");
    let gone = GetVolumeTypeRequest { id: "nvme".to_owned() };
    let refused = cinder.types().get_volume_type(as_admin(gone)).await.unwrap_err();
    assert_error(&refused, Code::NotFound, "VOLUME_TYPE_NOT_FOUND");
}

async fn one_of_sixteen_gets_the_name(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let requests = (0..16).map(|_| cinder.volume_type(named("ssd")));
    let created = futures_util::future::join_all(requests).await;
    assert_eq!(created.iter().filter(|created| created.is_ok()).count(), 1);
    for refused in created.into_iter().filter_map(Result::err) {
        assert_error(&refused, Code::AlreadyExists, "VOLUME_TYPE_EXISTS");
    }
}

async fn only_admins_change_types(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let ssd = cinder.volume_type(named("ssd")).await.unwrap();
    for roles in ["reader", "member", "manager", "service"] {
        let create = CreateVolumeTypeRequest { volume_type: Some(named("hdd")) };
        let create = cinder.types().create_volume_type(made_as("bob", "demo", roles, create)).await;
        let change = UpdateVolumeTypeRequest { volume_type: Some(ssd.clone()), update_mask: None };
        let change = cinder.types().update_volume_type(made_as("bob", "demo", roles, change)).await;
        let delete = DeleteVolumeTypeRequest { id: ssd.id.clone(), etag: String::new() };
        let delete = cinder.types().delete_volume_type(made_as("bob", "demo", roles, delete)).await;
        for refused in [create.unwrap_err(), change.unwrap_err(), delete.unwrap_err()] {
            let values = assert_error(&refused, Code::PermissionDenied, "NOT_PERMITTED");
            assert_eq!(&values["action"], "change volume types");
        }
    }
    assert_eq!(list(&cinder, "demo", 0).await, ["__DEFAULT__", "ssd"]);
}

async fn a_private_type_is_for_its_projects(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let private = VolumeType { is_public: false, project_ids: vec!["demo".to_owned()], ..named("private") };
    let private = cinder.volume_type(private).await.unwrap();
    assert_eq!(get(&cinder, "demo", "private").await.unwrap().id, private.id);
    assert_eq!(list(&cinder, "demo", 0).await, ["__DEFAULT__", "private"]);
    for id in ["private", &private.id] {
        let refused = get(&cinder, "other", id).await.unwrap_err();
        assert_error(&refused, Code::NotFound, "VOLUME_TYPE_NOT_FOUND");
    }
    assert_eq!(list(&cinder, "other", 0).await, ["__DEFAULT__"]);
    cinder.blank("demo", 1, "private").await.unwrap();
    assert!(cinder.blank("other", 1, "private").await.is_err());
    let request = as_admin(ListVolumeTypesRequest::default());
    assert_eq!(cinder.types().list_volume_types(request).await.unwrap().into_inner().volume_types.len(), 2);
    let public = VolumeType { is_public: true, ..private };
    update(&cinder, public, &["is_public"]).await.unwrap();
    assert_eq!(list(&cinder, "other", 0).await, ["__DEFAULT__", "private"]);
}

async fn others_than_admins_see_only_what_means_something_to_them(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let visible = [("RESKEY:availability_zones", "nova"), ("multiattach", "<is> True")];
    let hidden = [("volume_backend_name", "lvm"), ("provisioning:max_vol_size", "9")];
    let mut extra_specs = map(&visible);
    extra_specs.extend(map(&hidden));
    let project_ids = vec!["demo".to_owned()];
    let private = VolumeType { is_public: false, project_ids, extra_specs, ..named("ssd") };
    cinder.volume_type(private).await.unwrap();
    let seen = get(&cinder, "demo", "ssd").await.unwrap();
    assert_eq!((seen.extra_specs, seen.project_ids.len()), (map(&visible), 0));
    let request = made_as("alice", "demo", "member", ListVolumeTypesRequest::default());
    let listed = cinder.types().list_volume_types(request).await.unwrap().into_inner().volume_types;
    assert_eq!((&listed[1].extra_specs, listed[1].project_ids.len()), (&map(&visible), 0));
}

async fn an_update_changes_what_the_mask_names(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let before = VolumeType { extra_specs: map(&[("a", "1"), ("b", "2")]), ..named("ssd") };
    let before = cinder.volume_type(before).await.unwrap();
    let wanted = VolumeType {
        description: "new".to_owned(),
        extra_specs: map(&[("c", "3")]),
        is_public: false,
        ..before.clone()
    };
    // Without a mask, what is set.
    let after = update(&cinder, VolumeType { etag: String::new(), ..wanted.clone() }, &[]).await.unwrap();
    let expected = VolumeType {
        is_public: true,
        etag: after.etag.clone(),
        update_time: after.update_time,
        ..wanted.clone()
    };
    assert_eq!(after, expected);
    let stale = update(&cinder, wanted.clone(), &["is_public"]).await.unwrap_err();
    let values = assert_error(&stale, Code::Aborted, "STALE_ETAG");
    assert_eq!((&values["volume_type_id"], &values["etag"]), (before.id.as_str(), after.etag.as_str()));
    let current = VolumeType { etag: after.etag, extra_specs: BTreeMap::new(), ..wanted };
    let after = update(&cinder, current, &["is_public", "extra_specs"]).await.unwrap();
    assert_eq!((after.is_public, after.extra_specs.len(), after.description.as_str()), (false, 0, "new"));
    let gone = VolumeType { id: "5f1f1f5e-0000-4000-8000-000000000000".to_owned(), ..named("x") };
    assert_error(&update(&cinder, gone, &[]).await.unwrap_err(), Code::NotFound, "VOLUME_TYPE_NOT_FOUND");
}

async fn changes_at_once_are_all_made(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let ssd = cinder.volume_type(named("ssd")).await.unwrap();
    let description = |number: usize| VolumeType { description: number.to_string(), ..ssd.clone() };
    let requests = (0..16).map(|number| {
        let volume_type = VolumeType { etag: String::new(), ..description(number) };
        update(&cinder, volume_type, &["description"])
    });
    let changed = futures_util::future::join_all(requests).await;
    let mut etags: Vec<_> = changed.into_iter().map(|changed| changed.unwrap().etag).collect();
    etags.sort();
    etags.dedup();
    assert_eq!(etags.len(), 16);
    let with_etag = (0..16).map(|number| update(&cinder, description(number), &["description"]));
    for stale in futures_util::future::join_all(with_etag).await {
        assert_error(&stale.unwrap_err(), Code::Aborted, "STALE_ETAG");
    }
}

async fn limits_follow_a_type(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let ssd = cinder.volume_type(named("ssd")).await.unwrap();
    let limits = vec![QuotaLimit { resource: "volumes_ssd".to_owned(), limit: 1, used: 0 }];
    let request = UpdateQuotaRequest { project_id: "demo".to_owned(), limits, reset: Vec::new() };
    cinder.quotas().update_quota(as_admin(request)).await.unwrap();
    let volume = cinder.blank("demo", 1, "ssd").await.unwrap();
    let renamed = VolumeType { name: "nvme".to_owned(), etag: String::new(), ..ssd };
    let nvme = update(&cinder, renamed, &["name"]).await.unwrap();
    let refused = cinder.blank("demo", 1, "nvme").await.unwrap_err();
    let values = assert_error(&refused, Code::ResourceExhausted, "QUOTA_EXCEEDED");
    assert_eq!(&values["resource"], "volumes_nvme");
    // A new type of the old name has no limit, nor has one of the name of a type that is gone.
    cinder.volume_type(named("ssd")).await.unwrap();
    cinder.blank("demo", 1, "ssd").await.unwrap();
    cinder.blank("demo", 1, "ssd").await.unwrap();
    cinder.delete(&volume.id).await.unwrap();
    delete(&cinder, &nvme.id, "").await.unwrap();
    cinder.volume_type(named("nvme")).await.unwrap();
    cinder.blank("demo", 1, "nvme").await.unwrap();
    cinder.blank("demo", 1, "nvme").await.unwrap();
}

async fn types_are_listed_page_by_page(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let mut expected = vec!["__DEFAULT__".to_owned()];
    for number in 0..9 {
        let is_public = number % 2 == 0;
        let volume_type = VolumeType { is_public, ..named(&format!("type{number}")) };
        let created = cinder.volume_type(volume_type).await.unwrap();
        expected.extend(is_public.then_some(created.name));
    }
    for page_size in [0, 1, 2, 5, 6, 7] {
        assert_eq!(list(&cinder, "demo", page_size).await, expected);
    }
    let request = ListVolumeTypesRequest { page_size: 1, ..ListVolumeTypesRequest::default() };
    let page = cinder.types().list_volume_types(as_admin(request.clone())).await.unwrap().into_inner();
    let foreign = ListVolumeTypesRequest { page_token: page.next_page_token, ..request };
    let foreign = cinder.types().list_volume_types(made_as("alice", "demo", "member", foreign)).await;
    assert_eq!(fields(&foreign.unwrap_err()), ["page_token"]);
}
