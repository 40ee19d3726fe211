//! switchmaster as a C program finds it: installed, in a folder of its own.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::OnceLock,
};

use parking_lot::Mutex;

/// Warnings are errors in C and in C++.
pub const STRICT: [&str; 4] = ["-Wall", "-Wextra", "-pedantic", "-Werror"];

/// What `make install` left in a folder of this test.
pub struct Installation {
    /// Where it was told to be.
    prefix: PathBuf,
    /// What comes before the prefix, on the disk alone.
    stage: Option<PathBuf>,
    /// The umask of the installing user.
    umask: &'static str,
}

const USUAL: &str = "022";

impl Installation {
    /// One that several tests only read.
    pub fn shared() -> &'static Installation {
        static SHARED: OnceLock<Installation> = OnceLock::new();
        SHARED.get_or_init(|| Installation::at(&folder("shared")))
    }

    /// With this prefix.
    pub fn at(prefix: &Path) -> Installation {
        Installation { prefix: prefix.to_owned(), stage: None, umask: USUAL }.made()
    }

    /// Installs under this prefix, as a user with this umask.
    pub fn with_umask(prefix: &Path, umask: &'static str) -> Installation {
        Installation { prefix: prefix.to_owned(), stage: None, umask }.made()
    }

    /// With this prefix, for a package that is made in the folder `stage`.
    pub fn staged(stage: &Path, prefix: &str) -> Installation {
        let stage = Some(stage.to_owned());
        Installation { prefix: prefix.into(), stage, umask: USUAL }.made()
    }

    fn made(self) -> Installation {
        self.make("install");
        self
    }

    pub fn uninstall(&self) {
        self.make("uninstall");
    }

    fn make(&self, target: &str) {
        // What one of them installs is what another may be about to build.
        static TURN: Mutex<()> = Mutex::new(());
        let _turn = TURN.lock();
        let mut make = Command::new("sh");
        make.current_dir(env!("CARGO_MANIFEST_DIR"))
            .args(["-c", "umask \"$0\" && exec make \"$@\"", self.umask])
            .args(["--no-print-directory", target, "CAPI_PROFILE=dev"])
            .arg(format!("PREFIX={}", self.prefix.display()));
        if let Some(stage) = &self.stage {
            make.arg(format!("DESTDIR={}", stage.display()));
        }
        // The make and the flags that run these tests are not those of the library.
        for variable in ["MAKEFLAGS", "MFLAGS", "MAKELEVEL", "RUSTFLAGS", "LIBDIR", "INCLUDEDIR"] {
            make.env_remove(variable);
        }
        output(&mut make);
    }

    /// Where it is on the disk.
    pub fn root(&self) -> PathBuf {
        match &self.stage {
            None => self.prefix.clone(),
            Some(stage) => stage.join(self.prefix.strip_prefix("/").expect("it is absolute")),
        }
    }

    pub fn lib(&self) -> PathBuf {
        self.root().join("lib")
    }

    /// What pkg-config says to these arguments, with no other package to be found.
    pub fn pkg_config(&self, arguments: &[&str]) -> Vec<String> {
        let mut pkg_config = Command::new("pkg-config");
        pkg_config
            .args(arguments)
            .arg("switchmaster")
            .env("PKG_CONFIG_LIBDIR", self.lib().join("pkgconfig"))
            .env_remove("PKG_CONFIG_PATH");
        if let Some(stage) = &self.stage {
            pkg_config.env("PKG_CONFIG_SYSROOT_DIR", stage);
        }
        output(&mut pkg_config).split_whitespace().map(str::to_owned).collect()
    }

    /// Compiles sources with what pkg-config says to `--cflags --libs`, and `flags`.
    pub fn compile(
        &self,
        compiler: &str,
        sources: &[PathBuf],
        flags: &[&str],
        program: &Path,
    ) -> Program<'_> {
        let libraries = self.pkg_config(&["--cflags", "--libs"]);
        self.link(compiler, sources, flags, &libraries, program)
    }

    /// Compiles sources with `flags` and those of CFLAGS or CXXFLAGS, and `libraries` behind them.
    pub fn link(
        &self,
        compiler: &str,
        sources: &[PathBuf],
        flags: &[&str],
        libraries: &[String],
        program: &Path,
    ) -> Program<'_> {
        let more = env::var(if compiler == "c++" { "CXXFLAGS" } else { "CFLAGS" });
        let more = more.unwrap_or_default();
        let mut command = Command::new(compiler);
        command.args(STRICT).args(flags).args(more.split_whitespace());
        command.args(sources).args(libraries).arg("-o").arg(program);
        output(&mut command);
        self.program(program)
    }

    /// Has CMake build a project. What it gives is what it said when it looked for its packages.
    pub fn cmake(&self, project: &Path, build: &Path, options: &[&str]) -> Output {
        let strict = STRICT.join(" ");
        let configured = Command::new("cmake")
            .arg("-S")
            .arg(project)
            .arg("-B")
            .arg(build)
            .arg(format!("-DCMAKE_PREFIX_PATH={}", self.root().display()))
            .args([format!("-DCMAKE_C_FLAGS={strict}"), format!("-DCMAKE_CXX_FLAGS={strict}")])
            .args(options)
            .output()
            .expect("CMake is there: `make setup` gets what is missing");
        if configured.status.success() {
            output(Command::new("cmake").arg("--build").arg(build).env_remove("MAKEFLAGS"));
        }
        configured
    }

    pub fn program(&self, path: &Path) -> Program<'_> {
        Program { installation: self, path: path.to_owned() }
    }
}

/// A program that was built with an installation.
pub struct Program<'i> {
    installation: &'i Installation,
    path: PathBuf,
}

impl Program<'_> {
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A command that finds the shared library.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command.env("LD_LIBRARY_PATH", self.installation.lib());
        command
    }
}

/// The functions that `switchmaster.h` declares.
pub fn declared() -> BTreeSet<String> {
    let header = fs::read_to_string(source("include/switchmaster.h")).expect("the header is there");
    // A type of functions is no function.
    let lines = header.lines().filter(|line| !line.starts_with(['/', ' ', '#', '}']));
    let lines = lines.filter(|line| !line.starts_with("typedef "));
    let names = lines.filter_map(|line| line.split_once('(')?.0.split([' ', '*']).next_back());
    names.map(str::to_owned).collect()
}

/// An empty folder of this name, for this test file alone.
pub fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(env!("CARGO_CRATE_NAME")).join(name);
    if let Err(error) = fs::remove_dir_all(&folder) {
        assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{}: {error}", folder.display());
    }
    fs::create_dir_all(&folder).expect("the folder for tests can be written to");
    folder
}

/// A file of this repository.
pub fn source(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// What a command prints, which has to succeed.
pub fn output(command: &mut Command) -> String {
    let done = command.env_remove("LD_PRELOAD").output();
    let done = done
        .unwrap_or_else(|error| panic!("{command:?}: {error}; `make setup` gets what is missing"));
    succeeded(&format!("{command:?}"), &done)
}

/// What something printed that has to have succeeded.
pub fn succeeded(what: &str, done: &Output) -> String {
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{what}: {}\n{out}{err}", done.status);
    out.into_owned()
}
