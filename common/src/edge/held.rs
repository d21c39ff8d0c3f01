//! The body of an answer.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use axum::{
    body::{Body, Bytes},
    http::header,
};
use http_body::{Frame, SizeHint};
use pin_project_lite::pin_project;

use super::{caught, limits::Place, memory::Room, seen::Way};
use crate::http::Problem;

pin_project! {
    /// The body of an answer, which is in flight until it has been sent.
    #[derive(Debug)]
    pub struct Held {
        #[pin]
        body: Body,
        // What is given back when it is dropped.
        kept: (Option<Place>, Option<Room>),
        way: Way,
        domain: &'static str,
    }
}

impl Held {
    pub(super) const fn new(
        body: Body,
        kept: (Option<Place>, Option<Room>),
        way: Way,
        domain: &'static str,
    ) -> Self {
        Self { body, kept, way, domain }
    }
}

impl http_body::Body for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let mut this = self.project();
        caught(|| this.body.as_mut().poll_frame(context)).unwrap_or_else(|problem| {
            // Nothing of it is polled again.
            this.body.set(Body::empty());
            Poll::Ready(Some(end(*this.way, problem, this.domain)))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The end of an answer that has begun: gRPC has a status there, and HTTP can only break off.
fn end(way: Way, problem: Problem, domain: &'static str) -> Result<Frame<Bytes>, axum::Error> {
    let status = problem.into_status(domain);
    match way {
        Way::Grpc => {
            let mut trailers = status.into_http::<()>().into_parts().0.headers;
            trailers.remove(header::CONTENT_TYPE);
            Ok(Frame::trailers(trailers))
        }
        Way::Http { .. } => Err(axum::Error::new(status)),
    }
}
