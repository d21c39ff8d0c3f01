//! The client of the image catalogue: picks a replica and a deadline for each call, and turns the peer's statuses
//! into errors of ours.

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
    time::Duration,
};

use chassis::{
    caller::{self, Caller},
    deadline::Deadline,
    group::{BatchLimits, Group, Lost},
    keystone::Keystone,
    peer::BadEndpoint,
    tls::{self, Reloaded},
};
use common::{
    id::Id,
    image::{DataHash, Image, ImageMeta},
};
use futures_util::future::join_all;
use prometheus_client::registry::Registry;
use proto::glance::v1::{self as pb, image_service_client::ImageServiceClient};
use tonic::{Code, Status, transport::Channel};

use crate::{
    Calls, Kind, Replicas,
    client::{Client, Unanswered, is_short},
};

mod args;
mod batch;
mod change;
mod describe;
mod download;
pub mod drift;
pub mod jobs;
mod upload;

pub use args::GlanceArgs;
pub use change::Deleted;

type Images = ImageServiceClient<Channel>;

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
    client: Client<Images>,
    questions: Group<Question, ImageResult>,
    timeout: Duration,
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
        let images = |channel| Images::new(channel).max_decoding_message_size(MAX_ANSWER);
        let kind = Kind { name: NAME, client: images, calls: &CALLS };
        let client = Client::new(Replicas::new(kind, endpoint, tls)?, keystone);
        let asking = client.clone();
        let questions = Group::new(LIMITS, move |questions| answer_all(asking.clone(), questions));
        Ok(Self { client, questions, timeout })
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
        ask(&self.client, (id, revision), caller, timeout).await
    }

    /// The longest that a call may take.
    #[must_use]
    pub const fn timeout(&self) -> Duration {
        self.timeout
    }
}

/// Asks once per image and project; the answer depends on the project and the roles, not on the user. With Keystone, once
/// per token, since one may be valid and another not.
async fn answer_all(client: Client<Images>, questions: Vec<Question>) -> Vec<ImageResult> {
    let mut calls = BTreeMap::new();
    for question in &questions {
        let key = question.key();
        let (_, timeout) = calls.entry(key).or_insert((question, question.timeout));
        *timeout = question.timeout.max(*timeout);
    }
    let asking = calls.into_iter().map(|(key, (question, timeout))| {
        let asking = ask(&client, (question.id, 0), &question.caller, timeout);
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
    client: &Client<Images>,
    (id, revision): (Id, i64),
    caller: &Caller,
    timeout: Duration,
) -> ImageResult {
    let message = pb::GetImageRequest { id: id.to_string(), revision };
    let method = |mut images: Images, request| async move { images.get_image(request).await };
    let answer = client.call(message, caller, timeout, method).await;
    image(id, answer.map_err(|unanswered| of_image(id, unanswered))?).map(Arc::new).ok_or(Error::Answer(None))
}

/// Why there is no answer about the image with that id.
fn of_image(id: Id, unanswered: Unanswered) -> Error {
    if unanswered.code() == Some(Code::NotFound) { Error::NotFound(id) } else { unanswered.into() }
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

/// The image of an answer; `None` when it cannot be the image that was asked for.
fn image(id: Id, answer: pb::Image) -> Option<Image> {
    let status = match pb::image::Status::try_from(answer.status) {
        Ok(pb::image::Status::Unspecified) | Err(_) => return None,
        Ok(status) => status.as_str_name(),
    };
    let text = |text: String| (!text.is_empty()).then_some(text);
    let hash = text(answer.os_hash_algo.clone()).zip(text(answer.os_hash_value.clone()));
    let usable = answer.id.parse() == Ok(id)
        && answer.revision >= 1
        && answer.min_ram >= 0
        && answer.min_disk >= 0
        && answer.size.unwrap_or(0) >= 0
        && answer.virtual_size.unwrap_or(0) >= 0
        && [&answer.name, &answer.checksum, &answer.os_hash_algo, &answer.os_hash_value]
            .into_iter()
            .all(|text| is_short(text))
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
        hash: hash.map(|(algorithm, value)| DataHash { algorithm, value }),
        meta: ImageMeta {
            properties: answer.properties,
            min_ram: Some(answer.min_ram),
            min_disk: Some(answer.min_disk),
            disk_format: text(answer.disk_format),
            container_format: text(answer.container_format),
        },
    })
}
