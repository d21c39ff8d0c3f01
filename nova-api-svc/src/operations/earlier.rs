//! What there is to be seen before an instance is changed: the instance, or what an earlier try of the request did.

use super::{ActionResult, Context, Operations};
use crate::{
    error::Error,
    instance::{Instance, Scope},
    store::{Decided, EarlierAttempt},
};

/// What comes of a request that is about one instance.
pub(super) type Decision = Result<Decided<Instead>, Error>;

/// What is done instead of a change.
#[derive(Debug)]
pub(super) enum Instead {
    /// Nothing: the instance is so already.
    Done(Box<ActionResult>),
    /// What an earlier try of the request left undone.
    Earlier(Box<EarlierAttempt>),
    /// glance-svc is asked for the image that the instance is to be made from.
    Ask(Box<Instance>),
}

impl Instead {
    pub(super) fn done(instance: Instance) -> Self {
        Self::Done(Box::new(ActionResult::without_image(instance)))
    }
}

impl Operations {
    /// The instance, if it has the etag that it must have.
    pub(super) async fn look(
        &self,
        context: &Context<'_>,
        scope: &Scope,
    ) -> Result<Result<Instance, Instead>, Error> {
        let store = &self.pipeline.store;
        // First the instance, then its history: a try that ends in between makes another revision of it, which is
        // noticed when a change is written.
        let instance = store.instance(context.id, scope).await?;
        if let Some((request, allowed)) = context.request.as_ref().zip(scope.allowed())
            && let Some(earlier) = store.earlier(context.id, &request.id, &allowed).await?
        {
            if earlier.entry.request.as_ref() != Some(request) {
                return Err(Error::RequestIdTaken(request.id.clone()));
            }
            return Ok(Err(Instead::Earlier(Box::new(earlier))));
        }
        let instance = instance.ok_or(Error::InstanceNotFound(context.id))?;
        check_etag(&instance, context.etag)?;
        Ok(Ok(instance))
    }
}

fn check_etag(instance: &Instance, given: &str) -> Result<(), Error> {
    let current = instance.etag();
    if given.is_empty() || given == current {
        return Ok(());
    }
    Err(Error::StaleEtag { id: instance.id, given: given.to_owned(), current })
}
