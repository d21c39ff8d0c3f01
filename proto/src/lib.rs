//! The contract: generated messages, clients and servers of `cinder.v1`, `glance.v1` and `nova.v1`.

mod bounded;
mod encoded;

pub use bounded::{Bounded, Counting, FIELDS_HEADER, MOST_FIELDS, Shape, Shaped};
pub use encoded::{Encoded, encoded_page, put_entry, put_message};

/// `cinder.v1`: volumes, and what they remember of the image that their data came from.
pub mod cinder {
    /// A page of volumes as it is sent.
    pub type EncodedVolumes = crate::Encoded<v1::ListVolumesResponse>;

    #[expect(
        missing_docs,
        clippy::all,
        clippy::pedantic,
        clippy::allow_attributes,
        reason = "generated code"
    )]
    pub mod v1 {
        tonic::include_proto!("cinder.v1");
        include!(concat!(env!("OUT_DIR"), "/server/cinder.v1.rs"));
        include!(concat!(env!("OUT_DIR"), "/shapes/cinder.v1.rs"));
    }

    /// The encoded `FileDescriptorSet` of this package and what it imports, for gRPC reflection.
    pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/cinder.bin"));
}

/// `glance.v1`: images, their properties and their history.
pub mod glance {
    /// An image as it is sent.
    pub type EncodedImage = crate::Encoded<v1::Image>;

    /// Several images as they are sent.
    pub type EncodedFoundImages = crate::Encoded<v1::GetImagesResponse>;

    /// A page of images as it is sent.
    pub type EncodedImages = crate::Encoded<v1::ListImagesResponse>;

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
        include!(concat!(env!("OUT_DIR"), "/shapes/glance.v1.rs"));
    }

    /// The encoded `FileDescriptorSet` of this package and what it imports, for gRPC reflection.
    pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/glance.bin"));
}

/// `nova.v1`: flavors and instances.
pub mod nova {
    /// What a request created, as it is sent.
    pub type EncodedReservation = crate::Encoded<v1::CreateInstanceResponse>;

    /// A page of instances as it is sent.
    pub type EncodedInstances = crate::Encoded<v1::ListInstancesResponse>;

    #[expect(
        missing_docs,
        clippy::all,
        clippy::pedantic,
        clippy::allow_attributes,
        reason = "generated code"
    )]
    pub mod v1 {
        tonic::include_proto!("nova.v1");
        include!(concat!(env!("OUT_DIR"), "/server/nova.v1.rs"));
        include!(concat!(env!("OUT_DIR"), "/shapes/nova.v1.rs"));
    }

    /// The encoded `FileDescriptorSet` of this package and what it imports, for gRPC reflection.
    pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/nova.bin"));
}
