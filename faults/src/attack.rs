//! Hostile clients: anonymous, and holding up as much as they can over a few connections.

use std::{
    convert::Infallible,
    future::poll_fn,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use common::id::Id;
use http_body::Frame;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
    time::{Interval, interval, sleep, timeout},
};
use tonic::{
    body::Body,
    codegen::{Service as _, http::Request},
    transport::{Channel, Endpoint},
};

/// Connections of each kind over HTTP/2, and streams on each.
const CONNECTIONS: usize = 4;
const STREAMS: usize = 128;

/// Connections over HTTP/1.1 on which a body arrives slowly.
const SLOW: usize = 64;

/// How many clients at a time call methods that do not exist with hardly any deadline, and how long each of them pauses.
const ODD: usize = 16;
const REST: Duration = Duration::from_millis(20);

/// How often a slow client sends a byte.
const BYTE: Duration = Duration::from_secs(1);

/// An empty message.
const EMPTY: &[u8] = &[0; 5];

/// The calls that are attacked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target {
    /// A call whose response is not empty.
    pub(crate) list: &'static str,
    /// A call with a body, over HTTP/2, and a path over HTTP/1.1.
    pub(crate) body: &'static str,
    pub(crate) form: &'static str,
}

/// How a body arrives.
enum Sends {
    /// At once.
    Whole(Option<Bytes>),
    /// Never.
    Nothing,
    /// A byte now and then.
    Slowly(Box<Interval>),
}

impl http_body::Body for Sends {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Nothing => Poll::Pending,
            Self::Slowly(ticks) => {
                ready!(ticks.poll_tick(context));
                // The prefix of a message, byte by byte, announces a large one.
                Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[0])))))
            }
        }
    }
}

/// An attack, which lasts as long as this value lives.
pub(crate) struct Attack {
    attackers: JoinSet<()>,
    requests: Arc<AtomicUsize>,
}

impl Attack {
    /// Starts the attack.
    pub(crate) fn start(address: SocketAddr, target: Target) -> Self {
        let (mut attackers, requests) = (JoinSet::new(), Arc::<AtomicUsize>::default());
        for _ in 0..CONNECTIONS {
            attackers.spawn(streams(address, target.list, Some(0), whole, Arc::clone(&requests)));
            attackers.spawn(streams(address, target.body, None, || Sends::Nothing, Arc::clone(&requests)));
            attackers.spawn(streams(address, target.body, None, slowly, Arc::clone(&requests)));
        }
        for _ in 0..SLOW {
            attackers.spawn(slow_form(address, target.form, Arc::clone(&requests)));
        }
        for _ in 0..CONNECTIONS {
            let channel = endpoint(address).connect_lazy();
            for _ in 0..ODD / CONNECTIONS {
                attackers.spawn(odd(channel.clone(), Arc::clone(&requests)));
            }
        }
        Self { attackers, requests }
    }

    /// Ends it, and returns the number of its requests.
    pub(crate) async fn end(mut self) -> usize {
        self.attackers.shutdown().await;
        self.requests.load(Ordering::Relaxed)
    }
}

fn whole() -> Sends {
    Sends::Whole(Some(Bytes::from_static(EMPTY)))
}

fn slowly() -> Sends {
    Sends::Slowly(Box::new(interval(BYTE)))
}

fn endpoint(address: SocketAddr) -> Endpoint {
    Endpoint::from_shared(format!("http://{address}")).expect("an address makes a URL")
}

/// Opens as many streams on a connection as are allowed, with a window of this many bytes, and starts over once all have
/// ended.
async fn streams(
    address: SocketAddr,
    path: &'static str,
    window: Option<u32>,
    body: fn() -> Sends,
    requests: Arc<AtomicUsize>,
) {
    loop {
        // The library answers pings.
        let channel = endpoint(address).initial_stream_window_size(window).connect_lazy();
        let mut open = JoinSet::new();
        for _ in 0..STREAMS {
            open.spawn(send(channel.clone(), path.to_owned(), None, body(), Arc::clone(&requests)));
        }
        while open.join_next().await.is_some() {}
        sleep(REST).await;
    }
}

/// Calls methods that do not exist, again and again, with a deadline too short for an answer.
async fn odd(channel: Channel, requests: Arc<AtomicUsize>) {
    loop {
        let path = format!("/odd.{}/Call", Id::random());
        send(channel.clone(), path, Some("1n"), whole(), Arc::clone(&requests)).await;
        sleep(REST).await;
    }
}

/// Sends a request and waits for the response, whatever it is.
async fn send(
    mut channel: Channel,
    path: String,
    deadline: Option<&str>,
    body: Sends,
    requests: Arc<AtomicUsize>,
) {
    let mut request = Request::post(path).header("content-type", "application/grpc").header("te", "trailers");
    if let Some(deadline) = deadline {
        request = request.header("grpc-timeout", deadline);
    }
    let Ok(request) = request.body(Body::new(body)) else { return };
    requests.fetch_add(1, Ordering::Relaxed);
    if poll_fn(|context| channel.poll_ready(context)).await.is_ok()
        && let Ok(answer) = channel.call(request).await
    {
        let mut body = answer.into_body();
        // A connection that has failed once keeps failing.
        while let Some(Ok(_)) =
            poll_fn(|context| http_body::Body::poll_frame(Pin::new(&mut body), context)).await
        {}
    }
}

/// Sends a body over HTTP/1.1, a byte now and then, until it is refused, then starts over.
async fn slow_form(address: SocketAddr, path: &'static str, requests: Arc<AtomicUsize>) {
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {address}\r\naccept: application/json\r\ncontent-type: application/json\r\n\
         content-length: 1000\r\n\r\n"
    );
    loop {
        requests.fetch_add(1, Ordering::Relaxed);
        if let Ok(mut stream) = TcpStream::connect(address).await {
            let mut sent = stream.write_all(head.as_bytes()).await;
            let mut answer = [0; 1024];
            while sent.is_ok() && timeout(BYTE, stream.read(&mut answer)).await.is_err() {
                sent = stream.write_all(b" ").await;
            }
        }
        sleep(BYTE).await;
    }
}
