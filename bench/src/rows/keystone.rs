//! GET of an image by a caller that is known from Keystone, against the same with the headers of a trusted proxy.

use harness::keystone::Keystone;
use hyper::{
    HeaderMap,
    header::{HeaderName, HeaderValue},
};

use super::{get_image, http_get_image::Get};
use crate::{
    bench::{Bench, Case},
    http::Connection,
    sample, world,
};

const ROW: &str = "keystone";

pub(super) async fn measure(bench: &mut Bench) -> anyhow::Result<()> {
    let keystone = Keystone::start()?;
    let token = keystone.token("demo", "demo")?;
    let database = bench.world.database(ROW).await?;
    let known = keystone.arguments("glance");
    let known: Vec<_> = known.iter().map(String::as_str).collect();
    let by_token = bench.world.glance_with(&database, &known)?;
    let by_proxy = bench.world.glance_with(&database, &["--identity", "proxy"])?;

    // A public image: the projects of the two callers differ.
    get_image::fill(&world::images(&bench.world.glance(&database)?).await?, 1).await?;
    let path = format!("/v2/images/{}", sample::image_id(1));
    let token = headers(&[("x-auth-token", &token)])?;
    let proxied = headers(&[("x-user-id", "u"), ("x-project-id", "p"), ("x-roles", "member")])?;
    let length = Connection::open(by_token.address()).await?.with(&token).get(&path).await?.len();
    let [ours, proxy] = [(by_token.address(), token), (by_proxy.address(), proxied)]
        .map(|(address, headers)| Get { address, path: &path, headers, length });
    let watch = bench.world.watch(&[("glance-svc", &by_token)])?;
    let proxy_watch = bench.world.watch(&[("glance-svc", &by_proxy)])?;
    for in_flight in [1, 16, 64] {
        let shape = bench.plan.shape(in_flight);
        let case = Case {
            row: ROW,
            name: format!("GET of an image, {in_flight} in flight"),
            unit: "requests/s",
            ceiling: "--identity proxy",
            goal: (in_flight == 64).then_some(0.9),
        };
        let repeated = async || ours.repeat(shape, &watch).await;
        bench.compare(case, repeated, async || proxy.repeat(shape, &proxy_watch).await).await?;
    }
    Ok(())
}

fn headers(headers: &[(&'static str, &str)]) -> anyhow::Result<HeaderMap> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.insert(HeaderName::from_static(name), HeaderValue::from_str(value)?);
    }
    Ok(map)
}
