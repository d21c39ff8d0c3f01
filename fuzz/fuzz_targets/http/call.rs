//! Generated calls: mostly close to what a client would send.

use std::{fmt::Write as _, sync::LazyLock};

use axum::{
    body::Body,
    http::{Method, Request, header},
};
use glance_svc::http::{calls, patch::Format};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use serde_json::{Value, json};

use crate::document::Document;

/// The media type of image data.
const OCTETS: &str = "application/octet-stream";

/// The calls of the API.
static CALLS: LazyLock<Vec<(Method, String)>> = LazyLock::new(calls);

/// A call.
#[derive(Debug, Arbitrary)]
pub(crate) struct Call<'a> {
    pub(crate) target: Target<'a>,
    parameters: [Parameter<'a>; 2],
    query: Query<'a>,
    headers: Vec<(Name<'a>, Text<'a>)>,
    body: Content<'a>,
}

/// The method and path.
#[derive(Debug, Arbitrary)]
pub(crate) enum Target<'a> {
    /// A call of the API, by its number.
    Known(u8),
    /// Any method on any path.
    Any(&'a str, &'a str),
}

/// A segment of a path.
#[derive(Debug, Arbitrary)]
enum Parameter<'a> {
    /// The image of this input.
    Image,
    /// Anything.
    Text(Text<'a>),
}

#[derive(Debug, Arbitrary)]
enum Query<'a> {
    None,
    Pairs(Vec<(Name<'a>, Text<'a>)>),
    Raw(&'a str),
}

/// A name.
#[derive(Debug, Arbitrary)]
enum Name<'a> {
    /// A meaningful one, by its number.
    Known(u8),
    /// Any.
    Other(&'a str),
}

/// A text.
#[derive(Debug, Arbitrary)]
enum Text<'a> {
    /// A meaningful one, by its number.
    Word(u8),
    /// Any.
    Other(&'a str),
    /// A long one.
    Long(char, u16),
}

/// A value in JSON.
#[derive(Debug, Arbitrary)]
enum Json<'a> {
    Null,
    Flag(bool),
    Integer(i64),
    Float(f64),
    Text(Text<'a>),
    List(Vec<Text<'a>>),
    Object(Vec<(Text<'a>, bool)>),
}

/// A body that suits the call.
#[derive(Debug, Arbitrary)]
struct Content<'a> {
    fields: Vec<Field<'a>>,
    /// What is sent instead.
    other: Option<Other<'a>>,
}

/// A member of an object, or a change of a patch.
#[derive(Debug, Arbitrary)]
struct Field<'a> {
    verb: u8,
    name: Name<'a>,
    value: Json<'a>,
}

/// Any body.
#[derive(Debug, Arbitrary)]
enum Other<'a> {
    Bytes(&'a [u8]),
    Json(Json<'a>),
}

impl Target<'_> {
    /// The method and the path of a call of the API.
    pub(crate) fn known(&self) -> Option<(Method, &'static str)> {
        let Self::Known(number) = self else { return None };
        let (method, path) = &CALLS[usize::from(*number) % CALLS.len()];
        Some((method.clone(), path))
    }
}

impl Call<'_> {
    /// The request; `None` if it cannot be expressed in HTTP.
    pub(crate) fn request(&self, image: &str) -> Option<Request<Body>> {
        let (method, mut path) = match (&self.target, self.target.known()) {
            (_, Some((method, path))) => (method, self.filled(path, image)),
            (Target::Any(method, path), None) => (method.parse().ok()?, format!("/{path}")),
            (Target::Known(_), None) => return None,
        };
        self.query.append(&mut path, image);
        let (media_type, body) = self.body.render(self.target.known());
        let mut request =
            Request::builder().method(method).uri(path).header(header::CONTENT_TYPE, media_type);
        for (name, value) in &self.headers {
            request = request.header(name.text(&Document::get().headers), value.text());
        }
        let mut request = request.body(Body::from(body)).ok()?;
        let types = request.headers_mut().get_all(header::CONTENT_TYPE);
        if let Some(last) = types.iter().last().cloned() {
            request.headers_mut().insert(header::CONTENT_TYPE, last);
        }
        Some(request)
    }

    fn filled(&self, path: &str, image: &str) -> String {
        let mut parameters = self.parameters.iter().map(|parameter| match parameter {
            Parameter::Image => image.to_owned(),
            Parameter::Text(text) => encoded(&text.text()),
        });
        let mut filled = String::new();
        for segment in path.split_inclusive(['{', '}']) {
            match segment.strip_suffix('}') {
                Some(_) => filled.extend(parameters.next()),
                None => filled.push_str(segment.trim_end_matches('{')),
            }
        }
        filled
    }
}

impl Query<'_> {
    fn append(&self, path: &mut String, image: &str) {
        match self {
            Self::None => {}
            Self::Raw(query) => {
                let _ = write!(path, "?{query}");
            }
            Self::Pairs(pairs) => {
                let mut before = '?';
                for (name, value) in pairs {
                    let name = name.text(&Document::get().filters);
                    let value = value.text();
                    let value = if name == "marker" && value.is_empty() { image } else { &value };
                    let _ = write!(path, "{before}{}={}", encoded(&name), encoded(value));
                    before = '&';
                }
            }
        }
    }
}

impl Name<'_> {
    fn text(&self, known: &[String]) -> String {
        match self {
            Self::Known(number) => known[usize::from(*number) % known.len()].clone(),
            Self::Other(text) => (*text).to_owned(),
        }
    }
}

impl Text<'_> {
    fn text(&self) -> String {
        let words = &Document::get().words;
        match self {
            Self::Word(number) => words[usize::from(*number) % words.len()].clone(),
            Self::Other(text) => (*text).to_owned(),
            Self::Long(character, count) => character.to_string().repeat(usize::from(*count)),
        }
    }
}

impl Json<'_> {
    fn value(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Flag(flag) => json!(flag),
            Self::Integer(number) => json!(number),
            Self::Float(number) => json!(number),
            Self::Text(text) => json!(text.text()),
            Self::List(texts) => texts.iter().map(Text::text).collect(),
            Self::Object(members) => members.iter().map(|(name, flag)| (name.text(), json!(flag))).collect(),
        }
    }
}

impl Content<'_> {
    /// The body, and its media type unless a header says otherwise.
    fn render(&self, call: Option<(Method, &str)>) -> (&'static str, Vec<u8>) {
        match &self.other {
            Some(Other::Bytes(bytes)) => return (OCTETS, bytes.to_vec()),
            Some(Other::Json(value)) => return ("application/json", value.value().to_string().into()),
            None => {}
        }
        let (method, path) = call.unwrap_or_default();
        let (media_type, body) = match (method, path.rsplit('/').next().unwrap_or_default()) {
            (Method::PUT, "file") => (OCTETS, Value::Null),
            (Method::PATCH, _) => {
                let (media_type, format) = Format::ALL[self.fields.len() % 2];
                (media_type, self.fields.iter().map(|field| field.operation(format)).collect())
            }
            (Method::POST, "members") => ("application/json", self.only("member")),
            (Method::PUT, _) => ("application/json", self.only("status")),
            _ => ("application/json", self.fields.iter().map(Field::member).collect()),
        };
        (media_type, body.to_string().into())
    }

    fn only(&self, name: &str) -> Value {
        self.fields.iter().map(|field| (name.to_owned(), field.value.value())).collect()
    }
}

impl Field<'_> {
    fn member(&self) -> (String, Value) {
        (self.name.text(&Document::get().attributes), self.value.value())
    }

    fn operation(&self, format: Format) -> Value {
        let verb = ["add", "replace", "remove", "test"][usize::from(self.verb) % 4];
        let (name, value) = self.member();
        match format {
            Format::V21 => json!({"op": verb, "path": format!("/{name}"), "value": value}),
            Format::V20 => json!({verb: format!("/{name}"), "value": value}),
        }
    }
}

/// Text as it stands in a URL.
fn encoded(text: &str) -> String {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(byte);
    let bytes = text.bytes().map(|byte| match byte {
        plain if is_plain(&plain) => char::from(plain).to_string(),
        other => format!("%{other:02X}"),
    });
    bytes.collect()
}
