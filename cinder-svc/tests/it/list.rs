//! Lists of volumes: filters, orders and pages.

use chassis::{on_both_databases, testing::TestDb};
use peers::testing::glance::map;
use proto::{
    cinder::v1::{CreateVolumeRequest, ListVolumesRequest, ListVolumesResponse, Volume, VolumeView},
    glance::v1::Image,
};
use tonic::{Code, Status};

use crate::support::{
    Cinder, as_admin, as_alice, as_reader, as_stranger, assert_error, assert_violation, from_image, made_as,
};

on_both_databases!(
    each_condition_selects,
    conditions_are_combined,
    a_long_value_is_compared_as_a_whole,
    pages_hold_every_volume_once,
    pages_of_many_records_are_merged,
    a_token_belongs_to_its_list,
    what_is_wrong_with_a_list_is_told,
    only_operators_list_all_projects,
    the_basic_view_leaves_out_what_is_large,
);

async fn list(cinder: &Cinder, filter: &str) -> Result<ListVolumesResponse, Status> {
    let request = ListVolumesRequest { filter: filter.to_owned(), page_size: 1000, ..Default::default() };
    Ok(cinder.volumes().list_volumes(as_alice(request)).await?.into_inner())
}

/// The names of the volumes that a filter selects, for their owner and for an admin.
async fn names(cinder: &Cinder, filter: &str) -> Vec<String> {
    let names = |volumes: Vec<Volume>| -> Vec<String> {
        let mut names: Vec<_> = volumes.into_iter().map(|volume| volume.name).collect();
        names.sort();
        names
    };
    let own = names(list(cinder, filter).await.unwrap().volumes);
    let request = ListVolumesRequest {
        filter: filter.to_owned(),
        page_size: 1000,
        all_projects: true,
        ..Default::default()
    };
    let all = cinder.volumes().list_volumes(as_admin(request)).await.unwrap().into_inner();
    assert_eq!(names(all.volumes), own, "{filter}");
    own
}

async fn three(cinder: &Cinder) -> (Image, Vec<Volume>) {
    let image = cinder.glance.with(&[("hw_disk_bus", "scsi"), ("trait:X", "required")]);
    let mut volumes = Vec::new();
    for (name, size, property) in [("a", 1, "1"), ("b", 2, "2"), ("c", 2, "2")] {
        let request = CreateVolumeRequest {
            name: name.to_owned(),
            size_gib: Some(size),
            image_properties: map(&[("p", property)]),
            metadata: map(&[("owner", name)]),
            ..from_image(&image)
        };
        volumes.push(cinder.create(request).await.unwrap());
    }
    let blank = CreateVolumeRequest { name: "d".to_owned(), size_gib: Some(3), ..Default::default() };
    volumes.push(cinder.create(blank).await.unwrap());
    (image, volumes)
}

async fn each_condition_selects(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let (image, volumes) = three(&cinder).await;
    let quoted = |name: &str, value: &str| format!("{name} = \"{value}\"");
    for (filter, expected) in [
        (String::new(), "a b c d"),
        ("name = a".to_owned(), "a"),
        ("status = AVAILABLE".to_owned(), "a b c d"),
        ("status = ERROR".to_owned(), ""),
        ("bootable = true".to_owned(), "a b c"),
        ("bootable = false".to_owned(), "d"),
        ("size_gib = 2".to_owned(), "b c"),
        ("volume_type = __DEFAULT__".to_owned(), "a b c d"),
        (quoted("volume_type", &volumes[0].volume_type_id), "a b c d"),
        ("volume_type = ssd".to_owned(), ""),
        ("availability_zone = nova".to_owned(), "a b c d"),
        ("project_id = demo".to_owned(), "a b c d"),
        ("user_id = alice".to_owned(), "a b c d"),
        (quoted("image_id", &image.id), "a b c"),
        ("image_revision = 1".to_owned(), "a b c"),
        ("image_revision = 2".to_owned(), ""),
        ("task_state = NONE".to_owned(), "a b c d"),
        ("task_state = CREATING".to_owned(), ""),
        (quoted("instance_id", &image.id), ""),
        ("metadata.owner = b".to_owned(), "b"),
        ("image_properties.hw_disk_bus = scsi".to_owned(), "a b c"),
        ("image_properties.hw_disk_bus = scs".to_owned(), ""),
        (r#"image_properties."trait:X" = "required""#.to_owned(), "a b c"),
        ("image_properties.p = 2".to_owned(), "b c"),
    ] {
        assert_eq!(names(&cinder, &filter).await.join(" "), expected, "{filter}");
    }
}

async fn conditions_are_combined(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let (image, _) = three(&cinder).await;
    let filter = format!("image_id = \"{}\" AND image_properties.p = 2 AND metadata.owner = c", image.id);
    assert_eq!(names(&cinder, &filter).await, ["c"]);
    assert_eq!(names(&cinder, "image_properties.p = 2 AND size_gib = 1").await.len(), 0);
}

async fn a_long_value_is_compared_as_a_whole(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let value = |end: &str| format!("{}{end}", "é".repeat(254));
    for end in ["x", "xy", "y"] {
        let request = CreateVolumeRequest {
            name: end.to_owned(),
            size_gib: Some(1),
            image_properties: map(&[("long", &value(end))]),
            ..Default::default()
        };
        cinder.create(request).await.unwrap();
    }
    for end in ["x", "xy", "y"] {
        let filter = format!("image_properties.long = \"{}\"", value(end));
        assert_eq!(names(&cinder, &filter).await, [end]);
    }
}

/// All volumes of a list, page by page.
async fn walk(cinder: &Cinder, mut request: ListVolumesRequest) -> Vec<String> {
    let mut names = Vec::new();
    loop {
        let page = cinder.volumes().list_volumes(as_admin(request.clone())).await.unwrap().into_inner();
        assert!(page.volumes.len() <= usize::try_from(request.page_size).unwrap());
        names.extend(page.volumes.into_iter().map(|volume| volume.name));
        if page.next_page_token.is_empty() {
            return names;
        }
        request.page_token = page.next_page_token;
    }
}

async fn pages_hold_every_volume_once(db: TestDb) {
    let cinder = Cinder::start(db).await;
    three(&cinder).await;
    for (order_by, expected) in [
        ("", "d c b a"),
        ("create_time", "a b c d"),
        ("name desc", "d c b a"),
        ("size_gib desc, name", "d b c a"),
        ("status, id", "a b c d"),
    ] {
        let request = ListVolumesRequest {
            order_by: order_by.to_owned(),
            page_size: 1,
            all_projects: true,
            ..Default::default()
        };
        assert_eq!(walk(&cinder, request).await.join(" "), expected, "{order_by}");
    }
}

async fn pages_of_many_records_are_merged(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let mut expected = Vec::new();
    for number in 0..12 {
        let image = cinder.glance.with(&[("hw_disk_bus", "scsi"), ("n", &(number % 5).to_string())]);
        let name = format!("v{number:02}");
        let request = CreateVolumeRequest { name: name.clone(), ..from_image(&image) };
        cinder.create(request).await.unwrap();
        expected.insert(0, name);
    }
    for page_size in [1, 5, 12] {
        let request = ListVolumesRequest {
            filter: "image_properties.hw_disk_bus = scsi".to_owned(),
            page_size,
            all_projects: true,
            ..Default::default()
        };
        assert_eq!(walk(&cinder, request).await, expected);
    }
}

async fn a_token_belongs_to_its_list(db: TestDb) {
    let cinder = Cinder::start(db).await;
    three(&cinder).await;
    let first = ListVolumesRequest { page_size: 1, ..Default::default() };
    let token = cinder.volumes().list_volumes(as_alice(first.clone())).await.unwrap().into_inner();
    let next = ListVolumesRequest { page_token: token.next_page_token, ..first };
    cinder.volumes().list_volumes(as_reader(next.clone())).await.unwrap();
    let other = ListVolumesRequest { filter: "name = a".to_owned(), ..next.clone() };
    let refused = cinder.volumes().list_volumes(as_alice(other)).await.unwrap_err();
    assert_violation(&refused, "page_token", "");
    let refused = cinder.volumes().list_volumes(as_stranger(next)).await.unwrap_err();
    assert_violation(&refused, "page_token", "");
}

async fn what_is_wrong_with_a_list_is_told(db: TestDb) {
    let cinder = Cinder::start(db).await;
    for filter in [
        "nme = a",
        "status = BROKEN",
        "bootable = maybe",
        "size_gib = big",
        "image_id = ubuntu",
        "task_state = SLEEPING",
        "metadata = a",
        "name > a",
        "name = a AND",
    ] {
        assert_violation(&list(&cinder, filter).await.unwrap_err(), "filter", "");
    }
    for (order_by, field) in [("colour", "order_by"), ("name up", "order_by")] {
        let request = ListVolumesRequest { order_by: order_by.to_owned(), ..Default::default() };
        let refused = cinder.volumes().list_volumes(as_alice(request)).await.unwrap_err();
        assert_violation(&refused, field, "");
    }
}

async fn only_operators_list_all_projects(db: TestDb) {
    let cinder = Cinder::start(db).await;
    cinder.blank("tea", 1, "").await.unwrap();
    assert_eq!(list(&cinder, "").await.unwrap().volumes.len(), 0);
    assert_eq!(list(&cinder, "project_id = tea").await.unwrap().volumes.len(), 0);
    let all = || ListVolumesRequest { all_projects: true, ..Default::default() };
    let refused = cinder.volumes().list_volumes(as_alice(all())).await.unwrap_err();
    assert_error(&refused, Code::PermissionDenied, "NOT_PERMITTED");
    for roles in ["admin", "service"] {
        let request = made_as("root", "services", roles, all());
        let listed = cinder.volumes().list_volumes(request).await.unwrap().into_inner();
        assert_eq!(listed.volumes.len(), 1);
    }
}

async fn the_basic_view_leaves_out_what_is_large(db: TestDb) {
    let cinder = Cinder::start(db).await;
    three(&cinder).await;
    let request = ListVolumesRequest { view: VolumeView::Basic.into(), ..Default::default() };
    let listed = cinder.volumes().list_volumes(as_alice(request)).await.unwrap().into_inner();
    for volume in listed.volumes {
        assert!(volume.image_properties.is_empty() && volume.metadata.is_empty());
        assert_eq!(volume.image.is_some(), volume.name != "d");
    }
}
