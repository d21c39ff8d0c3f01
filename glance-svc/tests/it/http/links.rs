//! Where links lead, behind a proxy and without one; and how a caller makes itself known.

use chassis::{caller::Identity, on_both_databases, testing::TestDb};
use serde_json::json;

use crate::support::{Call, Settings, Who, World};

on_both_databases!(
    links_lead_where_a_trusted_proxy_says,
    who_believes_everybody_believes_no_proxy,
    a_public_endpoint_comes_first,
    whoever_is_not_known_is_told_how_to_be,
);

const PROXIES: [(&[(&str, &str)], &str); 5] = [
    (&[("x-forwarded-proto", "https")], "https://glance.example.org"),
    (
        &[("x-forwarded-proto", "HTTPS, http"), ("x-forwarded-host", "a.example.org, b")],
        "https://a.example.org",
    ),
    (&[("forwarded", "for=1.2.3.4;proto=https;host=\"a:443\", proto=http")], "https://a:443"),
    (&[("forwarded", "proto=http"), ("x-forwarded-proto", "https")], "http://glance.example.org"),
    (&[("x-forwarded-proto", "javascript"), ("x-forwarded-host", "a b")], "http://glance.example.org"),
];

fn start(
    db: TestDb,
    identity: Identity,
    public_endpoint: Option<&'static str>,
) -> impl Future<Output = World> {
    World::start_with(db, Settings { identity, public_endpoint, ..Settings::default() })
}

/// The two kinds of links that name a host.
async fn links(world: &World, headers: &[(&str, &str)]) -> [String; 2] {
    let http = world.http(Who::OWNER);
    let with = |call: Call| headers.iter().fold(call, |call, (name, value)| call.header(name, value));
    let call = |method, path| with(http.call(method, path).header("host", "glance.example.org"));
    let versions = call("GET", "/versions").send().await.is(200).json();
    let created = call("POST", "/v2/images").json(&json!({"name": "cirros"})).send().await.is(201);
    let id = created.json()["id"].as_str().unwrap().to_owned();
    let location = created.header("location").strip_suffix(&format!("/v2/images/{id}")).unwrap().to_owned();
    let version = versions["versions"][0]["links"][0]["href"].as_str().unwrap();
    [version.strip_suffix("/v2/").unwrap().to_owned(), location]
}

async fn links_lead_where_a_trusted_proxy_says(db: TestDb) {
    let world = start(db, Identity::Proxy, None).await;
    for (headers, expected) in PROXIES {
        assert_eq!(links(&world, headers).await, [expected; 2], "{headers:?}");
    }
}

async fn who_believes_everybody_believes_no_proxy(db: TestDb) {
    let world = start(db, Identity::Development, None).await;
    for (headers, _) in PROXIES {
        assert_eq!(links(&world, headers).await, ["http://glance.example.org"; 2], "{headers:?}");
    }
}

async fn a_public_endpoint_comes_first(db: TestDb) {
    let world = start(db, Identity::Proxy, Some("https://public.example.org/image")).await;
    for (headers, _) in PROXIES {
        assert_eq!(links(&world, headers).await, ["https://public.example.org/image"; 2], "{headers:?}");
    }
}

async fn whoever_is_not_known_is_told_how_to_be(db: TestDb) {
    let proxy = start(db, Identity::Proxy, None).await;
    let development = World::start(TestDb::sqlite()).await;
    for http in [proxy.http(Who::NOBODY), proxy.http(Who::NOBODY).http_2()] {
        for accept in ["application/json", "text/html", "text/plain"] {
            let refused = http.call("GET", "/v2/images").header("accept", accept).send().await.is(401);
            assert_eq!(refused.header("www-authenticate"), "Keystone");
        }
    }
    let token = development.http(Who::NOBODY).call("GET", "/v2/images").header("x-auth-token", "gAAAA");
    assert_eq!(token.send().await.is(401).header("www-authenticate"), "Keystone");
    let good = development.http(Who::NOBODY).get("/v2/images").await.is(200);
    assert_eq!(good.header("www-authenticate"), "");
}
