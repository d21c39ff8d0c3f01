//! Flavors.

use std::collections::BTreeSet;

use chassis::{on_both_databases, testing::TestDb};
use proto::nova::v1::{
    CreateFlavorRequest, CreateInstanceRequest, DeleteFlavorRequest, Flavor, GetFlavorRequest,
    ListFlavorsRequest,
};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::support::{Nova, assert_error, assert_violation, fields, of};

on_both_databases!(
    the_five_of_icehouse_are_there,
    a_flavor_is_read_as_it_was_created,
    an_id_is_made_when_none_is_given,
    a_taken_id_or_name_is_told,
    everything_wrong_is_told_at_once,
    the_share_of_the_network_has_its_limits,
    ids_to_read_and_delete_are_checked,
    an_unknown_flavor_is_not_found,
    an_instance_keeps_its_copy,
    a_deleted_default_does_not_come_back,
    sixteen_at_once_get_numbers_of_their_own,
    one_of_sixteen_gets_the_name,
    a_number_is_never_given_out_again,
    flavors_are_listed_page_by_page,
    a_bad_page_is_told,
);

fn tiny(id: &str, name: &str) -> Flavor {
    let (id, name) = (id.to_owned(), name.to_owned());
    Flavor { id, name, memory_mb: 1, vcpus: 1, ..Flavor::default() }
}

async fn create(nova: &Nova, flavor: Flavor) -> Result<Flavor, Status> {
    let request = CreateFlavorRequest { flavor: Some(flavor) };
    Ok(nova.flavors().create_flavor(request).await?.into_inner())
}

async fn get(nova: &Nova, id: &str) -> Result<Flavor, Status> {
    let request = GetFlavorRequest { id: id.to_owned() };
    Ok(nova.flavors().get_flavor(request).await?.into_inner())
}

async fn delete(nova: &Nova, id: &str) -> Result<(), Status> {
    let request = DeleteFlavorRequest { id: id.to_owned() };
    nova.flavors().delete_flavor(request).await.map(tonic::Response::into_inner)
}

async fn list(nova: &Nova, page_size: i32) -> Vec<Flavor> {
    let mut flavors = Vec::new();
    let mut request = ListFlavorsRequest { page_size, ..ListFlavorsRequest::default() };
    loop {
        let page = nova.flavors().list_flavors(request.clone()).await.unwrap().into_inner();
        assert!(page_size == 0 || page.flavors.len() <= usize::try_from(page_size).unwrap());
        flavors.extend(page.flavors);
        if page.next_page_token.is_empty() {
            return flavors;
        }
        request.page_token = page.next_page_token;
    }
}

async fn the_five_of_icehouse_are_there(db: TestDb) {
    let nova = Nova::start(db).await;
    let flavors = list(&nova, 0).await;
    let sizes: Vec<_> = flavors
        .iter()
        .map(|it| (it.id.as_str(), it.name.as_str(), it.memory_mb, it.vcpus, it.root_gb, it.instance_type_id))
        .collect();
    let expected = [
        ("1", "m1.tiny", 512, 1, 1, 1),
        ("2", "m1.small", 2048, 1, 20, 2),
        ("3", "m1.medium", 4096, 2, 40, 3),
        ("4", "m1.large", 8192, 4, 80, 4),
        ("5", "m1.xlarge", 16384, 8, 160, 5),
    ];
    assert_eq!(sizes, expected);
    for flavor in flavors {
        assert_eq!((flavor.ephemeral_gb, flavor.swap, flavor.rxtx_factor), (0, 0, Some(1.0)));
        assert_eq!(flavor.vcpu_weight, None);
        assert_eq!(get(&nova, &flavor.id).await.unwrap(), flavor);
    }
}

async fn a_flavor_is_read_as_it_was_created(db: TestDb) {
    let nova = Nova::start(db).await;
    let flavor = Flavor {
        id: "🎉".repeat(255),
        name: "größe \" ' \\".to_owned(),
        memory_mb: i32::MAX,
        vcpus: i32::MAX,
        root_gb: i32::MAX,
        ephemeral_gb: i32::MAX,
        swap: i32::MAX,
        rxtx_factor: Some(0.0001),
        vcpu_weight: Some(i32::MAX),
        instance_type_id: 77,
        create_time: None,
    };
    let created = create(&nova, flavor.clone()).await.unwrap();
    assert!(created.create_time.is_some());
    // The number is the service's to give.
    let expected = Flavor { instance_type_id: 6, create_time: created.create_time, ..flavor };
    assert_eq!(created, expected);
    assert_eq!(get(&nova, &created.id).await.unwrap(), created);
    assert_eq!(list(&nova, 0).await.pop().unwrap(), created);
}

async fn an_id_is_made_when_none_is_given(db: TestDb) {
    let nova = Nova::start(db).await;
    let first = create(&nova, tiny("", "a")).await.unwrap();
    let second = create(&nova, tiny("", "b")).await.unwrap();
    assert_eq!(first.id.len(), 36);
    assert_ne!(first.id, second.id);
    assert_eq!((first.rxtx_factor, first.vcpu_weight, first.root_gb), (Some(1.0), None, 0));
    assert_eq!(get(&nova, &first.id).await.unwrap(), first);
}

async fn a_taken_id_or_name_is_told(db: TestDb) {
    let nova = Nova::start(db).await;
    for (flavor, field, value) in [
        (tiny("1", "new"), "id", "1"),
        (tiny("new", "m1.tiny"), "name", "m1.tiny"),
        (tiny("", "m1.tiny"), "name", "m1.tiny"),
        (tiny("1", "m1.tiny"), "id", "1"),
    ] {
        let status = create(&nova, flavor).await.unwrap_err();
        let values = assert_error(&status, Code::AlreadyExists, "FLAVOR_EXISTS");
        assert_eq!((&values["field"], &values["value"]), (field, value));
        let resource = status.get_details_resource_info().unwrap();
        let named = (resource.resource_type.as_str(), resource.resource_name.as_str());
        assert_eq!(named, ("nova.v1.Flavor", value));
    }
    // The name of one may be the id of another, and case matters.
    create(&nova, tiny("m1.tiny", "1")).await.unwrap();
    create(&nova, tiny("M1.tiny", "M1.TINY")).await.unwrap();
    assert_eq!(list(&nova, 0).await.len(), 7);
}

async fn everything_wrong_is_told_at_once(db: TestDb) {
    let nova = Nova::start(db).await;
    let bad = Flavor {
        id: "x".repeat(256),
        name: " ".to_owned(),
        memory_mb: 0,
        vcpus: -1,
        root_gb: -1,
        ephemeral_gb: -1,
        swap: i32::MIN,
        rxtx_factor: Some(0.0),
        vcpu_weight: Some(-1),
        ..Flavor::default()
    };
    let names =
        ["id", "name", "memory_mb", "vcpus", "root_gb", "ephemeral_gb", "swap", "vcpu_weight", "rxtx_factor"];
    let expected = names.map(|name| format!("flavor.{name}"));
    assert_eq!(fields(&create(&nova, bad).await.unwrap_err()), expected);
    let nothing = nova.flavors().create_flavor(CreateFlavorRequest { flavor: None }).await.unwrap_err();
    assert_eq!(fields(&nothing), ["flavor.name", "flavor.memory_mb", "flavor.vcpus"]);
    assert_eq!(list(&nova, 0).await.len(), 5);
}

async fn the_share_of_the_network_has_its_limits(db: TestDb) {
    let nova = Nova::start(db).await;
    for share in
        [0.0, -0.0, -1.0, 0.000_099, 1_000_000.1, f64::MAX, f64::NAN, f64::INFINITY, f64::NEG_INFINITY]
    {
        let flavor = Flavor { rxtx_factor: Some(share), ..tiny("", "a") };
        assert_violation(
            &create(&nova, flavor).await.unwrap_err(),
            "flavor.rxtx_factor",
            "0.0001 to 1000000",
        );
    }
    let flavor = Flavor { rxtx_factor: Some(1e6), ..tiny("max", "a") };
    create(&nova, flavor).await.unwrap();
    let image = nova.glance.with(&[]);
    let instance = nova.create_one(CreateInstanceRequest { flavor_id: "max".to_owned(), ..of(&image) }).await;
    assert_eq!(instance.flavor.as_ref().unwrap().rxtx_factor, Some(1e6));
    assert_eq!(instance.system_metadata["instance_type_rxtx_factor"], "1000000.0");
    assert_eq!(nova.get(&instance.id).await.unwrap(), instance);
}

async fn ids_to_read_and_delete_are_checked(db: TestDb) {
    let nova = Nova::start(db).await;
    let long = "x".repeat(256);
    for (id, part) in [("", "must not be empty"), ("a\0", "control characters"), (&long, "at most 255")] {
        assert_violation(&get(&nova, id).await.unwrap_err(), "id", part);
        assert_violation(&delete(&nova, id).await.unwrap_err(), "id", part);
    }
}

async fn an_unknown_flavor_is_not_found(db: TestDb) {
    let nova = Nova::start(db).await;
    for status in [get(&nova, "größe").await.unwrap_err(), delete(&nova, "größe").await.unwrap_err()] {
        let values = assert_error(&status, Code::NotFound, "FLAVOR_NOT_FOUND");
        assert_eq!(&values["flavor_id"], "größe");
        let resource = status.get_details_resource_info().unwrap();
        let named = (resource.resource_type.as_str(), resource.resource_name.as_str());
        assert_eq!(named, ("nova.v1.Flavor", "größe"));
    }
}

async fn an_instance_keeps_its_copy(db: TestDb) {
    let nova = Nova::start(db).await;
    let image = nova.glance.with(&[]);
    let before = nova.flavor("mine", 64, 1, 3).await;
    let instance =
        nova.create_one(CreateInstanceRequest { flavor_id: "mine".to_owned(), ..of(&image) }).await;
    delete(&nova, "mine").await.unwrap();
    assert_eq!(get(&nova, "mine").await.unwrap_err().code(), Code::NotFound);
    assert_eq!(delete(&nova, "mine").await.unwrap_err().code(), Code::NotFound);
    // Another flavor of the same id changes nothing either.
    nova.flavor("mine", 128, 2, 6).await;
    let read = nova.get(&instance.id).await.unwrap();
    assert_eq!(read, instance);
    assert_eq!(read.flavor, Some(Flavor { create_time: None, ..before }));
}

async fn a_deleted_default_does_not_come_back(db: TestDb) {
    let nova = Nova::start(db).await;
    delete(&nova, "1").await.unwrap();
    let settings = crate::support::Settings::default();
    let again = crate::support::serve(&nova.db.url, &nova.glance.endpoint(), &settings).await;
    let channel = crate::support::connect(again).await;
    let mut flavors = proto::nova::v1::flavor_service_client::FlavorServiceClient::new(channel);
    let listed = flavors.list_flavors(ListFlavorsRequest::default()).await.unwrap().into_inner().flavors;
    assert_eq!(listed.len(), 4);
}

/// Sends all at once; returns what was created, and each failure must be `FLAVOR_EXISTS`.
async fn create_at_once(nova: &Nova, flavors: Vec<Flavor>) -> Vec<Flavor> {
    let creating: Vec<_> = flavors
        .into_iter()
        .map(|flavor| {
            let (mut client, request) = (nova.flavors(), CreateFlavorRequest { flavor: Some(flavor) });
            tokio::spawn(async move { client.create_flavor(request).await })
        })
        .collect();
    let mut created = Vec::new();
    for create in creating {
        match create.await.unwrap() {
            Ok(flavor) => created.push(flavor.into_inner()),
            Err(status) => {
                assert_error(&status, Code::AlreadyExists, "FLAVOR_EXISTS");
            }
        }
    }
    created
}

async fn sixteen_at_once_get_numbers_of_their_own(db: TestDb) {
    let nova = Nova::start(db).await;
    let flavors = (0..16).map(|number| tiny("", &format!("flavor {number}"))).collect();
    let created = create_at_once(&nova, flavors).await;
    let numbers: BTreeSet<_> = created.iter().map(|flavor| flavor.instance_type_id).collect();
    assert!(numbers.into_iter().eq(6..22));
    assert_eq!(list(&nova, 0).await.len(), 21);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_that_cannot_be_serialized_are_run_again() {
    let nova = Nova::start(TestDb::serializable().await).await;
    let flavors = (0..8).map(|number| tiny("", &format!("flavor {number}"))).collect();
    assert_eq!(create_at_once(&nova, flavors).await.len(), 8);
}

async fn one_of_sixteen_gets_the_name(db: TestDb) {
    let nova = Nova::start(db).await;
    let by_name = create_at_once(&nova, vec![tiny("", "wanted"); 16]).await;
    assert_eq!(by_name.len(), 1);
    let by_id = (0..16).map(|number| tiny("wanted", &number.to_string())).collect();
    assert_eq!(create_at_once(&nova, by_id).await.len(), 1);
    assert_eq!(list(&nova, 0).await.len(), 7);
}

async fn a_number_is_never_given_out_again(db: TestDb) {
    let nova = Nova::start(db).await;
    assert_eq!(create(&nova, tiny("a", "a")).await.unwrap().instance_type_id, 6);
    delete(&nova, "a").await.unwrap();
    assert_eq!(create(&nova, tiny("a", "a")).await.unwrap().instance_type_id, 7);
}

async fn flavors_are_listed_page_by_page(db: TestDb) {
    let nova = Nova::start(db).await;
    for number in 0..30 {
        nova.flavor(&format!("flavor {}", 99 - number), 1, 1, 0).await;
    }
    delete(&nova, "3").await.unwrap();
    let all = list(&nova, 1000).await;
    assert!(all.iter().map(|flavor| flavor.instance_type_id).eq([1, 2, 4, 5].into_iter().chain(6..36)));
    for size in [1, 7, 17, 34] {
        assert_eq!(list(&nova, size).await, all);
    }
    let default = nova.flavors().list_flavors(ListFlavorsRequest::default()).await.unwrap().into_inner();
    assert_eq!(default.flavors.len(), 25);
}

async fn a_bad_page_is_told(db: TestDb) {
    let nova = Nova::start(db).await;
    let request = ListFlavorsRequest { page_size: -1, page_token: "2".to_owned() };
    let status = nova.flavors().list_flavors(request).await.unwrap_err();
    assert_eq!(fields(&status), ["page_size", "page_token"]);
}
