//! Version discovery: which versions of its API a service has. Clients ask for them at `/`, and at the path of each
//! version, before anything else and without a token.
//!
//! | | `/` | the path of a version | a version has |
//! |---|---|---|---|
//! | Glance | 300 `{"versions": […]}` | 200, all of them | an id for each minor version; no microversions |
//! | Nova | 200 `{"versions": […]}` | 200 `{"version": {…}}` | `version` (the newest microversion), `min_version`, `updated` |
//! | Cinder | 300 `{"versions": […]}` | 200, a list of that one; 302 without the slash | as in Nova |

use serde::Serialize;
use utoipa::ToSchema;

use super::microversion::Microversions;

/// A version of an API.
#[derive(Debug, Clone, Copy)]
pub struct Version {
    /// Its id, such as `v2.17`.
    pub id: &'static str,
    /// Whether to use it.
    pub status: Status,
    /// Its path, such as `/v2/`.
    pub path: &'static str,
    /// Its microversions, if it has any.
    pub microversions: Option<&'static Microversions>,
    /// When it last changed, such as `2013-07-23T11:33:21Z`, where a service says so.
    pub updated: Option<&'static str>,
    /// The media type of its JSON, where a service says so.
    pub media_type: Option<&'static str>,
}

/// Whether to use a version of an API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = VersionStatus)]
#[serde(rename_all = "UPPERCASE")]
pub enum Status {
    /// The newest one.
    Current,
    /// An older one, which still works.
    Supported,
    /// One that will be removed.
    Deprecated,
}

/// Versions as clients read them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
// For its description: there are no other members.
#[serde(deny_unknown_fields)]
pub struct Versions {
    versions: Vec<Described>,
}

/// A version as clients read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Version)]
pub struct Described {
    #[schema(examples("v2.17"))]
    id: &'static str,
    links: Vec<Link>,
    #[serde(rename = "media-types", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    media_types: Option<[MediaType; 1]>,
    /// The oldest microversion, if there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    min_version: Option<String>,
    status: Status,
    /// When the version last changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    updated: Option<&'static str>,
    /// The newest microversion, if there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    version: Option<String>,
}

/// A form in which a version answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct MediaType {
    base: &'static str,
    r#type: &'static str,
}

/// A link to a resource, or to another page of a list: `{"rel": "next", "href": "…"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Link {
    /// Its URL.
    pub href: String,
    /// What it leads to, such as `self` or `next`.
    pub rel: &'static str,
}

impl Version {
    /// The version for a client that reaches the service at `endpoint`, which has no slash at its end.
    #[must_use]
    pub fn describe(&self, endpoint: &str) -> Described {
        let version = |pick: fn(&Microversions) -> String| self.microversions.map(pick);
        Described {
            id: self.id,
            links: vec![Link { href: format!("{endpoint}{}", self.path), rel: "self" }],
            media_types: self.media_type.map(|name| [MediaType { base: "application/json", r#type: name }]),
            min_version: version(|microversions| microversions.min.to_string()),
            status: self.status,
            updated: self.updated,
            version: version(|microversions| microversions.max.to_string()),
        }
    }
}

impl Versions {
    /// All of these versions, as [`Version::describe`] has them.
    #[must_use]
    pub fn at(endpoint: &str, versions: &[Version]) -> Self {
        Self { versions: versions.iter().map(|version| version.describe(endpoint)).collect() }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::http::microversion::Microversion;

    #[test]
    fn a_version_without_microversions_is_described_as_in_glance() {
        let version = Version {
            id: "v2.15",
            status: Status::Supported,
            path: "/v2/",
            microversions: None,
            updated: None,
            media_type: None,
        };
        let expected = json!({"versions": [{
            "id": "v2.15", "status": "SUPPORTED", "links": [{"rel": "self", "href": "http://glance:9292/v2/"}],
        }]});
        assert_eq!(json!(Versions::at("http://glance:9292", &[version])), expected);
    }

    #[test]
    fn a_version_with_microversions_is_described_as_in_nova() {
        static COMPUTE: Microversions = Microversions {
            service: "compute",
            legacy_header: None,
            min: Microversion::new(2, 1),
            max: Microversion::new(2, 104),
        };
        let version = Version {
            id: "v2.1",
            status: Status::Current,
            path: "/v2.1/",
            microversions: Some(&COMPUTE),
            updated: Some("2013-07-23T11:33:21Z"),
            media_type: None,
        };
        let expected = json!({
            "id": "v2.1", "status": "CURRENT", "version": "2.104", "min_version": "2.1",
            "updated": "2013-07-23T11:33:21Z",
            "links": [{"rel": "self", "href": "http://127.0.0.1:8774/v2.1/"}],
        });
        assert_eq!(json!(version.describe("http://127.0.0.1:8774")), expected);
    }
}
