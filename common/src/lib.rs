//! What the services share: image properties ⇄ system metadata of instances, and image metadata of volumes (the heart
//! of the system), and the values they work on. Pure: nothing here waits, and nothing knows of a database or the
//! network.

pub mod clock;
pub mod content;
pub mod flavor;
pub mod id;
pub mod image;
pub mod metadata;
pub mod named;
pub mod system_metadata;
pub mod text;
pub mod violations;
pub mod volume_image_metadata;
