//! Calls by callers.

use std::{collections::BTreeMap, time::Duration};

use libfuzzer_sys::{arbitrary, arbitrary::Arbitrary};
use proto::{
    glance::v1::{UpdateImagePropertiesRequest, image_service_client::ImageServiceClient},
    nova::v1::{
        CompareInstanceRequest, ConfirmResizeRequest, CreateInstanceRequest, DeleteInstanceRequest,
        GetInstanceHistoryRequest, GetInstanceRequest, Instance, ListInstancesRequest,
        RebuildInstanceRequest, ReportInstanceStateRequest, ResizeInstanceRequest, RevertResizeRequest,
        ShelveInstanceRequest, SnapshotInstanceRequest, UnshelveInstanceRequest,
        UpdateInstanceImagePropertiesRequest, instance::State,
        instance_service_client::InstanceServiceClient, report_instance_state_request::Result as Outcome,
    },
};
use tonic::{Request, Status, transport::Channel};

/// The request ids in use; other calls send none.
const REQUEST_IDS: u8 = 4;

/// What one caller does.
#[derive(Debug, Clone, Copy, Arbitrary)]
pub(crate) struct Call {
    pub(crate) action: Action,
    /// Which instance it is about.
    pub(crate) second_instance: bool,
    /// Which replica it calls.
    pub(crate) second_replica: bool,
    /// Which of two variants of the message it sends.
    pub(crate) variant: bool,
    request: u8,
    patience: u8,
}

/// The kind of call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Arbitrary)]
pub(crate) enum Action {
    Create,
    Read(Reading),
    Delete,
    CachedImage,
    Rebuild,
    Resize,
    Confirm,
    Revert,
    Edit,
    Shelve,
    Unshelve,
    Report(Report),
    /// An update of the image that all instances are made from.
    ChangeImage,
}

/// The kind of read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Arbitrary)]
pub(crate) enum Reading {
    Instance,
    List,
    History,
    Comparison,
}

/// What is reported of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Arbitrary)]
pub(crate) enum Report {
    Done,
    Failed,
    Active,
    Stopped,
    Error,
}

/// When a caller stops waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    Endless,
    /// By dropping the call.
    Leaves(Duration),
    /// By a deadline.
    Deadline(Duration),
}

/// The part of an answer that is checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    /// Ids and revisions of instances.
    pub(crate) instances: Vec<(String, i64)>,
    pub(crate) reservation_id: String,
    pub(crate) image_id: String,
}

/// The context of a call.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    pub(crate) nova: Channel,
    pub(crate) glance: Channel,
    pub(crate) project: String,
    pub(crate) image_id: String,
    /// The instance as of before the round.
    pub(crate) instance: Instance,
    /// A value that no other call has.
    pub(crate) number: usize,
}

impl Call {
    /// The request id, or empty.
    pub(crate) fn request_id(&self) -> String {
        let number = self.request % (2 * REQUEST_IDS);
        if number < REQUEST_IDS { format!("r{number}") } else { String::new() }
    }

    /// Most callers are patient.
    pub(crate) fn patience(&self) -> Patience {
        match self.patience {
            ..192 => Patience::Endless,
            some @ 192..224 => Patience::Leaves(Duration::from_micros(100) * u32::from(some - 192)),
            some @ 224.. => Patience::Deadline(Duration::from_micros(200) * u32::from(some - 223)),
        }
    }

    /// Distinguishes messages: those with a request id are equal if this is.
    pub(crate) fn value(&self, context: &Context) -> String {
        match &*self.request_id() {
            "" => format!("n{}", context.number),
            id => format!("{id}-{}", self.variant),
        }
    }

    /// Makes the call; returns what distinguishes its message, and the answer.
    pub(crate) async fn send(self, context: Context) -> (String, Result<Answer, Status>) {
        let (id, request_id) = (context.instance.id.clone(), self.request_id());
        let mut nova = InstanceServiceClient::new(context.nova.clone());
        let member = format!("u:{}:member", context.project);
        macro_rules! call {
            ($method:ident, $message:expr) => {
                call!($method, $message, &member)
            };
            ($method:ident, $message:expr, $token:expr) => {{
                let (said, request) = self.request($message, $token);
                (said, nova.$method(request).await.map(|answer| Answer::from(answer.into_inner())))
            }};
        }
        let value = self.value(&context);
        match self.action {
            Action::Create => call!(create_instance, self.creation(&context)),
            Action::Read(Reading::Instance) => call!(get_instance, GetInstanceRequest { id }),
            Action::Read(Reading::List) => call!(list_instances, ListInstancesRequest::default()),
            Action::Read(Reading::History) => {
                call!(get_instance_history, GetInstanceHistoryRequest { id, ..Default::default() })
            }
            Action::Read(Reading::Comparison) => call!(compare_instance, CompareInstanceRequest { id }),
            Action::Delete => {
                call!(delete_instance, DeleteInstanceRequest { id, request_id, ..Default::default() })
            }
            Action::CachedImage => call!(
                snapshot_instance,
                SnapshotInstanceRequest { id, request_id, name: value, ..Default::default() }
            ),
            Action::Rebuild => {
                let auto_disk_config = self.variant.then_some(true);
                let request =
                    RebuildInstanceRequest { id, request_id, auto_disk_config, ..Default::default() };
                call!(rebuild_instance, request)
            }
            Action::Resize => {
                let flavor_id = if self.variant { "3" } else { "4" }.to_owned();
                call!(
                    resize_instance,
                    ResizeInstanceRequest { id, request_id, flavor_id, ..Default::default() }
                )
            }
            Action::Confirm => {
                call!(confirm_resize, ConfirmResizeRequest { id, request_id, ..Default::default() })
            }
            Action::Revert => {
                call!(revert_resize, RevertResizeRequest { id, request_id, ..Default::default() })
            }
            Action::Edit => {
                let set = BTreeMap::from([(self.property(), value)]).into_iter().collect();
                call!(
                    update_instance_image_properties,
                    UpdateInstanceImagePropertiesRequest { id, request_id, set, ..Default::default() }
                )
            }
            Action::Shelve => {
                call!(shelve_instance, ShelveInstanceRequest { id, request_id, ..Default::default() })
            }
            Action::Unshelve => {
                call!(unshelve_instance, UnshelveInstanceRequest { id, request_id, ..Default::default() })
            }
            Action::Report(said) => {
                call!(report_instance_state, self.report(&context, said), "agent:service:service")
            }
            Action::ChangeImage => {
                let set = [(self.property(), value)].into_iter().collect();
                let message = UpdateImagePropertiesRequest {
                    image_id: context.image_id.clone(),
                    set,
                    ..Default::default()
                };
                let (said, request) = self.request(message, "x");
                let changed = ImageServiceClient::new(context.glance).update_image_properties(request).await;
                (said, changed.map(|_| Answer::default()))
            }
        }
    }

    /// The property that is set.
    pub(crate) fn property(&self) -> String {
        format!("p{}", u8::from(self.variant))
    }

    fn creation(&self, context: &Context) -> CreateInstanceRequest {
        CreateInstanceRequest {
            name: "web".to_owned(),
            image_id: context.image_id.clone(),
            flavor_id: "2".to_owned(),
            min_count: 1,
            max_count: if self.variant { 3 } else { 1 },
            request_id: self.request_id(),
            ..Default::default()
        }
    }

    /// A report about the instance as of before the round.
    fn report(&self, context: &Context, said: Report) -> ReportInstanceStateRequest {
        let seen = &context.instance;
        let (state, outcome) = match said {
            Report::Done => (State::Unspecified, Outcome::Succeeded),
            Report::Failed => (State::Unspecified, Outcome::Failed),
            Report::Active => (State::Active, Outcome::Unspecified),
            Report::Stopped => (State::Stopped, Outcome::Unspecified),
            Report::Error => (State::Error, Outcome::Unspecified),
        };
        ReportInstanceStateRequest {
            id: seen.id.clone(),
            seen_state: seen.state,
            seen_task_state: seen.task.as_ref().map_or(0, |task| task.state),
            state: state.into(),
            result: outcome.into(),
            message: self.value(context),
            request_id: self.request_id(),
            ..Default::default()
        }
    }

    /// The request, and what distinguishes its message.
    fn request<T: std::fmt::Debug>(&self, message: T, token: &str) -> (String, Request<T>) {
        let said = format!("{message:?}");
        let mut request = Request::new(message);
        request.metadata_mut().insert("x-auth-token", token.parse().expect("a token is ASCII"));
        if let Patience::Deadline(patience) = self.patience() {
            request.set_timeout(patience);
        }
        (said, request)
    }
}
