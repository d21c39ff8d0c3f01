//! The database is read-only, or replaced by another one, and then recovers: readiness follows, writes are refused for exactly
//! as long, and everything that was acknowledged is there.

use std::{fs, net::SocketAddr, path::Path, process::Command};

use chassis::testing::TestDb;
use harness::{http, program::run, service::Service, workspace};
use proto::{
    glance::v1::{CreateImageRequest, Image, ListImagesRequest, image_service_client::ImageServiceClient},
    nova::v1::{CreateFlavorRequest, Flavor, ListFlavorsRequest, flavor_service_client::FlavorServiceClient},
};
use sqlx::{Connection as _, Executor as _, PgConnection};
use tonic::{Code, Status, transport::Channel};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_types::StatusExt as _;

const SERVICES: [&str; 2] = ["glance-svc", "nova-api-svc"];

/// A service whose database is tampered with.
struct Subject {
    service: Service,
    admin: SocketAddr,
    channel: Channel,
    is_glance: bool,
    written: usize,
}

impl Subject {
    async fn start(binary: &'static str, url: &str) -> Self {
        workspace::build_services().unwrap();
        // Exceeding the file size is an error, like a full disk, and not a signal.
        let mut command = Command::new("sh");
        command.args(["-c", r#"trap "" XFSZ; exec "$0" "$@""#]).arg(workspace::binary(binary).unwrap());
        command.args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--database-url", url]);
        let service = Service::run(binary, &mut command).unwrap();
        let channel = Channel::from_shared(service.endpoint()).unwrap().connect().await.unwrap();
        let admin = service.admin().unwrap();
        Self { service, admin, channel, is_glance: binary == "glance-svc", written: 0 }
    }

    /// Writes something with a value of this many bytes.
    async fn write(&mut self, bytes: usize) -> Result<(), Status> {
        let (name, value) = (format!("w{}", self.written), "x".repeat(bytes));
        if self.is_glance {
            let properties = [("p".to_owned(), value)].into();
            let image = Some(Image { name, properties, ..Image::default() });
            let mut images = ImageServiceClient::new(self.channel.clone());
            images.create_image(CreateImageRequest { image }).await?;
        } else {
            let flavor = Flavor { id: name.clone(), name, memory_mb: 1, vcpus: 1, ..Flavor::default() };
            let mut flavors = FlavorServiceClient::new(self.channel.clone());
            flavors.create_flavor(CreateFlavorRequest { flavor: Some(flavor) }).await?;
        }
        self.written += 1;
        Ok(())
    }

    /// How much of what was written is there; retries until the database is up.
    async fn read(&self) -> usize {
        loop {
            match self.names().await {
                Ok(names) => return names.iter().filter(|name| name.starts_with('w')).count(),
                Err(refused) => assert_refused(&refused),
            }
        }
    }

    async fn names(&self) -> Result<Vec<String>, Status> {
        let (page_size, channel) = (1000, self.channel.clone());
        if self.is_glance {
            let request = ListImagesRequest { page_size, ..Default::default() };
            let listed = ImageServiceClient::new(channel).list_images(request).await?.into_inner();
            return Ok(listed.images.into_iter().map(|image| image.name).collect());
        }
        let request = ListFlavorsRequest { page_size, ..Default::default() };
        let listed = FlavorServiceClient::new(channel).list_flavors(request).await?.into_inner();
        Ok(listed.flavors.into_iter().map(|flavor| flavor.name).collect())
    }

    /// Waits until it is ready, or not, according to the probes and the health service.
    async fn wait_until(&self, is_ready: bool) {
        let expected = if is_ready { "200" } else { "503" };
        while !http::get(self.admin, "/readyz").unwrap().starts_with(&format!("HTTP/1.1 {expected}")) {}
        let mut health = HealthClient::new(self.channel.clone());
        let request = HealthCheckRequest::default();
        let mut watched = health.watch(request).await.unwrap().into_inner();
        while (watched.message().await.unwrap().unwrap().status == 1) != is_ready {}
    }

    /// Checks that writes are refused with a hint to retry.
    async fn refuses_writes(&mut self) {
        assert_refused(&self.write(1).await.unwrap_err());
    }

    /// Checks that everything acknowledged is there, and that writes work.
    async fn is_well(&mut self) {
        for _ in 0..32 {
            self.write(1).await.unwrap();
        }
        assert_eq!(self.read().await, self.written);
    }
}

#[track_caller]
fn assert_refused(status: &Status) {
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    assert_eq!(status.get_details_error_info().unwrap().reason, "DATABASE_UNAVAILABLE");
    assert!(status.get_details_retry_info().unwrap().retry_delay.is_some());
}

/// Limits the size of a process's files.
fn limit_files(service: &Service, bytes: &str) {
    let (pid, limit) = (service.pid().to_string(), format!("--fsize={bytes}:unlimited"));
    run(Command::new("prlimit").args(["--pid", &pid, &limit])).unwrap();
}

#[tokio::test]
async fn a_disk_that_was_full_is_written_again_when_there_is_room() {
    for binary in SERVICES {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("test.sqlite");
        let url = format!("sqlite://{}", file.display());
        let mut subject = Subject::start(binary, &url).await;
        subject.is_well().await;
        for _ in 0..2 {
            let log = fs::metadata(folder.path().join("test.sqlite-wal")).unwrap().len();
            limit_files(&subject.service, &log.to_string());
            let refused = loop {
                if let Err(refused) = subject.write(20_000).await {
                    break refused;
                }
            };
            assert_refused(&refused);
            subject.wait_until(false).await;
            subject.refuses_writes().await;
            assert_eq!(subject.read().await, subject.written, "{binary} can be read");
            limit_files(&subject.service, "unlimited");
            subject.wait_until(true).await;
            subject.is_well().await;
        }
        subject.service.kill().unwrap();
        let again = Subject { written: subject.written, ..Subject::start(binary, &url).await };
        assert_eq!(again.read().await, again.written, "{binary} has all that it acknowledged");
    }
}

#[tokio::test]
async fn a_file_that_is_gone_or_another_one_is_not_written() {
    for binary in SERVICES {
        let folder = tempfile::tempdir().unwrap();
        let [file, elsewhere] = ["test.sqlite", "elsewhere"].map(|name| folder.path().join(name));
        let url = format!("sqlite://{}", file.display());
        let mut subject = Subject::start(binary, &url).await;
        subject.is_well().await;

        fs::rename(&file, &elsewhere).unwrap();
        subject.wait_until(false).await;
        subject.refuses_writes().await;
        assert!(!file.exists(), "{binary} makes no other database");
        fs::rename(&elsewhere, &file).unwrap();
        subject.wait_until(true).await;
        subject.is_well().await;

        restore(&file, &elsewhere);
        subject.wait_until(false).await;
        subject.refuses_writes().await;
        let log = subject.service.log();
        assert!(log.contains("another file is in the place of the database"), "{log}");
        subject.service.kill().unwrap();
        let mut again = Subject { written: subject.written, ..Subject::start(binary, &url).await };
        again.written = again.read().await;
        again.is_well().await;
    }
}

/// Replaces a file with a copy.
fn restore(file: &Path, copy: &Path) {
    fs::copy(file, copy).unwrap();
    fs::rename(copy, file).unwrap();
}

#[tokio::test]
async fn sessions_of_a_primary_that_reads_only_now_are_left() {
    for binary in SERVICES {
        let db = TestDb::postgres().await;
        let mut subject = Subject::start(binary, &db.url).await;
        subject.is_well().await;
        let (_, name) = db.url.rsplit_once('/').unwrap();
        for _ in 0..2 {
            execute(&db, format!("ALTER DATABASE {name} SET default_transaction_read_only = on")).await;
            let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                       WHERE datname = current_database() AND pid <> pg_backend_pid()";
            execute(&db, end.to_owned()).await;
            subject.wait_until(false).await;
            subject.refuses_writes().await;
            assert_eq!(subject.read().await, subject.written, "{binary} can be read");
            // Open files are not affected.
            execute(&db, format!("ALTER DATABASE {name} SET default_transaction_read_only = off")).await;
            subject.wait_until(true).await;
            subject.is_well().await;
        }
    }
}

/// As an operator would do it, ignoring what the database says.
async fn execute(db: &TestDb, statement: String) {
    let mut connection = PgConnection::connect(&db.url).await.unwrap();
    connection.execute("SET default_transaction_read_only = off").await.unwrap();
    connection.execute(sqlx::AssertSqlSafe(statement)).await.unwrap();
}

#[tokio::test]
async fn a_statement_that_takes_too_long_can_be_tried_again() {
    for binary in SERVICES {
        let db = TestDb::postgres().await;
        let (_, name) = db.url.rsplit_once('/').unwrap();
        execute(&db, format!("ALTER DATABASE {name} SET statement_timeout = '200ms'")).await;
        let mut subject = Subject::start(binary, &db.url).await;
        subject.write(1).await.unwrap();
        let mut other = PgConnection::connect(&db.url).await.unwrap();
        let table = if subject.is_glance { "images" } else { "flavors" };
        other.execute(sqlx::AssertSqlSafe(format!("BEGIN; LOCK TABLE {table}"))).await.unwrap();
        subject.refuses_writes().await;
        other.execute("ROLLBACK").await.unwrap();
        subject.is_well().await;
    }
}
