//! Lists of transfers: their order.

use chassis::page::{Direction, Key, SortKey};
use common::id::{Id, NIL};

use crate::volume::Transfer;

/// The order of transfers: oldest first.
pub const TRANSFER_ORDER: (TransferOrder, Direction) = (TransferOrder::CreateTime, Direction::Ascending);

/// What transfers are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransferOrder {
    /// When they were offered.
    CreateTime,
    /// Their id.
    Id,
}

impl SortKey for TransferOrder {
    const ALL: &'static [(&'static str, Self)] = &[("create_time", Self::CreateTime), ("id", Self::Id)];
    const ID: Self = Self::Id;

    fn kind(self) -> Key {
        match self {
            Self::CreateTime => Key::Micros(chrono::DateTime::UNIX_EPOCH),
            Self::Id => Key::Id(Id::from(NIL)),
        }
    }
}

impl TransferOrder {
    /// The transfer's value of this sort key.
    #[must_use]
    pub fn key(self, transfer: &Transfer) -> Key {
        match self {
            Self::CreateTime => Key::Micros(transfer.create_time),
            Self::Id => Key::Id(transfer.id),
        }
    }
}
