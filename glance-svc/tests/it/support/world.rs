//! A server with all that a test of both edges looks at: the clients of every caller, its data, its use cases.

use std::{future::Future, ops::Deref, path::PathBuf, sync::Arc, time::Duration};

use chassis::data::Leases;
use chassis::{caller::Identity, testing::TestDb};
use glance_svc::images::Images;
use proto::glance::v1::image_service_client::ImageServiceClient;
use serde_json::json;
use tempfile::TempDir;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use super::{DEFAULT_QUOTA, Glance, Http, Who, connect, serve_with, who::ClientOf};

/// How long what happens by itself may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// The marker of a folder of data.
pub(crate) const MARKER: &str = "imprint-data-store";

/// How a server is configured.
pub(crate) struct Settings {
    /// Most properties.
    pub(crate) quota: i64,
    /// Most bytes of data.
    pub(crate) size: u64,
    pub(crate) identity: Identity,
    pub(crate) public_endpoint: Option<&'static str>,
    pub(crate) leases: Leases,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            quota: DEFAULT_QUOTA,
            size: 1 << 40,
            identity: Identity::Development,
            public_endpoint: None,
            leases: Leases::default(),
        }
    }
}

/// A running glance-svc; as a [`Glance`], it is called over gRPC by nobody. It lives as long as a client of it.
#[derive(Clone)]
pub(crate) struct World(Arc<Inner>);

struct Inner {
    glance: Glance,
    images: Images,
    folder: TempDir,
}

impl Deref for World {
    type Target = Glance;

    fn deref(&self) -> &Glance {
        &self.0.glance
    }
}

impl World {
    pub(crate) async fn start(db: TestDb) -> Self {
        Self::start_with(db, Settings::default()).await
    }

    pub(crate) async fn start_with(db: TestDb, settings: Settings) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (address, images) = serve_with(&db.url, &settings, folder.path()).await;
        let channel = connect(address).await;
        let client = ImageServiceClient::new(channel.clone());
        Self(Arc::new(Inner { glance: Glance { client, channel, address, db }, images, folder }))
    }

    /// A client over HTTP.
    pub(crate) fn http(&self, who: Who) -> Http {
        Http::new(self.clone(), who)
    }

    /// A client over gRPC.
    pub(crate) fn grpc(&self, who: Who) -> ClientOf {
        who.client(&self.channel)
    }

    /// The use cases behind the edges.
    pub(crate) fn images(&self) -> Images {
        self.0.images.clone()
    }

    /// Where the image data is stored.
    pub(crate) fn folder(&self) -> PathBuf {
        self.0.folder.path().to_owned()
    }

    /// What lies there: a folder for the data of each image.
    pub(crate) fn data(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.0.folder.path()).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| !path.ends_with(MARKER)).collect()
    }

    /// Shares an image with the projects of those who have not answered, accepted and rejected it.
    pub(crate) async fn share(&self, id: &str) {
        let owner = self.http(Who::OWNER);
        for (who, answer) in [(Who::PENDING, ""), (Who::ACCEPTED, "accepted"), (Who::REJECTED, "rejected")] {
            let members = format!("/v2/images/{id}/members");
            owner.post(&members, json!({"member": who.project})).await.is(200);
            if !answer.is_empty() {
                let member = format!("{members}/{}", who.project);
                self.http(who).put(&member, json!({"status": answer})).await.is(200);
            }
        }
    }
}

/// What `call` gives for each of `callers`, all at once.
pub(crate) async fn at_once<F, T>(callers: usize, call: impl Fn(usize) -> F) -> Vec<T>
where
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    let mut calls = JoinSet::new();
    for number in 0..callers {
        calls.spawn(call(number));
    }
    calls.join_all().await
}

/// Looks again and again until `look` finds what happens by itself.
pub(crate) async fn soon<T>(what: &str, look: impl AsyncFn() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}
