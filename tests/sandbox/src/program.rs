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
/// The environment variable that names the Valkey server.
pub const VALKEY_VARIABLE: &str = "SWITCHMASTER_VALKEY_SERVER";

/// What `tests/servers valkey-9.1` puts in place.
const VALKEY_VERSION: &str = "9.1.2";

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
        let named = server.is_some();
        let server = match server.map(Path::to_path_buf).or_else(|| variable(SERVER_VARIABLE)) {
            Some(path) => existing(path, SERVER_VARIABLE)?,
            None => on_path("redis-server").ok_or_else(|| {
                let message = format!("redis-server is not on PATH: {HELP} {SERVER_VARIABLE}");
                Error::new(ErrorKind::Missing, message)
            })?,
        };
        // A server that a test names comes with its sentinels, whatever the environment has for the rest.
        let other = || variable(SENTINEL_VARIABLE).filter(|_| !named);
        let sentinel = match sentinel.map(Path::to_path_buf).or_else(other) {
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

/// The Valkey server that `make setup` has put in place, or the one that `SWITCHMASTER_VALKEY_SERVER` names: for
/// [`Builder::server`](crate::Builder::server).
///
/// ```no_run
/// use switchmaster_sandbox::{Cluster, valkey_server};
///
/// let cluster = Cluster::builder().server(valkey_server()?).start()?;
/// cluster.sentinels()[0].failover_coordinated(cluster.service())?;
/// # Ok::<(), switchmaster_sandbox::Error>(())
/// ```
///
/// # Errors
///
/// [`ErrorKind::Missing`] when there is none.
pub fn valkey_server() -> Result<PathBuf> {
    let missing = |path: &Path, next: &str| {
        let message = format!("no Valkey server: {} is not a program: {next}", path.display());
        Error::new(ErrorKind::Missing, message)
    };
    if let Some(path) = variable(VALKEY_VARIABLE) {
        let next = format!("change {VALKEY_VARIABLE}, or unset it and run `make setup`");
        return Some(path.clone())
            .filter(|path| path.is_file())
            .ok_or_else(|| missing(&path, &next));
    }
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let target = variable("CARGO_TARGET_DIR").unwrap_or_else(|| PathBuf::from("target"));
    let file = format!("servers/valkey-{VALKEY_VERSION}/valkey-server");
    // Cargo and the script take a relative directory from where they run, which is the workspace.
    let path = workspace.canonicalize().unwrap_or(workspace).join(target).join(file);
    if path.is_file() {
        return Ok(path);
    }
    let next = format!("run `make setup` in the workspace, or name one in {VALKEY_VARIABLE}");
    Err(missing(&path, &next))
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
