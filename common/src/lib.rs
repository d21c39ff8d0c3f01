//! What the services know in common: image properties ⇄ system metadata (the heart of the system), and the values they are
//! made of. Pure: nothing here waits, and no database and no network is known.

pub mod clock;
pub mod flavor;
pub mod id;
pub mod image;
pub mod named;
pub mod system_metadata;
pub mod text;
pub mod violations;
