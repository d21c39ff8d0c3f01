//! What a list costs: one statement, which uses the indexes. Read from what the driver reports on PostgreSQL;
//! both databases get the same text.

use std::{cell::RefCell, fmt, sync::Once};

use chassis::{db::Db, testing::TestDb};
use glance_svc::store::MIGRATIONS;
use proto::glance::v1::{Image, ListImagesRequest};
use sqlx::{Connection as _, Executor as _, PgConnection, Row as _, SqliteConnection};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    Layer,
    filter::Targets,
    layer::{Context, SubscriberExt as _},
};

use crate::{
    list_scale::with_copies,
    support::{Glance, Who, by, named},
};

thread_local! {
    /// The statements of this thread's server: everything in a test runs on one thread.
    static STATEMENTS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Notes the statements that sqlx reports, but for the heartbeat's.
struct Statements;

impl<S: Subscriber> Layer<S> for Statements {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        event.record(&mut Statement);
    }
}

struct Statement;

impl Visit for Statement {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "db.statement" && value.contains("image") {
            STATEMENTS.with_borrow_mut(|statements| statements.push(value.trim().to_owned()));
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}

/// Watches all threads: watching one alone misses statements when another one begins or ends to watch.
fn watch() {
    static WATCHING: Once = Once::new();
    WATCHING.call_once(|| {
        let reports = Targets::new().with_target("sqlx::query", Level::DEBUG);
        let subscriber = tracing_subscriber::registry().with(Statements.with_filter(reports));
        tracing::subscriber::set_global_default(subscriber).unwrap();
    });
    // Another thread may just have found that nobody watches.
    tracing::callsite::rebuild_interest_cache();
}

/// The statements that a list costs.
async fn statements_of(glance: &Glance, request: ListImagesRequest) -> Vec<String> {
    statements_to(glance, Who::NOBODY, request).await
}

/// The statements that a list of that caller costs.
async fn statements_to(glance: &Glance, who: Who, request: ListImagesRequest) -> Vec<String> {
    watch();
    STATEMENTS.take();
    who.client(&glance.channel).list_images(request).await.unwrap();
    STATEMENTS.take()
}

async fn with_images(db: TestDb) -> Glance {
    let glance = Glance::start(db).await;
    for number in 0..12 {
        let properties = [("os".to_owned(), "linux".to_owned()), ("n".to_owned(), number.to_string())].into();
        let image = Image { properties, tags: vec!["t".to_owned()], ..named("cirros") };
        glance.create(image).await.unwrap();
    }
    glance
}

/// How SQLite runs the statement.
async fn sqlite_plan(statement: &str) -> String {
    let db = TestDb::sqlite();
    Db::open(&db.url, 1, &MIGRATIONS).unwrap().migrate().await.unwrap();
    let mut connection = SqliteConnection::connect(&db.url).await.unwrap();
    let explain = format!("EXPLAIN QUERY PLAN {statement}");
    let rows = connection.fetch_all(sqlx::AssertSqlSafe(explain)).await.unwrap();
    rows.iter().map(|row| row.get::<String, _>("detail") + "\n").collect()
}

/// How PostgreSQL runs the statement, whatever its values are.
async fn postgres_plan(glance: &Glance, statement: &str) -> String {
    let mut connection = PgConnection::connect(&glance.db.url).await.unwrap();
    // So few rows are read faster without an index, and sorted faster than they are read in order.
    let prepare = format!(
        "SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_sort = off; \
         SET plan_cache_mode = force_generic_plan; ANALYZE; PREPARE list AS {statement}"
    );
    connection.execute(sqlx::AssertSqlSafe(prepare)).await.unwrap();
    let is_used = |number: &usize| statement.contains(&format!("${number}"));
    let values: Vec<_> = (1..=1000).take_while(is_used).map(|_| "NULL").collect();
    let explain = format!("EXPLAIN EXECUTE list({})", values.join(", "));
    let rows = connection.fetch_all(sqlx::AssertSqlSafe(explain)).await.unwrap();
    rows.iter().map(|row| row.get::<String, _>(0) + "\n").collect()
}

/// The plans of a statement on both databases, which must find its rows by these indexes.
async fn plans(glance: &Glance, statement: &str, indexes: &[&str]) -> [String; 2] {
    let plans = [postgres_plan(glance, statement).await, sqlite_plan(statement).await];
    for plan in &plans {
        for index in indexes {
            assert!(plan.contains(index), "by {index}: {plan}");
        }
        for whole in ["Seq Scan on image", "SCAN image", "SCAN i\n", "AUTOMATIC"] {
            assert!(!plan.contains(whole), "{whole}: {plan}");
        }
    }
    plans
}

/// The plans of a statement on both databases, which must read images by these indexes in the order of the page.
async fn is_read_in_order(glance: &Glance, statement: &str, indexes: &[&str]) -> [String; 2] {
    let plans = plans(glance, statement, indexes).await;
    // Nor is the page, once its images have been read: they can be large.
    assert_eq!(sorts(&plans), [0, 0], "{plans:#?}");
    plans
}

/// How often rows are sorted on PostgreSQL and SQLite.
fn sorts([postgres, sqlite]: &[String; 2]) -> [usize; 2] {
    let is_sort = |line: &&str| line.trim_start_matches([' ', '-', '>']).starts_with("Sort  ");
    [postgres.lines().filter(is_sort).count(), sqlite.matches("TEMP B-TREE FOR ORDER BY").count()]
}

const FILTERED: &str = "tags:t AND properties.os = linux AND properties.n = 1 AND status = QUEUED";

#[tokio::test]
async fn a_page_costs_one_statement_and_one_to_choose_the_way_to_it() {
    let glance = with_images(TestDb::postgres().await).await;
    for page_size in [1, 5, 1000] {
        for (filter, count) in [("", 1), ("status = QUEUED", 1), (FILTERED, 2)] {
            let request = ListImagesRequest { page_size, filter: filter.to_owned(), ..by("name") };
            let statements = statements_of(&glance, request).await;
            assert_eq!(statements.len(), count, "{statements:?}");
            let reading: Vec<_> =
                statements.iter().map(|statement| statement.contains("image_records")).collect();
            assert_eq!(reading, [false, true][2 - count..], "{statements:?}");
        }
    }
}

#[tokio::test]
async fn an_operators_list_is_merged_from_visibilities() {
    let glance = with_images(TestDb::postgres().await).await;
    let statement = statements_of(&glance, ListImagesRequest::default()).await.remove(0);
    let [postgres, sqlite] = is_read_in_order(&glance, &statement, &["images_by_visibility"]).await;
    assert!(postgres.contains("Merge Append"), "{postgres}");
    assert!(sqlite.contains("MERGE (UNION ALL)"), "{sqlite}");
}

#[tokio::test]
async fn a_members_list_is_merged_from_what_the_member_sees() {
    let glance = with_images(TestDb::postgres().await).await;
    let statement = statements_to(&glance, Who::OWNER, ListImagesRequest::default()).await.remove(0);
    let indexes = ["images_by_visibility", "images_by_owner", "image_members_by_member"];
    is_read_in_order(&glance, &statement, &indexes).await;
}

#[tokio::test]
async fn a_list_is_read_along_its_rarest_property_or_tag() {
    let glance = with_copies(TestDb::postgres().await).await;
    for who in [Who::NOBODY, Who::OWNER] {
        for (filter, index) in [
            ("properties.os = linux", "images_by_visibility"),
            ("properties.rare = yes", "image_properties_by_value"),
            ("properties.os = linux AND tags:t AND properties.rare = yes", "image_properties_by_value"),
            ("properties.os = linux AND tags:rare", "image_tags_by_tag"),
        ] {
            let request = ListImagesRequest { filter: filter.to_owned(), ..Default::default() };
            let [choice, page] = statements_to(&glance, who, request).await.try_into().unwrap();
            let choices =
                plans(&glance, &choice, &["image_properties_by_value", "images_by_visibility"]).await;
            assert_eq!(sorts(&choices), [0, 0], "{choices:#?}");
            assert!(choices[0].contains("substr(value, 1, 255) = "), "by name and value: {}", choices[0]);
            assert!(choices[1].contains("image_properties_by_value (name=? AND <expr>=?"), "{}", choices[1]);
            let plans = is_read_in_order(&glance, &page, &[index]).await;
            for other in ["images_by_visibility", "image_properties_by_value", "image_tags_by_tag"] {
                let is_read = plans.iter().any(|plan| plan.contains(other));
                assert_eq!(is_read, other == index, "{other} for {filter}: {plans:#?}");
            }
        }
    }
}

#[tokio::test]
async fn a_rare_property_is_found_by_its_index_in_any_order() {
    let glance = with_copies(TestDb::postgres().await).await;
    for order in ["size", "name", "status, update_time desc"] {
        let filter = "properties.rare = yes AND tags:t".to_owned();
        let [choice, page] =
            statements_of(&glance, ListImagesRequest { filter, ..by(order) }).await.try_into().unwrap();
        plans(&glance, &choice, &["image_properties_by_value", "image_tags_by_tag"]).await;
        plans(&glance, &page, &["image_properties_by_value"]).await;
    }
}

#[tokio::test]
async fn a_later_page_starts_where_its_token_says() {
    let glance = with_images(TestDb::postgres().await).await;
    for filter in ["", "properties.os = linux"] {
        let filter = filter.to_owned();
        let first = ListImagesRequest { page_size: 5, filter, ..Default::default() };
        let page_token = glance.list(first.clone()).await.unwrap().next_page_token;
        let mut statements = statements_of(&glance, ListImagesRequest { page_token, ..first }).await;
        let page = statements.pop().unwrap();
        let [postgres, sqlite] = is_read_in_order(&glance, &page, &["images_by_visibility"]).await;
        assert!(
            sqlite.contains("images_by_visibility (os_hidden=? AND visibility=? AND (create_time,id)<(?,?))"),
            "{sqlite}"
        );
        assert!(postgres.contains("(ROW(create_time, id) < ROW("), "{postgres}");
    }
}

#[tokio::test]
async fn a_list_by_name_is_read_in_that_order() {
    let glance = Glance::start(TestDb::postgres().await).await;
    for name in ["a", "b", "b", "c"] {
        glance.create(Image { owner: "owner".to_owned(), ..named(name) }).await.unwrap();
    }
    // What Glance makes of `sort=name:asc`.
    let first = ListImagesRequest { page_size: 2, ..by("name, create_time desc, id desc") };
    let page_token = Who::OWNER.client(&glance.channel).list_images(first.clone()).await.unwrap();
    let page_token = page_token.into_inner().next_page_token;
    assert_ne!(page_token, "");
    for request in [first.clone(), ListImagesRequest { page_token, ..first }] {
        let statement = statements_to(&glance, Who::OWNER, request).await.remove(0);
        let indexes = ["images_by_visibility_and_name", "images_by_owner_and_name"];
        plans(&glance, &statement, &indexes).await;
    }
}
