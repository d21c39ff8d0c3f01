//! The virtual size of the data.

use chassis::{on_both_databases, testing::TestDb};
use serde_json::{Value, json};

use crate::support::{Who, World, id_of};

on_both_databases!(
    raw_data_are_the_disk,
    a_qcow2_says_it_in_its_head,
    of_other_formats_it_is_not_known,
    of_data_in_a_container_it_is_not_known
);

/// The virtual size that is found in data of that format, sent in pieces of three bytes.
async fn found(http: &crate::support::Http, format: &str, data: &[u8]) -> Value {
    let id = id_of(&http.create(json!({"disk_format": format, "container_format": "bare"})).await);
    let body = super::chunked(&bytes::Bytes::copy_from_slice(data), 3);
    http.upload(&id, body).await.is(204);
    http.show(&id).await["virtual_size"].clone()
}

/// The beginning of a qcow2 of a disk of that size.
fn head(size: u64) -> Vec<u8> {
    let mut head = b"QFI\xfb\0\0\0\x03".to_vec();
    head.extend([0; 16]);
    head.extend(size.to_be_bytes());
    head
}

async fn raw_data_are_the_disk(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    for format in ["raw", "iso"] {
        assert_eq!(found(&http, format, b"hello").await, 5);
    }
    assert_eq!(found(&http, "raw", &head(7 << 20)).await, 32, "what they say is not looked at");
}

async fn a_qcow2_says_it_in_its_head(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    let with_more = [head(7 << 20), vec![7; 1000]].concat();
    assert_eq!(found(&http, "qcow2", &with_more).await, 7 << 20);
    assert_eq!(found(&http, "qcow2", &head(7 << 40)).await, 7_i64 << 40);
    // Cut off, no qcow2 at all, or larger than any disk.
    for unknown in [&head(1)[..31], b"hello", b"", b"QFI\xfb", &head(u64::MAX)] {
        assert_eq!(found(&http, "qcow2", unknown).await, Value::Null, "{unknown:?}");
    }
}

async fn of_data_in_a_container_it_is_not_known(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    for container in ["ovf", "ova", "docker", "compressed", "ami"] {
        let image = json!({"disk_format": "raw", "container_format": container});
        let id = id_of(&http.create(image).await);
        http.upload(&id, "hello").await.is(204);
        let image = http.show(&id).await;
        assert_eq!((&image["size"], &image["virtual_size"]), (&json!(5), &Value::Null), "{container}");
    }
}

async fn of_other_formats_it_is_not_known(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    for format in ["vmdk", "vhd", "vhdx", "vdi", "ploop"] {
        assert_eq!(found(&http, format, &head(7 << 20)).await, Value::Null, "{format}");
    }
}
