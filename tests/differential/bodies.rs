//! Random images, and random patches of them.

use serde_json::{Map, Value, json};

use crate::dice::Dice;

/// Attributes and properties, with the values to try: one of each is valid.
fn values(name: &str) -> Vec<Value> {
    let long = "x".repeat(256);
    match name {
        "name" => vec![
            json!("a"),
            json!("b"),
            json!("c: d"),
            json!("ä,\"e\""),
            json!(""),
            json!(null),
            json!(long),
            json!(1),
        ],
        "disk_format" => ["raw", "raw", "qcow2", "iso", "ami", "aki", "", "nope"]
            .map(|format| json!(format))
            .into_iter()
            .chain([json!(null), json!(1)])
            .collect(),
        "container_format" => ["bare", "bare", "ovf", "ova", "ami", "docker", "", "nope"]
            .map(|format| json!(format))
            .into_iter()
            .chain([json!(null)])
            .collect(),
        "min_disk" | "min_ram" => {
            vec![
                json!(0),
                json!(1),
                json!(7),
                json!(1.0),
                json!(1e3),
                json!(1.5),
                json!(-1),
                json!("1"),
                json!(null),
                json!(true),
                json!(2_147_483_648_u64),
            ]
        }
        "visibility" => vec![
            json!("private"),
            json!("shared"),
            json!("shared"),
            json!("community"),
            json!("public"),
            json!("nope"),
            json!(null),
        ],
        "protected" | "os_hidden" => {
            vec![json!(true), json!(false), json!(false), json!("true"), json!(null)]
        }
        "tags" => vec![
            json!([]),
            json!(["x"]),
            json!(["y", "x", "y"]),
            json!(["x", ""]),
            json!([1]),
            json!("x"),
            json!([long]),
            json!(null),
        ],
        "owner" => vec![json!("p"), json!("q"), json!(""), json!(null), json!(1)],
        _ => vec![
            json!("v"),
            json!("w"),
            json!("v"),
            json!(""),
            json!("ä\u{1F980}"),
            json!("x".repeat(300)),
            json!(1),
            json!(true),
            json!(null),
            json!([]),
            json!({}),
        ],
    }
}

/// What callers set.
const ATTRIBUTES: [&str; 9] =
    ["name", "name", "min_disk", "min_ram", "visibility", "protected", "os_hidden", "tags", "owner"];

const FORMATS: [&str; 2] = ["disk_format", "container_format"];

/// Names of properties, and some invalid ones.
const PROPERTIES: [&str; 23] = [
    "k0",
    "k1",
    "k2",
    "k3",
    "k0",
    "k1",
    "hw disk",
    "size_min",
    "is_public",
    "properties",
    "revision",
    "etag",
    "create_time",
    "update_time",
    "stores",
    "delete",
    "base",
    "os_glance_x",
    "location",
    "deleted",
    "members",
    "a/b",
    "a~b",
];

/// Attributes that only the service sets.
const READ_ONLY: [&str; 14] = [
    "status",
    "size",
    "checksum",
    "created_at",
    "updated_at",
    "self",
    "file",
    "schema",
    "virtual_size",
    "os_hash_algo",
    "os_hash_value",
    "direct_url",
    "id",
    "locations",
];

/// The body of a POST; most of its values are valid.
pub(crate) fn image(dice: &mut Dice, id: Option<&str>) -> Value {
    let mut image = Map::new();
    if let Some(id) = id {
        image.insert("id".into(), json!(id));
    }
    for name in FORMATS {
        if dice.percent(80) {
            image.insert(name.into(), value(dice, name));
        }
    }
    for _ in 0..dice.below(5) {
        let name = name(dice);
        image.insert(name.into(), value(dice, name));
    }
    Value::Object(image)
}

fn name(dice: &mut Dice) -> &'static str {
    match dice.below(100) {
        0..50 => dice.word(&ATTRIBUTES),
        50..97 => dice.word(&PROPERTIES),
        _ => dice.word(&READ_ONLY),
    }
}

fn value(dice: &mut Dice, name: &str) -> Value {
    let values = values(name);
    // The first two are valid.
    if dice.percent(75) { values[dice.below(2)].clone() } else { dice.pick(&values).clone() }
}

/// The media type and the body of a PATCH.
pub(crate) fn patch(dice: &mut Dice) -> (&'static str, Value) {
    let is_new = dice.percent(85);
    let operations: Vec<_> = (0..=dice.below(3)).map(|_| operation(dice, is_new)).collect();
    let body = if dice.percent(2) { json!({}) } else { Value::Array(operations) };
    let media_type = match (is_new, dice.percent(2)) {
        (_, true) => "application/json",
        (true, _) => "application/openstack-images-v2.1-json-patch",
        (false, _) => "application/openstack-images-v2.0-json-patch",
    };
    (media_type, body)
}

fn operation(dice: &mut Dice, is_new: bool) -> Value {
    let name = if dice.percent(8) { dice.word(&FORMATS) } else { name(dice) };
    let verb = dice.word(&["add", "replace", "replace", "remove", "add"]);
    let verb = if dice.percent(1) { "test" } else { verb };
    let path = match dice.below(60) {
        0 => format!("/{name}/x"),
        1 => name.to_owned(),
        2 => "/".to_owned(),
        3 => format!("/{name}~2"),
        4 => format!("/ {name} "),
        _ => format!("/{}", name.replace('~', "~0").replace('/', "~1")),
    };
    let mut operation = Map::new();
    if is_new {
        operation.insert("op".into(), json!(verb));
        operation.insert("path".into(), json!(path));
    } else {
        operation.insert(verb.into(), json!(path));
    }
    if verb != "remove" && !dice.percent(2) {
        operation.insert("value".into(), value(dice, name));
    }
    Value::Object(operation)
}
