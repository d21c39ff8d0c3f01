//! The largest requests of each kind, many at once: what a service takes for them stays within what its pod has.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::{Debug, Write as _},
    future::Future,
    time::{Duration, Instant},
};

use chassis::{
    on_both_databases,
    testing::{TestDb, made_as},
};
use harness::service::Service;
use prost::Message as _;
use prost_types::FileDescriptorSet;
use proto::{
    glance::v1::{CreateImageRequest, Image, image_service_client::ImageServiceClient},
    nova::v1::{CreateInstanceRequest, instance_service_client::InstanceServiceClient},
};
use tokio::task::JoinSet;
use tonic::{Request, transport::Channel};

mod http;
mod images;
mod instances;
mod refused;
mod volume_data;
mod volumes;

on_both_databases!(
    the_largest_creates_fit_into_memory,
    the_largest_calls_about_instances_fit_into_memory,
    the_largest_calls_about_images_fit_into_memory,
    the_largest_calls_over_http_fit_into_memory,
    messages_that_are_refused_fit_into_memory,
    the_data_of_volumes_fits_into_memory,
    the_largest_reports_about_volumes_fit_into_memory,
);

/// On SQLite, what each connection keeps of its database comes on top.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_largest_calls_about_volumes_fit_into_memory_beside_postgres() {
    the_largest_calls_about_volumes_fit_into_memory(TestDb::postgres().await).await;
}

use self::{
    http::the_largest_calls_over_http_fit_into_memory,
    images::the_largest_calls_about_images_fit_into_memory,
    instances::the_largest_calls_about_instances_fit_into_memory,
    refused::messages_that_are_refused_fit_into_memory,
    volume_data::{the_data_of_volumes_fits_into_memory, the_largest_reports_about_volumes_fit_into_memory},
    volumes::the_largest_calls_about_volumes_fit_into_memory,
};

/// Most memory that a service may take, bytes.
const MOST: u64 = 256 << 20;

/// Number of concurrent requests; the environment can raise it.
const AT_ONCE: usize = 16;

#[expect(clippy::disallowed_methods, reason = "how more of them are asked for")]
fn at_once() -> usize {
    std::env::var("AT_ONCE").ok().map_or(AT_ONCE, |count| count.parse().expect("AT_ONCE is a number"))
}

/// Limits under which no request is late or refused, even on a busy machine and from a single caller.
const PATIENT: [&str; 6] =
    ["--max-deadline-ms", "3600000", "--listen", "127.0.0.1:0", "--max-transfers", "512"];

/// Memory of each kind of request, in bytes.
struct Peaks<'a>(&'a Service, Vec<(String, u64, Duration)>);

impl Peaks<'_> {
    /// Makes a call many times concurrently. All must be successful: refused ones prove nothing.
    async fn of<F, T, E>(&mut self, name: &str, call: impl Fn(usize) -> F) -> Vec<T>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: Debug + Send + 'static,
    {
        self.0.forget_peak().unwrap();
        let begun = Instant::now();
        let mut calls = JoinSet::new();
        for number in 0..at_once() {
            calls.spawn(call(number));
        }
        let answers = calls.join_all().await.into_iter().map(|answer| answer.expect(name)).collect();
        self.1.push((name.to_owned(), self.0.peak().unwrap(), begun.elapsed()));
        answers
    }

    /// Fails unless all stayed within the limit, and every one of `calls` was made.
    #[expect(clippy::print_stdout, reason = "what was measured, for whoever wants to read it")]
    fn check(self, calls: &BTreeSet<String>) {
        let made =
            self.1.iter().map(|(name, ..)| name.split(',').next().unwrap_or(name).to_owned()).collect();
        let missing: Vec<_> = calls.difference(&made).collect();
        assert!(missing.is_empty(), "calls without a row here: {missing:?}");
        let table = self.1.iter().fold(String::new(), |mut table, (name, peak, time)| {
            let _ = writeln!(table, "{:>6} MiB  {name}  ({time:.1?})", peak >> 20);
            table
        });
        println!("{table}");
        assert!(self.1.iter().all(|(_, peak, _)| *peak <= MOST), "more than {} MiB:\n{table}", MOST >> 20);
    }
}

/// The methods of a contract.
fn methods(descriptors: &[u8]) -> BTreeSet<String> {
    let files = FileDescriptorSet::decode(descriptors).unwrap().file;
    let services = files.iter().flat_map(|file| &file.service);
    services.flat_map(|service| &service.method).map(|method| method.name().to_owned()).collect()
}

fn glance(db: &TestDb) -> Service {
    Service::start("glance-svc", PATIENT.iter().chain(&["--database-url", &db.url])).unwrap()
}

fn nova(db: &TestDb, glance: &Service) -> Service {
    nova_with(db, glance, &[])
}

fn nova_with(db: &TestDb, glance: &Service, more: &[&str]) -> Service {
    let own = [
        "--database-url",
        &db.url,
        "--glance-endpoint",
        &glance.endpoint(),
        "--compute",
        "none",
        "--glance-timeout-ms",
        "600000",
    ];
    Service::start("nova-api-svc", PATIENT.iter().chain(&own).chain(more)).unwrap()
}

/// As many properties as an image may have, with as many bytes; `seed` tells those of one image from another's.
fn properties(text: &str, seed: usize) -> BTreeMap<String, String> {
    let value = |number| format!("{seed} {number} {}", text.repeat(12_000 / text.len()));
    (0..128).map(|number| (format!("{number:0>255}"), value(number))).collect()
}

fn image(seed: usize) -> Image {
    let tags = (0..128).map(|number| format!("{number:03}{}", "\u{1F600}".repeat(252))).collect();
    let (name, properties) = ("\u{1F600}".repeat(255), properties("x", seed));
    Image { name, size: Some(1), properties, tags, ..Image::default() }
}

fn first(count: usize, properties: BTreeMap<String, String>) -> BTreeMap<String, String> {
    properties.into_iter().take(count).collect()
}

/// As much metadata as a request may have.
fn metadata(seed: usize) -> BTreeMap<String, String> {
    let text = |number: usize| format!("{seed:03} {number:03} {}", "\u{1F600}".repeat(247));
    (0..128).map(|number| (text(number), text(number))).collect()
}

/// A request from an admin, for a project.
fn of_demo<T>(message: T) -> Request<T> {
    made_as("root", "demo", "admin", message)
}

/// Makes a call many times concurrently.
macro_rules! ask {
    ($peaks:ident, $client:ident, $method:ident, $name:literal, |$number:ident| $request:expr) => {
        $peaks
            .of($name, |$number| {
                let (mut client, request) = ($client.clone(), crate::memory::of_demo($request));
                async move { client.$method(request).await }
            })
            .await
    };
}

use ask;

async fn channel(service: &Service) -> Channel {
    Channel::from_shared(service.endpoint()).unwrap().connect().await.unwrap()
}

async fn registered(glance: &Service, image: Image) -> Image {
    let mut images = ImageServiceClient::new(channel(glance).await);
    images.create_image(of_demo(CreateImageRequest { image: Some(image) })).await.unwrap().into_inner()
}

fn creating(image: &Image, count: i32, seed: usize) -> CreateInstanceRequest {
    CreateInstanceRequest {
        name: "\u{1F600}".repeat(200),
        image_id: image.id.clone(),
        flavor_id: "1".into(),
        min_count: count,
        metadata: metadata(seed),
        request_id: format!("request {seed}"),
        ..CreateInstanceRequest::default()
    }
}

async fn the_largest_creates_fit_into_memory(db: TestDb) {
    let other = db.another().await;
    let glance = glance(&other);
    let nova = nova(&db, &glance);
    let image = registered(&glance, image(0)).await;
    let client = InstanceServiceClient::new(channel(&nova).await);
    let mut peaks = Peaks(&nova, Vec::new());
    let create = |number: usize| {
        let (mut client, request) = (client.clone(), of_demo(creating(&image, 1000, number)));
        async move { client.create_instance(request).await }
    };
    for answer in peaks.of("CreateInstance", create).await {
        assert_eq!(answer.into_inner().instances.len(), 1000);
    }
    for answer in peaks.of("CreateInstance, again", create).await {
        assert_eq!(answer.into_inner().instances.len(), 1000);
    }
    peaks.check(&BTreeSet::new());
}
