//! Logs on standard error, and traces for OpenTelemetry. A request has a span only where somebody reads it: in logs as
//! JSON, in verbose logs, or in traces.

use std::{
    backtrace::Backtrace,
    io::{self, IsTerminal as _},
    panic::{self, PanicHookInfo},
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
};

use axum::{extract::Request, http::HeaderMap};
use clap::{Args, ValueEnum};
use opentelemetry::{
    Context, KeyValue,
    propagation::{Extractor, Injector, TextMapPropagator as _},
    trace::{TraceContextExt as _, TracerProvider as _},
};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithTonicConfig as _};
use opentelemetry_sdk::{
    Resource,
    propagation::TraceContextPropagator,
    trace::{Sampler, SdkTracerProvider},
};
use tonic::{
    metadata::{MetadataKey, MetadataMap},
    transport::{Channel, Endpoint, Uri},
};
use tracing::{Span, field};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::{
    EnvFilter, Layer as _,
    filter::{LevelFilter, Targets},
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

use crate::{
    metrics::METRICS,
    peer::{self, BadEndpoint, Peer},
    tls::{self, Identity, Reloaded},
};

/// Whether requests have spans.
static SPANS: AtomicBool = AtomicBool::new(false);

/// Whether spans are traced.
static TRACES: AtomicBool = AtomicBool::new(false);

/// Arguments that the services' command lines have in common.
#[derive(Debug, Clone, Args)]
pub struct TelemetryArgs {
    /// Format of the logs, which go to standard error; `RUST_LOG` sets their level (default: info).
    #[arg(
        long,
        env = "LOG_FORMAT",
        value_enum,
        default_value_t,
        value_name = "FORM",
        help_heading = "Telemetry"
    )]
    pub log_format: LogFormat,

    /// Collector to send traces to over gRPC (OTLP), such as `http://127.0.0.1:4317`; without it there are no
    /// traces.
    #[arg(long, env = "OTLP_ENDPOINT", value_name = "URL", help_heading = "Telemetry")]
    pub otlp_endpoint: Option<String>,

    /// CA of the collector's certificate, a PEM file; for an https endpoint.
    #[arg(
        long,
        env = "OTLP_CA",
        value_name = "FILE",
        requires = "otlp_endpoint",
        help_heading = "Telemetry"
    )]
    pub otlp_ca: Option<PathBuf>,

    /// Certificate to present to the collector, a PEM file.
    #[arg(long, env = "OTLP_CERT", value_name = "FILE", requires = "otlp_ca", help_heading = "Telemetry")]
    pub otlp_cert: Option<PathBuf>,

    /// Private key of that certificate, a PEM file.
    #[arg(long, env = "OTLP_KEY", value_name = "FILE", requires = "otlp_ca", help_heading = "Telemetry")]
    pub otlp_key: Option<PathBuf>,

    /// Fraction of requests that are traced, 0 to 1, unless the caller has decided (W3C traceparent).
    #[arg(
        long,
        env = "TRACE_RATIO",
        default_value_t = 1.0,
        value_name = "SHARE",
        help_heading = "Telemetry"
    )]
    pub trace_ratio: f64,
}

/// Format of the logs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Human-readable lines.
    #[default]
    Pretty,
    /// One JSON object per line, with the ids of request and trace.
    Json,
}

/// Sends what is left of the traces when it is dropped.
#[derive(Debug)]
pub struct Telemetry(Option<SdkTracerProvider>);

impl Drop for Telemetry {
    fn drop(&mut self) {
        if let Some(Err(error)) = self.0.as_ref().map(SdkTracerProvider::shutdown) {
            tracing::warn!(error = &error as &dyn std::error::Error, "the last traces were not sent");
        }
    }
}

/// Why traces cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The collector's endpoint is not a valid one.
    #[error("--otlp-endpoint {0}")]
    Endpoint(#[from] BadEndpoint),
    /// TLS to it cannot be set up.
    #[error(transparent)]
    Tls(#[from] tls::Error),
    /// The exporter cannot be built.
    #[error(transparent)]
    Exporter(#[from] ExporterBuildError),
}

/// Starts logs and traces of `service`, until the value is dropped.
pub fn init(args: &TelemetryArgs, service: &'static str) -> Result<Telemetry, Error> {
    let filter = EnvFilter::builder().with_default_directive(LevelFilter::INFO.into()).from_env_lossy();
    let is_verbose = filter.max_level_hint().is_none_or(|level| level > LevelFilter::INFO);
    let is_json = args.log_format == LogFormat::Json;
    let provider = args.collector()?.map(|collector| provider(collector, args.trace_ratio, service));
    let provider = provider.transpose()?;
    SPANS.store(is_verbose || is_json || provider.is_some(), Ordering::Relaxed);
    TRACES.store(provider.is_some(), Ordering::Relaxed);

    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    let lines = if is_json {
        lines.json().flatten_event(true).with_span_list(false).boxed()
    } else {
        lines.with_ansi(io::stderr().is_terminal()).boxed()
    };
    // The driver tells of each statement; it becomes an event of the request that needs it.
    let levels =
        Targets::new().with_target("imprint", LevelFilter::INFO).with_target("sqlx", LevelFilter::DEBUG);
    let traces = provider.as_ref().map(|provider| {
        tracing_opentelemetry::layer().with_tracer(provider.tracer(service)).with_filter(levels)
    });
    tracing_subscriber::registry().with(lines.with_filter(filter)).with(traces).init();
    panic::set_hook(Box::new(log_panic));
    Ok(Telemetry(provider))
}

/// Panics are logged like everything else, with the request they happened in, and counted.
fn log_panic(panic: &PanicHookInfo<'_>) {
    METRICS.panics.inc();
    let location = panic.location().map(ToString::to_string);
    let message = panic.payload_as_str().unwrap_or_default();
    tracing::error!(location, backtrace = %Backtrace::capture(), "panicked: {message}");
}

impl TelemetryArgs {
    /// The way to the collector, if there is one.
    fn collector(&self) -> Result<Option<Channel>, Error> {
        let Some(endpoint) = &self.otlp_endpoint else { return Ok(None) };
        let identity = Identity::of(self.otlp_cert.clone(), self.otlp_key.clone())?;
        let client =
            self.otlp_ca.clone().map(|ca| Reloaded::new(tls::Client { ca, identity })).transpose()?;
        let Peer { origin, host, port, tls } = Peer::parse(endpoint, client.as_ref())?;
        let connect = move |_: Uri| {
            let (host, tls) = (host.clone(), tls.clone());
            async move { peer::connect((host.as_str(), port), tls).await }
        };
        Ok(Some(Endpoint::from(origin).connect_with_connector_lazy(tower::service_fn(connect))))
    }
}

fn provider(
    collector: Channel,
    ratio: f64,
    service: &'static str,
) -> Result<SdkTracerProvider, ExporterBuildError> {
    let exporter = SpanExporter::builder().with_tonic().with_channel(collector).build()?;
    let resource = Resource::builder()
        .with_service_name(service)
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
    Ok(SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(ratio))))
        .with_resource(resource.build())
        .build())
}

/// The span of a request, which continues the trace of its caller; none where nobody would read it.
#[must_use]
pub fn span(request: &Request) -> Span {
    if !SPANS.load(Ordering::Relaxed) {
        return Span::none();
    }
    let headers = request.headers();
    let id = headers.get("x-request-id").and_then(|id| id.to_str().ok()).unwrap_or_default();
    let name = request.uri().path().trim_start_matches('/');
    let span = tracing::info_span!(
        target: "imprint",
        "request",
        otel.name = name,
        otel.kind = "server",
        method = %request.method(),
        path = request.uri().path(),
        request_id = id,
        trace_id = field::Empty,
    );
    if TRACES.load(Ordering::Relaxed) {
        let caller = TraceContextPropagator::new().extract_with_context(&Context::new(), &Headers(headers));
        // Only a span that is filtered out has no place for it.
        let _ = span.set_parent(caller);
        if let Some(id) = trace_id(&span) {
            span.record("trace_id", id);
        }
    }
    span
}

/// The trace of a span, in hexadecimal digits, if it is recorded.
#[must_use]
pub fn trace_id(span: &Span) -> Option<String> {
    if !TRACES.load(Ordering::Relaxed) {
        return None;
    }
    let context = span.context();
    let trace = context.span().span_context().clone();
    (trace.is_valid() && trace.is_sampled()).then(|| trace.trace_id().to_string())
}

/// Passes the trace of the current span on to a peer.
pub fn hand_on(metadata: &mut MetadataMap) {
    if TRACES.load(Ordering::Relaxed) {
        let context = Span::current().context();
        TraceContextPropagator::new().inject_context(&context, &mut Metadata(metadata));
    }
}

/// The span of work that requests share: a child of the first request's span, to which the others link.
#[must_use]
pub fn shared_span(name: &'static str, spans: &[Span]) -> Span {
    let Some(first) = spans.iter().find(|span| !span.is_none()) else { return Span::none() };
    let span =
        tracing::info_span!(target: "imprint", parent: first, "batch", otel.name = name, size = spans.len());
    for other in spans.iter().filter(|other| *other != first) {
        other.follows_from(&span);
    }
    span
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(axum::http::HeaderName::as_str).collect()
    }
}

struct Metadata<'a>(&'a mut MetadataMap);

impl Injector for Metadata<'_> {
    fn set(&mut self, key: &str, value: String) {
        if let (Ok(key), Ok(value)) = (MetadataKey::from_bytes(key.as_bytes()), value.parse()) {
            self.0.insert(key, value);
        }
    }
}
