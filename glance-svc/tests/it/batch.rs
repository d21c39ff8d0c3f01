//! Several images at once.

use chassis::{on_both_databases, testing::TestDb};
use proto::glance::v1::{GetImageRequest, GetImagesRequest, GetImagesResponse, Image};
use tonic::Status;

use crate::support::{Glance, Who, World, named, violations};

on_both_databases!(
    several_images_are_those_of_single_reads,
    an_answer_says_what_it_did_not_come_to,
    whoever_does_not_see_an_image_alone_does_not_see_it_among_others,
    malformed_ids_and_too_many_are_refused,
);

async fn ask(glance: &Glance, ids: Vec<String>) -> Result<GetImagesResponse, Status> {
    Ok(glance.client.clone().get_images(GetImagesRequest { ids }).await?.into_inner())
}

async fn several_images_are_those_of_single_reads(db: TestDb) {
    let glance = Glance::start(db).await;
    let mut images = Vec::new();
    for number in 0..20 {
        images.push(glance.named(&format!("image {number}")).await);
    }
    images.reverse();
    images[7] = glance.set(&images[7].id, &[("a", "1")]).await.unwrap();
    let gone = images.remove(3);
    glance.delete(&gone.id, "").await.unwrap();
    let mut ids: Vec<_> = images.iter().map(|image| image.id.clone()).collect();
    ids.insert(5, gone.id);
    ids.push("00000000-0000-4000-8000-000000000000".to_owned());
    ids.push(ids[0].to_uppercase());
    let answer = ask(&glance, ids).await.unwrap();
    assert_eq!((answer.images, answer.remaining_ids), (images, vec![]));
}

async fn an_answer_says_what_it_did_not_come_to(db: TestDb) {
    let glance = Glance::start(db).await;
    let large = |name: String| Image {
        properties: (0..20).map(|number| (format!("p{number}"), "v".repeat(50_000))).collect(),
        ..named(&name)
    };
    let mut images = Vec::new();
    for number in 0..10 {
        images.push(glance.create(large(format!("image {number}"))).await.unwrap());
    }
    let mut ids: Vec<_> = images.iter().map(|image| image.id.clone()).collect();
    // Missing images delay nothing.
    ids.insert(0, "00000000-0000-4000-8000-000000000000".to_owned());
    let (mut found, mut sizes) = (Vec::new(), Vec::new());
    while !ids.is_empty() {
        let answer = ask(&glance, ids.clone()).await.unwrap();
        assert!(ids.ends_with(&answer.remaining_ids));
        sizes.push(answer.images.len());
        found.extend(answer.images);
        ids = answer.remaining_ids;
    }
    assert_eq!((found, sizes), (images, vec![3, 3, 3, 1]));
}

async fn whoever_does_not_see_an_image_alone_does_not_see_it_among_others(db: TestDb) {
    let world = World::start(db).await;
    let (owner, admin) = (world.http(Who::OWNER), world.http(Who::ADMIN));
    let mut ids = Vec::new();
    for visibility in ["private", "shared", "community", "public"] {
        let id = owner.queued().await;
        world.share(&id).await;
        admin.set(&id, "visibility", visibility.into()).await.is(200);
        ids.push(id);
    }
    for who in
        [Who::ADMIN, Who::OWNER, Who::READER, Who::PENDING, Who::ACCEPTED, Who::REJECTED, Who::STRANGER]
    {
        let mut client = world.grpc(who);
        let mut alone = Vec::new();
        for id in &ids {
            let read = client.get_image(GetImageRequest { id: id.clone(), revision: 0 }).await;
            alone.extend(read.ok().map(tonic::Response::into_inner));
        }
        let together = client.get_images(GetImagesRequest { ids: ids.clone() }).await.unwrap().into_inner();
        assert_eq!((together.images, together.remaining_ids), (alone, vec![]), "{who:?}");
    }
}

async fn malformed_ids_and_too_many_are_refused(db: TestDb) {
    let glance = Glance::start(db).await;
    let id = glance.named("image").await.id;
    let refused = ask(&glance, vec![id.clone(), "x".to_owned(), String::new()]).await.unwrap_err();
    let fields: Vec<_> = violations(&refused).into_iter().map(|(field, _)| field).collect();
    assert_eq!(fields, ["ids[1]", "ids[2]"]);
    for count in [0, 1001] {
        let refused = ask(&glance, vec![id.clone(); count]).await.unwrap_err();
        let expected = format!("are {count}: 1 to 1000 are allowed");
        assert_eq!(violations(&refused), [("ids".to_owned(), expected)]);
    }
    assert_eq!(ask(&glance, vec![id; 1000]).await.unwrap().images.len(), 1);
}
