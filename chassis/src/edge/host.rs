//! The host that a request names: it does so, and only once (RFC 9112, 3.2; RFC 9113, 8.3.1). Where two readers of a
//! request may disagree about whom it is for, one of them can be made to believe what the other would not.

use axum::{
    extract::Request,
    http::{HeaderValue, Version, header::HOST, uri::Authority},
};

use crate::http::Problem;
use common::violations::Violations;

/// What is wrong with the host that a request names. HTTP/1.0 need not name one.
pub(super) fn problem(request: &Request) -> Option<Problem> {
    let mut named = request.headers().get_all(HOST).iter();
    let problem = match (named.next(), named.next()) {
        (_, Some(_)) => "must be given once",
        (None, None) if request.version() < Version::HTTP_11 => return None,
        (None, None) if request.version() > Version::HTTP_11 && request.uri().authority().is_some() => {
            return None;
        }
        (None, None) => "must be given, or :authority over HTTP/2",
        (Some(host), None) => match (authority(host), request.uri().authority()) {
            (None, _) => "must be a host, with or without a port",
            (Some(host), Some(called)) if request.version() > Version::HTTP_11 && !is_same(&host, called) => {
                "must not name another host than :authority"
            }
            _ => return None,
        },
    };
    Some(Violations::one("Host", problem).into())
}

fn authority(host: &HeaderValue) -> Option<Authority> {
    let host = host.to_str().ok()?;
    let authority: Authority = host.parse().ok()?;
    // With a comma, a proxy may have made one line of two.
    (!authority.host().is_empty() && !host.contains(['@', ','])).then_some(authority)
}

/// Whether they are the same, where one may name a port that the other leaves out.
fn is_same(one: &Authority, other: &Authority) -> bool {
    let ports = one.port_u16().zip(other.port_u16());
    one.host().eq_ignore_ascii_case(other.host()) && ports.is_none_or(|(one, other)| one == other)
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, http};

    use super::*;

    fn is_refused(version: Version, uri: &str, hosts: &[&str]) -> bool {
        let request = http::Request::get(uri).version(version);
        let request = hosts.iter().fold(request, |request, host| request.header(HOST, *host));
        problem(&request.body(Body::empty()).unwrap()).is_some()
    }

    #[test]
    fn a_request_names_its_host_once() {
        let (one, path) = (Version::HTTP_11, "/v2/images");
        for host in ["glance", "glance:9292", "127.0.0.1:9292", "[::1]:9292", "GLANCE.example.org"] {
            assert!(!is_refused(one, path, &[host]), "{host}");
        }
        for hosts in [
            &[][..],
            &[""],
            &[" "],
            &[":9292"],
            &["a b"],
            &["a,b"],
            &["a/b"],
            &["u@a"],
            &["http://a"],
            &["a", "a"],
            &["a", ""],
        ] {
            assert!(is_refused(one, path, hosts), "{hosts:?}");
            assert_eq!(is_refused(Version::HTTP_10, path, hosts), !hosts.is_empty(), "{hosts:?}");
        }
        // A proxy is asked so, and it says both.
        assert!(is_refused(one, "http://glance/v2/images", &[]));
        assert!(!is_refused(one, "http://glance/v2/images", &["glance"]));
    }

    #[test]
    fn over_http_2_the_authority_is_the_host() {
        let (two, called) = (Version::HTTP_2, "http://glance:9292/v2/images");
        for hosts in [&[][..], &["glance:9292"], &["Glance"]] {
            assert!(!is_refused(two, called, hosts), "{hosts:?}");
        }
        for hosts in [&["other"][..], &["glance:80"], &[""], &["glance", "glance"]] {
            assert!(is_refused(two, called, hosts), "{hosts:?}");
        }
        assert!(is_refused(two, "/v2/images", &[]));
        assert!(!is_refused(two, "/v2/images", &["glance"]));
    }
}
