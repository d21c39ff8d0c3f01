//! The caller is determined once per request, behind admission, and recorded for whichever edge answers it.
//!
//! An edge with something open to everybody (versions, a health check) does not ask. One that asks refuses
//! unidentified callers in its own form: gRPC with a status, HTTP with a page.

use std::{
    fmt,
    future::{self, Future},
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use axum::{
    extract::Request,
    http::{Extensions, HeaderMap, Uri},
};
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use crate::{
    caller::{Caller, Error, Identity},
    keystone::Keystone,
};

mod origin;

/// What identifies callers. It may take a while: a token may have to be shown to whoever issued it.
pub trait Identify: Clone {
    /// The future answer.
    type Identifying: Future<Output = Result<Caller, Error>>;

    /// Who sent a request with these headers to this address.
    fn identify(&self, uri: &Uri, headers: &HeaderMap) -> Self::Identifying;
}

impl Identify for Identity {
    type Identifying = future::Ready<Result<Caller, Error>>;

    fn identify(&self, uri: &Uri, headers: &HeaderMap) -> Self::Identifying {
        let permitted = if *self == Self::Development { origin::check(uri, headers) } else { Ok(()) };
        future::ready(permitted.and_then(|()| self.caller(headers)))
    }
}

/// Where a service knows its callers from: what their headers say, or Keystone.
#[derive(Debug, Clone)]
pub enum Source {
    /// What the headers of a request say.
    Headers(Identity),
    /// What Keystone says of its token.
    Keystone(Keystone),
}

impl Source {
    /// Keystone, if there is one, else headers.
    #[must_use]
    pub fn new(identity: Identity, keystone: Option<Keystone>) -> Self {
        keystone.map_or(Self::Headers(identity), Self::Keystone)
    }
}

impl Identify for Source {
    type Identifying = Identifying;

    fn identify(&self, uri: &Uri, headers: &HeaderMap) -> Identifying {
        match self {
            Self::Headers(identity) => Identifying::Known(identity.identify(uri, headers)),
            Self::Keystone(keystone) => match keystone.known(headers) {
                Some(known) => Identifying::Known(future::ready(known)),
                None => Identifying::Asking(Box::pin(keystone.clone().identify(headers.clone()))),
            },
        }
    }
}

/// The answer of a [`Source`] to come.
pub enum Identifying {
    /// Nobody has to be asked.
    Known(future::Ready<Result<Caller, Error>>),
    /// Keystone is asked.
    Asking(Pin<Box<dyn Future<Output = Result<Caller, Error>> + Send>>),
}

impl fmt::Debug for Identifying {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Identifying").finish_non_exhaustive()
    }
}

impl Future for Identifying {
    type Output = Result<Caller, Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::Known(known) => Pin::new(known).poll(context),
            Self::Asking(asking) => asking.as_mut().poll(context),
        }
    }
}

/// Who is calling, or why nobody knows; shared by the copies of a request.
#[derive(Debug, Clone)]
struct Known(Result<Arc<Caller>, Error>);

/// Who is calling, as recorded by [`Introduction`]. A request that did not pass through it is nobody's.
pub fn caller(extensions: &Extensions) -> Result<Arc<Caller>, Error> {
    extensions.get::<Known>().map_or(Err(Error::Unauthenticated), |known| known.0.clone())
}

/// Records for each request who is calling.
///
/// A service instead of a function (`from_fn`), which would box the future of each request.
#[derive(Debug, Clone)]
pub struct Introduction<I>(I);

impl<I> Introduction<I> {
    /// Callers are identified by `identity`.
    pub const fn new(identity: I) -> Self {
        Self(identity)
    }
}

/// A service with its [`Introduction`].
#[derive(Debug, Clone)]
pub struct Introduced<I, S> {
    identity: I,
    inner: S,
}

impl<I: Clone, S> Layer<S> for Introduction<I> {
    type Service = Introduced<I, S>;

    fn layer(&self, inner: S) -> Self::Service {
        Introduced { identity: self.0.clone(), inner }
    }
}

impl<I: Identify, S: Service<Request> + Clone> Service<Request> for Introduced<I, S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = Introducing<I::Identifying, S>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        // Health and reflection are for everybody.
        if request.uri().path().starts_with("/grpc.") {
            return Introducing { stage: Stage::Answering { answer: self.inner.call(request) } };
        }
        let identifying = self.identity.identify(request.uri(), request.headers());
        // The one that is ready, and not its copy.
        let next = self.inner.clone();
        let inner = mem::replace(&mut self.inner, next);
        Introducing { stage: Stage::Identifying { identifying, waiting: Some((request, inner)) } }
    }
}

pin_project! {
    /// A request in progress: first its caller is determined, then it is answered.
    pub struct Introducing<F, S>
    where
        S: Service<Request>,
    {
        #[pin]
        stage: Stage<F, S>,
    }
}

pin_project! {
    #[project = At]
    enum Stage<F, S>
    where
        S: Service<Request>,
    {
        // Who is calling? What waits for the answer is taken once.
        Identifying {
            #[pin]
            identifying: F,
            waiting: Option<(Request, S)>,
        },
        Answering {
            #[pin]
            answer: S::Future,
        },
    }
}

impl<F, S: Service<Request>> fmt::Debug for Introducing<F, S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Introducing").finish_non_exhaustive()
    }
}

impl<F, S> Future for Introducing<F, S>
where
    F: Future<Output = Result<Caller, Error>>,
    S: Service<Request>,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut stage = self.project().stage;
        loop {
            let (mut request, mut inner, known) = match stage.as_mut().project() {
                At::Answering { answer } => return answer.poll(context),
                At::Identifying { identifying, waiting } => {
                    let known = ready!(identifying.poll(context));
                    let (request, inner) = waiting.take().expect("a caller is found out once");
                    (request, inner, Known(known.map(Arc::new)))
                }
            };
            request.extensions_mut().insert(known);
            let answer = inner.call(request);
            stage.set(Stage::Answering { answer });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use axum::{body::Body, http::Response};
    use tokio::sync::oneshot;
    use tower::{ServiceBuilder, ServiceExt as _, service_fn};

    use super::*;
    use crate::caller::Actor;

    type Asked = oneshot::Receiver<Caller>;

    /// Asks somebody else.
    #[derive(Clone)]
    struct Elsewhere(Arc<Mutex<Option<Asked>>>);

    impl Identify for Elsewhere {
        type Identifying = Pin<Box<dyn Future<Output = Result<Caller, Error>> + Send>>;

        fn identify(&self, _: &Uri, _: &HeaderMap) -> Self::Identifying {
            let asked = self.0.lock().unwrap().take().expect("each request is identified once");
            Box::pin(async { asked.await.map_err(|_| Error::Unauthenticated) })
        }
    }

    /// Answers with the project of the caller.
    async fn project(request: Request) -> Result<Response<Body>, std::convert::Infallible> {
        let project = caller(request.extensions()).map(|caller| caller.actor.project_id.clone());
        Ok(Response::new(Body::from(project.unwrap_or_else(|_| "nobody".to_owned()))))
    }

    async fn text(response: Response<Body>) -> String {
        let body = axum::body::to_bytes(response.into_body(), 100).await.unwrap();
        String::from_utf8(body.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn a_caller_may_take_a_while_to_be_known() {
        for is_known in [true, false] {
            let (tell, asked) = oneshot::channel();
            let identity = Elsewhere(Arc::new(Mutex::new(Some(asked))));
            let service =
                ServiceBuilder::new().layer(Introduction::new(identity)).service(service_fn(project));
            let answering = tokio::spawn(service.oneshot(Request::new(Body::empty())));
            tokio::task::yield_now().await;
            assert!(!answering.is_finished());
            if is_known {
                let actor = Actor { user_id: "u".into(), project_id: "p".into() };
                tell.send(Caller { actor, roles: Vec::new(), is_admin: false, token: None }).unwrap();
            } else {
                drop(tell);
            }
            let answer = text(answering.await.unwrap().unwrap()).await;
            assert_eq!(answer, if is_known { "p" } else { "nobody" });
        }
    }

    #[tokio::test]
    async fn health_is_for_everybody_and_an_unknown_way_is_nobodys() {
        // Whoever is asked is not there any more.
        let identity = Elsewhere(Arc::new(Mutex::new(None)));
        let service = ServiceBuilder::new().layer(Introduction::new(identity)).service(service_fn(project));
        let request = Request::builder().uri("/grpc.health.v1.Health/Check").body(Body::empty()).unwrap();
        assert_eq!(text(service.oneshot(request).await.unwrap()).await, "nobody");
    }
}
