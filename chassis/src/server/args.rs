//! What the command lines of the services have in common.

use std::{num::NonZeroU32, path::PathBuf, sync::Arc, time::Duration};

use clap::{ArgAction, Args};

use crate::{
    edge::Limits,
    keystone::Keystone,
    tls::{self, Identity, Reloaded},
};

/// How a service listens, and its limits.
#[derive(Debug, Clone, Args)]
pub struct ServerArgs {
    /// Second address for probes and metrics, always without TLS: `/livez`, `/readyz`, `/metrics` and
    /// grpc.health.v1; port 0 picks a free one, which is printed.
    #[arg(long, env = "ADMIN_LISTEN", value_name = "HOST:PORT", help_heading = "Server")]
    pub admin_listen: Option<String>,

    /// Listen on addresses that others than this machine's users can reach, even though everybody is trusted
    /// (`--identity development`).
    #[arg(long, env = "ALLOW_REMOTE_DEVELOPMENT", default_value_t = false, value_name = "BOOL", action = ArgAction::Set,
          num_args = 0..=1, default_missing_value = "true", require_equals = true, help_heading = "Server")]
    pub allow_remote_development: bool,

    /// Certificate to listen with, a PEM file; it is re-read when it changes.
    #[arg(long, env = "TLS_CERT", value_name = "FILE", help_heading = "Server")]
    pub tls_cert: Option<PathBuf>,

    /// Private key of the certificate, a PEM file.
    #[arg(long, env = "TLS_KEY", value_name = "FILE", help_heading = "Server")]
    pub tls_key: Option<PathBuf>,

    /// CA whose certificates clients must have, a PEM file.
    #[arg(long, env = "TLS_CLIENT_CA", value_name = "FILE", requires = "tls_cert", help_heading = "Server")]
    pub tls_client_ca: Option<PathBuf>,

    /// Names of the clients that may connect, separated by commas, as their certificates have them (DNS names or IP
    /// addresses); every client with a certificate of that CA, if not given.
    #[arg(
        long,
        env = "TLS_CLIENT_NAMES",
        value_name = "NAMES",
        value_delimiter = ',',
        requires = "tls_client_ca",
        help_heading = "Server"
    )]
    pub tls_client_names: Vec<String>,

    /// How long the service carries on after SIGTERM while reporting that it is not ready, in seconds: the
    /// time that load balancers need to notice.
    #[arg(long, env = "DRAIN_DELAY_S", default_value_t = 0, value_name = "S", help_heading = "Server",
          value_parser = clap::value_parser!(u64).range(0..=3600))]
    pub drain_delay_s: u64,

    /// How long open requests may take after that, in seconds.
    #[arg(long, env = "GRACE_PERIOD_S", default_value_t = 10, value_name = "S", help_heading = "Server",
          value_parser = clap::value_parser!(u64).range(0..=3600))]
    pub grace_period_s: u64,

    /// Maximum number of connections; more are closed at once. Fewer if the system allows too few open files;
    /// that limit is raised as far as the service may.
    #[arg(long, env = "MAX_CONNECTIONS", default_value_t = 1024, value_name = "COUNT", help_heading = "Limits",
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub max_connections: u32,

    /// Maximum number of concurrent requests per connection.
    #[arg(long, env = "MAX_CONCURRENT_STREAMS", default_value_t = 128, value_name = "COUNT", help_heading = "Limits",
          value_parser = clap::value_parser!(u32).range(1..=65_535))]
    pub max_concurrent_streams: u32,

    /// Maximum number of concurrent requests that upload or download image data; more wait (see
    /// `--max-queued`).
    #[arg(long, env = "MAX_TRANSFERS", default_value_t = 128, value_name = "COUNT", help_heading = "Limits",
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub max_transfers: u32,

    /// Maximum number of other concurrent requests; more wait (see `--max-queued`).
    #[arg(long, env = "MAX_IN_FLIGHT", default_value_t = 512, value_name = "COUNT", help_heading = "Limits",
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub max_in_flight: u32,

    /// Maximum number of requests that wait for a place among those in flight, and the same number of
    /// transfers; more are refused at once, to be retried.
    #[arg(long, env = "MAX_QUEUED", default_value_t = 1024, value_name = "COUNT", help_heading = "Limits",
          value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub max_queued: u32,

    /// Longest time that a request waits for a place, in milliseconds; after that it is refused, to be
    /// retried.
    #[arg(long, env = "MAX_QUEUE_MS", default_value_t = 500, value_name = "MS", help_heading = "Limits",
          value_parser = clap::value_parser!(u64).range(0..=3_600_000))]
    pub max_queue_ms: u64,

    /// Maximum size of a request's message, or of its body over HTTP, in bytes. Image data is sent in as many
    /// messages as it takes.
    #[arg(long, env = "MAX_MESSAGE_BYTES", default_value_t = 4_194_304, value_name = "BYTES", help_heading = "Limits",
          value_parser = clap::value_parser!(u32).range(65_536..=67_108_864))]
    pub max_message_bytes: u32,

    /// Maximum memory for concurrent large requests, in bytes, each taking about ten times its message; more
    /// wait.
    #[arg(long, env = "MAX_REQUEST_MEMORY_BYTES", default_value_t = 67_108_864, value_name = "BYTES",
          help_heading = "Limits", value_parser = clap::value_parser!(u32).range(16_777_216..))]
    pub max_request_memory_bytes: u32,

    /// Maximum memory for concurrent pages and other large answers, in bytes; more wait.
    #[arg(long, env = "MAX_ANSWER_MEMORY_BYTES", default_value_t = 41_943_040, value_name = "BYTES",
          help_heading = "Limits", value_parser = clap::value_parser!(u32).range(16_777_216..))]
    pub max_answer_memory_bytes: u32,

    /// Maximum size of a request's headers, in bytes.
    #[arg(long, env = "MAX_HEADER_BYTES", default_value_t = 16_384, value_name = "BYTES", help_heading = "Limits",
          value_parser = clap::value_parser!(u32).range(1024..=1_048_576))]
    pub max_header_bytes: u32,

    /// Maximum number of requests per second of each caller, by user and project, or by address if a request
    /// names neither; 0 for no limit.
    #[arg(long, env = "RATE_LIMIT", default_value_t = 0, value_name = "COUNT", help_heading = "Limits")]
    pub rate_limit: u32,

    /// Maximum number of requests that a caller may send at once before its rate counts; 0 for as many as in
    /// a second.
    #[arg(long, env = "RATE_BURST", default_value_t = 0, value_name = "COUNT", help_heading = "Limits")]
    pub rate_burst: u32,

    /// How long a request may send nothing, or its client read nothing of the answer, in milliseconds; after
    /// that it is refused, or its connection closed. For data, reading may pause three times as long.
    #[arg(long, env = "MAX_STALL_MS", default_value_t = 30_000, value_name = "MS", help_heading = "Limits",
          value_parser = clap::value_parser!(u64).range(1..=3_600_000))]
    pub max_stall_ms: u64,

    /// Longest time that a request may take, in milliseconds, whatever deadline its caller sets; data
    /// transfers may take longer.
    #[arg(long, env = "MAX_DEADLINE_MS", default_value_t = 60_000, value_name = "MS", help_heading = "Limits",
          value_parser = clap::value_parser!(u64).range(1..=86_400_000))]
    pub max_deadline_ms: u64,
}

/// How a service listens, and its limits.
#[derive(Debug, Clone)]
pub struct Options {
    /// TLS of the listener; none for plaintext.
    pub tls: Option<Arc<Reloaded<tls::Server>>>,
    /// What knows callers by their tokens, if anything does.
    pub keystone: Option<Keystone>,
    /// What requests may use.
    pub limits: Limits,
    /// Maximum number of connections.
    pub max_connections: u32,
    /// Maximum number of concurrent requests per connection.
    pub max_concurrent_streams: u32,
    /// Maximum size of a request's headers, in bytes.
    pub max_header_bytes: u32,
    /// How long to carry on when told to stop.
    pub drain_delay: Duration,
    /// How long open requests may take after that.
    pub grace: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            tls: None,
            keystone: None,
            limits: Limits::default(),
            max_connections: 1024,
            max_concurrent_streams: 128,
            max_header_bytes: 16_384,
            drain_delay: Duration::ZERO,
            grace: Duration::from_secs(10),
        }
    }
}

impl ServerArgs {
    /// The options that the arguments describe; their files are read.
    pub fn options(&self) -> Result<Options, tls::Error> {
        let identity = Identity::of(self.tls_cert.clone(), self.tls_key.clone())?;
        let (client_ca, client_names) = (self.tls_client_ca.clone(), self.tls_client_names.clone());
        let tls = identity.map(|identity| Reloaded::new(tls::Server { identity, client_ca, client_names }));
        let burst = NonZeroU32::new(self.rate_burst).or(NonZeroU32::new(self.rate_limit));
        Ok(Options {
            tls: tls.transpose()?,
            keystone: None,
            limits: Limits {
                in_flight: self.max_in_flight,
                transfers: self.max_transfers,
                queued: self.max_queued,
                queue_wait: Duration::from_millis(self.max_queue_ms),
                rate: NonZeroU32::new(self.rate_limit).zip(burst),
                deadline: Duration::from_millis(self.max_deadline_ms),
                stall: Duration::from_millis(self.max_stall_ms),
                message: self.max_message_bytes as usize,
                request_memory: self.max_request_memory_bytes as usize,
                answer_memory: self.max_answer_memory_bytes as usize,
                headers: self.max_header_bytes as usize,
            },
            max_connections: self.max_connections,
            max_concurrent_streams: self.max_concurrent_streams,
            max_header_bytes: self.max_header_bytes,
            drain_delay: Duration::from_secs(self.drain_delay_s),
            grace: Duration::from_secs(self.grace_period_s),
        })
    }
}
