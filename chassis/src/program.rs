//! A service's program: what every `main` does, from its command line to its last request. A service adds its own
//! flags and says what it serves.

use anyhow::Context as _;
use clap::{ArgAction, Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::{
    caller::Identity,
    db::{Db, Migrations},
    keystone::KeystoneArgs,
    server::{self, Base, Listeners, ServerArgs, Service},
    telemetry::{self, TelemetryArgs},
};

/// What a program is before its command line is read.
#[derive(Debug, Clone, Copy)]
pub struct Program {
    /// Its name: of the program, in its first line of output, and in traces.
    pub name: &'static str,
    /// Default of `--listen`.
    pub listen: &'static str,
    /// Default of `--database-url`.
    pub database_url: &'static str,
    /// The schema of its database.
    pub migrations: &'static Migrations,
}

impl Program {
    /// Reads the command line, opens the database, binds the listeners, and serves what `start` makes of the service's
    /// own flags until SIGTERM; with the command `migrate`, brings the schema up to date instead.
    pub async fn run<Own: Args>(
        &self,
        start: impl AsyncFnOnce(Own, &Base) -> anyhow::Result<Service>,
    ) -> anyhow::Result<()> {
        let CommandLine { common, own } = self.command_line()?;
        let _telemetry = telemetry::init(&common.telemetry, self.name).context("cannot send traces")?;
        let mut options = common.server.options().context("TLS")?;
        let db = Db::open(&common.database_url, common.database_max_connections, self.migrations)?;
        if let Some(Command::Migrate) = common.command {
            db.migrate().await?;
            db.close().await;
            return Ok(());
        }
        options.keystone = common.keystone.open(common.identity).context("Keystone")?;
        if common.skip_migrations {
            db.skip_migrations();
        }
        db.migrate_or_wait().await?;
        // Before anybody learns that it runs, and may want to stop it.
        let shutdown = server::shutdown_signal()?;
        let listeners = Listeners::bind(&common.listen, common.server.admin_listen.as_deref()).await?;
        common.identity.check(listeners.public.local_addr()?, common.server.allow_remote_development)?;
        let base = Base { program: self.name, db, identity: common.identity, options };
        let service = start(own, &base).await?;
        listeners.announce(self.name)?;
        server::serve(listeners, service, base.options, shutdown).await?;
        Ok(())
    }

    /// The command line of this process, with the program's defaults; exits if it is wrong or asks for help.
    fn command_line<Own: Args>(&self) -> Result<CommandLine<Own>, clap::Error> {
        let (name, listen, database_url) = (self.name, self.listen, self.database_url);
        let command = CommandLine::<Own>::command()
            .name(name)
            .mut_arg("listen", |arg| arg.default_value(listen))
            .mut_arg("database_url", |arg| arg.default_value(database_url));
        CommandLine::from_arg_matches(&command.get_matches())
    }
}

// No docstring: `--help` begins with that of the service's own flags.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
struct CommandLine<Own: Args> {
    #[command(flatten)]
    common: CommonArgs,

    #[command(flatten)]
    own: Own,
}

// As above.
#[derive(Debug, Args)]
struct CommonArgs {
    /// Address to listen on; port 0 picks a free one, which is printed.
    #[arg(long, env = "LISTEN", required = false, value_name = "HOST:PORT")]
    listen: String,

    /// Database: `sqlite:FILE` (created if missing) or `postgres://USER:PASSWORD@HOST/DATABASE`.
    #[arg(
        long,
        env = "DATABASE_URL",
        required = false,
        hide_env_values = true,
        value_name = "URL",
        global = true
    )]
    database_url: String,

    /// Maximum number of connections to the database. One in SQLite is read by at most as many as there are
    /// processors, or 4.
    #[arg(long, env = "DATABASE_MAX_CONNECTIONS", default_value_t = 16, value_name = "COUNT", global = true,
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    database_max_connections: u32,

    /// Do not migrate the database at startup; the service is not ready until the database has the schema that it
    /// needs.
    #[arg(long, env = "SKIP_MIGRATIONS", default_value_t = false, value_name = "BOOL", action = ArgAction::Set,
          num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    skip_migrations: bool,

    /// Where the caller's identity comes from.
    #[arg(long, env = "IDENTITY", value_enum, default_value_t, value_name = "SOURCE")]
    identity: Identity,

    #[command(flatten)]
    server: ServerArgs,

    #[command(flatten)]
    keystone: KeystoneArgs,

    #[command(flatten)]
    telemetry: TelemetryArgs,

    #[command(subcommand)]
    command: Option<Command>,
}

/// What to do instead of serving.
#[derive(Debug, Clone, Copy, Subcommand)]
enum Command {
    /// Bring the schema of the database up to date and exit (serving does that, too).
    Migrate,
}
