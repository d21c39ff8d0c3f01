//! Invalid filters.

use chassis::{on_both_databases, testing::TestDb};

use crate::support::{Who, World};

on_both_databases!(refuses_filters_that_make_no_sense, tells_every_violation_at_once);

async fn refuses_filters_that_make_no_sense(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    for (query, field, part) in [
        ("name=neq:a", "name", "does not compare texts"),
        ("id=gt:a", "id", "does not compare texts"),
        ("name=in:%22a", "name", "is not closed"),
        ("name=in:a%22b", "name", "in the middle"),
        ("name=in:%22a%22b", "name", "needs a comma"),
        ("size_min=abc", "size_min", "must be an integer"),
        ("size_max=1.5", "size_max", "must be an integer"),
        ("min_ram=99999999999999999999", "min_ram", "must be an integer"),
        ("protected=1", "protected", "must be true or false"),
        ("os_hidden=nonsense", "os_hidden", "must be true or false"),
        ("visibility=nonsense", "visibility", "must be public, private, shared, community or all"),
        ("member_status=nonsense", "member_status", "must be pending, accepted, rejected or all"),
        ("changes-since=2020-01-01", "changes-since", "is no longer a filter"),
        ("k=%00", "k", "must not contain NUL"),
    ] {
        http.get(&format!("/v2/images?{query}")).await.violation(field, part);
    }
    let many = "tag=a&".repeat(65);
    http.get(&format!("/v2/images?{many}")).await.violation("query", "at most 64 are allowed");
}

async fn tells_every_violation_at_once(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    let query = "size_min=x&limit=-1&sort=nonsense&visibility=x&created_at=x&marker=x";
    let fields: Vec<_> = http
        .get(&format!("/v2/images?{query}"))
        .await
        .violations()
        .into_iter()
        .map(|(field, _)| field)
        .collect();
    assert_eq!(fields, ["size_min", "limit", "visibility", "created_at", "sort"]);
}
