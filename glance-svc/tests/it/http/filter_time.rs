//! Lists by time: to the second, as times are shown.

use chassis::{db::Pools, on_both_databases, testing::TestDb};
use chrono::{DateTime, Utc};
use common::id::Id;
use serde_json::json;

use crate::{
    schema::open,
    support::{Who, World, id_of},
};

on_both_databases!(
    compares_to_the_second,
    compares_with_a_fraction_exactly,
    takes_a_time_in_every_form,
    refuses_what_is_no_time
);

/// Three images: of one second, of the end of that second, and of the next one.
async fn images(world: &World) -> crate::support::Http {
    let http = world.http(Who::OWNER);
    let times = [
        ("first", "2024-02-29T12:00:00Z"),
        ("last", "2024-02-29T12:00:00.999999Z"),
        ("next", "2024-02-29T12:00:01Z"),
    ];
    for (name, time) in times {
        let id = id_of(&http.create(json!({"name": name})).await);
        set_time(world, id.parse().unwrap(), time.parse().unwrap()).await;
    }
    http
}

async fn set_time(world: &World, id: Id, time: DateTime<Utc>) {
    const SET: &str = "UPDATE images SET create_time = $2, update_time = $2 WHERE id = $1";
    let db = open(&world.db).await;
    let set = match db.pools().unwrap() {
        Pools::Sqlite { writer, .. } => {
            sqlx::query(SET).bind(id).bind(time).execute(writer).await.unwrap().rows_affected()
        }
        Pools::Postgres { pool, .. } => {
            sqlx::query(SET).bind(id).bind(time).execute(pool).await.unwrap().rows_affected()
        }
    };
    assert_eq!(set, 1);
}

async fn compares_to_the_second(db: TestDb) {
    let http = images(&World::start(db).await).await;
    for name in ["created_at", "updated_at"] {
        for (operator, now, before, after) in [
            ("eq:", &["first", "last"][..], &[][..], &["next"][..]),
            ("", &["first", "last"], &[], &["next"]),
            ("neq:", &["next"], &["first", "last", "next"], &["first", "last"]),
            ("lt:", &[], &[], &["first", "last"]),
            ("lte:", &["first", "last"], &[], &["first", "last", "next"]),
            ("gt:", &["next"], &["first", "last", "next"], &[]),
            ("gte:", &["first", "last", "next"], &["first", "last", "next"], &["next"]),
        ] {
            for (second, expected) in [("00", now), ("01", after)] {
                let query = format!("{name}={operator}2024-02-29T12:00:{second}Z&sort=name:asc");
                assert_eq!(http.list(&query).await, expected, "{query}");
            }
            let query = format!("{name}={operator}2024-02-29T11:59:59Z&sort=name:asc");
            assert_eq!(http.list(&query).await, before, "{query}");
        }
    }
    let between = "created_at=gte:2024-02-29T12:00:00Z&created_at=lt:2024-02-29T12:00:01Z&sort=name:asc";
    assert_eq!(http.list(between).await, ["first", "last"]);
}

async fn compares_with_a_fraction_exactly(db: TestDb) {
    let http = images(&World::start(db).await).await;
    for (filter, expected) in [
        ("gt:2024-02-29T12:00:00.5Z", &["last", "next"][..]),
        ("lte:2024-02-29T12:00:00.5Z", &["first"]),
        ("2024-02-29T12:00:00.999999Z", &["last"]),
        ("neq:2024-02-29T12:00:00.999999Z", &["first", "next"]),
        ("lt:2024-02-29T12:00:00.999999Z", &["first"]),
        ("gte:2024-02-29T13:00:00,999999%2B0100", &["last", "next"]),
    ] {
        for name in ["created_at", "updated_at"] {
            let query = format!("{name}={filter}&sort=name:asc");
            assert_eq!(http.list(&query).await, expected, "{query}");
        }
    }
}

async fn takes_a_time_in_every_form(db: TestDb) {
    let http = images(&World::start(db).await).await;
    for time in [
        "2024-02-29T12:00:00Z",
        "2024-02-29T12:00:00",
        "2024-02-29T12:00",
        "2024-02-29T12:00Z",
        "2024-02-29T12",
        "2024-02-29%2012:00:00",
        "2024-02-29+12:00:00",
        "2024-02-29T14:00:00%2B0200",
        "2024-02-29T14:00:00%2B02",
        "2024-02-29T13:00:00%2B01:00",
        "2024-02-29T13:00:00+01:00",
        "2024-02-29T04:00:00-08:00",
        "20240229T120000Z",
    ] {
        for operator in ["", "eq:"] {
            let query = format!("created_at={operator}{time}&sort=name:asc");
            assert_eq!(http.list(&query).await, ["first", "last"], "{query}");
        }
    }
    assert_eq!(http.list("created_at=gt:2024-02-29&created_at=lt:2024-03-01").await.len(), 3);
    assert_eq!(http.list("created_at=gt:0001-01-01T00:00:00Z&updated_at=lt:9998-12-31").await.len(), 3);
}

async fn refuses_what_is_no_time(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    for time in
        ["gt:nonsense", "gt:", "lt:2024-02-30T00:00:00Z", "eq:12:00", "gte:-1000-01-01", "lt:10000-01-01"]
    {
        http.get(&format!("/v2/images?created_at={time}"))
            .await
            .violation("created_at", "must be a time in ISO 8601");
    }
    for time in ["nonsense:2024-01-01T00:00:00Z", "in:2024-01-01", "GT:2024-01-01"] {
        http.get(&format!("/v2/images?updated_at={time}")).await.violation("updated_at", "is no operator");
    }
    http.get("/v2/images?updated_at=nonsense").await.violation("updated_at", "");
}
