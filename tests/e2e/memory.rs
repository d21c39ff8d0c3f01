//! The largest requests of each kind, many at once: what a service takes for them stays within what its pod has.

use std::{collections::BTreeMap, fmt::Write as _, future::Future};

use common::{on_both_databases, testing::TestDb};
use harness::service::Service;
use proto::{
    glance::v1::{
        CreateImageRequest, GetImageRequest, GetImagesRequest, Image, UpdateImagePropertiesRequest,
        image_service_client::ImageServiceClient,
    },
    nova::v1::{
        CompareInstanceRequest, CreateInstanceRequest, GetInstanceHistoryRequest, GetInstanceRequest,
        ListDriftRequest, ListInstancesRequest, UpdateInstanceImagePropertiesRequest,
        instance_service_client::InstanceServiceClient,
    },
};
use tokio::task::JoinSet;
use tonic::{Request, Status, transport::Channel};

on_both_databases!(
    the_largest_creates_fit_into_memory,
    the_largest_reads_of_instances_fit_into_memory,
    the_largest_images_fit_into_memory,
);

/// Most memory that a service may take, bytes.
const MOST: u64 = 256 << 20;

/// As many requests as are sent at once.
const AT_ONCE: usize = 16;

/// No request of these is late: the machine may be busy with other tests.
const PATIENT: [&str; 4] = ["--max-deadline-ms", "3600000", "--listen", "127.0.0.1:0"];

/// What the kinds of requests took, bytes.
struct Peaks<'a>(&'a Service, Vec<(&'static str, u64)>);

impl Peaks<'_> {
    /// Makes a call many times at once. Each must be successful: what is refused says nothing.
    async fn of<F, T>(&mut self, name: &'static str, call: impl Fn(usize) -> F) -> Vec<T>
    where
        F: Future<Output = Result<T, Status>> + Send + 'static,
        T: Send + 'static,
    {
        self.0.forget_peak().unwrap();
        let mut calls = JoinSet::new();
        for number in 0..AT_ONCE {
            calls.spawn(call(number));
        }
        let answers = calls.join_all().await.into_iter().map(|answer| answer.expect(name)).collect();
        self.1.push((name, self.0.peak().unwrap()));
        answers
    }

    /// Fails unless all fit.
    fn check(self) {
        let table = self.1.iter().fold(String::new(), |mut table, (name, peak)| {
            let _ = writeln!(table, "{:>6} MiB  {name}", peak >> 20);
            table
        });
        assert!(self.1.iter().all(|(_, peak)| *peak <= MOST), "more than {} MiB:\n{table}", MOST >> 20);
    }
}

fn glance(db: &TestDb) -> Service {
    Service::start("glance-svc", PATIENT.iter().chain(&["--database-url", &db.url])).unwrap()
}

fn nova(db: &TestDb, glance: &Service) -> Service {
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
    Service::start("nova-api-svc", PATIENT.iter().chain(&own)).unwrap()
}

/// As many properties as an image may have, with as many bytes; `seed` tells those of one image from another's.
fn properties(text: &str, seed: usize) -> BTreeMap<String, String> {
    let value = |number| format!("{seed} {number} {}", text.repeat(12_000 / text.len()));
    (0..128).map(|number| (format!("{number:0>255}"), value(number))).collect()
}

fn image(seed: usize) -> Image {
    Image { name: "n".repeat(255), size: Some(1), properties: properties("x", seed), ..Image::default() }
}

/// As much metadata as a request may have.
fn metadata(seed: usize) -> BTreeMap<String, String> {
    let text = |number: usize| format!("{seed:03} {number:03} {}", "\u{1F600}".repeat(247));
    (0..128).map(|number| (text(number), text(number))).collect()
}

fn of_demo<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("x-user-id", "alice".parse().unwrap());
    request.metadata_mut().insert("x-project-id", "demo".parse().unwrap());
    request
}

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
    peaks.check();
}

async fn the_largest_reads_of_instances_fit_into_memory(db: TestDb) {
    let other = db.another().await;
    let glance = glance(&other);
    let nova = nova(&db, &glance);
    let client = InstanceServiceClient::new(channel(&nova).await);
    let mut peaks = Peaks(&nova, Vec::new());
    // Each of another image, which has changed since: no two share anything.
    let mut images = Vec::new();
    for number in 0..AT_ONCE {
        images.push(registered(&glance, image(number)).await);
    }
    let mut ids = Vec::new();
    for round in 0..4 {
        let create = |number: usize| {
            let request = of_demo(creating(&images[number], 1, round * AT_ONCE + number));
            let mut client = client.clone();
            async move { client.create_instance(request).await }
        };
        let created = peaks.of("CreateInstance, of another image each", create).await;
        ids.extend(created.into_iter().map(|answer| answer.into_inner().instances.remove(0).id));
    }
    for (number, image) in images.iter().enumerate() {
        let request = UpdateImagePropertiesRequest {
            image_id: image.id.clone(),
            set: properties("y", number + 100),
            ..UpdateImagePropertiesRequest::default()
        };
        let mut images = ImageServiceClient::new(channel(&glance).await);
        images.update_image_properties(of_demo(request)).await.unwrap();
    }
    macro_rules! ask {
        ($method:ident, $name:literal, |$number:ident| $request:expr) => {
            peaks
                .of($name, |$number| {
                    let (mut client, request) = (client.clone(), of_demo($request));
                    async move { client.$method(request).await }
                })
                .await
        };
    }
    ask!(get_instance, "GetInstance", |number| GetInstanceRequest { id: ids[number].clone() });
    ask!(list_instances, "ListInstances", |_number| ListInstancesRequest {
        page_size: 1000,
        ..ListInstancesRequest::default()
    });
    ask!(compare_instance, "CompareInstance", |number| CompareInstanceRequest { id: ids[number].clone() });
    ask!(list_drift, "ListDrift", |_number| ListDriftRequest { page_size: 1000, ..Default::default() });
    ask!(update_instance_image_properties, "UpdateInstanceImageProperties", |number| {
        UpdateInstanceImagePropertiesRequest {
            id: ids[number].clone(),
            set: properties("z", 0)
                .into_iter()
                .map(|(name, value)| (name, value[..200].to_owned()))
                .collect(),
            ..UpdateInstanceImagePropertiesRequest::default()
        }
    });
    ask!(get_instance_history, "GetInstanceHistory", |number| GetInstanceHistoryRequest {
        id: ids[number].clone(),
        page_size: 1000,
        ..GetInstanceHistoryRequest::default()
    });
    peaks.check();
}

async fn the_largest_images_fit_into_memory(db: TestDb) {
    let glance = glance(&db);
    let client = ImageServiceClient::new(channel(&glance).await);
    let mut peaks = Peaks(&glance, Vec::new());
    macro_rules! ask {
        ($method:ident, $name:literal, |$number:ident| $request:expr) => {
            peaks
                .of($name, |$number| {
                    let (mut client, request) = (client.clone(), of_demo($request));
                    async move { client.$method(request).await }
                })
                .await
        };
    }
    let created =
        ask!(create_image, "CreateImage", |number| CreateImageRequest { image: Some(image(number)) });
    let ids: Vec<_> = created.into_iter().map(|answer| answer.into_inner().id).collect();
    ask!(get_image, "GetImage", |number| GetImageRequest { id: ids[number].clone(), revision: 0 });
    ask!(get_images, "GetImages", |_number| GetImagesRequest { ids: ids.clone() });
    peaks.check();
}
