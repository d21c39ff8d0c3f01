//! From images and members to JSON, as Glance shows them.

use chrono::{DateTime, SecondsFormat, Utc};
use common::id::Id;
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::openapi::schema;
use crate::image::{Image, member};

/// An image: its properties beside its base attributes.
pub(super) fn image(image: Image) -> Value {
    let path = format!("/v2/images/{}", image.id);
    let mut shown: Map<_, _> =
        image.properties.into_iter().map(|(name, value)| (name, Value::String(value))).collect();
    let base = json!({
        "id": image.id,
        "name": or_null(image.name),
        "status": image.status.as_str(),
        "visibility": image.visibility.as_str(),
        "owner": or_null(image.owner),
        "protected": image.protected,
        "os_hidden": image.os_hidden,
        "disk_format": or_null(image.disk_format),
        "container_format": or_null(image.container_format),
        "min_ram": image.min_ram,
        "min_disk": image.min_disk,
        "size": image.size,
        "virtual_size": image.virtual_size,
        "checksum": or_null(image.checksum),
        "os_hash_algo": or_null(image.os_hash_algo),
        "os_hash_value": or_null(image.os_hash_value),
        "tags": image.tags,
        "created_at": time(image.create_time),
        "updated_at": time(image.update_time),
        "self": path,
        "file": format!("{path}/file"),
        "schema": "/v2/schemas/image",
    });
    if let Value::Object(base) = base {
        shown.extend(base);
    }
    Value::Object(shown)
}

/// A project that an image is shared with.
#[derive(Serialize, ToSchema)]
// For its description: there are no other members.
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_field_names, reason = "the API names them so")]
pub(super) struct Member {
    /// When it was shared.
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(value_type = schema::ImageId)]
    image_id: Id,
    #[schema(value_type = schema::MemberId)]
    member_id: String,
    /// Path of the schema of members.
    schema: &'static str,
    #[schema(value_type = schema::MemberStatus)]
    status: &'static str,
    /// When the status last changed.
    #[schema(format = DateTime)]
    updated_at: String,
}

/// The projects that an image is shared with.
#[derive(Serialize, ToSchema)]
// For its description: there are no other members.
#[serde(deny_unknown_fields)]
pub(super) struct Members {
    pub(super) members: Vec<Member>,
    /// Path of the schema of lists.
    pub(super) schema: &'static str,
}

/// A member, as it is shown.
pub(super) fn member(member: &member::Member) -> Member {
    Member {
        created_at: time(member.create_time),
        image_id: member.image_id,
        member_id: member.member_id.clone(),
        schema: "/v2/schemas/member",
        status: member.status.as_str(),
        updated_at: time(member.update_time),
    }
}

fn or_null(text: String) -> Value {
    if text.is_empty() { Value::Null } else { Value::String(text) }
}

/// Times are shown to the second.
fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}
