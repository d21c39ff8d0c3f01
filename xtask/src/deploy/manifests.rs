//! Renders and checks the manifests.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use harness::{program, program::show, tools, workspace};

use super::new_folder;

/// Every overlay, and the optional component on top of the most complete one.
pub(crate) fn render() -> anyhow::Result<Vec<PathBuf>> {
    let rendered = new_folder("rendered")?;
    let mut overlays: Vec<_> = fs::read_dir(workspace::root().join("deploy/kubernetes/overlays"))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    overlays.push(monitored()?);
    overlays.sort();
    overlays.iter().map(|overlay| render_one(overlay, &rendered)).collect()
}

fn render_one(overlay: &Path, rendered: &Path) -> anyhow::Result<PathBuf> {
    let manifests = program::run(Command::new(tools::deploy("kubectl")?).arg("kustomize").arg(overlay))?;
    let file = rendered.join(overlay.file_name().unwrap_or_default()).with_extension("yaml");
    fs::write(&file, manifests)?;
    Ok(file)
}

/// An overlay as docs/deploy.md describes it: Keystone, TLS and the monitoring component.
fn monitored() -> anyhow::Result<PathBuf> {
    let folder = new_folder("monitoring")?.canonicalize()?;
    let up = "../".repeat(folder.components().count() - 1);
    let kubernetes = workspace::root().canonicalize()?.join("deploy/kubernetes");
    // kustomize accepts only relative paths.
    let kubernetes = format!("{up}{}", kubernetes.strip_prefix("/")?.display());
    let text = format!(
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nnamespace: imprint\n\
         resources: [{kubernetes}/overlays/keystone]\ncomponents: [{kubernetes}/components/monitoring]\n"
    );
    fs::write(folder.join("kustomization.yaml"), text)?;
    Ok(folder)
}

/// Checks that pods and images have no more rights than they need.
pub(crate) fn check_security() -> anyhow::Result<()> {
    let rendered = render()?;
    let deploy = workspace::root().join("deploy");
    let checkov = || -> anyhow::Result<Command> {
        let mut checkov = Command::new(tools::deploy("checkov")?);
        checkov.arg("--config-file").arg(deploy.join(".checkov.yaml"));
        Ok(checkov)
    };
    show(checkov()?.args(rendered.iter().flat_map(|file| [Path::new("--file"), file])))?;
    show(checkov()?.arg("--file").arg(deploy.join("Dockerfile")))?;
    show(Command::new(tools::deploy("hadolint")?).arg(deploy.join("Dockerfile")))
}

/// Checks the manifests against Kubernetes' schemas, and that they refer only to what exists.
pub(crate) fn check_wiring() -> anyhow::Result<()> {
    let rendered = render()?;
    let help = new_folder("help")?;
    workspace::build_services()?;
    for name in workspace::SERVICES {
        let text = program::run(Command::new(workspace::binary(name)?).arg("--help"))?;
        fs::write(help.join(name).with_extension("txt"), text)?;
    }
    let documents = ["docs/deploy.md", "deploy/compose.yaml"].map(|file| workspace::root().join(file));
    show(script("manifests.py")?.arg(help).args(documents).args(rendered))
}

/// The part of a rendered overlay that podman plays: one Deployment, with its ports published on 127.0.0.1, and with these
/// folders of this machine.
pub(crate) fn pod(
    rendered: &Path,
    deployment: &str,
    ports: [u16; 2],
    folders: &[&str],
) -> anyhow::Result<String> {
    let [grpc, admin] = ports.map(|port| port.to_string());
    program::run(script("pods.py")?.arg(rendered).args([deployment, &grpc, &admin]).args(folders))
}

fn script(name: &str) -> anyhow::Result<Command> {
    let mut python = Command::new(tools::deploy_python()?);
    // Without compiled copies beside the source.
    python.arg("-B").arg(workspace::root().join("harness/python").join(name));
    Ok(python)
}
