//! What is read before an instance is changed: the instance, or what an earlier attempt of the request did.

use super::{ActionRequest, ActionResult};
use crate::{
    compute::ComputeApi,
    error::Error,
    instance::{Instance, Scope},
    store::{Decided, EarlierAttempt},
};

/// What is decided about a request.
pub(super) type Decision = Result<Decided<NoChange>, Error>;

/// Why an instance is not changed.
#[derive(Debug)]
pub(super) enum NoChange {
    /// It is already as it was requested.
    Done(Box<ActionResult>),
    /// An earlier attempt of the request has changed it.
    Repeated(Box<EarlierAttempt>),
    /// glance-svc or cinder-svc must be asked first; this is the instance as it is.
    NeedsPeer(Box<Instance>),
}

impl NoChange {
    pub(super) fn done(instance: Instance) -> Self {
        Self::Done(Box::new(ActionResult::without_image(instance)))
    }
}

impl ComputeApi {
    /// The instance, if it has the etag that the request names.
    pub(super) async fn instance_before(
        &self,
        request: &ActionRequest<'_>,
        scope: &Scope,
    ) -> Result<Result<Instance, NoChange>, Error> {
        let id = request.instance_id;
        // First the instance, then its history: an attempt that ends in between makes another revision of it, which is
        // noticed when the change is written.
        let instance = self.store.instance(id, scope).await?;
        if let Some((key, allowed)) = request.retry_key().zip(scope.allowed())
            && let Some(earlier) = self.store.earlier(id, &key.id, &allowed).await?
        {
            if earlier.entry.request.as_ref() != Some(&key) {
                return Err(Error::RequestIdTaken(key.id));
            }
            return Ok(Err(NoChange::Repeated(Box::new(earlier))));
        }
        let instance = instance.ok_or(Error::InstanceNotFound(id))?;
        check_etag(&instance, &request.etag)?;
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
