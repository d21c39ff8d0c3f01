//! Members: projects that an image is shared with.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use common::{id::Id, named, text};

/// Maximum number of members of an image (Glance, `image_member_quota`).
pub const MEMBER_LIMIT: usize = 128;

named! {
    /// A project's response to an image that is shared with it.
    MemberStatus {
        /// No response yet.
        Pending = "pending",
        /// Accepted: the project's lists show the image.
        Accepted = "accepted",
        /// Rejected: the project's lists do not show the image.
        Rejected = "rejected",
    }
}

/// The project id of a member: 1 to 255 characters, none of them a control character.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberId(String);

impl MemberId {
    /// The id as text.
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
    /// The project's response.
    pub status: MemberStatus,
    /// When it was shared.
    pub create_time: DateTime<Utc>,
    /// When the status last changed.
    pub update_time: DateTime<Utc>,
}
