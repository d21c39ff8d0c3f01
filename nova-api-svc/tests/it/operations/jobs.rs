//! Jobs for glance-svc after a change was written, while it is down, overloaded or its answers are lost; and retries.

use prometheus_client::registry::Registry;
use proto::nova::v1::UnshelveInstanceRequest;

use super::*;
use crate::{glance::Mood, support::assert_retry};

on_both_databases!(
    a_job_that_stays_does_not_delete_what_is_put_away,
    a_retry_answers_with_what_its_own_operation_did,
    a_retry_of_what_is_finished_needs_no_catalogue,
    what_has_begun_is_said_to_have_begun,
    what_may_pass_is_no_refusal,
    a_deletion_waits_for_what_may_pass,
    a_create_waits_for_what_may_pass,
    a_job_rests_longer_after_each_attempt,
    jobs_that_cannot_succeed_do_not_stop_others,
    a_clock_that_was_set_back_stops_no_job,
    one_of_many_replicas_does_a_job,
    what_is_left_undone_is_counted_with_its_reason,
);

/// What the metrics say, of all tests of this process.
fn attempts(outcome: &str, reason: &str) -> u64 {
    let mut registry = Registry::default();
    peers::glance::jobs::register_metrics(&mut registry);
    let text = chassis::metrics::render(&registry);
    let line = format!("imprint_image_jobs_total{{outcome=\"{outcome}\",reason=\"{reason}\"}} ");
    text.lines().find_map(|said| said.strip_prefix(&line)?.parse().ok()).unwrap_or(0)
}

async fn what_is_left_undone_is_counted_with_its_reason(db: TestDb) {
    let (nova, worker) = idle(db, Compute::Agent).await;
    let instance = nova.active(&nova.glance.with(&[])).await;
    let store = &worker.compute.store;
    assert_eq!(store.jobs().outbox.backlog().await.unwrap().jobs, 0);
    let before = attempts("later", "GLANCE_BAD_ANSWER");
    nova.glance.be(Mood::Failing(Status::out_of_range("SECRET")));
    let begun = nova.snapshot(named(&instance.id, "r1")).await.unwrap_err();
    assert_begun(&begun, "SnapshotInstance", "GLANCE_BAD_ANSWER");
    for _ in 0..2 {
        assert_eq!(worker.work_later().await, 1);
    }
    assert!(attempts("later", "GLANCE_BAD_ANSWER") >= before + 3);
    let left = store.jobs().outbox.backlog().await.unwrap();
    assert_eq!(left.jobs, 1);
    assert!(left.oldest >= chrono::TimeDelta::zero(), "{left:?}");
    let done = attempts("done", "");
    nova.glance.be(Mood::Well);
    worker.work_later().await;
    assert!(attempts("done", "") > done);
    assert_eq!(store.jobs().outbox.backlog().await.unwrap().jobs, 0);
}

async fn a_job_that_stays_does_not_delete_what_is_put_away(db: TestDb) {
    let (nova, worker) = idle(db, Compute::Agent).await;
    let instance = nova.active(&nova.glance.with(&[])).await;
    nova.glance.be(Mood::Unheard);
    let unheard = nova.shelve(&instance.id).await.unwrap_err();
    let image_id = assert_begun(&unheard, "ShelveInstance", "GLANCE_UNAVAILABLE");
    nova.glance.be(Mood::Well);
    let begun = nova.get(&instance.id).await.unwrap();
    let shelved = nova.end(&begun, Outcome::Succeeded).await;
    let begun = nova.unshelve(&instance.id).await.unwrap();
    assert_eq!(content(&nova.end(&begun, Outcome::Failed).await), content(&shelved));
    assert_eq!((worker.work_later().await, nova.jobs().await), (1, 0));
    assert!(nova.glance.find(&image_id).is_some(), "its disk is in it");
    let begun = nova.unshelve(&instance.id).await.unwrap();
    assert_eq!(content(&nova.end(&begun, Outcome::Succeeded).await), content(&instance));
    assert_eq!(nova.glance.find(&image_id), None);
}

async fn a_retry_answers_with_what_its_own_operation_did(db: TestDb) {
    let nova = Nova::start(db).await;
    let instance = nova.active(&nova.glance.with(&[])).await;
    let report = |seen: &Instance, result: Outcome, request_id: &str| ReportInstanceStateRequest {
        result: result.into(),
        request_id: request_id.to_owned(),
        ..super::seen(seen)
    };
    let unshelve = || UnshelveInstanceRequest {
        id: instance.id.clone(),
        request_id: "unshelve".to_owned(),
        ..Default::default()
    };
    let snapshot = nova.snapshot(named(&instance.id, "snapshot")).await.unwrap();
    let failed = report(snapshot.instance.as_ref().unwrap(), Outcome::Failed, "failed");
    nova.report(failed.clone()).await.unwrap();
    let begun = nova.shelve_again(&instance.id, "shelve").await.unwrap();
    let succeeded = report(&begun, Outcome::Succeeded, "succeeded");
    nova.report(succeeded.clone()).await.unwrap();
    let begun = nova.instances().unshelve_instance(by_alice(unshelve())).await.unwrap().into_inner();
    let failed_again = report(&begun, Outcome::Failed, "failed again");
    let now = nova.report(failed_again.clone()).await.unwrap();
    for report in [failed, succeeded, failed_again] {
        assert_eq!(nova.report(report).await.unwrap(), now);
    }
    assert_eq!(nova.shelve_again(&instance.id, "shelve").await.unwrap(), now);
    assert_eq!(nova.instances().unshelve_instance(by_alice(unshelve())).await.unwrap().into_inner(), now);
    let again = nova.snapshot(named(&instance.id, "snapshot")).await.unwrap();
    assert_eq!((again.image_id, again.instance), (snapshot.image_id, Some(now)));
}

async fn a_retry_of_what_is_finished_needs_no_catalogue(db: TestDb) {
    let (nova, worker) = idle(db, Compute::None).await;
    let instance = nova.active(&nova.glance.with(&[])).await;
    let shelved = nova.shelve(&instance.id).await.unwrap();
    nova.glance.be(Mood::Failing(Status::unavailable("SECRET")));
    let request = UnshelveInstanceRequest {
        id: instance.id.clone(),
        request_id: "r1".to_owned(),
        ..Default::default()
    };
    for _ in 0..2 {
        let back = nova.instances().unshelve_instance(by_alice(request.clone())).await.unwrap();
        assert_eq!(content(&back.into_inner()), content(&instance));
    }
    let image_id = &shelved.system_metadata["shelved_image_id"];
    assert!(nova.glance.find(image_id).is_some());
    nova.glance.be(Mood::Well);
    assert_eq!((worker.work_later().await, nova.jobs().await), (1, 0));
    assert_eq!(nova.glance.find(image_id), None);
}

async fn what_has_begun_is_said_to_have_begun(db: TestDb) {
    let (nova, worker) = idle(db, Compute::None).await;
    let instance = nova.active(&nova.glance.with(&[])).await;
    nova.glance.be(Mood::Failing(Status::unavailable("SECRET")));
    let away = nova.snapshot(named(&instance.id, "r1")).await.unwrap_err();
    let image_id = assert_begun(&away, "SnapshotInstance", "GLANCE_UNAVAILABLE");
    let waiting = nova.get(&instance.id).await.unwrap();
    assert_eq!(waiting.task.unwrap().snapshot_image_id, image_id);
    nova.glance.be(Mood::Hanging);
    let mut request = by_alice(named(&instance.id, "r1"));
    request.set_timeout(Duration::from_secs(1));
    let late = nova.instances().snapshot_instance(request).await.unwrap_err();
    assert_eq!(assert_begun(&late, "SnapshotInstance", "GLANCE_TIMEOUT"), image_id);
    nova.glance.be(Mood::Well);
    assert_eq!((worker.work_later().await, nova.jobs().await), (1, 0));
    assert!(nova.glance.find(&image_id).is_some());
    let done = nova.snapshot(named(&instance.id, "r1")).await.unwrap();
    assert_eq!((&done.image_id, content(&done.instance.unwrap())), (&image_id, content(&instance)));

    nova.glance.be(Mood::Failing(Status::internal("SECRET")));
    let away = nova.shelve_again(&instance.id, "r2").await.unwrap_err();
    let image_id = assert_begun(&away, "ShelveInstance", "GLANCE_BAD_ANSWER");
    nova.glance.be(Mood::Well);
    let shelved = nova.shelve_again(&instance.id, "r2").await.unwrap();
    assert_eq!(shelved.system_metadata["shelved_image_id"], image_id);
}

async fn what_may_pass_is_no_refusal(db: TestDb) {
    let (nova, worker) = idle(db, Compute::None).await;
    let instance = nova.active(&nova.glance.with(&[])).await;
    nova.glance.be(Mood::FailingFirst(1, rate_limited()));
    nova.snapshot(named(&instance.id, "")).await.unwrap();
    let (soon, none) = (Some(Duration::from_millis(1)), None);
    for (status, cause) in [
        (rate_limited(), "GLANCE_UNAVAILABLE"),
        (told(Code::Unavailable, "OVERLOADED", soon), "GLANCE_UNAVAILABLE"),
        (told(Code::DeadlineExceeded, "DEADLINE_EXCEEDED", none), "GLANCE_TIMEOUT"),
        (told(Code::Internal, "INTERNAL", none), "GLANCE_BAD_ANSWER"),
        (Status::resource_exhausted("SECRET of a proxy"), "GLANCE_UNAVAILABLE"),
        (Status::permission_denied("SECRET of a proxy"), "GLANCE_BAD_ANSWER"),
    ] {
        nova.glance.be(Mood::Failing(status));
        let begun = nova.snapshot(named(&instance.id, "")).await.unwrap_err();
        let image_id = assert_begun(&begun, "SnapshotInstance", cause);
        nova.glance.be(Mood::Well);
        assert_eq!((worker.work_later().await, nova.jobs().await), (1, 0));
        assert!(nova.glance.find(&image_id).is_some());
        assert_eq!(content(&nova.get(&instance.id).await.unwrap()), content(&instance));
    }
}

async fn a_deletion_waits_for_what_may_pass(db: TestDb) {
    let (nova, worker) = idle(db, Compute::Agent).await;
    let instance = nova.active(&nova.glance.with(&[])).await;
    for (status, stays) in [
        (rate_limited(), false),
        (told(Code::ResourceExhausted, "OVERLOADED", None), false),
        (Status::permission_denied("SECRET of a proxy"), false),
        (told(Code::FailedPrecondition, "IMAGE_PROTECTED", None), true),
        (told(Code::PermissionDenied, "NOT_PERMITTED", None), true),
    ] {
        let begun = nova.snapshot(named(&instance.id, "")).await.unwrap();
        nova.glance.be(Mood::Failing(status));
        nova.end(&begun.instance.unwrap(), Outcome::Failed).await;
        assert_eq!(nova.jobs().await, i64::from(!stays));
        nova.glance.be(Mood::Well);
        assert_eq!(worker.work_later().await, usize::from(!stays));
        assert_eq!((nova.glance.find(&begun.image_id).is_some(), nova.jobs().await), (stays, 0));
    }
}

async fn a_create_waits_for_what_may_pass(db: TestDb) {
    let nova = Nova::start(db).await;
    let image = nova.glance.with(&[]);
    nova.glance.be(Mood::FailingFirst(1, rate_limited()));
    nova.create_one(of(&image)).await;
    assert_eq!(nova.glance.calls().len(), 2);
    let later = told(Code::ResourceExhausted, "RATE_LIMITED", Some(Duration::from_secs(40)));
    nova.glance.be(Mood::Failing(later));
    let status = nova.create(of(&image)).await.unwrap_err();
    assert_error(&status, Code::Unavailable, "GLANCE_UNAVAILABLE");
    let delay = status.get_details_retry_info().unwrap().retry_delay;
    assert_eq!(delay, Some(Duration::from_secs(40)));
    nova.glance.be(Mood::Failing(told(Code::ResourceExhausted, "RATE_LIMITED", None)));
    let status = nova.create(of(&image)).await.unwrap_err();
    assert_retry(&status, Code::Unavailable, "GLANCE_UNAVAILABLE");
}

async fn a_job_rests_longer_after_each_attempt(db: TestDb) {
    let (nova, worker) = idle(db, Compute::None).await;
    let instance = nova.active(&nova.glance.with(&[])).await;
    nova.glance.be(Mood::Failing(Status::unavailable("SECRET")));
    nova.snapshot(named(&instance.id, "")).await.unwrap_err();
    // It pauses, whichever replica looks for jobs.
    assert_eq!(worker.work().await, 0);
    for attempts in 2..6 {
        assert_eq!((worker.work_later().await, worker.work().await), (1, 0));
        assert_eq!(nova.sql::<(i64,)>("SELECT attempts FROM image_jobs").await, [(attempts,)]);
    }
    nova.glance.be(Mood::Well);
    assert_eq!((worker.work_later().await, nova.jobs().await), (1, 0));
    assert_eq!(content(&nova.get(&instance.id).await.unwrap()), content(&instance));
}

async fn jobs_that_cannot_succeed_do_not_stop_others(db: TestDb) {
    let (nova, worker) = idle(db, Compute::None).await;
    let instance = nova.active(&nova.glance.with(&[])).await;
    nova.glance.be(Mood::Failing(Status::unavailable("SECRET")));
    let begun = nova.snapshot(named(&instance.id, "")).await.unwrap_err();
    let image_id = assert_begun(&begun, "SnapshotInstance", "GLANCE_UNAVAILABLE");
    // Those of a release to come, all of them older.
    let old: Vec<_> = (0..150)
        .map(|_| {
            let id = common::id::Id::random();
            format!(
                "INSERT INTO image_jobs (image_id, instance_id, action, image, user_id, project_id, roles, \
                 create_time) VALUES ('{id}', '{id}', 'export', '', '', '', '', '2026-01-01T00:00:00+00:00');"
            )
        })
        .collect();
    execute(&nova.db.url, &old.concat()).await;
    execute(&nova.db.url, "UPDATE image_jobs SET next_try = 1 WHERE action = 'create'").await;
    nova.glance.be(Mood::Well);
    while nova.glance.find(&image_id).is_none() {
        worker.work().await;
        assert!(nova.sql::<(i64,)>("SELECT MAX(attempts) FROM image_jobs").await[0].0 <= 2, "it starves");
    }
    assert_eq!(nova.jobs().await, 150);
}

async fn a_clock_that_was_set_back_stops_no_job(db: TestDb) {
    let (nova, worker) = idle(db, Compute::None).await;
    let instance = nova.active(&nova.glance.with(&[])).await;
    nova.glance.be(Mood::Failing(Status::unavailable("SECRET")));
    nova.snapshot(named(&instance.id, "")).await.unwrap_err();
    nova.glance.be(Mood::Well);
    execute(&nova.db.url, "UPDATE image_jobs SET next_try = next_try + 3600000000").await;
    assert_eq!((worker.work().await, nova.jobs().await), (1, 0));
}

async fn one_of_many_replicas_does_a_job(db: TestDb) {
    let (nova, worker) = idle(db, Compute::None).await;
    let mut begun = 0;
    nova.glance.be(Mood::Well);
    let image = nova.glance.with(&[]);
    for _ in 0..8 {
        let instance = nova.active(&image).await;
        nova.glance.be(Mood::Failing(Status::unavailable("SECRET")));
        nova.snapshot(named(&instance.id, "")).await.unwrap_err();
        nova.glance.be(Mood::Well);
        begun += 1;
    }
    let more = (0..3).map(|_| Worker::of(&nova, Compute::None));
    let mut workers = futures_util::future::join_all(more).await;
    workers.push(worker);
    execute(&nova.db.url, "UPDATE image_jobs SET next_try = 0").await;
    let done = futures_util::future::join_all(workers.iter().map(Worker::work)).await;
    assert_eq!((done.iter().sum::<usize>(), nova.jobs().await), (begun, 0));
    assert_eq!(nova.glance.changes(), (2 * begun, 0), "each was tried once in its request, and once later");
}
