//! The services, running in this process.

use std::sync::Arc;

use chassis::{caller::Identity, server::Base};
use cinder_svc::{
    quota::Quota,
    store::{MIGRATIONS, Store},
    volume::Storage,
    volumes::VolumeApi,
};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tonic::transport::Channel;

use crate::services::{catalogue, folder, image, open, serve_glance, served};

/// The quota of a project, small enough to be exceeded.
pub(crate) const QUOTA: Quota =
    Quota { volumes: Some(6), snapshots: Some(2), gigabytes: Some(20), per_volume_gigabytes: Some(10) };

/// glance-svc and cinder-svc on empty databases.
pub(crate) struct World {
    runtime: Arc<Runtime>,
    /// A public image that is ACTIVE.
    pub(crate) image: String,
    /// Two replicas of cinder-svc with `--storage agent`.
    with_agent: [Channel; 2],
    /// Two replicas with `--storage none`.
    alone: [Channel; 2],
    _folder: TempDir,
}

impl World {
    pub(crate) fn start() -> Self {
        let runtime = Arc::new(Runtime::new().expect("a runtime can be made"));
        let folder = folder();
        let (image, with_agent, alone) = runtime.block_on(async {
            let (glance, endpoint) = serve_glance(&folder).await;
            let image = image(&glance).await;
            let with_agent = serve_cinder(&folder, "agent", &endpoint, Storage::Agent).await;
            let alone = serve_cinder(&folder, "alone", &endpoint, Storage::None).await;
            (image, with_agent, alone)
        });
        Self { runtime, image, with_agent, alone, _folder: folder }
    }

    pub(crate) fn runtime(&self) -> Arc<Runtime> {
        Arc::clone(&self.runtime)
    }

    /// Two replicas of cinder-svc.
    pub(crate) const fn cinder(&self, has_agent: bool) -> &[Channel; 2] {
        if has_agent { &self.with_agent } else { &self.alone }
    }
}

async fn serve_cinder(folder: &TempDir, name: &str, glance: &str, storage: Storage) -> [Channel; 2] {
    let mut replicas = Vec::new();
    for _ in 0..2 {
        let db = open(folder, name, &MIGRATIONS).await;
        let volumes = VolumeApi {
            store: Store::new(db.clone()),
            glance: catalogue(glance),
            quota: QUOTA,
            default_volume_type: "__DEFAULT__".to_owned(),
            availability_zones: vec!["nova".to_owned()],
            storage,
            data: None,
        };
        let base = Base::new("cinder-svc", db, Identity::Development);
        replicas.push(served(cinder_svc::service(volumes, None, &base)).await.0);
    }
    replicas.try_into().expect("there are two")
}
