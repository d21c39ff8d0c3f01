//! A job as plain data, and as a row.

use std::time::Duration;

use chassis::caller::{Actor, Caller};
use chrono::{DateTime, TimeDelta, Utc};
use common::{id::Id, image::NewImage};

use crate::{error::Error, instance::images::Orphan};

pub(super) const CREATE: &str = "create";
const DELETE: &str = "delete";
const DELETE_UNFINISHED: &str = "delete_unfinished";

/// Something that glance-svc has to do.
#[derive(Debug, Clone)]
pub struct Job {
    /// The image that it is about.
    pub image_id: Id,
    /// The instance that the image is, or was, made from.
    pub instance_id: Id,
    /// The revision of the instance whose change requires it, once that is written.
    pub revision: i64,
    /// What is to be done with it.
    pub action: ImageAction,
    /// On whose behalf.
    pub caller: Caller,
    /// When it became necessary.
    pub create_time: DateTime<Utc>,
    /// How often it was begun, including by whoever writes it.
    pub attempts: i64,
    /// How long others leave it alone after it was written.
    pub lease: Duration,
}

/// A job that nobody is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow)]
pub struct DueJob {
    /// The image that it is about.
    pub image_id: Id,
    /// How often it was begun.
    pub attempts: i64,
}

/// The jobs that are still to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backlog {
    /// Number of jobs, including those in progress.
    pub jobs: i64,
    /// How long the oldest one has been necessary.
    pub oldest: TimeDelta,
}

/// What is to be done with an image.
#[derive(Debug, Clone)]
pub enum ImageAction {
    /// Register it.
    Create(Box<NewImage>),
    /// Delete it.
    Delete {
        /// Only as long as it has no data.
        if_unfinished: bool,
        /// The image, if it is uncertain whether it was registered.
        unregistered: Option<Box<NewImage>>,
    },
}

/// The outcome of registering an image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Registration {
    /// Why glance-svc refused, if it did.
    pub problem: Option<String>,
    /// Properties that have only the beginning of their values, since the whole values no longer exist.
    pub truncated: Vec<String>,
}

impl Job {
    /// Deletes an image that a change made by `caller` at that time left orphaned. Whoever writes the job does it
    /// within `lease`.
    #[must_use]
    pub fn deletion(
        instance_id: Id,
        orphan: Orphan,
        caller: &Caller,
        time: DateTime<Utc>,
        lease: Duration,
    ) -> Self {
        Self {
            image_id: orphan.image_id,
            instance_id,
            revision: 0,
            action: ImageAction::Delete { if_unfinished: orphan.may_be_finished, unregistered: None },
            caller: caller.clone(),
            create_time: time,
            attempts: i64::from(!lease.is_zero()),
            lease,
        }
    }
}

impl Registration {
    pub(super) fn column(&self) -> Option<String> {
        let names = serde_json::to_string(&self.truncated).expect("names are plain data");
        (!self.truncated.is_empty()).then_some(names)
    }

    pub(super) fn read(problem: Option<&String>, truncated: Option<&String>) -> Option<Self> {
        let truncated = truncated.map_or(Some(Vec::new()), |names| serde_json::from_str(names).ok())?;
        Some(Self { problem: problem.cloned(), truncated })
    }
}

impl ImageAction {
    pub(super) fn columns(&self) -> (&'static str, String) {
        let image = |image: &NewImage| serde_json::to_string(image).expect("an image is plain data");
        match self {
            Self::Create(new) => (CREATE, image(new)),
            Self::Delete { if_unfinished: true, .. } => (DELETE_UNFINISHED, String::new()),
            Self::Delete { .. } => (DELETE, String::new()),
        }
    }

    fn read(action: &str, image: &str) -> Option<Self> {
        let image = || serde_json::from_str(image).ok();
        match action {
            CREATE => Some(Self::Create(image()?)),
            DELETE => Some(Self::Delete { if_unfinished: false, unregistered: image() }),
            DELETE_UNFINISHED => Some(Self::Delete { if_unfinished: true, unregistered: image() }),
            _ => None,
        }
    }
}

/// On whose behalf glance-svc is called. Earlier releases stored no role for a member whose proxy named none.
pub(super) fn caller(user_id: String, project_id: String, roles: &str) -> Caller {
    let roles = if roles.is_empty() && !project_id.is_empty() { "member" } else { roles };
    let roles = roles.split(',').filter(|role| !role.is_empty()).map(str::to_owned).collect();
    Caller { actor: Actor { user_id, project_id }, roles, is_admin: false, token: None }
}

pub(super) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[derive(sqlx::FromRow)]
pub(super) struct JobRow {
    image_id: Id,
    instance_id: Id,
    action: String,
    image: String,
    user_id: String,
    project_id: String,
    roles: String,
    create_time: DateTime<Utc>,
    revision: i64,
    attempts: i64,
}

impl JobRow {
    pub(super) fn job(self) -> Result<Job, Error> {
        let action = ImageAction::read(&self.action, &self.image).ok_or(Error::Corrupt(self.instance_id))?;
        Ok(Job {
            image_id: self.image_id,
            instance_id: self.instance_id,
            revision: self.revision,
            action,
            caller: caller(self.user_id, self.project_id, &self.roles),
            create_time: self.create_time,
            attempts: self.attempts,
            lease: Duration::ZERO,
        })
    }
}
