//! Parameters of calls: what paths name, and headers.

use utoipa::{
    IntoParams,
    openapi::{
        KnownFormat, Object, ObjectBuilder, Ref, RefOr, Required, Schema, SchemaFormat, Type,
        path::{Parameter, ParameterBuilder, ParameterIn},
    },
};

/// Defines types that stand for parameters.
macro_rules! parameters {
    ($($name:ident => $parameter:expr;)+) => {$(
        pub(in crate::http) struct $name;

        impl IntoParams for $name {
            fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
                vec![$parameter]
            }
        }
    )+};
}

const ETAG: &str = "\"6e1f4a52-3\"";

parameters! {
    ImageId => in_path("image_id", "Id of the image.", Ref::from_schema_name("ImageId"));
    Tag => in_path("tag", "The tag.", Ref::from_schema_name("Tag"));
    MemberId => in_path("member_id", "The project that the image is shared with.", Ref::from_schema_name("MemberId"));
    TaskId => in_path("task_id", "Id of the task.", text());
    StoreId => in_path("store_id", "Id of the store.", text());
    SchemaName => in_path(
        "name",
        "Of one thing, or of a list of them.",
        text().enum_values(Some(["image", "images", "member", "members", "task", "tasks"])),
    );
    IfMatch => header(
        "If-Match",
        "Only change the image if it still has this etag, or one of these.",
        text().examples([ETAG]),
    );
    IfMatchShown => header(
        "If-Match",
        "Only show what has this etag, or one of these.",
        text().examples([ETAG]),
    );
    IfMatchMember => header("If-Match", "`*`: a member has no etag.", text().examples(["*"]));
    IfNoneMatch => header(
        "If-None-Match",
        "Only show it if it has another etag than this one, or than these.",
        text().examples([ETAG]),
    );
    IfNoneMatchNew => header("If-None-Match", "`*`: only if it is not there yet.", text().examples(["*"]));
    Range => header(
        "Range",
        "The part of the data to read. Several parts in one request are refused; what is no part is ignored. Without \
         it, a `Content-Range` such as `bytes 0-3/*` stands in for it.",
        text().examples(["bytes=0-1023"]),
    );
    IfRange => header(
        "If-Range",
        "The part counts only while the data have this etag, a strong one; otherwise all of them are sent.",
        text().examples(["\"861844d6704e8573fec34d967e20bcfe\""]),
    );
    ImageSize => header(
        "x-openstack-image-size",
        "How many bytes are to come. When fewer or more arrive, nothing is kept.",
        int64().minimum(Some(0)),
    );
}

/// A text, with more to be said of it.
pub(in crate::http) fn text() -> ObjectBuilder {
    Object::builder().schema_type(Type::String)
}

/// An integer of 64 bits.
pub(in crate::http) fn int64() -> ObjectBuilder {
    let format = SchemaFormat::KnownFormat(KnownFormat::Int64);
    Object::builder().schema_type(Type::Integer).format(Some(format))
}

fn in_path(name: &str, description: &str, schema: impl Into<RefOr<Schema>>) -> Parameter {
    let parameter = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Path);
    parameter.required(Required::True).description(Some(description)).schema(Some(schema)).build()
}

fn header(name: &str, description: &str, schema: impl Into<RefOr<Schema>>) -> Parameter {
    let parameter = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Header);
    parameter.required(Required::False).description(Some(description)).schema(Some(schema)).build()
}
