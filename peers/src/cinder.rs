//! The client of the volume service: volumes, their snapshots, and who uses them.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use chassis::{
    caller::{self, Caller},
    deadline::Deadline,
    keystone::Keystone,
    peer::BadEndpoint,
    tls::{self, Reloaded},
};
use common::id::Id;
use prometheus_client::registry::Registry;
use proto::cinder::v1::{
    attachment_service_client::AttachmentServiceClient, snapshot_service_client::SnapshotServiceClient,
    volume_service_client::VolumeServiceClient,
};
use tonic::{Code, Request, Response, Status, transport::Channel};

use crate::{
    Calls, Kind, Replicas,
    client::{Client, Unanswered},
    refusal::{OF_A_CHANGE, Refusal, refusal},
};

mod args;
mod attachment;
mod describe;
mod read;
mod snapshot;
mod volume;

pub use args::CinderArgs;
pub use attachment::{Attachment, AttachmentStatus, NewAttachment};
pub use snapshot::{NewSnapshot, Snapshot};
pub use volume::{NewVolume, Reimage, Source, Volume};

/// The service's name, and the domain of its reasons.
const NAME: &str = "cinder";

/// Largest answer, in bytes: what a volume remembers has 1.5 MiB of properties, and so has the target of its task.
const MAX_ANSWER: usize = 16 * 1024 * 1024;

/// Metrics of calls to it.
static CALLS: LazyLock<Calls> = LazyLock::new(Calls::default);

/// Registers the metrics of calls to the volume service.
pub fn register_metrics(registry: &mut Registry) {
    CALLS.register(NAME, registry);
}

/// Why the volume service gave no usable answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// There is no such thing, or the caller must not see it.
    #[error("no {} {id}", .resource.name())]
    NotFound {
        /// What it would be.
        resource: Resource,
        /// Its id.
        id: Id,
    },
    /// It cannot be reached, or is too busy.
    #[error("cinder-svc is not available")]
    Unavailable(#[source] Option<Status>),
    /// It did not answer within this many milliseconds.
    #[error("cinder-svc did not answer within {0} ms")]
    Timeout(u128),
    /// It answered with something that no volume service should send.
    #[error("cinder-svc gave no usable answer")]
    Answer(#[source] Option<Status>),
    /// It no longer accepts the caller's token.
    #[error(transparent)]
    Caller(caller::Error),
    /// It will not do that as things are.
    #[error("cinder-svc refuses that: {problem}")]
    Refused {
        /// Its reason, such as `VOLUME_RESERVED`.
        reason: String,
        /// Why, in its words.
        problem: String,
    },
}

/// What a call is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the resource with that name")]
pub enum Resource {
    Volume,
    Snapshot,
    Attachment,
}

impl Resource {
    /// Its name in a sentence.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Volume => "volume",
            Self::Snapshot => "snapshot",
            Self::Attachment => "attachment",
        }
    }
}

/// The generated clients of its services, on one channel.
#[derive(Debug, Clone)]
struct Services {
    volumes: VolumeServiceClient<Channel>,
    snapshots: SnapshotServiceClient<Channel>,
    attachments: AttachmentServiceClient<Channel>,
}

impl Services {
    fn on(channel: Channel) -> Self {
        Self {
            volumes: VolumeServiceClient::new(channel.clone()).max_decoding_message_size(MAX_ANSWER),
            snapshots: SnapshotServiceClient::new(channel.clone()).max_decoding_message_size(MAX_ANSWER),
            attachments: AttachmentServiceClient::new(channel).max_decoding_message_size(MAX_ANSWER),
        }
    }
}

/// The volume service.
///
/// A call that is made again does no harm: whatever creates something has a request id, and the others can be told apart
/// by what they find. Each takes at most the configured timeout, and its share of the caller's deadline.
#[derive(Debug, Clone)]
pub struct Cinder {
    client: Client<Services>,
    timeout: Duration,
}

impl Cinder {
    /// The volume service at `endpoint`, such as `http://127.0.0.1:8776`, or at several, separated by commas; otherwise
    /// as [`Glance::new`](crate::glance::Glance::new).
    pub fn new(
        endpoint: &str,
        timeout: Duration,
        tls: Option<&Arc<Reloaded<tls::Client>>>,
        keystone: Option<Keystone>,
    ) -> Result<Self, BadEndpoint> {
        let kind = Kind { name: NAME, client: Services::on, calls: &CALLS };
        Ok(Self { client: Client::new(Replicas::new(kind, endpoint, tls)?, keystone), timeout })
    }

    /// The longest that a call may take.
    #[must_use]
    pub const fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Makes a call about something.
    async fn call<M, T, F>(
        &self,
        (resource, id): (Resource, Id),
        message: M,
        caller: &Caller,
        deadline: Option<Deadline>,
        method: impl Fn(Services, Request<M>) -> F,
    ) -> Result<T, Error>
    where
        M: Clone,
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let timeout = Deadline::share(deadline, self.timeout);
        let answer = self.client.call(message, caller, timeout, method).await;
        answer.map_err(|unanswered| match unanswered.status() {
            Some(status) if status.code() == Code::NotFound => Error::NotFound { resource, id },
            Some(status) => match refusal(status, NAME, OF_A_CHANGE) {
                Some(Refusal { reason, problem }) => Error::Refused { reason, problem },
                None => unanswered.into(),
            },
            None => unanswered.into(),
        })
    }
}

impl From<Unanswered> for Error {
    fn from(unanswered: Unanswered) -> Self {
        match unanswered.of_the_call() {
            Unanswered::Unavailable(status) => Self::Unavailable(status),
            Unanswered::Timeout(milliseconds) => Self::Timeout(milliseconds),
            Unanswered::Caller(error) => Self::Caller(error),
            Unanswered::Status(status, _) => Self::Answer(Some(status)),
        }
    }
}
