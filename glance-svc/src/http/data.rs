//! Data over HTTP.

use axum::{
    body::Body,
    extract::{Path, Request},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use common::{http::Problem, text::clip, violations::Violations};

use super::{By, Of, image_id, media_type, no_content, range, unsupported_media_type};
use crate::{error::Error, images::Upload};

/// The only type that data have.
const OCTETS: &str = "application/octet-stream";

pub(super) async fn upload(
    api: Of,
    By(caller): By,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let id = image_id(&id)?;
    let given = media_type(request.headers());
    if given != OCTETS {
        return Err(unsupported_media_type(given, OCTETS));
    }
    check_store(request.headers())?;
    let size = announced_size(request.headers())?;
    let bytes = request.into_body().into_data_stream();
    api.images.upload(id, Upload { bytes, size }, &caller).await?;
    Ok(no_content())
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

pub(super) async fn download(
    api: Of,
    By(caller): By,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let id = image_id(&id)?;
    let mut partial = None;
    let choose = |size| {
        partial = range::part(&headers, size)?;
        Ok(partial.clone().unwrap_or(0..size))
    };
    let download = match api.images.download(id, &caller, choose).await {
        Err(Error::Range { size }) => {
            let mut response = Problem::from(Error::Range { size }).into_response();
            response.headers_mut().insert(header::CONTENT_RANGE, value(&format!("bytes */{size}")));
            return Ok(response);
        }
        Err(Error::NoData { .. }) => return Ok(no_content()),
        download => download?,
    };
    let length = download.part.end - download.part.start;
    let mut response = Response::new(Body::from_stream(download.bytes));
    let answer = response.headers_mut();
    answer.insert(header::CONTENT_TYPE, HeaderValue::from_static(OCTETS));
    answer.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    answer.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    answer.insert(header::ETAG, value(&format!("\"{}\"", download.image.os_hash_value)));
    // Glance's clients read it as hexadecimal, not as RFC 1864 has it.
    answer.insert("content-md5", value(&download.image.checksum));
    if let (Some(part), Some(size)) = (partial, download.image.size) {
        let range = format!("bytes {}-{}/{size}", part.start, part.end - 1);
        answer.insert(header::CONTENT_RANGE, value(&range));
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    Ok(response)
}

fn value(text: &str) -> HeaderValue {
    HeaderValue::try_from(text).expect("numbers and hexadecimal digits are visible ASCII")
}
