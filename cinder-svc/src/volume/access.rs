//! Who may see and change volumes, snapshots, attachments and quotas: [`chassis::scope`].

use chassis::{
    caller::Caller,
    scope::{NotPermitted, Noun, Scope, check_admin},
};

/// What volumes are called in sentences about who may see and change them.
pub const VOLUMES: Noun = Noun { one: "volume", many: "volumes" };

/// The same for snapshots.
pub const SNAPSHOTS: Noun = Noun { one: "snapshot", many: "snapshots" };

/// The same for attachments.
pub const ATTACHMENTS: Noun = Noun { one: "attachment", many: "attachments" };

/// The same for transfers.
pub const TRANSFERS: Noun = Noun { one: "transfer", many: "transfers" };

/// What quotas are called in sentences about who may see them.
const QUOTAS: Noun = Noun { one: "quota", many: "quotas" };

/// Refuses a caller who may not read the quota of a project: it is not its own, and it is no admin.
pub fn check_quota_of(project_id: &str, caller: &Caller) -> Result<(), NotPermitted> {
    if caller.project() == Some(project_id) {
        return Scope::read(caller, QUOTAS).map(drop);
    }
    check_admin(caller, "read the quota of another project")
}
