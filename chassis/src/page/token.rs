//! Tokens of pages: the sort keys of the last item, and a fingerprint of the list that they belong to.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{Key, Order, SortKey};

#[derive(Serialize, Deserialize)]
pub(super) struct Token {
    pub(super) list: String,
    pub(super) after: Vec<Key>,
}

impl Token {
    pub(super) fn encode(&self) -> String {
        let json = serde_json::to_vec(self).expect("a token is plain data");
        URL_SAFE_NO_PAD.encode(json)
    }
}

/// Where the page begins, from the token of the previous page; `None` for an empty text.
pub(super) fn parse_token<K: SortKey>(
    text: &str,
    fingerprint: &str,
    order: &Order<K>,
) -> Result<Option<Vec<Key>>, &'static str> {
    if text.is_empty() {
        return Ok(None);
    }
    let token: Option<Token> =
        URL_SAFE_NO_PAD.decode(text).ok().and_then(|json| serde_json::from_slice(&json).ok());
    let Some(token) = token else { return Err(NO_TOKEN) };
    if token.list != fingerprint {
        return Err("belongs to another list; filter and order_by must be those of the first page");
    }
    let kinds = order.keys().iter().map(|(key, _)| std::mem::discriminant(&key.kind()));
    if !kinds.eq(token.after.iter().map(std::mem::discriminant)) || !token.after.iter().all(Key::is_storable)
    {
        return Err(NO_TOKEN);
    }
    Ok(Some(token.after))
}

const NO_TOKEN: &str = "is not a page token; take next_page_token of the previous page, or leave it out";

/// A fingerprint that only tokens of this list have.
pub(super) fn fingerprint(list: &[&str], order_by: &str) -> String {
    let mut hash = Sha256::new();
    for part in list.iter().chain([&order_by]) {
        hash.update(part.len().to_le_bytes());
        hash.update(part);
    }
    URL_SAFE_NO_PAD.encode(&hash.finalize()[..9])
}
