//! The status of an image.

use common::named;

named! {
    /// The status of an image.
    Status {
        /// Registered, no data yet.
        Queued = "queued",
        /// Data is being uploaded.
        Saving = "saving",
        /// Data is being staged for an import.
        Uploading = "uploading",
        /// An import is running.
        Importing = "importing",
        /// There is data.
        Active = "active",
        /// There is data, but it must not be used.
        Deactivated = "deactivated",
        /// An upload failed.
        Killed = "killed",
        /// Waiting to be deleted.
        PendingDelete = "pending_delete",
        /// Deleted; appears only in history.
        Deleted = "deleted",
    }
}

impl Status {
    /// The allowed transitions (Glance, current release). Deletion is missing on purpose: it is not an update.
    #[must_use]
    pub const fn next(self) -> &'static [Self] {
        use Status::{
            Active, Deactivated, Deleted, Importing, Killed, PendingDelete, Queued, Saving, Uploading,
        };
        match self {
            Queued => &[Saving, Uploading, Importing, Active],
            Saving => &[Active, Killed, Queued],
            Uploading => &[Importing, Queued],
            Importing => &[Active, Queued],
            Active => &[PendingDelete, Deactivated],
            Deactivated | PendingDelete => &[Active],
            Killed | Deleted => &[],
        }
    }

    /// Statuses before there is data, in which the attributes that describe it can still be set.
    pub const AWAITING_DATA: &'static [Self] =
        &[Self::Queued, Self::Saving, Self::Uploading, Self::Importing];

    /// Whether an image in this status has data.
    #[must_use]
    pub const fn has_data(self) -> bool {
        matches!(self, Self::Active | Self::Deactivated | Self::PendingDelete)
    }

    /// Statuses in which the formats can still be set (Glance: queued or importing).
    pub const ALLOWING_FORMATS: &'static [Self] = &[Self::Queued, Self::Importing];
}
