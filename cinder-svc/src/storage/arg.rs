//! Who keeps the data of volumes, on the command line.

use std::{path::PathBuf, str::FromStr};

use crate::volume::Storage;

/// Who keeps the data of volumes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StorageArg {
    /// `dir:PATH`: cinder-svc, in a folder.
    Directory(PathBuf),
    /// `agent`: whatever runs the backend.
    Agent,
    /// `none`: nobody.
    None,
}

/// The text does not say who keeps the data of volumes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be dir:PATH, agent or none")]
pub struct BadStorage;

impl FromStr for StorageArg {
    type Err = BadStorage;

    fn from_str(text: &str) -> Result<Self, BadStorage> {
        match (text, text.strip_prefix("dir:")) {
            ("agent", _) => Ok(Self::Agent),
            ("none", _) => Ok(Self::None),
            (_, Some(path)) if !path.is_empty() => Ok(Self::Directory(path.into())),
            _ => Err(BadStorage),
        }
    }
}

impl From<&StorageArg> for Storage {
    fn from(arg: &StorageArg) -> Self {
        match arg {
            StorageArg::Directory(_) => Self::Directory,
            StorageArg::Agent => Self::Agent,
            StorageArg::None => Self::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_is_kept_in_a_folder_by_an_agent_or_nowhere() {
        assert_eq!("dir:volumes".parse(), Ok(StorageArg::Directory("volumes".into())));
        assert_eq!("dir:/var/lib/volumes".parse(), Ok(StorageArg::Directory("/var/lib/volumes".into())));
        assert_eq!("agent".parse(), Ok(StorageArg::Agent));
        assert_eq!("none".parse(), Ok(StorageArg::None));
        for bad in ["", "dir", "dir:", "volumes", "s3://volumes"] {
            assert_eq!(bad.parse::<StorageArg>(), Err(BadStorage), "{bad}");
        }
    }
}
