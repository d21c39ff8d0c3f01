//! Data as the least there is to do: both hashes as the bytes come, one file, and the disk has it at the end.

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

/// Bytes that go to the disk at once, and come from it.
const CHUNK: usize = 1 << 20;

/// Header with the hash of an upload, so that nobody can leave it out.
pub(crate) const HASH: &str = "x-sha512";

/// Keeps the body in the file.
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
