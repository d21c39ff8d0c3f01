//! Several instances of one request.

use std::collections::BTreeSet;

use chassis::{on_both_databases, testing::TestDb};
use proto::nova::v1::{CreateInstanceRequest, InstanceView};
use tonic::Code;

use crate::{
    glance::map,
    support::{NOTHING, Nova, Settings, assert_violation, of, several},
};

on_both_databases!(
    several_are_named_by_the_template,
    another_template_can_be_configured,
    long_names_still_give_each_a_host_name_of_its_own,
    one_of_one_is_named_plainly,
    only_the_maximum_is_asked_for,
    a_thousand_are_one_call_to_glance_and_all_rows,
    an_answer_too_large_for_clients_is_basic,
    an_answer_is_as_full_as_fits_for_all,
    a_derived_name_that_is_too_long_is_refused,
    a_derived_name_of_255_characters_fits,
);

async fn several_are_named_by_the_template(db: TestDb) {
    let nova = Nova::start(db).await;
    let image = nova.glance.with(&[]);
    let created = nova.create(several(&image, 3)).await.unwrap().instances;
    for (index, instance) in created.iter().enumerate() {
        assert_eq!(instance.name, format!("web-{}", instance.id));
        assert_eq!(instance.hostname, instance.name);
        assert_eq!(usize::try_from(instance.launch_index), Ok(index));
        assert_eq!(instance.reservation_id, created[0].reservation_id);
        assert_eq!(instance.create_time, created[0].create_time);
    }
    let ids: BTreeSet<_> = created.iter().map(|instance| &instance.id).collect();
    assert_eq!(ids.len(), 3);
    assert_ne!(nova.create(several(&image, 1)).await.unwrap().reservation_id, created[0].reservation_id);
}

async fn another_template_can_be_configured(db: TestDb) {
    let settings = Settings { template: "%(count)d. %(name)s 100%%", ..Settings::default() };
    let nova = Nova::start_with(db, settings).await;
    let image = nova.glance.with(&[]);
    let created = nova.create(several(&image, 2)).await.unwrap().instances;
    let names: Vec<_> = created.iter().map(|it| (it.name.as_str(), it.hostname.as_str())).collect();
    assert_eq!(names, [("1. web 100%", "1--web-100"), ("2. web 100%", "2--web-100")]);
}

async fn long_names_still_give_each_a_host_name_of_its_own(db: TestDb) {
    let nova = Nova::start(db).await;
    let image = nova.glance.with(&[]);
    for name in ["a".repeat(200), "名".repeat(100), "-".repeat(60), "ß.".repeat(40)] {
        let created = nova.create(CreateInstanceRequest { name, ..several(&image, 3) }).await.unwrap();
        let hostnames: BTreeSet<_> = created.instances.iter().map(|it| it.hostname.clone()).collect();
        assert_eq!(hostnames.len(), 3);
        for hostname in hostnames {
            assert!(!hostname.is_empty() && hostname.chars().count() <= 63, "{hostname}");
            assert!(!hostname.starts_with('-') && !hostname.ends_with('-'), "{hostname}");
        }
    }
}

async fn one_of_one_is_named_plainly(db: TestDb) {
    let nova = Nova::start(db).await;
    let image = nova.glance.with(&[]);
    let request = CreateInstanceRequest { min_count: 1, max_count: 1, ..of(&image) };
    assert_eq!(nova.create_one(request).await.name, "web");
}

async fn only_the_maximum_is_asked_for(db: TestDb) {
    let nova = Nova::start(db).await;
    let image = nova.glance.with(&[]);
    let answer = nova.create(CreateInstanceRequest { max_count: 4, ..of(&image) }).await.unwrap();
    assert_eq!((answer.requested_count, answer.instances.len()), (4, 4));
    let answer =
        nova.create(CreateInstanceRequest { min_count: 2, max_count: 3, ..of(&image) }).await.unwrap();
    assert_eq!((answer.requested_count, answer.instances.len()), (3, 3));
}

async fn a_thousand_are_one_call_to_glance_and_all_rows(db: TestDb) {
    let nova = Nova::start(db).await;
    let image = nova.glance.with(&[("os_type", "linux"), ("long", &"x".repeat(300))]);
    let metadata = map(&[("a", "1"), ("b", "2"), ("c", "3")]);
    let request =
        CreateInstanceRequest { metadata, request_id: "a thousand".to_owned(), ..several(&image, 1000) };
    let answer = nova.create(request).await.unwrap();
    assert_eq!((answer.requested_count, answer.view()), (1000, InstanceView::Full));
    assert!(answer.instances.iter().map(|it| it.launch_index).eq(0..1000));
    let calls = nova.glance.calls();
    assert_eq!(calls.len(), 1);
    assert_eq!((&calls[0].id, calls[0].revision), (&image.id, 0));
    assert_eq!(nova.rows().await, (1000, 3000, 15_000, 1, 0));
    let per_instance = nova
        .sql::<(i64, i64)>(
            "SELECT COUNT(*), COUNT(DISTINCT key) FROM instance_system_metadata GROUP BY instance_id",
        )
        .await;
    assert_eq!(per_instance, vec![(15, 15); 1000]);
    let indices = nova.sql::<(i32,)>("SELECT launch_index FROM instances ORDER BY id").await;
    assert!(indices.into_iter().map(|(index,)| index).eq(0..1000), "ids sort by launch index");
    let some = &answer.instances[617];
    assert_eq!(nova.get(&some.id).await.unwrap(), *some);
}

async fn an_answer_too_large_for_clients_is_basic(db: TestDb) {
    let nova = Nova::start(db).await;
    let image = nova.glance.with(&[("os_type", "linux"), ("note", &"名".repeat(255))]);
    let metadata = (0..10).map(|number| (format!("key {number}"), "x".repeat(255))).collect();
    let answer = nova.create(CreateInstanceRequest { metadata, ..several(&image, 1000) }).await.unwrap();
    assert_eq!((answer.instances.len(), answer.view()), (1000, InstanceView::Basic));
    let basic = answer.instances.last().unwrap();
    assert!(basic.metadata.is_empty() && basic.system_metadata.is_empty() && basic.truncated_keys.is_empty());
    let full = nova.get(&basic.id).await.unwrap();
    assert_eq!((full.metadata.len(), full.system_metadata.len()), (10, 15));
    let mut stripped = full;
    stripped.metadata.clear();
    stripped.system_metadata.clear();
    assert_eq!(stripped.flavor.take().unwrap().id, "2");
    assert_eq!(std::mem::take(&mut stripped.os_type), "linux");
    assert_eq!(*basic, stripped);
}

async fn an_answer_is_as_full_as_fits_for_all(db: TestDb) {
    let nova = Nova::start(db).await;
    let metadata = (0..128).map(|number| (format!("{number:0>255}"), "🎉".repeat(255))).collect();
    let image = nova.glance.with(&[]);
    let request = CreateInstanceRequest { metadata, ..several(&image, 15) };
    assert_eq!(nova.create(request.clone()).await.unwrap().view(), InstanceView::Full);
    let twenty = CreateInstanceRequest { min_count: 20, ..request };
    assert_eq!(nova.create(twenty).await.unwrap().view(), InstanceView::Basic);
}

async fn a_derived_name_that_is_too_long_is_refused(db: TestDb) {
    let nova = Nova::start(db).await;
    let image = nova.glance.with(&[]);
    let request = CreateInstanceRequest {
        name: "名".repeat(219),
        request_id: "too long".to_owned(),
        ..several(&image, 2)
    };
    let status = nova.create(request.clone()).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_violation(&status, "name", "256 characters, at most 255");
    assert_eq!(nova.rows().await, NOTHING);
    // The request id was not used up, and one instance has room for the name.
    nova.create(CreateInstanceRequest { min_count: 1, ..request }).await.unwrap();
}

async fn a_derived_name_of_255_characters_fits(db: TestDb) {
    let nova = Nova::start(db).await;
    let image = nova.glance.with(&[]);
    let created =
        nova.create(CreateInstanceRequest { name: "名".repeat(218), ..several(&image, 2) }).await.unwrap();
    assert!(created.instances.iter().all(|it| it.name.chars().count() == 255));
}
