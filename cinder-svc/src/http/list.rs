//! Lists: what their queries ask for, and the pages that answer them.

use axum::http::Extensions;
use chassis::{
    edge::Room,
    http::{
        Problem,
        query::{self, MARKER, Query, Sort},
        versions::Link,
    },
    page::{Key, MAX_BYTES, MAX_SIZE, Order, Page, Read, SortKey},
    scope::sees_all,
};
use common::{
    id::Id,
    text::{boolean, clip},
    violations::Violations,
};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use utoipa::IntoParams;

use super::{ApiState, Call, since};

/// Bytes for a page: what is read for it, the values that are made of that, the JSON of each item, and of all.
const PAGE: usize = 5 * MAX_BYTES;

/// What is listed.
pub(super) trait Listed: Sized {
    /// What it can be sorted by.
    type Order: SortKey;

    /// The sort keys, by their names over HTTP.
    const SORT_KEYS: &'static [(&'static str, Self::Order)];

    /// When it was created: the newest are first unless a query says otherwise.
    const CREATED: Self::Order;

    /// The one that the caller sees under that id.
    fn find(api: &ApiState, call: &Call, id: &str) -> impl Future<Output = Result<Self, Problem>> + Send;

    fn id(&self) -> Id;

    /// Its value of a sort key.
    fn key(&self, by: Self::Order) -> Key;
}

/// The items of a page as JSON, and the link to the page after it.
pub(super) struct Listing {
    pub(super) items: Vec<Box<RawValue>>,
    pub(super) links: Vec<Link>,
}

/// Defines pages: what the items and the links of each are called, and what an item looks like.
macro_rules! pages {
    ($($(#[$attribute:meta])* $page:ident { $items:ident: $view:ty, $links:ident })+) => {$(
        $(#[$attribute])*
        #[derive(Default, ::serde::Serialize, ::utoipa::ToSchema)]
        pub(in crate::http) struct $page {
            #[schema(value_type = Vec<$view>)]
            $items: Vec<Box<::serde_json::value::RawValue>>,
            /// The next page, if there is one.
            #[serde(skip_serializing_if = "Vec::is_empty")]
            $links: Vec<::chassis::http::versions::Link>,
        }

        impl From<$crate::http::list::Listing> for $page {
            fn from(listing: $crate::http::list::Listing) -> Self {
                Self { $items: listing.items, $links: listing.links }
            }
        }
    )+};
}

pub(super) use pages;

/// The parameters of every list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes what `List::parse` reads")]
pub(super) struct Paging {
    /// Maximum number, 1000 at most.
    limit: Option<i64>,
    /// Id of the last one of the previous page.
    marker: Option<String>,
    /// Such as `name:asc,created_at`.
    sort: Option<String>,
    /// For admins: those of all projects.
    all_tenants: Option<bool>,
}

/// What the query of a list asks for, beside its filters.
#[derive(Debug)]
pub(super) struct List<T: Listed> {
    query: Query,
    limit: usize,
    order: Order<T::Order>,
    /// The id of the last item of the page before.
    marker: Option<String>,
    /// Whether those of all projects are asked for, by a caller who sees them.
    pub(super) all_projects: bool,
}

impl<T: Listed> List<T> {
    /// Reads a query. `add` takes a filter, and says whether there is one of that name: others are ignored before 3.31,
    /// and refused since, as in Cinder.
    pub(super) fn parse(
        query: Option<String>,
        call: &Call,
        mut add: impl FnMut(&str, &str) -> Result<bool, String>,
    ) -> Result<Self, Violations> {
        let mut violations = Violations::default();
        let query = Query::parse(&query.unwrap_or_default(), &mut violations);
        let (mut sort, sees_all) = (Sort::default(), sees_all(&call.caller));
        let (mut limit, mut marker, mut all_projects) = (MAX_SIZE, None, false);
        for (name, value) in query.iter() {
            match name {
                "limit" => limit = violations.take(name, query::limit(value, MAX_SIZE)).unwrap_or(limit),
                MARKER => marker = Some(value.to_owned()),
                "offset" => check_offset(value, &mut violations),
                // Clients of everybody send it (bug 1917574).
                "all_tenants" => all_projects = sees_all && boolean(value).unwrap_or(false),
                "project_id" if !sees_all => {}
                _ if sort.take(name, value) => {}
                _ => match add(name, value) {
                    Ok(false) if call.version.is_in(since(31)) => {
                        violations.add(clip(name, 60), "is no filter of this list");
                    }
                    Ok(_) => {}
                    Err(problem) => violations.add(name, problem),
                },
            }
        }
        let keys = violations.take("sort", sort.keys(T::SORT_KEYS, T::CREATED));
        violations.check()?;
        let order = Order::new(keys.unwrap_or_default());
        Ok(Self { query, limit, order, marker, all_projects })
    }

    /// The page that is asked for.
    pub(super) async fn page(&self, api: &ApiState, call: &Call) -> Result<Page<T::Order>, Problem> {
        let last = match &self.marker {
            None => None,
            Some(marker) => Some(T::find(api, call, marker).await?),
        };
        let key = last.as_ref().map(|last| |by: T::Order| last.key(by));
        Ok(Page::behind(self.limit, self.order.clone(), key))
    }

    /// What was read for a page as JSON, and the link to the page after it, if there is one; `url` is that of the list.
    pub(super) fn answer<V: Serialize>(
        &self,
        page: &Page<T::Order>,
        listed: impl Into<Read<T>>,
        url: &str,
        mut view: impl FnMut(T) -> V,
    ) -> Listing {
        let json = |item: T| (item.id(), to_raw_value(&view(item)).expect("a view is plain data"));
        let (items, next) = page.finish(listed, T::key, json, |(_, json)| json.get().len());
        let marker = items.last().map(|(id, _)| *id).filter(|_| !next.is_empty());
        let link = marker.map(|id| Link { href: self.query.page(url, Some(&id)), rel: "next" });
        let items = items.into_iter().map(|(_, json)| json).collect();
        Listing { items, links: link.into_iter().collect() }
    }
}

/// The memory for a page, waited for.
pub(super) async fn room(request: &Extensions) -> Option<Room> {
    Room::of(request, PAGE).await
}

fn check_offset(value: &str, violations: &mut Violations) {
    if query::integer(value) != Ok(0) {
        violations.add("offset", "is not offered; continue with marker");
    }
}
