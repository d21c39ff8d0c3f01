//! Who may see and change instances and flavors: the defaults of Nova's policy (current release).
//!
//! | role | instances of its own project | of others |
//! |---|---|---|
//! | reader | reads | nothing |
//! | member, manager | reads and changes | nothing |
//! | service | reads and reports | reads and reports |
//! | admin | everything | everything |

use chassis::caller::Caller;

use super::Instance;
use crate::error::Error;

/// Which instances a caller sees, and on which of them it may do what it wants to do. Only this file makes scopes, and
/// whatever reads instances, their history or their requests from the store needs one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    seen: Reach,
    allowed: Option<Reach>,
    /// What the caller wants to do, and what that needs.
    action: &'static str,
    needs: &'static str,
}

/// Some instances.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Reach {
    Project(String),
    All,
}

impl Scope {
    /// Instances that a caller may read one by one: those of its project; for operators and services, all.
    pub fn read(caller: &Caller) -> Result<Self, Error> {
        let seen = seen(caller, "read instances")?;
        Ok(Self { allowed: Some(seen.clone()), seen, action: "read", needs: READER })
    }

    /// Instances that a caller may change: those of its project, if it is a member; for operators, all.
    pub fn change(caller: &Caller) -> Result<Self, Error> {
        let seen = seen(caller, "change instances")?;
        let allowed = match caller.project() {
            _ if caller.is_admin => Some(Reach::All),
            Some(project) if caller.is_member() => Some(Reach::Project(project.to_owned())),
            _ => None,
        };
        Ok(Self { seen, allowed, action: "change", needs: OWNER })
    }

    /// Instances whose state a caller may report: for operators and services, all; for others, none.
    pub fn report(caller: &Caller) -> Result<Self, Error> {
        let seen = seen(caller, "report instances")?;
        let allowed = sees_all(caller).then_some(Reach::All);
        Ok(Self { seen, allowed, action: "report the state of", needs: SERVICE })
    }

    /// Instances that a list shows: those of the caller's project. A caller who sees all gets all if it sets `all_projects`,
    /// filters by project, or has no project itself (Nova, `all_tenants`).
    pub fn list(caller: &Caller, all_projects: bool, names_project: bool) -> Result<Self, Error> {
        let seen = seen(caller, "list instances")?;
        if all_projects && seen != Reach::All {
            let action = "list instances of all projects".to_owned();
            return Err(Error::NotPermitted { action, needs: SERVICE });
        }
        let seen = match caller.project() {
            Some(project) if !all_projects && !names_project => Reach::Project(project.to_owned()),
            _ => seen,
        };
        Ok(Self { allowed: Some(seen.clone()), seen, action: "list", needs: READER })
    }

    /// Instances that a caller may create, and find again by request id: those of its own project.
    pub fn create(caller: &Caller) -> Result<Self, Error> {
        let needs = match caller.project() {
            _ if !caller.is_member() => MEMBER,
            None if !caller.is_admin => PROJECT,
            project => {
                let own = Reach::Project(project.unwrap_or_default().to_owned());
                return Ok(Self { seen: own.clone(), allowed: Some(own), action: "create", needs: MEMBER });
            }
        };
        Err(Error::NotPermitted { action: "create instances".to_owned(), needs })
    }

    /// All instances, for the service's own work: jobs and sweeps.
    #[must_use]
    pub const fn internal() -> Self {
        Self { seen: Reach::All, allowed: Some(Reach::All), action: "work on", needs: ADMIN }
    }

    /// The only project whose instances are visible; `None` if all are.
    #[must_use]
    pub fn project(&self) -> Option<&str> {
        match &self.seen {
            Reach::All => None,
            Reach::Project(project) => Some(project),
        }
    }

    /// The part of it on which the caller may do what it wants to do; `None` if there is none.
    #[must_use]
    pub fn allowed(&self) -> Option<Self> {
        let seen = self.allowed.clone()?;
        Some(Self { seen, ..self.clone() })
    }

    /// Refuses an instance that the caller sees, but on which it must not do what it wants to do.
    pub fn check(&self, instance: &Instance) -> Result<(), Error> {
        let is_allowed = match &self.allowed {
            Some(Reach::All) => true,
            Some(Reach::Project(project)) => **project == *instance.project_id,
            None => false,
        };
        if is_allowed {
            return Ok(());
        }
        let action = format!("{} instance {}", self.action, instance.id);
        Err(Error::NotPermitted { action, needs: self.needs })
    }

    /// What page tokens of lists within this scope are bound to, so that nobody can continue somebody else's list.
    #[must_use]
    pub fn binding(&self) -> String {
        self.project().map_or_else(|| "all projects".to_owned(), |project| format!("project {project}"))
    }
}

/// Whether `caller` sees the instances of all projects: it is an operator or a service.
fn sees_all(caller: &Caller) -> bool {
    caller.is_admin || caller.has_role(ROLE_OF_SERVICES)
}

/// What `caller` sees, or why it may not `action` at all.
fn seen(caller: &Caller, action: &str) -> Result<Reach, Error> {
    if sees_all(caller) {
        return Ok(Reach::All);
    }
    let needs = match caller.project() {
        Some(project) if caller.is_reader() => return Ok(Reach::Project(project.to_owned())),
        Some(_) => READER,
        None => PROJECT,
    };
    Err(Error::NotPermitted { action: action.to_owned(), needs })
}

/// Whether `caller` may add and delete flavors; everybody may read them.
pub fn check_flavor_change(caller: &Caller) -> Result<(), Error> {
    if caller.is_admin {
        return Ok(());
    }
    Err(Error::NotPermitted { action: "change flavors".to_owned(), needs: ADMIN })
}

/// The role of services, including whatever runs the instances (Nova's policy, `service_role`).
const ROLE_OF_SERVICES: &str = "service";

/// What a caller needs for the action that was refused.
const ADMIN: &str = "the role admin";
const MEMBER: &str = "the role member";
const OWNER: &str = "the role member in the project that owns it, or the role admin";
const PROJECT: &str = "a project";
const READER: &str = "the role reader";
const SERVICE: &str = "the role service or admin";
