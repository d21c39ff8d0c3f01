//! The parameters of a list, as the description of the API has them.

use chassis::page::{DEFAULT_SIZE, MAX_SIZE};
use serde_json::json;
use utoipa::{
    IntoParams,
    openapi::{
        Array, Object, Ref, RefOr, Required, Schema, Type,
        path::{Parameter, ParameterBuilder, ParameterIn, ParameterStyle},
    },
};

use super::{
    super::openapi::parameters::{int64, text},
    ListImages, SORT_KEYS,
    condition::WITH_OPERATOR,
};
use crate::{
    image::{Visibility, member::MemberStatus},
    list::{Comparison, NumberColumn, TextColumn},
};

/// What a database can hold.
const STORABLE: &str = "^[^\\u0000]*$";

/// A time in ISO 8601: one of the forms that are read, which a program can make up.
const TIME: &str =
    "[1-9][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z";

impl IntoParams for ListImages {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let mut parameters = of_page();
        parameters.extend(of_texts());
        parameters.extend(of_words());
        parameters.extend(of_times());
        parameters.extend(NumberColumn::ALL.iter().flat_map(|(name, column)| of_number(name, *column)));
        let properties = "The value of a property, exactly. The parameter has the name of the property.";
        let schema = Object::builder().additional_properties(Some(Schema::from(text().build())));
        let by_property = several("properties", properties, schema.build());
        parameters
            .push(ParameterBuilder::from(by_property).example(Some(json!({"os_distro": "ubuntu"}))).build());
        parameters
    }
}

/// Which page, in which order.
fn of_page() -> Vec<Parameter> {
    let limit =
        Object::builder().schema_type(Type::Integer).minimum(Some(0)).default(Some(json!(DEFAULT_SIZE)));
    let sort = text().default(Some(json!("created_at:desc"))).examples(["name:asc,size:desc"]);
    let keys = text().enum_values(Some(SORT_KEYS.map(|(name, _)| name)));
    let directions = text().enum_values(Some(["asc", "desc"]));
    vec![
        parameter("limit", &format!("Most images of a page; above {MAX_SIZE} is {MAX_SIZE}."), limit),
        parameter("marker", "Id of the last image of the page before.", Ref::from_schema_name("ImageId")),
        parameter(
            "sort",
            "Keys of the order, each with its direction; not together with `sort_key` and `sort_dir`.",
            sort,
        ),
        several("sort_key", "A key of the order; may be given several times.", Array::new(keys)),
        several(
            "sort_dir",
            "The direction of all keys, or one for each; descending if there is none.",
            Array::new(directions),
        ),
    ]
}

/// Attributes that are compared as texts.
fn of_texts() -> Vec<Parameter> {
    let with_operator = |(name, what): (&str, &str)| {
        let description = format!(
            "{what}: `VALUE`, `eq:VALUE`, or `in:VALUE,VALUE`. A value with a comma stands in double quotes; one that \
             begins with the name of an operator and a colon needs `eq:`."
        );
        parameter(name, &description, text().pattern(Some(STORABLE)))
    };
    let exact = |(name, what): (&str, &str)| {
        parameter(name, &format!("{what}, exactly."), text().pattern(Some(STORABLE)))
    };
    let (compared, equal): (Vec<_>, Vec<_>) = TextColumn::ALL
        .iter()
        .map(|(name, column)| (*name, what(*column)))
        .partition(|(name, _)| WITH_OPERATOR.iter().any(|(known, _)| known == name));
    let tags = Array::new(text().pattern(Some(STORABLE)));
    let mut parameters = vec![with_operator(("id", "The id"))];
    parameters.extend(compared.into_iter().map(with_operator));
    parameters.extend(equal.into_iter().map(exact));
    parameters.push(several("tag", "A tag that it has; may be given several times.", tags));
    parameters
}

const fn what(column: TextColumn) -> &'static str {
    match column {
        TextColumn::Name => "The name",
        TextColumn::Status => "The status",
        TextColumn::DiskFormat => "The format of the disk",
        TextColumn::ContainerFormat => "The format of the container",
        TextColumn::Owner => "The project that owns it",
        TextColumn::Checksum => "The MD5 of its data",
        TextColumn::OsHashAlgo => "The algorithm of its hash",
        TextColumn::OsHashValue => "The hash of its data",
    }
}

/// Attributes that have one of few values.
fn of_words() -> Vec<Parameter> {
    let visibilities = Visibility::ALL.iter().map(|known| known.as_str()).chain(["all"]);
    let statuses = MemberStatus::ALL.iter().map(|known| known.as_str()).chain(["all"]);
    let flag = || Object::builder().schema_type(Type::Boolean);
    vec![
        parameter(
            "visibility",
            "Who may see it. `all` also shows community images of others.",
            text().enum_values(Some(visibilities)),
        ),
        parameter(
            "member_status",
            "What the caller's project says to images that are shared with it.",
            text().enum_values(Some(statuses)).default(Some(json!(MemberStatus::Accepted.as_str()))),
        ),
        parameter("protected", "Whether it is protected from deletion.", flag()),
        parameter("os_hidden", "Whether it is hidden.", flag().default(Some(json!(false)))),
    ]
}

/// When it was registered, and when it last changed.
fn of_times() -> Vec<Parameter> {
    let operators = Comparison::ALL.map(|(name, _)| name);
    let pattern = format!("^(({}):)?{TIME}$", operators.join("|"));
    let compared = |name: &str, what: &str| {
        let description = format!(
            "{what}: `OPERATOR:TIME`, where the operator is one of {}, and the time ISO 8601; one without a fraction is \
             a whole second.",
            operators.join(", ")
        );
        let time = text().pattern(Some(&pattern)).examples(["gte:2026-11-22T16:56:41Z"]);
        parameter(name, &description, time)
    };
    vec![compared("created_at", "When it was registered"), compared("updated_at", "When it last changed")]
}

/// A number, exactly, and the ends of its range.
fn of_number(name: &str, column: NumberColumn) -> Vec<Parameter> {
    let what = match column {
        NumberColumn::MinRam => "Memory that an instance needs, in MiB",
        NumberColumn::MinDisk => "Root disk that an instance needs, in GiB",
        NumberColumn::Size => "Size of its data, in bytes",
        NumberColumn::VirtualSize => "Size of its disk, in bytes",
    };
    let compared = [("", "."), ("_min", "; at least this."), ("_max", "; at most this.")];
    let number = |(end, condition): (&str, &str)| {
        let limits = int64().minimum(Some(i64::MIN)).maximum(Some(i64::MAX));
        parameter(&format!("{name}{end}"), &format!("{what}{condition}"), limits)
    };
    compared.into_iter().map(number).collect()
}

fn parameter(name: &str, description: &str, schema: impl Into<RefOr<Schema>>) -> Parameter {
    let parameter = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Query);
    parameter.required(Required::False).description(Some(description)).schema(Some(schema)).build()
}

/// A parameter that may be given several times.
fn several(name: &str, description: &str, schema: impl Into<RefOr<Schema>>) -> Parameter {
    let parameter = ParameterBuilder::from(parameter(name, description, schema));
    parameter.style(Some(ParameterStyle::Form)).explode(Some(true)).build()
}
