//! The body of an answer.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    http::header,
};
use http_body::{Frame, SizeHint};
use pin_project_lite::pin_project;

use super::{answer::caught, memory::Room, observation::Protocol, pace::Answers, places::Place};
use crate::http::Problem;

/// Maximum number of bytes that are passed on at once: the connection keeps what it has until the client reads it.
const PART: usize = 16 * 1024;

/// The place of an answer among those that a connection's client has to read.
#[derive(Debug)]
pub(super) struct PendingResponse {
    answers: Arc<Answers>,
    number: usize,
}

impl PendingResponse {
    /// An answer of which more has to be read within `stall`.
    pub(super) fn new(answers: Arc<Answers>, stall: Duration) -> Self {
        let number = answers.expect(stall);
        Self { answers, number }
    }

    /// Records that there is something to read.
    pub(super) fn begin(&self) {
        self.answers.note(self.number, true);
    }
}

impl Drop for PendingResponse {
    fn drop(&mut self) {
        self.answers.end(self.number);
    }
}

pin_project! {
    /// The body of an answer, which is in flight until it has been sent.
    #[derive(Debug)]
    pub struct ResponseBody {
        #[pin]
        body: Body,
        // What is given back when it is dropped.
        kept: (Option<Place>, Option<Room>),
        // None where no connection is known.
        pending: Option<PendingResponse>,
        // What is left of the data that were too much at once.
        rest: Option<Bytes>,
        protocol: Protocol,
        domain: &'static str,
    }
}

impl ResponseBody {
    pub(super) const fn new(
        body: Body,
        kept: (Option<Place>, Option<Room>),
        pending: Option<PendingResponse>,
        (protocol, domain): (Protocol, &'static str),
    ) -> Self {
        Self { body, kept, pending, rest: None, protocol, domain }
    }
}

/// The first part of `data`; what is left goes to `rest`.
fn cut(mut data: Bytes, rest: &mut Option<Bytes>) -> Frame<Bytes> {
    if data.len() > PART {
        *rest = Some(data.split_off(PART));
    }
    Frame::data(data)
}

impl http_body::Body for ResponseBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let mut this = self.project();
        let polled = match this.rest.take() {
            Some(data) => Poll::Ready(Some(Ok(Frame::data(data)))),
            None => caught(|| this.body.as_mut().poll_frame(context)).unwrap_or_else(|problem| {
                // Nothing of it is polled again.
                this.body.set(Body::empty());
                Poll::Ready(Some(end(*this.protocol, problem, this.domain)))
            }),
        };
        if let Some(PendingResponse { answers, number }) = this.pending {
            answers.note(*number, polled.is_ready());
        }
        polled.map_ok(|frame| match frame.into_data() {
            Ok(data) => cut(data, this.rest),
            Err(other) => other,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let left = self.body.size_hint();
        let rest = self.rest.as_ref().map_or(0, |rest| rest.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(left.lower() + rest);
        if let Some(upper) = left.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}

/// The end of an answer that has begun: gRPC has a status there, and HTTP can only abort.
fn end(protocol: Protocol, problem: Problem, domain: &'static str) -> Result<Frame<Bytes>, axum::Error> {
    let status = problem.into_status(domain);
    match protocol {
        Protocol::Grpc => {
            let mut trailers = status.into_http::<()>().into_parts().0.headers;
            trailers.remove(header::CONTENT_TYPE);
            Ok(Frame::trailers(trailers))
        }
        Protocol::Http { .. } => Err(axum::Error::new(status)),
    }
}
