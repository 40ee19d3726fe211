//! The programs a cluster consists of: where they are and what they can do.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{Error, ErrorKind, Result};

/// The environment variable that names the server program.
pub const SERVER_VARIABLE: &str = "SWITCHMASTER_REDIS_SERVER";
/// The environment variable that names the sentinel program.
pub const SENTINEL_VARIABLE: &str = "SWITCHMASTER_REDIS_SENTINEL";

const HELP: &str = "install it (apt-get install redis-server redis-sentinel) or name it with";

#[derive(Clone, Debug)]
pub(crate) struct Programs {
    pub(crate) server: PathBuf,
    /// Any program that becomes a sentinel with `--sentinel`; the server itself when there is no other.
    pub(crate) sentinel: PathBuf,
    pub(crate) major: u32,
}

impl Programs {
    pub(crate) fn find(server: Option<&Path>, sentinel: Option<&Path>) -> Result<Programs> {
        let server = match server.map(Path::to_path_buf).or_else(|| variable(SERVER_VARIABLE)) {
            Some(path) => existing(path, SERVER_VARIABLE)?,
            None => on_path("redis-server").ok_or_else(|| {
                let message = format!("redis-server is not on PATH: {HELP} {SERVER_VARIABLE}");
                Error::new(ErrorKind::Missing, message)
            })?,
        };
        let sentinel = match sentinel.map(Path::to_path_buf).or_else(|| variable(SENTINEL_VARIABLE))
        {
            Some(path) => existing(path, SENTINEL_VARIABLE)?,
            None => server.clone(),
        };
        let major = major_version(&server)?;
        if major < 6 {
            let message = format!(
                "{} is version {major}: the sandbox needs ACL users, so 6.0 or newer",
                server.display()
            );
            return Err(Error::new(ErrorKind::Missing, message));
        }
        Ok(Programs { server, sentinel, major })
    }
}

fn variable(name: &str) -> Option<PathBuf> {
    env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

fn existing(path: PathBuf, variable: &str) -> Result<PathBuf> {
    if path.components().count() == 1 {
        if let Some(found) = path.to_str().and_then(on_path) {
            return Ok(found);
        }
    } else if path.is_file() {
        return Ok(path);
    }
    let message = format!("{} is not a program: {HELP} {variable}", path.display());
    Err(Error::new(ErrorKind::Missing, message))
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|directory| directory.join(name)).find(|file| file.is_file())
}

/// The 7 of `Redis server v=7.0.15 sha=…`.
fn major_version(server: &Path) -> Result<u32> {
    let failed = |cause: String| {
        let message =
            format!("the version of {}: {cause}; {HELP} {SERVER_VARIABLE}", server.display());
        Error::new(ErrorKind::Missing, message)
    };
    let output = Command::new(server)
        .arg("--version")
        .output()
        .map_err(|error| failed(error.to_string()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.split_whitespace()
        .find_map(|word| word.strip_prefix("v="))
        .and_then(|version| version.split('.').next())
        .and_then(|major| major.parse().ok())
        .ok_or_else(|| failed(format!("`--version` says {:?}", text.trim())))
}
