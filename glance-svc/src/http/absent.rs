//! What this service does not have, answered as Glance answers where it is switched off: import, tasks, several
//! stores, and locations that callers see.

use axum::{
    Json,
    extract::{Path, Request},
};
use chassis::{
    http::{Problem, openapi::Refused},
    status::{Code, Description, StatusCode},
};
use common::violations::Violations;
use serde_json::{Value, json};

use super::{
    Api, ApiState, Authenticated, image_id,
    openapi::{
        NOT_OFFERED,
        parameters::{ImageId, StoreId, TaskId},
        schema::{ImageTasks, Import, ImportMethods, Tasks, Usage},
    },
};
use crate::{error::Error, image::access};

/// List import methods: there are none
#[utoipa::path(
    get,
    path = "/v2/info/import",
    operation_id = "listImportMethods",
    tag = NOT_OFFERED,
    responses((status = 200, description = "An empty list.", body = inline(ImportMethods))),
)]
pub(super) async fn import_methods(Authenticated(_): Authenticated) -> Json<Value> {
    Json(json!({
        "import-methods": {"description": "Import methods available.", "type": "array", "value": []}
    }))
}

/// Show limits and usage: there are no limits by project
#[utoipa::path(
    get,
    path = "/v2/info/usage",
    operation_id = "showUsage",
    tag = NOT_OFFERED,
    responses((status = 200, description = "An empty object.", body = inline(Usage))),
)]
pub(super) async fn usage(Authenticated(_): Authenticated) -> Json<Value> {
    Json(json!({"usage": {}}))
}

/// List stores: refused
///
/// This service keeps all data in one store, which has no name.
#[utoipa::path(
    get,
    path = "/v2/info/stores",
    operation_id = "listStores",
    tag = NOT_OFFERED,
    responses(Refused::<404>),
)]
pub(super) async fn stores(Authenticated(_): Authenticated) -> Problem {
    no_stores()
}

/// Delete data from a store: refused
///
/// This service keeps all data in one store, which has no name.
#[utoipa::path(
    delete,
    path = "/v2/stores/{store_id}/{image_id}",
    operation_id = "deleteFromStore",
    tag = NOT_OFFERED,
    params(StoreId, ImageId),
    responses(Refused::<404>),
)]
pub(super) async fn delete_from_store(Authenticated(_): Authenticated) -> Problem {
    no_stores()
}

/// Stage data for an import: refused
///
/// There is no import; upload the data instead.
#[utoipa::path(
    put,
    path = "/v2/images/{image_id}/stage",
    operation_id = "stageData",
    tag = NOT_OFFERED,
    params(ImageId),
    responses(Refused::<404>),
)]
pub(super) async fn stage(Authenticated(_): Authenticated) -> Problem {
    missing("the import method glance-direct is not available; PUT the data to /file")
}

/// Import data: refused
///
/// There are no import methods.
#[utoipa::path(
    post,
    path = "/v2/images/{image_id}/import",
    operation_id = "importImage",
    tag = NOT_OFFERED,
    params(ImageId),
    request_body = inline(Import),
    responses(),
)]
pub(super) async fn import(
    api: ApiState,
    Authenticated(_): Authenticated,
    request: Request,
) -> Result<Problem, Problem> {
    let body = api.json(request).await?;
    let method = body.pointer("/method/name").and_then(Value::as_str);
    let problem = match method {
        None => "must be there: the name of an import method".to_owned(),
        Some(method) => format!("{:?} is no import method; there are none", common::text::clip(method, 60)),
    };
    Ok(Violations::one("method.name", problem).into())
}

/// List the tasks of an image: there are none
#[utoipa::path(
    get,
    path = "/v2/images/{image_id}/tasks",
    operation_id = "listImageTasks",
    tag = NOT_OFFERED,
    params(ImageId),
    responses((status = 200, description = "An empty list.", body = inline(ImageTasks)), Refused::<404>),
)]
pub(super) async fn image_tasks(
    api: ApiState,
    Authenticated(caller): Authenticated,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    api.images.attributes(image_id(&id)?, &caller).await?;
    Ok(Json(json!({"tasks": []})))
}

/// List locations: refused
///
/// This service does not show where data lie, and callers cannot set it.
#[utoipa::path(
    get,
    path = "/v2/images/{image_id}/locations",
    operation_id = "listLocations",
    tag = NOT_OFFERED,
    params(ImageId),
    responses(Refused::<403>, Refused::<404>),
)]
pub(super) async fn locations(
    api: ApiState,
    caller: Authenticated,
    Path(id): Path<String>,
) -> Result<Problem, Problem> {
    no_locations(&api, caller, &id).await
}

/// Add a location: refused
///
/// This service does not show where data lie, and callers cannot set it.
#[utoipa::path(
    post,
    path = "/v2/images/{image_id}/locations",
    operation_id = "addLocation",
    tag = NOT_OFFERED,
    params(ImageId),
    responses(Refused::<403>, Refused::<404>),
)]
pub(super) async fn add_location(
    api: ApiState,
    caller: Authenticated,
    Path(id): Path<String>,
) -> Result<Problem, Problem> {
    no_locations(&api, caller, &id).await
}

/// List tasks: there are none
///
/// For operators.
#[utoipa::path(
    get,
    path = "/v2/tasks",
    operation_id = "listTasks",
    tag = NOT_OFFERED,
    responses((status = 200, description = "An empty list.", body = inline(Tasks)), Refused::<403>),
)]
pub(super) async fn tasks(Authenticated(caller): Authenticated) -> Result<Json<Value>, Problem> {
    check_admin(&caller)?;
    Ok(Json(json!({"tasks": [], "first": "/v2/tasks", "schema": "/v2/schemas/tasks"})))
}

/// Begin a task: refused
///
/// There are no tasks of any type.
#[utoipa::path(
    post,
    path = "/v2/tasks",
    operation_id = "createTask",
    tag = NOT_OFFERED,
    responses(Refused::<403>),
)]
pub(super) async fn create_task(Authenticated(caller): Authenticated) -> Result<Problem, Problem> {
    check_admin(&caller)?;
    Ok(Violations::one("type", "there are no tasks of any type").into())
}

/// Show a task: there are none
///
/// For operators.
#[utoipa::path(
    get,
    path = "/v2/tasks/{task_id}",
    operation_id = "showTask",
    tag = NOT_OFFERED,
    params(TaskId),
    responses(Refused::<403>, Refused::<404>),
)]
pub(super) async fn task(caller: Authenticated) -> Result<Problem, Problem> {
    no_task(&caller)
}

/// Delete a task: there are none
///
/// For operators.
#[utoipa::path(
    delete,
    path = "/v2/tasks/{task_id}",
    operation_id = "deleteTask",
    tag = NOT_OFFERED,
    params(TaskId),
    responses(Refused::<403>, Refused::<404>),
)]
pub(super) async fn delete_task(caller: Authenticated) -> Result<Problem, Problem> {
    no_task(&caller)
}

fn no_stores() -> Problem {
    missing("this service keeps data in one store, which has no name")
}

async fn no_locations(api: &Api, caller: Authenticated, id: &str) -> Result<Problem, Problem> {
    api.images.attributes(image_id(id)?, &caller.0).await?;
    let description = Description::new(Code::PermissionDenied, "NOT_SUPPORTED");
    Ok(Problem::new("where data lie is not shown, and not set by callers", description))
}

fn no_task(caller: &Authenticated) -> Result<Problem, Problem> {
    check_admin(&caller.0)?;
    Ok(missing("there is no such task"))
}

fn check_admin(caller: &chassis::caller::Caller) -> Result<(), Error> {
    if caller.is_admin {
        return Ok(());
    }
    Err(Error::NotPermitted { action: "see tasks".to_owned(), needs: access::ADMIN })
}

fn missing(sentence: &str) -> Problem {
    let description = Description::new(Code::Unimplemented, "NOT_SUPPORTED").http(StatusCode::NOT_FOUND);
    Problem::new(sentence, description)
}
