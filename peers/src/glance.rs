//! The client of the image catalogue: picks a replica and a deadline for each call, and turns the peer's statuses
//! into errors of ours.

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

use chassis::{
    caller::{self, Caller},
    deadline::Deadline,
    group::{BatchLimits, Group, Lost},
    keystone::Keystone,
    peer::BadEndpoint,
    telemetry,
    tls::{self, Reloaded},
};
use common::{
    id::Id,
    image::{Image, ImageMeta},
    text::NAME_LIMIT,
};
use futures_util::future::join_all;
use prometheus_client::registry::Registry;
use proto::glance::v1::{self as pb, image_service_client::ImageServiceClient};
use tonic::{Code, Request, Status, TimeoutExpired, transport::Channel};

use crate::{Calls, Failure, Kind, Replicas};
use credentials::{Credentials, credentials};

mod args;
mod batch;
mod change;
mod credentials;
mod describe;

pub use args::{CannotCall, GlanceArgs};
pub use change::Deleted;

type Client = ImageServiceClient<Channel>;

/// The catalogue's name, and the domain of its reasons.
const NAME: &str = "glance";

/// Largest answer, in bytes: the largest image that the default quota allows has 8.5 MiB.
const MAX_ANSWER: usize = 64 * 1024 * 1024;

/// Metrics of calls to it.
static CALLS: LazyLock<Calls> = LazyLock::new(Calls::default);

/// Registers the metrics of calls to the catalogue.
pub fn register_metrics(registry: &mut Registry) {
    CALLS.register(NAME, registry);
}

/// Why the catalogue gave no usable answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// There is no such image, or the caller must not see it.
    #[error("no image {0}")]
    NotFound(Id),
    /// It cannot be reached, or is too busy.
    #[error("glance-svc is not available")]
    Unavailable(#[source] Option<Status>),
    /// It did not answer within this many milliseconds.
    #[error("glance-svc did not answer within {0} ms")]
    Timeout(u128),
    /// It answered with something that no image catalogue should send.
    #[error("glance-svc gave no usable answer")]
    Answer(#[source] Option<Status>),
    /// It no longer accepts the caller's token.
    #[error(transparent)]
    Caller(caller::Error),
    /// It will not do that, now or later.
    #[error("glance-svc refuses image {id}: {problem}")]
    Refused {
        /// The image.
        id: Id,
        /// Why, in glance-svc's words.
        problem: String,
    },
    /// The task that asked for several callers at once has panicked.
    #[error(transparent)]
    Lost(#[from] Lost),
}

/// How many requests share a lookup, and how long the next ones wait for one that is late.
const LIMITS: BatchLimits = BatchLimits { name: "images", batch: 256, patience: Duration::from_millis(10) };

/// The image catalogue. Concurrent requests for the same image and project share one call, which begins after all of
/// them have arrived: each gets the image as it is after it asked.
#[derive(Debug, Clone)]
pub struct Glance {
    replicas: Replicas<Client>,
    questions: Group<Question, ImageResult>,
    timeout: Duration,
    keystone: Option<Keystone>,
}

/// Who wants which image, and how long they will wait.
#[derive(Debug)]
struct Question {
    id: Id,
    caller: Caller,
    timeout: Duration,
}

type ImageResult = Result<Arc<Image>, Error>;

impl Glance {
    /// The catalogue at `endpoint`, such as `http://127.0.0.1:9292`, or at several, separated by commas. Connects
    /// when first needed, and reconnects whenever the connection is lost. A call takes at most `timeout`. https needs
    /// `tls`. With Keystone, calls carry the caller's token and the service's own, otherwise who the caller is.
    pub fn new(
        endpoint: &str,
        timeout: Duration,
        tls: Option<&Arc<Reloaded<tls::Client>>>,
        keystone: Option<Keystone>,
    ) -> Result<Self, BadEndpoint> {
        let client = |channel| Client::new(channel).max_decoding_message_size(MAX_ANSWER);
        let kind = Kind { name: NAME, client, calls: &CALLS };
        let replicas = Replicas::new(kind, endpoint, tls)?;
        let (peers, identity) = (replicas.clone(), keystone.clone());
        let answers = move |questions| answer_all(peers.clone(), identity.clone(), questions);
        let questions = Group::new(LIMITS, answers);
        Ok(Self { replicas, questions, timeout, keystone })
    }

    /// The image as it is now, within its share of the caller's deadline.
    pub async fn image(&self, id: Id, caller: &Caller, deadline: Option<Deadline>) -> ImageResult {
        let timeout = Deadline::share(deadline, self.timeout);
        let question = Question { id, caller: caller.clone(), timeout };
        match tokio::time::timeout(timeout, self.questions.submit(question)).await {
            Err(_) => Err(Error::Timeout(timeout.as_millis())),
            Ok(answer) => answer?,
        }
    }
}

impl Glance {
    /// The image as it was at `revision`, even if it has been deleted since.
    pub async fn image_at(
        &self,
        id: Id,
        revision: i64,
        caller: &Caller,
        deadline: Option<Deadline>,
    ) -> ImageResult {
        let timeout = Deadline::share(deadline, self.timeout);
        ask_at(&self.replicas, id, revision, &self.credentials(caller, timeout).await?, timeout).await
    }

    /// The headers that identify a caller to the catalogue.
    async fn credentials(&self, caller: &Caller, timeout: Duration) -> Result<Credentials, Error> {
        credentials(caller, self.keystone.as_ref(), timeout).await
    }

    /// The longest that a call may take.
    #[must_use]
    pub const fn timeout(&self) -> Duration {
        self.timeout
    }
}

/// Asks once per image and project; the answer depends on the project and the roles, not on the user. With Keystone, once
/// per token, since one may be valid and another not.
async fn answer_all(
    replicas: Replicas<Client>,
    keystone: Option<Keystone>,
    questions: Vec<Question>,
) -> Vec<ImageResult> {
    let mut calls = BTreeMap::new();
    for question in &questions {
        let key = question.key();
        let (_, timeout) = calls.entry(key).or_insert((question, question.timeout));
        *timeout = question.timeout.max(*timeout);
    }
    let asking = calls.into_iter().map(|(key, (question, timeout))| {
        let asking = ask(&replicas, keystone.as_ref(), question, timeout);
        async move { (key, asking.await) }
    });
    let answers: BTreeMap<_, _> = join_all(asking).await.into_iter().collect();
    questions.iter().map(|question| answers[&question.key()].clone()).collect()
}

impl Question {
    /// What its answer depends on.
    fn key(&self) -> impl Ord + '_ {
        let Caller { actor, roles, token, .. } = &self.caller;
        (self.id, &actor.project_id, roles, token)
    }
}

async fn ask(
    replicas: &Replicas<Client>,
    keystone: Option<&Keystone>,
    question: &Question,
    timeout: Duration,
) -> ImageResult {
    let credentials = credentials(&question.caller, keystone, timeout).await?;
    ask_at(replicas, question.id, 0, &credentials, timeout).await
}

async fn ask_at(
    replicas: &Replicas<Client>,
    id: Id,
    revision: i64,
    credentials: &Credentials,
    timeout: Duration,
) -> ImageResult {
    let started = Instant::now();
    let call = |mut client: Client, timeout| {
        let request = request(pb::GetImageRequest { id: id.to_string(), revision }, credentials, timeout);
        async move { client.get_image(request).await }
    };
    match replicas.call(timeout, call).await {
        Err(Failure::Timeout) => Err(Error::Timeout(timeout.as_millis())),
        Err(Failure::Status(status)) => {
            Err(credentials.refusal(&status).unwrap_or_else(|| peer_error(id, status, started.elapsed())))
        }
        Ok(answer) => image(id, answer).map(Arc::new).ok_or(Error::Answer(None)),
    }
}

/// A request that says who is asking, and how long they will wait.
fn request<T>(message: T, credentials: &Credentials, timeout: Duration) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(timeout);
    telemetry::hand_on(request.metadata_mut());
    credentials.add_to(request.metadata_mut());
    request
}

/// A peer's status is not ours: this decides what it means for our caller.
fn peer_error(id: Id, status: Status, elapsed: Duration) -> Error {
    match status.code() {
        Code::NotFound => Error::NotFound(id),
        Code::DeadlineExceeded => Error::Timeout(elapsed.as_millis()),
        Code::Cancelled if is_timeout(&status) => Error::Timeout(elapsed.as_millis()),
        code if change::is_passing(code) => Error::Unavailable(Some(status)),
        _ => Error::Answer(Some(status)),
    }
}

/// The transport reports its own timeout as a cancellation, and broken connections too.
fn is_timeout(status: &Status) -> bool {
    let source = std::error::Error::source(status);
    std::iter::successors(source, |error| error.source()).any(<dyn std::error::Error>::is::<TimeoutExpired>)
}

/// The image of an answer; `None` when it cannot be the image that was asked for.
fn image(id: Id, answer: pb::Image) -> Option<Image> {
    let status = match pb::image::Status::try_from(answer.status) {
        Ok(pb::image::Status::Unspecified) | Err(_) => return None,
        Ok(status) => status.as_str_name(),
    };
    let text = |text: String| (!text.is_empty()).then_some(text);
    let usable = answer.id.parse() == Ok(id)
        && answer.revision >= 1
        && answer.min_ram >= 0
        && answer.min_disk >= 0
        && answer.size.unwrap_or(0) >= 0
        && answer.virtual_size.unwrap_or(0) >= 0
        && [&answer.name, &answer.checksum].into_iter().all(|text| is_short(text))
        && is_short(&answer.disk_format)
        && is_short(&answer.container_format)
        && answer.properties.iter().all(|(name, value)| is_short(name) && !value.contains('\0'));
    usable.then(|| Image {
        id,
        revision: answer.revision,
        name: answer.name,
        status,
        size: answer.size,
        virtual_size: answer.virtual_size,
        checksum: text(answer.checksum),
        meta: ImageMeta {
            properties: answer.properties,
            min_ram: Some(answer.min_ram),
            min_disk: Some(answer.min_disk),
            disk_format: text(answer.disk_format),
            container_format: text(answer.container_format),
        },
    })
}

fn is_short(text: &str) -> bool {
    text.chars().count() <= NAME_LIMIT && !text.contains('\0')
}
