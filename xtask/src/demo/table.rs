//! What the demo found, as a table: each property on its way from the image to a volume, to system metadata and back.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{IsTerminal as _, stdout},
};

use comfy_table::{Attribute, Cell, Color, ContentArrangement, Table, presets};
use common::{
    image::ImageMeta,
    system_metadata::{BASE_IMAGE_REF, IMAGE_PREFIX, image_from_system_metadata},
};
use proto::{cinder::v1::Volume, glance::v1::Image};

use super::flow::Journey;

/// Maximum length of a value shown, in characters.
const SHOWN: usize = 14;

/// The whole report.
pub(super) fn render(journey: &Journey) -> String {
    let Journey { registered, image, volume, instance, created } = journey;
    format!(
        "
 1  glance-svc registered image {} ({}) with {} properties
 2  UpdateImageProperties changed hw_disk_bus from {:?} to {:?}: revision {} → {}
 3  cinder-svc created a volume of it, {} GiB: {}
 4  nova-api-svc created {created} instances of it, flavor {}: {}
 5  what they remember, read back from the databases:

{}
    and {} more entries remember the flavor (instance_type_*): a snapshot will not inherit them
",
        image.id,
        image.name,
        image.properties.len(),
        registered.properties["hw_disk_bus"],
        image.properties["hw_disk_bus"],
        registered.revision,
        image.revision,
        volume.size_gib,
        volume.id,
        instance.flavor.as_ref().map(|flavor| flavor.name.as_str()).unwrap_or_default(),
        instance.name,
        table(journey),
        instance.system_metadata.keys().filter(|key| !key.starts_with(IMAGE_PREFIX)).count(),
    )
}

fn table(journey: &Journey) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Disabled);
    if !stdout().is_terminal() {
        table.force_no_tty();
    }
    let revision = journey.instance.image_revision;
    let heading = |text: String| Cell::new(text).add_attribute(Attribute::Bold);
    table.set_header([
        heading("property".to_owned()),
        heading(format!("image, rev. {revision}")),
        heading("volume".to_owned()),
        heading("system metadata".to_owned()),
        heading("value".to_owned()),
        heading("image again".to_owned()),
        heading("rule".to_owned()),
    ]);
    let of_image = of_image(&journey.image);
    let of_volume = of_volume(&journey.volume);
    let back = of_meta(&image_from_system_metadata(&journey.instance.system_metadata));
    let truncated: BTreeSet<_> = journey.instance.truncated_keys.iter().collect();
    for (key, value) in &journey.instance.system_metadata {
        let Some(name) = key.strip_prefix(IMAGE_PREFIX) else { continue };
        let before = of_image.get(name);
        let rule = rule(key, before, value, truncated.contains(key));
        table.add_row([
            Cell::new(name),
            cell(before),
            cell(of_volume.get(name)),
            Cell::new(key).fg(Color::Cyan),
            Cell::new(shown(value)).fg(Color::Cyan),
            cell(back.get(name)),
            Cell::new(rule).fg(Color::Yellow),
        ]);
    }
    table
}

fn cell(value: Option<&String>) -> Cell {
    Cell::new(value.map_or_else(|| "—".to_owned(), |value| shown(value)))
}

fn rule(key: &str, before: Option<&String>, value: &String, truncated: bool) -> String {
    let length = before.map_or(0, |before| before.chars().count());
    match (key, before) {
        _ if truncated => format!("first 255 of {length} characters"),
        (BASE_IMAGE_REF, None) => "defaults to the image".to_owned(),
        ("image_min_disk", Some(before)) if before != value => {
            format!("flavor's is more than {before}")
        }
        (_, Some(before)) if before == value => String::new(),
        _ => "changed".to_owned(),
    }
}

/// Properties and the four inheritable base attributes, by name.
fn of_image(image: &Image) -> BTreeMap<String, String> {
    of_meta(&ImageMeta {
        properties: image.properties.clone(),
        min_ram: Some(image.min_ram),
        min_disk: Some(image.min_disk),
        disk_format: Some(image.disk_format.clone()),
        container_format: Some(image.container_format.clone()),
    })
}

/// The same of what a volume remembers.
fn of_volume(volume: &Volume) -> BTreeMap<String, String> {
    let image = volume.image.clone().unwrap_or_default();
    of_meta(&ImageMeta {
        properties: volume.image_properties.clone(),
        min_ram: Some(image.min_ram),
        min_disk: Some(image.min_disk),
        disk_format: Some(image.disk_format),
        container_format: Some(image.container_format),
    })
}

fn of_meta(image: &ImageMeta) -> BTreeMap<String, String> {
    let attributes = [
        ("min_ram", image.min_ram.map(|value| value.to_string())),
        ("min_disk", image.min_disk.map(|value| value.to_string())),
        ("disk_format", image.disk_format.clone()),
        ("container_format", image.container_format.clone()),
    ];
    let attributes = attributes.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    image.properties.clone().into_iter().chain(attributes).collect()
}

fn shown(value: &str) -> String {
    if value.chars().count() <= SHOWN {
        return value.to_owned();
    }
    let beginning: String = value.chars().take(SHOWN - 1).collect();
    format!("{beginning}…")
}
