//! The images that are made of instances: which of them a change leaves to nobody.

use common::id::Id;

use super::{Instance, Operation, Step, transitions::shelved_image};

/// An image that nobody needs any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    /// The image.
    pub image_id: Id,
    /// Whether somebody may have uploaded all of its data without having said so, and it is then theirs.
    pub may_be_finished: bool,
}

impl Operation {
    /// Whether it makes an image.
    #[must_use]
    pub const fn makes_image(self) -> bool {
        matches!(self, Self::Snapshot | Self::Shelve)
    }
}

/// The image that nobody needs once `before` has become `after`, or was deleted, at this step of an operation: that of
/// an instance which is back or gone, and that of a snapshot or a shelving which did not come to its good end.
#[must_use]
pub fn left(before: &Instance, after: Option<&Instance>, done: (Operation, Step)) -> Option<Left> {
    // What is rebuilt gets another disk: the old one, which nobody may have seen since, is left to its project.
    let is_rebuilt = done.0 == Operation::Rebuild;
    served(before, after).filter(|_| !is_rebuilt).or_else(|| given_up(before, after, done))
}

/// The image that an instance was put away in, and is no more.
fn served(before: &Instance, after: Option<&Instance>) -> Option<Left> {
    let image_id = shelved_image(&before.record)?;
    let is_needed = after.and_then(|after| shelved_image(&after.record)) == Some(image_id);
    (!is_needed).then_some(Left { image_id, may_be_finished: false })
}

/// The image of a task that ended without it.
fn given_up(before: &Instance, after: Option<&Instance>, done: (Operation, Step)) -> Option<Left> {
    let task = before.task.as_ref().filter(|task| task.operation.makes_image())?;
    let image_id = task.image_id?;
    let goes_on = after.and_then(|after| after.task.as_ref()?.image_id) == Some(image_id);
    if goes_on || done == (task.operation, Step::Finished) {
        return None;
    }
    let may_be_finished = task.operation == Operation::Snapshot && after.is_none();
    Some(Left { image_id, may_be_finished })
}
