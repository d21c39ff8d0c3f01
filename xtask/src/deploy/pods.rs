//! The pods of the overlay `dev`, run by podman and called from outside.

use std::{
    io::{Write as _, stdout},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use harness::{podman::Podman, program, tools};
use serde_json::{Value, json};

use super::{
    drain, http,
    images::{self, Build},
    manifests,
};

/// How long a pod may take to do what is waited for.
const PATIENCE: Duration = Duration::from_mins(1);

const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Longest that a pod may take to stop, seconds: the terminationGracePeriodSeconds of nova-api, which is the shorter.
const GRACE: &str = "30";

/// Builds the images, starts the pods, uses them, and stops them with requests in flight. Nothing of it stays.
pub(crate) fn run(build: Build) -> anyhow::Result<()> {
    let podman = Podman::start()?;
    images::build(&podman, build, ["glance-svc", "nova-api-svc"])?;
    let rendered = manifests::render()?;
    let dev = rendered.iter().find(|file| file.ends_with("dev.yaml")).context("there is an overlay dev")?;
    // As the Service is called that nova-api asks for.
    let start = |deployment, program, alias| Pod::start(&podman, build, dev, [deployment, alias], program);
    let glance = start("glance", "glance-svc", "glance-headless")?;
    let nova = start("nova-api", "nova-api-svc", "nova-api-headless")?;
    for pod in [&glance, &nova] {
        pod.check_rights()?;
    }
    check_flow(&glance, &nova)?;
    drain::check(&glance, &nova)
}

/// A pod, and how it is reached from outside.
pub(crate) struct Pod<'a> {
    podman: &'a Podman,
    /// Of its program.
    container: String,
    program: &'static str,
    /// Where its API is.
    grpc: SocketAddr,
    /// Where its probes and metrics are.
    admin: SocketAddr,
}

impl<'a> Pod<'a> {
    fn start(
        podman: &'a Podman,
        build: Build,
        rendered: &Path,
        [deployment, alias]: [&str; 2],
        program: &'static str,
    ) -> anyhow::Result<Self> {
        let [grpc, admin] = free_ports()?;
        let ports = [grpc.port(), admin.port()];
        podman.play(&manifests::pod(rendered, deployment, ports, &build.folders())?, alias)?;
        let pod = Self { podman, container: podman.container(program)?, program, grpc, admin };
        pod.wait_until_ready()?;
        Ok(pod)
    }

    /// Where its API is.
    pub(crate) fn grpc(&self) -> SocketAddr {
        self.grpc
    }

    /// Whether it says that it is ready.
    pub(crate) fn is_ready(&self) -> bool {
        http::get(self.admin, "/readyz").is_ok_and(|(status, _)| status == 200)
    }

    pub(crate) fn wait_until_ready(&self) -> anyhow::Result<()> {
        until(|| Ok(self.is_ready()))
            .with_context(|| format!("{} is not ready:\n{}", self.program, self.log()))
    }

    /// How many requests it has begun and not answered.
    pub(crate) fn in_flight(&self) -> anyhow::Result<usize> {
        let (_, metrics) = http::get(self.admin, "/metrics")?;
        let gauge = metrics.lines().find_map(|line| line.strip_prefix("imprint_requests_in_flight "));
        Ok(gauge.context("there is no metric imprint_requests_in_flight")?.parse()?)
    }

    /// Asks it to stop, as Kubernetes does: the network of the pod stays until its program has ended. With `pod stop`,
    /// podman takes it away at once.
    pub(crate) fn stop(&self) -> anyhow::Result<Child> {
        let mut stop = self.podman.command();
        stop.args(["stop", "--time", GRACE, &self.container]);
        Ok(stop.stdout(Stdio::null()).spawn()?)
    }

    /// How it ended: 0 if it stopped by itself, in good order.
    pub(crate) fn exit_code(&self) -> anyhow::Result<String> {
        self.inspect("{{.State.Status}} {{.State.ExitCode}}")
    }

    /// Starts it again, with the volumes that it had.
    pub(crate) fn start_again(&self) -> anyhow::Result<()> {
        self.podman.run(["start", &self.container])?;
        self.wait_until_ready()
    }

    /// `pause` or `unpause`: its processes stand still, or go on.
    pub(crate) fn freeze(&self, command: &str) -> anyhow::Result<()> {
        self.podman.run([command, &self.container])?;
        Ok(())
    }

    /// A call of it, with grpcurl.
    pub(crate) fn grpcurl(&self, method: &str, request: &Value) -> anyhow::Result<Command> {
        let mut grpcurl = Command::new(tools::grpcurl()?);
        grpcurl.args(["-plaintext", "-max-time", "60", "-d", &request.to_string()]);
        grpcurl.args([&self.grpc.to_string(), method]);
        Ok(grpcurl)
    }

    /// The answer to a call.
    pub(crate) fn call(&self, method: &str, request: &Value) -> anyhow::Result<Value> {
        Ok(serde_json::from_str(&program::run(&mut self.grpcurl(method, request)?)?)?)
    }

    /// What it wrote.
    fn log(&self) -> String {
        let output = self.podman.command().args(["logs", &self.container]).output();
        output.map(|output| String::from_utf8_lossy(&output.stderr).into_owned()).unwrap_or_default()
    }

    fn inspect(&self, what: &str) -> anyhow::Result<String> {
        self.podman.run(["container", "inspect", "--format", what, &self.container])
    }

    /// It has no rights but to write into its volumes.
    fn check_rights(&self) -> anyhow::Result<()> {
        let rights = self.inspect("{{.Config.User}} {{.EffectiveCaps}} {{.HostConfig.ReadonlyRootfs}}")?;
        ensure!(
            rights == "65532:65532 [] true",
            "{} has other rights than it should: {rights}",
            self.program
        );
        Ok(())
    }
}

/// An image's property comes to an instance, and both pods say what they do.
fn check_flow(glance: &Pod, nova: &Pod) -> anyhow::Result<()> {
    let image = json!({ "name": "cirros", "size": 1, "disk_format": "qcow2", "container_format": "bare",
                        "properties": { "hw_disk_bus": "virtio" } });
    let image = glance.call("glance.v1.ImageService/CreateImage", &json!({ "image": image }))?;
    let request = json!({ "name": "web", "image_id": image["id"], "flavor_id": "1" });
    let created = nova.call("nova.v1.InstanceService/CreateInstance", &request)?;
    let instance = &created["instances"][0];
    let bus = &instance["systemMetadata"]["image_hw_disk_bus"];
    ensure!(bus == "virtio", "the instance has not the property of its image: {created}");
    for pod in [glance, nova] {
        let (status, metrics) = http::get(pod.admin, "/metrics")?;
        let counted = metrics.lines().any(|line| line.starts_with("imprint_requests_total{"));
        ensure!(status == 200 && counted, "{} has counted no request:\n{metrics}", pod.program);
    }
    writeln!(stdout(), "an instance has the property of its image")?;
    Ok(())
}

/// Waits until something is so.
pub(crate) fn until(mut is_so: impl FnMut() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let asked = Instant::now();
    while asked.elapsed() < PATIENCE {
        if is_so()? {
            return Ok(());
        }
        thread::sleep(POLL_INTERVAL);
    }
    bail!("waited for {PATIENCE:?}")
}

/// Two addresses at which nothing listens.
fn free_ports() -> anyhow::Result<[SocketAddr; 2]> {
    let [first, second] = [(); 2].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
    Ok([first?.local_addr()?, second?.local_addr()?])
}
