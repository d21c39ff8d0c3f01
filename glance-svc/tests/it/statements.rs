//! What a list costs: one statement, which uses the indexes. Read from what the driver reports on PostgreSQL;
//! both databases get the same text.

use std::{cell::RefCell, fmt, sync::Once};

use common::{db::Db, testing::TestDb};
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

use crate::support::{Glance, by, named};

thread_local! {
    /// The statements of this thread's server: everything in a test runs on one thread.
    static STATEMENTS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Notes the statements that sqlx reports.
struct Statements;

impl<S: Subscriber> Layer<S> for Statements {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        event.record(&mut Statement);
    }
}

struct Statement;

impl Visit for Statement {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "db.statement" && !value.is_empty() {
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
    watch();
    STATEMENTS.take();
    glance.list(request).await.unwrap();
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

/// How PostgreSQL runs the statement, with as many values as it wants.
async fn postgres_plan(glance: &Glance, statement: &str, values: &[&str]) -> String {
    let mut connection = PgConnection::connect(&glance.db.url).await.unwrap();
    // So few rows are read faster without an index.
    let prepare = format!("SET enable_seqscan = off; ANALYZE; PREPARE list AS {statement}");
    connection.execute(sqlx::AssertSqlSafe(prepare)).await.unwrap();
    let values: Vec<_> = values.iter().map(|value| format!("'{value}'")).collect();
    let explain = format!("EXPLAIN EXECUTE list({})", values.join(", "));
    let rows = connection.fetch_all(sqlx::AssertSqlSafe(explain)).await.unwrap();
    rows.iter().map(|row| row.get::<String, _>(0) + "\n").collect()
}

#[tokio::test]
async fn a_page_costs_one_statement_whatever_its_size() {
    let glance = with_images(TestDb::postgres().await).await;
    for page_size in [1, 5, 1000] {
        for filter in ["", "tags:t AND properties.os = linux AND properties.n = 1 AND status = QUEUED"] {
            let request = ListImagesRequest { page_size, filter: filter.to_owned(), ..by("name") };
            let statements = statements_of(&glance, request).await;
            assert_eq!(statements.len(), 1, "{statements:?}");
            assert!(statements[0].contains("FROM image_records"), "{statements:?}");
        }
    }
}

#[tokio::test]
async fn a_property_filter_uses_its_index() {
    let glance = with_images(TestDb::postgres().await).await;
    let request = ListImagesRequest { filter: "properties.n = 7".to_owned(), ..by("name") };
    let statement = statements_of(&glance, request).await.remove(0);
    let plan = postgres_plan(&glance, &statement, &["n", "7", "7", "26"]).await;
    assert!(plan.contains("Scan using image_properties_by_value"), "{plan}");
    assert!(plan.contains("substr(value, 1, 255) = "), "by name and value: {plan}");
    let plan = sqlite_plan(&statement).await;
    assert!(plan.contains("INDEX image_properties_by_value (name=? AND <expr>=?"), "{plan}");
    assert!(!plan.contains("SCAN image_properties"), "{plan}");
}

#[tokio::test]
async fn a_tag_filter_uses_its_index() {
    let glance = with_images(TestDb::postgres().await).await;
    let request = ListImagesRequest { filter: "tags:t".to_owned(), ..by("name") };
    let statement = statements_of(&glance, request).await.remove(0);
    let plan = postgres_plan(&glance, &statement, &["t", "26"]).await;
    assert!(plan.contains("Scan using image_tags_by_tag"), "{plan}");
    assert!(sqlite_plan(&statement).await.contains("INDEX image_tags_by_tag (tag=?"));
}

#[tokio::test]
async fn a_later_page_starts_where_its_token_says() {
    let glance = with_images(TestDb::postgres().await).await;
    let first = ListImagesRequest { page_size: 5, ..Default::default() };
    let page_token = glance.list(first.clone()).await.unwrap().next_page_token;
    let statement = statements_of(&glance, ListImagesRequest { page_token, ..first }).await.remove(0);
    let plan = sqlite_plan(&statement).await;
    assert!(plan.contains("INDEX images_by_create_time (create_time<?)"), "{plan}");
    assert!(!plan.contains("SCAN images"), "{plan}");
    let (time, id) = ("2026-01-01", "6e1f4a52-5c5f-4c39-9d0c-6f7d0a3a4f11");
    let plan = postgres_plan(&glance, &statement, &[time, id, time, time, "6"]).await;
    assert!(plan.contains("using images_by_create_time"), "{plan}");
}
