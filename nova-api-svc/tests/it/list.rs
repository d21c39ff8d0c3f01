//! Finding instances.

use std::collections::BTreeSet;

use chassis::{on_both_databases, testing::TestDb};
use proto::nova::v1::{CreateInstanceRequest, Instance, ListInstancesRequest};

use crate::{
    glance::map,
    support::{Nova, assert_violation, fields, made_by, of, several},
};

on_both_databases!(
    each_condition_finds_what_it_should,
    conditions_must_all_hold,
    system_metadata_of_any_key_and_value_is_found,
    an_instance_is_in_a_list_as_it_is,
    the_newest_come_first,
    every_order_sorts,
    text_is_sorted_by_its_bytes,
    a_bad_filter_is_told,
    a_bad_order_is_told,
    everything_bad_is_told_at_once,
    a_filter_cannot_reach_the_database_as_a_statement,
);

pub(crate) fn filtered(filter: &str) -> ListInstancesRequest {
    ListInstancesRequest { filter: filter.to_owned(), page_size: 1000, ..ListInstancesRequest::default() }
}

pub(crate) fn by(order_by: &str) -> ListInstancesRequest {
    ListInstancesRequest { order_by: order_by.to_owned(), page_size: 1000, ..ListInstancesRequest::default() }
}

/// Names of what a filter finds, sorted.
async fn find(nova: &Nova, filter: &str) -> Vec<String> {
    let found = nova.list(filtered(filter)).await.unwrap().instances;
    let mut names: Vec<_> = found.into_iter().map(|instance| instance.name).collect();
    names.sort();
    names
}

async fn create(nova: &Nova, name: &str, project: &str, properties: &[(&str, &str)]) -> Instance {
    let image = nova.glance.with(properties);
    let request = CreateInstanceRequest { name: name.to_owned(), ..of(&image) };
    let user = format!("{project}-user");
    nova.create(made_by(&user, project, request)).await.unwrap().instances.remove(0)
}

async fn each_condition_finds_what_it_should(db: TestDb) {
    let nova = Nova::start(db).await;
    let web = create(&nova, "web", "one", &[("os_type", "linux")]).await;
    create(&nova, "db", "two", &[("os_type", "windows")]).await;
    let mut image = nova.glance.with(&[]);
    image.revision = 7;
    nova.glance.add(image.clone());
    nova.create(CreateInstanceRequest { name: "seven".to_owned(), ..of(&image) }).await.unwrap();

    for (filter, expected) in [
        (String::new(), vec!["db", "seven", "web"]),
        ("name = web".to_owned(), vec!["web"]),
        ("name = we".to_owned(), vec![]),
        ("name = WEB".to_owned(), vec![]),
        ("name = \"%\"".to_owned(), vec![]),
        (format!("image_id = {}", web.image_id), vec!["web"]),
        (format!("image_id = {}", web.image_id.to_uppercase()), vec!["web"]),
        ("image_id = 6e1f4a52-5c5f-4c39-9d0c-6f7d0a3a4f11".to_owned(), vec![]),
        ("image_revision = 7".to_owned(), vec!["seven"]),
        (format!("image_revision = {}", i64::MAX), vec![]),
        ("image_revision = -1".to_owned(), vec![]),
        ("state = BUILDING".to_owned(), vec!["db", "seven", "web"]),
        ("state = ACTIVE".to_owned(), vec![]),
        ("project_id = two".to_owned(), vec!["db"]),
        ("user_id = one-user".to_owned(), vec!["web"]),
        (format!("reservation_id = {}", web.reservation_id), vec!["web"]),
        ("system_metadata.image_os_type = windows".to_owned(), vec!["db"]),
        ("system_metadata.instance_type_id = 2".to_owned(), vec!["db", "seven", "web"]),
        (format!("system_metadata.image_base_image_ref = {}", image.id), vec!["seven"]),
        ("system_metadata.image_os_type = lin".to_owned(), vec![]),
        ("system_metadata.nothing = \"\"".to_owned(), vec![]),
    ] {
        assert_eq!(find(&nova, &filter).await, expected, "{filter}");
    }
}

async fn conditions_must_all_hold(db: TestDb) {
    let nova = Nova::start(db).await;
    let web = create(&nova, "web", "one", &[("os_type", "linux"), ("bus", "ide")]).await;
    create(&nova, "web", "two", &[("os_type", "linux"), ("bus", "scsi")]).await;
    create(&nova, "db", "one", &[("os_type", "linux"), ("bus", "ide")]).await;
    let all = "name = web AND project_id = one AND state = BUILDING AND system_metadata.image_bus = ide \
               AND system_metadata.image_os_type = linux AND image_revision = 1";
    let found = nova.list(filtered(all)).await.unwrap().instances;
    assert_eq!(found, [web]);
    assert_eq!(find(&nova, "name = web AND system_metadata.image_os_type = linux").await, ["web", "web"]);
    // The value of one key and the key of another are not the same entry.
    let crossed = "system_metadata.image_bus = linux";
    assert_eq!(find(&nova, crossed).await, [""; 0]);
    let contradiction = "name = web AND name = db";
    assert_eq!(find(&nova, contradiction).await, [""; 0]);
    let twice = "system_metadata.image_bus = ide AND system_metadata.image_bus = ide";
    assert_eq!(find(&nova, twice).await, ["db", "web"]);
}

async fn system_metadata_of_any_key_and_value_is_found(db: TestDb) {
    let nova = Nova::start(db).await;
    let long = "🎉".repeat(255);
    let odd = [
        ("trait:HW_CPU_X86", "required"),
        ("hw_numa_cpus.0", "0,1"),
        ("say \"hi\" \\ 'so'", "it's = AND \"x\" \\"),
        ("größe", "groß"),
        ("empty", ""),
        (long.as_str(), "long"),
        ("long value", long.as_str()),
    ];
    create(&nova, "odd", "one", &odd).await;
    create(&nova, "plain", "one", &odd.map(|(name, _)| (name, "another"))).await;
    let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    for (name, value) in odd {
        let filter = format!("system_metadata.{} = {}", quoted(&format!("image_{name}")), quoted(value));
        assert_eq!(find(&nova, &filter).await, ["odd"], "{filter}");
    }
    assert_eq!(find(&nova, "system_metadata.image_hw_numa_cpus.0 = '0,1'").await, ["odd"]);
    // A cut value is found by what is kept of it.
    create(&nova, "cut", "one", &[("cut", &"x".repeat(300))]).await;
    let cut = |length| format!("system_metadata.image_cut = {}", "x".repeat(length));
    assert_eq!(find(&nova, &cut(255)).await, ["cut"]);
    assert_eq!(find(&nova, &cut(300)).await, [""; 0]);
}

async fn an_instance_is_in_a_list_as_it_is(db: TestDb) {
    let nova = Nova::start(db).await;
    let image = nova.glance.with(&[("os_type", "linux"), ("long", &"x".repeat(300))]);
    let created = nova.create_one(CreateInstanceRequest { metadata: map(&[("a", "1")]), ..of(&image) }).await;
    assert_eq!(nova.list(filtered("name = web")).await.unwrap().instances, [created]);
}

async fn the_newest_come_first(db: TestDb) {
    let nova = Nova::start(db).await;
    let mut expected = Vec::new();
    for name in ["c", "a", "b"] {
        expected.insert(0, create(&nova, name, "one", &[]).await);
    }
    assert_eq!(nova.list(ListInstancesRequest::default()).await.unwrap().instances, expected);
}

async fn every_order_sorts(db: TestDb) {
    let nova = Nova::start(db).await;
    for name in ["c", "a", "b"] {
        create(&nova, name, "one", &[]).await;
    }
    let oldest_first = nova.list(by("create_time")).await.unwrap().instances;
    let names = |instances: &[Instance]| instances.iter().map(|it| it.name.clone()).collect::<String>();
    assert_eq!(names(&oldest_first), "cab");
    for (order_by, expected) in [
        ("name", "abc"),
        ("name asc", "abc"),
        (" name   desc ", "cba"),
        ("create_time desc", "bac"),
        ("update_time", "cab"),
        ("update_time desc", "bac"),
        // Ids sort by their time, and end every order.
        ("id", "cab"),
        ("id desc", "bac"),
        ("state", "cab"),
        ("state desc", "bac"),
        ("state,name desc", "cba"),
        ("state asc, create_time desc, name", "bac"),
    ] {
        assert_eq!(names(&nova.list(by(order_by)).await.unwrap().instances), expected, "{order_by}");
    }
}

async fn text_is_sorted_by_its_bytes(db: TestDb) {
    let nova = Nova::start(db).await;
    for name in ["b", "B", "ä", "a b", "a", "a-b", "A", "🎉", "\u{e000}"] {
        create(&nova, name, "one", &[]).await;
    }
    let request = ListInstancesRequest { page_size: 2, ..by("name") };
    let names: Vec<_> = nova.walk(request).await.into_iter().map(|instance| instance.name).collect();
    assert_eq!(names, ["A", "B", "a", "a b", "a-b", "b", "ä", "\u{e000}", "🎉"]);
}

async fn a_bad_filter_is_told(db: TestDb) {
    let nova = Nova::start(db).await;
    let allowed = "allowed: name, image_id, image_revision, state, project_id, user_id, reservation_id = VALUE; \
                   system_metadata.KEY = VALUE";
    let unknown = "there is no such condition on";
    for (filter, part) in [
        ("hostname = web", unknown),
        ("name : web", unknown),
        ("name.x = web", unknown),
        ("system_metadata = x", unknown),
        ("system_metadata.image_os_type : linux", unknown),
        ("metadata.role = web", unknown),
        ("name != web", "'!' must stand in quotes"),
        ("name = web OR name = db", "`OR` stands where AND must be"),
        ("image_id = ubuntu", "image_id must be a UUID"),
        ("image_revision = first", "image_revision \"first\" is not a revision"),
        ("image_revision = 9223372036854775808", "is not a revision"),
        ("state = DELETED", "state must be one of BUILDING, ACTIVE, ERROR"),
        ("state = STATE_UNSPECIFIED", "state must be one of BUILDING, ACTIVE, ERROR"),
        ("name = 'a\0'", "must not contain NUL"),
        ("system_metadata.a = 1 AND system_metadata.a = 2", "\"a\" cannot have two values"),
    ] {
        let status = nova.list(filtered(filter)).await.unwrap_err();
        assert_violation(&status, "filter", part);
        assert_violation(&status, "filter", allowed);
    }
    let long = format!("name = \"{}\"", "x".repeat(9000));
    assert_violation(&nova.list(filtered(&long)).await.unwrap_err(), "filter", "at most 8192 are allowed");
    let many = ["name = web"; 33].join(" AND ");
    assert_violation(&nova.list(filtered(&many)).await.unwrap_err(), "filter", "at most 32 are allowed");
}

async fn a_bad_order_is_told(db: TestDb) {
    let nova = Nova::start(db).await;
    let allowed = "separated by commas: name, state, id, create_time, update_time";
    for (order_by, part) in [
        ("hostname", allowed),
        ("name up", allowed),
        ("name ASC", allowed),
        ("name,", allowed),
        ("name;drop table instances", allowed),
        ("name desc, name", "\"name\" is there twice"),
    ] {
        assert_violation(&nova.list(by(order_by)).await.unwrap_err(), "order_by", part);
    }
}

async fn everything_bad_is_told_at_once(db: TestDb) {
    let nova = Nova::start(db).await;
    let request = ListInstancesRequest {
        page_size: -1,
        page_token: "none".to_owned(),
        filter: "x".to_owned(),
        order_by: "x".to_owned(),
        ..ListInstancesRequest::default()
    };
    let told: BTreeSet<_> = fields(&nova.list(request).await.unwrap_err()).into_iter().collect();
    assert!(told.into_iter().eq(["filter", "order_by", "page_size", "page_token"]));
}

async fn a_filter_cannot_reach_the_database_as_a_statement(db: TestDb) {
    let nova = Nova::start(db).await;
    nova.create(several(&nova.glance.with(&[]), 2)).await.unwrap();
    let attack = "'; DROP TABLE instances; -- $1 ? \" )";
    let quoted = format!("\"{}\"", attack.replace('"', "\\\""));
    for filter in [format!("name = {quoted}"), format!("system_metadata.{quoted} = {quoted}")] {
        assert_eq!(find(&nova, &filter).await, [""; 0]);
    }
    assert_eq!(nova.rows().await.0, 2);
}
