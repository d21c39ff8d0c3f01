//! Who calls, over either edge.

use axum::http::request::Builder;
use proto::glance::v1::image_service_client::ImageServiceClient;
use tonic::{
    Request, Status,
    service::{Interceptor, interceptor::InterceptedService},
    transport::Channel,
};

/// A client that calls as somebody.
pub(crate) type ClientOf = ImageServiceClient<InterceptedService<Channel, Who>>;

/// A user in a project with roles, as the proxy in front of the service tells them; empty where it tells nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Who {
    pub(crate) user: &'static str,
    pub(crate) project: &'static str,
    pub(crate) roles: &'static str,
}

impl Who {
    /// Nobody, who is an operator in development.
    pub(crate) const NOBODY: Self = Self::new("", "", "");
    pub(crate) const ADMIN: Self = Self::new("root", "ops", "admin,member,reader");
    pub(crate) const OWNER: Self = Self::new("alice", "owner", "member,reader");
    /// One who may only read, in the project of the owner.
    pub(crate) const READER: Self = Self::new("rita", "owner", "reader");
    pub(crate) const PENDING: Self = Self::new("paul", "pending", "member,reader");
    pub(crate) const ACCEPTED: Self = Self::new("ann", "accepted", "member,reader");
    pub(crate) const REJECTED: Self = Self::new("ron", "rejected", "member,reader");
    pub(crate) const STRANGER: Self = Self::new("eve", "stranger", "member,reader");

    pub(crate) const fn new(user: &'static str, project: &'static str, roles: &'static str) -> Self {
        Self { user, project, roles }
    }

    /// The headers that tell it.
    fn headers(self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let headers = [("x-user-id", self.user), ("x-project-id", self.project), ("x-roles", self.roles)];
        headers.into_iter().filter(|(_, value)| !value.is_empty())
    }

    /// A request over HTTP of this caller.
    pub(crate) fn of(self, builder: Builder) -> Builder {
        self.headers().fold(builder, |builder, (name, value)| builder.header(name, value))
    }

    /// A client over gRPC of this caller.
    pub(crate) fn client(self, channel: &Channel) -> ClientOf {
        ImageServiceClient::with_interceptor(channel.clone(), self)
    }
}

impl Interceptor for Who {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        for (name, value) in self.headers() {
            request.metadata_mut().insert(name, value.parse().unwrap());
        }
        Ok(request)
    }
}
