//! The caller is determined once per request, behind admission, and recorded for whichever edge answers it.
//!
//! An edge that asks for the caller refuses unidentified ones in its own form: gRPC with a status, HTTP with an error
//! document. For whatever is open to everybody (versions, health checks), it does not ask.

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

/// Identifies callers. That may take a while: a token may have to be validated by Keystone.
pub trait Identify: Clone {
    /// The future caller.
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

/// What identifies the callers of a service: the headers of requests, or Keystone.
#[derive(Debug, Clone)]
pub enum Source {
    /// The headers of a request.
    Headers(Identity),
    /// Keystone, by the token of a request.
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
            Self::Headers(identity) => Identifying::Ready(identity.identify(uri, headers)),
            Self::Keystone(keystone) => match keystone.cached(headers) {
                Some(caller) => Identifying::Ready(future::ready(caller)),
                None => Identifying::Pending(Box::pin(keystone.clone().identify(headers.clone()))),
            },
        }
    }
}

/// The future caller from a [`Source`].
pub enum Identifying {
    /// The caller is known already.
    Ready(future::Ready<Result<Caller, Error>>),
    /// Keystone validates the token.
    Pending(Pin<Box<dyn Future<Output = Result<Caller, Error>> + Send>>),
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
            Self::Ready(ready) => Pin::new(ready).poll(context),
            Self::Pending(pending) => pending.as_mut().poll(context),
        }
    }
}

/// Who is calling, or why that is unknown; shared by the clones of a request.
#[derive(Debug, Clone)]
struct Identified(Result<Arc<Caller>, Error>);

/// Who is calling, as recorded by [`IdentityLayer`]. A request that did not pass through it has no caller.
pub fn caller(extensions: &Extensions) -> Result<Arc<Caller>, Error> {
    extensions.get::<Identified>().map_or(Err(Error::Unauthenticated), |identified| identified.0.clone())
}

/// Records for each request who is calling.
///
/// A service instead of a function (`from_fn`), which would box the future of each request.
#[derive(Debug, Clone)]
pub struct IdentityLayer<I>(I);

impl<I> IdentityLayer<I> {
    /// Callers are identified by `identity`.
    pub const fn new(identity: I) -> Self {
        Self(identity)
    }
}

/// A service with its [`IdentityLayer`].
#[derive(Debug, Clone)]
pub struct IdentityService<I, S> {
    identity: I,
    inner: S,
}

impl<I: Clone, S> Layer<S> for IdentityLayer<I> {
    type Service = IdentityService<I, S>;

    fn layer(&self, inner: S) -> Self::Service {
        IdentityService { identity: self.0.clone(), inner }
    }
}

impl<I: Identify, S: Service<Request> + Clone> Service<Request> for IdentityService<I, S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<I::Identifying, S>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        // Health and reflection are for everybody.
        if request.uri().path().starts_with("/grpc.") {
            return ResponseFuture { stage: Stage::Answering { answer: self.inner.call(request) } };
        }
        let identifying = self.identity.identify(request.uri(), request.headers());
        // The one that is ready, not its clone.
        let next = self.inner.clone();
        let inner = mem::replace(&mut self.inner, next);
        ResponseFuture { stage: Stage::Identifying { identifying, waiting: Some((request, inner)) } }
    }
}

pin_project! {
    /// A request in progress: first its caller is determined, then it is answered.
    pub struct ResponseFuture<F, S>
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
        // The caller is being identified; the rest is taken once that is done.
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

impl<F, S: Service<Request>> fmt::Debug for ResponseFuture<F, S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

impl<F, S> Future for ResponseFuture<F, S>
where
    F: Future<Output = Result<Caller, Error>>,
    S: Service<Request>,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut stage = self.project().stage;
        loop {
            let (mut request, mut inner, identified) = match stage.as_mut().project() {
                At::Answering { answer } => return answer.poll(context),
                At::Identifying { identifying, waiting } => {
                    let caller = ready!(identifying.poll(context));
                    let (request, inner) = waiting.take().expect("a caller is identified once");
                    (request, inner, Identified(caller.map(Arc::new)))
                }
            };
            request.extensions_mut().insert(identified);
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
                ServiceBuilder::new().layer(IdentityLayer::new(identity)).service(service_fn(project));
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
        let service = ServiceBuilder::new().layer(IdentityLayer::new(identity)).service(service_fn(project));
        let request = Request::builder().uri("/grpc.health.v1.Health/Check").body(Body::empty()).unwrap();
        assert_eq!(text(service.oneshot(request).await.unwrap()).await, "nobody");
    }
}
