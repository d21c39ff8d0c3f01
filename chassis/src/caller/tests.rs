//! Who callers are by their headers.

use axum::http::HeaderName;

use super::*;

fn headers(headers: &[(&'static str, &'static str)]) -> HeaderMap {
    let headers = headers.iter();
    headers.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
}

#[test]
fn a_proxy_is_believed() {
    let said = headers(&[("x-user-id", "u"), ("x-project-id", "p"), ("x-roles", "Reader, member")]);
    for identity in [Identity::Development, Identity::Proxy] {
        let caller = identity.caller(&said).unwrap();
        assert_eq!(caller.roles, ["reader", "member"]);
        assert!(caller.is_of("p") && caller.is_member() && !caller.is_admin);
    }
    let reader = headers(&[("x-project-id", "p"), ("x-roles", "reader")]);
    assert!(!Identity::Proxy.caller(&reader).unwrap().is_member());
    let untold = headers(&[("x-project-id", "p")]);
    assert!(Identity::Proxy.caller(&untold).unwrap().is_member());
}

#[test]
fn who_believes_everybody_is_not_reached_by_everybody() {
    for (address, may) in [
        ("127.0.0.1:1", true),
        ("[::1]:1", true),
        ("0.0.0.0:1", false),
        ("[::]:1", false),
        ("10.0.0.1:1", false),
    ] {
        let address = address.parse().unwrap();
        assert_eq!(Identity::Development.check(address, false).is_ok(), may, "{address}");
        Identity::Development.check(address, true).unwrap();
        Identity::Proxy.check(address, false).unwrap();
    }
}

#[test]
fn an_empty_header_of_roles_is_no_role() {
    for empty in ["", " ", ",", " , "] {
        let said = headers(&[("x-project-id", "p"), ("x-roles", empty)]);
        for identity in [Identity::Development, Identity::Proxy] {
            let caller = identity.caller(&said).unwrap();
            assert!(!caller.is_reader() && !caller.is_admin, "{caller:?}");
        }
        let nobody = headers(&[("x-user-id", "u"), ("x-roles", empty)]);
        assert!(matches!(Identity::Proxy.caller(&nobody), Err(Error::Unauthenticated)));
    }
    let token = headers(&[("x-auth-token", "u:p:")]);
    assert!(!Identity::Development.caller(&token).unwrap().is_reader());
}

#[test]
fn a_header_that_is_there_twice_is_refused() {
    for name in ["x-user-id", "x-project-id", "x-roles"] {
        let mut said = headers(&[("x-user-id", "u"), ("x-project-id", "p"), ("x-roles", "reader")]);
        said.append(name, HeaderValue::from_static("admin"));
        for identity in [Identity::Development, Identity::Proxy] {
            let refused = identity.caller(&said).unwrap_err();
            assert!(refused.to_string().contains(name), "{refused}");
        }
    }
    let mut tokens = headers(&[("x-auth-token", "u:p:member")]);
    tokens.append("x-auth-token", HeaderValue::from_static("u:p:admin"));
    assert!(matches!(Identity::Development.caller(&tokens), Err(Error::BadToken(_))));
}

#[test]
fn each_role_has_a_limit_and_not_all_of_them() {
    let many = vec!["r".repeat(100); 30].join(",");
    let mut said = headers(&[("x-project-id", "p")]);
    said.insert("x-roles", HeaderValue::try_from(format!("{many},member")).unwrap());
    assert!(Identity::Proxy.caller(&said).unwrap().is_member());
    said.insert("x-roles", HeaderValue::try_from(format!("member,{}", "r".repeat(256))).unwrap());
    assert!(matches!(Identity::Proxy.caller(&said), Err(Error::Invalid(_))));
}

#[test]
fn a_token_counts_in_development_only() {
    let token = headers(&[("x-auth-token", "u:p:admin,member")]);
    let caller = Identity::Development.caller(&token).unwrap();
    assert_eq!((caller.actor.user_id.as_str(), caller.project()), ("u", Some("p")));
    assert!(caller.is_admin);
    assert!(matches!(Identity::Proxy.caller(&token), Err(Error::Unauthenticated)));
    for both in ["u:p:admin", "nonsense"] {
        let both = headers(&[("x-auth-token", both), ("x-project-id", "q")]);
        let caller = Identity::Development.caller(&both).unwrap();
        assert!(caller.is_of("q") && !caller.is_admin);
    }
}

#[test]
fn nobody_is_an_operator_in_development_only() {
    for nobody in [headers(&[]), headers(&[("x-auth-token", "notused")]), headers(&[("x-user-id", "u")])] {
        assert!(Identity::Development.caller(&nobody).unwrap().is_admin);
        assert!(Identity::Proxy.caller(&nobody).is_err());
    }
    for nonsense in ["", "nonsense", "u:p", "u::", "u:p:r:s"] {
        let nonsense = headers(&[("x-auth-token", nonsense), ("x-user-id", "u")]);
        let refused = Identity::Development.caller(&nonsense);
        assert!(matches!(refused, Err(Error::BadToken(_))), "{refused:?}");
    }
    let outsider = headers(&[("x-auth-token", "u::reader")]);
    assert!(!Identity::Development.caller(&outsider).unwrap().is_admin);
}
