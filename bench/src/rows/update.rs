//! `UpdateImageProperties` of one key, with history, compared with a database that does the same writes.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use anyhow::ensure;
use proto::glance::v1::{GetImageRequest, ListImageRevisionsRequest, UpdateImagePropertiesRequest};

use super::get_image;
use crate::{
    bench::{Bench, Case},
    ceiling::pgbench::Pgbench,
    figures::Run,
    load::{Shape, drive},
    process::Watch,
    sample,
    world::{self, Images},
};

/// Number of images; each client has its own.
const IMAGES: usize = 1_000;

/// Requests in flight.
const IN_FLIGHT: usize = 16;

/// The property that changes.
const KEY: &str = "build_number";

/// What is written when one property changes, on images that no other client writes to.
const SCRIPT: &str = r#"\set number :client_id + 1 + 16 * random(0, 61)
\set value random(1, 1000000000)
BEGIN;
UPDATE images SET revision = revision + 1, update_time = now() WHERE id = lpad(to_hex(:number::bigint), 32, '0')::uuid;
INSERT INTO image_properties (image_id, name, value, image_create_time)
VALUES (lpad(to_hex(:number::bigint), 32, '0')::uuid, 'build_number', :value::text, now())
ON CONFLICT (image_id, name) DO UPDATE SET value = excluded.value;
INSERT INTO image_revisions (image_id, revision, create_time, user_id, project_id, action, changes)
SELECT id, revision, update_time, '', '', 'update',
       '[{"property": "build_number", "old": "0-12345-12345", "new": "0-12345-12346"}]'::jsonb
FROM images WHERE id = lpad(to_hex(:number::bigint), 32, '0')::uuid;
END;
"#;

pub(super) async fn measure(bench: &mut Bench) -> anyhow::Result<()> {
    let databases =
        [bench.world.database("update_ours").await?, bench.world.database("update_ceiling").await?];
    let mut services = Vec::new();
    for database in &databases {
        let glance = bench.world.glance(database)?;
        get_image::fill(&world::images(&glance).await?, IMAGES).await?;
        services.push(glance);
    }
    // The second service was needed only to register the images.
    services.truncate(1);
    let glance = services.remove(0);
    let (images, watch) = (world::images(&glance).await?, bench.world.watch(&[("glance-svc", &glance)])?);
    let pgbench = Pgbench::new(SCRIPT, &databases[1], bench.world.server()?)?;
    let (shape, counter) = (bench.plan.shape(IN_FLIGHT), Counter::default());
    let case = Case {
        row: "update_different",
        name: format!("different images, {IN_FLIGHT} in flight"),
        unit: "updates/s",
        ceiling: "pgbench, the same writes",
        goal: Some(0.7),
    };
    let different = async || update(shape, &watch, &images, &counter, |worker| 1 + worker % IN_FLIGHT).await;
    bench.compare(case, different, async || pgbench.run(shape).await).await?;
    one(bench, shape, &watch, &images, &counter).await
}

/// Updates of a single image, compared with updates of different images.
async fn one(
    bench: &mut Bench,
    shape: Shape,
    watch: &Watch,
    images: &Images,
    counter: &Counter,
) -> anyhow::Result<()> {
    let case = Case {
        row: "update_one",
        name: format!("one image, {IN_FLIGHT} in flight"),
        unit: "updates/s",
        ceiling: "the same on different images",
        goal: Some(0.5),
    };
    let acknowledged = Counter::default();
    let same = async || update(shape, watch, images, &acknowledged, |_| 0).await;
    let different = async || update(shape, watch, images, counter, |worker| 1 + worker % IN_FLIGHT).await;
    bench.compare(case, same, different).await?;
    nothing_is_lost(images, IMAGES, acknowledged.0.load(Ordering::SeqCst)).await
}

/// Number of acknowledged updates.
#[derive(Clone, Default)]
struct Counter(Arc<AtomicU64>);

/// Changes one property of the images of each worker; images of slot 0 are one and the same.
async fn update(
    shape: Shape,
    watch: &Watch,
    images: &Images,
    counter: &Counter,
    slot: impl Fn(usize) -> usize + Clone + Send + 'static,
) -> anyhow::Result<Run> {
    let (images, counter) = (images.clone(), counter.clone());
    let run = counter.0.load(Ordering::SeqCst);
    drive(shape, watch, move |turn| {
        let (mut images, counter) = (images.of(turn.worker), counter.clone());
        let number = match slot(turn.worker) {
            0 => IMAGES,
            slot => slot + IN_FLIGHT * (turn.number % (IMAGES / IN_FLIGHT)),
        };
        let (image_id, value) = (sample::image_id(number), format!("{}-{run}-{}", turn.worker, turn.number));
        async move {
            let set = [(KEY.to_owned(), value.clone())].into();
            let change = UpdateImagePropertiesRequest { image_id, set, ..Default::default() };
            let image = images.update_image_properties(change).await?.into_inner();
            ensure!(image.properties.get(KEY) == Some(&value), "the answer does not show the change");
            counter.0.fetch_add(1, Ordering::SeqCst);
            Ok(())
        }
    })
    .await
}

/// Every acknowledged update made a revision, and history has them all.
async fn nothing_is_lost(images: &Images, number: usize, acknowledged: u64) -> anyhow::Result<()> {
    let (mut client, id) = (images.of(0), sample::image_id(number));
    let image = client.get_image(GetImageRequest { id: id.clone(), revision: 0 }).await?.into_inner();
    let expected = i64::try_from(acknowledged)? + 1;
    ensure!(image.revision == expected, "revision {} after {acknowledged} updates", image.revision);
    let (mut revisions, mut page_token) = (HashSet::new(), String::new());
    loop {
        let page = ListImageRevisionsRequest { image_id: id.clone(), page_size: 1_000, page_token };
        let page = client.list_image_revisions(page).await?.into_inner();
        revisions.extend(page.revisions.iter().map(|revision| revision.revision));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    ensure!(revisions.len() == usize::try_from(expected)?, "history has {} revisions", revisions.len());
    Ok(())
}
