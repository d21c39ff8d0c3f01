//! Many callers at once.

use std::collections::BTreeMap;

use chassis::{on_both_databases, testing::TestDb};
use proto::glance::v1::{GetImageRequest, ListImageRevisionsRequest, UpdateImagePropertiesRequest};
use tokio::task::JoinSet;

use crate::world::World;

on_both_databases!(sixty_four_concurrent_updates_of_one_image_all_survive);

async fn sixty_four_concurrent_updates_of_one_image_all_survive(db: TestDb) {
    let world = World::start(db).await;
    let image = world.image(&[("kept", "yes")]).await;
    let mut updates = JoinSet::new();
    for number in 0..64 {
        // A connection each, as from 64 clients.
        let mut client = world.images().await;
        let set = BTreeMap::from([(format!("key_{number}"), number.to_string())]);
        let image_id = image.id.clone();
        updates.spawn(async move {
            let request = UpdateImagePropertiesRequest { image_id, set, ..Default::default() };
            client.update_image_properties(request).await.unwrap().into_inner().revision
        });
    }
    let mut revisions = updates.join_all().await;
    revisions.sort_unstable();
    assert_eq!(revisions, (2..=65).collect::<Vec<_>>());

    let mut images = world.images().await;
    let request = GetImageRequest { id: image.id.clone(), revision: 0 };
    let now = images.get_image(request).await.unwrap().into_inner();
    assert_eq!(now.revision, 65);
    let mut expected: BTreeMap<_, _> =
        (0..64).map(|number: i32| (format!("key_{number}"), number.to_string())).collect();
    expected.insert("kept".into(), "yes".into());
    assert_eq!(now.properties, expected);

    let request = ListImageRevisionsRequest { image_id: image.id, page_size: 1000, ..Default::default() };
    let history = images.list_image_revisions(request).await.unwrap().into_inner().revisions;
    assert_eq!(history.len(), 65);
    assert!(history.iter().all(|revision| revision.revision == 1 || revision.changes.len() == 1));
}
