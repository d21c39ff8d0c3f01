//! Clients that register images, change and read them, as long as the load lasts.

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

/// How long a client rests after a failure.
const REST: Duration = Duration::from_millis(20);

/// How long clients wait for an answer.
const DEADLINE: Duration = Duration::from_secs(5);

/// How often each image is changed.
const CHANGES: u64 = 3;

/// The property that has the number of the last change.
const NUMBER: &str = "number";

/// What clients were told.
#[derive(Debug, Clone, Default)]
pub(crate) struct Told {
    /// The last change of each image that was acknowledged, and the last that was asked for.
    images: BTreeMap<String, (u64, u64)>,
    /// How many requests were successful.
    pub(crate) done: usize,
    pub(crate) failed: Failures,
    /// How many answers were older than what had been acknowledged before.
    pub(crate) stale: usize,
}

/// A load that is on.
pub(crate) struct ImageLoad {
    told: Arc<Mutex<Told>>,
    is_over: Arc<AtomicBool>,
    clients: JoinSet<()>,
}

impl ImageLoad {
    /// Puts the load on: so many clients, which send each request to the next of the replicas, and rest after each.
    pub(crate) fn start(channels: &[Channel], clients: usize, rest: Duration) -> Self {
        let (told, is_over, numbers) = (Arc::default(), Arc::<AtomicBool>::default(), Arc::default());
        let mut running = JoinSet::new();
        for number in 0..clients {
            let client = Client {
                user: format!("editor-{number}"),
                channels: channels.to_vec(),
                rest,
                told: Arc::clone(&told),
                is_over: Arc::clone(&is_over),
                numbers: Arc::clone(&numbers),
            };
            running.spawn(client.run());
        }
        Self { told, is_over, clients: running }
    }

    /// How many requests were successful so far.
    pub(crate) fn count(&self) -> usize {
        lock(&self.told).done
    }

    /// Takes the load off; requests that are under way end first.
    pub(crate) async fn end(mut self) -> Told {
        self.is_over.store(true, Ordering::Relaxed);
        while self.clients.join_next().await.is_some() {}
        lock(&self.told).clone()
    }
}

fn lock(told: &Mutex<Told>) -> MutexGuard<'_, Told> {
    told.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Client {
    user: String,
    channels: Vec<Channel>,
    rest: Duration,
    told: Arc<Mutex<Told>>,
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

    /// Registers an image, as often as it takes; whether it was acknowledged before the load was over.
    async fn register(&self, id: &str) -> bool {
        let image = Image { id: id.to_owned(), name: "fault".into(), size: Some(1), ..Image::default() };
        while !self.is_over.load(Ordering::Relaxed) {
            let request = self.request(CreateImageRequest { image: Some(image.clone()) });
            let answer = self.images().create_image(request).await.map(drop);
            // What was done by a request that failed is not done again.
            let answer = answer.or_else(|status| match status.code() {
                Code::AlreadyExists => Ok(()),
                _ => Err(status),
            });
            let acknowledge = |told: &mut Told, ()| _ = told.images.insert(id.to_owned(), (0, 0));
            if self.note(answer, acknowledge).await {
                return true;
            }
        }
        false
    }

    async fn change(&self, id: &str, number: u64) {
        if let Some((_, tried)) = lock(&self.told).images.get_mut(id) {
            *tried = number;
        }
        let set = [(NUMBER.to_owned(), number.to_string())].into();
        let request = UpdateImagePropertiesRequest { image_id: id.to_owned(), set, ..Default::default() };
        let answer = self.images().update_image_properties(self.request(request)).await;
        let acknowledge = |told: &mut Told, _| {
            if let Some((acknowledged, _)) = told.images.get_mut(id) {
                *acknowledged = number;
            }
        };
        self.note(answer, acknowledge).await;
    }

    async fn read(&self, id: &str) {
        let request = self.request(GetImageRequest { id: id.to_owned(), revision: 0 });
        let answer = self.images().get_image(request).await;
        let compare = |told: &mut Told, answer: tonic::Response<Image>| {
            let expected = told.images.get(id).map_or(0, |(acknowledged, _)| *acknowledged);
            told.stale += usize::from(number_of(&answer.into_inner()) < expected);
        };
        self.note(answer, compare).await;
    }

    /// Notes what was answered, and rests; whether it was successful.
    async fn note<T>(&self, answer: Result<T, Status>, done: impl FnOnce(&mut Told, T)) -> bool {
        let (is_done, rest) = {
            let mut told = lock(&self.told);
            match answer {
                Ok(answer) => {
                    done(&mut told, answer);
                    told.done += 1;
                    (true, self.rest)
                }
                Err(status) => {
                    told.failed.add(&status);
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

impl Told {
    /// How many images were acknowledged.
    pub(crate) fn images(&self) -> usize {
        self.images.len()
    }

    /// How many images are not as clients were told: not there, or without a change that was acknowledged, or with one
    /// that nobody asked for.
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

    /// How many images have a history in which a number is left out, or time goes back.
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
