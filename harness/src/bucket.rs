//! An S3-compatible bucket, for a data store.

use std::process::Command;

use anyhow::Context as _;

use crate::{program, service::Service, tools, workspace};

/// A server with one bucket; it is stopped when dropped.
pub struct Bucket {
    server: Service,
}

impl Bucket {
    /// The URL of a data store in the bucket.
    pub const DATA_URL: &str = "s3://images/prefix";

    /// Starts a server with an empty bucket.
    pub fn start() -> anyhow::Result<Self> {
        Ok(Self { server: Service::run("bucket", script()?.arg("serve"))? })
    }

    /// The URL of the server.
    #[must_use]
    pub fn endpoint(&self) -> String {
        self.server.endpoint()
    }

    /// The environment of a service that stores data in the bucket at `endpoint`.
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

    /// Number of objects, and of uploads that are neither complete nor aborted.
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
