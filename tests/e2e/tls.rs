//! TLS between clients and services and between the services, with certificates that change while they run.

use std::{fs, net::SocketAddr, path::PathBuf, process::Command, sync::Arc, time::Duration};

use chassis::{
    on_both_databases,
    testing::TestDb,
    tls::{self, Source as _},
};
use harness::{postgres::Cluster, service::Service, workspace};
use hyper_util::rt::TokioIo;
use proto::{
    glance::v1::{self as glance, image_service_client::ImageServiceClient},
    nova::v1::instance_service_client::InstanceServiceClient,
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};
use rustls::{
    ALL_VERSIONS, ClientConfig, RootCertStore, SupportedProtocolVersion,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsAcceptor, TlsConnector, client::TlsStream};
use tonic::transport::{Channel, Endpoint, Uri};

use crate::world::create;

on_both_databases!(
    both_services_speak_tls_and_know_each_other,
    a_client_without_the_right_certificate_is_refused,
    certificates_are_read_again
);

/// A certificate and its key, in PEM.
pub(crate) type Pair = (String, String);

/// A CA and what it has certified, in files.
pub(crate) struct Authority {
    folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        let authority = Self { folder: tempfile::tempdir().unwrap(), issuer: Issuer::new(params, key), pem };
        fs::write(authority.file("ca.pem"), &authority.pem).unwrap();
        authority
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Certifies whoever has `name`, in `name.pem` and `name.key`; returns both texts.
    pub(crate) fn certify(&self, name: &str) -> Pair {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["localhost".to_owned(), name.to_owned()]).unwrap();
        params.subject_alt_names.push(SanType::IpAddress("127.0.0.1".parse().unwrap()));
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        fs::write(self.file(&format!("{name}.key")), key.serialize_pem()).unwrap();
        fs::write(self.file(&format!("{name}.pem")), &certificate).unwrap();
        (certificate, key.serialize_pem())
    }

    fn arguments(&self, url: &str, name: &str) -> Vec<String> {
        let file = |name: String| self.file(&name).display().to_string();
        let arguments = [
            ["--listen", "127.0.0.1:0"].map(str::to_owned),
            ["--database-url".to_owned(), url.to_owned()],
            ["--tls-cert".to_owned(), file(format!("{name}.pem"))],
            ["--tls-key".to_owned(), file(format!("{name}.key"))],
            ["--tls-client-ca".to_owned(), file("ca.pem".to_owned())],
            ["--admin-listen", "127.0.0.1:0"].map(str::to_owned),
        ];
        arguments.into_iter().flatten().collect()
    }

    fn glance(&self, db: &TestDb) -> Service {
        self.glance_with(db, [])
    }

    fn glance_with<const N: usize>(&self, db: &TestDb, more: [&str; N]) -> Service {
        self.certify("glance");
        let mut arguments = self.arguments(&db.url, "glance");
        arguments.extend(more.map(str::to_owned));
        arguments.extend(["--data-url".to_owned(), format!("file:{}", self.file("data").display())]);
        Service::start("glance-svc", arguments).unwrap()
    }

    /// The TLS configuration of a client with this certificate.
    fn client(
        &self,
        identity: Option<&Pair>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.pem.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
        let builder = builder.with_root_certificates(roots);
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        config
    }

    /// A channel of a client with this certificate.
    async fn channel(
        &self,
        service: &Service,
        identity: Option<&Pair>,
    ) -> Result<Channel, tonic::transport::Error> {
        let config = Arc::new(self.client(identity, ALL_VERSIONS));
        let address = service.address();
        let connector = tower::service_fn(move |_: Uri| connect(address, Arc::clone(&config)));
        Endpoint::from_static("http://localhost").connect_with_connector(connector).await
    }
}

async fn connect(
    address: SocketAddr,
    config: Arc<ClientConfig>,
) -> std::io::Result<TokioIo<TlsStream<TcpStream>>> {
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost").unwrap();
    Ok(TokioIo::new(TlsConnector::from(config).connect(name, stream).await?))
}

async fn both_services_speak_tls_and_know_each_other(db: TestDb) {
    let (authority, glance_db) = (Authority::new(), db.another().await);
    let glance = authority.glance(&glance_db);
    let client = authority.certify("nova");
    let file = |name: &str| authority.file(name).display().to_string();
    let mut arguments = authority.arguments(&db.url, "nova");
    for (flag, value) in [
        ("--glance-endpoint", format!("https://localhost:{}", glance.address().port())),
        ("--glance-ca", file("ca.pem")),
        ("--glance-cert", file("nova.pem")),
        ("--glance-key", file("nova.key")),
    ] {
        arguments.extend([flag.to_owned(), value]);
    }
    let nova = Service::start("nova-api-svc", arguments).unwrap();

    let channel = authority.channel(&glance, Some(&client)).await.unwrap();
    let image = glance::Image { name: "image".into(), size: Some(1), ..Default::default() };
    let request = glance::CreateImageRequest { image: Some(image) };
    let image = ImageServiceClient::new(channel).create_image(request).await.unwrap().into_inner();
    let channel = authority.channel(&nova, Some(&client)).await.unwrap();
    let mut instances = InstanceServiceClient::new(channel);
    let created = instances.create_instance(create(&image, 1)).await.unwrap().into_inner();
    assert_eq!(created.instances[0].image_id, image.id);
    // Probes of Kubernetes know no TLS.
    TcpStream::connect(nova.admin().unwrap()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn links_lead_back_to_where_tls_is_spoken() {
    let (authority, db) = (Authority::new(), TestDb::sqlite());
    let glance = authority.glance(&db);
    let mut config = authority.client(Some(&authority.certify("client")), ALL_VERSIONS);
    config.alpn_protocols.clear();
    let mut stream = connect(glance.address(), Arc::new(config)).await.unwrap().into_inner();
    let request = "GET /versions HTTP/1.1\r\nhost: glance.example.org\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.contains("\"https://glance.example.org/v2/\""), "{answer}");
}

async fn a_client_without_the_right_certificate_is_refused(db: TestDb) {
    let authority = Authority::new();
    let glance = authority.glance(&db);
    let strange = Authority::new().certify("stranger");
    for identity in [None, Some(strange)] {
        let refused = match authority.channel(&glance, identity.as_ref()).await {
            Err(_) => true,
            // With TLS 1.3, the client learns of the refusal only after its handshake.
            Ok(channel) => ImageServiceClient::new(channel)
                .list_images(glance::ListImagesRequest::default())
                .await
                .is_err(),
        };
        assert!(refused);
    }
    let plain = ImageServiceClient::connect(glance.endpoint()).await;
    assert!(match plain {
        Err(_) => true,
        Ok(mut plain) => plain.list_images(glance::ListImagesRequest::default()).await.is_err(),
    });
    // Refused clients do not keep others out.
    let channel = authority.channel(&glance, Some(&authority.certify("client"))).await.unwrap();
    ImageServiceClient::new(channel).list_images(glance::ListImagesRequest::default()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_with_another_name_is_refused() {
    let (authority, db) = (Authority::new(), TestDb::sqlite());
    let glance = authority.glance_with(&db, ["--tls-client-names", "gateway,nova-api"]);
    for (name, is_let_in) in [("gateway", true), ("nova-api", true), ("monitoring", false)] {
        let certificate = authority.certify(name);
        let answer = match authority.channel(&glance, Some(&certificate)).await {
            Err(_) => false,
            Ok(channel) => ImageServiceClient::new(channel)
                .list_images(glance::ListImagesRequest::default())
                .await
                .is_ok(),
        };
        assert_eq!(answer, is_let_in, "{name}");
    }
}

async fn certificates_are_read_again(db: TestDb) {
    let authority = Authority::new();
    let glance = authority.glance(&db);
    let client = authority.certify("client");
    let before = shown(&authority, &glance, &client).await;
    let channel = authority.channel(&glance, Some(&client)).await.unwrap();
    let mut open = ImageServiceClient::new(channel);
    // A certificate without its key is invalid, and changes nothing.
    let (certificate, key) = authority.certify("new");
    fs::write(authority.file("glance.pem"), certificate).unwrap();
    until(|| glance.log().contains("certificates stay as they were")).await;
    assert_eq!(shown(&authority, &glance, &client).await, before);
    fs::write(authority.file("glance.key"), key).unwrap();
    until(|| glance.log().contains("certificates were read again")).await;
    assert_ne!(shown(&authority, &glance, &client).await, before);
    open.list_images(glance::ListImagesRequest::default()).await.unwrap();
    assert!(!glance.log().contains("PRIVATE KEY"));
}

/// The certificate that a service shows, in TLS 1.2 as in 1.3.
async fn shown(authority: &Authority, service: &Service, client: &Pair) -> Vec<u8> {
    let mut certificates = Vec::new();
    for version in ALL_VERSIONS {
        let config = authority.client(Some(client), &[version]);
        let stream = connect(service.address(), Arc::new(config)).await.unwrap().into_inner();
        certificates.push(stream.get_ref().1.peer_certificates().unwrap()[0].to_vec());
    }
    assert_eq!(certificates[0], certificates[1]);
    certificates.remove(0)
}

/// Waits until a condition holds.
async fn until(condition: impl Fn() -> bool) {
    let waiting = async {
        let mut interval = tokio::time::interval(Duration::from_millis(20));
        while !condition() {
            interval.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), waiting).await.unwrap();
}

#[test]
fn a_wrong_configuration_names_the_file_and_nothing_in_it() {
    let authority = Authority::new();
    let (certificate, _) = authority.certify("one");
    let (_, other_key) = authority.certify("other");
    fs::write(authority.file("mixed.pem"), certificate).unwrap();
    fs::write(authority.file("mixed.key"), &other_key).unwrap();
    let url = TestDb::sqlite();
    let error = |arguments: Vec<String>| {
        let started = Service::start("glance-svc", arguments);
        format!("{:#}", started.err().unwrap())
    };
    let said = error(authority.arguments(&url.url, "absent"));
    assert!(said.contains("cannot read") && said.contains("absent.pem"), "{said}");
    let said = error(authority.arguments(&url.url, "mixed"));
    assert!(said.contains("certificate and key cannot be used"), "{said}");
    assert!(!said.contains(other_key.lines().nth(1).unwrap()), "{said}");
    let mut half = authority.arguments(&url.url, "one");
    half.drain(6..8);
    let said = error(half);
    assert!(said.contains("must be given together"), "{said}");
    let key_as_certificate = authority.arguments(&url.url, "one").into_iter().map(|argument| {
        if argument.ends_with("one.pem") { argument.replace("one.pem", "one.key") } else { argument }
    });
    let said = error(key_as_certificate.collect());
    assert!(said.contains("one.key holds no certificate in PEM"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_is_reached_by_tls_and_known() {
    let (authority, cluster) = (Authority::new(), Cluster::start().unwrap());
    let (certificate, key) = authority.certify("postgres");
    cluster.require_tls(&certificate, &key).unwrap();
    let url = |authority: &Authority| {
        let ca = authority.file("ca.pem");
        format!("{}?sslmode=verify-full&sslrootcert={}", cluster.url("postgres"), ca.display())
    };
    let arguments = ["--listen", "127.0.0.1:0", "--database-url", &url(&authority)];
    let glance = Service::start("glance-svc", arguments).unwrap();
    let mut client = ImageServiceClient::connect(glance.endpoint()).await.unwrap();
    client.list_images(glance::ListImagesRequest::default()).await.unwrap();
    // A server with a certificate from another CA is rejected, and so is one without.
    for url in [url(&Authority::new()), format!("{}?sslmode=disable", cluster.url("postgres"))] {
        let mut migrate = Command::new(workspace::binary("glance-svc").unwrap());
        let output = migrate.args(["migrate", "--database-url", &url]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains("database"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn traces_go_to_the_collector_by_tls() {
    let (authority, db) = (Authority::new(), TestDb::sqlite());
    for name in ["collector", "glance"] {
        authority.certify(name);
    }
    let file = |name: &str| authority.file(name).display().to_string();
    let identity =
        tls::Identity { cert: authority.file("collector.pem"), key: authority.file("collector.key") };
    let server =
        tls::Server { identity, client_ca: Some(authority.file("ca.pem")), client_names: Vec::new() };
    let acceptor = TlsAcceptor::from(Arc::new(server.load().unwrap()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("https://localhost:{}", listener.local_addr().unwrap().port());

    let (ca, cert, key) = (file("ca.pem"), file("glance.pem"), file("glance.key"));
    let usual = ["--listen", "127.0.0.1:0", "--database-url", &db.url, "--otlp-endpoint", &endpoint];
    let certified = ["--otlp-ca", &ca, "--otlp-cert", &cert, "--otlp-key", &key];
    let glance = Service::start("glance-svc", usual.iter().chain(&certified)).unwrap();
    let mut client = ImageServiceClient::connect(glance.endpoint()).await.unwrap();
    client.list_images(glance::ListImagesRequest::default()).await.unwrap();
    let received = async {
        let (stream, _) = listener.accept().await.unwrap();
        let mut start = [0; 14];
        // The handshake fails unless both sides are verified.
        acceptor.accept(stream).await.unwrap().read_exact(&mut start).await.unwrap();
        start
    };
    assert_eq!(tokio::time::timeout(Duration::from_mins(1), received).await.unwrap(), *b"PRI * HTTP/2.0");
}
