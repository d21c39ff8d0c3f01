//! Lists of more images than are gathered, all registered at the same time.

use chassis::{
    db::{Db, Pools},
    on_both_databases,
    testing::TestDb,
};
use proto::glance::v1::{Image, ListImagesRequest};

use crate::{
    database::execute,
    schema::open,
    support::{Glance, by, named},
};

on_both_databases!(common_and_rare_properties_are_found_in_every_order);

/// An image and 2,100 copies of it, of which three have a rare property and a rare tag.
pub(crate) async fn with_copies(db: TestDb) -> Glance {
    let glance = Glance::start(db).await;
    glance.create(Image { owner: "owner".to_owned(), ..named("original") }).await.unwrap();
    multiply(&open(&glance.db).await).await;
    glance
}

/// Copies the image 2,100 times, as a program would that is older than the copies of `create_time`.
async fn multiply(db: &Db) {
    let copies = match db.pools().unwrap() {
        Pools::Sqlite { .. } => {
            "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 2100) \
             INSERT INTO images (id, name, status, visibility, owner, protected, disk_format, container_format, \
             min_ram, min_disk, checksum, revision, create_time, update_time) \
             SELECT printf('00000000-0000-4000-8000-%012d', n), printf('%04d', n), status, visibility, owner, \
             protected, disk_format, container_format, min_ram, min_disk, checksum, 1, create_time, update_time \
             FROM images CROSS JOIN n"
        }
        Pools::Postgres { .. } => {
            "INSERT INTO images (id, name, status, visibility, owner, protected, disk_format, container_format, \
             min_ram, min_disk, checksum, revision, create_time, update_time) \
             SELECT ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, lpad(n::text, 4, '0'), status, \
             visibility, owner, protected, disk_format, container_format, min_ram, min_disk, checksum, 1, \
             create_time, update_time FROM images CROSS JOIN generate_series(1, 2100) n"
        }
    };
    execute(db, copies).await;
    for statement in [
        "INSERT INTO image_properties (image_id, name, value) SELECT id, 'os', 'linux' FROM images",
        "INSERT INTO image_properties (image_id, name, value) \
         SELECT id, 'rare', 'yes' FROM images WHERE name IN ('0007', '0999', '2100')",
        "INSERT INTO image_tags (image_id, tag) SELECT id, 't' FROM images WHERE name <> 'original'",
        "INSERT INTO image_tags (image_id, tag) \
         SELECT id, 'rare' FROM images WHERE name IN ('0007', '0999', '2100')",
    ] {
        execute(db, statement).await;
    }
}

async fn common_and_rare_properties_are_found_in_every_order(db: TestDb) {
    let glance = with_copies(db).await;
    let all: Vec<_> = (1..=2100).map(|number| format!("{number:04}")).collect();
    let rare = ["0007", "0999", "2100"].map(str::to_owned);
    for (filter, expected) in [
        ("properties.os = linux AND tags:t", &all[..]),
        ("properties.os = linux AND properties.rare = yes", &rare),
        ("properties.os = linux AND tags:rare", &rare),
        ("properties.os = linux AND properties.rare = no", &[]),
    ] {
        // By time, all are equal: the id decides, as it does by status.
        for order in ["name", "id", "create_time", "status", "size, name", "name, create_time desc"] {
            let filter = filter.to_owned();
            let walked = glance.walk(ListImagesRequest { filter, ..by(order) }).await;
            let names: Vec<_> = walked.into_iter().map(|image| image.name).collect();
            assert_eq!(names, expected, "by {order}");
        }
    }
}
