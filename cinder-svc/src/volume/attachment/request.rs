//! Requests about attachments, before and after they were checked.

use std::ops::RangeInclusive;

use chrono::TimeDelta;
use common::{id::Id, text, violations::Violations};
use serde::Serialize;
use serde_json::{Map, Value};

use super::{AttachmentStatus, DEFAULT_LEASE, Mode, Move};

/// Maximum size of a connector, and of connection info, in bytes.
const JSON_LIMIT: usize = 64 * 1024;

/// How long a reservation may last.
const LEASES: RangeInclusive<TimeDelta> = TimeDelta::seconds(1)..=TimeDelta::hours(1);

/// An attachment to be created, as it was requested.
#[derive(Debug, Clone, Default)]
pub struct NewAttachment {
    /// The id of the volume.
    pub volume_id: String,
    /// The id of the instance, or empty.
    pub instance_id: String,
    /// What is to be done with the volume.
    pub mode: Option<Mode>,
    /// How long the reservation lasts; 10 min if `None`.
    pub lease: Option<TimeDelta>,
    /// The host that is to use it, or empty.
    pub connector: String,
    /// Makes a retry safe; empty for a request that is not repeated.
    pub request_id: String,
    /// The etag that the volume must have; empty for any.
    pub volume_etag: String,
}

/// A request to create an attachment that has been checked. Its serialized form identifies a retry and is stored: it
/// must not change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CreateAttachment {
    /// The volume.
    pub volume_id: Id,
    /// The instance, if it is one that is to use the volume.
    pub instance_id: Option<Id>,
    /// What is to be done with the volume.
    pub mode: Option<Mode>,
    /// How long a reservation lasts, in microseconds.
    pub lease_micros: i64,
    /// The host that is to use it at once.
    pub connector: Option<Connector>,
    /// Makes a retry safe.
    #[serde(skip)]
    pub request_id: Option<String>,
    /// The etag that the volume must have; empty for any.
    #[serde(skip)]
    pub volume_etag: String,
}

/// A host that is to use a volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Connector {
    /// Its name.
    pub host: String,
    /// All that it says of itself: a JSON object.
    pub json: String,
}

/// What `UpdateAttachment` is to change, as it was requested.
#[derive(Debug, Clone, Default)]
pub struct AttachmentUpdate {
    /// The host that uses the volume, or empty.
    pub connector: String,
    /// The device of the instance, or empty.
    pub mountpoint: String,
    /// How long the reservation lasts from now on.
    pub lease: Option<TimeDelta>,
    /// Whether the instance exists.
    pub confirm: bool,
}

/// What is reported of an attachment by whatever runs the backend, as it was requested.
#[derive(Debug, Clone, Default)]
pub struct AttachmentReport {
    /// The status that the report is about.
    pub seen_status: Option<AttachmentStatus>,
    /// How the host reaches the data: a JSON object, or empty.
    pub connection_info: String,
    /// Why it cannot, or empty.
    pub failure: String,
}

impl NewAttachment {
    /// The request, or everything that is wrong with it, in addition to `problems` that were found before.
    pub fn check(self, problems: Violations) -> Result<CreateAttachment, Violations> {
        let mut violations = problems;
        let volume_id = violations.take("volume_id", self.volume_id.parse::<Id>());
        let instance_id =
            optional(&self.instance_id, || violations.take("instance_id", self.instance_id.parse::<Id>()));
        let lease = self.lease.unwrap_or(DEFAULT_LEASE);
        violations.take("lease", check_lease(lease));
        let connector =
            optional(&self.connector, || violations.take("connector", read_connector(&self.connector)));
        violations.take("request_id", text::optional_name(&self.request_id));
        violations.check()?;
        Ok(CreateAttachment {
            volume_id: volume_id.expect("a malformed id is a violation"),
            instance_id,
            mode: self.mode,
            lease_micros: lease.num_microseconds().expect("a lease is an hour at most"),
            connector,
            request_id: Some(self.request_id).filter(|id| !id.is_empty()),
            volume_etag: self.volume_etag,
        })
    }
}

impl AttachmentUpdate {
    /// The move that is requested, or everything that is wrong with it, in addition to `problems` that were found before.
    pub fn check(self, problems: Violations) -> Result<Move, Violations> {
        let mut violations = problems;
        let given = [!self.connector.is_empty(), self.lease.is_some(), self.confirm];
        if given.into_iter().filter(|is_given| *is_given).count() != 1 {
            violations.add("connector", "exactly one of connector, lease and confirm must be given");
        }
        if !self.mountpoint.is_empty() && self.connector.is_empty() {
            violations.add("mountpoint", "needs a connector; CompleteAttachment takes it, too");
        }
        violations.take("mountpoint", text::optional_name(&self.mountpoint));
        let connector =
            optional(&self.connector, || violations.take("connector", read_connector(&self.connector)));
        if let Some(lease) = self.lease {
            violations.take("lease", check_lease(lease));
        }
        violations.check()?;
        Ok(match (connector, self.lease) {
            (Some(connector), _) => Move::Connect { connector, mountpoint: self.mountpoint },
            (None, Some(lease)) => Move::Renew(lease),
            (None, None) => Move::Confirm,
        })
    }
}

impl Move {
    /// The completion of an attachment, or everything that is wrong with its request, in addition to `problems` that were
    /// found before.
    pub fn complete(mountpoint: String, problems: Violations) -> Result<Self, Violations> {
        let mut violations = problems;
        violations.take("mountpoint", text::optional_name(&mountpoint));
        violations.check()?;
        Ok(Self::Complete { mountpoint, instance_id: None })
    }
}

impl AttachmentReport {
    /// The move that is reported, or everything that is wrong with the report, in addition to `problems` that were found
    /// before.
    pub fn check(self, problems: Violations) -> Result<Move, Violations> {
        let mut violations = problems;
        if violations.is_empty() && self.seen_status != Some(AttachmentStatus::Attaching) {
            violations.add("seen_status", "must be ATTACHING: the status that the report is about");
        }
        if self.connection_info.is_empty() == self.failure.is_empty() {
            violations.add("connection_info", "must be given, or failure must, and not both");
        }
        if !self.connection_info.is_empty() {
            violations.take("connection_info", read_object(&self.connection_info));
        }
        violations.take("failure", text::optional_name(&self.failure));
        violations.check()?;
        let Self { connection_info, failure: message, .. } = self;
        Ok(if message.is_empty() { Move::Export { connection_info } } else { Move::Fail { message } })
    }
}

/// What `read` gives, unless the text is empty.
fn optional<T>(text: &str, read: impl FnOnce() -> Option<T>) -> Option<T> {
    if text.is_empty() { None } else { read() }
}

fn check_lease(lease: TimeDelta) -> Result<(), String> {
    if LEASES.contains(&lease) { Ok(()) } else { Err("must be 1 s to 1 h".to_owned()) }
}

/// A JSON object of at most [`JSON_LIMIT`] bytes.
fn read_object(json: &str) -> Result<Map<String, Value>, String> {
    if json.len() > JSON_LIMIT {
        return Err(format!("has {} bytes, at most {JSON_LIMIT} are allowed", json.len()));
    }
    serde_json::from_str(json).map_err(|problem| format!("must be a JSON object: {problem}"))
}

fn read_connector(json: &str) -> Result<Connector, String> {
    let host = read_object(json)?.remove("host");
    let Some(Value::String(host)) = host else {
        return Err("must name the host, as in {\"host\": \"c1\"}".to_owned());
    };
    text::name(&host).map_err(|problem| format!("host {problem}"))?;
    Ok(Connector { host, json: json.to_owned() })
}
