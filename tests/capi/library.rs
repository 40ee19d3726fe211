//! The library for C as `make capi` builds it, and programs in C that use it.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::{
    env,
    ffi::OsStr,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Output, id},
    sync::LazyLock,
};

/// How C has to be written here, and the same for C++.
pub const STRICT: [&str; 4] = ["-Wall", "-Wextra", "-pedantic", "-Werror"];

/// Under what the programs in C run: `SWITCHMASTER_UNDER=asan` or `valgrind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Under {
    Nothing,
    /// AddressSanitizer and UndefinedBehaviorSanitizer, and so with the static library.
    Asan,
    Valgrind,
}

pub fn under() -> Under {
    match env::var("SWITCHMASTER_UNDER").as_deref() {
        Err(_) | Ok("") => Under::Nothing,
        Ok("asan") => Under::Asan,
        Ok("valgrind") => Under::Valgrind,
        Ok(other) => panic!("SWITCHMASTER_UNDER is {other:?}: asan and valgrind are known"),
    }
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Where the shared and the static library are. They are built once; cargo lets one process at a time
/// do that.
pub fn libraries() -> &'static Path {
    static BUILT: LazyLock<PathBuf> = LazyLock::new(|| {
        let mut make = Command::new("make");
        make.current_dir(root()).args(["--silent", "capi", "CAPI_PROFILE=dev"]);
        if let Some(cargo) = env::var_os("CARGO") {
            make.env("CARGO", cargo);
        }
        // What an outer make or cargo says is meant for what they start themselves.
        for name in ["MAKEFLAGS", "MFLAGS", "MAKELEVEL"] {
            make.env_remove(name);
        }
        finish(&mut make);
        let folder = root().join("target/capi/debug");
        // The name that programs look for when they start.
        let soname = soname(&folder.join("libswitchmaster.so"));
        if soname != "libswitchmaster.so" {
            replace(&folder.join(&soname), |new| symlink("libswitchmaster.so", new));
        }
        folder
    });
    &BUILT
}

fn soname(library: &Path) -> String {
    let dynamic = finish(Command::new("readelf").arg("-d").arg(library));
    let line = dynamic.lines().find(|line| line.contains("(SONAME)")).expect("it has a soname");
    line.split(['[', ']']).nth(1).expect("its name is in brackets").to_owned()
}

/// Puts a file where another process may do the same at the same time.
pub fn replace(to: &Path, make: impl FnOnce(&Path) -> std::io::Result<()>) {
    let mut new = to.as_os_str().to_owned();
    new.push(format!(".{}", id()));
    let new = Path::new(&new);
    let _ = fs::remove_file(new);
    make(new)
        .and_then(|()| fs::rename(new, to))
        .unwrap_or_else(|e| panic!("{}: {e}", to.display()));
}

/// A file of the tests' own, to be written anew.
pub fn scratch(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

pub fn compiler(variable: &str, default: &str) -> Command {
    let mut command = Command::new(env::var_os(variable).unwrap_or_else(|| default.into()));
    command.arg("-I").arg(root().join("include"));
    command
}

/// Compiles C and links it with the library: the shared one, or under ASan the static one.
pub fn program<S: AsRef<OsStr>>(name: &str, sources: &[S]) -> PathBuf {
    let folder = libraries();
    let program = scratch(&format!("{name}-{:?}", under()));
    replace(&program, |new| {
        let mut cc = compiler("CC", "cc");
        cc.args(["-std=c99", "-D_DEFAULT_SOURCE", "-g", "-O1", "-pthread"]).args(STRICT);
        cc.arg("-I").arg(root().join("tests/capi")).args(sources).arg("-o").arg(new);
        if under() == Under::Asan {
            cc.args(["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]);
            cc.arg("-fno-omit-frame-pointer").arg(folder.join("libswitchmaster.a"));
            let needed = fs::read_to_string(folder.join("native-static-libs"));
            cc.args(needed.expect("make capi writes it").split_whitespace());
        } else {
            cc.arg("-L").arg(folder).arg("-lswitchmaster");
            cc.arg(format!("-Wl,-rpath,{}", folder.display()));
        }
        finish(&mut cc);
        Ok(())
    });
    program
}

/// Runs a command that has to succeed; what it printed.
pub fn finish(command: &mut Command) -> String {
    let Output { status, stdout, stderr } =
        command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let stderr = String::from_utf8_lossy(&stderr);
    assert!(status.success(), "{command:?} ended with {status}:\n{stderr}");
    String::from_utf8(stdout).expect("it prints text")
}
