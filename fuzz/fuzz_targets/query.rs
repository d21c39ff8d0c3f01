//! Queries of lists: each is parsed or refused, and a link to the same list is parsed to the same query.
#![no_main]

use common::id::{Id, NIL};
use glance_svc::http::query::{ListImages, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|query: &str| {
    let Ok(list) = parse(query) else { return };
    assert_same(&list, &list.link(None), None);
    let marker = Id::from(NIL);
    assert_same(&list, &list.link(Some(marker)), Some(&marker.to_string()));
});

fn assert_same(list: &ListImages, link: &str, marker: Option<&str>) {
    let query = link.strip_prefix("/v2/images").expect("a link is one to images");
    let linked = parse(query.strip_prefix('?').unwrap_or(query)).expect("a link can be followed");
    assert_eq!(linked.filter, list.filter);
    assert_eq!(linked.order, list.order);
    assert_eq!(linked.limit, list.limit);
    assert_eq!(linked.marker.as_deref(), marker);
}
