//! What other clients of the Image API send: gophercloud, which is below Terraform, Nova, and curl.

use axum::{
    body::{Body, Bytes},
    http::{Method, StatusCode},
};
use chassis::{on_both_databases, testing::TestDb};
use serde_json::{Value, json};
use tokio_stream::{StreamExt as _, iter};

use crate::{
    clients::{Catalogue, data},
    http::Http,
};

on_both_databases!(
    terraform_makes_reads_changes_and_destroys_an_image,
    gophercloud_follows_the_links_of_a_list,
    nova_reads_an_image_and_its_data,
    curl_sends_data_of_unknown_length,
    a_stale_change_is_refused
);

const OCTETS: (&str, &str) = ("content-type", "application/octet-stream");

async fn terraform_makes_reads_changes_and_destroys_an_image(db: TestDb) {
    let catalogue = Catalogue::on(db);
    let http = Http::with_token(&catalogue.glance, "x");
    let image = json!({
        "name": "ubuntu", "container_format": "bare", "disk_format": "qcow2", "visibility": "private",
        "min_disk": 0, "min_ram": 0, "protected": false, "tags": ["linux", "lts"], "os_distro": "ubuntu",
    });
    let created = http.post("/v2/images", &image).await;
    assert_eq!(created.status, StatusCode::CREATED, "{created:?}");
    let path = created.json()["self"].as_str().unwrap().to_owned();
    assert!(created.header("location").ends_with(&path), "{created:?}");
    let length = data().len().to_string();
    let headers = [OCTETS, ("content-length", &length)];
    let uploaded = http.send(Method::PUT, &format!("{path}/file"), headers, data()).await;
    assert_eq!(uploaded.status, StatusCode::NO_CONTENT, "{uploaded:?}");
    // It looks again and again until the image is active.
    let shown = http.get(&path).await.json();
    assert_eq!([&shown["status"], &shown["size"]], [&json!("active"), &json!(data().len())]);

    let operations = json!([
        {"op": "replace", "path": "/name", "value": "ubuntu-24.04"},
        {"op": "replace", "path": "/tags", "value": ["noble"]},
        {"op": "replace", "path": "/visibility", "value": "public"},
        {"op": "replace", "path": "/protected", "value": true},
        {"op": "replace", "path": "/min_disk", "value": 10},
        {"op": "replace", "path": "/os_hidden", "value": true},
        {"op": "replace", "path": "/os_distro", "value": "ubuntu-lts"},
        {"op": "add", "path": "/hw_disk_bus", "value": "virtio"},
        {"op": "add", "path": "/os~1version~0", "value": "24"},
    ]);
    let changed = http.patch(&path, &operations).await;
    assert_eq!(changed.status, StatusCode::OK, "{changed:?}");
    let shown = http.get(&path).await.json();
    assert_eq!(shown, changed.json());
    for operation in operations.as_array().unwrap() {
        let name = operation["path"].as_str().unwrap()[1..].replace("~1", "/").replace("~0", "~");
        assert_eq!(shown[&name], operation["value"], "{name}");
    }
    destroy(&http, &path).await;
}

/// Deletes a protected image, which is refused at first.
async fn destroy(http: &Http, path: &str) {
    assert_eq!(http.delete(path).await.status, StatusCode::FORBIDDEN);
    let operations = json!([
        {"op": "replace", "path": "/protected", "value": false},
        {"op": "remove", "path": "/hw_disk_bus"},
    ]);
    let changed = http.patch(path, &operations).await.json();
    assert_eq!([&changed["protected"], &changed["hw_disk_bus"]], [&json!(false), &Value::Null]);
    assert_eq!(http.delete(path).await.status, StatusCode::NO_CONTENT);
    assert_eq!(http.get(path).await.status, StatusCode::NOT_FOUND);
}

async fn gophercloud_follows_the_links_of_a_list(db: TestDb) {
    let catalogue = Catalogue::on(db);
    let http = Http::with_token(&catalogue.glance, "x");
    for number in 0..5 {
        http.image(&format!("image {}", 4 - number)).await;
        http.image("other").await;
    }
    let found = http.get("/v2/images?name=image+3&sort_dir=asc&sort_key=name&visibility=shared").await;
    let found = found.json();
    assert_eq!(found["images"].as_array().unwrap().len(), 1);
    assert_eq!(found["images"][0]["name"], "image 3");
    assert_eq!(found.get("next"), None);

    let query = "limit=2&sort_key=name&sort_dir=asc&name=in:image+0,image+1,image+2,image+4,x";
    let (mut names, mut next) = (Vec::new(), Some(format!("/v2/images?{query}")));
    while let Some(path) = next {
        let page = http.get(&path).await.json();
        let images = page["images"].as_array().unwrap();
        assert!((1..=2).contains(&images.len()), "{page}");
        names.extend(images.iter().map(|image| image["name"].as_str().unwrap().to_owned()));
        next = page["next"].as_str().map(str::to_owned);
    }
    assert_eq!(names, ["image 0", "image 1", "image 2", "image 4"]);
}

async fn nova_reads_an_image_and_its_data(db: TestDb) {
    let catalogue = Catalogue::on(db);
    let http = Http::with_token(&catalogue.glance, "x");
    let path = http.image("cirros").await;
    let file = format!("{path}/file");
    assert_eq!(http.get(&file).await.status, StatusCode::NO_CONTENT, "there are no data yet");
    http.send(Method::PUT, &file, [OCTETS], data()).await;
    let shown = http.get(&path).await;
    let head = http.send(Method::HEAD, &path, [], "").await;
    assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0));
    assert_eq!(head.header("content-length"), shown.body.len().to_string());

    let read = http.get(&file).await;
    assert!(read.body == data(), "the data differ");
    assert_eq!(read.header("content-md5"), shown.json()["checksum"]);
    assert_eq!(read.header("content-length"), data().len().to_string());
    let part = http.send(Method::GET, &file, [("range", "bytes=1000-1999")], "").await;
    assert_eq!(part.status, StatusCode::PARTIAL_CONTENT);
    assert_eq!(part.header("content-range"), format!("bytes 1000-1999/{}", data().len()));
    assert!(part.body == data()[1000..2000], "the data differ");
}

async fn curl_sends_data_of_unknown_length(db: TestDb) {
    let catalogue = Catalogue::on(db);
    let http = Http::with_token(&catalogue.glance, "x");
    let path = http.image("piped").await;
    let chunks: Vec<_> = data().chunks(50_000).map(Bytes::copy_from_slice).collect();
    let body = Body::from_stream(iter(chunks).map(Ok::<_, std::convert::Infallible>));
    let headers = [OCTETS, ("expect", "100-continue")];
    let uploaded = http.send(Method::PUT, &format!("{path}/file"), headers, body).await;
    assert_eq!(uploaded.status, StatusCode::NO_CONTENT, "{uploaded:?}");
    assert_eq!(http.get(&path).await.json()["size"], data().len());
    assert!(http.get(&format!("{path}/file")).await.body == data(), "the data differ");

    let again = http.send(Method::PUT, &format!("{path}/file"), [OCTETS], "other data").await;
    assert_eq!(again.status, StatusCode::CONFLICT, "{again:?}");
    let typeless = http.send(Method::PUT, &format!("{path}/file"), [], "other data").await;
    assert_eq!(typeless.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{typeless:?}");
    assert!(http.get(&format!("{path}/file")).await.body == data(), "the data are other ones");
}

async fn a_stale_change_is_refused(db: TestDb) {
    let catalogue = Catalogue::on(db);
    let http = Http::with_token(&catalogue.glance, "x");
    let path = http.image("ubuntu").await;
    let first = http.get(&path).await;
    let known = ("if-none-match", first.header("etag"));
    let unchanged = http.send(Method::GET, &path, [known], "").await;
    assert_eq!((unchanged.status, unchanged.body.len()), (StatusCode::NOT_MODIFIED, 0));

    let change = |value: &str| json!([{"op": "add", "path": "/a", "value": value}]).to_string();
    let kind = ("content-type", "application/openstack-images-v2.1-json-patch");
    let seen = ("if-match", first.header("etag"));
    let changed = http.send(Method::PATCH, &path, [kind, seen], change("1")).await;
    assert_eq!(changed.status, StatusCode::OK, "{changed:?}");
    assert_ne!(changed.header("etag"), first.header("etag"));
    let refused = http.send(Method::PATCH, &path, [kind, seen], change("2")).await;
    assert_eq!(refused.status, StatusCode::PRECONDITION_FAILED, "{refused:?}");
    let refused = http.send(Method::DELETE, &path, [seen], "").await;
    assert_eq!(refused.status, StatusCode::PRECONDITION_FAILED, "{refused:?}");
    let shown = http.send(Method::GET, &path, [known], "").await;
    assert_eq!((shown.status, &shown.json()["a"]), (StatusCode::OK, &json!("1")));

    let now = ("if-match", shown.header("etag"));
    assert_eq!(http.send(Method::DELETE, &path, [now], "").await.status, StatusCode::NO_CONTENT);
}
