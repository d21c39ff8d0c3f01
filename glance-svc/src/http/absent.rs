//! What this service does not have, answered as Glance answers where it is switched off: import, tasks, several
//! stores, and locations that callers see.

use axum::{
    Json,
    extract::{Path, Request},
};
use chassis::{
    http::Problem,
    status::{Code, Description, StatusCode},
};
use common::violations::Violations;
use serde_json::{Value, json};

use super::{ApiState, Authenticated, image_id};
use crate::{error::Error, image::access};

pub(super) async fn import_methods(Authenticated(_): Authenticated) -> Json<Value> {
    Json(json!({
        "import-methods": {"description": "Import methods available.", "type": "array", "value": []}
    }))
}

pub(super) async fn usage(Authenticated(_): Authenticated) -> Json<Value> {
    Json(json!({"usage": {}}))
}

pub(super) async fn stores(Authenticated(_): Authenticated) -> Problem {
    missing("this service keeps data in one store, which has no name")
}

pub(super) async fn stage(Authenticated(_): Authenticated) -> Problem {
    missing("the import method glance-direct is not available; PUT the data to /file")
}

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

pub(super) async fn image_tasks(
    api: ApiState,
    Authenticated(caller): Authenticated,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    api.images.attributes(image_id(&id)?, &caller).await?;
    Ok(Json(json!({"tasks": []})))
}

pub(super) async fn locations(
    api: ApiState,
    Authenticated(caller): Authenticated,
    Path(id): Path<String>,
) -> Result<Problem, Problem> {
    api.images.attributes(image_id(&id)?, &caller).await?;
    let description = Description::new(Code::PermissionDenied, "NOT_SUPPORTED");
    Ok(Problem::new("where data lie is not shown, and not set by callers", description))
}

pub(super) async fn tasks(Authenticated(caller): Authenticated) -> Result<Json<Value>, Problem> {
    check_admin(&caller)?;
    Ok(Json(json!({"tasks": [], "first": "/v2/tasks", "schema": "/v2/schemas/tasks"})))
}

pub(super) async fn create_task(Authenticated(caller): Authenticated) -> Result<Problem, Problem> {
    check_admin(&caller)?;
    Ok(Violations::one("type", "there are no tasks of any type").into())
}

pub(super) async fn task(Authenticated(caller): Authenticated) -> Result<Problem, Problem> {
    check_admin(&caller)?;
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
