//! OpenStack's own Keystone, at which real clients log in, and with which the services validate tokens.

use std::{
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{http, identity::PASSWORD, program, service::Service, tools, workspace};

/// The script that prepares and serves it.
const SCRIPT: &str = include_str!("../python/openstack_keystone.py");

/// The path at which tokens are issued and revoked.
const TOKENS: &str = "/v3/auth/tokens";

/// Lifetime of its tokens, in seconds.
const LIFETIME: u32 = 3600;

/// A Keystone with accounts of its own; it is stopped when dropped.
///
/// `demo` and `demo_reader` are users of the project `demo`; `alt_demo` and `admin` each have their own project. The services'
/// users are `glance`, with the role `service`, and `nova`, which is an admin as well. All have [`PASSWORD`].
pub struct Keystone {
    server: Service,
    folder: TempDir,
}

impl Keystone {
    /// Starts one on a free port.
    pub fn start() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        copy(&prepared()?, folder.path())?;
        let server = serve(folder.path(), 0, LIFETIME)?;
        Ok(Self { server, folder })
    }

    /// The URL of its API version 3.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/v3", self.address())
    }

    /// The address it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Sets the endpoint of a service type, `image` or `compute`, in its catalogue.
    pub fn publish(&self, kind: &str, url: &str) -> anyhow::Result<()> {
        program::run(script()?.arg("publish").arg(self.folder.path()).args([kind, url]))?;
        Ok(())
    }

    /// Kills it.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.server.kill()
    }

    /// Restarts it at the same address; from now on, its tokens last for this many seconds.
    pub fn start_again(&mut self, lifetime: u32) -> anyhow::Result<()> {
        self.server.kill()?;
        self.server = serve(self.folder.path(), self.address().port(), lifetime)?;
        Ok(())
    }

    /// Freezes or resumes it: `STOP` or `CONT`.
    pub fn signal(&self, name: &str) -> anyhow::Result<()> {
        self.server.signal(name)
    }

    /// Replaces the keys of its tokens, which invalidates all that it has issued.
    pub fn change_keys(&mut self) -> anyhow::Result<()> {
        self.server.kill()?;
        fs::remove_dir_all(self.folder.path().join("fernet"))?;
        program::run(script()?.arg("rekey").arg(self.folder.path()))?;
        self.start_again(LIFETIME)
    }

    /// A token of this user in this project.
    pub fn token(&self, user: &str, project: &str) -> anyhow::Result<String> {
        self.token_for(user, &json!({"project": {"name": project, "domain": {"id": "default"}}}))
    }

    /// A token of this user for a scope, as Keystone's API describes one.
    pub fn token_for(&self, user: &str, scope: &Value) -> anyhow::Result<String> {
        let user = json!({"name": user, "domain": {"id": "default"}, "password": PASSWORD});
        let identity = json!({"methods": ["password"], "password": {"user": user}});
        let request = json!({"auth": {"identity": identity, "scope": scope}});
        let headers = [("content-type", "application/json")];
        let answer = http::call(self.address(), "POST", TOKENS, &headers, &request.to_string())?;
        let token = answer.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("x-subject-token").then(|| value.trim().to_owned())
        });
        token.with_context(|| format!("it gave no token: {answer}"))
    }

    /// Revokes a token, with the token itself.
    pub fn revoke(&self, token: &str) -> anyhow::Result<()> {
        let headers = [("x-auth-token", token), ("x-subject-token", token)];
        let answer = http::call(self.address(), "DELETE", TOKENS, &headers, "")?;
        ensure!(answer.starts_with("HTTP/1.1 204"), "it revoked nothing: {answer}");
        Ok(())
    }

    /// How many calls of this method and path it has received since it was started.
    #[must_use]
    pub fn calls(&self, call: &str) -> usize {
        self.server.log().lines().filter(|line| *line == call).count()
    }

    /// The arguments of a service that validates tokens with it as `user`.
    #[must_use]
    pub fn arguments(&self, user: &str) -> Vec<String> {
        let password = self.folder.path().join("password");
        let file = password.to_str().unwrap_or_default();
        self.arguments_with(&["--keystone-username", user, "--keystone-password-file", file])
    }

    /// The same for a service that logs in with the application credential of this id and secret.
    pub fn arguments_of_credential(&self, id: &str, secret: &str) -> anyhow::Result<Vec<String>> {
        let path = self.folder.path().join("secret");
        fs::write(&path, secret)?;
        let file = path.to_str().unwrap_or_default();
        Ok(self.arguments_with(&[
            "--keystone-application-credential-id",
            id,
            "--keystone-application-credential-secret-file",
            file,
        ]))
    }

    fn arguments_with(&self, credentials: &[&str]) -> Vec<String> {
        let url = self.url();
        // Python on a busy machine is slow.
        let others = ["--identity", "keystone", "--keystone-url", &url, "--keystone-timeout-ms", "60000"];
        others.iter().chain(credentials).map(|&argument| argument.to_owned()).collect()
    }
}

fn serve(folder: &Path, port: u16, lifetime: u32) -> anyhow::Result<Service> {
    fs::write(folder.join("password"), format!("{PASSWORD}\n"))?;
    let (port, lifetime) = (port.to_string(), lifetime.to_string());
    Service::run("keystone", script()?.arg("serve").arg(folder).args([port, lifetime]))
}

/// A prepared database and keys, to be copied: making them takes a while.
fn prepared() -> anyhow::Result<PathBuf> {
    let target = workspace::target_directory()?;
    let folder = target.join("keystone-prepared");
    // Test binaries may run in parallel: the first one prepares it, the others wait.
    let lock = File::create(target.join("keystone-prepared.lock"))?;
    lock.lock()?;
    let (stamp, wanted) = (folder.join("made-by"), [SCRIPT, tools::KEYSTONE_REQUIREMENTS].concat());
    if fs::read_to_string(&stamp).is_ok_and(|made| made == wanted) {
        return Ok(folder);
    }
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir(&folder)?;
    program::run(script()?.arg("prepare").arg(&folder))?;
    fs::write(stamp, wanted)?;
    Ok(folder)
}

/// Prepares the database and keys, so that no test has to wait for them.
pub fn prepare() -> anyhow::Result<()> {
    prepared().map(drop)
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            fs::create_dir(&to)?;
            // Nobody else may read the keys.
            fs::set_permissions(&to, entry.metadata()?.permissions())?;
            copy(&entry.path(), &to)?;
        } else {
            fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}

fn script() -> anyhow::Result<Command> {
    let mut python = Command::new(tools::keystone_python()?);
    python.arg("-I").arg(workspace::root().join("harness/python/openstack_keystone.py"));
    Ok(python)
}
