//! Calls to a peer on behalf of a caller: with the caller's identity and a deadline, to one of its replicas.

use std::time::{Duration, Instant};

use chassis::{
    caller::{self, Caller},
    keystone::Keystone,
    telemetry,
};
use common::text::NAME_LIMIT;
use tonic::{Code, Request, Response, Status, TimeoutExpired};

use crate::{
    Failure, Replicas,
    credentials::{Credentials, credentials},
};

/// A client of a peer, whose generated client is `C`.
#[derive(Debug)]
pub(crate) struct Client<C> {
    replicas: Replicas<C>,
    /// With Keystone, calls carry the caller's token and the service's own, otherwise who the caller is.
    keystone: Option<Keystone>,
}

impl<C> Clone for Client<C> {
    fn clone(&self) -> Self {
        Self { replicas: self.replicas.clone(), keystone: self.keystone.clone() }
    }
}

/// Why a call got no answer.
#[derive(Debug)]
pub(crate) enum Unanswered {
    /// The peer cannot be reached, or is too busy.
    Unavailable(Option<Status>),
    /// It did not answer within this many milliseconds.
    Timeout(u128),
    /// It no longer accepts the caller's token.
    Caller(caller::Error),
    /// It answered with this error, and nobody has said yet what that means.
    Status(Status, Duration),
}

impl<C: Clone + Send + Sync + 'static> Client<C> {
    pub(crate) const fn new(replicas: Replicas<C>, keystone: Option<Keystone>) -> Self {
        Self { replicas, keystone }
    }

    /// Calls `method` with `message` for `caller`, within `timeout`. The call must do no harm if it is made twice.
    pub(crate) async fn call<M, T, F>(
        &self,
        message: M,
        caller: &Caller,
        timeout: Duration,
        method: impl Fn(C, Request<M>) -> F,
    ) -> Result<T, Unanswered>
    where
        M: Clone,
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let started = Instant::now();
        let credentials = credentials(caller, self.keystone.as_ref(), timeout).await?;
        let call = |client, timeout| {
            let mut request = request(message.clone(), &credentials);
            request.set_timeout(timeout);
            method(client, request)
        };
        let answer = self.replicas.call(timeout, call).await;
        answer.map_err(|failure| unanswered(failure, &credentials, timeout, started))
    }

    /// Calls `method` with `message`, a stream, for `caller`. It is called once, since the stream is used up, and may take
    /// as long as the stream does; whatever comes before it takes at most `timeout`.
    pub(crate) async fn call_once<M, T, F>(
        &self,
        message: M,
        caller: &Caller,
        timeout: Duration,
        method: impl FnOnce(C, Request<M>) -> F,
    ) -> Result<T, Unanswered>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let started = Instant::now();
        let credentials = credentials(caller, self.keystone.as_ref(), timeout).await?;
        let request = request(message, &credentials);
        let answer = self.replicas.call_once(timeout, |client| method(client, request)).await;
        answer.map_err(|failure| unanswered(failure, &credentials, timeout, started))
    }
}

/// A request that says who is asking.
fn request<M>(message: M, credentials: &Credentials) -> Request<M> {
    let mut request = Request::new(message);
    telemetry::hand_on(request.metadata_mut());
    credentials.add_to(request.metadata_mut());
    request
}

/// Why a call that began then got no answer within `timeout`.
fn unanswered(
    failure: Failure,
    credentials: &Credentials,
    timeout: Duration,
    started: Instant,
) -> Unanswered {
    match failure {
        Failure::Timeout => Unanswered::Timeout(timeout.as_millis()),
        Failure::Status(status) => {
            let rejection = credentials.rejection(&status);
            rejection.unwrap_or_else(|| Unanswered::Status(status, started.elapsed()))
        }
    }
}

impl Unanswered {
    /// The code of the peer's error.
    pub(crate) fn code(&self) -> Option<Code> {
        self.status().map(Status::code)
    }

    /// The peer's error.
    pub(crate) const fn status(&self) -> Option<&Status> {
        match self {
            Self::Status(status, _) => Some(status),
            _ => None,
        }
    }

    /// What it means where no error of the peer has a meaning of its own: only errors about load, time or the connection
    /// do. Any other stays a [`Unanswered::Status`]: no answer that the peer should give.
    pub(crate) fn of_the_call(self) -> Self {
        let Self::Status(status, elapsed) = self else { return self };
        match status.code() {
            Code::DeadlineExceeded => Self::Timeout(elapsed.as_millis()),
            Code::Cancelled if is_timeout(&status) => Self::Timeout(elapsed.as_millis()),
            Code::Unavailable | Code::ResourceExhausted | Code::Aborted | Code::Cancelled => {
                Self::Unavailable(Some(status))
            }
            _ => Self::Status(status, elapsed),
        }
    }
}

/// The transport reports its own timeout as a cancellation, and broken connections too.
fn is_timeout(status: &Status) -> bool {
    let source = std::error::Error::source(status);
    std::iter::successors(source, |error| error.source()).any(<dyn std::error::Error>::is::<TimeoutExpired>)
}

/// Whether a text of an answer is as short as names are, and can be stored.
pub(crate) fn is_short(text: &str) -> bool {
    text.chars().count() <= NAME_LIMIT && !text.contains('\0')
}
