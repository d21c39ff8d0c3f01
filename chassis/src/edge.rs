//! What every request passes through on its way in and out: limits, its deadline, and answers that are always
//! complete.

use std::{
    convert::Infallible,
    mem,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::Body,
    extract::Request,
    http::{self, HeaderName, HeaderValue, StatusCode, Version, header},
    response::Response,
};
use http_body::Body as _;
use tokio::time::sleep_until;
use tower::{Layer, Service};

use crate::{
    deadline::Deadline,
    http::{self as openstack, Conventions, ErrorBody, Problem},
    status::{Code, Description},
    telemetry,
};

mod answer;
mod arrival;
mod body;
mod complete;
mod connect_info;
mod host;
mod limits;
mod memory;
mod methods;
mod observation;
mod pace;
mod places;
mod shares;
#[cfg(test)]
mod tests;

pub use answer::ResponseFuture;
pub use body::ResponseBody;
pub use connect_info::ConnectInfo;
pub(crate) use limits::ConnectionState;
pub use limits::Limits;
pub use memory::{Memory, Room};
pub use methods::Methods;

use answer::{Work, expired};
use arrival::Arrival;
use body::PendingResponse;
use limits::{Admission, Kind};
use memory::{BudgetedBody, Length, Slot};
use observation::{Observation, Protocol};
use pace::Paced;

/// Lets a request in or refuses it, determines its deadline, ends it when that has passed, and adds the reason and
/// domain that every error has to the statuses that the gRPC library produces by itself. Counts every answer.
///
/// A service instead of a function (`from_fn`), which would box the future of each request.
#[derive(Debug, Clone)]
pub struct Edge(Arc<Shared>);

/// Whether a request uploads or downloads data, which may take as long as it takes.
pub type IsTransfer = fn(&Request) -> bool;

#[derive(Debug)]
struct Shared {
    /// Domain of the reasons.
    domain: &'static str,
    /// What errors look like over HTTP.
    error_body: ErrorBody,
    admission: Admission,
    memory: Memory,
    deadline: Duration,
    /// How long a request may send nothing, or nothing of its answer be read.
    stall: Duration,
    /// Largest request message, in bytes.
    message: usize,
    /// Maximum size of a request's headers, in bytes.
    headers: usize,
    is_transfer: IsTransfer,
    /// Full names of the gRPC services.
    names: &'static [&'static str],
    methods: Methods,
}

impl Edge {
    /// An edge whose errors follow these conventions, in front of the gRPC services with these full `names`, and of their
    /// and other `methods`; its large messages and answers share `memory`.
    #[must_use]
    pub fn new(
        conventions: Conventions,
        names: &'static [&'static str],
        methods: Methods,
        limits: &Limits,
        memory: Memory,
        is_transfer: IsTransfer,
    ) -> Self {
        let admission = Admission::new(limits);
        let Conventions { domain, error_body, .. } = conventions;
        let Limits { deadline, stall, message, headers, .. } = *limits;
        Self(Arc::new(Shared {
            domain,
            error_body,
            admission,
            memory,
            deadline,
            stall,
            message,
            headers,
            is_transfer,
            names,
            methods,
        }))
    }

    /// Forgets what need not be remembered; to be called now and then.
    pub fn tidy(&self) {
        self.0.admission.tidy();
        self.0.memory.tidy();
    }
}

/// The overhead of a header beyond its name and its value, as HTTP/2 counts it (RFC 9113, 6.5.2), in bytes.
const FIELD: usize = 32;

/// A service with its [`Edge`].
#[derive(Debug, Clone)]
pub struct EdgeService<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> Layer<S> for Edge {
    type Service = EdgeService<S>;

    fn layer(&self, inner: S) -> EdgeService<S> {
        EdgeService { inner, shared: Arc::clone(&self.0) }
    }
}

impl<S> Service<Request> for EdgeService<S>
where
    S: Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone + Send + 'static,
{
    type Response = http::Response<ResponseBody>;
    type Error = Infallible;
    type Future = ResponseFuture<S>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request) -> ResponseFuture<S> {
        let misplaced = self.shared.misplaced(&request);
        let protocol = match misplaced {
            Some(_) => Protocol::http(request.headers(), self.shared.error_body),
            None => Protocol::of(request.headers(), self.shared.error_body),
        };
        let observation = Observation::new(&request, protocol, &self.shared.methods);
        let span = telemetry::span(&request);
        let kind = Kind::of(&request, self.shared.is_transfer);
        let deadline = self.shared.deadline(&request, kind);
        if let Some(deadline) = deadline {
            request.extensions_mut().insert(deadline);
        }
        let pending = self.shared.pending(&request, kind);
        let caller = self.shared.admission.key(&request);
        let slot = self.shared.weigh(&mut request, kind, caller);
        let refused = match (misplaced, deadline) {
            (Some(problem), _) => Some(problem),
            // Nothing is begun for a caller who has stopped waiting.
            (None, Some(deadline)) if deadline.remaining().is_zero() => Some(expired()),
            _ => host::problem(&request)
                .or_else(|| self.shared.too_large(&request))
                .or_else(|| self.shared.admission.check_rate(&request, kind).err()),
        };
        let work = match refused {
            Some(problem) => Work::None { problem: Some(problem) },
            // The one that is ready, and not its copy.
            None => {
                let next = self.inner.clone();
                let inner = mem::replace(&mut self.inner, next);
                Work::Arriving { arrival: Arrival::new(request, kind), inner: Some(inner) }
            }
        };
        let timer = deadline.map(|deadline| sleep_until(deadline.instant()));
        ResponseFuture {
            work,
            timer,
            caller,
            place: None,
            slot,
            pending,
            observation,
            span,
            shared: Arc::clone(&self.shared),
        }
    }
}

impl Shared {
    /// When the answer must have been sent: when the caller says, but no later than allowed.
    fn deadline(&self, request: &Request, kind: Kind) -> Option<Deadline> {
        let requested = Deadline::from_headers(request.headers());
        if matches!(kind, Kind::Request | Kind::Free) {
            Deadline::earlier(requested, self.deadline)
        } else {
            requested
        }
    }

    /// Why a request may not call the gRPC method that it names: the library would answer any request, and a web page
    /// can make a browser send one of any other type, or over HTTP/1.1, to wherever its user has access.
    fn misplaced(&self, request: &Request) -> Option<Problem> {
        let path = request.uri().path();
        let service = path.strip_prefix('/')?.split('/').next()?;
        let is_method = service.starts_with("grpc.") || self.names.contains(&service);
        if !is_method || (openstack::is_grpc(request.headers()) && request.version() == Version::HTTP_2) {
            return None;
        }
        let description = Description::new(Code::InvalidArgument, "UNSUPPORTED_MEDIA_TYPE")
            .http(StatusCode::UNSUPPORTED_MEDIA_TYPE)
            .with("expected", "application/grpc");
        let sentence = "this is a method of gRPC: it takes application/grpc over HTTP/2";
        Some(Problem::new(sentence, description))
    }

    /// Whether the headers are too large: HTTP/2 takes care of that by itself, and HTTP/1.1 has its own limit.
    fn too_large(&self, request: &Request) -> Option<Problem> {
        if request.version() == Version::HTTP_2 {
            return None;
        }
        let size = |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len() + FIELD;
        let headers: usize = request.headers().iter().map(size).sum();
        if headers <= self.headers {
            return None;
        }
        let description = Description::new(Code::ResourceExhausted, "HEADERS_TOO_LARGE")
            .http(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)
            .with("limit_bytes", self.headers);
        Some(Problem::new(
            format!("the headers of the request are larger than {} bytes", self.headers),
            description,
        ))
    }

    /// The place of the answer among those that the connection's client has to read.
    fn pending(&self, request: &Request, kind: Kind) -> Option<PendingResponse> {
        let stall = match kind {
            Kind::Request | Kind::Free => self.stall,
            Kind::Transfer | Kind::Watch => 3 * self.stall,
        };
        let connection = request.extensions().get::<ConnectInfo>()?;
        Some(PendingResponse::new(Arc::clone(&connection.state.answers), stall))
    }

    /// Makes the body of a request arrive without stalling, and wait for room if its message is large; returns where
    /// that room is kept.
    fn weigh(&self, request: &mut Request, kind: Kind, caller: u64) -> Option<Slot> {
        request.extensions_mut().insert(self.memory.clone());
        if request.body().is_end_stream() || kind == Kind::Watch {
            return None;
        }
        let body = mem::take(request.body_mut());
        let paced = if request.version() == Version::HTTP_2 || expects_leave(request) {
            Paced::new(body, self.stall)
        } else {
            Paced::lingering(body, self.stall, self.message)
        };
        *request.body_mut() = Body::new(paced);
        if kind != Kind::Request {
            return None;
        }
        let length = if openstack::is_grpc(request.headers()) {
            Length::Prefixed(Vec::new())
        } else {
            let length = request.body().size_hint().exact();
            Length::Exact(length.and_then(|length| usize::try_from(length).ok()).unwrap_or(self.message))
        };
        let body = mem::take(request.body_mut());
        let (weighed, slot) = BudgetedBody::new(body, &self.memory, length, caller);
        *request.body_mut() = Body::new(weighed);
        Some(slot)
    }
}

/// Whether the client sends the body only when told to (`Expect: 100-continue`), which reading the body does.
fn expects_leave(request: &Request) -> bool {
    request.headers().contains_key(header::EXPECT)
}
