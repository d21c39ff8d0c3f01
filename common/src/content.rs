//! Ids and fingerprints of content: equal content has equal ones, in every process and release.

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::id::Id;

/// The id of content (a UUID of version 8, from SHA-256 of its JSON).
#[must_use]
pub fn id_of(content: &impl Serialize) -> Id {
    let hash = Sha256::digest(json(content));
    Id::from_hash(hash.first_chunk().expect("SHA-256 has 32 bytes"))
}

/// Tells a request from a different one with the same id: SHA-256 of its JSON, in hexadecimal.
#[must_use]
pub fn fingerprint(content: &impl Serialize) -> String {
    Sha256::digest(json(content))
        .iter()
        .fold(String::with_capacity(64), |text, byte| format!("{text}{byte:02x}"))
}

fn json(content: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(content).expect("content is plain data")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_fingerprints_never_change() {
        // They are stored: what an earlier release wrote must be found again.
        assert_eq!(id_of(&("a", 1)).to_string(), "135f17a4-75a6-8afd-aeaf-3759ad2e45ad");
        let fingerprint = fingerprint(&("a", 1));
        assert_eq!(fingerprint, "135f17a475a61afdeeaf3759ad2e45ad1c7abb192395abe47e41fc8e395dc1a9");
    }
}
