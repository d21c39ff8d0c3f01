//! A server in the process of a test, and its clients.

use std::{future::pending, net::SocketAddr};

use tokio::net::TcpListener;
use tonic::{Request, transport::Channel};

use crate::{
    db::{Db, Migrations},
    server::{self, Listeners, Options, Service},
};

/// The database at `url`, with the current schema.
pub async fn open(url: &str, migrations: &'static Migrations) -> Db {
    let db = Db::open(url, 16, migrations).expect("the URL names a database");
    db.migrate_or_wait().await.expect("the schema can be migrated");
    db
}

/// Serves a service on a free port, as long as the runtime of the test runs.
pub async fn serve(service: Service) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a free port");
    let address = listener.local_addr().expect("a listener has an address");
    let serving = server::serve(Listeners::public(listener), service, Options::default(), pending());
    tokio::spawn(async move { serving.await.expect("the server does not fail") });
    address
}

/// A connection to the server at `address`.
pub async fn connect(address: SocketAddr) -> Channel {
    let endpoint = Channel::from_shared(format!("http://{address}")).expect("an address makes a URL");
    endpoint.connect().await.expect("the server listens")
}

/// A request made by a user for a project.
pub fn made_by<T>(user: &str, project: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    for (name, value) in [("x-user-id", user), ("x-project-id", project)] {
        request.metadata_mut().insert(name, value.parse().expect("an id can be a header"));
    }
    request
}

/// A request made by a user with these roles in a project.
pub fn made_as<T>(user: &str, project: &str, roles: &str, message: T) -> Request<T> {
    let mut request = made_by(user, project, message);
    request.metadata_mut().insert("x-roles", roles.parse().expect("roles can be a header"));
    request
}
