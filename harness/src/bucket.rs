//! A bucket like those of S3, for a data store.

use std::process::Command;

use anyhow::Context as _;

use crate::{program, service::Service, tools, workspace};

/// The bucket of a server that ends with this value.
pub struct Bucket {
    server: Service,
}

impl Bucket {
    /// The URL of the data store in it.
    pub const DATA_URL: &str = "s3://images/prefix";

    /// Starts a server with an empty bucket.
    pub fn start() -> anyhow::Result<Self> {
        Ok(Self { server: Service::run("bucket", script()?.arg("serve"))? })
    }

    /// Where the server is.
    #[must_use]
    pub fn endpoint(&self) -> String {
        self.server.endpoint()
    }

    /// The environment of a service that keeps data in the bucket at `endpoint`.
    #[must_use]
    pub const fn environment(endpoint: &str) -> [(&'static str, &str); 5] {
        [
            ("AWS_ENDPOINT", endpoint),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "key"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
        ]
    }

    /// How many objects lie in it, and how many uploads are neither complete nor given up.
    pub fn count(&self) -> anyhow::Result<(usize, usize)> {
        let counted = program::run(script()?.args(["count", &self.endpoint()]))?;
        let (objects, uploads) = counted.trim().split_once(' ').context("two numbers")?;
        Ok((objects.parse()?, uploads.parse()?))
    }
}

fn script() -> anyhow::Result<Command> {
    let mut python = Command::new(tools::bucket_python()?);
    python.arg(workspace::root().join("harness/python/bucket.py"));
    Ok(python)
}
