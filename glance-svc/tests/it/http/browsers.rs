//! Requests that a web page can make a user's browser send: none of them has any effect.

use chassis::{caller::Identity, on_both_databases, testing::TestDb};
use prost::Message as _;
use proto::glance::v1::DeleteImageRequest;

use crate::support::{Settings, Who, World};

on_both_databases!(
    http_does_not_reach_grpc,
    json_says_that_it_is_json,
    a_page_of_somebody_else_is_refused_by_who_believes_everybody,
);

async fn http_does_not_reach_grpc(db: TestDb) {
    let world = World::start(db).await;
    let (http, over_2) = (world.http(Who::NOBODY), world.http(Who::NOBODY).http_2());
    let id = http.queued().await;
    let message = DeleteImageRequest { id: id.clone(), ..Default::default() }.encode_to_vec();
    let body = [&[0, 0, 0, 0, u8::try_from(message.len()).unwrap()], &*message].concat();
    for (http, kind) in [
        // What a web page can make a browser send without a preflight request.
        (&http, Some("text/plain")),
        (&http, None),
        (&over_2, Some("text/plain")),
        (&over_2, Some("application/json")),
        (&over_2, None),
        (&http, Some("application/grpc")),
    ] {
        for service in ["glance.v1.ImageService", "grpc.health.v1.Health", "glance.v1.ImageService/x/y"] {
            let call = http.call("POST", &format!("/{service}/DeleteImage")).body(body.clone());
            let call = kind.into_iter().fold(call, |call, kind| call.header("content-type", kind));
            let head = call.begin().await.into_parts().0;
            assert_eq!(head.status, 415, "{service} {kind:?}");
            assert_eq!(head.headers["x-error-reason"], "UNSUPPORTED_MEDIA_TYPE");
            assert_eq!(head.headers["content-type"], "application/json");
        }
    }
    world.get(&id).await.unwrap();
    let path = "/glance.v1.ImageService/DeleteImage";
    let call = over_2.call("POST", path).header("content-type", "application/grpc+proto").body(body);
    assert_eq!(call.begin().await.into_parts().0.status, 200);
    world.get(&id).await.unwrap_err();
}

async fn json_says_that_it_is_json(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    let id = http.queued().await;
    let (members, member) = (format!("/v2/images/{id}/members"), format!("/v2/images/{id}/members/p"));
    for (method, path) in [("POST", "/v2/images"), ("POST", &members), ("PUT", &member)] {
        for kind in
            [None, Some("text/plain"), Some("application/x-www-form-urlencoded"), Some("application/jsonx")]
        {
            let call = http.call(method, path).text("{\"name\": \"a\", \"member\": \"p\"}");
            let call = kind.into_iter().fold(call, |call, kind| call.header("content-type", kind));
            let refused = call.send().await.error(415, "UNSUPPORTED_MEDIA_TYPE");
            assert_eq!(refused["expected"], "application/json", "{method} {path} {kind:?}");
        }
    }
    for kind in ["application/json; charset=UTF-8", "Application/JSON"] {
        let call = http.call("POST", "/v2/images").header("content-type", kind).text("{\"name\": \"b\"}");
        call.send().await.is(201);
    }
}

async fn a_page_of_somebody_else_is_refused_by_who_believes_everybody(db: TestDb) {
    let proxy = Settings { identity: Identity::Proxy, ..Settings::default() };
    let world = World::start(db).await;
    let id = world.http(Who::OWNER).queued().await;
    let own = format!("http://{}", world.address);
    for (origin, status) in [("http://evil.example", 403), ("null", 403), (&*own, 200)] {
        for http in [world.http(Who::NOBODY), world.http(Who::NOBODY).http_2()] {
            let deactivate = http.call("POST", &format!("/v2/images/{id}/actions/deactivate"));
            let answer = deactivate.header("origin", origin).send().await;
            // It has no data, so that it cannot be deactivated.
            assert_eq!(
                answer.status == 403 && answer.header("x-error-reason") == "FOREIGN_ORIGIN",
                status == 403
            );
            http.call("GET", "/v2/images").header("origin", origin).send().await.is(status);
        }
    }
    // With a proxy in front, whom to let in is known already.
    let behind = World::start_with(TestDb::sqlite(), proxy).await.http(Who::OWNER);
    behind.call("GET", "/v2/images").header("origin", "http://dashboard.example").send().await.is(200);
}
