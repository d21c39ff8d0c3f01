//! What is reported by whatever runs the instances.

use proto::nova::v1::PowerState;

use super::*;
use crate::support::fields;

on_both_databases!(
    a_report_tells_state_host_and_power,
    a_report_about_another_state_is_refused,
    a_report_that_makes_no_sense_is_refused,
);

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
    let meanwhile = report(State::Error, Outcome::Unspecified, &begun);
    assert_eq!(fields(&nova.report(meanwhile).await.unwrap_err()), ["state"]);
    let resized = report(State::Resized, Outcome::Succeeded, &begun);
    assert_eq!(fields(&nova.report(resized).await.unwrap_err()), ["state"]);
    assert_eq!(nova.get(&active.id).await.unwrap(), begun);
}
