//! Who is calling, as the trusted proxy in front of the services says.

use tonic::metadata::MetadataMap;

use crate::{text, violations::Violations};

/// The user and the project a request is made for; empty where the request names none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Actor {
    /// `x-user-id`, at most 255 characters.
    pub user_id: String,
    /// `x-project-id`, at most 255 characters.
    pub project_id: String,
}

impl Actor {
    /// Reads the actor from request metadata.
    pub fn from_metadata(metadata: &MetadataMap) -> Result<Self, Violations> {
        let mut violations = Violations::default();
        let mut read = |name: &str| {
            let value = metadata.get(name).map_or(Ok(""), |value| value.to_str());
            let checked = value.map_err(|_| "must be visible ASCII".to_owned()).and_then(|value| {
                text::optional_name(value)?;
                Ok(value.to_owned())
            });
            violations.take(name, checked).unwrap_or_default()
        };
        let actor = Self { user_id: read("x-user-id"), project_id: read("x-project-id") };
        violations.check()?;
        Ok(actor)
    }
}
