//! Clients that create instances, one request after the other, for as long as the load lasts.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use common::id::Id;
use proto::nova::v1::{CreateInstanceRequest, instance_service_client::InstanceServiceClient};
use tokio::task::JoinSet;
use tonic::{Request, Status, transport::Channel};
use tonic_types::StatusExt as _;

use crate::ledger::{Ledger, Outcome};

/// How long a client pauses after a failure, unless it obeys `RetryInfo`.
const REST: Duration = Duration::from_millis(20);

/// Where the next request goes.
pub(crate) trait Route: Send + Sync + 'static {
    /// A client of a replica that is in service.
    fn client(&self, number: usize) -> InstanceServiceClient<Channel>;
}

impl<F: Fn(usize) -> InstanceServiceClient<Channel> + Send + Sync + 'static> Route for F {
    fn client(&self, number: usize) -> InstanceServiceClient<Channel> {
        self(number)
    }
}

/// The settings of a load.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    /// The image to create instances from.
    pub(crate) image_id: String,
    /// Number of requests in flight.
    pub(crate) clients: usize,
    /// How long each client waits for its answer.
    pub(crate) deadline: Duration,
    /// Whether a failed request is retried, with the same id, until it is acknowledged.
    pub(crate) insists: bool,
    /// Whether clients obey `RetryInfo` after a failure, as well-behaved clients do.
    pub(crate) is_patient: bool,
    /// How long each client pauses after an acknowledgement.
    pub(crate) rest: Duration,
}

impl Shape {
    /// Few clients, which soon send another request after a failure.
    pub(crate) const fn modest(image_id: String, deadline: Duration) -> Self {
        Self { image_id, clients: 8, deadline, insists: false, is_patient: false, rest: Duration::ZERO }
    }
}

/// A running load.
pub(crate) struct Load {
    pub(crate) ledger: Arc<Ledger>,
    is_over: Arc<AtomicBool>,
    clients: JoinSet<()>,
}

impl Load {
    /// Starts the load.
    pub(crate) fn start(shape: &Shape, route: &Arc<dyn Route>) -> Self {
        let (ledger, is_over, numbers) =
            (Arc::<Ledger>::default(), Arc::<AtomicBool>::default(), Arc::default());
        let mut clients = JoinSet::new();
        for _ in 0..shape.clients {
            let client = Client {
                shape: shape.clone(),
                route: Arc::clone(route),
                ledger: Arc::clone(&ledger),
                is_over: Arc::clone(&is_over),
                numbers: Arc::clone(&numbers),
            };
            clients.spawn(client.run());
        }
        Self { ledger, is_over, clients }
    }

    /// Stops the load, after requests in flight have completed.
    pub(crate) async fn end(mut self) -> Outcome {
        self.is_over.store(true, Ordering::Relaxed);
        while self.clients.join_next().await.is_some() {}
        self.ledger.outcome()
    }
}

struct Client {
    shape: Shape,
    route: Arc<dyn Route>,
    ledger: Arc<Ledger>,
    is_over: Arc<AtomicBool>,
    numbers: Arc<AtomicUsize>,
}

impl Client {
    async fn run(self) {
        while !self.is_over.load(Ordering::Relaxed) {
            let request = CreateInstanceRequest {
                name: "fault".to_owned(),
                image_id: self.shape.image_id.clone(),
                flavor_id: "1".to_owned(),
                request_id: Id::random().to_string(),
                ..CreateInstanceRequest::default()
            };
            while !self.send(&request).await && self.shape.insists {}
        }
    }

    /// How long to pause after a failure, with jitter: otherwise all clients would retry at the same time.
    fn rest(&self, status: &Status, number: usize) -> Duration {
        let pause = status.get_details_retry_info().and_then(|info| info.retry_delay);
        let pause = pause.filter(|_| self.shape.is_patient);
        pause.map_or(REST, |pause| {
            pause.mul_f64(0.5 + f64::from(u8::try_from(number % 100).unwrap_or(0)) / 100.0)
        })
    }

    /// Sends a request; returns whether it was acknowledged.
    async fn send(&self, request: &CreateInstanceRequest) -> bool {
        let sent = Instant::now();
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let mut client = self.route.client(number);
        let mut message = Request::new(request.clone());
        message.set_timeout(self.shape.deadline);
        // Each client is a caller of its own: a single one may take only a quarter of the places.
        let user = format!("user-{}", number % self.shape.clients.max(1));
        message.metadata_mut().insert("x-user-id", user.parse().expect("ASCII"));
        match client.create_instance(message).await {
            Ok(answer) => {
                let ids: Vec<_> =
                    answer.into_inner().instances.into_iter().map(|instance| instance.id).collect();
                self.ledger.acknowledged(request.request_id.clone(), ids.join(","), sent.elapsed());
                tokio::time::sleep(self.shape.rest).await;
                true
            }
            Err(status) => {
                self.ledger.failed(&status, sent.elapsed());
                tokio::time::sleep(self.rest(&status, number)).await;
                false
            }
        }
    }
}
