//! Transfers of volumes to other projects, over HTTP.

use axum::{
    Json,
    extract::{Path, RawQuery, Request},
    http::StatusCode,
};
use chassis::{
    http::{
        Problem,
        openapi::Refused,
        query::{self, MARKER, Query},
        versions::Link,
    },
    page::{MAX_SIZE, Order, Page},
};
use common::{id::Id, text::boolean, violations::Violations};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{ApiState, Call, id_of, openapi::TRANSFERS, render::time, since, values::Flag};
use crate::{
    error::Error,
    list::{TRANSFER_ORDER, TransferOrder},
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

#[derive(Serialize, ToSchema)]
#[schema(as = Transfers)]
pub(super) struct List {
    transfers: Vec<TransferView>,
    /// The next page, if there is one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    transfers_links: Vec<Link>,
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
    accept: Key,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Key {
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

/// List offers
#[utoipa::path(
    get,
    path = "/v3/volume-transfers",
    operation_id = "listTransfers",
    tag = TRANSFERS,
    params(
        ("limit" = Option<i64>, Query, description = "Maximum number, 1000 at most."),
        ("marker" = Option<String>, Query, description = "Id of the last offer of the previous page."),
        ("all_tenants" = Option<bool>, Query, description = "For admins: offers of all projects."),
    ),
    responses((status = 200, description = "A page of offers.", body = List), Refused::<404>),
)]
pub(super) async fn list(api: ApiState, call: Call, RawQuery(raw): RawQuery) -> Result<Json<List>, Problem> {
    let mut violations = Violations::default();
    let query = Query::parse(&raw.unwrap_or_default(), &mut violations);
    let (mut limit, mut marker, mut all_projects) = (MAX_SIZE, None, false);
    for (name, value) in query.iter() {
        match name {
            "limit" => limit = violations.take(name, query::limit(value, MAX_SIZE)).unwrap_or(limit),
            MARKER => marker = Some(value.to_owned()),
            "all_tenants" => {
                all_projects = call.caller.is_admin && boolean(value).unwrap_or(false);
            }
            _ => {}
        }
    }
    violations.check()?;
    let behind = match &marker {
        None => None,
        Some(marker) => Some(api.volumes.get_transfer(transfer_id(marker)?, &call.caller).await?),
    };
    let scope = VolumeApi::scope_of_transfers(all_projects, &call.caller)?;
    let key = behind.as_ref().map(|transfer| |by: TransferOrder| by.key(transfer));
    let page = Page::behind(limit, Order::new(vec![TRANSFER_ORDER]), key);
    let listed = api.volumes.list_transfers(&page, &scope).await?;
    let render = |transfer: Transfer| (transfer.id, view(transfer, &call));
    // Each is small.
    let (transfers, next) = page.finish(listed, |transfer, by| by.key(transfer), render, |_| 0);
    let marker = transfers.last().map(|(id, _)| *id).filter(|_| !next.is_empty());
    let url = call.url("volume-transfers");
    let link = marker.map(|id| Link { href: query.page(&url, Some(&id)), rel: "next" });
    let transfers = transfers.into_iter().map(|(_, view)| view).collect();
    Ok(Json(List { transfers, transfers_links: link.into_iter().collect() }))
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
    let transfer = api.volumes.get_transfer(transfer_id(&id)?, &call.caller).await?;
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
    let Accept { accept: Key { auth_key } } = api.body(request).await?;
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
