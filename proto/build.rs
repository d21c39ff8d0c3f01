//! Compiles the contract without protoc, and keeps its descriptors for gRPC reflection.
use std::{
    error::Error,
    fs,
    path::{Path, PathBuf},
};

use prost::Message as _;
use prost_types::FileDescriptorSet;

/// A service, its files, and those of its answers that are sent encoded, each with the type that stands for it.
struct Service {
    name: &'static str,
    files: &'static [&'static str],
    encoded: &'static [(&'static str, &'static str)],
}

/// A service shows only its own files through reflection.
const SERVICES: [Service; 2] = [
    Service {
        name: "glance",
        files: &["glance/v1/image.proto"],
        encoded: &[
            ("Image", "EncodedImage"),
            ("GetImagesResponse", "EncodedFoundImages"),
            ("ListImagesResponse", "EncodedImages"),
        ],
    },
    Service {
        name: "nova",
        files: &[
            "nova/v1/drift.proto",
            "nova/v1/flavor.proto",
            "nova/v1/history.proto",
            "nova/v1/instance.proto",
            "nova/v1/instance_service.proto",
            "nova/v1/operation.proto",
        ],
        encoded: &[
            ("CreateInstanceResponse", "EncodedReservation"),
            ("ListInstancesResponse", "EncodedInstances"),
        ],
    },
];

#[expect(clippy::disallowed_methods, reason = "how cargo tells a build script where to write")]
fn main() -> Result<(), Box<dyn Error>> {
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    for service in SERVICES {
        for file in service.files {
            println!("cargo::rerun-if-changed={file}");
        }
        let descriptors = protox::compile(service.files, ["."])?;
        fs::write(out.join(service.name).with_extension("bin"), descriptors.encode_to_vec())?;
        // Ordered maps make every encoding of the same message the same bytes.
        let messages = tonic_prost_build::configure().btree_map(".").bytes(".");
        messages.build_server(false).compile_fds(descriptors.clone())?;
        service.generate_server(&out.join("server"), descriptors)?;
    }
    Ok(())
}

impl Service {
    /// The server, on the messages that are there already: some of its answers are encoded ones, where the client
    /// has the messages themselves.
    fn generate_server(&self, out: &Path, descriptors: FileDescriptorSet) -> Result<(), Box<dyn Error>> {
        fs::create_dir_all(out)?;
        let name = self.name;
        let mut server = tonic_prost_build::configure()
            .build_client(false)
            .out_dir(out)
            .extern_path(format!(".{name}.v1"), format!("crate::{name}::v1"));
        for (message, encoded) in self.encoded {
            server = server.extern_path(format!(".{name}.v1.{message}"), format!("crate::{name}::{encoded}"));
        }
        Ok(server.compile_fds(descriptors)?)
    }
}
