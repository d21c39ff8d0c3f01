//! A request takes no place before it has arrived, or as much of it as a small one has.

use std::{
    collections::VecDeque,
    error::Error as _,
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use axum::{
    body::{Body, Bytes},
    extract::Request,
};
use http_body::{Body as _, Frame, SizeHint};
use tonic::{Code, Status};

use super::{limits::Kind, memory::SMALL};

/// A request whose body is arriving.
pub(super) struct Arrival {
    request: Option<Request>,
    arrived: Arrived,
    size: usize,
    kind: Kind,
}

/// What has arrived of a body, and the rest to come.
struct Arrived {
    frames: VecDeque<Result<Frame<Bytes>, axum::Error>>,
    rest: Body,
}

/// The request has stopped arriving.
pub(super) struct Stalled;

impl Arrival {
    /// A request; one whose client waits to be told to send its body begins at once.
    pub(super) fn new(mut request: Request, kind: Kind) -> Self {
        let arrived = Arrived { frames: VecDeque::new(), rest: mem::take(request.body_mut()) };
        let size = if super::expects_leave(&request) { usize::MAX } else { 0 };
        Self { request: Some(request), arrived, size, kind }
    }

    /// How many bytes are enough to begin: all of a small request; of data, the first ones.
    const fn enough(&self) -> usize {
        match self.kind {
            Kind::Request | Kind::Free => SMALL,
            Kind::Transfer => 1,
            Kind::Watch => 0,
        }
    }

    /// The request, with all of its body as before.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<(Request, Kind), Stalled>> {
        while self.size < self.enough() && !self.arrived.rest.is_end_stream() {
            let Some(frame) = ready!(Pin::new(&mut self.arrived.rest).poll_frame(context)) else { break };
            match &frame {
                Ok(frame) => self.size += frame.data_ref().map_or(0, Bytes::len),
                Err(error) if is_stalled(error) => return Poll::Ready(Err(Stalled)),
                // Whoever reads it will see that it breaks off.
                Err(_) => self.size = self.enough(),
            }
            self.arrived.frames.push_back(frame);
        }
        let mut request = self.request.take().expect("a request arrives once");
        let (frames, rest) = (mem::take(&mut self.arrived.frames), mem::take(&mut self.arrived.rest));
        *request.body_mut() = if frames.is_empty() { rest } else { Body::new(Arrived { frames, rest }) };
        Poll::Ready(Ok((request, self.kind)))
    }
}

fn is_stalled(error: &axum::Error) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(status) = error.downcast_ref::<Status>() {
            return status.code() == Code::DeadlineExceeded;
        }
        cause = error.source();
    }
    false
}

impl http_body::Body for Arrived {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        match self.frames.pop_front() {
            Some(frame) => Poll::Ready(Some(frame)),
            None => Pin::new(&mut self.rest).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.frames.is_empty() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let data = |frame: &Result<Frame<Bytes>, _>| {
            frame.as_ref().ok().and_then(Frame::data_ref).map_or(0, |data| data.len() as u64)
        };
        let arrived: u64 = self.frames.iter().map(data).sum();
        let rest = self.rest.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower() + arrived);
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper + arrived);
        }
        hint
    }
}
