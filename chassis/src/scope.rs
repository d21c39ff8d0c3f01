//! Which resources a caller sees and changes: the defaults of the policies of Nova and Cinder (current releases).
//!
//! | role | resources of its own project | of others |
//! |---|---|---|
//! | reader | reads | nothing |
//! | member, manager | reads and changes | nothing |
//! | service | reads and reports | reads and reports |
//! | admin | everything | everything |

use std::fmt::Display;

use crate::{caller::Caller, db::QueryBuilder};

/// What the resources are called in sentences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Noun {
    /// One of them, such as `instance`.
    pub one: &'static str,
    /// Several of them, such as `instances`.
    pub many: &'static str,
}

/// Which resources a caller sees, and on which of them it may do what it wants to do. Only this file makes scopes, and
/// whatever reads resources, their history or their requests from a store needs one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    seen: Reach,
    allowed: Option<Reach>,
    noun: Noun,
    /// What the caller wants to do, and what that needs.
    action: &'static str,
    needs: &'static str,
}

/// Some resources.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Reach {
    Project(String),
    All,
}

/// The caller may not do that.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not permitted to {action}: that needs {needs}")]
pub struct NotPermitted {
    /// What it wanted to do.
    pub action: String,
    /// What that needs.
    pub needs: &'static str,
}

impl Scope {
    /// Resources that a caller may read one by one: those of its project; for operators and services, all.
    pub fn read(caller: &Caller, noun: Noun) -> Result<Self, NotPermitted> {
        let seen = seen(caller, "read", noun)?;
        Ok(Self { allowed: Some(seen.clone()), seen, noun, action: "read", needs: READER })
    }

    /// Resources that a caller may change: those of its project, if it is a member; for operators, all.
    pub fn change(caller: &Caller, noun: Noun) -> Result<Self, NotPermitted> {
        let seen = seen(caller, "change", noun)?;
        let allowed = match caller.project() {
            _ if caller.is_admin => Some(Reach::All),
            Some(project) if caller.is_member() => Some(Reach::Project(project.to_owned())),
            _ => None,
        };
        Ok(Self { seen, allowed, noun, action: "change", needs: OWNER })
    }

    /// Resources that a caller may change for their owner: those of its project, if it is a member; for operators and
    /// services, all.
    pub fn serve(caller: &Caller, noun: Noun) -> Result<Self, NotPermitted> {
        let scope = Self::change(caller, noun)?;
        let allowed = if sees_all(caller) { Some(Reach::All) } else { scope.allowed };
        Ok(Self { allowed, ..scope })
    }

    /// Resources whose state a caller may report: for operators and services, all; for others, none.
    pub fn report(caller: &Caller, noun: Noun) -> Result<Self, NotPermitted> {
        let seen = seen(caller, "report", noun)?;
        let allowed = sees_all(caller).then_some(Reach::All);
        Ok(Self { seen, allowed, noun, action: "report the state of", needs: SERVICE })
    }

    /// Resources that a list shows: those of the caller's project. A caller who sees all gets all if it sets
    /// `all_projects`, filters by project, or has no project itself (Nova and Cinder, `all_tenants`).
    pub fn list(
        caller: &Caller,
        noun: Noun,
        all_projects: bool,
        names_project: bool,
    ) -> Result<Self, NotPermitted> {
        let seen = seen(caller, "list", noun)?;
        if all_projects && seen != Reach::All {
            let action = format!("list {} of all projects", noun.many);
            return Err(NotPermitted { action, needs: SERVICE });
        }
        let seen = match caller.project() {
            Some(project) if !all_projects && !names_project => Reach::Project(project.to_owned()),
            _ => seen,
        };
        Ok(Self { allowed: Some(seen.clone()), seen, noun, action: "list", needs: READER })
    }

    /// Resources that a caller may create, and find again by request id: those of its own project.
    pub fn create(caller: &Caller, noun: Noun) -> Result<Self, NotPermitted> {
        let needs = match caller.project() {
            _ if !caller.is_member() => MEMBER,
            None if !caller.is_admin => PROJECT,
            project => {
                let own = Reach::Project(project.unwrap_or_default().to_owned());
                let allowed = Some(own.clone());
                return Ok(Self { seen: own, allowed, noun, action: "create", needs: MEMBER });
            }
        };
        Err(NotPermitted { action: format!("create {}", noun.many), needs })
    }

    /// All resources, for the service's own work: jobs and sweeps.
    #[must_use]
    pub const fn internal(noun: Noun) -> Self {
        Self { seen: Reach::All, allowed: Some(Reach::All), noun, action: "work on", needs: ADMIN }
    }

    /// The only project whose resources are visible; `None` if all are.
    #[must_use]
    pub fn project(&self) -> Option<&str> {
        match &self.seen {
            Reach::All => None,
            Reach::Project(project) => Some(project),
        }
    }

    /// Adds the condition that resources, by their column `project_id`, are visible: ` AND …`, or nothing if all are.
    pub fn push(&self, query: &mut QueryBuilder) {
        if let Some(project) = self.project() {
            query.push(" AND project_id = ").push_bind(project);
        }
    }

    /// The part of it on which the caller may do what it wants to do; `None` if there is none.
    #[must_use]
    pub fn allowed(&self) -> Option<Self> {
        let seen = self.allowed.clone()?;
        Some(Self { seen, ..self.clone() })
    }

    /// Refuses a resource of `project_id` that the caller sees, but on which it must not do what it wants to do.
    pub fn check(&self, id: impl Display, project_id: &str) -> Result<(), NotPermitted> {
        let is_allowed = match &self.allowed {
            Some(Reach::All) => true,
            Some(Reach::Project(project)) => project == project_id,
            None => false,
        };
        if is_allowed {
            return Ok(());
        }
        let action = format!("{} {} {id}", self.action, self.noun.one);
        Err(NotPermitted { action, needs: self.needs })
    }

    /// What page tokens of lists within this scope are bound to, so that nobody can continue somebody else's list.
    #[must_use]
    pub fn binding(&self) -> String {
        self.project().map_or_else(|| "all projects".to_owned(), |project| format!("project {project}"))
    }
}

/// Refuses a caller without the role admin.
pub fn check_admin(caller: &Caller, action: impl Into<String>) -> Result<(), NotPermitted> {
    if caller.is_admin {
        return Ok(());
    }
    Err(NotPermitted { action: action.into(), needs: ADMIN })
}

/// Refuses a caller that is neither an operator nor a service.
pub fn check_service(caller: &Caller, action: impl Into<String>) -> Result<(), NotPermitted> {
    if sees_all(caller) {
        return Ok(());
    }
    Err(NotPermitted { action: action.into(), needs: SERVICE })
}

/// Whether `caller` sees the resources of all projects: it is an operator or a service.
#[must_use]
pub fn sees_all(caller: &Caller) -> bool {
    caller.is_admin || caller.has_role(ROLE_OF_SERVICES)
}

/// What `caller` sees, or why it may not `action` at all.
fn seen(caller: &Caller, action: &str, noun: Noun) -> Result<Reach, NotPermitted> {
    if sees_all(caller) {
        return Ok(Reach::All);
    }
    let needs = match caller.project() {
        Some(project) if caller.is_reader() => return Ok(Reach::Project(project.to_owned())),
        Some(_) => READER,
        None => PROJECT,
    };
    Err(NotPermitted { action: format!("{action} {}", noun.many), needs })
}

/// The role of services, including whatever runs the instances or keeps the volumes (`service_role` of the policies).
const ROLE_OF_SERVICES: &str = "service";

/// What a caller needs for the action that was refused.
const ADMIN: &str = "the role admin";
const MEMBER: &str = "the role member";
const OWNER: &str = "the role member in the project that owns it, or the role admin";
const PROJECT: &str = "a project";
const READER: &str = "the role reader";
const SERVICE: &str = "the role service or admin";
