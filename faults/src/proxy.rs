//! The network between the services, which can lose or delay what is sent.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
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
    /// It carries everything.
    Fair,
    /// It loses everything, and says nothing.
    Hole,
    /// Answers arrive a second late.
    Late,
    /// What is asked for arrives, answers are lost.
    Unheard,
}

/// How late answers are.
const LATE: Duration = Duration::from_secs(1);

/// A network to one address.
#[derive(Debug, Clone)]
pub(crate) struct Proxy {
    address: SocketAddr,
    weather: Arc<AtomicU8>,
}

impl Proxy {
    /// A network to `target`.
    pub(crate) async fn start(target: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let proxy = Self { address: listener.local_addr()?, weather: Arc::default() };
        let weather = Arc::clone(&proxy.weather);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let weather = Arc::clone(&weather);
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

    pub(crate) fn set(&self, weather: Weather) {
        self.weather.store(weather as u8, Ordering::Relaxed);
    }
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, weather: Arc<AtomicU8>, is_answer: bool) {
    let mut buffer = vec![0; 16 * 1024];
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
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}
