//! Who may see and change volumes, snapshots and attachments: [`chassis::scope`].

use chassis::scope::Noun;

/// What volumes are called in sentences about who may see and change them.
pub const VOLUMES: Noun = Noun { one: "volume", many: "volumes" };

/// The same for snapshots.
pub const SNAPSHOTS: Noun = Noun { one: "snapshot", many: "snapshots" };

/// The same for attachments.
pub const ATTACHMENTS: Noun = Noun { one: "attachment", many: "attachments" };

/// The same for transfers.
pub const TRANSFERS: Noun = Noun { one: "transfer", many: "transfers" };
