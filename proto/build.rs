//! Compiles the contract without protoc, and keeps its descriptors for gRPC reflection.
use std::{fs, path::PathBuf};

use prost::Message as _;

/// The files of each service; a service shows only its own through reflection.
const SERVICES: [(&str, &[&str]); 2] =
    [("glance", &["glance/v1/image.proto"]), ("nova", &["nova/v1/flavor.proto", "nova/v1/instance.proto"])];

#[expect(clippy::disallowed_methods, reason = "how cargo tells a build script where to write")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    for (service, files) in SERVICES {
        for file in files {
            println!("cargo::rerun-if-changed={file}");
        }
        let descriptors = protox::compile(files, ["."])?;
        fs::write(out.join(service).with_extension("bin"), descriptors.encode_to_vec())?;
        // Ordered maps make every encoding of the same message the same bytes.
        tonic_prost_build::configure().btree_map(".").bytes(".").compile_fds(descriptors)?;
    }
    Ok(())
}
