//! Images: base attributes, and properties beside them.

use common::{image::properties::COUNT_LIMIT, text::NAME_LIMIT};
use serde_json::{Map, Value, json};

use super::{PRINTABLE, reference};
use crate::{
    http::attribute::{self, Name},
    image::{CONTAINER_FORMATS, DISK_FORMATS, TAG_LIMIT},
};

/// An image as it is shown.
pub(super) fn shown() -> Value {
    let attributes: Map<_, _> = attributes().collect();
    let names: Vec<_> = attributes.keys().collect();
    json!({
        "type": "object",
        "description": "An image: base attributes, and its properties beside them.",
        "required": names,
        "properties": attributes,
        "additionalProperties": {"$ref": "#/components/schemas/PropertyValue"},
    })
}

/// An image as it is registered: with the attributes that callers set.
pub(super) fn new() -> Value {
    let is_settable = |name: &str| name == "id" || matches!(attribute::name(name), Name::Attribute(_));
    let attributes: Map<_, _> = attributes().filter(|(name, _)| is_settable(name)).collect();
    json!({
        "type": "object",
        "description": format!(
            "An image to register. At most {COUNT_LIMIT} properties, each with a name of 1 to {NAME_LIMIT} characters \
             that is not that of a base attribute and does not start with os_glance.",
        ),
        "properties": attributes,
        "additionalProperties": {"$ref": "#/components/schemas/PropertyValue"},
    })
}

/// Every base attribute, with its name.
fn attributes() -> impl Iterator<Item = (String, Value)> {
    let attributes = described().into_iter().chain(of_data()).chain(of_service());
    attributes.map(|(name, schema)| (name.to_owned(), schema))
}

/// What callers say of an image.
fn described() -> [(&'static str, Value); 11] {
    let disk = "Format of the disk. Fixed once there are data.";
    let container = "Format of what contains the disk; ami, ari and aki need the same in both formats. Fixed once \
                     there are data.";
    let tags = json!({
        "type": "array",
        "items": {"$ref": "#/components/schemas/Tag"},
        "maxItems": TAG_LIMIT,
        "description": "Its tags.",
    });
    [
        ("id", reference("ImageId", "Its id; when it is registered without one, it gets a new one.")),
        ("name", name("Its name; need not be unique.")),
        ("visibility", json!({"$ref": "#/components/schemas/Visibility"})),
        ("owner", name("The project that owns it. Only operators choose it.")),
        ("protected", described_as("boolean", "Whether it cannot be deleted.")),
        ("os_hidden", described_as("boolean", "Whether lists leave it out.")),
        ("disk_format", one_of(&DISK_FORMATS, disk)),
        ("container_format", one_of(&CONTAINER_FORMATS, container)),
        ("min_ram", amount("Memory that an instance needs, in MiB.")),
        ("min_disk", amount("Root disk that an instance needs, in GiB.")),
        ("tags", tags),
    ]
}

/// What the service finds out about the data.
fn of_data() -> [(&'static str, Value); 5] {
    [
        ("size", bytes("Size of its data, in bytes.")),
        ("virtual_size", bytes("Size of the disk that its data describe, in bytes.")),
        ("checksum", short(32, "MD5 of its data, in hexadecimal.")),
        ("os_hash_algo", short(64, "Algorithm of `os_hash_value`.")),
        ("os_hash_value", short(128, "Hash of its data, in hexadecimal.")),
    ]
}

/// What the service says of an image.
fn of_service() -> [(&'static str, Value); 6] {
    [
        ("status", json!({"$ref": "#/components/schemas/Status"})),
        ("created_at", time("When it was registered.")),
        ("updated_at", time("When it last changed.")),
        ("self", described_as("string", "Path of the image.")),
        ("file", described_as("string", "Path of its data.")),
        ("schema", described_as("string", "Path of the schema of images.")),
    ]
}

fn described_as(kind: &str, description: &str) -> Value {
    json!({"type": kind, "description": description})
}

fn name(description: &str) -> Value {
    json!({
        "type": ["string", "null"],
        "maxLength": NAME_LIMIT,
        "pattern": PRINTABLE,
        "description": description,
    })
}

fn one_of(known: &[&str], description: &str) -> Value {
    let values: Vec<_> = known.iter().map(|known| json!(known)).chain([Value::Null]).collect();
    json!({"type": ["string", "null"], "enum": values, "description": description})
}

fn amount(description: &str) -> Value {
    json!({"type": "integer", "minimum": 0, "maximum": i32::MAX, "description": description})
}

fn bytes(description: &str) -> Value {
    json!({"type": ["integer", "null"], "format": "int64", "minimum": 0, "description": description})
}

fn short(most: usize, description: &str) -> Value {
    json!({"type": ["string", "null"], "maxLength": most, "description": description})
}

fn time(description: &str) -> Value {
    json!({"type": "string", "format": "date-time", "description": description})
}
