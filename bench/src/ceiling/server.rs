//! Servers that do the bare minimum, in processes of their own: this program, started again.

use std::{
    convert::Infallible,
    env, fs,
    io::{Write as _, stdout},
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{
    Router, extract::DefaultBodyLimit, http::header::CONTENT_TYPE, routing::get, serve::ListenerExt as _,
};
use bytes::Bytes;
use clap::Args;
use futures_util::future::BoxFuture;
use harness::service::Service;
use prost::Message as _;
use proto::glance::v1::{GetImageRequest, Image};
use tokio::net::TcpListener;
use tonic::{
    Request, Response, Status,
    body::Body,
    codegen::http,
    server::{Grpc, NamedService, UnaryService},
    transport::{Server, server::TcpIncoming},
};
use tonic_prost::ProstCodec;

use super::data;

/// Answers every `GetImage` with one message.
#[derive(Debug, Args)]
pub(crate) struct Echo {
    /// File with the message.
    #[arg(long)]
    answer: PathBuf,
}

/// Answers over HTTP with one body, and keeps data in one file.
#[derive(Debug, Args)]
pub(crate) struct Http {
    /// File with the body.
    #[arg(long)]
    answer: PathBuf,
    /// File for the data.
    #[arg(long)]
    data: PathBuf,
}

/// Starts this program again as the server `name` with `files`, which are its arguments.
pub(crate) fn start(name: &str, files: &[(&str, &Path)]) -> anyhow::Result<Service> {
    let mut command = Command::new(env::current_exe()?);
    command.arg(name);
    for (argument, file) in files {
        command.arg(argument).arg(file);
    }
    Service::run(name, &mut command)
}

impl Echo {
    /// Serves until the process is killed.
    pub(crate) async fn serve(&self) -> anyhow::Result<()> {
        let answer = Arc::new(Image::decode(&*fs::read(&self.answer)?)?);
        let (listener, address) = listen().await?;
        announce("echo", address)?;
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        Ok(Server::builder().add_service(EchoService(answer)).serve_with_incoming(incoming).await?)
    }
}

impl Http {
    /// Serves until the process is killed.
    pub(crate) async fn serve(&self) -> anyhow::Result<()> {
        let answer = Bytes::from(fs::read(&self.answer)?);
        let file: Arc<Path> = self.data.as_path().into();
        let router = Router::new()
            .route("/v2/images/{id}", get(async move || ([(CONTENT_TYPE, "application/json")], answer)))
            .route("/v2/images/{id}/file", get(data::download).put(data::upload))
            .layer(DefaultBodyLimit::disable())
            .with_state(file);
        let (listener, address) = listen().await?;
        announce("http", address)?;
        let listener = listener.tap_io(|stream| {
            // Answers are merely slower without it.
            let _ = stream.set_nodelay(true);
        });
        Ok(axum::serve(listener, router).await?)
    }
}

async fn listen() -> anyhow::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

fn announce(name: &str, address: SocketAddr) -> anyhow::Result<()> {
    writeln!(stdout(), "{name} listening on {address}")?;
    Ok(stdout().flush()?)
}

/// The service as generated code would implement it, without any middleware.
#[derive(Clone)]
struct EchoService(Arc<Image>);

/// Its only method.
struct Answer(Arc<Image>);

impl NamedService for EchoService {
    const NAME: &'static str = "glance.v1.ImageService";
}

impl tower::Service<http::Request<Body>> for EchoService {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let answer = Answer(Arc::clone(&self.0));
        Box::pin(async move {
            let mut grpc = Grpc::new(ProstCodec::<Image, GetImageRequest>::default());
            Ok(grpc.unary(answer, request).await)
        })
    }
}

impl UnaryService<GetImageRequest> for Answer {
    type Response = Image;
    type Future = BoxFuture<'static, Result<Response<Image>, Status>>;

    fn call(&mut self, _: Request<GetImageRequest>) -> Self::Future {
        let answer = Image::clone(&self.0);
        Box::pin(async move { Ok(Response::new(answer)) })
    }
}
