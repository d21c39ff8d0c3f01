//! A minimal HTTP/1.1 client that can be slow.

use std::{
    io::Write as _,
    net::{SocketAddr, TcpStream},
};

use anyhow::Context as _;
use harness::http;

/// Status and body of a GET of `path`.
pub(crate) fn get(address: SocketAddr, path: &str) -> anyhow::Result<(u16, String)> {
    parts(&http::get(address, path)?)
}

/// An upload that has paused half-way.
pub(crate) struct Upload {
    stream: TcpStream,
    rest: Vec<u8>,
}

impl Upload {
    /// Sends half of `data` for the image with this id.
    pub(crate) fn begin(address: SocketAddr, image: &str, mut data: Vec<u8>) -> anyhow::Result<Self> {
        let mut stream = http::connect(address)?;
        write!(
            stream,
            "PUT /v2/images/{image}/file HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\
             content-type: application/octet-stream\r\ncontent-length: {}\r\n\r\n",
            data.len()
        )?;
        let rest = data.split_off(data.len() / 2);
        stream.write_all(&data)?;
        Ok(Self { stream, rest })
    }

    /// Sends the other half; returns the status and body of the answer.
    pub(crate) fn finish(mut self) -> anyhow::Result<(u16, String)> {
        self.stream.write_all(&self.rest)?;
        parts(&http::answer(self.stream)?)
    }
}

/// The status of an answer, and its body.
fn parts(answer: &str) -> anyhow::Result<(u16, String)> {
    let (head, body) = answer.split_once("\r\n\r\n").context("the answer has no end of its head")?;
    let status = head.split(' ').nth(1).context("the answer has no status")?;
    Ok((status.parse()?, body.to_owned()))
}
