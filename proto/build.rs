//! Compiles the contract without protoc, and keeps its descriptors for gRPC reflection.
use std::{
    collections::BTreeSet,
    error::Error,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use prost::Message as _;
use prost_types::{DescriptorProto, FileDescriptorSet, MethodDescriptorProto, field_descriptor_proto::Type};

/// A service, its files, and those of its answers that are sent encoded, each with the type that stands for it.
struct Service {
    name: &'static str,
    files: &'static [&'static str],
    encoded: &'static [(&'static str, &'static str)],
}

/// A service shows only its own files through reflection.
const SERVICES: [Service; 3] = [
    Service {
        name: "cinder",
        files: &[
            "cinder/v1/attachment.proto",
            "cinder/v1/drift.proto",
            "cinder/v1/history.proto",
            "cinder/v1/quota.proto",
            "cinder/v1/snapshot.proto",
            "cinder/v1/transfer.proto",
            "cinder/v1/volume.proto",
            "cinder/v1/volume_data.proto",
            "cinder/v1/volume_operation.proto",
            "cinder/v1/volume_service.proto",
            "cinder/v1/volume_type.proto",
        ],
        encoded: &[("ListVolumesResponse", "EncodedVolumes")],
    },
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
            "nova/v1/block_device.proto",
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
        let shapes = out.join("shapes");
        fs::create_dir_all(&shapes)?;
        fs::write(shapes.join(service.name).with_extension("v1.rs"), service.shapes(&descriptors))?;
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
            .codec_path("crate::Bounded")
            .out_dir(out)
            .extern_path(format!(".{name}.v1"), format!("crate::{name}::v1"));
        for (message, encoded) in self.encoded {
            server = server.extern_path(format!(".{name}.v1.{message}"), format!("crate::{name}::{encoded}"));
        }
        Ok(server.compile_fds(descriptors)?)
    }

    /// Which fields of its requests are messages.
    fn shapes(&self, descriptors: &FileDescriptorSet) -> String {
        let package = format!(".{}.v1.", self.name);
        let methods =
            descriptors.file.iter().flat_map(|file| &file.service).flat_map(|service| &service.method);
        let requests: BTreeSet<_> = methods.map(MethodDescriptorProto::input_type).collect();
        requests.iter().fold(String::new(), |mut code, request| {
            let name = request.strip_prefix(&package).expect("requests are of the service's own package");
            let shape = shape(descriptors, request);
            let _ = writeln!(
                code,
                "impl crate::Shaped for {name} {{ const SHAPE: &'static crate::Shape = {shape}; }}"
            );
            code
        })
    }
}

/// The shape of the message with this full name, as an expression.
fn shape(descriptors: &FileDescriptorSet, name: &str) -> String {
    let message = find(descriptors, name).expect("every message is there");
    let fields = message.field.iter().filter(|field| field.r#type() == Type::Message);
    // Entries of maps are nested messages.
    let fields = fields.filter_map(|field| {
        find(descriptors, field.type_name()).map(|_| (field.number(), shape(descriptors, field.type_name())))
    });
    let fields: Vec<_> = fields.map(|(number, shape)| format!("({number}, {shape})")).collect();
    format!("&crate::Shape(&[{}])", fields.join(", "))
}

/// The message with this full name that is no part of another one.
fn find<'a>(descriptors: &'a FileDescriptorSet, name: &str) -> Option<&'a DescriptorProto> {
    descriptors.file.iter().find_map(|file| {
        let local = name.strip_prefix('.')?.strip_prefix(file.package())?.strip_prefix('.')?;
        file.message_type.iter().find(|message| message.name() == local)
    })
}
