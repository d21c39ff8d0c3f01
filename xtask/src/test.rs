//! `cargo xtask test`: sets up what the checks need, and runs them all.

use std::process::{Command, Stdio};

use anyhow::ensure;
use clap::{Args, ValueEnum};
use harness::{
    keystone, pgbouncer,
    postgres::{self, Cluster},
    program::show,
    qemu_img, tools, workspace,
};

use crate::{fuzz::Fuzz, steps};

/// Set up what the checks need, and run them and the tests.
#[derive(Args)]
pub(crate) struct Test {
    /// Run only this step.
    #[arg(long, value_enum)]
    only: Option<Step>,

    /// The PostgreSQL server on which to create test databases, instead of a throwaway one.
    #[arg(long, env = "TEST_POSTGRES_URL", value_name = "URL")]
    postgres_url: Option<String>,
}

/// The steps, in order.
#[derive(Clone, Copy, ValueEnum)]
enum Step {
    Setup,
    Format,
    Contract,
    Lints,
    Dependencies,
    Tests,
    Docs,
    Fuzz,
}

impl Test {
    /// Runs the steps until one fails.
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        steps::run(self.only, Step::title, |step| self.run_step(step))
    }

    fn run_step(&self, step: Step) -> anyhow::Result<()> {
        match step {
            Step::Setup => set_up(),
            Step::Format => check_format(),
            Step::Contract => check_contract(),
            Step::Lints => cargo("clippy --workspace --all-targets --locked -- -D warnings"),
            Step::Dependencies => check_dependencies(),
            Step::Tests => self.run_tests(),
            Step::Docs => build_docs(),
            Step::Fuzz => Fuzz::BRIEF.run(),
        }
    }

    fn run_tests(&self) -> anyhow::Result<()> {
        let mut tests = cargo_command("test --workspace --locked");
        tests.env("GRPCURL", tools::grpcurl()?);
        if let Some(url) = &self.postgres_url {
            return show(tests.env("TEST_POSTGRES_URL", url));
        }
        let cluster = Cluster::start()?;
        show(tests.env("TEST_POSTGRES_URL", cluster.url("postgres")))
    }
}

impl Step {
    fn title(self) -> &'static str {
        match self {
            Self::Setup => "set-up: PostgreSQL, tools, dependencies",
            Self::Format => "formatting",
            Self::Contract => "lint and format of the contract",
            Self::Lints => "lints",
            Self::Dependencies => "licences, duplicates and sources of dependencies",
            Self::Tests => "tests",
            Self::Docs => "documentation",
            Self::Fuzz => "made-up requests",
        }
    }
}

/// Installs what is missing; the later steps need no network.
fn set_up() -> anyhow::Result<()> {
    require_component("fmt", "rustfmt")?;
    require_component("clippy", "clippy")?;
    postgres::install()?;
    pgbouncer::install()?;
    qemu_img::install()?;
    tools::install()?;
    keystone::prepare()?;
    cargo("fetch --locked")?;
    cargo("fetch --locked --manifest-path fuzz/Cargo.toml")
}

fn require_component(subcommand: &str, component: &str) -> anyhow::Result<()> {
    let answer = cargo_command(subcommand).arg("--version").stderr(Stdio::null()).output();
    let present = answer.is_ok_and(|answer| answer.status.success());
    ensure!(present, "{component} is missing: install it with `rustup component add {component}`");
    Ok(())
}

fn check_format() -> anyhow::Result<()> {
    cargo("fmt --all --check")?;
    // A workspace of its own.
    cargo("fmt --manifest-path fuzz/Cargo.toml --check")
}

fn check_contract() -> anyhow::Result<()> {
    let buf = tools::buf()?;
    let contract = workspace::root().join("proto");
    show(Command::new(&buf).arg("lint").current_dir(&contract))?;
    show(Command::new(&buf).args(["format", "-d", "--exit-code"]).current_dir(&contract))
}

fn check_dependencies() -> anyhow::Result<()> {
    let mut cargo_deny = Command::new(tools::cargo_deny()?);
    // Not the advisories, whose database is not available offline.
    cargo_deny.args(["--offline", "check", "--hide-inclusion-graph", "licenses", "bans", "sources"]);
    show(cargo_deny.current_dir(workspace::root()))
}

fn build_docs() -> anyhow::Result<()> {
    show(
        cargo_command("doc --workspace --no-deps --document-private-items --locked")
            .env("RUSTDOCFLAGS", "-Dwarnings"),
    )
}

fn cargo(arguments: &str) -> anyhow::Result<()> {
    show(&mut cargo_command(arguments))
}

fn cargo_command(arguments: &str) -> Command {
    let mut command = workspace::cargo();
    command.args(arguments.split(' '));
    command
}
