//! Comparing instances with their images.

use std::collections::BTreeSet;

use proto::nova::v1::{Drift, PropertyDifference, property_difference::Kind};

use super::*;
use crate::{
    glance::Mood,
    support::{fields, several},
};

on_both_databases!(
    an_instance_is_compared_with_its_image_now_and_then,
    drift_is_found_over_the_whole_fleet,
    a_page_of_large_differences_ends_early,
    a_page_of_drift_asks_for_its_images_together,
    an_answer_with_other_images_is_refused,
);

fn told(differences: &[PropertyDifference]) -> Vec<(&str, Kind, Option<&str>, Option<&str>)> {
    differences
        .iter()
        .map(|found| {
            (
                found.property.as_str(),
                found.kind(),
                found.instance_value.as_deref(),
                found.image_value.as_deref(),
            )
        })
        .collect()
}

async fn an_instance_is_compared_with_its_image_now_and_then(db: TestDb) {
    let nova = alone(db).await;
    let long = "x".repeat(300);
    let image = nova.glance.with(&[("a", "1"), ("b", "1"), ("long", &long)]);
    let instance = nova.active(&image).await;
    nova.glance.change(&image.id, |image| image.properties = map(&[("a", "2"), ("c", "1"), ("long", &long)]));
    let set = map(&[("d", "1")]);
    let id = instance.id.clone();
    nova.edit(UpdateInstanceImagePropertiesRequest { id, set, ..Default::default() }).await.unwrap();
    let compared = nova.compare(&instance.id).await;
    assert_eq!((compared.image_revision, compared.current_revision), (1, 2));
    let cut = &long[..255];
    let expected = [
        ("a", Kind::Changed, Some("1"), Some("2")),
        ("b", Kind::Removed, Some("1"), None),
        ("c", Kind::Added, None, Some("1")),
        ("d", Kind::Removed, Some("1"), None),
        ("long", Kind::Truncated, Some(cut), Some(long.as_str())),
    ];
    assert_eq!(told(&compared.current), expected);
    let expected = [expected[3], expected[4]];
    assert_eq!(told(&compared.at_revision), expected);
    nova.glance.forget(&image);
    let compared = nova.compare(&instance.id).await;
    assert_eq!((compared.current_revision, compared.current.len()), (0, 0));
    assert_eq!(told(&compared.at_revision), expected);
}

async fn drift_is_found_over_the_whole_fleet(db: TestDb) {
    let nova = alone(db).await;
    let (x, y) = (nova.glance.with(&[("hw_disk_bus", "ide")]), nova.glance.with(&[("hw_disk_bus", "ide")]));
    let mut expected = Vec::new();
    for (image, user, count) in [(&x, "p", 3), (&x, "q", 2), (&y, "p", 4)] {
        let created = nova.create(made_by("bob", user, several(image, count))).await.unwrap().instances;
        expected.push(created.into_iter().map(|instance| instance.id).collect::<Vec<_>>());
    }
    assert_eq!(nova.drift(ListDriftRequest::default()).await, []);
    nova.glance.change(&x.id, |image| image.properties = map(&[("hw_disk_bus", "virtio")]));
    nova.glance.change(&y.id, |image| drop(image.properties.insert("a".into(), "1".into())));
    let ids = |drifts: &[Drift]| {
        let mut ids: Vec<_> = drifts.iter().map(|drift| drift.instance_id.clone()).collect();
        ids.sort();
        ids
    };
    let expect = |groups: &[usize]| {
        let mut ids: Vec<_> = groups.iter().flat_map(|group| expected[*group].clone()).collect();
        ids.sort();
        ids
    };
    for page_size in [1, 2, 100] {
        let all = ListDriftRequest { page_size, ..Default::default() };
        assert_eq!(ids(&nova.drift(all.clone()).await), expect(&[0, 1, 2]));
        let of_image = ListDriftRequest { image_id: x.id.clone(), ..all.clone() };
        assert_eq!(ids(&nova.drift(of_image.clone()).await), expect(&[0, 1]));
        let of_project = ListDriftRequest { project_id: "p".to_owned(), ..all.clone() };
        assert_eq!(ids(&nova.drift(of_project).await), expect(&[0, 2]));
        let still_ide = ListDriftRequest {
            property: "hw_disk_bus".to_owned(),
            value: Some("ide".to_owned()),
            ..all.clone()
        };
        let found = nova.drift(still_ide.clone()).await;
        assert_eq!(ids(&found), expect(&[0, 1]));
        let difference = [("hw_disk_bus", Kind::Changed, Some("ide"), Some("virtio"))];
        assert!(found.iter().all(|drift| told(&drift.differences) == difference));
        let project_id = "q".to_owned();
        assert_eq!(ids(&nova.drift(ListDriftRequest { project_id, ..still_ide }).await), expect(&[1]));
        let added = ListDriftRequest { property: "a".to_owned(), ..all };
        assert_eq!(ids(&nova.drift(added).await), expect(&[2]));
    }
    let wrong = ListDriftRequest {
        image_id: "x".to_owned(),
        value: Some(String::new()),
        page_size: -1,
        page_token: "x".to_owned(),
        ..Default::default()
    };
    let refused = nova.instances().list_drift(wrong).await.unwrap_err();
    assert_eq!(fields(&refused), ["image_id", "property", "page_size", "page_token"]);
}

async fn a_page_of_large_differences_ends_early(db: TestDb) {
    let nova = alone(db).await;
    let name = |number: usize| format!("{}{number:03}", "é".repeat(252));
    let properties: Vec<_> = (0..128).map(|number| (name(number), "é".repeat(255))).collect();
    let properties: Vec<_> = properties.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let image = nova.glance.with(&properties);
    let created = nova.create(made_by("bob", "p", several(&image, 30))).await.unwrap().instances;
    nova.glance.change(&image.id, |image| {
        image.properties.values_mut().for_each(|value| *value = "ü".repeat(255));
    });
    // With the default page size, and with the largest one.
    for (page_size, project) in [(0, ""), (1000, ""), (0, "p"), (1000, "p")] {
        let request =
            ListDriftRequest { page_size, project_id: project.to_owned(), ..ListDriftRequest::default() };
        let mut found: Vec<_> =
            nova.drift(request).await.into_iter().map(|drift| drift.instance_id).collect();
        found.sort();
        found.dedup();
        assert_eq!(found.len(), created.len());
    }
}

async fn a_page_of_drift_asks_for_its_images_together(db: TestDb) {
    const IMAGES: usize = 60;
    let nova = alone(db).await;
    let mut expected = BTreeSet::new();
    for _ in 0..IMAGES {
        let image = nova.glance.with(&[("a", "1")]);
        expected.insert(nova.active(&image).await.id);
        nova.glance.change(&image.id, |image| drop(image.properties.insert("a".into(), "2".into())));
    }
    let gone = nova.glance.with(&[]);
    nova.active(&gone).await;
    nova.glance.forget(&gone);
    for project_id in ["", "demo"] {
        // As many as are compared at once: the records of a project in steps that grow while records are small.
        let steps = if project_id.is_empty() { vec![IMAGES + 1] } else { vec![2, 4, 8, 16, IMAGES + 1 - 30] };
        let calls = |most: usize| steps.iter().map(|step| step.div_ceil(most)).sum::<usize>();
        // All at once, a few at a time, and as a release before this one knows them.
        for (mood, calls) in [
            (Mood::Well, calls(IMAGES + 1)),
            (Mood::Sparing(7), calls(7)),
            (Mood::Sparing(IMAGES), calls(IMAGES)),
            (Mood::Old, calls(1)),
        ] {
            nova.glance.be(mood);
            let before = nova.glance.calls().len();
            let request =
                ListDriftRequest { page_size: 1000, project_id: project_id.into(), ..Default::default() };
            let found = nova.instances().list_drift(request).await.unwrap().into_inner().drifts;
            assert_eq!(found.into_iter().map(|drift| drift.instance_id).collect::<BTreeSet<_>>(), expected);
            assert_eq!(nova.glance.calls().len() - before, calls);
        }
    }
}

async fn an_answer_with_other_images_is_refused(db: TestDb) {
    let nova = alone(db).await;
    nova.active(&nova.glance.with(&[])).await;
    // A malformed image, an image that nobody requested, and an answer that makes no progress.
    for mood in [
        Mood::Twisting(|image| image.status = 0),
        Mood::Twisting(|image| image.id = common::id::Id::random().to_string()),
        Mood::Sparing(0),
    ] {
        nova.glance.be(mood);
        let refused = nova.instances().list_drift(ListDriftRequest::default()).await.unwrap_err();
        assert_error(&refused, Code::Unavailable, "GLANCE_BAD_ANSWER");
    }
}
