//! What panics is answered.

use std::{future::Future, pin::pin};

use axum::body::Body;
use http_body::Body as _;
use tonic::Status;
use tower::{ServiceExt as _, service_fn};

use super::*;

fn request(content_type: &str) -> Request {
    let path =
        if content_type == "application/grpc" { "/glance.v1.ImageService/GetImage" } else { "/v2/images" };
    let request = http::Request::post(format!("http://glance{path}")).header("x-request-id", "r-1");
    let request = request.version(Version::HTTP_2);
    request.header("content-type", content_type).body(Body::empty()).unwrap()
}

/// The answer of a service that does this with a request.
async fn answer<F>(
    request: Request,
    serve: impl Fn(Request) -> F + Clone + Send + 'static,
) -> http::Response<ResponseBody>
where
    F: Future<Output = Result<Response, Infallible>> + Send + 'static,
{
    let edge = Edge::new(
        Conventions { domain: "glance", error_body: ErrorBody::ByAccept, compute_request_id: false },
        &["glance.v1.ImageService"],
        Methods::default(),
        &Limits::default(),
        Memory::default(),
        |_| false,
    );
    let Ok(response) = edge.layer(service_fn(serve)).oneshot(request).await;
    response
}

fn assert_internal(response: &http::Response<ResponseBody>) {
    let status = Status::from_header_map(response.headers()).expect("the headers have a status");
    assert_eq!(status.code(), Code::Internal);
    assert_eq!(status.message(), "internal error; the service's log says more");
    let reason = tonic_types::StatusExt::get_details_error_info(&status).map(|info| info.reason);
    assert_eq!(reason.as_deref(), Some("INTERNAL"));
}

#[tokio::test]
async fn a_panic_is_answered_as_an_internal_error_over_grpc() {
    let grpc = || request("application/grpc");
    assert_internal(&answer(grpc(), |_| async { panic!("before an answer") }).await);
    let late = |_| async {
        tokio::task::yield_now().await;
        panic!("after an await")
    };
    assert_internal(&answer(grpc(), late).await);
    let early = |_| -> std::future::Ready<_> { panic!("without a future") };
    assert_internal(&answer(grpc(), early).await);
}

#[tokio::test]
async fn a_panic_is_answered_as_an_internal_error_over_http() {
    let response = answer(request("application/json"), |_| async { panic!("unlucky") }).await;
    assert_eq!(response.status(), http::StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(response.headers().get("x-error-reason").unwrap(), "INTERNAL");
}

/// A body that panics when it is asked for more.
fn unlucky() -> Response {
    let frames =
        std::iter::from_fn(|| -> Option<Result<&str, Infallible>> { panic!("in the middle of an answer") });
    Response::new(Body::from_stream(tokio_stream::iter(frames)))
}

#[tokio::test]
async fn a_panic_in_the_middle_of_an_answer_ends_it_with_a_status_over_grpc_and_breaks_it_off_over_http() {
    for (content_type, is_grpc) in [("application/grpc", true), ("application/json", false)] {
        let mut response = answer(request(content_type), |_| async { Ok(unlucky()) }).await.into_body();
        let frame = std::future::poll_fn(|context| pin!(&mut response).poll_frame(context)).await;
        match frame.expect("the answer does not just end") {
            Ok(frame) => {
                let trailers = frame.into_trailers().expect("only trailers are left");
                let status = Status::from_header_map(&trailers).expect("they have a status");
                assert!(is_grpc && status.code() == Code::Internal, "{status:?}");
            }
            Err(error) => assert!(!is_grpc, "{error}"),
        }
        let end = std::future::poll_fn(|context| pin!(&mut response).poll_frame(context)).await;
        assert!(end.is_none());
    }
}
