//! Compiles the contract without protoc, and keeps its descriptors for gRPC reflection.
use std::{
    error::Error,
    fs,
    path::{Path, PathBuf},
};

use prost::Message as _;
use prost_types::FileDescriptorSet;

/// The files of each service; a service shows only its own through reflection.
const SERVICES: [(&str, &[&str]); 2] = [
    ("glance", &["glance/v1/image.proto"]),
    (
        "nova",
        &[
            "nova/v1/drift.proto",
            "nova/v1/flavor.proto",
            "nova/v1/history.proto",
            "nova/v1/instance.proto",
            "nova/v1/instance_service.proto",
            "nova/v1/operation.proto",
        ],
    ),
];

#[expect(clippy::disallowed_methods, reason = "how cargo tells a build script where to write")]
fn main() -> Result<(), Box<dyn Error>> {
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    for (service, files) in SERVICES {
        for file in files {
            println!("cargo::rerun-if-changed={file}");
        }
        let descriptors = protox::compile(files, ["."])?;
        fs::write(out.join(service).with_extension("bin"), descriptors.encode_to_vec())?;
        // Ordered maps make every encoding of the same message the same bytes.
        let messages = tonic_prost_build::configure().btree_map(".").bytes(".");
        messages.build_server(service != "glance").compile_fds(descriptors.clone())?;
        if service == "glance" {
            generate_glance_server(&out.join("server"), descriptors)?;
        }
    }
    Ok(())
}

/// The server of `glance.v1`, on the messages that are there already: its answers that are an image are encoded
/// ones, where the client has the message itself.
fn generate_glance_server(out: &Path, descriptors: FileDescriptorSet) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(out)?;
    let server = tonic_prost_build::configure().build_client(false).out_dir(out);
    let server = server.extern_path(".glance.v1", "crate::glance::v1");
    Ok(server.extern_path(".glance.v1.Image", "crate::glance::EncodedImage").compile_fds(descriptors)?)
}
