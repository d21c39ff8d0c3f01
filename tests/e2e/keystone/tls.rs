//! Keystone by TLS.

use std::{net::SocketAddr, sync::Arc};

use chassis::{
    testing::TestDb,
    tls::{self, Source as _},
};
use harness::{keystone::Keystone, service::Service};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

use super::get;
use crate::tls::Authority;

/// Ends TLS in front of Keystone, as whoever the authority has certified as `name`.
async fn in_front_of(keystone: SocketAddr, authority: &Authority, name: &str) -> SocketAddr {
    authority.certify(name);
    let file = |kind: &str| authority.file(&format!("{name}.{kind}"));
    let server = tls::Server {
        identity: tls::Identity { cert: file("pem"), key: file("key") },
        client_ca: None,
        client_names: Vec::new(),
    };
    let acceptor = TlsAcceptor::from(Arc::new(server.load().unwrap()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut client) = acceptor.accept(stream).await else { return };
                let mut server = TcpStream::connect(keystone).await.unwrap();
                // Either side may end it.
                let _ = copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn keystone_must_have_the_right_certificate() {
    let (keystone, db, data) = (Keystone::start().unwrap(), TestDb::sqlite(), tempfile::tempdir().unwrap());
    let (authority, stranger) = (Authority::new(), Authority::new());
    let token = keystone.token("demo", "demo").unwrap();
    let ca = authority.file("ca.pem").display().to_string();
    let data_url = format!("file:{}", data.path().display());
    for (by, expected) in [(&authority, 200), (&stranger, 503)] {
        let front = in_front_of(keystone.address(), by, "keystone").await;
        let url = format!("https://{front}/v3");
        let known = keystone.arguments("glance").into_iter();
        let known = known.map(|argument| if argument == keystone.url() { url.clone() } else { argument });
        let own = ["--listen", "127.0.0.1:0", "--database-url", &db.url, "--data-url", &data_url];
        let own = own.into_iter().chain(["--keystone-ca", &ca]).map(str::to_owned);
        let glance = Service::start("glance-svc", own.chain(known)).unwrap();
        let (status, answer) = get(&glance, "/v2/images", &[("x-auth-token", &token)]);
        assert_eq!(status, expected, "{answer}");
    }
}
