//! Reports by whatever runs the instances.

use proto::nova::v1::{PowerState, instance_history_entry::Step};

use super::*;
use crate::support::fields;

on_both_databases!(
    a_report_tells_state_host_and_power,
    a_report_about_another_state_is_refused,
    a_report_that_makes_no_sense_is_refused,
    a_resized_instance_that_fails_keeps_the_way_back,
    an_instance_that_fails_while_it_is_put_away_keeps_its_image,
    an_instance_that_fails_during_a_task_has_none,
    a_rebuild_begins_anew_what_has_failed,
);

fn in_error(instance: &Instance) -> ReportInstanceStateRequest {
    ReportInstanceStateRequest { state: State::Error.into(), ..seen(instance) }
}

async fn a_resized_instance_that_fails_keeps_the_way_back(db: TestDb) {
    let nova = alone(db).await;
    let instance = nova.active(&nova.glance.with(&[])).await;
    let resized = nova.resize(&instance.id, "3").await.unwrap();
    let failed = nova.report(in_error(&resized)).await.unwrap();
    assert_eq!((failed.state(), failed.task.clone()), (State::Error, None));
    assert_eq!(failed.system_metadata, resized.system_metadata);
    assert_wrong_state(&nova.revert(&instance.id).await.unwrap_err(), "ERROR", "");
    let set = map(&[("p", "1")]);
    let edit = UpdateInstanceImagePropertiesRequest { id: instance.id.clone(), set, ..Default::default() };
    let edited = nova.edit(edit).await.unwrap();
    assert_eq!((edited.state(), edited.task.clone()), (State::Error, None));
    let active = ReportInstanceStateRequest { state: State::Active.into(), ..seen(&edited) };
    assert_eq!(fields(&nova.report(active.clone()).await.unwrap_err()), ["state"]);
    let back = ReportInstanceStateRequest { state: State::Resized.into(), ..active };
    assert_eq!(nova.report(back).await.unwrap().state(), State::Resized);
    let reverted = nova.revert(&instance.id).await.unwrap();
    assert_eq!(content(&reverted), content(&instance));
}

async fn an_instance_that_fails_while_it_is_put_away_keeps_its_image(db: TestDb) {
    let nova = alone(db).await;
    let instance = nova.active(&nova.glance.with(&[])).await;
    let shelved = nova.shelve(&instance.id).await.unwrap();
    let made = shelved.system_metadata["shelved_image_id"].clone();
    let failed = nova.report(in_error(&shelved)).await.unwrap();
    assert_wrong_state(&nova.unshelve(&instance.id).await.unwrap_err(), "ERROR", "");
    let stopped = ReportInstanceStateRequest { state: State::Stopped.into(), ..seen(&failed) };
    assert_eq!(fields(&nova.report(stopped).await.unwrap_err()), ["state"]);
    assert!(nova.glance.find(&made).is_some());
    let back = ReportInstanceStateRequest { state: State::ShelvedOffloaded.into(), ..seen(&failed) };
    nova.report(back).await.unwrap();
    let back = nova.unshelve(&instance.id).await.unwrap();
    assert_eq!(content(&back), content(&instance));
}

async fn an_instance_that_fails_during_a_task_has_none(db: TestDb) {
    let nova = Nova::start(db).await;
    let instance = nova.active(&nova.glance.with(&[])).await;
    let begun = nova.resize(&instance.id, "3").await.unwrap();
    let failed = nova.report(in_error(&begun)).await.unwrap();
    let expected = Instance { state: State::Error.into(), ..content(&instance) };
    assert_eq!(content(&failed), expected);
    let active = ReportInstanceStateRequest { state: State::Active.into(), ..seen(&failed) };
    nova.report(active).await.unwrap();
    let begun = nova.resize(&instance.id, "3").await.unwrap();
    let resized = nova.end(&begun, Outcome::Succeeded).await;
    let begun = nova.confirm(&instance.id).await.unwrap();
    let result = Outcome::Failed.into();
    let failed = nova.report(ReportInstanceStateRequest { result, ..in_error(&begun) }).await.unwrap();
    assert_eq!(content(&failed), Instance { state: State::Error.into(), ..content(&resized) });
    let history = nova.history(&instance.id).await;
    assert_eq!(history.last().unwrap().step(), Step::Failed);
}

async fn a_rebuild_begins_anew_what_has_failed(db: TestDb) {
    let nova = Nova::start(db).await;
    let image = nova.glance.with(&[]);
    let instance = nova.active(&image).await;
    nova.resize(&instance.id, "3").await.unwrap();
    let resized = nova.end(&nova.get(&instance.id).await.unwrap(), Outcome::Succeeded).await;
    let failed = nova.report(in_error(&resized)).await.unwrap();
    let begun = nova.rebuild(&instance.id, "").await.unwrap();
    assert_eq!(content(&nova.end(&begun, Outcome::Failed).await), content(&failed));
    let begun = nova.rebuild(&instance.id, "").await.unwrap();
    let rebuilt = nova.end(&begun, Outcome::Succeeded).await;
    assert_eq!((rebuilt.state(), rebuilt.task.clone()), (State::Active, None));
    assert!(!rebuilt.system_metadata.keys().any(|key| key.starts_with("old_") || key.starts_with("new_")));
    assert_eq!(rebuilt.flavor.as_ref().unwrap().id, "3");
    assert_wrong_state(&nova.revert(&instance.id).await.unwrap_err(), "ACTIVE", "");

    nova.shelve(&instance.id).await.unwrap();
    let shelved = nova.end(&nova.get(&instance.id).await.unwrap(), Outcome::Succeeded).await;
    nova.report(in_error(&shelved)).await.unwrap();
    let begun = nova.rebuild(&instance.id, "").await.unwrap();
    let again = nova.end(&begun, Outcome::Succeeded).await;
    assert_eq!(again.state(), State::Active);
    assert_eq!(again.system_metadata, rebuilt.system_metadata);
    assert!(nova.glance.find(&shelved.system_metadata["shelved_image_id"]).is_some());
}

async fn a_report_tells_state_host_and_power(db: TestDb) {
    let nova = Nova::start(db).await;
    let created = nova.create_one(of(&nova.glance.with(&[]))).await;
    assert_eq!(created.state(), State::Building);
    let report = ReportInstanceStateRequest {
        state: State::Active.into(),
        host: Some("compute-1".to_owned()),
        power_state: PowerState::Running.into(),
        ..seen(&created)
    };
    let active = nova.report(report.clone()).await.unwrap();
    assert_eq!((active.state(), active.host.as_str()), (State::Active, "compute-1"));
    assert_eq!((active.power_state(), active.revision), (PowerState::Running, 2));
    let same =
        nova.report(ReportInstanceStateRequest { seen_state: State::Active.into(), ..report }).await.unwrap();
    assert_eq!(same, active);
    let stopped = ReportInstanceStateRequest {
        state: State::Stopped.into(),
        power_state: PowerState::Shutdown.into(),
        ..seen(&active)
    };
    let stopped = nova.report(stopped).await.unwrap();
    assert_eq!((stopped.state(), stopped.host.as_str()), (State::Stopped, "compute-1"));
}

async fn a_report_about_another_state_is_refused(db: TestDb) {
    let nova = Nova::start(db).await;
    let created = nova.create_one(of(&nova.glance.with(&[]))).await;
    let active = nova.activate(&created).await;
    let late = ReportInstanceStateRequest { state: State::Error.into(), ..seen(&created) };
    let values = assert_error(&nova.report(late).await.unwrap_err(), Code::Aborted, "STATE_CHANGED");
    assert_eq!((&values["state"], &values["task_state"]), ("ACTIVE", ""));
    assert_eq!(nova.get(&active.id).await.unwrap(), active);
    let safe = |state: State| ReportInstanceStateRequest {
        request_id: "r1".to_owned(),
        state: state.into(),
        ..seen(&active)
    };
    let stopped = nova.report(safe(State::Stopped)).await.unwrap();
    assert_eq!(nova.report(safe(State::Stopped)).await.unwrap(), stopped);
    let again = ReportInstanceStateRequest { id: active.id.to_uppercase(), ..safe(State::Stopped) };
    assert_eq!(nova.report(again).await.unwrap(), stopped, "the id in other letters is the same id");
    let taken = nova.report(safe(State::Error)).await.unwrap_err();
    assert_error(&taken, Code::AlreadyExists, "REQUEST_ID_TAKEN");
}

async fn a_report_that_makes_no_sense_is_refused(db: TestDb) {
    let nova = Nova::start(db).await;
    let created = nova.create_one(of(&nova.glance.with(&[]))).await;
    let nonsense = ReportInstanceStateRequest {
        id: "x".to_owned(),
        state: 99,
        result: 99,
        power_state: 99,
        host: Some("x".repeat(256)),
        ..Default::default()
    };
    let found = fields(&nova.report(nonsense).await.unwrap_err());
    assert_eq!(found, ["id", "seen_state", "state", "result", "power_state", "host"]);
    let report = |state: State, outcome: Outcome, instance: &Instance| ReportInstanceStateRequest {
        state: state.into(),
        result: outcome.into(),
        ..seen(instance)
    };
    let stopped = report(State::Stopped, Outcome::Unspecified, &created);
    assert_eq!(fields(&nova.report(stopped).await.unwrap_err()), ["state"]);
    let ended = report(State::Active, Outcome::Succeeded, &created);
    assert_eq!(fields(&nova.report(ended).await.unwrap_err()), ["result"]);
    let active = nova.activate(&created).await;
    let begun = nova.rebuild(&active.id, "").await.unwrap();
    let meanwhile = report(State::Stopped, Outcome::Unspecified, &begun);
    assert_eq!(fields(&nova.report(meanwhile).await.unwrap_err()), ["state"]);
    let resized = report(State::Resized, Outcome::Succeeded, &begun);
    assert_eq!(fields(&nova.report(resized).await.unwrap_err()), ["state"]);
    assert_eq!(nova.get(&active.id).await.unwrap(), begun);
}
