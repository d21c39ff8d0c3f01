//! What queries mean, and what is wrong with them.

use chrono::{DateTime, Utc};

use super::*;
use crate::list::{Comparison, NumberColumn, TextColumn, TimeColumn};

fn conditions(query: &str) -> Vec<Condition> {
    parse(query).unwrap().filter.conditions
}

#[test]
fn reads_filters() {
    use Condition::{Id, Number, Protected, Text};
    let text =
        |column, values: &[&str]| Text(column, values.iter().map(|value| (*value).to_owned()).collect());
    assert_eq!(
        conditions("status=in:active,queued&owner=in:x&name=in:%22a,b%22,c%5C%22"),
        [
            text(TextColumn::Status, &["active", "queued"]),
            text(TextColumn::Owner, &["in:x"]),
            text(TextColumn::Name, &["a,b", "c\""]),
        ]
    );
    for query in ["name=eq:a:b", "name=a:b", "name=x&name=in:c,d&name=a:b"] {
        assert_eq!(conditions(query), [text(TextColumn::Name, &["a:b"])], "{query}");
    }
    assert_eq!(
        conditions("size_min=1&min_ram=512&min_disk_max=9&protected=True&id=in:x,y"),
        [
            Number(NumberColumn::Size, Comparison::GreaterOrEqual, 1),
            Number(NumberColumn::MinRam, Comparison::Equal, 512),
            Number(NumberColumn::MinDisk, Comparison::LessOrEqual, 9),
            Protected(true),
            Id(vec![]),
        ]
    );
    let list =
        parse("tag=a&tag=b&os_distro=ubuntu&hw_max=1&visibility=all&member_status=pending&os_hidden=true");
    let filter = list.unwrap().filter;
    assert_eq!(filter.tags, ["a", "b"]);
    assert_eq!(filter.properties.keys().collect::<Vec<_>>(), ["hw_max", "os_distro"]);
    assert_eq!(filter.visibility, VisibilityFilter::All);
    assert_eq!(filter.member_status, Membership::Only(MemberStatus::Pending));
    assert!(filter.os_hidden);
}

#[test]
fn reads_times() {
    let noon = "2026-11-22T12:00:00Z".parse::<DateTime<Utc>>().unwrap();
    for (query, comparison) in [
        ("created_at=2026-11-22T12:00:00Z", Comparison::Equal),
        ("created_at=gt:2026-11-22T12:00:00", Comparison::Greater),
        ("created_at=lte:2026-11-22T14:00:00+02:00", Comparison::LessOrEqual),
        ("created_at=neq:2026-11-22T04:00:00-08:00", Comparison::NotEqual),
        ("created_at=gte:20261122T120000Z", Comparison::GreaterOrEqual),
    ] {
        assert_eq!(conditions(query), [Condition::Time(TimeColumn::CreateTime, comparison, noon)], "{query}");
    }
    assert!(parse("created_at=2026-W01").is_err());
}

#[test]
fn reads_both_forms_of_order() {
    use Direction::{Ascending as Up, Descending as Down};
    use ImageOrder::{CreateTime, Id, Name, Size};
    for (query, order) in [
        ("", vec![(CreateTime, Down), (Id, Down)]),
        ("sort_dir=asc", vec![(CreateTime, Up), (Id, Up)]),
        ("sort_key=name&sort_dir=asc", vec![(Name, Up), (CreateTime, Up), (Id, Up)]),
        ("sort=name:asc", vec![(Name, Up), (CreateTime, Up), (Id, Up)]),
        ("sort=name", vec![(Name, Down), (CreateTime, Down), (Id, Down)]),
        ("sort=name:asc,size", vec![(Name, Up), (Size, Down), (CreateTime, Down), (Id, Down)]),
        (
            "sort_key=name&sort_key=size&sort_dir=asc&sort_dir=desc",
            vec![(Name, Up), (Size, Down), (CreateTime, Down), (Id, Down)],
        ),
    ] {
        assert_eq!(parse(query).unwrap().order, Order::new(order), "{query}");
    }
}

#[test]
fn tells_every_problem() {
    let query = "limit=-1&limit=x&sort_key=nope&visibility=nope&member_status=nope&os_hidden=nope&protected=1\
                 &size_min=abc&created_at=zz:2026-01-01T00:00:00Z&updated_at=gt:x&name=neq:bar&name=in:%22a\
                 &changes-since=2020&b=%00";
    let violations = parse(query).unwrap_err().to_string();
    assert!(violations.starts_with("14 violations"), "{violations}");
    for query in ["sort=name&sort_key=name", "sort=name:up", "sort_dir=asc&sort_dir=desc&sort_key=name"] {
        assert!(parse(query).is_err(), "{query}");
    }
    assert!(parse(&"tag=a&".repeat(65)).is_err());
    assert!(parse(&format!("name=in:{}", ",".repeat(10_000))).is_err());
}

#[test]
fn a_link_keeps_everything_but_the_marker() {
    let list = parse("tag=a&marker=x&tag=b&limit=2&name=%C3%A9+%26").unwrap();
    assert_eq!(list.link(None), "/v2/images?tag=a&tag=b&limit=2&name=%C3%A9+%26");
    assert_eq!(parse("marker=x").unwrap().link(None), "/v2/images");
    assert_eq!(list.marker.as_deref(), Some("x"));
}
