//! Flags: where Keystone is, and how the service logs in there.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::http::Uri;
use clap::Args;

use super::{
    Inner, Keystone,
    api::Api,
    cache::Cache,
    login::{Credentials, Login, Named, SecretSource},
};
use crate::{
    caller::Identity,
    tls::{self, Reloaded},
};

/// Where Keystone is, and how the service logs in there.
#[derive(Debug, Clone, Args)]
pub struct KeystoneArgs {
    /// Keystone, such as `https://keystone:5000/v3`, for `--identity keystone`.
    #[arg(long, env = "KEYSTONE_URL", value_name = "URL", help_heading = "Keystone")]
    pub keystone_url: Option<String>,

    /// Where callers reach Keystone, if it differs; sent to callers without a valid token.
    #[arg(long, env = "KEYSTONE_PUBLIC_URL", value_name = "URL", help_heading = "Keystone")]
    pub keystone_public_url: Option<String>,

    /// CA of Keystone's certificate, a file in PEM; for an https URL.
    #[arg(long, env = "KEYSTONE_CA", value_name = "FILE", help_heading = "Keystone")]
    pub keystone_ca: Option<PathBuf>,

    /// This service's user, which may validate tokens: it has the role `service` or `admin`.
    #[arg(long, env = "KEYSTONE_USERNAME", value_name = "NAME", help_heading = "Keystone")]
    pub keystone_username: Option<String>,

    /// Domain of that user.
    #[arg(
        long,
        env = "KEYSTONE_USER_DOMAIN",
        default_value = "Default",
        value_name = "NAME",
        help_heading = "Keystone"
    )]
    pub keystone_user_domain: String,

    /// Password of that user; preferably in a file instead.
    #[arg(
        long,
        env = "KEYSTONE_PASSWORD",
        hide_env_values = true,
        value_name = "PASSWORD",
        help_heading = "Keystone"
    )]
    pub keystone_password: Option<String>,

    /// File with that password; it is re-read for each new token.
    #[arg(long, env = "KEYSTONE_PASSWORD_FILE", value_name = "FILE", help_heading = "Keystone")]
    pub keystone_password_file: Option<PathBuf>,

    /// Project in which that user has the role.
    #[arg(
        long,
        env = "KEYSTONE_PROJECT",
        default_value = "service",
        value_name = "NAME",
        help_heading = "Keystone"
    )]
    pub keystone_project: String,

    /// Domain of that project.
    #[arg(
        long,
        env = "KEYSTONE_PROJECT_DOMAIN",
        default_value = "Default",
        value_name = "NAME",
        help_heading = "Keystone"
    )]
    pub keystone_project_domain: String,

    /// Application credential of that user, instead of its name and password.
    #[arg(long, env = "KEYSTONE_APPLICATION_CREDENTIAL_ID", value_name = "ID", help_heading = "Keystone")]
    pub keystone_application_credential_id: Option<String>,

    /// File with the secret of that credential; it is re-read for each new token.
    #[arg(
        long,
        env = "KEYSTONE_APPLICATION_CREDENTIAL_SECRET_FILE",
        value_name = "FILE",
        help_heading = "Keystone"
    )]
    pub keystone_application_credential_secret_file: Option<PathBuf>,

    /// Longest time that Keystone's answer about a token is cached, in seconds: a revoked token works for up to that long.
    #[arg(long, env = "KEYSTONE_CACHE_S", default_value_t = 60, value_name = "S", help_heading = "Keystone",
          value_parser = clap::value_parser!(u64).range(0..=3600))]
    pub keystone_cache_s: u64,

    /// Longest wait for Keystone, in milliseconds.
    #[arg(long, env = "KEYSTONE_TIMEOUT_MS", default_value_t = 5000, value_name = "MS", help_heading = "Keystone",
          value_parser = clap::value_parser!(u64).range(1..=60_000))]
    pub keystone_timeout_ms: u64,
}

/// What is wrong with the flags.
#[derive(Debug, thiserror::Error)]
pub enum Misconfigured {
    /// There is no URL.
    #[error("--identity keystone needs --keystone-url")]
    NoUrl,
    /// The URL is malformed, or does not match the CA.
    #[error("--keystone-url must look like http://HOST:PORT/v3, or https://HOST:PORT/v3 with --keystone-ca")]
    BadUrl,
    /// There are no credentials.
    #[error(
        "--identity keystone needs --keystone-username with --keystone-password-file, or \
         --keystone-application-credential-id with --keystone-application-credential-secret-file"
    )]
    NoCredentials,
    /// There are two kinds of credentials.
    #[error("{0} and {1} exclude each other: give one of them")]
    Conflict(&'static str, &'static str),
    /// A file with a secret cannot be read.
    #[error("cannot read {path}")]
    Secret {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The CA cannot be used.
    #[error(transparent)]
    Tls(#[from] tls::Error),
}

impl KeystoneArgs {
    /// Keystone, if it identifies callers; reads the files.
    pub fn open(&self, identity: Identity) -> Result<Option<Keystone>, Misconfigured> {
        if identity != Identity::Keystone {
            return Ok(None);
        }
        let url = versioned(self.keystone_url.as_deref().ok_or(Misconfigured::NoUrl)?);
        let uri: Uri = url.parse().map_err(|_| Misconfigured::BadUrl)?;
        let tls = match (uri.scheme_str(), &self.keystone_ca) {
            (Some("http"), None) => None,
            (Some("https"), Some(ca)) => Some(Reloaded::new(tls::Client { ca: ca.clone(), identity: None })?),
            _ => return Err(Misconfigured::BadUrl),
        };
        let public_url = self.keystone_public_url.as_deref().map_or_else(|| url.clone(), versioned);
        Ok(Some(Keystone(Arc::new(Inner {
            api: Api::new(&url, Duration::from_millis(self.keystone_timeout_ms), tls),
            login: Login::new(self.credentials()?),
            auth_url: public_url.into(),
            cache: Cache::new(Duration::from_secs(self.keystone_cache_s)),
            in_progress: Mutex::new(HashMap::new()),
        }))))
    }

    fn credentials(&self) -> Result<Credentials, Misconfigured> {
        let user = self.keystone_username.clone();
        let id = self.keystone_application_credential_id.clone();
        let password = self.keystone_password.clone().map(SecretSource::Value);
        let file = self.keystone_password_file.clone().map(SecretSource::File);
        if password.is_some() && file.is_some() {
            return Err(Misconfigured::Conflict("--keystone-password", "--keystone-password-file"));
        }
        let secret = self.keystone_application_credential_secret_file.clone().map(SecretSource::File);
        match (user.zip(password.or(file)), id.zip(secret)) {
            (Some((name, password)), None) => {
                let user = Named { name, domain: self.keystone_user_domain.clone() };
                let project = Named {
                    name: self.keystone_project.clone(),
                    domain: self.keystone_project_domain.clone(),
                };
                Ok(Credentials::Password { user, password: readable(password)?, project })
            }
            (None, Some((id, secret))) => {
                Ok(Credentials::ApplicationCredential { id, secret: readable(secret)? })
            }
            (Some(_), Some(_)) => {
                Err(Misconfigured::Conflict("--keystone-username", "--keystone-application-credential-id"))
            }
            (None, None) => Err(Misconfigured::NoCredentials),
        }
    }
}

/// The URL of version 3.
fn versioned(url: &str) -> String {
    let url = url.trim_end_matches('/');
    if url.ends_with("/v3") { url.to_owned() } else { format!("{url}/v3") }
}

/// The secret, if it can be read now.
fn readable(secret: SecretSource) -> Result<SecretSource, Misconfigured> {
    match (secret.read(), &secret) {
        (Err(source), SecretSource::File(path)) => Err(Misconfigured::Secret { path: path.clone(), source }),
        _ => Ok(secret),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        keystone: KeystoneArgs,
    }

    pub(in super::super) fn open(line: &str) -> Result<Option<Keystone>, Misconfigured> {
        let line = Line::parse_from(format!("program {line}").split_whitespace());
        line.keystone.open(Identity::Keystone)
    }

    #[tokio::test]
    async fn missing_and_conflicting_flags_are_named() {
        for (line, expected) in [
            ("", "needs --keystone-url"),
            ("--keystone-url keystone", "must look like"),
            ("--keystone-url https://keystone:5000", "--keystone-ca"),
            ("--keystone-url http://keystone:5000", "needs --keystone-username"),
            ("--keystone-url http://keystone:5000 --keystone-username u", "needs --keystone-username"),
            (
                "--keystone-url http://k --keystone-username u --keystone-password p --keystone-password-file /f",
                "give one of them",
            ),
            ("--keystone-url http://k --keystone-username u --keystone-password-file /not/here", "/not/here"),
        ] {
            let refused = open(line).unwrap_err().to_string();
            assert!(refused.contains(expected), "{line}: {refused}");
        }
    }

    #[tokio::test]
    async fn callers_are_told_the_public_url() {
        let base = "--keystone-url http://inside:5000 --keystone-username u --keystone-password secret";
        let keystone = open(base).unwrap().unwrap();
        assert_eq!(&*keystone.0.auth_url, "http://inside:5000/v3");
        assert!(!format!("{keystone:?}").contains("secret"));
        let keystone = open(&format!("{base} --keystone-public-url https://outside/identity/v3/")).unwrap();
        assert_eq!(&*keystone.unwrap().0.auth_url, "https://outside/identity/v3");
    }
}
