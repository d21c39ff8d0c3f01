//! Data over HTTP.

use std::ops::Range;

use axum::{
    body::Body,
    extract::{Path, Request},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::Response,
};
use chassis::http::{Problem, body, conditions, no_content, openapi::Refused, range};
use common::{text::clip, violations::Violations};

use super::{
    ApiState, Authenticated, check_read, image_id,
    openapi::{
        DATA,
        parameters::{
            IfMatch, IfMatchShown, IfNoneMatch, IfNoneMatchNew, IfRange, ImageId, ImageSize,
            Range as RangeHeader,
        },
        schema::{Bytes, Checksum, ContentRange, Data, Etag},
    },
};
use crate::{error::Error, image::Image, images::Upload};

/// The only type that data have.
const OCTETS: &str = "application/octet-stream";

/// Upload the data of an image
///
/// The image must be queued, with both formats set. It is `saving` meanwhile and `active` afterwards; when the upload
/// fails, it is queued again and nothing is kept.
#[utoipa::path(
    put,
    path = "/v2/images/{image_id}/file",
    operation_id = "uploadData",
    tag = DATA,
    params(ImageId, ImageSize, IfMatch, IfNoneMatchNew),
    request_body(content = inline(Data), content_type = OCTETS),
    responses(
        (status = 204, description = "The image has its data."),
        Refused::<403>, Refused::<404>, Refused::<409>, Refused::<410>, Refused::<412>,
    ),
)]
pub(super) async fn upload(
    api: ApiState,
    Authenticated(caller): Authenticated,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let id = image_id(&id)?;
    body::check_type(request.headers(), OCTETS)?;
    body::check_coding(request.headers())?;
    check_store(request.headers())?;
    let size = announced_size(request.headers())?;
    let (etags, must_be_new) =
        (conditions::of_change(request.headers()), conditions::must_be_new(request.headers()));
    let bytes = request.into_body().into_data_stream();
    match api.images.upload(id, Upload { bytes, size, etags }, &caller).await {
        Err(Error::StatusMove { from, .. }) if must_be_new && from.has_data() => {
            Err(Error::from(conditions::Unmet::exists("the data of the image")).into())
        }
        uploaded => uploaded.map(|_| no_content()).map_err(Problem::from),
    }
}

/// There is one store, which has no name: who asks for another must not believe that the data are in it.
fn check_store(headers: &HeaderMap) -> Result<(), Violations> {
    const STORE: &str = "x-image-meta-store";
    match headers.get(STORE) {
        Some(store) if !store.is_empty() => {
            let store = clip(&String::from_utf8_lossy(store.as_bytes()), 60);
            Err(Violations::one(
                STORE,
                format!("{store:?} is no store; leave it out: there is one, without a name"),
            ))
        }
        _ => Ok(()),
    }
}

/// How many bytes are to come: what `x-openstack-image-size` says, else the length of the body.
fn announced_size(headers: &HeaderMap) -> Result<Option<u64>, Violations> {
    const SIZE: &str = "x-openstack-image-size";
    if let Some(size) = headers.get(SIZE) {
        let size = size.to_str().ok().and_then(|size| size.trim().parse().ok());
        return size.map(Some).ok_or_else(|| Violations::one(SIZE, "must be a number of bytes"));
    }
    let length = headers.get(header::CONTENT_LENGTH);
    Ok(length.and_then(|length| length.to_str().ok()).and_then(|length| length.parse().ok()))
}

/// What is to be answered of data.
enum Selection {
    All,
    Part(Range<u64>),
    /// Nothing: the caller has them.
    Nothing,
}

impl Selection {
    /// What a request asks for, of the data of that image.
    fn of(method: &Method, headers: &HeaderMap, image: &Image, size: u64) -> Result<Self, Error> {
        let etag = &image.os_hash_value;
        if !check_read(headers, image.id, etag)? {
            return Ok(Self::Nothing);
        }
        // Of no other method is there a part (RFC 9110, 14.2).
        if *method != Method::GET || !conditions::counts_part(headers, etag) {
            return Ok(Self::All);
        }
        Ok(range::part(headers, size)?.map_or(Self::All, Self::Part))
    }

    /// The bytes to read.
    fn bytes(&self, method: &Method, size: u64) -> Range<u64> {
        match self {
            Self::All if *method == Method::GET => 0..size,
            Self::Part(part) => part.clone(),
            Self::All | Self::Nothing => 0..0,
        }
    }
}

/// Download the data of an image
///
/// Data that somebody else keeps are not served.
#[utoipa::path(
    get,
    path = "/v2/images/{image_id}/file",
    operation_id = "downloadData",
    tag = DATA,
    params(ImageId, RangeHeader, IfRange, IfMatchShown, IfNoneMatch),
    responses(
        (
            status = 200, description = "The data.", body = inline(Data), content_type = OCTETS,
            headers(
                ("ETag" = inline(Etag)), ("Content-MD5" = inline(Checksum)), ("Accept-Ranges" = inline(Bytes)),
            ),
        ),
        (status = 204, description = "The image has no data here."),
        (
            status = 206, description = "The part of the data that `Range` asks for.",
            body = inline(Data), content_type = OCTETS,
            headers(
                ("ETag" = inline(Etag)), ("Content-MD5" = inline(Checksum)), ("Accept-Ranges" = inline(Bytes)),
                ("Content-Range" = inline(ContentRange)),
            ),
        ),
        (status = 304, description = "The data are as the caller knows them.", headers(("ETag" = inline(Etag)))),
        Refused::<403>, Refused::<404>, Refused::<412>, Refused::<416>,
    ),
)]
pub(super) async fn download(
    api: ApiState,
    Authenticated(caller): Authenticated,
    Path(id): Path<String>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let id = image_id(&id)?;
    let (mut wanted, mut whole) = (Selection::All, 0);
    let choose = |image: &Image, size| {
        (wanted, whole) = (Selection::of(&method, &headers, image, size)?, size);
        Ok(wanted.bytes(&method, size))
    };
    let download = match api.images.download(id, &caller, choose).await {
        Err(Error::Range { size }) => {
            let outside = Problem::from(Error::Range { size });
            return Err(outside.with_header(header::CONTENT_RANGE, value(&format!("bytes */{size}"))));
        }
        Err(Error::NoData { .. }) => return Ok(no_content()),
        download => download?,
    };
    let etag = value(&format!("\"{}\"", download.image.os_hash_value));
    let mut response = Response::new(Body::from_stream(download.bytes));
    let answer = response.headers_mut();
    answer.insert(header::ETAG, etag);
    if let Selection::Nothing = wanted {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return Ok(response);
    }
    answer.insert(header::CONTENT_TYPE, HeaderValue::from_static(OCTETS));
    answer.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    // Glance's clients read it as hexadecimal, not as RFC 1864 has it.
    answer.insert("content-md5", value(&download.image.checksum));
    if let Selection::Part(part) = wanted {
        answer.insert(header::CONTENT_LENGTH, HeaderValue::from(part.end - part.start));
        let range = format!("bytes {}-{}/{whole}", part.start, part.end - 1);
        answer.insert(header::CONTENT_RANGE, value(&range));
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    } else {
        answer.insert(header::CONTENT_LENGTH, HeaderValue::from(whole));
    }
    Ok(response)
}

fn value(text: &str) -> HeaderValue {
    HeaderValue::try_from(text).expect("numbers and hexadecimal digits are visible ASCII")
}
