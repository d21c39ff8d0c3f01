//! GET of an image over HTTP, compared with a handler that only answers.

use std::{fs, net::SocketAddr, sync::Arc};

use anyhow::ensure;
use hyper::HeaderMap;
use tokio::sync::Mutex;

use super::get_image;
use crate::{
    bench::{Bench, Case},
    ceiling::server,
    figures::Run,
    http::Connection,
    load::{Shape, drive},
    process::Watch,
    sample, world,
};

const ROW: &str = "http_get_image";

pub(super) async fn measure(bench: &mut Bench) -> anyhow::Result<()> {
    let database = bench.world.database(ROW).await?;
    let glance = bench.world.glance(&database)?;
    get_image::fill(&world::images(&glance).await?, 1).await?;
    let path = format!("/v2/images/{}", sample::image_id(1));
    let body = Connection::open(glance.address()).await?.get(&path).await?;
    let (answer, data) = (bench.world.file("image.json"), bench.world.file("unused"));
    fs::write(&answer, &body)?;
    let bare = server::start("http", &[("--answer", &answer), ("--data", &data)])?;
    let (watch, bare_watch) =
        (bench.world.watch(&[("glance-svc", &glance)])?, Watch::client().and("bare axum", bare.pid()));
    for in_flight in [1, 16, 64] {
        let shape = bench.plan.shape(in_flight);
        let case = Case {
            row: ROW,
            name: format!("{in_flight} in flight"),
            unit: "requests/s",
            ceiling: "bare axum handler",
            goal: (in_flight == 64).then_some(0.7),
        };
        let [image, same] = [glance.address(), bare.address()].map(|address| Get {
            address,
            path: &path,
            headers: HeaderMap::new(),
            length: body.len(),
        });
        let ours = async || image.repeat(shape, &watch).await;
        bench.compare(case, ours, async || same.repeat(shape, &bare_watch).await).await?;
    }
    Ok(())
}

/// What is read again and again.
pub(super) struct Get<'row> {
    pub(super) address: SocketAddr,
    pub(super) path: &'row str,
    pub(super) headers: HeaderMap,
    /// Of the answer, bytes.
    pub(super) length: usize,
}

impl Get<'_> {
    /// Reads it over one connection per request in flight.
    pub(super) async fn repeat(&self, shape: Shape, watch: &Watch) -> anyhow::Result<Run> {
        let mut connections = Vec::new();
        for _ in 0..shape.in_flight {
            connections.push(Mutex::new(Connection::open(self.address).await?.with(&self.headers)));
        }
        let (connections, path): (Arc<[_]>, Arc<str>) = (connections.into(), self.path.into());
        let length = self.length;
        drive(shape, watch, move |turn| {
            let (connections, path) = (Arc::clone(&connections), Arc::clone(&path));
            async move {
                let body = connections[turn.worker].lock().await.get(&path).await?;
                ensure!(body.len() == length, "an answer that differs from the first");
                Ok(())
            }
        })
        .await
    }
}
