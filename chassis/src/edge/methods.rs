//! The gRPC methods that a service has: anything else that callers ask for gets no name of its own in the metrics.

use std::{collections::HashSet, sync::Arc};

use prost::{DecodeError, Message as _};
use prost_types::FileDescriptorSet;

/// The methods of gRPC that are served.
#[derive(Debug, Clone, Default)]
pub struct Methods(Arc<HashSet<String>>);

impl Methods {
    /// Those of every service in these encoded descriptors.
    pub fn of(descriptors: &[&[u8]]) -> Result<Self, DecodeError> {
        let mut methods = HashSet::new();
        for encoded in descriptors {
            for file in FileDescriptorSet::decode(*encoded)?.file {
                for service in &file.service {
                    let name = format!("{}.{}", file.package(), service.name());
                    methods.extend(service.method.iter().map(|method| format!("{name}/{}", method.name())));
                }
            }
        }
        Ok(Self(Arc::new(methods)))
    }

    /// The method under this path, if there is one.
    pub(super) fn at(&self, path: &str) -> Option<&str> {
        self.0.get(path.strip_prefix('/')?).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_served_is_known_by_its_path() {
        let methods = Methods::of(&[tonic_health::pb::FILE_DESCRIPTOR_SET]).unwrap();
        assert_eq!(methods.at("/grpc.health.v1.Health/Check"), Some("grpc.health.v1.Health/Check"));
        for other in ["", "/", "grpc.health.v1.Health/Check", "//grpc.health.v1.Health/Check", "/x/Check"] {
            assert_eq!(methods.at(other), None, "{other}");
        }
        Methods::of(&[b"\xff"]).unwrap_err();
    }
}
