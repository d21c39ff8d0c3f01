//! cinder-svc with a folder, glance-svc, and what can be done with both.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use chassis::testing::TestDb;
use harness::{program::run, qemu_img, service::Service, workspace};
use proto::{
    cinder::v1::{
        CreateSnapshotRequest, CreateVolumeRequest, DeleteSnapshotRequest, DeleteVolumeRequest,
        ExtendVolumeRequest, GetSnapshotRequest, GetVolumeRequest, ReadVolumeDataRequest,
        ReimageVolumeRequest, RevertVolumeRequest, Snapshot, UploadVolumeToImageRequest, Volume,
        WriteVolumeDataRequest, create_volume_request::Source, read_volume_data_response::Part as Read,
        snapshot, snapshot_service_client::SnapshotServiceClient, volume_service_client::VolumeServiceClient,
        write_volume_data_request::Part,
    },
    glance::v1::{
        CreateImageRequest, GetImageRequest, Image, UploadImageDataRequest,
        image_service_client::ImageServiceClient,
    },
};
use sha2::{Digest as _, Sha512};
use sqlx::{Connection as _, Executor as _, PgConnection, SqliteConnection};
use tempfile::TempDir;
use tokio_stream::StreamExt as _;
use tonic::{Code, Status, transport::Channel};

use crate::world::start_glance;

/// How long a task may take.
const PATIENCE: Duration = Duration::from_mins(1);

pub(super) struct World {
    glance: Service,
    cinder: Service,
    pub(super) volumes: VolumeServiceClient<Channel>,
    folder: TempDir,
    db: TestDb,
    _glance_db: TestDb,
}

impl World {
    pub(super) async fn start(db: TestDb) -> Self {
        Self::start_with(db, None).await
    }

    /// With a cinder-svc that converts images with qemu-img.
    pub(super) async fn with_qemu_img(db: TestDb) -> Self {
        Self::start_with(db, Some(qemu_img::path().unwrap())).await
    }

    async fn start_with(db: TestDb, qemu_img: Option<PathBuf>) -> Self {
        let (glance_db, folder) = (db.another().await, tempfile::tempdir().unwrap());
        let glance = start_glance(&glance_db.url, &folder.path().join("images"), "127.0.0.1:0");
        let cinder =
            start_cinder(&db.url, &glance.endpoint(), &folder.path().join("volumes"), qemu_img.as_deref());
        let volumes = VolumeServiceClient::connect(cinder.endpoint()).await.unwrap();
        Self { glance, cinder, volumes, folder, db, _glance_db: glance_db }
    }

    /// The folder with the data of volumes.
    pub(super) fn folder(&self) -> PathBuf {
        self.folder.path().join("volumes")
    }

    /// The names of the folders with data.
    pub(super) fn folders(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.folder()) else { return Vec::new() };
        let folders = entries.map(Result::unwrap).filter(|entry| entry.file_type().unwrap().is_dir());
        folders.map(|folder| folder.file_name().into_string().unwrap()).collect()
    }

    /// An image with this data.
    pub(super) async fn image(&self, disk_format: &str, bytes: &[u8]) -> String {
        let mut images = ImageServiceClient::connect(self.glance.endpoint()).await.unwrap();
        let (disk_format, container_format) = (disk_format.to_owned(), "bare".to_owned());
        let image = Image { name: "image".into(), disk_format, container_format, ..Image::default() };
        let created = images.create_image(CreateImageRequest { image: Some(image) }).await.unwrap();
        let image_id = created.into_inner().id;
        let parts: Vec<_> = bytes.chunks(1 << 20).map(<[u8]>::to_vec).collect();
        let id = image_id.clone();
        let parts = parts.into_iter().map(move |data| UploadImageDataRequest {
            image_id: id.clone(),
            data: data.into(),
            ..UploadImageDataRequest::default()
        });
        images.upload_image_data(tokio_stream::iter(parts)).await.unwrap();
        image_id
    }

    /// A disk in another format, as qemu-img writes it.
    pub(super) fn converted(&self, disk: &[u8], format: &str, options: Option<&str>) -> Vec<u8> {
        let [from, to] = ["disk", "converted"].map(|name| self.folder.path().join(name));
        fs::write(&from, disk).unwrap();
        qemu_img::convert(&from, format, options, &to).unwrap();
        fs::read(to).unwrap()
    }

    /// The file of the only image.
    pub(super) fn file_of_image(&self) -> PathBuf {
        self.files_of_images().remove(0)
    }

    /// The files with data of images, whole or in part.
    pub(super) fn files_of_images(&self) -> Vec<PathBuf> {
        let folders = fs::read_dir(self.folder.path().join("images")).unwrap().map(Result::unwrap);
        let files = folders.filter_map(|folder| fs::read_dir(folder.path()).ok()).flatten();
        files.map(|file| file.unwrap().path()).collect()
    }

    pub(super) async fn get_image(&self, id: &str) -> Image {
        let mut images = ImageServiceClient::connect(self.glance.endpoint()).await.unwrap();
        let request = GetImageRequest { id: id.to_owned(), revision: 0 };
        images.get_image(request).await.unwrap().into_inner()
    }

    /// Begins to make an image from a volume; returns its id.
    pub(super) async fn begin_upload(&self, volume: &Volume) -> String {
        let (id, name) = (volume.id.clone(), "golden".to_owned());
        let request = UploadVolumeToImageRequest { id, name, ..UploadVolumeToImageRequest::default() };
        let begun = self.volumes.clone().upload_volume_to_image(request).await.unwrap().into_inner();
        assert_eq!(begun.volume.unwrap().task.unwrap().image_id, begun.image_id);
        begun.image_id
    }

    /// Kills cinder-svc in the middle of an upload, and starts it again.
    pub(super) async fn crash_while_uploading(&mut self) {
        let received = || {
            let files = self.files_of_images();
            files.iter().filter_map(|file| fs::metadata(file).ok()).map(|file| file.len()).max()
        };
        self.until(|| async { received().filter(|bytes| *bytes > 8 << 20) }).await;
        self.glance.signal("STOP").unwrap();
        assert!(received().unwrap() < 1 << 30);
        self.crash().await;
        self.glance.signal("CONT").unwrap();
    }

    pub(super) async fn create(&self, request: CreateVolumeRequest) -> Result<Volume, Status> {
        Ok(self.volumes.clone().create_volume(request).await?.into_inner())
    }

    /// The volume once it has been created, or could not be.
    pub(super) async fn created(&self, request: CreateVolumeRequest) -> Volume {
        self.settled(&self.create(request).await.unwrap()).await
    }

    pub(super) async fn extend(&self, volume: &Volume, size_gib: i32) -> Volume {
        let request =
            ExtendVolumeRequest { id: volume.id.clone(), size_gib, ..ExtendVolumeRequest::default() };
        self.volumes.clone().extend_volume(request).await.unwrap();
        self.settled(volume).await
    }

    pub(super) async fn begin_reimage(&self, volume: &Volume, image: &str) -> Volume {
        let (id, image_id) = (volume.id.clone(), image.to_owned());
        let request = ReimageVolumeRequest { id, image_id, ..ReimageVolumeRequest::default() };
        self.volumes.clone().reimage_volume(request).await.unwrap().into_inner()
    }

    pub(super) async fn reimage(&self, volume: &Volume, image: &str) -> Volume {
        self.settled(&self.begin_reimage(volume, image).await).await
    }

    /// A snapshot of a volume, once it has been taken.
    pub(super) async fn snapshot(&self, volume: &Volume) -> Snapshot {
        let request = CreateSnapshotRequest {
            volume_id: volume.id.clone(),
            name: "snapshot".into(),
            ..CreateSnapshotRequest::default()
        };
        let created = self.snapshots().await.create_snapshot(request).await.unwrap().into_inner();
        let request = GetSnapshotRequest { id: created.id };
        self.until(|| async {
            let found = self.snapshots().await.get_snapshot(request.clone()).await.unwrap().into_inner();
            (found.status() != snapshot::Status::Creating).then_some(found)
        })
        .await
    }

    pub(super) async fn delete_snapshot(&self, snapshot: &Snapshot) {
        let request = DeleteSnapshotRequest { id: snapshot.id.clone(), ..DeleteSnapshotRequest::default() };
        self.snapshots().await.delete_snapshot(request).await.unwrap();
    }

    async fn snapshots(&self) -> SnapshotServiceClient<Channel> {
        SnapshotServiceClient::connect(self.cinder.endpoint()).await.unwrap()
    }

    pub(super) async fn revert(&self, volume: &Volume, snapshot: &Snapshot) -> Volume {
        let (id, snapshot_id) = (volume.id.clone(), snapshot.id.clone());
        let request = RevertVolumeRequest { id, snapshot_id, ..RevertVolumeRequest::default() };
        self.volumes.clone().revert_volume(request).await.unwrap();
        self.settled(volume).await
    }

    /// Deletes a volume, and waits until it is gone.
    pub(super) async fn delete(&self, volume: &Volume) {
        let request = DeleteVolumeRequest { id: volume.id.clone(), ..DeleteVolumeRequest::default() };
        self.volumes.clone().delete_volume(request).await.unwrap();
        self.until(|| async { self.find(volume).await.is_none().then_some(()) }).await;
    }

    /// The volume once it has no task.
    pub(super) async fn settled(&self, volume: &Volume) -> Volume {
        self.until(|| async { self.find(volume).await.filter(|volume| volume.task.is_none()) }).await
    }

    async fn find(&self, volume: &Volume) -> Option<Volume> {
        let request = GetVolumeRequest { id: volume.id.clone(), ..GetVolumeRequest::default() };
        match self.volumes.clone().get_volume(request).await {
            Ok(volume) => Some(volume.into_inner()),
            Err(status) if status.code() == Code::NotFound => None,
            Err(status) => panic!("{status:?}"),
        }
    }

    /// Waits until there is no data.
    pub(super) async fn is_empty(&self) {
        self.has_folders(0).await;
    }

    /// Waits until there is the data of so many volumes.
    pub(super) async fn has_folders(&self, count: usize) {
        self.until(|| async { (self.folders().len() == count).then_some(()) }).await;
    }

    async fn until<T, F: Future<Output = Option<T>>>(&self, look: impl Fn() -> F) -> T {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = look().await {
                return found;
            }
            assert!(Instant::now() < end, "{}", self.cinder.log());
            tokio::task::yield_now().await;
        }
    }

    /// The data of a volume, and how much space it takes.
    pub(super) async fn data_of(&self, volume: &Volume) -> (Vec<u8>, u64) {
        let sql = "SELECT CAST(data_id AS TEXT) FROM volumes WHERE CAST(id AS TEXT) = $1";
        let data: String = if self.db.url.starts_with("sqlite") {
            let mut connection = SqliteConnection::connect(&self.db.url).await.unwrap();
            sqlx::query_scalar(sql).bind(&volume.id).fetch_one(&mut connection).await.unwrap()
        } else {
            let mut connection = PgConnection::connect(&self.db.url).await.unwrap();
            sqlx::query_scalar(sql).bind(&volume.id).fetch_one(&mut connection).await.unwrap()
        };
        let file = self.folder().join(data).join("data");
        (fs::read(&file).unwrap(), fs::metadata(&file).unwrap().blocks() * 512)
    }

    /// A part of the data of a volume: zeros, then bytes, and so on.
    pub(super) async fn read(
        &self,
        volume: &Volume,
        offset: usize,
        length: usize,
    ) -> Result<Vec<(usize, Vec<u8>)>, Status> {
        let [offset, length] = [offset, length].map(|number| i64::try_from(number).unwrap());
        let request = ReadVolumeDataRequest { id: volume.id.clone(), offset, length };
        let mut parts = self.volumes.clone().read_volume_data(request).await?.into_inner();
        let mut read = Vec::new();
        while let Some(message) = parts.message().await? {
            read.push(match message.part.unwrap() {
                Read::Data(bytes) => (0, bytes.to_vec()),
                Read::Zeros(count) => (usize::try_from(count).unwrap(), Vec::new()),
            });
        }
        Ok(read)
    }

    pub(super) async fn write(
        &self,
        volume: &Volume,
        mut parts: Vec<WriteVolumeDataRequest>,
    ) -> Result<Volume, Status> {
        parts[0].id.clone_from(&volume.id);
        let answer = self.volumes.clone().write_volume_data(tokio_stream::iter(parts)).await?;
        Ok(answer.into_inner())
    }

    /// Begins to write data, and leaves.
    pub(super) async fn leave_while_writing(&self, volume: &Volume) {
        let first = WriteVolumeDataRequest { id: volume.id.clone(), ..bytes(b"some") };
        let (mut volumes, begun) = (self.volumes.clone(), self.folders().len() + 1);
        let parts = tokio_stream::iter([first]).chain(tokio_stream::pending());
        let writing = tokio::spawn(async move { volumes.write_volume_data(parts).await });
        self.has_folders(begun).await;
        writing.abort();
    }

    /// Limits the size of cinder-svc's files.
    pub(super) fn limit_files(&self, bytes: &str) {
        let (pid, limit) = (self.cinder.pid().to_string(), format!("--fsize={bytes}:unlimited"));
        run(Command::new("prlimit").args(["--pid", &pid, &limit])).unwrap();
    }

    /// Lets the data of the only image never arrive.
    pub(super) fn hold_up_image(&self) {
        let file = self.file_of_image();
        fs::remove_file(&file).unwrap();
        run(Command::new("mkfifo").arg(file)).unwrap();
    }

    /// Kills cinder-svc and starts it again, once the leases of its tasks have ended.
    pub(super) async fn crash(&mut self) {
        self.cinder.kill().unwrap();
        let sql = "UPDATE volume_tasks SET lease_time = ";
        if self.db.url.starts_with("sqlite") {
            let mut connection = SqliteConnection::connect(&self.db.url).await.unwrap();
            connection.execute(sqlx::AssertSqlSafe(format!("{sql} 0"))).await.unwrap();
        } else {
            let mut connection = PgConnection::connect(&self.db.url).await.unwrap();
            connection.execute(sqlx::AssertSqlSafe(format!("{sql} '-infinity'"))).await.unwrap();
        }
        self.cinder = start_cinder(&self.db.url, &self.glance.endpoint(), &self.folder(), None);
        self.volumes = VolumeServiceClient::connect(self.cinder.endpoint()).await.unwrap();
    }
}

/// Starts cinder-svc with a folder; exceeding the size of a file is an error, like a full disk, and not a signal.
fn start_cinder(url: &str, glance: &str, folder: &Path, qemu_img: Option<&Path>) -> Service {
    workspace::build_services().unwrap();
    let storage = format!("dir:{}", folder.display());
    let mut command = Command::new("sh");
    command.args(["-c", r#"trap "" XFSZ; exec "$0" "$@""#]).arg(workspace::binary("cinder-svc").unwrap());
    command.args(["--listen", "127.0.0.1:0", "--database-url", url, "--glance-endpoint", glance]);
    command.args(["--storage", &storage]);
    if let Some(qemu_img) = qemu_img {
        command.arg("--qemu-img").arg(qemu_img);
    }
    Service::run("cinder-svc", &mut command).unwrap()
}

pub(super) fn blank(size_gib: i32) -> CreateVolumeRequest {
    CreateVolumeRequest { name: "volume".into(), size_gib: Some(size_gib), ..CreateVolumeRequest::default() }
}

pub(super) fn of_image(image: &str, size_gib: i32) -> CreateVolumeRequest {
    CreateVolumeRequest { source: Some(Source::ImageId(image.to_owned())), ..blank(size_gib) }
}

pub(super) fn copy_of(volume: &Volume, size_gib: i32) -> CreateVolumeRequest {
    CreateVolumeRequest { source: Some(Source::SourceVolumeId(volume.id.clone())), ..blank(size_gib) }
}

pub(super) fn from_snapshot(snapshot: &Snapshot, size_gib: i32) -> CreateVolumeRequest {
    CreateVolumeRequest { source: Some(Source::SnapshotId(snapshot.id.clone())), ..blank(size_gib) }
}

pub(super) fn bytes(bytes: &[u8]) -> WriteVolumeDataRequest {
    let part = Some(Part::Data(bytes.to_vec().into()));
    WriteVolumeDataRequest { part, ..WriteVolumeDataRequest::default() }
}

pub(super) fn zeros(count: usize) -> WriteVolumeDataRequest {
    WriteVolumeDataRequest { part: Some(Part::Zeros(i64::try_from(count).unwrap())), ..bytes(b"") }
}

/// A hash in hexadecimal.
pub(super) fn sha512(bytes: &[u8]) -> String {
    Sha512::digest(bytes).iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}
