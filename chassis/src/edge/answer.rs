//! The work on a request, and its answer in time.

use std::{
    convert::Infallible,
    fmt,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    extract::Request,
    http::{self, StatusCode},
    response::Response,
};
use pin_project_lite::pin_project;
use tokio::time::Sleep;
use tower::Service;
use tracing::Span;

use super::{
    Shared,
    arrival::{Arrival, Stalled},
    body::{PendingResponse, ResponseBody},
    memory::{CALLER, Room, Slot},
    observation::Observation,
    pace,
    places::{Entry, Place},
};
use crate::{
    http::Problem,
    status::{Code, Description},
};

pin_project! {
    /// The work on a request.
    #[project = Working]
    pub(super) enum Work<S>
    where
        S: Service<Request>,
    {
        // What comes of it is for whoever answers.
        Arriving { arrival: Arrival, inner: Option<S> },
        // It waits for a place.
        Queued { waiting: Waiting, request: Option<Request>, inner: Option<S> },
        Answering {
            #[pin]
            answer: S::Future,
        },
        // None of it: the request is refused.
        None { problem: Option<Problem> },
    }
}

/// A place that is still being waited for.
type Waiting = Pin<Box<dyn Future<Output = Result<Place, Problem>> + Send>>;

impl<S: Service<Request, Response = Response, Error = Infallible>> Work<S> {
    /// The answer, or why there is none; records the place that it is given along the way.
    fn poll(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        shared: &Shared,
        place: &mut Option<Place>,
    ) -> Poll<Result<Response, Problem>> {
        loop {
            let next = match self.as_mut().project() {
                Working::Answering { answer } => {
                    return answer.poll(context).map(|Ok(response)| Ok(response));
                }
                Working::None { problem } => return Poll::Ready(Err(problem.take().unwrap_or_else(expired))),
                Working::Arriving { arrival, inner } => match ready!(arrival.poll(context)) {
                    Err(Stalled) => return Poll::Ready(Err(stalled(shared.stall))),
                    Ok((request, kind)) => match shared.admission.admit(&request, kind) {
                        Entry::Never(problem) => return Poll::Ready(Err(problem)),
                        Entry::Now(given) => {
                            *place = given;
                            let answer = inner.take().map(|mut inner| inner.call(request));
                            Self::Answering { answer: answer.expect("a request is answered once") }
                        }
                        Entry::Later(waiting) => {
                            let (waiting, request) = (Box::pin(waiting), Some(request));
                            Self::Queued { waiting, request, inner: inner.take() }
                        }
                    },
                },
                Working::Queued { waiting, request, inner } => {
                    *place = Some(ready!(waiting.as_mut().poll(context))?);
                    let answer =
                        request.take().zip(inner.take()).map(|(request, mut inner)| inner.call(request));
                    Self::Answering { answer: answer.expect("a request is answered once") }
                }
            };
            self.set(next);
        }
    }
}

pin_project! {
    /// An answer in progress, with its deadline.
    pub struct ResponseFuture<S>
    where
        S: Service<Request>,
    {
        #[pin]
        pub(super) work: Work<S>,
        #[pin]
        pub(super) timer: Option<Sleep>,
        // The hash of whoever is answered.
        pub(super) caller: u64,
        pub(super) place: Option<Place>,
        pub(super) slot: Option<Slot>,
        pub(super) pending: Option<PendingResponse>,
        pub(super) observation: Observation,
        pub(super) span: Span,
        pub(super) shared: Arc<Shared>,
    }
}

impl<S: Service<Request>> fmt::Debug for ResponseFuture<S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ResponseFuture")
            .field("observation", &self.observation)
            .finish_non_exhaustive()
    }
}

impl<S> Future for ResponseFuture<S>
where
    S: Service<Request, Response = Response, Error = Infallible>,
{
    type Output = Result<http::Response<ResponseBody>, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let work = || this.work.as_mut().poll(context, this.shared, this.place);
        let polled = caught(|| CALLER.sync_scope(*this.caller, || this.span.in_scope(work)));
        let answered = match polled.unwrap_or_else(|problem| Poll::Ready(Err(problem))) {
            Poll::Ready(answered) => answered,
            Poll::Pending => {
                let timer = this.timer.as_mut().as_pin_mut().map(|timer| timer.poll(context));
                if timer.is_none_or(|timer| timer.is_pending()) {
                    return Poll::Pending;
                }
                Err(expired())
            }
        };
        // What is left of the request is its answer.
        this.slot.take();
        let mut response = match answered {
            Ok(response) => this.shared.complete(response),
            Err(problem) => {
                // What is still running ends here.
                this.work.set(Work::None { problem: None });
                this.observation.protocol.refuse(problem, this.shared.domain)
            }
        };
        this.observation.count(&response, this.span);
        let kept = (this.place.take(), response.extensions_mut().remove::<Room>());
        let (pending, protocol) = (this.pending.take(), (this.observation.protocol, this.shared.domain));
        if let Some(pending) = &pending {
            pending.begin();
        }
        Poll::Ready(Ok(response.map(|body| ResponseBody::new(body, kept, pending, protocol))))
    }
}

/// Runs a part of the work on a request; a panic in it is a problem of this request alone.
pub(super) fn caught<T>(work: impl FnOnce() -> T) -> Result<T, Problem> {
    // What has panicked is dropped, and not looked at again.
    catch_unwind(AssertUnwindSafe(work)).map_err(|_| {
        let description = Description::new(Code::Internal, "INTERNAL");
        Problem::new("internal error; the service's log says more", description)
    })
}

pub(super) fn expired() -> Problem {
    let description = Description::new(Code::DeadlineExceeded, "DEADLINE_EXCEEDED");
    Problem::new("the request took longer than its caller or this service allows", description)
}

fn stalled(stall: Duration) -> Problem {
    let description = Description::new(Code::DeadlineExceeded, "REQUEST_STALLED")
        .http(StatusCode::REQUEST_TIMEOUT)
        .with("stall_ms", stall.as_millis());
    Problem::new(pace::stalled(stall), description)
}
