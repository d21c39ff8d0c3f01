//! The marker of a folder: a file in its root with the id of the data store. If it is missing or has another id, this is not
//! the folder with the data: a volume that is not mounted leaves an empty folder behind.

use std::{
    io::{self, ErrorKind},
    path::Path,
};

use common::id::Id;
use tokio::{
    fs::{self, File},
    io::AsyncWriteExt as _,
};

/// The name of the file, which no data can have: data is named by ids.
const NAME: &str = "imprint-data-store";

/// What the file tells whoever finds it, after the id.
const NOTE: &str = "is the id by which the service recognizes this folder. Keep this file with the data.";

/// The id of the folder; `None` if it has none or does not exist. A malformed file is an error.
pub(super) async fn read(root: &Path) -> io::Result<Option<Id>> {
    match fs::read_to_string(root.join(NAME)).await {
        Ok(text) => {
            let id = text.split_whitespace().next().and_then(|id| id.parse().ok());
            id.map(Some).ok_or_else(|| io::Error::new(ErrorKind::InvalidData, "the marker contains no id"))
        }
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Gives the folder an id, durably, and creates the folder if it is missing; a folder that has an id keeps it.
pub(super) async fn write(root: &Path, id: Id) -> io::Result<()> {
    fs::create_dir_all(root).await?;
    // Atomic, and never replaces another one.
    let draft = root.join(format!("{NAME}.{}", Id::random()));
    let written = async {
        let mut file = File::create_new(&draft).await?;
        file.write_all(format!("{id}\n{NOTE}\n").as_bytes()).await?;
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
