//! The history of instances.

use common::clock;
use proto::nova::v1::instance_history_entry::{Operation, Step};

use super::*;

on_both_databases!(
    every_change_leaves_a_trace,
    history_outlives_the_instance,
    what_history_names_is_kept,
    a_page_reads_no_more_records_than_an_answer_holds,
    time_does_not_go_back,
);

async fn every_change_leaves_a_trace(db: TestDb) {
    let nova = Nova::start(db).await;
    let (old, new) = (nova.glance.with(&[("a", "1")]), nova.glance.with(&[("a", "2")]));
    let created = nova.create_one(of(&old)).await;
    let entries = nova.history(&created.id).await;
    assert_eq!(entries.len(), 1);
    assert_eq!((entries[0].operation(), entries[0].revision), (Operation::Create, 1));
    let instance = nova.activate(&created).await;
    let begun = nova.rebuild(&instance.id, &new.id).await.unwrap();
    nova.end(&begun, Outcome::Succeeded).await;
    let entries = nova.history(&created.id).await;
    let told: Vec<_> = entries
        .iter()
        .map(|entry| (entry.revision, entry.operation(), entry.step(), entry.user_id.as_str()))
        .collect();
    let expected = [
        (1, Operation::Create, Step::Finished, "alice"),
        (2, Operation::ReportState, Step::Finished, "agent"),
        (3, Operation::Rebuild, Step::Started, "alice"),
        (4, Operation::Rebuild, Step::Finished, "agent"),
    ];
    assert_eq!(told, expected);
    assert_eq!(entries[0].changes.len(), created.system_metadata.len());
    assert_eq!((entries[1].old_state(), entries[1].new_state()), (State::Building, State::Active));
    assert!(entries[1].changes.is_empty() && entries[2].changes.is_empty());
    let rebuilt = &entries[3];
    assert_eq!((&rebuilt.old_image_id, &rebuilt.new_image_id), (&old.id, &new.id));
    let changed: Vec<_> = rebuilt
        .changes
        .iter()
        .map(|change| (change.key.as_str(), change.old_value.as_deref(), change.new_value.as_deref()))
        .collect();
    let expected = [
        ("image_a", Some("1"), Some("2")),
        ("image_base_image_ref", Some(old.id.as_str()), Some(new.id.as_str())),
    ];
    assert_eq!(changed, expected);
}

async fn history_outlives_the_instance(db: TestDb) {
    let nova = alone(db).await;
    let instance = nova.active(&nova.glance.with(&[("a", "1")])).await;
    nova.delete(&instance.id).await.unwrap();
    let entries = nova.history(&instance.id).await;
    let told: Vec<_> = entries.iter().map(|entry| (entry.revision, entry.operation())).collect();
    assert_eq!(told, [(1, Operation::Create), (2, Operation::Delete)]);
    let request = GetInstanceHistoryRequest {
        id: "6e1f4a52-5c5f-4c39-9d0c-6f7d0a3a4f11".to_owned(),
        ..Default::default()
    };
    let unknown = nova.instances().get_instance_history(request).await.unwrap_err();
    assert_error(&unknown, Code::NotFound, "INSTANCE_NOT_FOUND");
}

async fn what_history_names_is_kept(db: TestDb) {
    let nova = alone(db).await;
    let (old, new) = (nova.glance.with(&[("a", "1")]), nova.glance.with(&[("a", "2")]));
    let instance = nova.active(&old).await;
    nova.rebuild(&instance.id, &new.id).await.unwrap();
    let store = crate::records::store(&nova).await;
    assert_eq!(store.sweep_once(clock::now()).await.unwrap(), 0);
    assert_eq!(nova.history(&instance.id).await[1].changes.len(), 2);
    nova.delete(&instance.id).await.unwrap();
    assert_eq!(store.sweep_once(clock::now() - chrono::TimeDelta::days(1)).await.unwrap(), 0);
    assert_eq!(nova.history(&instance.id).await.len(), 3);
    assert_eq!(store.sweep_once(clock::now()).await.unwrap(), 2);
    let request = GetInstanceHistoryRequest { id: instance.id, ..Default::default() };
    let forgotten = nova.instances().get_instance_history(request).await.unwrap_err();
    assert_error(&forgotten, Code::NotFound, "INSTANCE_NOT_FOUND");
}

async fn a_page_reads_no_more_records_than_an_answer_holds(db: TestDb) {
    let nova = alone(db).await;
    let properties: Vec<_> = (0..127).map(|number| (format!("{number:0255}"), "é".repeat(255))).collect();
    let properties: Vec<_> = properties.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let instance = nova.active(&nova.glance.with(&properties)).await;
    for number in 0..40 {
        let set = map(&[("a", &number.to_string())]);
        let id = instance.id.clone();
        nova.edit(UpdateInstanceImagePropertiesRequest { id, set, ..Default::default() }).await.unwrap();
    }
    // Each change is small, but the records it is computed from are large.
    let mut request =
        GetInstanceHistoryRequest { id: instance.id.clone(), page_size: 1000, ..Default::default() };
    let mut revisions = Vec::new();
    loop {
        let page = nova.instances().get_instance_history(request.clone()).await.unwrap().into_inner();
        assert!((1..=41).contains(&page.entries.len()));
        revisions.extend(page.entries.iter().map(|entry| entry.revision));
        if page.next_page_token.is_empty() {
            break;
        }
        assert!(page.entries.len() <= 32, "a record has some 97 kB, and an answer 3 MB");
        request.page_token = page.next_page_token;
    }
    assert_eq!(revisions, (1..=41).rev().collect::<Vec<_>>());
}

async fn time_does_not_go_back(db: TestDb) {
    let nova = Nova::start(db).await;
    let image = nova.glance.with(&[]);
    let created = nova.create_one(of(&image)).await;
    // Another machine changed it last, whose clock is an hour ahead.
    let later = if nova.is_sqlite() { "3600000000" } else { "INTERVAL '1 hour'" };
    execute(&nova.db.url, &format!("UPDATE instances SET update_time = update_time + {later}")).await;
    let ahead = nova.get(&created.id).await.unwrap().update_time.unwrap();
    let instance = nova.activate(&created).await;
    let begun = nova.rebuild(&instance.id, &image.id).await.unwrap();
    nova.end(&begun, Outcome::Failed).await;
    let begun = nova.shelve(&instance.id).await.unwrap();
    nova.end(&begun, Outcome::Failed).await;
    nova.delete(&instance.id).await.unwrap();
    let entries = nova.history(&instance.id).await;
    let times: Vec<_> = entries.iter().skip(1).map(|entry| entry.create_time.unwrap()).collect();
    assert!(times.len() >= 6, "{entries:?}");
    assert!(
        times.iter().all(|time| (time.seconds, time.nanos) >= (ahead.seconds, ahead.nanos)),
        "{times:?} {ahead}"
    );
}
