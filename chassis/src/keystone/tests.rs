//! What Keystone answers, and what becomes of it.

use std::sync::atomic::{AtomicUsize, Ordering};

use axum::{
    Router,
    http::{HeaderName, StatusCode, header},
    routing::post,
};
use serde_json::json;
use tokio::net::TcpListener;

use super::{args::tests::open, *};

/// A token of `demo` in a project of its own.
fn token() -> String {
    json!({"token": {
        "user": {"id": "u"}, "project": {"id": "p"}, "roles": [{"name": "member"}],
        "issued_at": "2026-01-01T00:00:00.000000Z", "expires_at": "2126-01-01T00:00:00.000000Z",
    }})
    .to_string()
}

/// What answers as Keystone does when it logs somebody in, and to the first questions so, to the others with the last of
/// these. Counts the logins.
async fn keystone(answers: Vec<(StatusCode, String)>) -> (Keystone, Arc<AtomicUsize>) {
    let (logins, asked) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&logins);
    let log_in = move || {
        let number = counted.fetch_add(1, Ordering::Relaxed);
        let issued = [("x-subject-token", format!("own{number}"))];
        async move { (StatusCode::CREATED, issued, token()) }
    };
    let answer = move || {
        let number = asked.fetch_add(1, Ordering::Relaxed).min(answers.len() - 1);
        let (status, body) = answers[number].clone();
        async move { (status, [(header::LOCATION, "/v3/elsewhere")], body) }
    };
    let router = Router::new().route("/v3/auth/tokens", post(log_in).get(answer));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async { axum::serve(listener, router).await });
    let line = format!("--keystone-url {url} --keystone-username u --keystone-password secret");
    (open(&line).unwrap().unwrap(), logins)
}

fn with(token: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(HeaderName::from_static(AUTH_TOKEN), HeaderValue::from_static(token))])
}

#[tokio::test]
async fn an_answer_that_is_none_lets_nobody_in() {
    for (status, body) in [
        (StatusCode::INTERNAL_SERVER_ERROR, String::new()),
        (StatusCode::TOO_MANY_REQUESTS, String::new()),
        (StatusCode::FORBIDDEN, String::new()),
        (StatusCode::FOUND, token()),
        (StatusCode::OK, "nonsense".to_owned()),
        (StatusCode::OK, json!({"token": {}}).to_string()),
        (StatusCode::OK, " ".repeat(300 * 1024) + &token()),
        (StatusCode::UNAUTHORIZED, String::new()),
    ] {
        let (keystone, _) = keystone(vec![(status, body)]).await;
        assert!(keystone.cached(&with("t")).is_none());
        let refused = keystone.clone().identify(with("t")).await;
        assert!(matches!(refused, Err(Error::KeystoneUnavailable)), "{status}: {refused:?}");
        assert!(keystone.cached(&with("t")).is_none(), "{status}: that says nothing of the token");
    }
}

#[tokio::test]
async fn what_keystone_says_is_known() {
    let (keystone, logins) = keystone(vec![(StatusCode::OK, token())]).await;
    let caller = keystone.clone().identify(with("t")).await.unwrap();
    assert!(caller.is_of("p") && caller.is_member() && !caller.is_admin);
    assert_eq!(keystone.cached(&with("t")).unwrap().unwrap(), caller);
    assert_eq!(logins.load(Ordering::Relaxed), 1);
    assert!(keystone.cached(&HeaderMap::new()).unwrap().is_err(), "whoever has no token is nobody at once");
}

#[tokio::test]
async fn a_token_that_keystone_does_not_know_is_nobodys() {
    let (keystone, _) =
        keystone(vec![(StatusCode::NOT_FOUND, String::new()), (StatusCode::OK, token())]).await;
    let refused = keystone.clone().identify(with("t")).await;
    assert!(matches!(refused, Err(Error::Token { problem: INVALID, .. })), "{refused:?}");
    assert!(keystone.cached(&with("t")).unwrap().is_err(), "for a while it stays so");
}

#[tokio::test]
async fn a_service_that_keystone_has_forgotten_logs_in_once_more() {
    let answers = vec![(StatusCode::UNAUTHORIZED, String::new()), (StatusCode::OK, token())];
    let (keystone, logins) = keystone(answers).await;
    assert_eq!(keystone.own_token().await.unwrap(), "own0");
    keystone.clone().identify(with("t")).await.unwrap();
    assert_eq!(keystone.own_token().await.unwrap(), "own1");
    assert_eq!(logins.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn many_who_ask_for_the_services_token_log_in_once() {
    let (keystone, logins) = keystone(vec![(StatusCode::OK, token())]).await;
    let asking: Vec<_> = (0..50)
        .map(|_| {
            let keystone = keystone.clone();
            tokio::spawn(async move { keystone.own_token().await.unwrap() })
        })
        .collect();
    for own in asking {
        assert_eq!(own.await.unwrap(), "own0");
    }
    assert_eq!(logins.load(Ordering::Relaxed), 1);
}
