//! The hash by which the data of an image is recognized.

use common::image::Image;
use md5::Md5;
use sha2::{Sha256, Sha384, Sha512, digest::DynDigest};

use super::Unusable;

/// A hash that is computed from data as it passes.
pub(super) struct Hasher {
    algorithm: String,
    digest: Box<dyn DynDigest + Send>,
    expected: String,
}

impl Hasher {
    /// The hash to check of an image: `os_hash_value` if its algorithm is known here, otherwise the checksum, if there
    /// is one.
    pub(super) fn of(image: &Image) -> Option<Self> {
        let hash = image.hash.iter().map(|hash| (hash.algorithm.as_str(), &hash.value));
        hash.chain(image.checksum.iter().map(|checksum| ("md5", checksum))).find_map(
            |(algorithm, expected)| {
                let digest = digest(algorithm)?;
                Some(Self {
                    algorithm: algorithm.to_owned(),
                    digest,
                    expected: expected.to_ascii_lowercase(),
                })
            },
        )
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

fn digest(algorithm: &str) -> Option<Box<dyn DynDigest + Send>> {
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
    use crate::storage::image::tests::image;

    #[test]
    fn the_strongest_known_hash_is_checked() {
        let of =
            |hash, checksum| Hasher::of(&image("raw", b"abc", hash, checksum)).map(|hasher| hasher.algorithm);
        assert_eq!(of(Some(("sha512", "ab")), Some("cd")).as_deref(), Some("sha512"));
        assert_eq!(of(Some(("blake3", "ab")), Some("cd")).as_deref(), Some("md5"));
        assert_eq!(of(None, Some("cd")).as_deref(), Some("md5"));
        assert_eq!(of(Some(("blake3", "ab")), None).as_deref(), None);
    }

    #[test]
    fn other_data_has_another_hash() {
        let image = image("raw", b"abc", None, Some("900150983CD24FB0D6963F7D28E17F72"));
        let check = |data: &[u8]| {
            let mut hasher = Hasher::of(&image).unwrap();
            hasher.update(data);
            hasher.check()
        };
        assert_eq!(check(b"abc"), Ok(()));
        assert_eq!(check(b"abd"), Err(Unusable::Hash("md5".to_owned())));
    }
}
