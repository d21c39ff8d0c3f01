//! The base attributes that can be changed, in one table: name, text form, check.
//!
//! History stores and shows the text form; field masks and the difference of two images use the same table.

use common::{text, violations::Violations};

use super::{CONTAINER_FORMATS, DISK_FORMATS, Image, Status, Visibility};

/// Maximum length of a checksum: an MD5 in hexadecimal.
const CHECKSUM_LIMIT: usize = 32;

/// Maximum lengths of the name of a hash algorithm, and of a hash: a SHA-512 in hexadecimal.
const HASH_ALGORITHM_LIMIT: usize = 64;
const HASH_LIMIT: usize = 128;

/// A base attribute that can be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the field of Image with that name")]
pub enum Attribute {
    Checksum,
    ContainerFormat,
    DiskFormat,
    MinDisk,
    MinRam,
    Name,
    OsHashAlgo,
    OsHashValue,
    OsHidden,
    Owner,
    Protected,
    Size,
    Status,
    Tags,
    VirtualSize,
    Visibility,
}

impl Attribute {
    /// Every attribute, sorted by name.
    pub const ALL: [Self; 16] = [
        Self::Checksum,
        Self::ContainerFormat,
        Self::DiskFormat,
        Self::MinDisk,
        Self::MinRam,
        Self::Name,
        Self::OsHashAlgo,
        Self::OsHashValue,
        Self::OsHidden,
        Self::Owner,
        Self::Protected,
        Self::Size,
        Self::Status,
        Self::Tags,
        Self::VirtualSize,
        Self::Visibility,
    ];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Checksum => "checksum",
            Self::ContainerFormat => "container_format",
            Self::DiskFormat => "disk_format",
            Self::MinDisk => "min_disk",
            Self::MinRam => "min_ram",
            Self::Name => "name",
            Self::OsHashAlgo => "os_hash_algo",
            Self::OsHashValue => "os_hash_value",
            Self::OsHidden => "os_hidden",
            Self::Owner => "owner",
            Self::Protected => "protected",
            Self::Size => "size",
            Self::Status => "status",
            Self::Tags => "tags",
            Self::VirtualSize => "virtual_size",
            Self::Visibility => "visibility",
        }
    }

    /// The attribute of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|attribute| attribute.name() == name)
    }

    /// Its value as text; `None` if there is none.
    #[must_use]
    pub fn read(self, image: &Image) -> Option<String> {
        let unless_empty = |text: &String| (!text.is_empty()).then(|| text.clone());
        match self {
            Self::Checksum => unless_empty(&image.checksum),
            Self::ContainerFormat => unless_empty(&image.container_format),
            Self::DiskFormat => unless_empty(&image.disk_format),
            Self::MinDisk => Some(image.min_disk.to_string()),
            Self::MinRam => Some(image.min_ram.to_string()),
            Self::Name => unless_empty(&image.name),
            Self::OsHashAlgo => unless_empty(&image.os_hash_algo),
            Self::OsHashValue => unless_empty(&image.os_hash_value),
            Self::OsHidden => Some(image.os_hidden.to_string()),
            Self::Owner => unless_empty(&image.owner),
            Self::Protected => Some(image.protected.to_string()),
            Self::Size => image.size.map(|bytes| bytes.to_string()),
            Self::Status => Some(image.status.to_string()),
            Self::Tags => (!image.tags.is_empty())
                .then(|| serde_json::to_string(&image.tags).expect("tags are plain text")),
            Self::VirtualSize => image.virtual_size.map(|bytes| bytes.to_string()),
            Self::Visibility => Some(image.visibility.to_string()),
        }
    }

    /// Sets it to a value as returned by [`Attribute::read`]; `None` if the attribute cannot have that value.
    pub fn write(self, image: &mut Image, value: Option<&str>) -> Option<()> {
        let text = || value.unwrap_or_default().to_owned();
        match self {
            Self::Checksum => image.checksum = text(),
            Self::ContainerFormat => image.container_format = text(),
            Self::DiskFormat => image.disk_format = text(),
            Self::MinDisk => image.min_disk = value?.parse().ok()?,
            Self::MinRam => image.min_ram = value?.parse().ok()?,
            Self::Name => image.name = text(),
            Self::OsHashAlgo => image.os_hash_algo = text(),
            Self::OsHashValue => image.os_hash_value = text(),
            Self::OsHidden => image.os_hidden = value?.parse().ok()?,
            Self::Owner => image.owner = text(),
            Self::Protected => image.protected = value?.parse().ok()?,
            Self::Size => image.size = value.map(str::parse).transpose().ok()?,
            Self::Status => image.status = Status::from_name(value?)?,
            Self::Tags => image.tags = serde_json::from_str(value.unwrap_or("[]")).ok()?,
            Self::VirtualSize => image.virtual_size = value.map(str::parse).transpose().ok()?,
            Self::Visibility => image.visibility = Visibility::from_name(value?)?,
        }
        Some(())
    }

    /// Copies it from one image to another.
    pub fn copy(self, from: &Image, to: &mut Image) {
        self.write(to, self.read(from).as_deref()).expect("what was read can be written");
    }

    /// Collects what is wrong with its value, regardless of other attributes.
    pub fn check(self, image: &Image, violations: &mut Violations) {
        let checked = match self {
            Self::Name => text::optional_name(&image.name),
            Self::OsHashAlgo => short(&image.os_hash_algo, HASH_ALGORITHM_LIMIT, "the name of an algorithm"),
            Self::OsHashValue => short(&image.os_hash_value, HASH_LIMIT, "a hash in hexadecimal"),
            Self::Owner => text::optional_name(&image.owner),
            Self::DiskFormat => one_of(&image.disk_format, &DISK_FORMATS),
            Self::ContainerFormat => one_of(&image.container_format, &CONTAINER_FORMATS),
            Self::MinRam => amount(image.min_ram, "MiB"),
            Self::MinDisk => amount(image.min_disk, "GiB"),
            Self::Size => bytes(image.size),
            Self::VirtualSize => bytes(image.virtual_size),
            Self::Checksum => short(&image.checksum, CHECKSUM_LIMIT, "an MD5 in hexadecimal"),
            Self::Tags => return check_tags(image, violations),
            Self::OsHidden | Self::Protected | Self::Status | Self::Visibility => Ok(()),
        };
        violations.take(self.name(), checked);
    }
}

fn one_of(format: &str, known: &[&str]) -> Result<(), String> {
    if format.is_empty() || known.contains(&format) {
        return Ok(());
    }
    Err(format!("{:?} is unknown; allowed: {}, or empty", text::clip(format, 60), known.join(", ")))
}

fn amount(value: i64, unit: &str) -> Result<(), String> {
    if (0..=i64::from(i32::MAX)).contains(&value) {
        return Ok(());
    }
    Err(format!("{value} is out of range: 0 to {} {unit}", i32::MAX))
}

fn bytes(number: Option<i64>) -> Result<(), String> {
    if number.is_some_and(|bytes| bytes < 0) {
        return Err("must not be negative: a number of bytes".to_owned());
    }
    Ok(())
}

fn short(value: &str, limit: usize, what: &str) -> Result<(), String> {
    if value.chars().count() > limit {
        return Err(format!("must have at most {limit} characters: {what}"));
    }
    text::optional_name(value)
}

fn check_tags(image: &Image, violations: &mut Violations) {
    for tag in &image.tags {
        violations.take(&text::map_key("tags", tag), text::name(tag));
    }
}
