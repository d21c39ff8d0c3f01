//! The bare minimum for image data: both hashes as the bytes arrive, one file, and an fsync at the end.

use std::{fmt::Write as _, path::Path, sync::Arc};

use axum::{
    body::Body,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use futures_util::StreamExt as _;
use md5::Md5;
use sha2::{Digest as _, Sha512};
use tokio::{
    fs::File,
    io::{AsyncWriteExt as _, BufWriter},
};
use tokio_util::io::ReaderStream;

/// How many bytes to write and read at a time.
const CHUNK: usize = 1 << 20;

/// Header with the hashes of an upload, so that the compiler cannot remove them.
pub(crate) const HASH: &str = "x-sha512";

/// Stores the body in the file.
pub(super) async fn upload(State(file): State<Arc<Path>>, body: Body) -> Response {
    match receive(&file, body).await {
        Ok(hashes) => (StatusCode::NO_CONTENT, [(HASH, hashes)]).into_response(),
        Err(error) => failed(&error),
    }
}

/// Answers with the file.
pub(super) async fn download(State(file): State<Arc<Path>>) -> Response {
    match File::open(&file).await {
        Ok(file) => Body::from_stream(ReaderStream::with_capacity(file, CHUNK)).into_response(),
        Err(error) => failed(&error.into()),
    }
}

fn failed(error: &anyhow::Error) -> Response {
    (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}")).into_response()
}

async fn receive(file: &Path, body: Body) -> anyhow::Result<String> {
    let mut file = BufWriter::with_capacity(CHUNK, File::create(file).await?);
    let (mut md5, mut sha512) = (Md5::new(), Sha512::new());
    let mut body = body.into_data_stream();
    while let Some(bytes) = body.next().await {
        let bytes = bytes?;
        md5.update(&bytes);
        sha512.update(&bytes);
        file.write_all(&bytes).await?;
    }
    file.flush().await?;
    file.get_ref().sync_all().await?;
    let mut hashes = String::new();
    for byte in md5.finalize().iter().chain(&sha512.finalize()) {
        write!(hashes, "{byte:02x}")?;
    }
    Ok(hashes)
}
