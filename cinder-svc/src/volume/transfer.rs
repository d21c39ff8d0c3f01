//! Transfers: volumes that are offered to other projects.

use chrono::{DateTime, Utc};
use common::{content, id::Id};

use super::{Operation, Status, Volume};
use crate::error::Error;

/// An offer of a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    /// Its id.
    pub id: Id,
    /// The volume.
    pub volume_id: Id,
    /// Its name; may be empty.
    pub name: String,
    /// The project that offers it.
    pub project_id: String,
    /// Whether the volume has no snapshots.
    pub without_snapshots: bool,
    /// What is hashed together with the key, so that equal keys have different hashes.
    pub salt: String,
    /// The hash of the key that whoever takes the volume must show. The key itself is not kept.
    pub key_hash: String,
    /// When it was offered.
    pub create_time: DateTime<Utc>,
}

impl Transfer {
    /// The hash of a key.
    #[must_use]
    pub fn hash(salt: &str, auth_key: &str) -> String {
        content::fingerprint(&(salt, auth_key))
    }

    /// Refuses any other key, in a time that does not tell how much of it is right.
    pub fn check_key(&self, auth_key: &str) -> Result<(), Error> {
        let given = Self::hash(&self.salt, auth_key);
        let pairs = given.bytes().zip(self.key_hash.bytes());
        let difference = pairs.fold(0, |difference, (one, other)| difference | (one ^ other));
        if difference == 0 && given.len() == self.key_hash.len() {
            return Ok(());
        }
        Err(Error::WrongAuthKey(self.id))
    }
}

impl Volume {
    /// Refuses to take a volume that is not offered any more.
    pub fn check_offered(&self) -> Result<(), Error> {
        if self.status == Status::AwaitingTransfer {
            return Ok(());
        }
        Err(Operation::Transfer.refusal(self, &[Status::AwaitingTransfer]))
    }

    /// The volume once its offer is withdrawn.
    #[must_use]
    pub fn withdrawn(&self) -> Self {
        let status = match self.status {
            Status::AwaitingTransfer => self.status_by_attachments(),
            other => other,
        };
        Self { status, ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_key_opens_it() {
        let (salt, auth_key) = ("salt".to_owned(), "key");
        let transfer = Transfer {
            id: Id::random(),
            volume_id: Id::random(),
            name: String::new(),
            project_id: "demo".to_owned(),
            without_snapshots: false,
            key_hash: Transfer::hash(&salt, auth_key),
            salt,
            create_time: DateTime::UNIX_EPOCH,
        };
        assert!(!transfer.key_hash.contains(auth_key));
        transfer.check_key(auth_key).unwrap();
        for wrong in ["", "ke", "kez", "keyy", "KEY"] {
            assert!(matches!(transfer.check_key(wrong), Err(Error::WrongAuthKey(_))), "{wrong}");
        }
        assert_ne!(Transfer::hash("a", "key"), Transfer::hash("b", "key"));
    }
}
