//! Runs the pods of the overlay `dev` with podman, and calls them from outside.

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

/// How long to wait for a pod.
const PATIENCE: Duration = Duration::from_mins(1);

const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Maximum time that a pod may take to stop, in seconds: the shortest terminationGracePeriodSeconds, that of
/// nova-api and cinder.
const GRACE: &str = "30";

/// Builds the images, starts the pods, uses them, stops them with requests in flight, and cleans up.
pub(crate) fn run(build: Build) -> anyhow::Result<()> {
    let podman = Podman::start()?;
    images::build(&podman, build)?;
    let rendered = manifests::render()?;
    let dev = rendered.iter().find(|file| file.ends_with("dev.yaml")).context("there is no overlay dev")?;
    // The name of the Service that others call.
    let start = |deployment, program, alias| Pod::start(&podman, build, dev, [deployment, alias], program);
    let glance = start("glance", "glance-svc", "glance-headless")?;
    let nova = start("nova-api", "nova-api-svc", "nova-api-headless")?;
    let cinder = start("cinder", "cinder-svc", "cinder-headless")?;
    for pod in [&glance, &nova, &cinder] {
        pod.check_rights()?;
    }
    check_flow(&glance, &nova, &cinder)?;
    drain::check(&glance, &nova)
}

/// A pod, and its addresses.
pub(crate) struct Pod<'a> {
    podman: &'a Podman,
    /// The name of its program.
    container: String,
    program: &'static str,
    /// The address of its API.
    grpc: SocketAddr,
    /// The address of its probes and metrics.
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

    /// The address of its API.
    pub(crate) fn grpc(&self) -> SocketAddr {
        self.grpc
    }

    /// Whether it reports that it is ready.
    pub(crate) fn is_ready(&self) -> bool {
        http::get(self.admin, "/readyz").is_ok_and(|(status, _)| status == 200)
    }

    pub(crate) fn wait_until_ready(&self) -> anyhow::Result<()> {
        until(|| Ok(self.is_ready()))
            .with_context(|| format!("{} is not ready:\n{}", self.program, self.log()))
    }

    /// Number of requests in flight.
    pub(crate) fn in_flight(&self) -> anyhow::Result<usize> {
        let (_, metrics) = http::get(self.admin, "/metrics")?;
        let gauge = metrics.lines().find_map(|line| line.strip_prefix("imprint_requests_in_flight "));
        Ok(gauge.context("there is no metric imprint_requests_in_flight")?.parse()?)
    }

    /// Stops it as Kubernetes does: the pod's network stays until the program has ended. `pod stop` of podman would remove it
    /// at once.
    pub(crate) fn stop(&self) -> anyhow::Result<Child> {
        let mut stop = self.podman.command();
        stop.args(["stop", "--time", GRACE, &self.container]);
        Ok(stop.stdout(Stdio::null()).spawn()?)
    }

    /// Its state and exit code: 0 after a graceful stop.
    pub(crate) fn exit_code(&self) -> anyhow::Result<String> {
        self.inspect("{{.State.Status}} {{.State.ExitCode}}")
    }

    /// Starts it again with the same volumes.
    pub(crate) fn start_again(&self) -> anyhow::Result<()> {
        self.podman.run(["start", &self.container])?;
        self.wait_until_ready()
    }

    /// Pauses or resumes its processes (`pause`, `unpause`).
    pub(crate) fn freeze(&self, command: &str) -> anyhow::Result<()> {
        self.podman.run([command, &self.container])?;
        Ok(())
    }

    /// A call with grpcurl.
    pub(crate) fn grpcurl(&self, method: &str, request: &Value) -> anyhow::Result<Command> {
        let mut grpcurl = Command::new(tools::grpcurl()?);
        grpcurl.args(["-plaintext", "-max-time", "60", "-d", &request.to_string()]);
        grpcurl.args([&self.grpc.to_string(), method]);
        Ok(grpcurl)
    }

    /// Makes a call, and returns the answer.
    pub(crate) fn call(&self, method: &str, request: &Value) -> anyhow::Result<Value> {
        Ok(serde_json::from_str(&program::run(&mut self.grpcurl(method, request)?)?)?)
    }

    /// Its log.
    fn log(&self) -> String {
        let output = self.podman.command().args(["logs", &self.container]).output();
        output.map(|output| String::from_utf8_lossy(&output.stderr).into_owned()).unwrap_or_default()
    }

    fn inspect(&self, what: &str) -> anyhow::Result<String> {
        self.podman.run(["container", "inspect", "--format", what, &self.container])
    }

    /// Checks that it has no rights except to write to its volumes.
    fn check_rights(&self) -> anyhow::Result<()> {
        let rights = self.inspect("{{.Config.User}} {{.EffectiveCaps}} {{.HostConfig.ReadonlyRootfs}}")?;
        ensure!(rights == "65532:65532 [] true", "{} has the wrong rights: {rights}", self.program);
        Ok(())
    }
}

/// Checks that an image's property reaches an instance and a volume, and that the pods have metrics.
fn check_flow(glance: &Pod, nova: &Pod, cinder: &Pod) -> anyhow::Result<()> {
    let image = json!({ "name": "cirros", "size": 1, "disk_format": "qcow2", "container_format": "bare",
                        "properties": { "hw_disk_bus": "virtio" } });
    let image = glance.call("glance.v1.ImageService/CreateImage", &json!({ "image": image }))?;
    let request = json!({ "name": "web", "image_id": image["id"], "flavor_id": "1" });
    let created = nova.call("nova.v1.InstanceService/CreateInstance", &request)?;
    let instance = &created["instances"][0];
    let bus = &instance["systemMetadata"]["image_hw_disk_bus"];
    ensure!(bus == "virtio", "the instance lacks the property of its image: {created}");
    let request = json!({ "name": "root", "image_id": image["id"] });
    let volume = cinder.call("cinder.v1.VolumeService/CreateVolume", &request)?;
    let bus = &volume["imageProperties"]["hw_disk_bus"];
    ensure!(bus == "virtio", "the volume lacks the property of its image: {volume}");
    for pod in [glance, nova, cinder] {
        let (status, metrics) = http::get(pod.admin, "/metrics")?;
        let counted = metrics.lines().any(|line| line.starts_with("imprint_requests_total{"));
        ensure!(status == 200 && counted, "{} has counted no request:\n{metrics}", pod.program);
    }
    writeln!(stdout(), "an instance and a volume have the property of their image")?;
    Ok(())
}

/// Waits until a condition holds.
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

/// Two free ports.
fn free_ports() -> anyhow::Result<[SocketAddr; 2]> {
    let [first, second] = [(); 2].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
    Ok([first?.local_addr()?, second?.local_addr()?])
}
