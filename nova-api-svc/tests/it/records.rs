//! Records, shared by instances, and what happens to them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicBool, Ordering},
};

use chassis::{
    db::{Db, Migrations},
    on_both_databases,
    testing::TestDb,
};
use common::clock;
use nova_api_svc::store::{MIGRATIONS, Store};
use proto::nova::v1::{CreateInstanceRequest, Instance, ListInstancesRequest};
use sqlx::migrate::Migrator;

use crate::{
    glance::map,
    support::{Nova, of, several},
};

on_both_databases!(
    instances_made_of_the_same_share_a_record,
    whatever_differs_makes_another_record,
    the_relation_of_system_metadata_is_that_of_the_answers,
    records_that_nothing_refers_to_are_collected,
    collecting_stops_nobody_and_loses_nothing,
    a_database_of_the_first_schema_keeps_everything,
    metadata_of_a_reservation_is_written_once,
    a_program_of_before_still_writes_metadata_and_reads_it,
);

async fn records(nova: &Nova) -> i64 {
    nova.sql::<(i64,)>("SELECT COUNT(*) FROM records").await[0].0
}

async fn entries(nova: &Nova) -> i64 {
    nova.sql::<(i64,)>("SELECT COUNT(*) FROM record_entries").await[0].0
}

/// A separate store on the database, as in another replica.
pub(crate) async fn store(nova: &Nova) -> Store {
    let db = Db::open(&nova.db.url, 4, &MIGRATIONS).unwrap();
    db.migrate().await.unwrap();
    Store::new(db)
}

async fn instances_made_of_the_same_share_a_record(db: TestDb) {
    let nova = Nova::start(db).await;
    let image = nova.glance.with(&[("os_type", "linux"), ("long", &"x".repeat(300))]);
    nova.create(several(&image, 3)).await.unwrap();
    nova.create(CreateInstanceRequest { name: "db".to_owned(), ..of(&image) }).await.unwrap();
    assert_eq!((records(&nova).await, entries(&nova).await), (1, 15));
}

async fn whatever_differs_makes_another_record(db: TestDb) {
    let nova = Nova::start(db).await;
    let image = nova.glance.with(&[("os_type", "linux")]);
    let kernel = nova.glance.with(&[]);
    for request in [
        of(&image),
        of(&nova.glance.with(&[("os_type", "linux")])),
        CreateInstanceRequest { flavor_id: "3".to_owned(), ..of(&image) },
        CreateInstanceRequest { auto_disk_config: Some(true), ..of(&image) },
        CreateInstanceRequest { kernel_id: kernel.id.clone(), ..of(&image) },
    ] {
        for _ in 0..2 {
            let instance = nova.create_one(request.clone()).await;
            assert_eq!(nova.get(&instance.id).await.unwrap(), instance);
        }
    }
    nova.glance.revise(&image);
    nova.create_one(of(&image)).await;
    assert_eq!(records(&nova).await, 6);
}

async fn the_relation_of_system_metadata_is_that_of_the_answers(db: TestDb) {
    let nova = Nova::start(db).await;
    let mut expected = BTreeSet::new();
    for value in ["ide", "virtio", "名"] {
        let image = nova.glance.with(&[("hw_disk_bus", value), ("long", &"x".repeat(300))]);
        for instance in nova.create(several(&image, 2)).await.unwrap().instances {
            for (key, value) in instance.system_metadata {
                let truncated = instance.truncated_keys.contains(&key);
                expected.insert((instance.id.clone(), key, value, truncated));
            }
        }
    }
    let rows = nova.sql::<(String, String, String, bool)>(
        "SELECT CAST(instance_id AS TEXT), key, value, truncated FROM instance_system_metadata",
    );
    assert_eq!(rows.await.into_iter().collect::<BTreeSet<_>>(), expected);
}

async fn records_that_nothing_refers_to_are_collected(db: TestDb) {
    let nova = Nova::start(db).await;
    let (kept, gone) = (nova.glance.with(&[("a", "1")]), nova.glance.with(&[("b", "2")]));
    let kept = nova.create_one(of(&kept)).await;
    let others = nova.create(several(&gone, 2)).await.unwrap().instances;
    let store = store(&nova).await;
    nova.delete(&others[0].id).await.unwrap();
    assert_eq!(store.sweep_once(clock::now()).await.unwrap(), 0, "the other one is made of it");
    nova.delete(&others[1].id).await.unwrap();
    assert_eq!(store.sweep_once(clock::now()).await.unwrap(), 1);
    assert_eq!((records(&nova).await, entries(&nova).await), (1, 14));
    assert_eq!(nova.get(&kept.id).await.unwrap(), kept);
    // What was collected comes back with the next instance.
    let again = nova.create_one(of(&gone)).await;
    assert_eq!(nova.get(&again.id).await.unwrap(), again);
}

async fn collecting_stops_nobody_and_loses_nothing(db: TestDb) {
    let nova = Nova::start(db).await;
    let images: Vec<_> = (0..4).map(|number| nova.glance.with(&[("n", &number.to_string())])).collect();
    let (store, is_over) = (store(&nova).await, AtomicBool::new(false));
    let collect = async {
        let mut collected = 0;
        while !is_over.load(Ordering::SeqCst) {
            collected += store.sweep_once(clock::now()).await.unwrap();
            tokio::task::yield_now().await;
        }
        collected
    };
    let create = async {
        for round in 0..60 {
            let image = &images[round % images.len()];
            let (one, other) = tokio::join!(nova.create_one(of(image)), nova.create_one(of(image)));
            for instance in [one, other] {
                assert_eq!(nova.get(&instance.id).await.unwrap(), instance);
                nova.delete(&instance.id).await.unwrap();
            }
        }
        is_over.store(true, Ordering::SeqCst);
    };
    let (collected, ()) = tokio::join!(collect, create);
    assert!(collected > 0, "records came and went");
    store.sweep_once(clock::now()).await.unwrap();
    assert_eq!((records(&nova).await, entries(&nova).await), (0, 0));
}

async fn metadata_of_a_reservation_is_written_once(db: TestDb) {
    let nova = Nova::start(db).await;
    let image = nova.glance.with(&[]);
    let metadata = map(&[("role", "web"), ("a\"b", "\\ \u{7f}名")]);
    let request = CreateInstanceRequest { metadata: metadata.clone(), ..several(&image, 50) };
    let created = nova.create(request).await.unwrap().instances;
    assert!(created.iter().all(|instance| instance.metadata == metadata));
    let values = async || nova.sql::<(i64,)>("SELECT COUNT(*) FROM reservation_metadata").await[0].0;
    assert_eq!(values().await, 1);
    assert_eq!(nova.get(&created[7].id).await.unwrap().metadata, metadata);
    let others = nova.create(several(&image, 2)).await.unwrap().instances;
    let listed = nova.walk(ListInstancesRequest { page_size: 20, ..Default::default() }).await;
    assert_eq!(listed.iter().filter(|instance| instance.metadata == metadata).count(), 50);
    assert!(others.iter().all(|other| listed.contains(other)));
    // Whoever looks with SQL sees it at each instance.
    let rows = nova
        .sql::<(String, String, String)>(
            "SELECT CAST(instance_id AS TEXT), key, value FROM instance_metadata",
        )
        .await;
    let entries = |instance: &Instance| {
        let id = instance.id.clone();
        instance.metadata.clone().into_iter().map(move |(key, value)| (id.clone(), key, value))
    };
    let expected: BTreeSet<_> = created.iter().flat_map(entries).collect();
    assert_eq!((rows.len(), rows.into_iter().collect::<BTreeSet<_>>()), (100, expected));
    // It goes with the last of its instances.
    let store = store(&nova).await;
    for instance in &created[1..] {
        nova.delete(&instance.id).await.unwrap();
    }
    store.sweep_once(clock::now()).await.unwrap();
    assert_eq!((values().await, nova.get(&created[0].id).await.unwrap().metadata), (1, metadata));
    nova.delete(&created[0].id).await.unwrap();
    store.sweep_once(clock::now()).await.unwrap();
    assert_eq!(values().await, 0);
}

async fn a_program_of_before_still_writes_metadata_and_reads_it(db: TestDb) {
    let nova = Nova::start(db).await;
    let image = nova.glance.with(&[]);
    let old = nova.create_one(of(&image)).await;
    let request = CreateInstanceRequest { metadata: map(&[("role", "web")]), ..of(&image) };
    let new = nova.create_one(request).await;
    // As the release before this one does.
    let write = "INSERT INTO instance_metadata (instance_id, key, value) \
                 SELECT id, 'role', 'db' FROM instances WHERE id = ";
    crate::support::execute(&nova.db.url, &format!("{write}'{}'", old.id)).await;
    assert_eq!(nova.get(&old.id).await.unwrap().metadata, map(&[("role", "db")]));
    let read = "SELECT CAST(id AS TEXT), CAST(metadata AS TEXT) FROM instance_records";
    let rows = nova.sql::<(String, String)>(read).await;
    let metadata = |id: &str| {
        let row = rows.iter().find(|row| row.0 == id).unwrap();
        serde_json::from_str::<BTreeMap<String, String>>(&row.1).unwrap()
    };
    assert_eq!(metadata(&old.id), map(&[("role", "db")]));
    assert_eq!(metadata(&new.id), map(&[("role", "web")]));
    nova.delete(&old.id).await.unwrap();
    let left = nova.sql::<(i64,)>("SELECT COUNT(*) FROM instance_metadata_entries").await;
    assert_eq!(left, [(0,)]);
}

/// The migrations up to the first.
static FIRST: std::sync::LazyLock<Migrations> = std::sync::LazyLock::new(|| Migrations {
    sqlite: first(&MIGRATIONS.sqlite),
    postgres: first(&MIGRATIONS.postgres),
});

fn first(migrator: &Migrator) -> Migrator {
    let first: Vec<_> = migrator.iter().filter(|migration| migration.version == 1).cloned().collect();
    Migrator { migrations: first.into(), ..Migrator::DEFAULT }
}

/// Instances as the first schema keeps them: two made from the same, one made from something else.
const OF_THE_FIRST_SCHEMA: &str = "
    INSERT INTO instances (id, name, hostname, launch_index, reservation_id, project_id, user_id, image_id,
        image_revision, state, memory_mb, vcpus, kernel_id, ramdisk_id, os_type, architecture, vm_mode,
        root_device_name, auto_disk_config, create_time, update_time)
    SELECT id, name, name, n, 'r-1', 'demo', 'alice', '6e1f4a52-5c5f-4c39-9d0c-6f7d0a3a4f11', 3, 'active', 2048, 1,
        '', '', 'linux', '', '', '/dev/vda', TRUE, '2026-01-01T00:00:00.12+00:00', '2026-01-01T00:00:01+00:00'
    FROM (SELECT 0 AS n, '00000000-0000-4000-8000-000000000001' AS id, 'a' AS name
          UNION ALL SELECT 1, '00000000-0000-4000-8000-000000000002', 'b'
          UNION ALL SELECT 2, '00000000-0000-4000-8000-000000000003', 'c') AS i;
    INSERT INTO instance_metadata (instance_id, key, value)
    VALUES ('00000000-0000-4000-8000-000000000001', 'role', 'web');
    INSERT INTO instance_system_metadata (instance_id, key, value, truncated)
    SELECT i.id, e.key, CASE WHEN e.key = 'image_bus' THEN CASE i.name WHEN 'c' THEN 'ide' ELSE 'scsi' END
                        ELSE e.value END, e.key = 'image_bus'
    FROM instances i CROSS JOIN (
        SELECT 'image_bus' AS key, '' AS value UNION ALL SELECT 'instance_type_id', '2'
        UNION ALL SELECT 'instance_type_name', 'm1.small' UNION ALL SELECT 'instance_type_memory_mb', '2048'
        UNION ALL SELECT 'instance_type_vcpus', '1' UNION ALL SELECT 'instance_type_root_gb', '20'
        UNION ALL SELECT 'instance_type_ephemeral_gb', '0' UNION ALL SELECT 'instance_type_flavorid', '2'
        UNION ALL SELECT 'instance_type_swap', '0' UNION ALL SELECT 'instance_type_rxtx_factor', '1.0'
        UNION ALL SELECT 'instance_type_vcpu_weight', '') AS e";

async fn a_database_of_the_first_schema_keeps_everything(db: TestDb) {
    let before = Db::open(&db.url, 1, &FIRST).unwrap();
    before.migrate().await.unwrap();
    // PostgreSQL takes a text for a UUID or a time only where it is written as one.
    let statements = if db.url.starts_with("sqlite") {
        OF_THE_FIRST_SCHEMA.to_owned()
    } else {
        let cast = OF_THE_FIRST_SCHEMA.replace("SELECT id, name, name", "SELECT id::uuid, name, name");
        let cast = cast.replace("4f11', 3", "4f11'::uuid, 3").replace("+00:00'", "+00:00'::timestamptz");
        cast.replace("VALUES ('0000", "VALUES (uuid '0000")
    };
    crate::support::execute(&db.url, &statements).await;
    before.close().await;

    let nova = Nova::start(db).await;
    let request = ListInstancesRequest { order_by: "name".to_owned(), ..ListInstancesRequest::default() };
    let listed = nova.list(request).await.unwrap().instances;
    let bus = |instance: &Instance| (instance.name.clone(), instance.system_metadata["image_bus"].clone());
    let buses: Vec<_> = listed.iter().map(bus).collect();
    let expected = [("a", "scsi"), ("b", "scsi"), ("c", "ide")];
    assert_eq!(buses, expected.map(|(name, bus)| (name.to_owned(), bus.to_owned())));
    for instance in &listed {
        assert_eq!(instance.system_metadata.len(), 11);
        assert_eq!(instance.truncated_keys, ["image_bus"]);
        assert_eq!((instance.image_revision, instance.os_type.as_str()), (3, "linux"));
        assert_eq!(instance.flavor.as_ref().unwrap().name, "m1.small");
        assert!(instance.auto_disk_config);
        let (created, updated) = (instance.create_time.unwrap(), instance.update_time.unwrap());
        assert_eq!((created.seconds, created.nanos), (1_767_225_600, 120_000_000));
        assert_eq!((updated.seconds, updated.nanos), (1_767_225_601, 0));
    }
    assert_eq!(listed[0].metadata["role"], "web");
    assert_eq!((records(&nova).await, entries(&nova).await), (2, 22));
}
