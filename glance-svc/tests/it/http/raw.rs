//! Requests byte by byte, as no library sends them.

use chassis::{on_both_databases, testing::TestDb};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::support::{Who, World, file_path, image_path};

on_both_databases!(
    a_request_names_its_host_once,
    a_request_over_http_2_names_its_host,
    the_host_is_asked_for_by_whatever_is_called,
    two_lengths_are_one_request,
    what_is_framed_wrongly_is_refused,
    an_answer_says_when_and_how_long,
);

/// What comes back for these bytes, until the connection ends.
async fn answer(world: &World, request: &str) -> String {
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    // Where it is refused before all of it is read.
    drop(stream.write_all(request.as_bytes()).await);
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer).await);
    String::from_utf8_lossy(&answer).into_owned()
}

#[track_caller]
fn assert_status(answer: &str, status: u16, request: &str) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request:?}: {answer}");
}

async fn a_request_names_its_host_once(db: TestDb) {
    let world = World::start(db).await;
    for (version, hosts, status) in [
        ("1.1", "host: glance\r\n", 200),
        ("1.1", "HOST:   glance:9292  \r\n", 200),
        ("1.1", "host: [::1]:9292\r\n", 200),
        ("1.1", "", 400),
        ("1.1", "host:\r\n", 400),
        ("1.1", "host: \r\n", 400),
        ("1.1", "host: glance\r\nhost: glance\r\n", 400),
        ("1.1", "host: glance\r\nHost: other\r\n", 400),
        ("1.1", "host: a b\r\n", 400),
        ("1.1", "host: user@glance\r\n", 400),
    ] {
        let rest = "accept: application/json\r\nconnection: close\r\n\r\n";
        let request = format!("GET /v2/images HTTP/{version}\r\n{hosts}{rest}");
        let answer = answer(&world, &request).await;
        assert_status(&answer, status, &request);
        if status == 400 {
            assert!(
                answer.contains("x-error-reason: INVALID_REQUEST") && answer.contains("\"Host\""),
                "{answer}"
            );
        }
    }
    // An older version need not say it.
    let old = answer(&world, "GET /versions HTTP/1.0\r\n\r\n").await;
    assert!(old.starts_with("HTTP/1.0 200 ") && old.contains("http://localhost/v2/"), "{old}");
    let twice = answer(&world, "GET /versions HTTP/1.0\r\nhost: a\r\nhost: b\r\n\r\n").await;
    assert!(twice.starts_with("HTTP/1.0 400 "), "{twice}");
    // A proxy is asked so; what it is asked for counts.
    let whole = "GET http://glance.example.org/versions HTTP/1.1\r\nhost: other\r\nconnection: close\r\n\r\n";
    let said = answer(&world, whole).await;
    assert!(said.starts_with("HTTP/1.1 200 ") && said.contains("http://glance.example.org/v2/"), "{said}");
}

/// A field that the table of HPACK has by that number, with a value.
fn field(index: u8, value: &str) -> Vec<u8> {
    [&[0x40 | index, u8::try_from(value.len()).unwrap()], value.as_bytes()].concat()
}

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap();
    [&[0, 0, length, kind, flags, 0, 0, 0, stream], payload].concat()
}

/// The first byte of the headers that answer `GET /versions` with these fields: what the table of HPACK has for its
/// status.
async fn status_over_2(world: &World, fields: &[u8]) -> u8 {
    const GET: u8 = 0x82;
    const HTTP: u8 = 0x86;
    let headers = [&[GET, HTTP], &*field(4, "/versions"), fields].concat();
    let (settings, request) = (frame(4, 0, 0, &[]), frame(1, 5, 1, &headers));
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    let begin = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &*settings, &*request].concat();
    stream.write_all(&begin).await.unwrap();
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.unwrap();
        let mut payload = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
        stream.read_exact(&mut payload).await.unwrap();
        if head[3] == 1 {
            return payload[0];
        }
    }
}

async fn a_request_over_http_2_names_its_host(db: TestDb) {
    const OK: u8 = 0x88;
    const BAD_REQUEST: u8 = 0x8c;
    let world = World::start(db).await;
    let (authority, host) = (|value| field(1, value), |value| field(38, value));
    for (fields, expected) in [
        (authority("glance"), OK),
        (host("glance"), OK),
        ([authority("glance:9292"), host("glance:9292")].concat(), OK),
        (Vec::new(), BAD_REQUEST),
        ([authority("glance"), host("other")].concat(), BAD_REQUEST),
        ([authority("glance"), host("glance"), host("glance")].concat(), BAD_REQUEST),
    ] {
        let status = status_over_2(&world, &fields).await;
        assert_eq!(status, expected, "{}", String::from_utf8_lossy(&fields));
    }
}

async fn the_host_is_asked_for_by_whatever_is_called(db: TestDb) {
    let world = World::start(db).await;
    let id = world.http(Who::OWNER).queued().await;
    for (method, path) in glance_svc::http::calls() {
        let path = path.replace("{image_id}", &id);
        let request = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\n\r\n");
        assert_status(&answer(&world, &request).await, 400, &request);
    }
    world.http(Who::OWNER).get(&image_path(&id)).await.is(200);
}

/// A length beside chunks: the chunks count, and what follows is no request (RFC 9112, 6.3).
async fn two_lengths_are_one_request(db: TestDb) {
    let world = World::start(db).await;
    let http = world.http(Who::OWNER);
    for lengths in [
        "content-length: 4\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 4\r\n",
    ] {
        let id = http.queued().await;
        let request = format!(
            "PUT {} HTTP/1.1\r\nhost: glance\r\ncontent-type: application/octet-stream\r\n{lengths}\r\n\
             5\r\nhello\r\n0\r\n\r\nDELETE {} HTTP/1.1\r\nhost: glance\r\n\r\n",
            file_path(&id),
            image_path(&id),
        );
        let answer = answer(&world, &request).await;
        assert_status(&answer, 204, &request);
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
        assert_eq!(http.download(&id).await.is(200).text(), "hello");
    }
}

async fn what_is_framed_wrongly_is_refused(db: TestDb) {
    let world = World::start(db).await;
    let http = world.http(Who::OWNER);
    let id = http.queued().await;
    for (path, kind) in [
        ("POST /v2/images".to_owned(), "application/json"),
        (format!("PUT {}", file_path(&id)), "application/octet-stream"),
    ] {
        for (length, body) in [
            ("content-length: x", "{}"),
            ("content-length: -2", "{}"),
            ("content-length: 2\r\ncontent-length: 3", "{}"),
            ("transfer-encoding: gzip", "{}"),
            ("transfer-encoding: chunked, gzip", "2\r\n{}\r\n0\r\n\r\n"),
            ("transfer-encoding: chunked", "x\r\n{}\r\n0\r\n\r\n"),
            ("transfer-encoding: chunked", "-2\r\n{}\r\n0\r\n\r\n"),
            ("transfer-encoding: chunked", "fffffffffffffffff\r\n{}\r\n0\r\n\r\n"),
            ("transfer-encoding: chunked", "2\r\n{}x\r\n0\r\n\r\n"),
        ] {
            let request =
                format!("{path} HTTP/1.1\r\nhost: glance\r\ncontent-type: {kind}\r\n{length}\r\n\r\n{body}");
            assert_status(&answer(&world, &request).await, 400, &request);
        }
    }
    assert_eq!(http.show(&id).await["status"], "queued");
    assert_eq!(http.list("").await, ["cirros"]);
}

async fn an_answer_says_when_and_how_long(db: TestDb) {
    let world = World::start(db).await;
    let id = world.http(Who::OWNER).queued().await;
    world.http(Who::OWNER).upload(&id, "hello").await.is(204);
    for (method, path) in [
        ("GET", "/v2/images".to_owned()),
        ("HEAD", "/v2/images".to_owned()),
        ("GET", file_path(&id)),
        ("HEAD", file_path(&id)),
        ("GET", "/v2/nonsense".to_owned()),
    ] {
        let request = format!("{method} {path} HTTP/1.1\r\nhost: glance\r\nconnection: close\r\n\r\n");
        let answer = answer(&world, &request).await.to_lowercase();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("\r\ndate: "), "{answer}");
        let length = head.split("\r\ncontent-length: ").nth(1).unwrap().lines().next().unwrap();
        let length: usize = length.parse().unwrap();
        assert!(length > 0, "{answer}");
        assert_eq!(body.len(), if method == "HEAD" { 0 } else { length }, "{answer}");
    }
}
