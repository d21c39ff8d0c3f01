//! A minimal HTTP/1.1 client.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// Timeout of connecting, and of each part of an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// The whole answer to a GET of `path`, from its status line to the end of its body.
pub fn get(address: SocketAddr, path: &str) -> anyhow::Result<String> {
    let mut stream = connect(address)?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n")?;
    answer(stream)
}

/// The whole answer to a request with these headers and this body.
pub fn call(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> anyhow::Result<String> {
    let mut stream = connect(address)?;
    write!(stream, "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n")?;
    for (name, value) in headers {
        write!(stream, "{name}: {value}\r\n")?;
    }
    write!(stream, "content-length: {}\r\n\r\n{body}", body.len())?;
    answer(stream)
}

/// A connection with a timeout of 30 s.
pub fn connect(address: SocketAddr) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Reads a connection until it is closed, as text.
pub fn answer(stream: TcpStream) -> anyhow::Result<String> {
    Ok(String::from_utf8_lossy(&bytes(stream)?).into_owned())
}

/// Reads a connection until it is closed.
pub fn bytes(mut stream: TcpStream) -> anyhow::Result<Vec<u8>> {
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(answer)
}
