//! Quotas.

use chassis::{on_both_databases, testing::TestDb};
use cinder_svc::quota::Quota as Limits;
use futures_util::future::join_all;
use proto::cinder::v1::{
    CreateVolumeRequest, GetQuotaRequest, QuotaLimit, UpdateQuotaRequest, VolumeType,
    volume_service_client::VolumeServiceClient,
};
use tonic::{Code, Status};

use crate::support::{Cinder, Settings, as_admin, assert_error, assert_violation, fields, made_as};

on_both_databases!(
    a_quota_shows_limits_and_what_is_used,
    each_resource_is_limited,
    a_limit_of_a_project_beats_the_configured_one,
    what_is_wrong_with_limits_is_told_at_once,
    a_project_sees_its_own_quota_and_admins_see_all,
    two_replicas_never_use_the_last_of_it_twice,
    a_project_without_limits_is_not_locked,
);

const FIVE_VOLUMES: Limits =
    Limits { volumes: Some(5), snapshots: None, gigabytes: None, per_volume_gigabytes: None };

async fn quota(cinder: &Cinder, project: &str) -> Vec<(String, i64, i64)> {
    let request = made_as("alice", project, "reader", GetQuotaRequest::default());
    let quota = cinder.quotas().get_quota(request).await.unwrap().into_inner();
    assert_eq!(quota.project_id, project);
    quota.limits.into_iter().map(|limit| (limit.resource, limit.limit, limit.used)).collect()
}

async fn set(cinder: &Cinder, limits: &[(&str, i64)], reset: &[&str]) -> Result<(), Status> {
    let limit = |(resource, limit): &(&str, i64)| QuotaLimit {
        resource: (*resource).to_owned(),
        limit: *limit,
        used: 0,
    };
    let request = UpdateQuotaRequest {
        project_id: "demo".to_owned(),
        limits: limits.iter().map(limit).collect(),
        reset: reset.iter().map(|resource| (*resource).to_owned()).collect(),
    };
    cinder.quotas().update_quota(as_admin(request)).await.map(drop)
}

/// The resource that a blank volume of demo exceeds, if it is refused.
async fn exceeded(cinder: &Cinder, size_gib: i32, volume_type: &str) -> Option<String> {
    let refused = cinder.blank("demo", size_gib, volume_type).await.err()?;
    let values = assert_error(&refused, Code::ResourceExhausted, "QUOTA_EXCEEDED");
    Some(values["resource"].to_owned())
}

fn named(name: &str) -> VolumeType {
    VolumeType { name: name.to_owned(), is_public: true, ..VolumeType::default() }
}

async fn a_quota_shows_limits_and_what_is_used(db: TestDb) {
    let quota_of_all = Limits { gigabytes: Some(100), ..FIVE_VOLUMES };
    let cinder = Cinder::start_with(db, Settings { quota: quota_of_all, ..Settings::default() }).await;
    cinder.volume_type(named("ssd")).await.unwrap();
    cinder.blank("demo", 3, "ssd").await.unwrap();
    cinder.blank("demo", 4, "").await.unwrap();
    cinder.blank("other", 9, "").await.unwrap();
    set(&cinder, &[("snapshots_ssd", 0)], &[]).await.unwrap();
    let expected = [
        ("gigabytes", 100, 7),
        ("gigabytes___DEFAULT__", -1, 4),
        ("gigabytes_ssd", -1, 3),
        ("per_volume_gigabytes", -1, 0),
        ("snapshots", -1, 0),
        ("snapshots___DEFAULT__", -1, 0),
        ("snapshots_ssd", 0, 0),
        ("volumes", 5, 2),
        ("volumes___DEFAULT__", -1, 1),
        ("volumes_ssd", -1, 1),
    ];
    let expected = expected.map(|(resource, limit, used)| (resource.to_owned(), limit, used));
    assert_eq!(quota(&cinder, "demo").await, expected);
}

async fn each_resource_is_limited(db: TestDb) {
    let cinder = Cinder::start(db).await;
    cinder.volume_type(named("ssd")).await.unwrap();
    let mut used = Vec::new();
    for (resource, limit, size_gib, volume_type) in [
        ("volumes", 0, 1, ""),
        ("gigabytes", 4, 5, ""),
        ("per_volume_gigabytes", 4, 5, ""),
        ("volumes_ssd", 0, 1, "ssd"),
        ("gigabytes_ssd", 4, 5, "ssd"),
    ] {
        set(&cinder, &[(resource, limit)], &[]).await.unwrap();
        assert_eq!(exceeded(&cinder, size_gib, volume_type).await.as_deref(), Some(resource));
        set(&cinder, &[], &[resource]).await.unwrap();
        used.push(cinder.blank("demo", size_gib, volume_type).await.unwrap());
        cinder.delete(&used.pop().unwrap().id).await.unwrap();
    }
    // Validating takes nothing, and refuses the same.
    set(&cinder, &[("volumes", 0)], &[]).await.unwrap();
    let request =
        CreateVolumeRequest { size_gib: Some(1), validate_only: true, ..CreateVolumeRequest::default() };
    let refused = cinder.volumes().create_volume(made_as("alice", "demo", "member", request)).await;
    assert_error(&refused.unwrap_err(), Code::ResourceExhausted, "QUOTA_EXCEEDED");
}

async fn a_limit_of_a_project_beats_the_configured_one(db: TestDb) {
    let cinder = Cinder::start_with(db, Settings { quota: FIVE_VOLUMES, ..Settings::default() }).await;
    set(&cinder, &[("volumes", 1)], &[]).await.unwrap();
    assert_eq!(exceeded(&cinder, 1, "").await, None);
    assert_eq!(exceeded(&cinder, 1, "").await.as_deref(), Some("volumes"));
    set(&cinder, &[("volumes", -1)], &[]).await.unwrap();
    for _ in 0..5 {
        assert_eq!(exceeded(&cinder, 1, "").await, None);
    }
    set(&cinder, &[], &["volumes"]).await.unwrap();
    assert_eq!(exceeded(&cinder, 1, "").await.as_deref(), Some("volumes"));
    cinder.blank("other", 1, "").await.unwrap();
}

async fn what_is_wrong_with_limits_is_told_at_once(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let limits = [("cores", 1), ("volumes", -2), ("gigabytes", 1), ("gigabytes", 2)];
    let refused = set(&cinder, &limits, &["volumes"]).await.unwrap_err();
    let expected =
        ["limits[\"cores\"]", "limits[\"volumes\"]", "limits[\"gigabytes\"]", "reset[\"volumes\"]"];
    assert_eq!(fields(&refused), expected);
    let refused = set(&cinder, &[("volumes", 7), ("volumes_ssd", 1)], &[]).await.unwrap_err();
    assert_violation(&refused, "limits[\"volumes_ssd\"]", "no volume type");
    assert!(quota(&cinder, "demo").await.contains(&("volumes".to_owned(), -1, 0)));
    let nobody = as_admin(UpdateQuotaRequest::default());
    assert_eq!(fields(&cinder.quotas().update_quota(nobody).await.unwrap_err()), ["project_id"]);
}

async fn a_project_sees_its_own_quota_and_admins_see_all(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let of = |project: &str| GetQuotaRequest { project_id: project.to_owned() };
    cinder.quotas().get_quota(as_admin(of("demo"))).await.unwrap();
    cinder.quotas().get_quota(made_as("alice", "demo", "reader", of("demo"))).await.unwrap();
    for (roles, project) in [("member", "other"), ("service", "other"), ("none", "demo")] {
        let refused = cinder.quotas().get_quota(made_as("alice", "demo", roles, of(project))).await;
        assert_error(&refused.unwrap_err(), Code::PermissionDenied, "NOT_PERMITTED");
    }
    for roles in ["member", "manager", "service"] {
        let request = UpdateQuotaRequest { project_id: "demo".to_owned(), ..UpdateQuotaRequest::default() };
        let refused = cinder.quotas().update_quota(made_as("alice", "demo", roles, request)).await;
        assert_error(&refused.unwrap_err(), Code::PermissionDenied, "NOT_PERMITTED");
    }
}

async fn two_replicas_never_use_the_last_of_it_twice(db: TestDb) {
    let settings = Settings { quota: FIVE_VOLUMES, ..Settings::default() };
    let cinder = Cinder::start_with(db, Settings { quota: FIVE_VOLUMES, ..Settings::default() }).await;
    let other = VolumeServiceClient::new(cinder.replica(&settings).await);
    let create = |mut client: VolumeServiceClient<_>| async move {
        let request = CreateVolumeRequest { size_gib: Some(1), ..CreateVolumeRequest::default() };
        client.create_volume(made_as("alice", "demo", "member", request)).await
    };
    let clients = (0..32).map(|number| if number % 2 == 0 { cinder.volumes() } else { other.clone() });
    let created = join_all(clients.map(create)).await;
    assert_eq!(created.iter().filter(|created| created.is_ok()).count(), 5);
    for refused in created.into_iter().filter_map(Result::err) {
        assert_error(&refused, Code::ResourceExhausted, "QUOTA_EXCEEDED");
    }
    assert!(quota(&cinder, "demo").await.contains(&("volumes".to_owned(), 5, 5)));
}

async fn a_project_without_limits_is_not_locked(db: TestDb) {
    let cinder = Cinder::start(db).await;
    cinder.blank("demo", 1, "").await.unwrap();
    assert_eq!(cinder.count("SELECT COUNT(*) FROM quota_projects").await, 0);
    set(&cinder, &[("volumes", 9)], &[]).await.unwrap();
    cinder.blank("demo", 1, "").await.unwrap();
    cinder.blank("other", 1, "").await.unwrap();
    assert_eq!(cinder.count("SELECT COUNT(*) FROM quota_projects").await, 1);
}
