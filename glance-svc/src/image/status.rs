//! Where an image stands and who may see it.

use common::named;

named! {
    /// Where an image stands.
    Status {
        /// Registered, no data yet.
        Queued = "queued",
        /// Data is being uploaded.
        Saving = "saving",
        /// Data is being staged for an import.
        Uploading = "uploading",
        /// An import is running.
        Importing = "importing",
        /// Data is there.
        Active = "active",
        /// Data is there and must not be used.
        Deactivated = "deactivated",
        /// An upload failed.
        Killed = "killed",
        /// Waits for its deletion.
        PendingDelete = "pending_delete",
        /// Deleted: seen in history only.
        Deleted = "deleted",
    }
}

named! {
    /// Who may see an image.
    Visibility {
        /// Everybody.
        Public = "public",
        /// The owner.
        Private = "private",
        /// The owner and the members.
        Shared = "shared",
        /// Everybody who knows its id.
        Community = "community",
    }
}

impl Status {
    /// The legal moves of Glance's current release. Deletion is missing on purpose: it is no update.
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

    /// Where the data is not there yet, so that what describes it can still be set.
    pub const AWAITING_DATA: &'static [Self] =
        &[Self::Queued, Self::Saving, Self::Uploading, Self::Importing];

    /// Where there is data.
    #[must_use]
    pub const fn has_data(self) -> bool {
        matches!(self, Self::Active | Self::Deactivated | Self::PendingDelete)
    }

    /// Where the formats can still be set (Glance: queued or importing).
    pub const ALLOWING_FORMATS: &'static [Self] = &[Self::Queued, Self::Importing];
}
