//! The contract: generated messages, clients and servers of `glance.v1` and `nova.v1`.

/// `glance.v1`: images, their properties and their history.
pub mod glance {
    mod encoded;

    pub use encoded::EncodedImage;

    #[expect(
        missing_docs,
        clippy::all,
        clippy::pedantic,
        clippy::allow_attributes,
        reason = "generated code"
    )]
    pub mod v1 {
        tonic::include_proto!("glance.v1");
        include!(concat!(env!("OUT_DIR"), "/server/glance.v1.rs"));
    }

    /// The encoded `FileDescriptorSet` of this package and what it imports, for gRPC reflection.
    pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/glance.bin"));
}

/// `nova.v1`: flavors and instances.
pub mod nova {
    #[expect(
        missing_docs,
        clippy::all,
        clippy::pedantic,
        clippy::allow_attributes,
        reason = "generated code"
    )]
    pub mod v1 {
        tonic::include_proto!("nova.v1");
    }

    /// The encoded `FileDescriptorSet` of this package and what it imports, for gRPC reflection.
    pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/nova.bin"));
}
