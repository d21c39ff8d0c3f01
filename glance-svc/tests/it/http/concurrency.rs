//! Many patches at once: each changes what it names, and nothing is lost.

use chassis::{on_both_databases, testing::TestDb};
use serde_json::{Value, json};

use crate::support::{DEFAULT_QUOTA, Http, Settings, Who, World, at_once, setting};

on_both_databases!(
    patches_of_different_properties_all_survive,
    patches_over_both_edges_and_two_servers_all_survive,
    attributes_properties_and_tags_survive_each_other,
    one_of_many_that_add_the_same_property_wins,
    the_quota_holds_against_many,
    readers_see_whole_patches,
);

const CALLERS: usize = 50;

/// How many properties of those that the callers set an image has.
fn survivors(image: &Value) -> usize {
    (0..CALLERS).filter(|number| image[format!("k{number}")] == json!(number.to_string())).count()
}

async fn set(http: Http, id: String, number: usize) -> u16 {
    http.set(&id, &format!("k{number}"), json!(number.to_string())).await.status
}

async fn patches_of_different_properties_all_survive(db: TestDb) {
    let world = World::start(db).await;
    let http = world.http(Who::OWNER);
    let id = http.queued().await;
    let outcomes = at_once(CALLERS, |number| set(http.clone(), id.clone(), number)).await;
    assert_eq!(outcomes, [200; CALLERS]);
    assert_eq!(survivors(&http.show(&id).await), CALLERS);
    let history = world.revisions(&id).await;
    assert_eq!(history.len(), CALLERS + 1);
    assert!(history[..CALLERS].iter().all(|revision| revision.changes.len() == 1));
}

async fn patches_over_both_edges_and_two_servers_all_survive(db: TestDb) {
    let world = World::start(db).await;
    let http = world.http(Who::OWNER);
    let id = http.queued().await;
    let beside = world.beside(DEFAULT_QUOTA).await;
    at_once(CALLERS, |number| {
        let (http, id, mut beside) = (http.clone(), id.clone(), beside.clone());
        async move {
            if number % 2 == 0 {
                assert_eq!(set(http, id, number).await, 200);
            } else {
                let request = setting(&id, &[(&format!("k{number}"), &number.to_string())]);
                beside.update_image_properties(request).await.unwrap();
            }
        }
    })
    .await;
    assert_eq!(survivors(&http.show(&id).await), CALLERS);
}

async fn attributes_properties_and_tags_survive_each_other(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    let id = http.queued().await;
    let outcomes = at_once(30, |number| {
        let (http, id) = (http.clone(), id.clone());
        async move {
            match number % 3 {
                0 => set(http, id, number).await,
                1 => http.set(&id, "min_ram", json!(7)).await.status,
                _ => http.put(&format!("/v2/images/{id}/tags/t{number}"), json!(null)).await.status,
            }
        }
    });
    assert!(outcomes.await.iter().all(|status| [200, 204].contains(status)));
    let image = http.show(&id).await;
    assert_eq!((survivors(&image), &image["min_ram"]), (10, &json!(7)));
    assert_eq!(image["tags"].as_array().unwrap().len(), 10);
}

async fn one_of_many_that_add_the_same_property_wins(db: TestDb) {
    let world = World::start(db).await;
    let http = world.http(Who::OWNER);
    let id = http.queued().await;
    let outcomes = at_once(CALLERS, |number| {
        let (http, id) = (http.clone(), id.clone());
        async move {
            let body = json!([{"add": "/k", "value": number.to_string()}]).to_string();
            let call =
                http.call("PATCH", &format!("/v2/images/{id}")).header("content-type", crate::support::V20);
            call.text(&body).send().await
        }
    });
    let (won, lost): (Vec<_>, Vec<_>) = outcomes.await.into_iter().partition(|answer| answer.status == 200);
    assert_eq!(won.len(), 1);
    for answer in lost {
        answer.error(409, "PROPERTY_EXISTS");
    }
    assert_eq!(http.show(&id).await["k"], won[0].json()["k"]);
    assert_eq!(world.revisions(&id).await.len(), 2);
}

async fn the_quota_holds_against_many(db: TestDb) {
    let world = World::start_with(db, Settings { quota: 10, ..Settings::default() }).await;
    let http = world.http(Who::OWNER);
    let id = http.queued().await;
    let outcomes = at_once(CALLERS, |number| set(http.clone(), id.clone(), number)).await;
    assert_eq!(outcomes.iter().filter(|status| **status == 200).count(), 10);
    assert_eq!(outcomes.iter().filter(|status| **status == 413).count(), CALLERS - 10);
    assert_eq!(survivors(&http.show(&id).await), 10);
}

async fn readers_see_whole_patches(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    let id = http.queued().await;
    let writer = async {
        for number in 0..30 {
            let patch = json!([
                {"op": "add", "path": "/a", "value": number.to_string()},
                {"op": "replace", "path": "/name", "value": number.to_string()},
                {"op": "replace", "path": "/tags", "value": [number.to_string()]},
            ]);
            http.patch(&id, patch).await.is(200);
        }
    };
    let reader = async {
        loop {
            let page = http.get("/v2/images").await.is(200).json();
            for image in [http.show(&id).await, page["images"][0].clone()] {
                if image["name"] != "cirros" {
                    assert_eq!((&image["a"], &image["tags"][0]), (&image["name"], &image["name"]));
                }
                if image["name"] == "29" {
                    return;
                }
            }
        }
    };
    tokio::join!(writer, reader);
}
