//! Transfers: a volume is given to another project, with its snapshots and with what it remembers. Each call is one change
//! of the volume, with an entry in its history.

use chassis::{
    caller::Caller,
    page::Page,
    scope::{Scope, check_admin},
    turns::Decided,
};
use common::{clock, id::Id, text, violations::Violations};

use super::VolumeApi;
use crate::{
    error::Error,
    list::TransferOrder,
    store::{Change, Entry, TransferChange},
    volume::{
        Operation, Status, Step, Transfer, Volume,
        access::{TRANSFERS, VOLUMES},
    },
};

/// A volume to be offered, as it was requested.
#[derive(Debug, Clone, Default)]
pub struct NewTransfer {
    /// The id of the volume.
    pub volume_id: String,
    /// The name of the transfer; blanks around it are removed.
    pub name: String,
    /// Whether the volume has no snapshots.
    pub without_snapshots: bool,
    /// The etag that the volume must have; empty for any.
    pub volume_etag: String,
}

/// What was decided about a transfer: it is always a change.
type Decision = Result<Decided<Change, ()>, Error>;

impl VolumeApi {
    /// Offers a volume to whoever shows the key that is returned with the offer, and not kept.
    pub async fn create_transfer(
        &self,
        request: NewTransfer,
        caller: &Caller,
    ) -> Result<(Transfer, String), Error> {
        let mut problems = Violations::default();
        let volume_id = problems.take("volume_id", request.volume_id.parse::<Id>());
        let name = request.name.trim().to_owned();
        problems.take("name", text::optional_name(&name));
        problems.check()?;
        let volume_id = volume_id.expect("a malformed id is a violation");
        let scope = Scope::change(caller, VOLUMES)?;
        let (auth_key, salt) = (secret(), secret());
        let offer = |volume: &Volume| Transfer {
            id: Id::now(),
            volume_id,
            name: name.clone(),
            project_id: volume.project_id.clone(),
            without_snapshots: request.without_snapshots,
            key_hash: Transfer::hash(&salt, &auth_key),
            salt: salt.clone(),
            create_time: clock::now(),
        };
        let decide = || async {
            let before =
                self.store.volume(volume_id, &scope).await?.ok_or(Error::VolumeNotFound(volume_id))?;
            before.check_etag(&request.volume_etag)?;
            Operation::Transfer.check(&before, None)?;
            let offer = offer(&before);
            let message = format!("transfer {}: offered", offer.id);
            let after = Volume { status: Status::AwaitingTransfer, ..before.clone() };
            let change = change(before, after, TransferChange::Offered(offer), caller, message);
            Decision::Ok(Decided::Change(Box::new(change)))
        };
        match self.store.change(volume_id, &scope, decide).await? {
            Decided::Change(change) => match change.transfer {
                Some(TransferChange::Offered(offer)) => Ok((offer, auth_key)),
                _ => Err(Error::Corrupt(volume_id)),
            },
            Decided::Nothing(()) => Err(Error::Corrupt(volume_id)),
        }
    }

    /// The transfer with that id.
    pub async fn get_transfer(&self, id: Id, caller: &Caller) -> Result<Transfer, Error> {
        self.transfer(id, &Scope::read(caller, TRANSFERS)?).await
    }

    /// A page of the transfers within `scope` ([`VolumeApi::scope_of_transfers`]), oldest first. It may be one item too
    /// long, which shows that there is a next page.
    pub async fn list_transfers(
        &self,
        page: &Page<TransferOrder>,
        scope: &Scope,
    ) -> Result<Vec<Transfer>, Error> {
        self.store.list_transfers(page, scope).await
    }

    /// The transfers that are listed for a caller.
    pub fn scope_of_transfers(all_projects: bool, caller: &Caller) -> Result<Scope, Error> {
        if all_projects {
            check_admin(caller, "list transfers of all projects")?;
        }
        Ok(Scope::list(caller, TRANSFERS, all_projects, false)?)
    }

    /// Takes a volume with its snapshots for the caller's project, whose quota they count towards from now on.
    pub async fn accept_transfer(&self, id: Id, auth_key: &str, caller: &Caller) -> Result<Transfer, Error> {
        Scope::create(caller, VOLUMES)?;
        let offer = self.transfer(id, &Scope::internal(TRANSFERS)).await?;
        offer.check_key(auth_key)?;
        let (project_id, user_id) = (&caller.actor.project_id, &caller.actor.user_id);
        let decide = || async {
            let offer = self.transfer(id, &Scope::internal(TRANSFERS)).await?;
            let before = self.offered(&offer).await?;
            before.check_offered()?;
            let growth = if before.project_id == *project_id {
                None
            } else {
                Some((self.quota, self.store.growth_of(&before).await?))
            };
            let (project_id, user_id) = (project_id.clone(), user_id.clone());
            let message =
                format!("transfer {id}: from project {} to project {project_id}", before.project_id);
            let after = Volume { project_id, user_id, ..before.withdrawn() };
            let change = change(before, after, TransferChange::Taken(id), caller, message);
            Decision::Ok(Decided::Change(Box::new(Change { growth, ..change })))
        };
        self.store.change(offer.volume_id, &Scope::internal(VOLUMES), decide).await?;
        Ok(offer)
    }

    /// Withdraws an offer.
    pub async fn delete_transfer(&self, id: Id, caller: &Caller) -> Result<(), Error> {
        let scope = Scope::change(caller, TRANSFERS)?;
        let volume_id = self.transfer(id, &scope).await?.volume_id;
        let decide = || async {
            let offer = self.transfer(id, &scope).await?;
            let before = self.offered(&offer).await?;
            let (after, message) = (before.withdrawn(), format!("transfer {id}: withdrawn"));
            let change = change(before, after, TransferChange::Withdrawn(id), caller, message);
            Decision::Ok(Decided::Change(Box::new(change)))
        };
        self.store.change(volume_id, &Scope::internal(VOLUMES), decide).await?;
        Ok(())
    }

    async fn transfer(&self, id: Id, scope: &Scope) -> Result<Transfer, Error> {
        self.store.transfer(id, scope).await?.ok_or(Error::TransferNotFound(id))
    }

    /// The volume that is offered.
    async fn offered(&self, offer: &Transfer) -> Result<Volume, Error> {
        let volume = self.store.volume(offer.volume_id, &Scope::internal(VOLUMES)).await?;
        volume.ok_or(Error::TransferNotFound(offer.id))
    }
}

/// A text that nobody can guess.
fn secret() -> String {
    Id::random().as_uuid().simple().to_string()
}

/// The change of a volume by a call about its transfer.
fn change(
    before: Volume,
    after: Volume,
    transfer: TransferChange,
    caller: &Caller,
    message: String,
) -> Change {
    let time = before.later(clock::now());
    let entry = Entry::new(Operation::Transfer, Step::Finished, caller.actor.clone(), time);
    let change = Change::new(before, Some(after), Entry { message, ..entry });
    Change { transfer: Some(transfer), ..change }
}
