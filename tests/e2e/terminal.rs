//! A terminal with OpenStack's clients and grpcurl.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use harness::tools;
use serde_json::Value;
use tempfile::TempDir;

/// Runs the shell with a pseudo-terminal as input: the clients treat any other input, even an empty one, as image data.
const SHELL: &str = "
import os, pty, sys
terminal, its_end = pty.openpty()
os.set_inheritable(terminal, True)
os.dup2(its_end, 0)
os.execv('/bin/sh', ['sh', '-euc', sys.argv[1]])
";

/// A shell in an empty home folder, with the variables it was given and no others.
pub(crate) struct Terminal {
    home: TempDir,
    variables: Vec<(String, String)>,
}

impl Terminal {
    /// One in which `variables` are set.
    pub(crate) fn with<const N: usize>(variables: [(&str, &str); N]) -> Self {
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self { home: tempfile::tempdir().unwrap(), variables: variables.into() }
    }

    /// Runs `lines` until one fails.
    pub(crate) fn types(&self, lines: &str) -> Output {
        let grpcurl = tools::grpcurl().unwrap();
        let clients = tools::client("glance").unwrap();
        let folders = [&clients, &grpcurl].map(|program| program.parent().and_then(Path::to_str).unwrap());
        let mut shell = Command::new(tools::clients_python().unwrap());
        shell.args(["-ISc", SHELL, lines]).current_dir(&self.home).env_clear();
        shell.env("HOME", self.home.path()).env("PATH", format!("{}:/usr/bin:/bin", folders.join(":")));
        // Otherwise, long cells are wrapped.
        shell.env("COLUMNS", "1000").envs(self.variables.iter().cloned());
        shell.output().unwrap()
    }

    /// The output of `lines`, all of which must succeed.
    pub(crate) fn run(&self, lines: &str) -> String {
        let Output { status, stdout, stderr } = self.types(lines);
        let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
        assert!(status.success(), "{lines}: {status}\n{stdout}{stderr}");
        // Clients print warnings there.
        assert_eq!(stderr, "", "{lines}");
        stdout.into_owned()
    }

    /// The error output of `line`, which must fail.
    pub(crate) fn fail(&self, line: &str) -> String {
        let Output { status, stdout, stderr } = self.types(line);
        let said = String::from_utf8_lossy(&stdout) + String::from_utf8_lossy(&stderr);
        assert_eq!(status.code(), Some(1), "{line}: {said}");
        assert!(!said.contains("Traceback"), "{line}: {said}");
        said.into_owned()
    }

    /// What `line` prints as JSON.
    pub(crate) fn json(&self, line: &str) -> Value {
        let printed = self.run(line);
        serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{line}: {error}\n{printed}"))
    }

    /// The table that `line` prints.
    pub(crate) fn table(&self, line: &str) -> Table {
        Table::parse(&self.run(line))
    }

    /// Writes a file in the home folder.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.home.path().join(name), content).unwrap();
    }

    /// A file of the home folder.
    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.home.path().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }
}

/// A table as `glance` prints it.
#[derive(Debug)]
pub(crate) struct Table(Vec<Vec<String>>);

impl Table {
    /// Parses the rows below the heading, whose cells are separated by bars.
    fn parse(printed: &str) -> Self {
        let lines = printed.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
        let rows = lines.map(|line| line.split(" | ").map(|cell| cell.trim().to_owned()).collect());
        Self(rows.skip(1).collect())
    }

    /// The second column, in the row that has `name` in the first.
    pub(crate) fn value(&self, name: &str) -> &str {
        self.find(name).unwrap_or_else(|| panic!("no {name} in {self:?}"))
    }

    /// The same, if there is such a row.
    pub(crate) fn find(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|row| row[0] == name).map(|row| row[1].as_str())
    }

    /// A column, from the top.
    pub(crate) fn column(&self, number: usize) -> Vec<&str> {
        self.0.iter().map(|row| row[number].as_str()).collect()
    }
}
