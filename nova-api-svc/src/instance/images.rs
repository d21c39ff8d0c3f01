//! The images made from instances: which of them a change leaves orphaned.

use common::id::Id;

use super::{Instance, Operation, Step, transitions::shelved_image};

/// An image that nothing needs any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Orphan {
    /// The image.
    pub image_id: Id,
    /// Whether somebody may have uploaded all of its data without having reported it; the image is then theirs.
    pub may_be_finished: bool,
}

impl Operation {
    /// Whether it makes an image.
    #[must_use]
    pub const fn makes_image(self) -> bool {
        matches!(self, Self::Snapshot | Self::Shelve)
    }
}

/// The image that nothing needs once this step of an operation has turned `before` into `after`, or deleted it: that
/// of an instance which has been unshelved or deleted, or that of a snapshot or a shelving which did not succeed.
#[must_use]
pub fn orphaned_image(
    before: &Instance,
    after: Option<&Instance>,
    done: (Operation, Step),
) -> Option<Orphan> {
    // A rebuild makes another disk: the old one, which nobody may have seen since, is left to its project.
    let is_rebuilt = done.0 == Operation::Rebuild;
    unshelved(before, after).filter(|_| !is_rebuilt).or_else(|| abandoned(before, after, done))
}

/// The image of an instance that was shelved and is not any more.
fn unshelved(before: &Instance, after: Option<&Instance>) -> Option<Orphan> {
    let image_id = shelved_image(&before.record)?;
    let is_needed = after.and_then(|after| shelved_image(&after.record)) == Some(image_id);
    (!is_needed).then_some(Orphan { image_id, may_be_finished: false })
}

/// The image of a task that ended without it.
fn abandoned(before: &Instance, after: Option<&Instance>, done: (Operation, Step)) -> Option<Orphan> {
    let task = before.task.as_ref().filter(|task| task.operation.makes_image())?;
    let image_id = task.image_id?;
    let goes_on = after.and_then(|after| after.task.as_ref()?.image_id) == Some(image_id);
    if goes_on || done == (task.operation, Step::Finished) {
        return None;
    }
    let may_be_finished = task.operation == Operation::Snapshot && after.is_none();
    Some(Orphan { image_id, may_be_finished })
}
