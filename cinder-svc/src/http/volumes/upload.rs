//! Images made from volumes, over HTTP: `os-volume_upload_image`.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use chassis::http::Problem;
use common::{
    id::Id,
    image::{Properties, Visibility},
    violations::Violations,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{run, view::status};
use crate::{
    error::Error,
    http::{
        ApiState, Call,
        render::{some, time},
        since,
        values::Flag,
    },
    volume::Volume,
    volumes::operations::{Action, ActionResult, Upload},
};

/// What the fields of a request are called here, by their names over gRPC.
const NAMES: [(&str, &str); 3] = [
    ("name", "os-volume_upload_image.image_name"),
    ("disk_format", "os-volume_upload_image.disk_format"),
    ("container_format", "os-volume_upload_image.container_format"),
];

/// An image to be made from a volume.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct UploadImage {
    image_name: String,
    /// Whether the volume may be in use.
    force: Option<Flag>,
    /// `raw`, unless something else can be made.
    disk_format: Option<String>,
    container_format: Option<String>,
    /// `private` unless given; since 3.1.
    visibility: Option<String>,
    /// Since 3.1.
    protected: Option<Flag>,
}

/// An image that is being made from a volume.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct Uploading {
    #[serde(rename = "os-volume_upload_image")]
    upload: UploadView,
}

#[derive(Debug, Serialize, ToSchema)]
struct UploadView {
    /// Id of the volume.
    id: String,
    status: &'static str,
    updated_at: Option<String>,
    display_description: Option<String>,
    /// GiB.
    size: i32,
    volume_type: TypeOfVolume,
    image_id: String,
    image_name: String,
    disk_format: String,
    container_format: String,
    /// Since 3.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    visibility: Option<&'static str>,
    /// Since 3.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    protected: Option<bool>,
}

#[derive(Debug, Serialize, ToSchema)]
struct TypeOfVolume {
    id: String,
    name: String,
}

impl UploadImage {
    fn plain(self) -> Result<Upload, Violations> {
        let visibility = match &self.visibility {
            None => Visibility::Private,
            Some(name) => Visibility::from_name(name).ok_or_else(|| {
                let problem = "must be private, public, shared or community";
                Violations::one("os-volume_upload_image.visibility", problem)
            })?,
        };
        Ok(Upload {
            name: self.image_name,
            disk_format: self.disk_format.unwrap_or_default(),
            container_format: self.container_format.unwrap_or_default(),
            visibility,
            protected: self.protected == Some(Flag(true)),
            image_properties: Properties::new(),
            force: self.force == Some(Flag(true)),
        })
    }
}

/// Makes an image from a volume.
pub(super) async fn upload_image(
    api: &ApiState,
    call: &Call,
    id: Id,
    upload: UploadImage,
) -> Result<Response, Problem> {
    if !call.version.is_in(since(1)) && (upload.visibility.is_some() || upload.protected.is_some()) {
        let problem = "can have visibility and protected since version 3.1 alone";
        return Err(Violations::one("os-volume_upload_image", problem).into());
    }
    let upload = upload.plain()?;
    let done = run(api, call, id, Action::UploadToImage(upload.clone()), String::new()).await;
    let ActionResult { volume, uploaded, .. } = match done {
        Err(Error::Invalid(violations)) => return Err(violations.renamed(&NAMES).into()),
        done => done?,
    };
    let (Some(volume), Some(uploaded)) = (volume, uploaded) else {
        return Err(Error::VolumeNotFound(id).into());
    };
    let answer = Uploading { upload: view(volume, upload, uploaded.image_id, call) };
    Ok((StatusCode::ACCEPTED, Json(answer)).into_response())
}

fn view(volume: Volume, upload: Upload, image_id: Id, call: &Call) -> UploadView {
    let or = |given: String, default: &str| if given.is_empty() { default.to_owned() } else { given };
    UploadView {
        id: volume.id.to_string(),
        status: status(&volume),
        updated_at: (volume.revision > 1).then(|| time(volume.update_time)),
        display_description: some(volume.description),
        size: volume.size_gib,
        volume_type: TypeOfVolume {
            id: volume.volume_type_id.to_string(),
            name: volume.volume_type.to_string(),
        },
        image_id: image_id.to_string(),
        image_name: upload.name,
        disk_format: or(upload.disk_format, "raw"),
        container_format: or(upload.container_format, "bare"),
        visibility: call.version.is_in(since(1)).then(|| upload.visibility.as_str()),
        protected: call.version.is_in(since(1)).then_some(upload.protected),
    }
}
