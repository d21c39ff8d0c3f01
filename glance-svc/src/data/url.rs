//! The URL of the data store.

use std::{path::PathBuf, str::FromStr};

/// The URL of the data store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DataUrl {
    /// `file:FOLDER`
    Folder(PathBuf),
    /// `s3://BUCKET/PREFIX`
    Bucket {
        /// The bucket.
        bucket: String,
        /// The prefix of the names of its objects.
        prefix: String,
    },
}

/// The text is not a URL of a data store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be file:FOLDER or s3://BUCKET/PREFIX")]
pub struct BadUrl;

impl FromStr for DataUrl {
    type Err = BadUrl;

    fn from_str(text: &str) -> Result<Self, BadUrl> {
        match text.split_once(':') {
            Some(("file", folder)) => {
                let folder = folder.strip_prefix("//").unwrap_or(folder);
                if folder.is_empty() { Err(BadUrl) } else { Ok(Self::Folder(folder.into())) }
            }
            Some(("s3", place)) => {
                let place = place.strip_prefix("//").ok_or(BadUrl)?;
                let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
                let (bucket, prefix) = (bucket.to_owned(), prefix.to_owned());
                if bucket.is_empty() { Err(BadUrl) } else { Ok(Self::Bucket { bucket, prefix }) }
            }
            _ => Err(BadUrl),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_folder_or_a_bucket() {
        let folder = |folder: &str| Ok(DataUrl::Folder(folder.into()));
        assert_eq!("file:images".parse(), folder("images"));
        assert_eq!("file:///var/images".parse(), folder("/var/images"));
        let bucket =
            |bucket: &str, prefix: &str| Ok(DataUrl::Bucket { bucket: bucket.into(), prefix: prefix.into() });
        assert_eq!("s3://images".parse(), bucket("images", ""));
        assert_eq!("s3://images/a/b".parse(), bucket("images", "a/b"));
        for bad in ["", "images", "file:", "file://", "s3:images", "s3://", "http://x"] {
            assert_eq!(bad.parse::<DataUrl>(), Err(BadUrl), "{bad}");
        }
    }
}
