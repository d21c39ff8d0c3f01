//! A few instances of a project of their own, and what is done with them.

use proto::nova::v1::{
    CompareInstanceResponse, CreateInstanceRequest, CreateInstanceResponse, GetInstanceHistoryRequest,
    GetInstanceHistoryResponse, GetInstanceRequest, Instance, InstanceHistoryEntry, ListInstancesResponse,
    ReportInstanceStateRequest, SnapshotInstanceResponse, instance::State,
    instance_service_client::InstanceServiceClient,
};
use tokio::{task::JoinSet, time::timeout};
use tonic::{Code, Status, transport::Channel};

use crate::{
    call::{Answer, Call, Context, Patience},
    world::World,
};

/// The run of one input.
pub(crate) struct Play<'a> {
    pub(crate) world: &'a World,
    pub(crate) has_agent: bool,
    pub(crate) project: String,
    /// The ids of the instances that calls are about.
    pub(crate) ids: [String; 2],
    /// The calls that were made, in no particular order within a round.
    pub(crate) made: Vec<Made>,
    rounds: usize,
}

/// A call that was made.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) call: Call,
    pub(crate) round: usize,
    /// The instance that it is about.
    pub(crate) id: String,
    /// The value that distinguishes its message.
    pub(crate) value: String,
    /// What distinguishes its message, and the answer; `None` if the caller has left.
    pub(crate) done: Option<(String, Result<Answer, Status>)>,
}

impl<'a> Play<'a> {
    /// Creates two running instances.
    pub(crate) async fn begin(world: &'a World, has_agent: bool, number: usize) -> Self {
        let project = format!("project{number}");
        let mut nova = InstanceServiceClient::new(world.nova(has_agent)[0].clone());
        let request = CreateInstanceRequest {
            name: "web".to_owned(),
            image_id: world.image.clone(),
            flavor_id: "2".to_owned(),
            min_count: 2,
            ..Default::default()
        };
        let mut request = tonic::Request::new(request);
        let token = format!("u:{project}:member").parse().expect("a token is ASCII");
        request.metadata_mut().insert("x-auth-token", token);
        let created = nova.create_instance(request).await.expect("a new project has room").into_inner();
        for instance in created.instances.iter().filter(|instance| instance.state() != State::Active) {
            let (seen_state, state) = (instance.state, State::Active.into());
            let report = ReportInstanceStateRequest {
                id: instance.id.clone(),
                seen_state,
                state,
                ..Default::default()
            };
            nova.report_instance_state(report).await.expect("a new instance comes to run");
        }
        let ids: Vec<_> = created.instances.into_iter().map(|instance| instance.id).collect();
        let ids = ids.try_into().expect("two were asked for");
        Self { world, has_agent, project, ids, made: Vec::new(), rounds: 0 }
    }

    /// Makes concurrent calls, and waits for all of them.
    pub(crate) async fn round(&mut self, calls: impl Iterator<Item = Call>) {
        let mut instances = Vec::new();
        for id in &self.ids {
            let gone = || Instance { id: id.clone(), state: State::Active.into(), ..Default::default() };
            instances.push(self.instance(id).await.unwrap_or_else(gone));
        }
        let mut waiting = JoinSet::new();
        for call in calls {
            let number = self.made.len() + waiting.len();
            let instance = instances[usize::from(call.second_instance)].clone();
            let context = Context {
                nova: self.nova(call.second_replica),
                glance: self.world.glance.clone(),
                project: self.project.clone(),
                image_id: self.world.image.clone(),
                instance,
                number,
            };
            waiting.spawn(make(call, context, self.rounds));
        }
        while let Some(made) = waiting.join_next().await {
            self.made.push(made.expect("no caller panics"));
        }
        self.rounds += 1;
    }

    pub(crate) fn nova(&self, second: bool) -> Channel {
        self.world.nova(self.has_agent)[usize::from(second)].clone()
    }

    /// An instance as an operator sees it; `None` if it has been deleted.
    pub(crate) async fn instance(&self, id: &str) -> Option<Instance> {
        let mut nova = InstanceServiceClient::new(self.nova(false));
        match nova.get_instance(GetInstanceRequest { id: id.to_owned() }).await {
            Ok(instance) => Some(instance.into_inner()),
            Err(status) if status.code() == Code::NotFound => None,
            Err(status) => panic!("instance {id} cannot be read: {status:?}"),
        }
    }

    /// The history of an instance, oldest first.
    pub(crate) async fn history(&self, id: &str) -> Vec<InstanceHistoryEntry> {
        let mut nova = InstanceServiceClient::new(self.nova(true));
        let request = GetInstanceHistoryRequest { id: id.to_owned(), page_size: 1000, ..Default::default() };
        let answer = nova.get_instance_history(request).await.expect("history is kept").into_inner();
        assert_eq!(answer.next_page_token, "", "there is little history");
        let mut entries = answer.entries;
        entries.reverse();
        entries
    }
}

async fn make(call: Call, context: Context, round: usize) -> Made {
    let (id, value) = (context.instance.id.clone(), call.value(&context));
    let sent = call.send(context);
    let done = match call.patience() {
        Patience::Leaves(patience) => timeout(patience, sent).await.ok(),
        _ => Some(sent.await),
    };
    Made { call, round, id, value, done }
}

impl From<Instance> for Answer {
    fn from(instance: Instance) -> Self {
        Self { instances: vec![(instance.id, instance.revision)], ..Self::default() }
    }
}

impl From<()> for Answer {
    fn from((): ()) -> Self {
        Self::default()
    }
}

impl From<CreateInstanceResponse> for Answer {
    fn from(created: CreateInstanceResponse) -> Self {
        let instances = created.instances.into_iter().map(|instance| (instance.id, instance.revision));
        Self { instances: instances.collect(), reservation_id: created.reservation_id, ..Self::default() }
    }
}

impl From<SnapshotInstanceResponse> for Answer {
    fn from(made: SnapshotInstanceResponse) -> Self {
        let instance = made.instance.map(Self::from).unwrap_or_default();
        Self { image_id: made.image_id, ..instance }
    }
}

impl From<ListInstancesResponse> for Answer {
    fn from(_: ListInstancesResponse) -> Self {
        Self::default()
    }
}

impl From<GetInstanceHistoryResponse> for Answer {
    fn from(_: GetInstanceHistoryResponse) -> Self {
        Self::default()
    }
}

impl From<CompareInstanceResponse> for Answer {
    fn from(_: CompareInstanceResponse) -> Self {
        Self::default()
    }
}
