//! Microversions, as Nova and Cinder have them: each request chooses the version of the API that it speaks, in
//! `OpenStack-API-Version: compute 2.53` (which may name several services), or for Nova also in
//! `X-OpenStack-Nova-API-Version: 2.53`. Without either it speaks the oldest, with `latest` the newest. Answers repeat
//! the version that was chosen.

use std::{fmt, str::FromStr, sync::Arc};

use axum::{
    extract::{FromRequestParts, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header, request::Parts},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use common::{text::clip, violations::Violations};

use super::Problem;
use crate::status::{Code, Description};

/// The header in which a request names the versions of services that it speaks.
pub const API_VERSION: HeaderName = HeaderName::from_static("openstack-api-version");

/// A version of an API, such as 2.53.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Microversion {
    major: u16,
    minor: u16,
}

/// The versions in which an API has something, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    since: Option<Microversion>,
    until: Option<Microversion>,
}

/// The versions that a service speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Microversions {
    /// Its type in [`API_VERSION`], such as `compute`; Cinder's is `volume`.
    pub service: &'static str,
    /// The header that had a version alone, before [`API_VERSION`]: in Nova, `X-OpenStack-Nova-API-Version`.
    pub legacy_header: Option<HeaderName>,
    /// The oldest, which requests speak that name none.
    pub min: Microversion,
    /// The newest.
    pub max: Microversion,
}

impl Microversion {
    /// The version `major.minor`.
    #[must_use]
    pub const fn new(major: u16, minor: u16) -> Self {
        Self { major, minor }
    }

    /// Whether this version has what exists in `range`.
    #[must_use]
    pub fn is_in(self, range: Range) -> bool {
        range.since.is_none_or(|since| since <= self) && range.until.is_none_or(|until| self <= until)
    }

    /// Answers 404 if this version does not have a call that exists in `range`.
    pub fn require(self, range: Range) -> Result<(), Problem> {
        if self.is_in(range) { Ok(()) } else { Err(Problem::no_such_resource()) }
    }
}

impl Range {
    /// From `version` on.
    #[must_use]
    pub const fn since(version: Microversion) -> Self {
        Self { since: Some(version), until: None }
    }

    /// Up to `version`.
    #[must_use]
    pub const fn until(version: Microversion) -> Self {
        Self { since: None, until: Some(version) }
    }

    /// The same range, up to `version`.
    #[must_use]
    pub const fn and_until(self, version: Microversion) -> Self {
        Self { since: self.since, until: Some(version) }
    }
}

impl fmt::Display for Microversion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.major, self.minor)
    }
}

impl FromStr for Microversion {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |digits: &str| {
            let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit());
            let is_shortest = digits == "0" || !digits.starts_with('0');
            // What is too large for us is too new for every API.
            (is_plain && is_shortest && !digits.is_empty()).then(|| digits.parse().unwrap_or(u16::MAX))
        };
        let version = text.split_once('.').and_then(|(major, minor)| {
            Some(Self { major: number(major).filter(|major| *major > 0)?, minor: number(minor)? })
        });
        version.ok_or_else(|| {
            format!(
                "API version {:?} is of invalid format: it must be MAJOR.MINOR, or latest",
                clip(text, 60)
            )
        })
    }
}

impl Microversions {
    /// The version that a request asks for.
    pub fn requested(&self, headers: &HeaderMap) -> Result<Microversion, Problem> {
        let Some(text) = self.named(headers) else { return Ok(self.min) };
        if text == "latest" {
            return Ok(self.max);
        }
        let version =
            text.parse().map_err(|problem: String| Violations::one(API_VERSION.as_str(), problem))?;
        if (self.min..=self.max).contains(&version) { Ok(version) } else { Err(self.unsupported(text)) }
    }

    /// The version as a request names it; of several, the last (as in microversion-parse).
    fn named<'headers>(&self, headers: &'headers HeaderMap) -> Option<&'headers str> {
        let of_service = |entry: &'headers str| {
            let (service, version) = entry.trim().split_once(char::is_whitespace)?;
            service.eq_ignore_ascii_case(self.service).then(|| version.trim())
        };
        let named = entries(headers, &API_VERSION).filter_map(of_service).last();
        named.or_else(|| entries(headers, self.legacy_header.as_ref()?).last().map(str::trim))
    }

    fn unsupported(&self, given: &str) -> Problem {
        let given = clip(given, 60);
        let Self { min, max, .. } = self;
        let description = Description::new(Code::InvalidArgument, "MICROVERSION_NOT_SUPPORTED")
            .with("given", &given)
            .with("min_version", min)
            .with("max_version", max)
            .http(StatusCode::NOT_ACCEPTABLE);
        let sentence =
            format!("Version {given} is not supported by the API. Minimum is {min} and maximum is {max}.");
        Problem::new(sentence, description)
    }

    /// Says in an answer which version it speaks, and on which headers that depends.
    fn label(&self, headers: &mut HeaderMap, version: Option<Microversion>) {
        let value = |text: String| HeaderValue::try_from(text).expect("versions are visible ASCII");
        if let Some(version) = version {
            headers.insert(API_VERSION, value(format!("{} {version}", self.service)));
        }
        headers.append(header::VARY, HeaderValue::from_name(API_VERSION));
        if let Some(legacy) = &self.legacy_header {
            headers.extend(version.map(|version| (legacy.clone(), value(version.to_string()))));
            headers.append(header::VARY, HeaderValue::from_name(legacy.clone()));
        }
    }
}

/// What stands between the commas of all lines of a header.
fn entries<'headers>(headers: &'headers HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'headers str> {
    let lines = headers.get_all(name).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(','))
}

/// Determines the version of each request, which handlers take as [`Microversion`], and labels its answer with it. For a
/// router, inside of its [`super::Conventions`]:
/// `router.layer(middleware::from_fn_with_state(Arc::new(microversions), negotiate)).layer(edge)`.
pub async fn negotiate(
    State(microversions): State<Arc<Microversions>>,
    mut request: Request,
    next: Next,
) -> Response {
    let requested = microversions.requested(request.headers());
    let version = requested.as_ref().ok().copied();
    let mut response = match requested {
        Ok(version) => {
            request.extensions_mut().insert(version);
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    };
    microversions.label(response.headers_mut(), version);
    response
}

impl<S: Sync> FromRequestParts<S> for Microversion {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let version = parts.extensions.get().copied();
        version.ok_or_else(|| Problem::new("no version", Description::new(Code::Internal, "INTERNAL")))
    }
}

#[cfg(test)]
mod tests;
