//! Projects that an image is shared with.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use common::{id::Id, named, text};

/// Most members of an image (Glance, `image_member_quota`).
pub const MEMBER_LIMIT: usize = 128;

named! {
    /// What a project says to an image that is shared with it.
    MemberStatus {
        /// Nothing yet.
        Pending = "pending",
        /// Its lists show the image.
        Accepted = "accepted",
        /// Its lists do not show the image.
        Rejected = "rejected",
    }
}

/// The id of a project that an image may be shared with: 1 to 255 characters, none of them a control character.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberId(String);

impl MemberId {
    /// The id itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for MemberId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text::name(text)?;
        Ok(Self(text.to_owned()))
    }
}

/// A project that an image is shared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The image.
    pub image_id: Id,
    /// The project, 1 to 255 characters.
    pub member_id: String,
    /// What the project says to it.
    pub status: MemberStatus,
    /// When it was shared.
    pub create_time: DateTime<Utc>,
    /// When the status last changed.
    pub update_time: DateTime<Utc>,
}
