//! Transfers of volumes to other projects, over HTTP.

use axum::{
    Json,
    extract::{Path, RawQuery, Request},
    http::{Extensions, StatusCode},
};
use chassis::{
    http::{Problem, openapi::Refused, versions::Link},
    page::Key,
};
use common::id::Id;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    ApiState, Call, id_of,
    list::{List, Listed, Paging, pages, room},
    openapi::TRANSFERS,
    render::time,
    since,
    values::Flag,
};
use crate::{
    error::Error,
    list::TransferOrder,
    volume::Transfer,
    volumes::{VolumeApi, transfers::NewTransfer},
};

/// A volume that is offered to another project.
#[derive(Serialize, ToSchema)]
#[schema(as = Transfer)]
pub(super) struct TransferView {
    id: String,
    name: String,
    volume_id: String,
    created_at: String,
    links: Vec<Link>,
    /// Since 3.55.
    #[serde(skip_serializing_if = "Option::is_none")]
    no_snapshots: Option<bool>,
    /// Since 3.57.
    #[serde(skip_serializing_if = "Option::is_none")]
    source_project_id: Option<String>,
    /// Since 3.57.
    #[serde(skip_serializing_if = "Option::is_none")]
    accepted: Option<bool>,
    /// What whoever takes the volume must show; told once.
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_key: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = OneTransfer)]
pub(super) struct One {
    transfer: TransferView,
}

pages! {
    /// A page of offers.
    Transfers { transfers: TransferView, transfers_links }
}

#[derive(Deserialize, ToSchema)]
#[schema(as = CreateTransfer)]
pub(super) struct Create {
    transfer: New,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = NewTransfer)]
#[serde(deny_unknown_fields)]
struct New {
    volume_id: String,
    name: Option<String>,
    /// Whether the volume has no snapshots.
    no_snapshots: Option<Flag>,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = AcceptTransfer)]
pub(super) struct Accept {
    accept: AuthKey,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AuthKey {
    auth_key: String,
}

/// Offer a volume to another project
///
/// The answer has the key that takes it.
#[utoipa::path(
    post,
    path = "/v3/volume-transfers",
    operation_id = "createTransfer",
    tag = TRANSFERS,
    request_body = Create,
    responses((status = 202, description = "The offer.", body = One), Refused::<403>, Refused::<404>),
)]
pub(super) async fn create(
    api: ApiState,
    call: Call,
    request: Request,
) -> Result<(StatusCode, Json<One>), Problem> {
    let Create { transfer: New { volume_id, name, no_snapshots } } = api.body(request).await?;
    let new = NewTransfer {
        volume_id,
        name: name.unwrap_or_default(),
        without_snapshots: no_snapshots == Some(Flag(true)),
        volume_etag: String::new(),
    };
    let (transfer, auth_key) = match api.volumes.create_transfer(new, &call.caller).await {
        Err(Error::Invalid(violations)) => return Err(violations.within("transfer.").into()),
        created => created?,
    };
    let transfer = TransferView { auth_key: Some(auth_key), ..view(transfer, &call) };
    Ok((StatusCode::ACCEPTED, Json(One { transfer })))
}

impl Listed for Transfer {
    type Order = TransferOrder;

    const SORT_KEYS: &'static [(&'static str, TransferOrder)] =
        &[("created_at", TransferOrder::CreateTime), ("id", TransferOrder::Id)];

    const CREATED: TransferOrder = TransferOrder::CreateTime;

    async fn find(api: &ApiState, call: &Call, id: &str) -> Result<Self, Problem> {
        Ok(api.volumes.get_transfer(transfer_id(id)?, &call.caller).await?)
    }

    fn id(&self) -> Id {
        self.id
    }

    fn key(&self, by: TransferOrder) -> Key {
        by.key(self)
    }
}

/// List offers
#[utoipa::path(
    get,
    path = "/v3/volume-transfers",
    operation_id = "listTransfers",
    tag = TRANSFERS,
    params(Paging),
    responses((status = 200, description = "A page of offers.", body = Transfers), Refused::<404>),
)]
pub(super) async fn list(
    api: ApiState,
    call: Call,
    RawQuery(query): RawQuery,
    request: Extensions,
) -> Result<Json<Transfers>, Problem> {
    let _room = room(&request).await;
    // Some clients filter the list themselves.
    let list = List::<Transfer>::parse(query, &call, |_, _| Ok(true))?;
    let page = list.page(&api, &call).await?;
    let scope = VolumeApi::scope_of_transfers(list.all_projects, &call.caller)?;
    let listed = api.volumes.list_transfers(&page, &scope).await?;
    let view = |transfer| view(transfer, &call);
    Ok(Json(list.answer(&page, listed, &call.url("volume-transfers"), view).into()))
}

/// Show an offer
#[utoipa::path(
    get,
    path = "/v3/volume-transfers/{transfer_id}",
    operation_id = "showTransfer",
    tag = TRANSFERS,
    params(("transfer_id" = String, Path, description = "Its id.")),
    responses((status = 200, description = "The offer.", body = One), Refused::<404>),
)]
pub(super) async fn show(api: ApiState, call: Call, Path(id): Path<String>) -> Result<Json<One>, Problem> {
    let transfer = Transfer::find(&api, &call, &id).await?;
    Ok(Json(One { transfer: view(transfer, &call) }))
}

/// Take a volume
///
/// For the caller's project.
#[utoipa::path(
    post,
    path = "/v3/volume-transfers/{transfer_id}/accept",
    operation_id = "acceptTransfer",
    tag = TRANSFERS,
    params(("transfer_id" = String, Path, description = "Id of the offer.")),
    request_body = Accept,
    responses((status = 202, description = "The offer.", body = One), Refused::<403>, Refused::<404>),
)]
pub(super) async fn accept(
    api: ApiState,
    call: Call,
    Path(id): Path<String>,
    request: Request,
) -> Result<(StatusCode, Json<One>), Problem> {
    let id = transfer_id(&id)?;
    let Accept { accept: AuthKey { auth_key } } = api.body(request).await?;
    let taken = api.volumes.accept_transfer(id, &auth_key, &call.caller).await?;
    let transfer = view(taken, &call);
    let accepted = transfer.accepted.map(|_| true);
    Ok((StatusCode::ACCEPTED, Json(One { transfer: TransferView { accepted, ..transfer } })))
}

/// Withdraw an offer
#[utoipa::path(
    delete,
    path = "/v3/volume-transfers/{transfer_id}",
    operation_id = "deleteTransfer",
    tag = TRANSFERS,
    params(("transfer_id" = String, Path, description = "Its id.")),
    responses((status = 202, description = "It is withdrawn."), Refused::<403>, Refused::<404>),
)]
pub(super) async fn delete(api: ApiState, call: Call, Path(id): Path<String>) -> Result<StatusCode, Problem> {
    api.volumes.delete_transfer(transfer_id(&id)?, &call.caller).await?;
    Ok(StatusCode::ACCEPTED)
}

fn view(transfer: Transfer, call: &Call) -> TransferView {
    let id = transfer.id.to_string();
    TransferView {
        links: call.links(&format!("volume-transfers/{id}")),
        id,
        name: transfer.name,
        volume_id: transfer.volume_id.to_string(),
        created_at: time(transfer.create_time),
        no_snapshots: call.version.is_in(since(55)).then_some(transfer.without_snapshots),
        source_project_id: call.version.is_in(since(57)).then_some(transfer.project_id),
        accepted: call.version.is_in(since(57)).then_some(false),
        auth_key: None,
    }
}

fn transfer_id(text: &str) -> Result<Id, Problem> {
    id_of(text, "TRANSFER_NOT_FOUND", "transfer")
}
