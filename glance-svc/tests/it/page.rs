//! `ListImages`: order and pages.

use std::cmp::Ordering;

use chassis::{on_both_databases, testing::TestDb};
use proto::glance::v1::{Image, ListImagesRequest};

use crate::support::{DEFAULT_QUOTA, Glance, by, named, serve};

on_both_databases!(
    sorts_by_each_key_in_both_directions,
    sorts_by_two_keys_in_mixed_directions,
    sorts_text_by_its_bytes,
    shows_the_newest_first_unless_told_otherwise,
    walks_without_gap_or_repetition,
    walks_a_filtered_list,
    is_not_disturbed_by_new_images,
    is_not_disturbed_by_deleted_images,
    gives_25_images_unless_told_otherwise,
    gives_1000_images_at_most,
    an_exact_page_has_no_successor,
    pages_of_huge_images_stay_small,
    an_empty_list_is_one_empty_page,
    pages_go_on_at_another_server,
);

const KEYS: [&str; 8] =
    ["name", "status", "disk_format", "container_format", "size", "id", "create_time", "update_time"];

/// Thirty-six images with many equal attributes.
async fn many(glance: &Glance) -> Vec<Image> {
    let mut images = Vec::new();
    for number in 0..36_usize {
        let image = Image {
            disk_format: ["", "raw", "iso"][number % 3].to_owned(),
            container_format: ["bare", "ovf"][number % 2].to_owned(),
            size: [None, Some(0), Some(5), Some(10)][number / 2 % 4],
            tags: vec![["even", "odd"][number % 2].to_owned()],
            ..named(["b", "a", "B", "é", "aa"][number % 5])
        };
        images.push(glance.create(image).await.unwrap());
    }
    for image in images.iter_mut().step_by(7) {
        *image = glance.set(&image.id, &[("touched", "")]).await.unwrap();
    }
    images
}

fn compare(key: &str, a: &Image, b: &Image) -> Ordering {
    let time = |time: &Option<prost_types::Timestamp>| time.map(|time| (time.seconds, time.nanos));
    let status = |image: &Image| image.status().as_str_name().to_ascii_lowercase();
    match key {
        "name" => a.name.cmp(&b.name),
        "status" => status(a).cmp(&status(b)),
        "disk_format" => a.disk_format.cmp(&b.disk_format),
        "container_format" => a.container_format.cmp(&b.container_format),
        "size" => a.size.cmp(&b.size),
        "id" => a.id.cmp(&b.id),
        "create_time" => time(&a.create_time).cmp(&time(&b.create_time)),
        _ => time(&a.update_time).cmp(&time(&b.update_time)),
    }
}

/// The images in that order, each key `true` if it is descending.
pub(crate) fn sorted(images: &[Image], keys: &[(&str, bool)]) -> Vec<Image> {
    let mut images = images.to_vec();
    let last = keys.last().is_some_and(|(_, descending)| *descending);
    images.sort_by(|a, b| {
        let directed =
            |ordering: Ordering, descending| if descending { ordering.reverse() } else { ordering };
        let ordering = keys.iter().map(|(key, descending)| directed(compare(key, a, b), *descending));
        ordering.fold(Ordering::Equal, Ordering::then).then(directed(a.id.cmp(&b.id), last))
    });
    images
}

async fn sorts_by_each_key_in_both_directions(db: TestDb) {
    let glance = Glance::start(db).await;
    let images = many(&glance).await;
    for key in KEYS {
        for (suffix, descending) in [("", false), (" asc", false), (" desc", true)] {
            let listed = glance.list(by(&format!("{key}{suffix}"))).await.unwrap().images;
            assert_eq!(listed, sorted(&images, &[(key, descending)]), "{key}{suffix}");
        }
    }
}

async fn sorts_by_two_keys_in_mixed_directions(db: TestDb) {
    let glance = Glance::start(db).await;
    let images = many(&glance).await;
    for first in ["name", "size", "disk_format", "id"] {
        for second in KEYS.into_iter().filter(|key| *key != first) {
            let expected = sorted(&images, &[(first, true), (second, false)]);
            let order = format!(" {first}  desc ,{second} asc ");
            assert_eq!(glance.list(by(&order)).await.unwrap().images, expected, "{order}");
            assert_eq!(glance.walk(ListImagesRequest { page_size: 5, ..by(&order) }).await, expected);
            let expected = sorted(&images, &[(first, false), (second, true)]);
            let order = format!("{first},{second} desc");
            assert_eq!(glance.walk(ListImagesRequest { page_size: 5, ..by(&order) }).await, expected);
        }
    }
}

async fn sorts_text_by_its_bytes(db: TestDb) {
    let glance = Glance::start(db).await;
    let mut names = [
        "a", "B", "b", "A", "ä", "Z", "z", "ß", "é", "e\u{301}", "名", "🦀", "\u{ffff}", "-", "_", "a b",
        "ab", "a-b", "10", "9", "~",
    ];
    for name in names {
        glance.named(name).await;
    }
    names.sort_unstable();
    assert_eq!(glance.find("").await, names);
    let walked = glance.walk(ListImagesRequest { page_size: 2, ..by("name desc") }).await;
    names.reverse();
    assert_eq!(walked.into_iter().map(|image| image.name).collect::<Vec<_>>(), names);
}

async fn shows_the_newest_first_unless_told_otherwise(db: TestDb) {
    let glance = Glance::start(db).await;
    let images = many(&glance).await;
    assert_eq!(glance.list(by("")).await.unwrap().images, sorted(&images, &[("create_time", true)]));
}

async fn walks_without_gap_or_repetition(db: TestDb) {
    let glance = Glance::start(db).await;
    let images = many(&glance).await;
    for (key, order) in KEYS.iter().flat_map(|key| [(key, (*key).to_owned()), (key, format!("{key} desc"))]) {
        let expected = sorted(&images, &[(key, order.ends_with("desc"))]);
        for page_size in 1..=7 {
            let walked = glance.walk(ListImagesRequest { page_size, ..by(&order) }).await;
            assert_eq!(walked, expected, "{order} in pages of {page_size}");
        }
    }
}

async fn walks_a_filtered_list(db: TestDb) {
    let glance = Glance::start(db).await;
    let images = many(&glance).await;
    let odd: Vec<_> = images.into_iter().filter(|image| image.tags == ["odd"]).collect();
    for page_size in [1, 4, 18, 19] {
        let request = ListImagesRequest { page_size, filter: "tags:odd".to_owned(), ..by("size desc,name") };
        assert_eq!(glance.walk(request).await, sorted(&odd, &[("size", true), ("name", false)]));
    }
}

async fn is_not_disturbed_by_new_images(db: TestDb) {
    let glance = Glance::start(db).await;
    let images = many(&glance).await;
    for order in ["name", "name desc", "size,name desc"] {
        let mut request = ListImagesRequest { page_size: 7, ..by(order) };
        let mut walked = Vec::new();
        loop {
            let page = glance.list(request.clone()).await.unwrap();
            walked.extend(page.images.into_iter().filter(|image| images.contains(image)));
            for name in ["", "a", "aa", "zz"].map(|end| format!("!{end}")).iter().chain([&"~".to_owned()]) {
                glance.named(name).await;
            }
            if page.next_page_token.is_empty() {
                break;
            }
            request.page_token = page.next_page_token;
        }
        let keys: &[_] = match order {
            "name" => &[("name", false)],
            "name desc" => &[("name", true)],
            _ => &[("size", false), ("name", true)],
        };
        assert_eq!(walked, sorted(&images, keys), "{order}");
    }
}

async fn is_not_disturbed_by_deleted_images(db: TestDb) {
    let glance = Glance::start(db).await;
    let images = sorted(&many(&glance).await, &[("name", false)]);
    let page = glance.list(ListImagesRequest { page_size: 7, ..by("name") }).await.unwrap();
    // The image that the token stands for, one before it, and the next one.
    for gone in [&images[6], &images[2], &images[7]] {
        glance.delete(&gone.id, "").await.unwrap();
    }
    let rest = glance.walk(ListImagesRequest { page_token: page.next_page_token, ..by("name") }).await;
    assert_eq!(rest, images[8..]);
}

async fn gives_25_images_unless_told_otherwise(db: TestDb) {
    let glance = Glance::start(db).await;
    many(&glance).await;
    let page = glance.list(ListImagesRequest::default()).await.unwrap();
    assert_eq!(page.images.len(), 25);
    let request = ListImagesRequest { page_token: page.next_page_token, ..Default::default() };
    let page = glance.list(request).await.unwrap();
    assert_eq!((page.images.len(), page.next_page_token.as_str()), (11, ""));
}

async fn gives_1000_images_at_most(db: TestDb) {
    let glance = Glance::start(db).await;
    for _ in 0..1003 {
        glance.named("cirros").await;
    }
    for page_size in [1000, 1001, i32::MAX] {
        let page = glance.list(ListImagesRequest { page_size, ..by("name") }).await.unwrap();
        assert_eq!(page.images.len(), 1000);
        assert!(!page.next_page_token.is_empty());
    }
    assert_eq!(glance.walk(by("name")).await.len(), 1003);
}

async fn an_exact_page_has_no_successor(db: TestDb) {
    let glance = Glance::start(db).await;
    let images = many(&glance).await;
    let page = glance.list(ListImagesRequest { page_size: 36, ..by("name") }).await.unwrap();
    assert_eq!((page.images.len(), page.next_page_token.as_str()), (images.len(), ""));
}

async fn pages_of_huge_images_stay_small(db: TestDb) {
    let glance = Glance::start(db).await;
    let value = "x".repeat(65_535);
    // A client takes 4 MiB; each of these has 1.3 MB.
    for name in ["a", "b", "c", "d", "e"] {
        let properties = (0..20).map(|number| (format!("k{number}"), value.clone())).collect();
        glance.create(Image { properties, ..named(name) }).await.unwrap();
    }
    let first = glance.list(by("name")).await.unwrap();
    assert!((2..5).contains(&first.images.len()), "{} images", first.images.len());
    assert!(!first.next_page_token.is_empty());
    let walked = glance.walk(by("name")).await;
    let names: Vec<_> = walked.iter().map(|image| image.name.as_str()).collect();
    assert_eq!(names, ["a", "b", "c", "d", "e"]);
    assert!(walked.iter().all(|image| image.properties.len() == 20));
}

async fn an_empty_list_is_one_empty_page(db: TestDb) {
    let glance = Glance::start(db).await;
    let page = glance.list(ListImagesRequest::default()).await.unwrap();
    assert_eq!((page.images.len(), page.next_page_token.as_str()), (0, ""));
}

async fn pages_go_on_at_another_server(db: TestDb) {
    let glance = Glance::start(db).await;
    let images = many(&glance).await;
    let first = glance.list(ListImagesRequest { page_size: 30, ..by("name") }).await.unwrap();
    let other = crate::support::connect(serve(&glance.db.url, DEFAULT_QUOTA).await).await;
    let mut other = proto::glance::v1::image_service_client::ImageServiceClient::new(other);
    let request = ListImagesRequest { page_token: first.next_page_token, ..by("name") };
    let rest = other.list_images(request).await.unwrap().into_inner();
    assert_eq!(rest.images, sorted(&images, &[("name", false)])[30..]);
}
