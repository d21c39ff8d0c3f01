//! Who may see and change instances and flavors.

use chassis::{
    caller::Caller,
    scope::{self, NotPermitted, Noun},
};

/// What instances are called in sentences about who may see and change them.
pub const INSTANCES: Noun = Noun { one: "instance", many: "instances" };

/// Whether `caller` may add and delete flavors; everybody may read them.
pub fn check_flavor_change(caller: &Caller) -> Result<(), NotPermitted> {
    scope::check_admin(caller, "change flavors")
}
