//! Where callers reach a service: as configured, as a trusted proxy says (`Forwarded` of RFC 7239, else
//! `X-Forwarded-Proto` and `X-Forwarded-Host`; the first proxy counts, as in oslo.middleware's `http_proxy_to_wsgi`),
//! or as the request was sent.

use axum::{
    extract::Request,
    http::{
        Extensions, HeaderMap, Uri, header,
        uri::{Authority, Scheme},
    },
};

use crate::{caller::Identity, edge::ConnectInfo};

/// What a service knows about where its callers reach it; links are made from it.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// The configured URL, without a slash at its end.
    public: Option<String>,
    /// Only in front of `proxy` is whoever sets `Forwarded` trusted.
    identity: Identity,
}

impl Endpoint {
    /// The configured URL, if there is one; without it, each request tells.
    #[must_use]
    pub fn new(public: Option<&str>, identity: Identity) -> Self {
        Self { public: public.map(|url| url.trim_end_matches('/').to_owned()), identity }
    }

    /// The scheme and host at which the caller of this request reaches the service, such as `https://glance:9292`,
    /// and the path of the configured URL if it has one; no slash at the end.
    #[must_use]
    pub fn of(&self, request: &Request) -> String {
        self.at(request.uri(), request.headers(), request.extensions())
    }

    /// The same, for an extractor, which has no whole request.
    #[must_use]
    pub fn at(&self, uri: &Uri, headers: &HeaderMap, extensions: &Extensions) -> String {
        if let Some(endpoint) = &self.public {
            return endpoint.clone();
        }
        let said = match self.identity {
            Identity::Proxy => Forwarded::of(headers),
            // Anybody may say it.
            Identity::Development | Identity::Keystone => Forwarded::default(),
        };
        let is_tls = extensions.get::<ConnectInfo>().is_some_and(|connection| connection.is_tls);
        let scheme = said.scheme.unwrap_or(if is_tls { Scheme::HTTPS } else { Scheme::HTTP });
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        // HTTP/2 has the host in the URI.
        let host = said.host.as_ref().or_else(|| uri.authority()).map(Authority::as_str).or(host);
        format!("{scheme}://{}", host.unwrap_or("localhost"))
    }
}

/// How callers reach the proxy.
#[derive(Debug, Default, PartialEq, Eq)]
struct Forwarded {
    scheme: Option<Scheme>,
    host: Option<Authority>,
}

impl Forwarded {
    /// What the headers of a proxy say; what cannot be parsed is ignored.
    fn of(headers: &HeaderMap) -> Self {
        let first = |name: &str| {
            let text = headers.get(name)?.to_str().ok()?;
            text.split(',').next().map(|first| first.trim().to_owned()).filter(|first| !first.is_empty())
        };
        let (scheme, host) = match first("forwarded") {
            Some(said) => (value(&said, "proto"), value(&said, "host")),
            None => (first("x-forwarded-proto"), first("x-forwarded-host")),
        };
        Self { scheme: scheme.as_deref().and_then(known), host: host.as_deref().and_then(named) }
    }
}

/// The value of a pair of `for=192.0.2.60;proto=https`.
fn value(said: &str, name: &str) -> Option<String> {
    let mut pairs = said.split(';').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(known, _)| known.trim().eq_ignore_ascii_case(name))?;
    Some(value.trim().trim_matches('"').to_owned())
}

fn known(scheme: &str) -> Option<Scheme> {
    match () {
        () if scheme.eq_ignore_ascii_case("https") => Some(Scheme::HTTPS),
        () if scheme.eq_ignore_ascii_case("http") => Some(Scheme::HTTP),
        () => None,
    }
}

fn named(host: &str) -> Option<Authority> {
    let authority: Authority = host.parse().ok()?;
    (!host.contains('@') && !authority.host().is_empty()).then_some(authority)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_proxy_says_how_callers_reach_it() {
        let (https, http) = (Some("https"), Some("http"));
        for (headers, scheme, host) in [
            (&[][..], None, None),
            (&[("x-forwarded-proto", "https")], https, None),
            (&[("x-forwarded-proto", "HTTPS, http"), ("x-forwarded-host", "a:1, b")], https, Some("a:1")),
            (&[("forwarded", "for=1.2.3.4;Proto=https;host=\"a:1\", proto=http;host=b")], https, Some("a:1")),
            (&[("forwarded", "proto=http"), ("x-forwarded-proto", "https")], http, None),
            (&[("forwarded", "for=1.2.3.4"), ("x-forwarded-proto", "https")], None, None),
            (&[("x-forwarded-proto", "ftp"), ("x-forwarded-host", "a b")], None, None),
            (&[("x-forwarded-proto", ""), ("x-forwarded-host", "u@a")], None, None),
        ] {
            let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
            let said = Forwarded::of(&headers.collect());
            assert_eq!(said.scheme.as_ref().map(Scheme::as_str), scheme, "{said:?}");
            assert_eq!(said.host.as_ref().map(Authority::as_str), host, "{said:?}");
        }
    }
}
