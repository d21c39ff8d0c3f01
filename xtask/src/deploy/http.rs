//! As much of HTTP/1.1 as it takes to ask, and to be slow.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::Context as _;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Status and body of what is at `path`.
pub(crate) fn get(address: SocketAddr, path: &str) -> anyhow::Result<(u16, String)> {
    let mut stream = connect(address)?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n")?;
    answer(stream)
}

/// An upload of data that has stopped half-way.
pub(crate) struct Upload {
    stream: TcpStream,
    rest: Vec<u8>,
}

impl Upload {
    /// Sends half of `data` for the image of this id.
    pub(crate) fn begin(address: SocketAddr, image: &str, mut data: Vec<u8>) -> anyhow::Result<Self> {
        let mut stream = connect(address)?;
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

    /// Sends the other half; the status of the answer, and its body.
    pub(crate) fn finish(mut self) -> anyhow::Result<(u16, String)> {
        self.stream.write_all(&self.rest)?;
        answer(self.stream)
    }
}

fn connect(address: SocketAddr) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn answer(mut stream: TcpStream) -> anyhow::Result<(u16, String)> {
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").context("the answer has no end of its head")?;
    let status = head.split(' ').nth(1).context("the answer has no status")?;
    Ok((status.parse()?, body.to_owned()))
}
