//! A way to a PostgreSQL server that holds back its messages until they are let through.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{Notify, Semaphore},
};

/// The way.
pub(super) struct Messages {
    /// The URL of the database by this way.
    pub(super) url: String,
    gate: Arc<Gate>,
}

struct Gate {
    /// One for each message that may pass.
    permits: Semaphore,
    is_open: AtomicBool,
    /// A message is held back.
    held: Notify,
}

impl Messages {
    /// A way to the database at `url`, which is open.
    pub(super) async fn between(url: &str) -> Self {
        let (server, database) = url.rsplit_once('/').unwrap();
        let (login, server) = server.rsplit_once('@').unwrap();
        let server: SocketAddr = server.parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("{login}@{}/{database}?sslmode=disable", listener.local_addr().unwrap());
        let gate = Arc::new(Gate {
            permits: Semaphore::new(0),
            is_open: AtomicBool::new(true),
            held: Notify::new(),
        });
        let shared = Arc::clone(&gate);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (mut from_client, to_client) = client.into_split();
                let (from_server, mut to_server) = TcpStream::connect(server).await.unwrap().into_split();
                tokio::spawn(async move { copy(&mut from_client, &mut to_server).await });
                tokio::spawn(carry(from_server, to_client, Arc::clone(&shared)));
            }
        });
        Self { url, gate }
    }

    /// Does `work` while so many messages of the server pass, and drops it when the next one is held back; what it came
    /// to, if it ended before.
    pub(super) async fn left_after<T>(&self, count: usize, work: impl Future<Output = T>) -> Option<T> {
        self.gate.permits.forget_permits(usize::MAX >> 4);
        self.gate.is_open.store(false, Ordering::SeqCst);
        self.gate.permits.add_permits(count);
        let held = self.gate.held.notified();
        let done = tokio::select! {
            biased;
            done = work => Some(done),
            () = held => None,
        };
        self.gate.is_open.store(true, Ordering::SeqCst);
        // Whatever is held back now passes, and so does all that follows.
        self.gate.permits.add_permits(1000);
        done
    }
}

impl Gate {
    async fn pass(&self) {
        if self.is_open.load(Ordering::SeqCst) {
            return;
        }
        if let Ok(permit) = self.permits.try_acquire() {
            permit.forget();
            return;
        }
        self.held.notify_waiters();
        self.permits.acquire().await.unwrap().forget();
    }
}

/// Carries one message after the other: a byte for its kind, four for its length, and the rest.
async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, gate: Arc<Gate>) -> std::io::Result<()> {
    loop {
        let mut message = vec![0; 5];
        from.read_exact(&mut message).await?;
        let length = u32::from_be_bytes(message[1..5].try_into().unwrap()) as usize;
        message.resize(length + 1, 0);
        from.read_exact(&mut message[5..]).await?;
        gate.pass().await;
        to.write_all(&message).await?;
    }
}
