//! Which web pages may make a browser call a service that trusts everybody.

use std::net::IpAddr;

use axum::http::{
    HeaderMap, HeaderValue, Uri,
    header::{HOST, ORIGIN},
    uri::Authority,
};

use crate::caller::Error;

/// Refuses requests that a browser sends on behalf of somebody else's page: its user can reach this service, and the
/// page cannot. With each request that may change something, browsers say where its page came from.
pub(super) fn check(uri: &Uri, headers: &HeaderMap) -> Result<(), Error> {
    let foreign = headers.get_all(ORIGIN).iter().find(|origin| !is_own(origin, uri, headers));
    foreign
        .map_or(Ok(()), |origin| Err(Error::ForeignOrigin(String::from_utf8_lossy(origin.as_bytes()).into())))
}

/// Whether a page came from where it calls, compared by address: a name could be repointed to here after the page was
/// loaded.
fn is_own(origin: &HeaderValue, uri: &Uri, headers: &HeaderMap) -> bool {
    let origin = origin.to_str().ok().and_then(|origin| origin.parse::<Uri>().ok());
    let Some(origin) = origin.as_ref().and_then(Uri::authority) else { return false };
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()?.parse::<Authority>().ok());
    host.as_ref().or(uri.authority()).is_some_and(|called| called == origin) && is_address(origin.host())
}

fn is_address(host: &str) -> bool {
    host == "localhost" || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_may_call_where_it_came_from() {
        for (origin, host, may) in [
            ("http://127.0.0.1:9292", "127.0.0.1:9292", true),
            ("http://localhost:9292", "localhost:9292", true),
            ("http://[::1]:9292", "[::1]:9292", true),
            ("http://127.0.0.1:3000", "127.0.0.1:9292", false),
            ("http://evil.example", "127.0.0.1:9292", false),
            ("http://evil.example:9292", "evil.example:9292", false),
            ("null", "127.0.0.1:9292", false),
            ("", "127.0.0.1:9292", false),
        ] {
            let over_2 = Uri::try_from(format!("http://{host}/v2/images")).unwrap();
            let mut headers = HeaderMap::from_iter([(ORIGIN, HeaderValue::from_static(origin))]);
            assert_eq!(check(&over_2, &headers).is_ok(), may, "{origin} at {host}");
            headers.insert(HOST, HeaderValue::from_static(host));
            assert_eq!(check(&Uri::from_static("/v2/images"), &headers).is_ok(), may, "{origin} at {host}");
            headers.append(ORIGIN, HeaderValue::from_static("http://evil.example"));
            assert!(check(&over_2, &headers).is_err());
        }
        check(&Uri::from_static("/v2/images"), &HeaderMap::new()).unwrap();
    }
}
