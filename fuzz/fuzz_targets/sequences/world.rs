//! The services, running in this process.

use std::sync::Arc;

use chassis::{caller::Identity, server::Base};
use nova_api_svc::{compute::ComputeApi, instance::Compute, quota::Quota, store::Store};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tonic::transport::Channel;

use crate::services::{catalogue, folder, image, open, serve_glance, served};

/// The quota of a project, small enough to be exceeded.
pub(crate) const QUOTA: Quota = Quota { instances: Some(6), cores: Some(12), ram_mb: None };

/// Both services on empty databases.
pub(crate) struct World {
    runtime: Arc<Runtime>,
    /// glance-svc.
    pub(crate) glance: Channel,
    /// A public image that is ACTIVE.
    pub(crate) image: String,
    /// Two replicas of nova-api-svc with `--compute agent`.
    with_agent: [Channel; 2],
    /// Two replicas with `--compute none`.
    alone: [Channel; 2],
    _folder: TempDir,
}

impl World {
    pub(crate) fn start() -> Self {
        let runtime = Arc::new(Runtime::new().expect("a runtime can be made"));
        let folder = folder();
        let (glance, image, with_agent, alone) = runtime.block_on(async {
            let (glance, endpoint) = serve_glance(&folder).await;
            let image = image(&glance).await;
            let with_agent = serve_nova(&folder, "agent", &endpoint, Compute::Agent).await;
            let alone = serve_nova(&folder, "alone", &endpoint, Compute::None).await;
            (glance, image, with_agent, alone)
        });
        Self { runtime, glance, image, with_agent, alone, _folder: folder }
    }

    pub(crate) fn runtime(&self) -> Arc<Runtime> {
        Arc::clone(&self.runtime)
    }

    /// Two replicas of nova-api-svc.
    pub(crate) const fn nova(&self, has_agent: bool) -> &[Channel; 2] {
        if has_agent { &self.with_agent } else { &self.alone }
    }
}

async fn serve_nova(folder: &TempDir, name: &str, glance: &str, compute: Compute) -> [Channel; 2] {
    let mut replicas = Vec::new();
    for _ in 0..2 {
        let db = open(folder, name, &nova_api_svc::store::MIGRATIONS).await;
        let api = ComputeApi {
            glance: catalogue(glance),
            cinder: None,
            store: Store::new(db.clone()),
            quota: QUOTA,
            name_template: "%(name)s-%(uuid)s".parse().expect("it is Nova's"),
            compute,
            non_inheritable: "cache_in_nova,bittorrent".parse().expect("it is the default"),
        };
        let jobs = api.clone();
        tokio::spawn(async move { jobs.do_jobs().await });
        let base = Base::new("nova-api-svc", db, Identity::Development);
        replicas.push(served(nova_api_svc::service(api, &base)).await.0);
    }
    replicas.try_into().expect("there are two")
}
