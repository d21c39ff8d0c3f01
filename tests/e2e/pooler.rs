//! pgbouncer between a service and its database.

use chassis::testing::TestDb;
use harness::{pgbouncer::Pooler, service::Service};
use serde_json::json;

use crate::world::{call, grpcurl_with};

/// A service's arguments with this database.
const fn arguments(url: &str) -> [&str; 4] {
    ["--listen", "127.0.0.1:0", "--database-url", url]
}

#[tokio::test]
async fn a_pooler_that_mixes_sessions_is_refused_at_start() {
    let db = TestDb::postgres().await;
    for mode in ["transaction", "statement"] {
        let pooler = Pooler::start(&db.url, mode).unwrap();
        for binary in ["glance-svc", "nova-api-svc"] {
            let url = pooler.url(&db.url).unwrap();
            let Err(refused) = Service::start(binary, arguments(&url)) else {
                panic!("{binary} starts with pool_mode {mode}");
            };
            let said = refused.to_string();
            assert!(said.contains("use pool_mode session"), "{said}");
        }
    }
}

#[tokio::test]
async fn a_pooler_that_keeps_sessions_apart_serves() {
    let db = TestDb::postgres().await;
    let pooler = Pooler::start(&db.url, "session").unwrap();
    let url = pooler.url(&db.url).unwrap();
    let nova = Service::start("nova-api-svc", arguments(&url)).unwrap();
    for number in 0..8 {
        let flavor = json!({"flavor": {"id": number.to_string() + "p", "name": format!("p{number}"), "memoryMb": 1, "vcpus": 1}});
        let made = grpcurl_with(&["x-roles: admin"], &nova, "nova.v1.FlavorService/CreateFlavor", &flavor);
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }
    let listed = call(&nova, "nova.v1.FlavorService/ListFlavors", &json!({"pageSize": 100}));
    assert_eq!(listed["flavors"].as_array().unwrap().len(), 13);
}
