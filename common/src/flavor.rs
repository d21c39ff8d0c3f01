//! The size of an instance, and the `instance_type_*` entries that remember it.

use std::collections::BTreeMap;

/// Prefix of the entries that remember the flavor (Icehouse, `save_flavor_info`).
pub const FLAVOR_PREFIX: &str = "instance_type_";

/// A flavor, as Icehouse's `instance_types` row.
#[derive(Debug, Clone, PartialEq)]
pub struct Flavor {
    /// Number of the row.
    pub instance_type_id: i64,
    /// The id that users see, such as `1` for m1.tiny.
    pub flavorid: String,
    /// Name, such as `m1.tiny`.
    pub name: String,
    /// Memory, MiB.
    pub memory_mb: i32,
    /// Virtual CPUs.
    pub vcpus: i32,
    /// Root disk, GiB; 0 for "as large as the image".
    pub root_gb: i32,
    /// Ephemeral disk, GiB.
    pub ephemeral_gb: i32,
    /// Swap, MiB.
    pub swap: i32,
    /// Network share.
    pub rxtx_factor: f64,
    /// Share of CPU time, if set.
    pub vcpu_weight: Option<i32>,
}

impl Flavor {
    /// The ten entries of Icehouse's `save_flavor_info`.
    ///
    /// Nova keeps an unset `vcpu_weight` as a NULL row; here it is the empty string, since a map of strings
    /// knows no NULL and `None` spelled out as text is a known trap.
    #[must_use]
    pub fn system_metadata(&self) -> [(String, String); 10] {
        [
            ("id", self.instance_type_id.to_string()),
            ("name", self.name.clone()),
            ("memory_mb", self.memory_mb.to_string()),
            ("vcpus", self.vcpus.to_string()),
            ("root_gb", self.root_gb.to_string()),
            ("ephemeral_gb", self.ephemeral_gb.to_string()),
            ("flavorid", self.flavorid.clone()),
            ("swap", self.swap.to_string()),
            // Python writes 1.0, not 1.
            ("rxtx_factor", format!("{:?}", self.rxtx_factor)),
            ("vcpu_weight", self.vcpu_weight.map(|weight| weight.to_string()).unwrap_or_default()),
        ]
        .map(|(name, value)| (format!("{FLAVOR_PREFIX}{name}"), value))
    }

    /// Reads back what [`Flavor::system_metadata`] wrote; `None` if an entry is missing or not a number.
    #[must_use]
    pub fn from_system_metadata(entries: &BTreeMap<String, String>) -> Option<Self> {
        let text = |name: &str| entries.get(&format!("{FLAVOR_PREFIX}{name}"));
        let number = |name: &str| text(name)?.parse::<i32>().ok();
        let vcpu_weight = text("vcpu_weight")?;
        Some(Self {
            instance_type_id: text("id")?.parse().ok()?,
            flavorid: text("flavorid")?.clone(),
            name: text("name")?.clone(),
            memory_mb: number("memory_mb")?,
            vcpus: number("vcpus")?,
            root_gb: number("root_gb")?,
            ephemeral_gb: number("ephemeral_gb")?,
            swap: number("swap")?,
            rxtx_factor: text("rxtx_factor")?.parse().ok()?,
            vcpu_weight: if vcpu_weight.is_empty() { None } else { Some(vcpu_weight.parse().ok()?) },
        })
    }
}
