//! Clients that register, change and read images for as long as the load lasts.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use common::id::Id;
use proto::glance::v1::{
    CreateImageRequest, GetImageRequest, Image, ListImageRevisionsRequest, UpdateImagePropertiesRequest,
    image_service_client::ImageServiceClient,
};
use tokio::{task::JoinSet, time::sleep};
use tonic::{Code, Request, Status, transport::Channel};

use crate::ledger::Failures;

/// How long a client pauses after a failure.
const REST: Duration = Duration::from_millis(20);

/// How long clients wait for an answer.
const DEADLINE: Duration = Duration::from_secs(5);

/// How many times each image is changed.
const CHANGES: u64 = 3;

/// The property whose value is the number of the last change.
const NUMBER: &str = "number";

/// What was acknowledged to clients.
#[derive(Debug, Clone, Default)]
pub(crate) struct Record {
    /// For each image, the last acknowledged change, and the last requested one.
    images: BTreeMap<String, (u64, u64)>,
    /// Number of successful requests.
    pub(crate) done: usize,
    pub(crate) failed: Failures,
    /// Number of reads that were older than what had been acknowledged before them.
    pub(crate) stale: usize,
}

/// A running load.
pub(crate) struct ImageLoad {
    record: Arc<Mutex<Record>>,
    is_over: Arc<AtomicBool>,
    clients: JoinSet<()>,
}

impl ImageLoad {
    /// Starts a load with this many clients, which send each request to the next replica, and pause after each.
    pub(crate) fn start(channels: &[Channel], clients: usize, rest: Duration) -> Self {
        let (record, is_over, numbers) = (Arc::default(), Arc::<AtomicBool>::default(), Arc::default());
        let mut running = JoinSet::new();
        for number in 0..clients {
            let client = Client {
                user: format!("editor-{number}"),
                channels: channels.to_vec(),
                rest,
                record: Arc::clone(&record),
                is_over: Arc::clone(&is_over),
                numbers: Arc::clone(&numbers),
            };
            running.spawn(client.run());
        }
        Self { record, is_over, clients: running }
    }

    /// Number of successful requests so far.
    pub(crate) fn count(&self) -> usize {
        lock(&self.record).done
    }

    /// Stops the load, after requests in flight have completed.
    pub(crate) async fn end(mut self) -> Record {
        self.is_over.store(true, Ordering::Relaxed);
        while self.clients.join_next().await.is_some() {}
        lock(&self.record).clone()
    }
}

fn lock(record: &Mutex<Record>) -> MutexGuard<'_, Record> {
    record.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Client {
    user: String,
    channels: Vec<Channel>,
    rest: Duration,
    record: Arc<Mutex<Record>>,
    is_over: Arc<AtomicBool>,
    numbers: Arc<AtomicUsize>,
}

impl Client {
    async fn run(self) {
        while !self.is_over.load(Ordering::Relaxed) {
            let id = Id::random().to_string();
            if self.register(&id).await {
                for number in 1..=CHANGES {
                    self.change(&id, number).await;
                    self.read(&id).await;
                }
            }
        }
    }

    /// The next replica.
    fn images(&self) -> ImageServiceClient<Channel> {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        ImageServiceClient::new(self.channels[number % self.channels.len()].clone())
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.set_timeout(DEADLINE);
        request.metadata_mut().insert("x-user-id", self.user.parse().expect("ASCII"));
        request
    }

    /// Registers an image, with retries; returns whether that was acknowledged before the load ended.
    async fn register(&self, id: &str) -> bool {
        let image = Image { id: id.to_owned(), name: "fault".into(), size: Some(1), ..Image::default() };
        while !self.is_over.load(Ordering::Relaxed) {
            let request = self.request(CreateImageRequest { image: Some(image.clone()) });
            let answer = self.images().create_image(request).await.map(drop);
            // A failed request may have been carried out.
            let answer = answer.or_else(|status| match status.code() {
                Code::AlreadyExists => Ok(()),
                _ => Err(status),
            });
            let acknowledge = |record: &mut Record, ()| _ = record.images.insert(id.to_owned(), (0, 0));
            if self.note(answer, acknowledge).await {
                return true;
            }
        }
        false
    }

    async fn change(&self, id: &str, number: u64) {
        if let Some((_, tried)) = lock(&self.record).images.get_mut(id) {
            *tried = number;
        }
        let set = [(NUMBER.to_owned(), number.to_string())].into();
        let request = UpdateImagePropertiesRequest { image_id: id.to_owned(), set, ..Default::default() };
        let answer = self.images().update_image_properties(self.request(request)).await;
        let acknowledge = |record: &mut Record, _| {
            if let Some((acknowledged, _)) = record.images.get_mut(id) {
                *acknowledged = number;
            }
        };
        self.note(answer, acknowledge).await;
    }

    async fn read(&self, id: &str) {
        let request = self.request(GetImageRequest { id: id.to_owned(), revision: 0 });
        let answer = self.images().get_image(request).await;
        let compare = |record: &mut Record, answer: tonic::Response<Image>| {
            let expected = record.images.get(id).map_or(0, |(acknowledged, _)| *acknowledged);
            record.stale += usize::from(number_of(&answer.into_inner()) < expected);
        };
        self.note(answer, compare).await;
    }

    /// Records the outcome of a request, and pauses; returns whether it was successful.
    async fn note<T>(&self, answer: Result<T, Status>, done: impl FnOnce(&mut Record, T)) -> bool {
        let (is_done, rest) = {
            let mut record = lock(&self.record);
            match answer {
                Ok(answer) => {
                    done(&mut record, answer);
                    record.done += 1;
                    (true, self.rest)
                }
                Err(status) => {
                    record.failed.add(&status);
                    (false, REST)
                }
            }
        };
        sleep(rest).await;
        is_done
    }
}

fn number_of(image: &Image) -> u64 {
    image.properties.get(NUMBER).and_then(|number| number.parse().ok()).unwrap_or(0)
}

impl Record {
    /// Number of acknowledged images.
    pub(crate) fn images(&self) -> usize {
        self.images.len()
    }

    /// Number of images that are not as acknowledged: missing, without an acknowledged change, or with one that nobody
    /// requested.
    pub(crate) async fn audit(&self, channel: Channel) -> anyhow::Result<usize> {
        let mut images = ImageServiceClient::new(channel);
        let mut lost = 0;
        for (id, (acknowledged, tried)) in &self.images {
            let request = GetImageRequest { id: id.clone(), revision: 0 };
            let is_kept = match images.get_image(request).await {
                Ok(image) => (*acknowledged..=*tried).contains(&number_of(&image.into_inner())),
                Err(status) if status.code() == Code::NotFound => false,
                Err(status) => return Err(status.into()),
            };
            lost += usize::from(!is_kept);
        }
        Ok(lost)
    }

    /// Number of images whose history has a gap, or goes backwards in time.
    pub(crate) async fn broken_histories(&self, channel: Channel) -> anyhow::Result<usize> {
        let mut images = ImageServiceClient::new(channel);
        let mut broken = 0;
        for id in self.images.keys() {
            let request = ListImageRevisionsRequest { image_id: id.clone(), ..Default::default() };
            let mut revisions = images.list_image_revisions(request).await?.into_inner().revisions;
            revisions.reverse();
            let numbers = revisions.iter().map(|revision| revision.revision);
            let times = revisions.iter().map(|revision| {
                revision.create_time.map(|time| (time.seconds, time.nanos)).unwrap_or_default()
            });
            broken += usize::from(!numbers.eq(1..=i64::try_from(revisions.len())?) || !times.is_sorted());
        }
        Ok(broken)
    }
}
