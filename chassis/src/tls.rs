//! TLS for listeners and for calls to peers: from files, which are re-read when they change.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock, Weak},
    time::Duration,
};

use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem, pem::PemObject as _},
    server::{VerifierBuilderError, WebPkiClientVerifier},
};

use crate::{background, metrics::METRICS};

mod names;

use names::Named;

/// How often files are checked: Kubernetes renews a mounted Secret within a minute or two.
const LOOK: Duration = Duration::from_secs(5);

/// Why TLS cannot be set up. Says which file is at fault, and nothing of its contents.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file contains no PEM of the right kind.
    #[error("{path} holds no {wanted} in PEM")]
    Pem {
        /// The file.
        path: PathBuf,
        /// What it should contain.
        wanted: &'static str,
    },
    /// Certificate and key do not belong together, or are of an unsupported kind.
    #[error("certificate and key cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
    /// The certificates for verifying clients cannot be used.
    #[error("the CA for clients cannot be used: {0}")]
    ClientCa(#[from] VerifierBuilderError),
    /// The text is not a name that a certificate can have.
    #[error("{0:?} is not a name that a certificate can have")]
    Name(String),
    /// A certificate without its key, or a key without its certificate.
    #[error("certificate and key must be given together")]
    Half,
}

/// A certificate and its key, as PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The certificate and its chain up to its CA.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

impl Identity {
    /// Both files, neither, or an error.
    pub fn of(cert: Option<PathBuf>, key: Option<PathBuf>) -> Result<Option<Self>, Error> {
        match (cert, key) {
            (Some(cert), Some(key)) => Ok(Some(Self { cert, key })),
            (None, None) => Ok(None),
            _ => Err(Error::Half),
        }
    }

    fn load(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), Error> {
        let chain = certificates(&self.cert)?;
        let key = PrivateKeyDer::from_pem_slice(&read(&self.key)?);
        let wanted = "private key";
        Ok((chain, key.map_err(|_| Error::Pem { path: self.key.clone(), wanted })?))
    }
}

/// What a listener is configured with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Its certificate.
    pub identity: Identity,
    /// If there is one, clients must have a certificate of this CA.
    pub client_ca: Option<PathBuf>,
    /// If there are any, clients must have one of these names in their certificate.
    pub client_names: Vec<String>,
}

impl Server {
    fn names(&self) -> Result<Vec<ServerName<'static>>, Error> {
        let name = |name: &String| ServerName::try_from(name.clone()).map_err(|_| Error::Name(name.clone()));
        self.client_names.iter().map(name).collect()
    }
}

/// What a client of a peer is configured with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// The peer must have a certificate of this CA.
    pub ca: PathBuf,
    /// What it presents to a peer that asks.
    pub identity: Option<Identity>,
}

/// Something that can be built from files.
pub trait Source: Clone + Send + Sync + 'static {
    /// What connections are configured with.
    type Config: Send + Sync + 'static;

    /// Reads the files.
    fn load(&self) -> Result<Self::Config, Error>;

    /// The files.
    fn files(&self) -> Vec<&Path>;
}

impl Source for Server {
    type Config = ServerConfig;

    fn load(&self) -> Result<ServerConfig, Error> {
        let (chain, key) = self.identity.load()?;
        let builder =
            ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(ca) => {
                let roots = Arc::new(roots(ca)?);
                let inner = WebPkiClientVerifier::builder_with_provider(roots, provider()).build()?;
                builder.with_client_cert_verifier(match self.names()? {
                    names if names.is_empty() => inner,
                    names => Arc::new(Named { inner, names }),
                })
            }
        };
        let mut config = builder.with_single_cert(chain, key)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }

    fn files(&self) -> Vec<&Path> {
        let Identity { cert, key } = &self.identity;
        [cert, key].into_iter().chain(&self.client_ca).map(PathBuf::as_path).collect()
    }
}

impl Source for Client {
    type Config = ClientConfig;

    fn load(&self) -> Result<ClientConfig, Error> {
        let builder =
            ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
        let builder = builder.with_root_certificates(roots(&self.ca)?);
        let mut config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let (chain, key) = identity.load()?;
                builder.with_client_auth_cert(chain, key)?
            }
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(config)
    }

    fn files(&self) -> Vec<&Path> {
        let identity = self.identity.iter().flat_map(|Identity { cert, key }| [cert, key]);
        [&self.ca].into_iter().chain(identity).map(PathBuf::as_path).collect()
    }
}

/// What connections are configured with, according to the files as they are now.
pub struct Reloaded<S: Source> {
    source: S,
    current: RwLock<Arc<S::Config>>,
}

impl<S: Source> fmt::Debug for Reloaded<S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Reloaded").field("files", &self.source.files()).finish_non_exhaustive()
    }
}

impl<S: Source> Reloaded<S> {
    /// Reads the files, and re-reads them whenever they change, for as long as the value is in use.
    pub fn new(source: S) -> Result<Arc<Self>, Error> {
        let seen = Mutex::new(contents(&source));
        let reloaded = Arc::new(Self { current: RwLock::new(Arc::new(source.load()?)), source });
        let watched = Arc::downgrade(&reloaded);
        tokio::spawn(async move { background::keep("certificates", || watch(&watched, &seen)).await });
        Ok(reloaded)
    }

    /// What a new connection is configured with.
    pub fn current(&self) -> Arc<S::Config> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the files if they have changed; invalid files leave everything as it was.
    fn look(&self, seen: &mut Vec<Option<Vec<u8>>>) {
        let contents = contents(&self.source);
        if contents == *seen {
            return;
        }
        match self.source.load() {
            Ok(config) => {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
                tracing::info!(files = ?self.source.files(), "certificates were read again");
                METRICS.reloaded(true);
            }
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "certificates stay as they were");
                METRICS.reloaded(false);
            }
        }
        *seen = contents;
    }
}

/// Checks the files of `watched` for as long as it is in use; `seen` is what was in them.
async fn watch<S: Source>(watched: &Weak<Reloaded<S>>, seen: &Mutex<Vec<Option<Vec<u8>>>>) {
    loop {
        tokio::time::sleep(LOOK).await;
        let Some(reloaded) = watched.upgrade() else { return };
        reloaded.look(&mut seen.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

fn contents(source: &impl Source) -> Vec<Option<Vec<u8>>> {
    source.files().into_iter().map(|path| std::fs::read(path).ok()).collect()
}

/// For a client that makes no connections with TLS.
pub(crate) fn nobody() -> Result<ClientConfig, Error> {
    let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    Ok(builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|source| Error::Read { path: path.to_owned(), source })
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let pem = read(path)?;
    let found: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(&pem).collect();
    let found = found.ok().filter(|found| !found.is_empty());
    found.ok_or_else(|| Error::Pem { path: path.to_owned(), wanted: "certificate" })
}

fn roots(path: &Path) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate)?;
    }
    Ok(roots)
}
