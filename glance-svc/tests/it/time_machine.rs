//! `GetImage` with a revision: exactly what the API answered at the time.

use std::collections::BTreeMap;

use chassis::{on_both_databases, testing::TestDb};
use proto::glance::v1::{
    Image, UpdateImagePropertiesRequest,
    image::{Status, Visibility},
};

use crate::support::{Glance, assert_not_found, change_of, named, setting};

on_both_databases!(every_revision_stays_as_it_was_answered, a_deleted_image_keeps_its_past);

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn text(&mut self) -> String {
        ["", "x", "\"", "\\", "🦀 é", "null", "{}", "\n"][usize::try_from(self.below(8)).unwrap()].to_owned()
    }

    fn names(&mut self) -> Vec<String> {
        (0..self.below(4)).map(|_| format!("k{}", self.below(9))).collect()
    }
}

/// One random update; it may be refused or change nothing.
async fn update(glance: &Glance, image: &Image, dice: &mut Dice) -> Result<Image, tonic::Status> {
    if dice.below(2) == 0 {
        let set: BTreeMap<_, _> = dice.names().into_iter().map(|name| (name, dice.text())).collect();
        let purge = dice.below(4) == 0;
        let remove = if purge { Vec::new() } else { dice.names() };
        let remove = remove.into_iter().filter(|name| !set.contains_key(name)).collect();
        let request = UpdateImagePropertiesRequest { set, remove, purge, ..setting(&image.id, &[]) };
        return glance.update_properties(request).await;
    }
    let change = Image {
        name: format!("name {}", dice.below(3)),
        status: i32::try_from(dice.below(8) + 1).unwrap(),
        visibility: i32::try_from(dice.below(4) + 1).unwrap(),
        owner: dice.text().trim().to_owned(),
        protected: dice.below(2) == 0,
        disk_format: ["", "raw", "ami"][usize::try_from(dice.below(3)).unwrap()].to_owned(),
        min_ram: i64::try_from(dice.below(1 << 31)).unwrap(),
        size: (dice.below(3) > 0).then_some(i64::MAX),
        tags: dice.names(),
        ..change_of(&image.id)
    };
    let all =
        ["name", "status", "visibility", "owner", "protected", "disk_format", "min_ram", "size", "tags"];
    let mask: Vec<_> = all.into_iter().filter(|_| dice.below(4) == 0).collect();
    glance.update(change, &mask).await
}

async fn every_revision_stays_as_it_was_answered(db: TestDb) {
    let glance = Glance::start(db).await;
    let mut dice = Dice(20_260_822);
    let mut answers = vec![glance.named("cirros").await];
    for _ in 0..300 {
        let last = answers.last().unwrap();
        match update(&glance, last, &mut dice).await {
            Ok(image) if image.revision == last.revision => assert_eq!(&image, last),
            Ok(image) => answers.push(image),
            Err(_) => assert_eq!(&glance.get(&last.id).await.unwrap(), last),
        }
    }
    assert!(answers.len() > 100, "{} revisions are too few to mean something", answers.len());
    let id = answers[0].id.clone();
    for (revision, answer) in (1..).zip(&answers) {
        assert_eq!(answer.revision, revision);
        assert_eq!(&glance.get_at(&id, revision).await.unwrap(), answer);
    }
    let history = glance.revisions(&id).await;
    assert_eq!(history.len(), answers.len());
    for (entry, answer) in history.iter().rev().zip(&answers) {
        assert_eq!((entry.revision, entry.create_time), (answer.revision, answer.update_time));
    }
}

async fn a_deleted_image_keeps_its_past(db: TestDb) {
    let glance = Glance::start(db).await;
    let image = Image {
        size: Some(7),
        visibility: Visibility::Public.into(),
        tags: vec!["t".to_owned()],
        ..named("cirros")
    };
    let first = glance.create(image).await.unwrap();
    let second = glance.set(&first.id, &[("k", "v")]).await.unwrap();
    glance.delete(&first.id, &second.etag).await.unwrap();
    assert_not_found(&glance.get(&first.id).await.unwrap_err(), &first.id);
    assert_eq!(glance.get_at(&first.id, 1).await.unwrap(), first);
    assert_eq!(glance.get_at(&first.id, 2).await.unwrap(), second);
    let last = glance.get_at(&first.id, 3).await.unwrap();
    let Image { etag, update_time, .. } = last.clone();
    assert_eq!(last, Image { status: Status::Deleted.into(), revision: 3, etag, update_time, ..second });
}
