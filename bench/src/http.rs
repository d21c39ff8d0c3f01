//! HTTP/1.1 over one keep-alive connection, without a pool or anything else that would distort the ceiling.

use std::{convert::Infallible, net::SocketAddr};

use anyhow::ensure;
use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::BoxBody};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Frame, Incoming},
    client::conn::http1::{self, SendRequest},
    header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap},
};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// A connection to a server.
pub(crate) struct Connection {
    sender: SendRequest<BoxBody<Bytes, Infallible>>,
    host: String,
    /// Sent with each request.
    headers: HeaderMap,
}

/// Size of the chunks of an upload, in bytes.
const CHUNK: usize = 1 << 16;

impl Connection {
    /// Connects to the server at `address`.
    pub(crate) async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // The next request notices when the connection ends.
        tokio::spawn(connection);
        Ok(Self { sender, host: address.to_string(), headers: HeaderMap::new() })
    }

    /// Sends these headers with each request.
    pub(crate) fn with(mut self, headers: &HeaderMap) -> Self {
        self.headers.clone_from(headers);
        self
    }

    /// The body of an answer, which must be 200.
    pub(crate) async fn get(&mut self, path: &str) -> anyhow::Result<Bytes> {
        let request = self.request(Method::GET, path).body(Full::default().boxed())?;
        let response = self.send(request, StatusCode::OK).await?;
        Ok(response.into_body().collect().await?.to_bytes())
    }

    /// Gives each part of the body of an answer, which must be 200, to `take`, and returns the body's size.
    pub(crate) async fn download(
        &mut self,
        path: &str,
        mut take: impl FnMut(&[u8]) -> anyhow::Result<()>,
    ) -> anyhow::Result<u64> {
        let request = self.request(Method::GET, path).body(Full::default().boxed())?;
        let mut body = self.send(request, StatusCode::OK).await?.into_body();
        let mut size = 0;
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame?.into_data() else { continue };
            take(&data)?;
            size += data.len() as u64;
        }
        Ok(size)
    }

    /// Uploads `size` bytes without keeping them in memory; the answer must be 204.
    pub(crate) async fn upload(&mut self, path: &str, size: u64) -> anyhow::Result<()> {
        let chunk: Bytes = (0..=250u8).cycle().take(CHUNK).collect();
        let chunks = stream::unfold(size, move |left| {
            let next = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
            let frame = Frame::data(chunk.slice(..next));
            async move { (next > 0).then_some((Ok(frame), left - next as u64)) }
        });
        let request = self
            .request(Method::PUT, path)
            .header(CONTENT_TYPE, "application/octet-stream")
            .header(CONTENT_LENGTH, size)
            .body(BoxBody::new(StreamBody::new(chunks)))?;
        let response = self.send(request, StatusCode::NO_CONTENT).await?;
        response.into_body().collect().await?;
        Ok(())
    }

    fn request(&self, method: Method, path: &str) -> hyper::http::request::Builder {
        let request = Request::builder().method(method).uri(path).header(HOST, &self.host);
        self.headers.iter().fold(request, |request, (name, value)| request.header(name, value))
    }

    async fn send(
        &mut self,
        request: Request<BoxBody<Bytes, Infallible>>,
        expected: StatusCode,
    ) -> anyhow::Result<Response<Incoming>> {
        self.sender.ready().await?;
        let response = self.sender.send_request(request).await?;
        ensure!(response.status() == expected, "the answer is {}", response.status());
        Ok(response)
    }
}
