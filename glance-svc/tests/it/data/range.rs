//! `Range`: one part of the data (RFC 9110; several are refused, as Glance does).

use chassis::{on_both_databases, testing::TestDb};

use super::{MIB, bytes};
use crate::support::{Answer, Http, Who, World, file_path};

on_both_databases!(
    sends_the_part_that_is_asked_for,
    refuses_a_part_outside_of_the_data,
    refuses_several_parts,
    what_makes_no_sense_is_ignored,
    content_range_stands_in_for_range,
    parts_of_large_data_fit_together,
);

async fn ten(db: TestDb) -> (Http, String) {
    let http = World::start(db).await.http(Who::OWNER);
    let id = http.queued().await;
    http.upload(&id, "0123456789").await.is(204);
    (http, id)
}

async fn part(http: &Http, id: &str, range: &str) -> Answer {
    http.call("GET", &file_path(id)).header("range", range).send().await
}

async fn sends_the_part_that_is_asked_for(db: TestDb) {
    let (http, id) = ten(db).await;
    for (range, data, shown) in [
        ("bytes=0-4", "01234", "bytes 0-4/10"),
        ("bytes=0-0", "0", "bytes 0-0/10"),
        ("bytes=9-9", "9", "bytes 9-9/10"),
        ("bytes=4-", "456789", "bytes 4-9/10"),
        ("bytes=0-", "0123456789", "bytes 0-9/10"),
        ("bytes=4-99", "456789", "bytes 4-9/10"),
        ("bytes=0-18446744073709551615", "0123456789", "bytes 0-9/10"),
        ("bytes=-3", "789", "bytes 7-9/10"),
        ("bytes=-10", "0123456789", "bytes 0-9/10"),
        ("bytes=-99", "0123456789", "bytes 0-9/10"),
        ("bytes=-99999999999999999999999", "0123456789", "bytes 0-9/10"),
        ("bytes=8-99999999999999999999999", "89", "bytes 8-9/10"),
        ("bytes=,0-1 ,", "01", "bytes 0-1/10"),
        ("Bytes=008-09", "89", "bytes 8-9/10"),
    ] {
        let answer = part(&http, &id, range).await.is(206);
        assert_eq!((answer.text().as_str(), answer.header("content-range")), (data, shown), "{range}");
        assert_eq!(answer.header("content-length"), data.len().to_string());
        assert_eq!(answer.header("content-type"), "application/octet-stream");
        assert_eq!(answer.header("content-md5"), "781e5e245d69b566979b86e28d23f2c7", "of all of the data");
    }
}

async fn refuses_a_part_outside_of_the_data(db: TestDb) {
    let (http, id) = ten(db).await;
    for range in [
        "bytes=10-",
        "bytes=10-10",
        "bytes=11-12",
        "bytes=18446744073709551615-",
        "bytes=99999999999999999999999-",
        "bytes=-0",
    ] {
        let answer = part(&http, &id, range).await;
        assert_eq!(answer.error(416, "RANGE_OUTSIDE_DATA")["size"], "10", "{range}");
        assert_eq!(answer.header("content-range"), "bytes */10");
    }
    let empty = http.queued().await;
    http.upload(&empty, "").await.is(204);
    for range in ["bytes=0-", "bytes=0-0"] {
        let answer = part(&http, &empty, range).await;
        answer.error(416, "RANGE_OUTSIDE_DATA");
        assert_eq!(answer.header("content-range"), "bytes */0", "{range}");
    }
    assert_eq!(part(&http, &empty, "bytes=-5").await.is(200).body.len(), 0);
}

async fn refuses_several_parts(db: TestDb) {
    let (http, id) = ten(db).await;
    for range in ["bytes=0-1,3-4", "bytes=0-1, 3-4", "bytes=0-,-1", "bytes=0-0,1-1,2-2"] {
        part(&http, &id, range).await.violation("Range", "names several parts");
    }
}

async fn what_makes_no_sense_is_ignored(db: TestDb) {
    let (http, id) = ten(db).await;
    for range in [
        "lines=0-4",
        "nonsense",
        "bytes=",
        "bytes=a-b",
        "bytes",
        "",
        "bytes=4-2",
        "bytes=0 - 4",
        "bytes= 0-4",
        "bytes=-",
        "bytes=+0-4",
        "bytes=0-4,x",
    ] {
        let answer = part(&http, &id, range).await.is(200);
        assert_eq!((answer.text().as_str(), answer.header("content-range")), ("0123456789", ""), "{range}");
    }
    // Without data, there are no ranges.
    let queued = http.queued().await;
    part(&http, &queued, "bytes=0-4").await.is(204);
}

/// Glance: old clients send it in place of `Range`.
async fn content_range_stands_in_for_range(db: TestDb) {
    let (http, id) = ten(db).await;
    let ask =
        async |range: &str| http.call("GET", &file_path(&id)).header("content-range", range).send().await;
    for (range, data, shown) in [
        ("bytes 0-3/*", "0123", "bytes 0-3/10"),
        ("bytes 9-9/*", "9", "bytes 9-9/10"),
        ("bytes 2-5/10", "2345", "bytes 2-5/10"),
        ("bytes 8-11/20", "89", "bytes 8-9/10"),
    ] {
        let answer = ask(range).await.is(206);
        assert_eq!((answer.text().as_str(), answer.header("content-range")), (data, shown), "{range}");
    }
    for range in
        ["bytes 10-11/*", "bytes 8-11/*", "bytes 3-1/*", "bytes 5-7/6", "bytes 2-/*", "bytes */10", "x"]
    {
        let answer = ask(range).await;
        assert_eq!(answer.error(416, "RANGE_OUTSIDE_DATA")["size"], "10", "{range}");
    }
    let both =
        http.call("GET", &file_path(&id)).header("range", "bytes=1-1").header("content-range", "bytes 2-2/*");
    assert_eq!(both.send().await.is(206).text(), "1");
}

async fn parts_of_large_data_fit_together(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    let id = http.queued().await;
    let data = bytes(2 * MIB + 7);
    http.upload(&id, data.clone()).await.is(204);
    let mut read = Vec::new();
    while read.len() < data.len() {
        let range = format!("bytes={}-{}", read.len(), read.len() + 700_000);
        read.extend_from_slice(&part(&http, &id, &range).await.is(206).body);
    }
    assert!(read == data);
}
