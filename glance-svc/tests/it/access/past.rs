//! The past of an image that changes hands: nobody reads what it could not see then, or may not see now.

use std::collections::{BTreeMap, BTreeSet};

use chassis::{on_both_databases, testing::TestDb};
use proto::glance::v1::{ImageRevision, ListImageRevisionsRequest};
use serde_json::json;

use super::{HOMELESS, revisions::at};
use crate::support::{DONE, Who, World, image_path, over_grpc};

on_both_databases!(nobody_reads_more_of_the_past_than_it_saw);

const CALLERS: [Who; 6] = [Who::OWNER, Who::READER, Who::STRANGER, Who::ACCEPTED, Who::PENDING, HOMELESS];

/// Who owns the image and who sees it, revision by revision.
struct Past {
    id: String,
    states: Vec<(&'static str, &'static str)>,
    members: BTreeSet<&'static str>,
    /// The revisions that callers have read while they were there, by user; `true` for those that they saw as members.
    seen: BTreeMap<&'static str, BTreeMap<i64, bool>>,
}

impl Past {
    async fn begin(world: &World) -> Self {
        let first = json!({"name": "cirros", "visibility": "private", "secret": "secret-1."});
        let id = crate::support::id_of(&world.http(Who::OWNER).create(first).await);
        Self { id, states: vec![("owner", "private")], members: BTreeSet::new(), seen: BTreeMap::new() }
    }

    fn now(&self) -> (&'static str, &'static str) {
        *self.states.last().unwrap()
    }

    fn revision(&self) -> i64 {
        i64::try_from(self.states.len()).unwrap()
    }

    /// Changes it: each change also changes a secret.
    async fn step(&mut self, world: &World, dice: &mut Dice) {
        let (owner, visibility) = self.now();
        let next = match dice.below(4) {
            0 => (dice.one_of(&["owner", "stranger", "accepted", ""]), visibility),
            1 | 2 => (owner, dice.one_of(&["private", "shared", "shared", "community", "public"])),
            _ if visibility == "shared" => {
                return self.share(world, dice.one_of(&["accepted", "pending"])).await;
            }
            _ => (owner, visibility),
        };
        self.states.push(next);
        let given = if next.0.is_empty() { json!(null) } else { json!(next.0) };
        let secret = match self.revision() % 3 {
            0 => json!({"op": "remove", "path": "/secret"}),
            _ => json!({"op": "add", "path": "/secret", "value": format!("secret-{}.", self.revision())}),
        };
        let patch = json!([{"op": "replace", "path": "/owner", "value": given},
                           {"op": "replace", "path": "/visibility", "value": next.1}, secret]);
        world.http(Who::ADMIN).patch(&self.id, patch).await.is(200);
    }

    /// Shares it with a project, or no longer.
    async fn share(&mut self, world: &World, project: &'static str) {
        let (http, members) = (world.http(Who::ADMIN), format!("{}/members", image_path(&self.id)));
        if self.members.insert(project) {
            http.post(&members, json!({"member": project})).await.is(200);
            return;
        }
        self.members.remove(project);
        http.delete(&format!("{members}/{project}")).await.is(204);
        // A member that is added again counts from then on.
        let of_project = CALLERS.into_iter().filter(|who| who.project == project);
        for who in of_project {
            self.seen.entry(who.user).or_default().retain(|_, as_member| !*as_member);
        }
    }

    /// Notes who sees it as it is now.
    async fn look(&mut self, world: &World) {
        let ((owner, visibility), revision) = (self.now(), self.revision());
        for who in CALLERS {
            if at(world, who, &self.id, 0).await == DONE {
                let as_member = visibility == "shared" && owner != who.project && !owner.is_empty();
                self.seen.entry(who.user).or_default().insert(revision, as_member);
            }
        }
    }

    /// Whether the project of a caller owned it after that revision.
    fn is_managed(&self, who: Who, revision: i64) -> bool {
        let state = usize::try_from(revision - 1).ok().and_then(|index| self.states.get(index));
        state.is_some_and(|(owner, _)| !owner.is_empty() && *owner == who.project)
    }

    /// Every caller tries every revision, and history.
    async fn check(&self, world: &World, is_deleted: bool) {
        let all = history(world, Who::ADMIN, &self.id).await.unwrap();
        for who in CALLERS {
            let seen = self.seen.get(who.user).cloned().unwrap_or_default();
            let manages = self.is_managed(who, self.revision());
            let is_shown = if is_deleted { manages } else { seen.contains_key(&self.revision()) };
            for revision in 1..=self.revision() {
                let expected =
                    if is_shown && seen.contains_key(&revision) { DONE } else { "IMAGE_NOT_FOUND" };
                let states = &self.states;
                assert_eq!(
                    at(world, who, &self.id, revision).await,
                    expected,
                    "{revision} of {states:?} by {who:?}"
                );
            }
            match history(world, who, &self.id).await {
                Ok(told) => {
                    assert!(manages, "{who:?} of {:?}", self.states);
                    self.check_history(who, &told, &all);
                }
                Err(refused) => {
                    assert!(!manages, "{who:?} of {:?}", self.states);
                    assert_eq!(refused, if is_shown { "NOT_PERMITTED" } else { "IMAGE_NOT_FOUND" });
                }
            }
        }
    }

    fn check_history(&self, who: Who, told: &[ImageRevision], all: &[ImageRevision]) {
        let last = self.revision();
        // The deletion is the last one, and changes no owner.
        let owned = |revision: i64| self.is_managed(who, revision.min(last));
        let expected = all.iter().filter(|entry| owned(entry.revision)).map(|entry| entry.revision);
        assert!(expected.eq(told.iter().map(|entry| entry.revision)), "{:?} to {who:?}", self.states);
        for entry in told {
            let whole = all.iter().find(|whole| whole.revision == entry.revision).unwrap();
            if owned(entry.revision - 1) {
                assert_eq!(entry, whole);
            }
            let text = format!("{entry:?}");
            for hidden in (1..=last).filter(|revision| !owned(*revision)) {
                assert!(!text.contains(&format!("secret-{hidden}.")), "{text} to {who:?}");
            }
            assert!(entry.changes.iter().all(|change| {
                whole
                    .changes
                    .iter()
                    .any(|one| one.subject == change.subject && one.new_value == change.new_value)
            }));
            let is_first = !owned(entry.revision - 1);
            assert!(!is_first || entry.changes.iter().all(|change| change.old_value.is_none()), "{text}");
        }
    }
}

/// Pseudo-random numbers, the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }

    fn one_of(&mut self, names: &[&'static str]) -> &'static str {
        names[self.below(names.len())]
    }
}

/// The history that a caller sees, in pages of two; hidden revisions affect no page and no token.
async fn history(world: &World, who: Who, id: &str) -> Result<Vec<ImageRevision>, String> {
    let mut request =
        ListImageRevisionsRequest { image_id: id.to_owned(), page_size: 2, ..Default::default() };
    let mut told = Vec::new();
    loop {
        let answer = world.grpc(who).list_image_revisions(request.clone()).await;
        let Ok(answer) = answer else { return Err(over_grpc(answer)) };
        let page = answer.into_inner();
        told.extend(page.revisions.iter().cloned());
        if page.next_page_token.is_empty() {
            return Ok(told);
        }
        assert_eq!(page.revisions.len(), 2, "a page that is not the last one is full");
        request.page_token = page.next_page_token;
    }
}

async fn nobody_reads_more_of_the_past_than_it_saw(db: TestDb) {
    let world = World::start(db).await;
    for seed in [15, 151, 1515] {
        let (mut past, mut dice) = (Past::begin(&world).await, Dice(seed));
        past.look(&world).await;
        for step in 1..=24 {
            past.step(&world, &mut dice).await;
            past.look(&world).await;
            if step % 8 == 0 {
                past.check(&world, false).await;
            }
        }
        world.http(Who::ADMIN).delete(&image_path(&past.id)).await.is(204);
        past.check(&world, true).await;
    }
}
