//! Data that is to be removed, at once or when it can be done.

use chassis::{on_both_databases, testing::TestDb};
use chrono::TimeDelta;
use common::{clock, id::Id};

use super::{
    is_empty,
    lease::{Sweeper, data_rows, execute, long_ago, write_part},
};
use crate::{
    schema::{open, rows},
    support::{World, soon},
};

on_both_databases!(
    what_could_not_be_removed_before_is_removed,
    data_that_cannot_be_removed_keep_none_from_it,
);

const DELETING: &str =
    "INSERT INTO image_data (id, image_id, state, lease_time) VALUES ($1, $2, 'deleting', $3)";

async fn what_could_not_be_removed_before_is_removed(db: TestDb) {
    let world = World::start(db).await;
    let db = open(&world.db).await;
    // With files and without.
    let (with, without) = (Id::random(), Id::random());
    for data in [with, without] {
        execute(&db, DELETING, data, Id::random(), clock::now() + TimeDelta::hours(1)).await;
    }
    write_part(&world, with);
    let _sweeper = Sweeper::start(&world);
    is_empty(&world).await;
    soon("the rows go", async || (data_rows(&world).await == 0).then_some(())).await;
}

async fn data_that_cannot_be_removed_keep_none_from_it(db: TestDb) {
    let world = World::start(db).await;
    let db = open(&world.db).await;
    for _ in 0..120 {
        let data = Id::random();
        execute(&db, DELETING, data, Id::random(), long_ago()).await;
        // Where its folder should be.
        std::fs::write(world.folder().join(data.to_string()), "in the way").unwrap();
    }
    let data = Id::random();
    execute(&db, DELETING, data, Id::random(), clock::now()).await;
    write_part(&world, data);
    let _sweeper = Sweeper::start(&world);
    soon("it goes", async || (data_rows(&world).await == 120).then_some(())).await;
    assert!(!world.folder().join(data.to_string()).exists());
    soon("all were tried", async || (untried(&world).await == 0).then_some(())).await;
    assert_eq!(world.data().len(), 120);
}

async fn untried(world: &World) -> i64 {
    let counted: Vec<(i64,)> =
        rows(&open(&world.db).await, "SELECT COUNT(*) FROM image_data WHERE attempts = 0").await;
    counted[0].0
}
