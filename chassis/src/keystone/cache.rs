//! A cache of tokens, by their hashes: no token itself is kept.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::http::HeaderValue;
use chrono::TimeDelta;
use quick_cache::{Weighter, sync};
use sha2::{Digest as _, Sha256};

use super::{Rejected, token::Token};

/// Maximum size of the valid tokens, in bytes, and their expected number; maximum number of invalid tokens, which are kept
/// apart so that they evict no valid ones.
const BYTES: u64 = 16 * 1024 * 1024;
const TOKENS: usize = 10_000;
const INVALID_TOKENS: usize = 4096;

/// How long a token that Keystone does not know stays invalid.
const INVALID: Duration = Duration::from_secs(5);

/// The hash of a token, and whether it may have expired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key([u8; 32], bool);

impl Key {
    pub(super) fn of(token: &HeaderValue, may_be_expired: bool) -> Self {
        Self(Sha256::digest(token.as_bytes()).into(), may_be_expired)
    }
}

/// A valid token, and until when it may be used.
#[derive(Clone)]
struct Entry {
    token: Arc<Token>,
    until: Instant,
}

#[derive(Clone)]
struct Bytes;

impl Weighter<Key, Entry> for Bytes {
    fn weight(&self, _: &Key, entry: &Entry) -> u64 {
        entry.token.bytes()
    }
}

pub(super) struct Cache {
    valid: sync::Cache<Key, Entry, Bytes>,
    invalid: sync::Cache<Key, Instant>,
    longest: Duration,
}

impl Cache {
    /// A cache that keeps a token for this long at most.
    pub(super) fn new(longest: Duration) -> Self {
        Self {
            valid: sync::Cache::with_weighter(TOKENS, BYTES, Bytes),
            invalid: sync::Cache::new(INVALID_TOKENS),
            longest,
        }
    }

    /// What is known of a token. One that is valid is valid whether or not it may have expired.
    pub(super) fn get(&self, key: &Key) -> Option<Result<Arc<Token>, Rejected>> {
        let Key(hash, may_be_expired) = *key;
        self.get_exactly(key).or_else(|| {
            let valid = may_be_expired.then(|| self.get_exactly(&Key(hash, false))).flatten();
            valid.filter(Result::is_ok)
        })
    }

    fn get_exactly(&self, key: &Key) -> Option<Result<Arc<Token>, Rejected>> {
        let now = Instant::now();
        if let Some(entry) = self.valid.get(key) {
            if now < entry.until {
                return Some(Ok(entry.token));
            }
            self.valid.remove(key);
        }
        let until = self.invalid.get(key)?;
        if now < until {
            return Some(Err(Rejected));
        }
        self.invalid.remove(key);
        None
    }

    pub(super) fn keep(&self, key: Key, token: Result<Arc<Token>, Rejected>) {
        let now = Instant::now();
        match token {
            Ok(token) => {
                let left = token.expires - common::clock::now();
                let may_be_expired = key.1;
                let left = if may_be_expired { TimeDelta::MAX } else { left };
                let counts = left.to_std().unwrap_or_default().min(self.longest);
                self.valid.insert(key, Entry { token, until: now + counts });
            }
            Err(Rejected) => self.invalid.insert(key, now + INVALID.min(self.longest)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(lasts: TimeDelta) -> Arc<Token> {
        Arc::new(Token { expires: common::clock::now() + lasts, ..Token::default() })
    }

    fn key(token: &'static str, may_be_expired: bool) -> Key {
        Key::of(&HeaderValue::from_static(token), may_be_expired)
    }

    #[test]
    fn a_token_is_known_until_it_expires_and_a_while_at_most() {
        let cache = Cache::new(Duration::from_mins(1));
        cache.keep(key("long", false), Ok(token(TimeDelta::days(1))));
        cache.keep(key("over", false), Ok(token(TimeDelta::seconds(-1))));
        cache.keep(key("over", true), Ok(token(TimeDelta::seconds(-1))));
        cache.keep(key("unknown", false), Err(Rejected));
        assert!(matches!(cache.get(&key("long", false)), Some(Ok(_))));
        assert!(matches!(cache.get(&key("long", true)), Some(Ok(_))));
        assert!(cache.get(&key("unknown", true)).is_none(), "it may only have expired");
        assert!(cache.get(&key("over", false)).is_none());
        assert!(matches!(cache.get(&key("over", true)), Some(Ok(_))));
        assert!(matches!(cache.get(&key("unknown", false)), Some(Err(Rejected))));
        let until = cache.valid.get(&key("long", false)).unwrap().until;
        assert!(until <= Instant::now() + Duration::from_mins(1));
    }

    #[test]
    fn nothing_is_known_for_no_time() {
        let cache = Cache::new(Duration::ZERO);
        cache.keep(key("long", false), Ok(token(TimeDelta::days(1))));
        cache.keep(key("unknown", false), Err(Rejected));
        assert!(cache.get(&key("long", false)).is_none() && cache.get(&key("unknown", false)).is_none());
    }

    #[test]
    fn invalid_tokens_push_out_no_valid_ones_and_are_few() {
        let cache = Cache::new(Duration::from_mins(1));
        cache.keep(key("long", false), Ok(token(TimeDelta::days(1))));
        for number in 0..20_000 {
            let made_up = HeaderValue::try_from(number.to_string()).unwrap();
            cache.keep(Key::of(&made_up, false), Err(Rejected));
        }
        assert!(cache.get(&key("long", false)).is_some());
        assert!(cache.invalid.len() <= INVALID_TOKENS + 512, "{}", cache.invalid.len());
    }

    #[test]
    fn large_tokens_take_a_bounded_memory() {
        let cache = Cache::new(Duration::from_mins(1));
        let roles = vec!["r".repeat(255); 400];
        for number in 0..1000 {
            let expires = common::clock::now() + TimeDelta::days(1);
            let token = Arc::new(Token { expires, roles: roles.clone(), ..Token::default() });
            let name = HeaderValue::try_from(number.to_string()).unwrap();
            cache.keep(Key::of(&name, false), Ok(token));
        }
        assert!(cache.valid.weight() <= BYTES, "{}", cache.valid.weight());
    }
}
