//! Stops the pods while requests are in flight: accepted ones must be answered.

use std::{
    io::{Write as _, stdout},
    process::{Child, Stdio},
};

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use super::{
    http::Upload,
    pods::{Pod, until},
};

/// Requests in flight at each service.
const REQUESTS: usize = 8;

/// Size of an image's data, in bytes.
const DATA: usize = 1024 * 1024;

/// Stops both, starts them again, and checks that everything acknowledged is there.
pub(crate) fn check(glance: &Pod, nova: &Pod) -> anyhow::Result<()> {
    let image = new_image(glance, json!({ "size": 1 }))?;
    let images = (0..REQUESTS).map(|_| new_image(glance, json!({}))).collect::<anyhow::Result<Vec<_>>>()?;
    stop_nova(glance, nova, &image).context("nova-api was stopped with requests in flight")?;
    stop_glance(glance, &images).context("glance was stopped with requests in flight")?;

    glance.start_again()?;
    nova.start_again()?;
    let request = json!({ "filter": format!("image_id = {image}") });
    let listed = nova.call("nova.v1.InstanceService/ListInstances", &request)?;
    let count = listed["instances"].as_array().map_or(0, Vec::len);
    ensure!(count == REQUESTS, "{REQUESTS} creates were acknowledged, but there are {count} instances");
    for image in &images {
        let image = glance.call("glance.v1.ImageService/GetImage", &json!({ "id": image }))?;
        // In JSON, a 64-bit number is a string.
        let size = image["size"].as_str().and_then(|size| size.parse().ok());
        ensure!(
            image["status"] == "ACTIVE" && size == Some(DATA),
            "an upload was acknowledged, but its image is: {image}"
        );
    }
    writeln!(stdout(), "after a restart, both have everything that they had acknowledged")?;
    Ok(())
}

fn new_image(glance: &Pod, beside: Value) -> anyhow::Result<String> {
    let mut image = beside;
    image["name"] = "drain".into();
    image["disk_format"] = "raw".into();
    image["container_format"] = "bare".into();
    let image = glance.call("glance.v1.ImageService/CreateImage", &json!({ "image": image }))?;
    Ok(image["id"].as_str().context("an image has an id")?.to_owned())
}

/// The creates wait for glance, which is paused in the meantime.
fn stop_nova(glance: &Pod, nova: &Pod, image: &str) -> anyhow::Result<()> {
    glance.freeze("pause")?;
    let started = start_creates(nova, image);
    let stopping = started.and_then(|creates| {
        until(|| Ok(nova.in_flight()? == REQUESTS)).context("the creates have not reached nova-api")?;
        let stopping = nova.stop()?;
        until(|| Ok(!nova.is_ready())).context("it keeps reporting that it is ready")?;
        Ok((creates, stopping))
    });
    glance.freeze("unpause")?;
    let (creates, stopping) = stopping?;
    let answers = creates.into_iter().map(Child::wait_with_output).collect::<Result<Vec<_>, _>>()?;
    let failures = answers.iter().filter(|answer| !answer.status.success());
    let failures: Vec<_> = failures.map(|answer| String::from_utf8_lossy(&answer.stderr)).collect();
    end(nova, "nova-api", stopping, &failures)
}

fn start_creates(nova: &Pod, image: &str) -> anyhow::Result<Vec<Child>> {
    let request = json!({ "name": "drain", "image_id": image, "flavor_id": "1" });
    let create = |_| {
        let mut create = nova.grpcurl("nova.v1.InstanceService/CreateInstance", &request)?;
        Ok(create.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?)
    };
    (0..REQUESTS).map(create).collect()
}

/// The uploads have sent half of their data.
fn stop_glance(glance: &Pod, images: &[String]) -> anyhow::Result<()> {
    let begin = |image: &String| Upload::begin(glance.grpc(), image, vec![7; DATA]);
    let uploads = images.iter().map(begin).collect::<anyhow::Result<Vec<_>>>()?;
    until(|| Ok(glance.in_flight()? == REQUESTS)).context("the uploads have not reached glance")?;
    let stopping = glance.stop()?;
    until(|| Ok(!glance.is_ready())).context("it keeps reporting that it is ready")?;
    let answers = uploads.into_iter().map(Upload::finish);
    let failures: Vec<_> = answers
        .filter_map(|answer| match answer {
            Ok((204, _)) => None,
            answer => Some(format!("{answer:?}")),
        })
        .collect();
    end(glance, "glance", stopping, &failures)
}

/// The pod has stopped gracefully, and every accepted request was answered.
fn end<S: AsRef<str>>(pod: &Pod, name: &str, mut stopping: Child, failures: &[S]) -> anyhow::Result<()> {
    ensure!(stopping.wait()?.success(), "podman could not stop it");
    let failed = failures.len();
    let first = failures.first().map_or("", AsRef::as_ref);
    ensure!(failed == 0, "{failed} of {REQUESTS} requests that were accepted failed, such as: {first}");
    let state = pod.exit_code()?;
    ensure!(state == "exited 0", "it did not stop by itself: {state}");
    writeln!(stdout(), "{name} was stopped with {REQUESTS} requests in flight, and all of them succeeded")?;
    Ok(())
}
