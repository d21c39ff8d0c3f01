//! `ListImages`: which images a filter finds.

use chassis::{on_both_databases, testing::TestDb};
use proto::glance::v1::{Image, ListImagesRequest, image::Visibility};

use crate::support::{Glance, assert_violation, change_of, header_bytes, named, setting, violations};

on_both_databases!(
    finds_by_each_attribute,
    finds_what_fulfils_every_condition,
    finds_by_all_of_the_tags,
    finds_by_exact_properties,
    finds_properties_with_odd_names_and_values,
    tells_long_values_apart_that_start_alike,
    finds_what_is_true_now,
    takes_as_many_conditions_as_it_says,
    says_what_is_allowed,
);

async fn image(glance: &Glance, image: Image, properties: &[(&str, &str)]) -> Image {
    glance.create(Image { properties: setting("", properties).set, ..image }).await.unwrap()
}

async fn three(glance: &Glance) {
    let a = Image { disk_format: "raw".into(), container_format: "bare".into(), size: Some(1), ..named("a") };
    let b = Image { disk_format: "raw".into(), owner: "demo".into(), ..named("b") };
    let c = Image { visibility: Visibility::Public.into(), owner: "Demo".into(), ..named("c") };
    image(glance, Image { tags: vec!["x".into(), "y".into()], ..a }, &[("os", "linux"), ("bits", "64")])
        .await;
    image(glance, Image { tags: vec!["y".into()], ..b }, &[("os", "linux"), ("bits", "32")]).await;
    image(glance, c, &[("os", "Linux")]).await;
}

async fn expect(glance: &Glance, filter: &str, names: &[&str]) {
    assert_eq!(glance.find(filter).await, names, "{filter}");
}

async fn finds_by_each_attribute(db: TestDb) {
    let glance = Glance::start(db).await;
    three(&glance).await;
    let cases: [(&str, &[&str]); 18] = [
        ("", &["a", "b", "c"]),
        ("  ", &["a", "b", "c"]),
        ("name = a", &["a"]),
        ("name=\"b\"", &["b"]),
        ("name = A", &[]),
        ("status = ACTIVE", &["a"]),
        ("status = queued", &["b", "c"]),
        ("status = KILLED", &[]),
        ("visibility = PUBLIC", &["c"]),
        ("visibility = 'shared'", &["a", "b"]),
        ("disk_format = raw", &["a", "b"]),
        ("disk_format = \"\"", &["c"]),
        ("disk_format = iso", &[]),
        ("container_format = bare", &["a"]),
        ("owner = demo", &["b"]),
        ("owner = ''", &["a"]),
        ("name = \"' OR 1=1 --\"", &[]),
        ("name = \"%\"", &[]),
    ];
    for (filter, names) in cases {
        expect(&glance, filter, names).await;
    }
}

async fn finds_what_fulfils_every_condition(db: TestDb) {
    let glance = Glance::start(db).await;
    three(&glance).await;
    expect(&glance, "disk_format = raw AND status = ACTIVE", &["a"]).await;
    expect(&glance, "status = QUEUED AND disk_format = raw AND tags:y AND properties.bits = 32", &["b"])
        .await;
    expect(&glance, "status = QUEUED AND tags:x", &[]).await;
    expect(&glance, "name = a AND name = a", &["a"]).await;
    expect(&glance, "name = a AND name = b", &[]).await;
}

async fn finds_by_all_of_the_tags(db: TestDb) {
    let glance = Glance::start(db).await;
    three(&glance).await;
    expect(&glance, "tags:y", &["a", "b"]).await;
    expect(&glance, "tags:x AND tags:y", &["a"]).await;
    expect(&glance, "tags:x AND tags:z", &[]).await;
    expect(&glance, "tags:X", &[]).await;
}

async fn finds_by_exact_properties(db: TestDb) {
    let glance = Glance::start(db).await;
    three(&glance).await;
    expect(&glance, "properties.os = linux", &["a", "b"]).await;
    expect(&glance, "properties.os = linux AND properties.bits = 64", &["a"]).await;
    expect(&glance, "properties.os = linux AND properties.os = linux", &["a", "b"]).await;
    expect(&glance, "properties.os = lin", &[]).await;
    expect(&glance, "properties.OS = linux", &[]).await;
    expect(&glance, "properties.bits = \"\"", &[]).await;
    // The name of one property with the value of another.
    expect(&glance, "properties.os = 64", &[]).await;
}

async fn finds_properties_with_odd_names_and_values(db: TestDb) {
    let glance = Glance::start(db).await;
    let odd = [
        ("quote\"s'", "it's \"so\""),
        ("back\\slash", "a\\"),
        ("a.b.c", "1.5"),
        ("...", "."),
        ("名前", "値 🦀"),
        ("AND", "OR = AND"),
        (" ", " "),
        ("empty", ""),
        ("lines", "a\nb\tc"),
        ("trait:HW_CPU_X86_AVX", "required"),
    ];
    image(&glance, named("odd"), &odd).await;
    image(&glance, named("other"), &[("a", "b")]).await;
    for (name, value) in odd {
        let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
        expect(&glance, &format!("properties.{} = {}", quoted(name), quoted(value)), &["odd"]).await;
        expect(&glance, &format!("properties.{} = \"other\"", quoted(name)), &[]).await;
    }
    expect(
        &glance,
        "properties.a.b.c = 1.5 AND properties.AND = 'OR = AND' AND properties.名前='値 🦀'",
        &["odd"],
    )
    .await;
}

async fn tells_long_values_apart_that_start_alike(db: TestDb) {
    let glance = Glance::start(db).await;
    let start = "é🦀".repeat(200);
    for (name, end) in [("a", "x"), ("b", "y"), ("c", "")] {
        image(&glance, named(name), &[("long", &format!("{start}{end}"))]).await;
    }
    image(&glance, named("d"), &[("long", &start.chars().take(255).collect::<String>())]).await;
    expect(&glance, &format!("properties.long = \"{start}x\""), &["a"]).await;
    expect(&glance, &format!("properties.long = \"{start}y\""), &["b"]).await;
    expect(&glance, &format!("properties.long = \"{start}\""), &["c"]).await;
    expect(&glance, &format!("properties.long = \"{start}z\""), &[]).await;
}

async fn finds_what_is_true_now(db: TestDb) {
    let glance = Glance::start(db).await;
    let id = image(&glance, named("a"), &[("os", "linux")]).await.id;
    glance.set(&id, &[("os", "bsd")]).await.unwrap();
    expect(&glance, "properties.os = linux", &[]).await;
    expect(&glance, "properties.os = bsd", &["a"]).await;
    glance.update(Image { name: "b".to_owned(), ..change_of(&id) }, &[]).await.unwrap();
    expect(&glance, "name = b", &["b"]).await;
}

async fn takes_as_many_conditions_as_it_says(db: TestDb) {
    let glance = Glance::start(db).await;
    let names: Vec<_> = (0..33).map(|number| format!("k{number}")).collect();
    let pairs: Vec<_> = names.iter().map(|name| (name.as_str(), "v")).collect();
    image(&glance, named("a"), &pairs).await;
    let conditions: Vec<_> = names.iter().map(|name| format!("properties.{name} = v")).collect();
    expect(&glance, &conditions[..32].join(" AND "), &["a"]).await;
    let refused = glance.list(with(&conditions.join(" AND "))).await.unwrap_err();
    assert_violation(&refused, "filter", "33 conditions, at most 32");
}

fn with(filter: &str) -> ListImagesRequest {
    ListImagesRequest { filter: filter.to_owned(), ..Default::default() }
}

async fn says_what_is_allowed(db: TestDb) {
    let glance = Glance::start(db).await;
    let long = "x".repeat(1000);
    let fields = "allowed: name, status, visibility, disk_format, container_format, owner, protected, \
                  os_hidden, member_status = VALUE; tags:VALUE";
    let statuses = "must be one of QUEUED, SAVING, UPLOADING";
    let visibilities = "must be one of PUBLIC, PRIVATE, SHARED, COMMUNITY";
    for (filter, part) in [
        ("size = 1", fields),
        ("id = x", fields),
        ("min_ram = 1", fields),
        ("tags = a", fields),
        ("name:a", fields),
        ("properties = a", fields),
        ("properties:a", fields),
        ("properties.a:b", fields),
        ("name.x = a", fields),
        ("tags.x:a", fields),
        (&format!("{long} = a"), fields),
        ("status = ACTIV", statuses),
        ("status = STATUS_UNSPECIFIED", statuses),
        (&format!("status = {long}"), statuses),
        ("visibility = some", visibilities),
        (&format!("visibility = '{}'", "🦀".repeat(500)), visibilities),
        ("disk_format = RAW", "must be one of ami, ari, aki, vhd"),
        ("container_format = tar", "must be one of ami, ari, aki, bare"),
        ("name = a OR name = b", "AND must be"),
        ("name != a", "must stand in quotes"),
        ("name = a AND", "a field must be"),
        ("name = \"a", "not closed"),
        ("name = \"\0\"", "NUL"),
        ("properties.a = b AND properties.a = c", "cannot have two values"),
        (&format!("name = '{}'", "x".repeat(8192)), "at most 8192"),
    ] {
        let refused = glance.list(with(filter)).await.unwrap_err();
        assert_violation(&refused, "filter", part);
        assert!(header_bytes(&refused) < 8 * 1024, "{} bytes of headers", header_bytes(&refused));
    }
    let all = ListImagesRequest {
        page_size: -1,
        page_token: "?".to_owned(),
        filter: "nonsense".to_owned(),
        order_by: "nonsense".to_owned(),
    };
    let mut found: Vec<_> = violations(&glance.list(all).await.unwrap_err());
    found.sort_unstable();
    let fields: Vec<_> = found.iter().map(|(field, _)| field.as_str()).collect();
    assert_eq!(fields, ["filter", "order_by", "page_size", "page_token"]);
}
