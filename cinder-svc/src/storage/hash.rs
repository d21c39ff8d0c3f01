//! The hash by which the data of an image is recognized.

use md5::Md5;
use sha2::{Sha256, Sha384, Sha512, digest::DynDigest};

use super::Unusable;

/// The hash that the data of an image must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageHash {
    /// Its algorithm, as in `os_hash_algo` of the image: sha256, sha384, sha512, or md5 for `checksum`.
    pub algorithm: String,
    /// The hash in hexadecimal.
    pub value: String,
}

impl ImageHash {
    /// The hash to check: `os_hash_value` if its algorithm is known here, otherwise the checksum, if there is one.
    #[must_use]
    pub fn of(algorithm: &str, value: &str, checksum: &str) -> Option<Self> {
        let hash = |algorithm: &str, value: &str| {
            let is_known = !value.is_empty() && hasher(algorithm).is_some();
            is_known.then(|| Self { algorithm: algorithm.to_owned(), value: value.to_owned() })
        };
        hash(algorithm, value).or_else(|| hash("md5", checksum))
    }
}

/// A hash that is computed from data as it passes.
pub(super) struct Hasher {
    algorithm: String,
    digest: Box<dyn DynDigest + Send>,
    expected: String,
}

impl Hasher {
    /// Computes a hash; `None` if its algorithm is not known here.
    pub(super) fn new(hash: &ImageHash) -> Option<Self> {
        let ImageHash { algorithm, value } = hash;
        let (algorithm, digest) = (algorithm.clone(), hasher(algorithm)?);
        Some(Self { algorithm, digest, expected: value.to_ascii_lowercase() })
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.digest.update(bytes);
    }

    /// Refuses data that does not have the hash.
    pub(super) fn check(self) -> Result<(), Unusable> {
        let is_right = hexadecimal(&self.digest.finalize()) == self.expected;
        is_right.then_some(()).ok_or(Unusable::Hash(self.algorithm))
    }
}

fn hasher(algorithm: &str) -> Option<Box<dyn DynDigest + Send>> {
    Some(match algorithm {
        "sha512" => Box::new(Sha512::default()),
        "sha384" => Box::new(Sha384::default()),
        "sha256" => Box::new(Sha256::default()),
        "md5" => Box::new(Md5::default()),
        _ => return None,
    })
}

pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strongest_known_hash_is_checked() {
        let of =
            |algorithm, value, checksum| ImageHash::of(algorithm, value, checksum).map(|hash| hash.algorithm);
        assert_eq!(of("sha512", "ab", "cd").as_deref(), Some("sha512"));
        assert_eq!(of("blake3", "ab", "cd").as_deref(), Some("md5"));
        assert_eq!(of("", "", "cd").as_deref(), Some("md5"));
        assert_eq!(of("blake3", "ab", ""), None);
    }

    #[test]
    fn other_data_has_another_hash() {
        let value = "900150983CD24FB0D6963F7D28E17F72".to_owned();
        let check = |data: &[u8]| {
            let mut hasher =
                Hasher::new(&ImageHash { algorithm: "md5".to_owned(), value: value.clone() }).unwrap();
            hasher.update(data);
            hasher.check()
        };
        assert_eq!(check(b"abc"), Ok(()));
        assert_eq!(check(b"abd"), Err(Unusable::Hash("md5".to_owned())));
    }
}
