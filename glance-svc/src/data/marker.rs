//! The marker of a folder: a file in its root with the id of the data store. Where it is missing, or another one, the data
//! are not there: a volume that is not mounted leaves an empty folder behind.

use std::{
    io::{self, ErrorKind},
    path::Path,
};

use common::id::Id;
use tokio::{
    fs::{self, File},
    io::AsyncWriteExt as _,
};

/// The name of the file. No data are named so: those have ids.
pub(super) const NAME: &str = "imprint-data-store";

/// What the file says to whoever finds it, behind the id.
const WORDS: &str =
    "is the id by which glance-svc knows this folder. It belongs to the data, and goes where they go.";

/// The id of the folder; none if it has none, or is not there. A file that makes no sense is an error.
pub(super) async fn read(root: &Path) -> io::Result<Option<Id>> {
    match fs::read_to_string(root.join(NAME)).await {
        Ok(text) => {
            let id = text.split_whitespace().next().and_then(|id| id.parse().ok());
            id.map(Some).ok_or_else(|| io::Error::new(ErrorKind::InvalidData, "the marker holds no id"))
        }
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Gives the folder an id, durably, and makes it if it is missing; one that has an id already keeps it.
pub(super) async fn write(root: &Path, id: Id) -> io::Result<()> {
    fs::create_dir_all(root).await?;
    // Whole or not at all, and never over another one.
    let draft = root.join(format!("{NAME}.{}", Id::random()));
    let written = async {
        let mut file = File::create_new(&draft).await?;
        file.write_all(format!("{id}\n{WORDS}\n").as_bytes()).await?;
        file.sync_all().await?;
        match fs::hard_link(&draft, root.join(NAME)).await {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        }
    };
    let written = written.await;
    fs::remove_file(&draft).await?;
    written?;
    File::open(root).await?.sync_all().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_folder_keeps_its_first_id() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("made/of it");
        assert_eq!(read(&root).await.unwrap(), None);
        let (first, second) = (Id::random(), Id::random());
        for id in [first, second] {
            write(&root, id).await.unwrap();
            assert_eq!(read(&root).await.unwrap(), Some(first));
        }
        assert_eq!(std::fs::read_dir(&root).unwrap().count(), 1);
        std::fs::write(root.join(NAME), "").unwrap();
        read(&root).await.unwrap_err();
    }
}
