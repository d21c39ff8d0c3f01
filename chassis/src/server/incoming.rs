//! Incoming connections: as many as are allowed, with TLS if configured, and only for as long as something happens on
//! them.

use std::{
    io::{self, IoSlice},
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::{Instant, Sleep, sleep, sleep_until, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_stream::{Stream, wrappers::ReceiverStream};
use tokio_util::sync::CancellationToken;
use tonic::transport::server::Connected;

use super::Options;
use crate::{
    background,
    edge::{ConnectInfo, ConnectionState, Limits},
    metrics::METRICS,
    tls::{self, Reloaded},
};

/// How long a client may take for the TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How long a connection may be idle. HTTP/2 is pinged more often.
const IDLE: Duration = Duration::from_secs(90);

/// How long accepting pauses after it has failed: files or memory may have run out.
const REST: Duration = Duration::from_millis(100);

/// Maximum number of bytes read from a connection at once.
const READ: usize = 32 * 1024;

/// Connections that are ready and not served yet.
const READY: usize = 64;

/// A connection.
pub(super) struct Connection {
    io: Io,
    connect_info: ConnectInfo,
    used: Instant,
    stall: Duration,
    idle: Pin<Box<Sleep>>,
    _open: Open,
}

enum Io {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// A place among the connections, counted for as long as it is taken.
struct Open {
    _permit: OwnedSemaphorePermit,
}

impl Open {
    fn new(permit: OwnedSemaphorePermit) -> Self {
        METRICS.connections.inc();
        Self { _permit: permit }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        METRICS.connections.dec();
    }
}

/// The connections that `listener` accepts until `stopping`.
pub(super) fn incoming(
    listener: TcpListener,
    options: &Options,
    stopping: CancellationToken,
) -> impl Stream<Item = io::Result<Connection>> + use<> {
    let (ready, receiver) = mpsc::channel(READY);
    let places = Arc::new(Semaphore::new(options.max_connections as usize));
    let acceptor = Acceptor { places, tls: options.tls.clone(), limits: options.limits, ready };
    let accepting =
        async move { background::keep("connections", || accept(&listener, &acceptor, &stopping)).await };
    tokio::spawn(accepting);
    ReceiverStream::new(receiver)
}

async fn accept(listener: &TcpListener, acceptor: &Acceptor, stopping: &CancellationToken) {
    loop {
        let accepted = tokio::select! {
            () = stopping.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, address)) => acceptor.accept(stream, address).await,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "cannot accept connections");
                sleep(REST).await;
            }
        }
    }
}

/// What every connection passes through.
struct Acceptor {
    places: Arc<Semaphore>,
    tls: Option<Arc<Reloaded<tls::Server>>>,
    limits: Limits,
    ready: mpsc::Sender<io::Result<Connection>>,
}

impl Acceptor {
    /// Passes a connection on, unless there are too many; the TLS handshake holds nobody else up.
    async fn accept(&self, stream: TcpStream, address: SocketAddr) {
        let Ok(permit) = Arc::clone(&self.places).try_acquire_owned() else {
            METRICS.connections_refused.inc();
            return;
        };
        let (open, limits) = (Open::new(permit), self.limits);
        // Without it, small answers wait for the acknowledgement of those before; only makes things slower.
        let _ = stream.set_nodelay(true);
        let Some(tls) = &self.tls else {
            // Where it cannot be passed on, nobody serves any more.
            let _ = self.ready.send(Ok(Connection::new(Io::Plain(stream), address, &limits, open))).await;
            return;
        };
        let (acceptor, ready) = (TlsAcceptor::from(tls.current()), self.ready.clone());
        tokio::spawn(async move {
            match timeout(HANDSHAKE, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => {
                    let io = Io::Tls(Box::new(stream));
                    let _ = ready.send(Ok(Connection::new(io, address, &limits, open))).await;
                }
                Ok(Err(error)) => {
                    tracing::debug!(%address, error = &error as &dyn std::error::Error, "no TLS");
                }
                Err(_) => tracing::debug!(%address, "no TLS in time"),
            }
        });
    }
}

impl Connection {
    fn new(io: Io, address: SocketAddr, limits: &Limits, open: Open) -> Self {
        let is_tls = matches!(io, Io::Tls(_));
        let connect_info = ConnectInfo { address, is_tls, state: Arc::new(ConnectionState::new(limits)) };
        let (used, stall) = (Instant::now(), limits.stall);
        Self {
            io,
            connect_info,
            used,
            stall,
            idle: Box::pin(sleep_until(next_look(used, stall))),
            _open: open,
        }
    }

    /// Records that something happens; times out if nothing has for too long. If a client carries on but reads nothing of
    /// an answer, the connection ends as well: nothing else ends that answer.
    fn watch<T>(&mut self, context: &mut Context<'_>, poll: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if poll.is_ready() {
            self.used = Instant::now();
            return poll;
        }
        loop {
            ready!(self.idle.as_mut().poll(context));
            if self.used + IDLE <= Instant::now() || self.connect_info.state.answers.stand_still() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            self.idle.as_mut().reset(next_look(self.used, self.stall));
        }
    }
}

/// When to check a connection again that was used at `used`.
fn next_look(used: Instant, stall: Duration) -> Instant {
    (used + IDLE).min(Instant::now() + stall / 4)
}

/// Calls a method of the stream, whichever it is.
macro_rules! on_io {
    ($io:expr, |$stream:ident| $call:expr) => {
        match $io {
            Io::Plain(stream) => {
                let $stream = Pin::new(stream);
                $call
            }
            Io::Tls(stream) => {
                let $stream = Pin::new(&mut **stream);
                $call
            }
        }
    };
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // The HTTP/1.1 library's buffers grow to 400 KiB for who fills them, two of them for each connection.
        let room = buffer.remaining().min(READ);
        let mut part = ReadBuf::new(buffer.initialize_unfilled_to(room));
        let poll = on_io!(&mut this.io, |stream| stream.poll_read(context, &mut part));
        let read = part.filled().len();
        buffer.advance(read);
        this.watch(context, poll)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let poll = on_io!(&mut this.io, |stream| stream.poll_write(context, bytes));
        this.watch(context, poll)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let poll = on_io!(&mut this.io, |stream| stream.poll_write_vectored(context, bytes));
        this.watch(context, poll)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.io {
            Io::Plain(stream) => stream.is_write_vectored(),
            Io::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_io!(&mut self.get_mut().io, |stream| stream.poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_io!(&mut self.get_mut().io, |stream| stream.poll_shutdown(context))
    }
}

impl Connected for Connection {
    type ConnectInfo = ConnectInfo;

    fn connect_info(&self) -> ConnectInfo {
        self.connect_info.clone()
    }
}
