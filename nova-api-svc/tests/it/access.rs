//! Who may see and change what: the table of docs/security.md, and what follows from it.

use std::collections::BTreeSet;

use chassis::{on_both_databases, testing::TestDb};
use nova_api_svc::instance::Compute;
use proto::nova::v1::{
    CreateInstanceRequest, GetInstanceHistoryRequest, GetInstanceRequest, Instance, ListDriftRequest,
    ListFlavorsRequest, ListInstancesRequest, ShelveInstanceRequest, SnapshotInstanceRequest,
    UnshelveInstanceRequest, UpdateInstanceImagePropertiesRequest,
};
use tonic::{Code, Request};

use crate::{
    glance::map,
    support::{Nova, Settings, assert_error, assert_violation, made_as, of, several},
};

mod calls;
mod table;

use calls::{Caller, Target};
use table::{Expected, Row};

on_both_databases!(
    every_caller_may_do_what_the_table_says,
    whoever_names_no_project_is_refused,
    a_token_for_development_names_the_caller,
    history_stays_with_its_project,
    request_ids_of_others_tell_nothing,
    lists_count_what_is_seen,
    a_page_token_belongs_to_its_caller,
    an_image_belongs_to_the_project_of_its_instance,
);

/// The project that owns the instances.
const OWNER: &str = "demo";

async fn alone(db: TestDb) -> Nova {
    Nova::start_with(db, Settings { compute: Compute::None, ..Settings::default() }).await
}

/// A request of a member of another project.
fn by_a_stranger<T>(message: T) -> Request<T> {
    made_as("mallory", "tea", "member", message)
}

/// A request of a member of the project that owns the instances.
fn by_its_owner<T>(message: T) -> Request<T> {
    made_as("alice", OWNER, "member", message)
}

fn by_an_admin<T>(message: T) -> Request<T> {
    made_as("root", "ops", "admin", message)
}

#[test]
fn every_call_has_its_rows() {
    let rows = table::rows();
    let told: BTreeSet<_> = rows.iter().flat_map(|row| row.calls.iter().map(String::as_str)).collect();
    let there = table::methods();
    assert_eq!(told, there.iter().map(String::as_str).collect());
    let of_instances = rows.iter().filter(|row| row.is_own.is_some());
    let mut both: BTreeSet<_> = of_instances.flat_map(Row::keys).collect();
    both.remove(&("CreateInstance".to_owned(), None, true));
    let missing: Vec<_> = both
        .iter()
        .filter(|(call, option, is_own)| !both.contains(&(call.clone(), option.clone(), !is_own)))
        .collect();
    assert!(missing.is_empty(), "own and another one belong together: {missing:?}");
}

async fn every_caller_may_do_what_the_table_says(db: TestDb) {
    let nova = alone(db).await;
    let drifted = nova.glance.with(&[("a", "1")]);
    let drifting = nova.create_one(of(&drifted)).await;
    nova.glance.change(&drifted.id, |image| image.properties = map(&[("a", "2")]));
    let image = nova.glance.with(&[]);
    for row in table::rows() {
        for (roles, expected) in row.callers() {
            let project = if row.is_own == Some(false) { "tea" } else { OWNER };
            let caller = Caller { project, roles };
            for call in &row.calls {
                let target = Target::prepare(&nova, call, &image, &drifting).await;
                let what = format!("{call} {:?} of {:?} as {roles}", row.option, row.is_own);
                let answer = target.call(&nova, call, row.option.as_deref(), caller).await;
                match (expected, answer) {
                    (Expected::Done, Ok(true)) | (Expected::Hidden, Ok(false)) => {}
                    (Expected::Hidden, Err(status)) => {
                        assert_error(&status, Code::NotFound, "INSTANCE_NOT_FOUND");
                        let unknown = Target { instance: unknown(), ..target.clone() };
                        let as_unknown = unknown.call(&nova, call, None, caller).await.unwrap_err();
                        let expected =
                            as_unknown.message().replace(&unknown.instance.id, &target.instance.id);
                        assert_eq!(status.message(), expected, "{what}");
                        target.assert_unchanged(&nova).await;
                    }
                    (Expected::Refused, Err(status)) => {
                        let values = assert_error(&status, Code::PermissionDenied, "NOT_PERMITTED");
                        assert!(!values["action"].is_empty() && !values["needs"].is_empty());
                        target.assert_unchanged(&nova).await;
                    }
                    (expected, answer) => panic!("{what} is not {expected:?}: {answer:?}"),
                }
            }
        }
    }
}

/// An instance that never was.
fn unknown() -> Instance {
    Instance { id: "00000000-0000-4000-8000-000000000000".to_owned(), ..Instance::default() }
}

async fn whoever_names_no_project_is_refused(db: TestDb) {
    let nova = alone(db).await;
    let image = nova.glance.with(&[]);
    // Nobody's: only whoever sees all may see it.
    let of_nobody = nova.instances().create_instance(of(&image)).await.unwrap().into_inner();
    let of_nobody = &of_nobody.instances[0];
    assert_eq!(of_nobody.project_id, "");
    let target = Target { instance: of_nobody.clone(), flavor: "1".to_owned(), image: image.clone() };
    for roles in ["reader", "member"] {
        for call in ["GetInstance", "ListInstances", "DeleteInstance", "CreateInstance", "ListDrift"] {
            let caller = Caller { project: "", roles };
            let refused = target.call(&nova, call, None, caller).await.unwrap_err();
            assert_error(&refused, Code::PermissionDenied, "NOT_PERMITTED");
        }
    }
    for roles in ["service", "admin"] {
        let caller = Caller { project: "", roles };
        assert!(target.call(&nova, "ListInstances", None, caller).await.unwrap(), "{roles}");
    }
}

async fn a_token_for_development_names_the_caller(db: TestDb) {
    let nova = alone(db).await;
    let instance = nova.create_one(of(&nova.glance.with(&[]))).await;
    let get = async |token: &str| {
        let mut request = Request::new(GetInstanceRequest { id: instance.id.clone() });
        request.metadata_mut().insert("x-auth-token", token.parse().unwrap());
        nova.instances().get_instance(request).await
    };
    for token in ["x", "notused", "alice:demo:reader", "alice%3Ademo%3Areader", "root:ops:admin"] {
        assert_eq!(get(token).await.unwrap().into_inner(), instance, "{token}");
    }
    let hidden = get("eve%3Atea%3Amember%2Creader").await.unwrap_err();
    assert_error(&hidden, Code::NotFound, "INSTANCE_NOT_FOUND");
    for token in ["nonsense", "alice:demo", "a:b:c:d", "::", ""] {
        assert_error(&get(token).await.unwrap_err(), Code::Unauthenticated, "UNAUTHENTICATED");
        let mut request = Request::new(ListFlavorsRequest::default());
        request.metadata_mut().insert("x-auth-token", token.parse().unwrap());
        let refused = nova.flavors().list_flavors(request).await.unwrap_err();
        assert_error(&refused, Code::Unauthenticated, "UNAUTHENTICATED");
    }
}

async fn history_stays_with_its_project(db: TestDb) {
    let nova = alone(db).await;
    let image = nova.glance.with(&[]);
    let instance = nova.create_one(of(&image)).await;
    let untouched = nova.create_one(of(&image)).await;
    let set = map(&[("a", "1")]);
    let edit = UpdateInstanceImagePropertiesRequest { id: instance.id.clone(), set, ..Default::default() };
    nova.instances().update_instance_image_properties(by_an_admin(edit)).await.unwrap();
    let of = |id: &str| GetInstanceHistoryRequest { id: id.to_owned(), ..Default::default() };
    for is_deleted in [false, true] {
        for (id, entries) in [(&instance.id, 2), (&untouched.id, 1)] {
            let entries = entries + usize::from(is_deleted);
            let own = nova.instances().get_instance_history(by_its_owner(of(id))).await.unwrap();
            assert_eq!(own.into_inner().entries.len(), entries);
            // Whoever made an entry does not own it.
            for stranger in [by_a_stranger(of(id)), made_as("root", "ops", "reader", of(id))] {
                let hidden = nova.instances().get_instance_history(stranger).await.unwrap_err();
                assert_error(&hidden, Code::NotFound, "INSTANCE_NOT_FOUND");
            }
        }
        for id in [&instance.id, &untouched.id] {
            if !is_deleted {
                nova.delete(id).await.unwrap();
            }
        }
    }
}

async fn request_ids_of_others_tell_nothing(db: TestDb) {
    let nova = alone(db).await;
    let image = nova.glance.with(&[]);
    let create = CreateInstanceRequest { request_id: "r1".to_owned(), ..of(&image) };
    let created = nova.create(by_its_owner(create.clone())).await.unwrap();
    assert_eq!(nova.create(by_its_owner(create.clone())).await.unwrap(), created);
    // The same request id of another project is another one.
    let others = nova.create(by_a_stranger(create)).await.unwrap();
    assert_ne!(others.reservation_id, created.reservation_id);
    let id = created.instances[0].id.clone();
    let request_id = "r2".to_owned();
    let snapshot = SnapshotInstanceRequest { id, name: "s".to_owned(), request_id, ..Default::default() };
    let done = nova.instances().snapshot_instance(by_its_owner(snapshot.clone())).await.unwrap().into_inner();
    let hidden = nova.instances().snapshot_instance(by_a_stranger(snapshot.clone())).await.unwrap_err();
    assert_error(&hidden, Code::NotFound, "INSTANCE_NOT_FOUND");
    let as_reader = made_as("bob", OWNER, "reader", snapshot.clone());
    let refused = nova.instances().snapshot_instance(as_reader).await.unwrap_err();
    assert_error(&refused, Code::PermissionDenied, "NOT_PERMITTED");
    let again = nova.instances().snapshot_instance(by_an_admin(snapshot)).await.unwrap().into_inner();
    assert_eq!(again.image_id, done.image_id);
}

async fn lists_count_what_is_seen(db: TestDb) {
    let nova = alone(db).await;
    let image = nova.glance.with(&[("hw_disk_bus", "ide")]);
    nova.create(by_its_owner(several(&image, 3))).await.unwrap();
    let tea = nova.create(by_a_stranger(several(&image, 2))).await.unwrap();
    let reservation = format!("reservation_id = \"{}\"", tea.reservation_id);
    let by_image = format!("image_id = \"{}\"", image.id);
    for (filter, own, all) in [
        ("", 3, 5),
        (by_image.as_str(), 3, 5),
        ("system_metadata.image_hw_disk_bus = ide", 3, 5),
        (&reservation, 0, 2),
        ("project_id = tea", 0, 2),
        ("project_id = demo", 3, 3),
        ("project_id = demo AND project_id = tea", 0, 0),
    ] {
        for order_by in ["", "name"] {
            let request = |all_projects| ListInstancesRequest {
                filter: filter.to_owned(),
                order_by: order_by.to_owned(),
                all_projects,
                ..Default::default()
            };
            let count = async |request: Request<ListInstancesRequest>| {
                nova.instances().list_instances(request).await.unwrap().into_inner().instances.len()
            };
            assert_eq!(count(by_its_owner(request(false))).await, own, "{filter} by {order_by}");
            assert_eq!(count(by_an_admin(request(true))).await, all, "{filter} by {order_by}");
            assert_eq!(count(Request::new(request(false))).await, all, "{filter} by {order_by}");
        }
    }
}

async fn a_page_token_belongs_to_its_caller(db: TestDb) {
    let nova = alone(db).await;
    let image = nova.glance.with(&[("a", "1")]);
    nova.create(by_its_owner(several(&image, 3))).await.unwrap();
    nova.glance.change(&image.id, |image| image.properties = map(&[("a", "2")]));
    let first = ListInstancesRequest { page_size: 1, ..Default::default() };
    let page = nova.instances().list_instances(by_its_owner(first.clone())).await.unwrap().into_inner();
    let next = ListInstancesRequest { page_token: page.next_page_token, ..first };
    assert_eq!(
        nova.instances()
            .list_instances(by_its_owner(next.clone()))
            .await
            .unwrap()
            .into_inner()
            .instances
            .len(),
        1
    );
    for request in [by_a_stranger(next.clone()), by_an_admin(next)] {
        let refused = nova.instances().list_instances(request).await.unwrap_err();
        assert_violation(&refused, "page_token", "belongs to another list");
    }
    let first = ListDriftRequest { page_size: 1, ..Default::default() };
    let page = nova.instances().list_drift(by_its_owner(first.clone())).await.unwrap().into_inner();
    let next = ListDriftRequest { page_token: page.next_page_token, ..first };
    assert_eq!(
        nova.instances().list_drift(by_its_owner(next.clone())).await.unwrap().into_inner().drifts.len(),
        1
    );
    for request in [by_a_stranger(next.clone()), by_an_admin(next)] {
        let refused = nova.instances().list_drift(request).await.unwrap_err();
        assert_violation(&refused, "page_token", "belongs to another list");
    }
}

async fn an_image_belongs_to_the_project_of_its_instance(db: TestDb) {
    let nova = alone(db).await;
    let instance = nova.create_one(of(&nova.glance.with(&[]))).await;
    let id = instance.id.clone();
    let snapshot = SnapshotInstanceRequest { id: id.clone(), name: "s".to_owned(), ..Default::default() };
    let made = nova.instances().snapshot_instance(by_an_admin(snapshot)).await.unwrap().into_inner();
    let image = nova.glance.find(&made.image_id).unwrap();
    assert_eq!((image.owner.as_str(), image.properties["owner_id"].as_str()), (OWNER, OWNER));
    assert_eq!(image.properties["user_id"], "root");
    let shelve = ShelveInstanceRequest { id: id.clone(), ..Default::default() };
    let shelved = nova.instances().shelve_instance(by_an_admin(shelve)).await.unwrap().into_inner();
    let image_id = &shelved.system_metadata["shelved_image_id"];
    assert_eq!(nova.glance.find(image_id).unwrap().owner, OWNER);
    let unshelve = UnshelveInstanceRequest { id, ..Default::default() };
    nova.instances().unshelve_instance(by_its_owner(unshelve)).await.unwrap();
    assert_eq!(nova.glance.find(image_id), None);
}
