//! A job as plain data, and as a row.

use std::time::Duration;

use chassis::{
    caller::Caller,
    db,
    outbox::{self, DueJob},
};
use chrono::{DateTime, Utc};
use common::{id::Id, image::NewImage};

pub(super) const CREATE: &str = "create";
const DELETE: &str = "delete";
const DELETE_UNFINISHED: &str = "delete_unfinished";

/// Something that glance-svc has to do.
#[derive(Debug, Clone)]
pub struct Job {
    /// The image that it is about.
    pub image_id: Id,
    /// The instance or the volume that the image is, or was, made from.
    pub resource_id: Id,
    /// The revision of that resource whose change requires it, once that is written.
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

impl Job {
    /// A job for an image that is, or was, made from a resource. Whoever writes it does it within `lease`, if there is one.
    #[must_use]
    pub fn new(
        image_id: Id,
        resource_id: Id,
        action: ImageAction,
        caller: &Caller,
        create_time: DateTime<Utc>,
        lease: Duration,
    ) -> Self {
        let (caller, attempts) = (caller.clone(), i64::from(!lease.is_zero()));
        Self { image_id, resource_id, revision: 0, action, caller, create_time, attempts, lease }
    }

    /// As a [`DueJob`] names it.
    #[must_use]
    pub const fn due(&self) -> DueJob {
        DueJob { id: self.image_id, attempts: self.attempts }
    }
}

impl outbox::Job for Job {
    type Row = (Id, Id, String, String, String, String, String, DateTime<Utc>, i64, i64);

    fn read(row: Self::Row) -> Result<Self, db::Error> {
        let (
            image_id,
            resource_id,
            action,
            image,
            user_id,
            project_id,
            roles,
            create_time,
            revision,
            attempts,
        ) = row;
        let action = ImageAction::read(&action, &image)
            .ok_or_else(|| db::Error::decode(format!("the job for image {image_id} makes no sense")))?;
        let (caller, lease) = (Caller::stored(user_id, project_id, &roles), Duration::ZERO);
        Ok(Self { image_id, resource_id, revision, action, caller, create_time, attempts, lease })
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
