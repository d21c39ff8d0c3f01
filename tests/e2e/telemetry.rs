//! What an operator sees of a request: one trace through both services and their SQL, metrics, and logs.

use std::{
    collections::BTreeSet,
    fs,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use chassis::testing::TestDb;
use harness::{http, service::Service, workspace};
use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    trace::v1::Span,
};
use proto::{
    glance::v1::{CreateImageRequest, Image, image_service_client::ImageServiceClient},
    nova::v1::instance_service_client::InstanceServiceClient,
};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, transport::Server};

use crate::world::create;

/// A collector that keeps what it gets, with the name of the service.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<(String, Span)>>>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let mut kept = self.0.lock().unwrap();
        for resource in request.into_inner().resource_spans {
            let service = format!("{:?}", resource.resource);
            let service = ["glance-svc", "nova-api-svc"].into_iter().find(|name| service.contains(name));
            for scope in resource.scope_spans {
                kept.extend(scope.spans.into_iter().map(|span| (service.unwrap().to_owned(), span)));
            }
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    async fn start(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let serving = Server::builder().add_service(TraceServiceServer::new(self.clone()));
        tokio::spawn(serving.serve_with_incoming(TcpListenerStream::new(listener)));
        url
    }

    fn spans(&self, trace: &[u8]) -> Vec<(String, Span)> {
        self.0.lock().unwrap().iter().filter(|(_, span)| span.trace_id == trace).cloned().collect()
    }
}

/// Both services with probes and metrics.
struct Services {
    glance: Service,
    nova: Service,
    _dbs: [TestDb; 2],
}

impl Services {
    fn start(arguments: &[&str]) -> Self {
        let dbs = [TestDb::sqlite(), TestDb::sqlite()];
        let usual = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--log-format", "json"];
        let with = |more: &[&str]| -> Vec<String> {
            usual.iter().chain(arguments).chain(more).map(|argument| (*argument).to_owned()).collect()
        };
        let glance = Service::start("glance-svc", with(&["--database-url", &dbs[0].url])).unwrap();
        let endpoint = glance.endpoint();
        let more = ["--database-url", &dbs[1].url, "--glance-endpoint", &endpoint];
        let nova = Service::start("nova-api-svc", with(&more)).unwrap();
        Self { glance, nova, _dbs: dbs }
    }

    /// Creates an instance, as a part of this trace.
    async fn create(&self, traceparent: &str) {
        let mut images = ImageServiceClient::connect(self.glance.endpoint()).await.unwrap();
        let image = Image { name: "image".into(), size: Some(1), ..Image::default() };
        let image =
            images.create_image(CreateImageRequest { image: Some(image) }).await.unwrap().into_inner();
        let mut instances = InstanceServiceClient::connect(self.nova.endpoint()).await.unwrap();
        let mut request = Request::new(create(&image, 1));
        request.metadata_mut().insert("traceparent", traceparent.parse().unwrap());
        instances.create_instance(request).await.unwrap();
    }
}

/// What is at `path`, head and body.
fn get(address: SocketAddr, path: &str) -> String {
    http::get(address, path).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_is_one_trace_through_both_services_and_their_sql() {
    let collector = Collector::default();
    let services = Services::start(&["--otlp-endpoint", &collector.start().await]);
    services.create("00-0123456789abcdef0123456789abcdef-0123456789abcdef-01").await;
    let trace = 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef_u128.to_be_bytes();
    let complete = |spans: &[(String, Span)]| {
        let of = |service: &str, name: &str| {
            spans.iter().any(|(of, span)| of == service && span.name.contains(name))
        };
        of("nova-api-svc", "CreateInstance") && of("glance-svc", "GetImage") && of("nova-api-svc", "creates")
    };
    let waiting = async {
        let mut interval = tokio::time::interval(Duration::from_millis(50));
        while !complete(&collector.spans(&trace)) {
            interval.tick().await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_mins(1), waiting).await;
    let spans = collector.spans(&trace);
    let names: Vec<_> = spans.iter().map(|(service, span)| (service, &span.name)).collect();
    in_time.unwrap_or_else(|_| panic!("{names:?}"));

    // Every span except the first has a parent in the trace.
    let ids: BTreeSet<_> = spans.iter().map(|(_, span)| span.span_id.clone()).collect();
    let caller = 0x0123_4567_89ab_cdef_u64.to_be_bytes().to_vec();
    let hangs = |span: &Span| span.parent_span_id == caller || ids.contains(&span.parent_span_id);
    assert!(spans.iter().all(|(_, span)| hangs(span)), "{names:?}");
    for service in ["nova-api-svc", "glance-svc"] {
        let events = spans.iter().filter(|(of, _)| of == service).flat_map(|(_, span)| &span.events);
        let said: Vec<_> = events.map(|event| format!("{:?}", event.attributes)).collect();
        assert!(said.iter().any(|event| event.contains("db.statement")), "{service}: {said:?}");
    }
    // An exemplar leads from a slow bucket to this trace.
    let metrics = get(services.nova.admin().unwrap(), "/metrics");
    assert!(metrics.contains(r#"# {trace_id="0123456789abcdef0123456789abcdef"}"#), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_counted_can_be_scraped_and_every_panel_and_alert_finds_it() {
    let services = Services::start(&[]);
    services.create("00-0123456789abcdef0123456789abcdef-0123456789abcdef-01").await;
    let (glance, nova) = (services.glance.admin().unwrap(), services.nova.admin().unwrap());
    get(services.glance.address(), "/v2/images/6e1f4a52-5c5f-4c39-9d0c-6f7d0a3a4f11");
    get(services.glance.address(), "/no/such/path");
    let (glance, nova) = (get(glance, "/metrics"), get(nova, "/metrics"));
    assert!(glance.contains("content-type: application/openmetrics-text"), "{glance}");
    for line in [
        r#"imprint_requests_total{protocol="grpc",method="glance.v1.ImageService/CreateImage",code="OK"} 1"#,
        r#"imprint_requests_total{protocol="http",method="GET /v2/images/{image_id}",code="404"} 1"#,
        r#"imprint_requests_total{protocol="http",method="other",code="300"} 1"#,
        r#"imprint_build_info{service="glance-svc",version="0.1.0"} 1"#,
        "imprint_database_up 1",
    ] {
        assert!(glance.contains(line), "{line}\n{glance}");
    }
    assert!(nova.contains(r#"imprint_glance_requests_total{code="OK"} 1"#), "{nova}");
    let metrics: BTreeSet<String> = names(&(glance + &nova));
    let mut missing = BTreeSet::new();
    for file in ["deploy/kubernetes/components/monitoring/alerts.yaml", "deploy/grafana/imprint.json"] {
        let text = fs::read_to_string(workspace::root().join(file)).unwrap();
        let used = names(&text);
        assert!(used.len() > 5, "{file}: {used:?}");
        missing.extend(used.difference(&metrics).cloned());
    }
    assert_eq!(missing, BTreeSet::new());
}

/// The names of metrics in a text.
fn names(text: &str) -> BTreeSet<String> {
    let words =
        text.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_' || letter == ':'));
    let is_name = |word: &&str| {
        ["imprint_", "process_"].iter().any(|prefix| word.starts_with(prefix)) && !word.contains(':')
    };
    words.filter(is_name).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_over_http_follow_the_service() {
    let db = TestDb::sqlite();
    let arguments = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--database-url", &db.url];
    let mut waiting = Service::start("glance-svc", arguments.iter().chain(&["--skip-migrations"])).unwrap();
    let admin = waiting.admin().unwrap();
    assert!(get(admin, "/livez").starts_with("HTTP/1.1 200"));
    assert!(get(admin, "/readyz").starts_with("HTTP/1.1 503"));
    assert!(get(admin, "/metrics").contains("imprint_database_up 0"));
    // Another process migrates the schema.
    let mut migrated = Service::start("glance-svc", arguments).unwrap();
    while !get(admin, "/readyz").starts_with("HTTP/1.1 200") {}
    for service in [&mut waiting, &mut migrated] {
        assert!(service.terminate(Duration::from_secs(15)).unwrap().success());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_of_the_log_says_which_request_and_which_trace_it_is_about() {
    let collector = Collector::default();
    let mut services = Services::start(&["--otlp-endpoint", &collector.start().await]);
    services.create("00-0123456789abcdef0123456789abcdef-0123456789abcdef-01").await;
    let image = Image { id: "6e1f4a52-5c5f-4c39-9d0c-6f7d0a3a4f11".into(), ..Image::default() };
    services.glance.kill().unwrap();
    let mut instances = InstanceServiceClient::connect(services.nova.endpoint()).await.unwrap();
    let mut request = Request::new(create(&image, 1));
    let trace = "1123456789abcdef0123456789abcdef";
    request.metadata_mut().insert("traceparent", format!("00-{trace}-0123456789abcdef-01").parse().unwrap());
    request.metadata_mut().insert("x-request-id", "of-mine".parse().unwrap());
    instances.create_instance(request).await.unwrap_err();
    let log = services.nova.log();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let about: Vec<_> = lines.filter(|line| line["span"]["request_id"] == "of-mine").collect();
    assert!(!about.is_empty(), "{log}");
    assert_eq!(about[0]["level"], "WARN");
    assert_eq!(about[0]["span"]["trace_id"], trace);
}
