//! What is in bodies, where no type says so: an image is made and read member by member, since its properties stand
//! beside its base attributes.

use common::{image::properties::VALUE_LIMIT, text::NAME_LIMIT};
use serde_json::{Map, Value, json};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema},
};

use crate::image::{self as images, member::MemberStatus as Answers};

mod image;

/// Text without control characters.
const PRINTABLE: &str = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$";

/// Defines types that stand for schemas.
macro_rules! schemas {
    ($($name:ident => $schema:expr;)+) => {$(
        pub(in crate::http) struct $name;

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                serde_json::from_value($schema).expect("it is a schema")
            }
        }

        impl ToSchema for $name {}
    )+};
}

schemas! {
    ImageId => json!({
        "type": "string",
        "format": "uuid",
        "description": "Id of an image.",
        "examples": ["6e1f4a52-5c5f-4c39-9d0c-6f7d0a3a4f11"],
    });
    MemberId => name("Id of a project.", "demo");
    Tag => name("A word to find images by.", "lts");
    Status => one_of(images::Status::ALL.iter().map(|status| status.as_str()), "Where it stands.");
    Visibility => one_of(
        images::Visibility::ALL.iter().map(|visibility| visibility.as_str()),
        "Who may see it: everybody, everybody who knows its id, its owner and its members, or its owner alone. Only \
         operators publish.",
    );
    MemberStatus => one_of(
        Answers::ALL.iter().map(|status| status.as_str()),
        "What the project says to the image.",
    );
    PropertyValue => json!({
        "type": "string",
        "maxLength": VALUE_LIMIT,
        "pattern": "^[^\\u0000]*$",
        "description": format!("Value of a property, at most {VALUE_LIMIT} bytes."),
    });
    Image => image::shown();
    NewImage => image::new();
    Patch21 => patch_21();
    Patch20 => patch_20();
    Etag => json!({"type": "string", "pattern": "^\".*\"$", "description": "Names this state of the resource."});
    Data => json!({"type": "string", "format": "binary"});
    Checksum => json!({
        "type": "string",
        "pattern": "^[0-9a-f]{32}$",
        "description": "MD5 of all data, in hexadecimal.",
    });
    Health => json!({"type": "string", "enum": ["OK"]});
    Bytes => json!({"type": "string", "enum": ["bytes"], "description": "Parts can be asked for in bytes."});
    ContentRange => json!({
        "type": "string",
        "pattern": "^bytes [0-9]+-[0-9]+/[0-9]+$",
        "description": "Which bytes these are, of how many.",
    });
    JsonSchema => json!({
        "type": "object",
        "required": ["name", "properties"],
        "properties": {
            "name": {"type": "string"},
            "properties": {"type": "object"},
            "links": {"type": "array", "items": {"type": "object"}},
        },
    });
    NewMember => json!({
        "type": "object",
        "required": ["member"],
        "properties": {"member": reference("MemberId", "The project.")},
    });
    NewMemberStatus => json!({
        "type": "object",
        "required": ["status"],
        "properties": {"status": reference("MemberStatus", "What the project says to the image.")},
    });
    Import => json!({
        "type": "object",
        "properties": {"method": {"type": "object", "properties": {"name": {"type": "string"}}}},
    });
    ImportMethods => json!({
        "type": "object",
        "required": ["import-methods"],
        "properties": {"import-methods": {
            "type": "object",
            "required": ["value"],
            "properties": {"description": {"type": "string"}, "type": {"type": "string"}, "value": nothing()},
        }},
    });
    Usage => json!({
        "type": "object",
        "required": ["usage"],
        "properties": {"usage": {"type": "object", "maxProperties": 0}},
    });
    ImageTasks => json!({"type": "object", "required": ["tasks"], "properties": {"tasks": nothing()}});
    Tasks => json!({
        "type": "object",
        "required": ["tasks", "first", "schema"],
        "properties": {"tasks": nothing(), "first": {"type": "string"}, "schema": {"type": "string"}},
    });
}

fn reference(schema: &str, description: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{schema}"), "description": description})
}

fn one_of(values: impl Iterator<Item = &'static str>, description: &str) -> Value {
    let values: Vec<_> = values.collect();
    json!({"type": "string", "enum": values, "description": description})
}

fn name(description: &str, example: &str) -> Value {
    json!({
        "type": "string",
        "minLength": 1,
        "maxLength": NAME_LIMIT,
        "pattern": PRINTABLE,
        "description": description,
        "examples": [example],
    })
}

/// An empty list.
fn nothing() -> Value {
    json!({"type": "array", "items": {"type": "object"}, "maxItems": 0})
}

/// Where in an image an operation of a patch works.
fn pointer() -> Value {
    json!({
        "type": "string",
        "pattern": "^/([^/~]|~[01])+$",
        "description": "A slash and the name; in the name, write `~` as `~0` and `/` as `~1`.",
        "examples": ["/hw_disk_bus"],
    })
}

fn value() -> Value {
    json!({
        "type": ["string", "integer", "boolean", "null", "array"],
        "items": {"type": "string"},
        "description": "A string for a property; for a base attribute what it takes.",
    })
}

fn patch_21() -> Value {
    let operation = |verbs: &[&str], mut properties: Map<String, Value>| {
        properties.insert("op".to_owned(), json!({"type": "string", "enum": verbs}));
        properties.insert("path".to_owned(), pointer());
        json!({"type": "object", "required": properties.keys().collect::<Vec<_>>(), "properties": properties})
    };
    let with_value = Map::from_iter([("value".to_owned(), value())]);
    patch(&[operation(&["add", "replace"], with_value), operation(&["remove"], Map::new())])
}

fn patch_20() -> Value {
    let operation = |verb: &str, mut properties: Map<String, Value>| {
        properties.insert(verb.to_owned(), pointer());
        json!({"type": "object", "required": properties.keys().collect::<Vec<_>>(), "properties": properties})
    };
    let with_value = || Map::from_iter([("value".to_owned(), value())]);
    patch(&[
        operation("add", with_value()),
        operation("replace", with_value()),
        operation("remove", Map::new()),
    ])
}

fn patch(operations: &[Value]) -> Value {
    json!({"type": "array", "description": "Changes, made in this order.", "items": {"oneOf": operations}})
}
