//! A network between the services that can drop or delay what is sent.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU16, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

/// What the network does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Weather {
    /// Carries everything.
    Fair,
    /// Drops everything silently.
    Hole,
    /// Answers arrive a second late.
    Late,
    /// Requests arrive, answers are lost.
    Unheard,
    /// Everything is slow both ways: 2 MiB/s per connection.
    Slow,
}

/// How many bytes to carry at a time.
const PIECE: usize = 16 * 1024;

/// How long each piece takes when the network is slow.
const SLOW: Duration = Duration::from_millis(8);

/// How late answers are.
const LATE: Duration = Duration::from_secs(1);

/// A network to one address.
#[derive(Debug, Clone)]
pub(crate) struct Proxy {
    address: SocketAddr,
    /// The port that new connections are forwarded to.
    target: Arc<AtomicU16>,
    weather: Arc<AtomicU8>,
}

impl Proxy {
    /// A network to `target`.
    pub(crate) async fn start(target: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = Arc::new(AtomicU16::new(target.port()));
        let proxy = Self { address: listener.local_addr()?, target: port, weather: Arc::default() };
        let (weather, port) = (Arc::clone(&proxy.weather), Arc::clone(&proxy.target));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let weather = Arc::clone(&weather);
                let target = SocketAddr::new(target.ip(), port.load(Ordering::Relaxed));
                tokio::spawn(async move {
                    let Ok(server) = TcpStream::connect(target).await else { return };
                    let ((from_client, to_client), (from_server, to_server)) =
                        (client.into_split(), server.into_split());
                    tokio::spawn(carry(from_client, to_server, Arc::clone(&weather), false));
                    carry(from_server, to_client, weather, true).await;
                });
            }
        });
        Ok(proxy)
    }

    /// Its address as an endpoint.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The port that it listens on.
    pub(crate) const fn port(&self) -> u16 {
        self.address.port()
    }

    /// Forwards new connections to that port from now on.
    pub(crate) fn lead_to(&self, port: u16) {
        self.target.store(port, Ordering::Relaxed);
    }

    pub(crate) fn set(&self, weather: Weather) {
        self.weather.store(weather as u8, Ordering::Relaxed);
    }
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, weather: Arc<AtomicU8>, is_answer: bool) {
    let mut buffer = vec![0; PIECE];
    while let Ok(count) = from.read(&mut buffer).await {
        if count == 0 {
            return;
        }
        let now = weather.load(Ordering::Relaxed);
        if now == Weather::Hole as u8 || is_answer && now == Weather::Unheard as u8 {
            continue;
        }
        if is_answer && now == Weather::Late as u8 {
            tokio::time::sleep(LATE).await;
        }
        if now == Weather::Slow as u8 {
            tokio::time::sleep(SLOW).await;
        }
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}
