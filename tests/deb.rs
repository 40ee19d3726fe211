//! The Debian package of the command.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// Runs a program, and gives what it printed.
fn printed(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().expect("the program starts");
    let told = String::from_utf8_lossy(&stderr);
    assert!(status.success(), "{command:?}: {told}");
    String::from_utf8(stdout).expect("it prints UTF-8")
}

/// A folder that is gone after the test.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        // There is none when the test did not come so far.
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn the_package_has_the_command_and_what_belongs_to_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let scratch =
        Scratch(std::env::temp_dir().join(format!("switchmaster-deb-{}", std::process::id())));
    printed(Command::new(root.join("tests/setup")).arg("deb"));
    let mut build = Command::new(root.join("packaging/deb"));
    build.arg(&scratch.0).env("DEB_BINARY", env!("CARGO_BIN_EXE_switchmaster"));
    let package = printed(&mut build).trim().to_owned();

    let control = printed(Command::new("dpkg-deb").args(["--field", &package]));
    let version = env!("CARGO_PKG_VERSION");
    for field in ["Package: switchmaster", &format!("Version: {version}"), "libc6 (>= "] {
        assert!(control.contains(field), "{field} in {control}");
    }
    let content = printed(Command::new("dpkg-deb").args(["--contents", &package]));
    for line in content.lines() {
        assert!(line.contains(" root/root "), "{line}");
        let expected = match line {
            line if line.starts_with('d') || line.contains("/usr/bin/") => "rwxr-xr-x ",
            _ => "rw-r--r-- ",
        };
        assert!(line[1..].starts_with(expected), "{line}");
    }

    let unpacked = scratch.0.join("root");
    printed(Command::new("dpkg-deb").arg("--extract").args([Path::new(&package), &unpacked]));
    let files = [
        "bash-completion/completions/switchmaster",
        "doc/switchmaster/README.md",
        "doc/switchmaster/changelog.gz",
        "doc/switchmaster/copyright",
        "doc/switchmaster/docs/drill.png",
        "doc/switchmaster/docs/failover.md",
        "fish/vendor_completions.d/switchmaster.fish",
        "man/man1/switchmaster.1.gz",
        "man/man1/switchmaster-failover.1.gz",
        "zsh/vendor-completions/_switchmaster",
    ];
    for file in files {
        let file = unpacked.join("usr/share").join(file);
        let size =
            fs::metadata(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        assert!(size.len() > 100, "{}", file.display());
    }
    let command = unpacked.join("usr/bin/switchmaster");
    assert_eq!(
        printed(Command::new(command).arg("--version")),
        format!("switchmaster {version}\n")
    );
}
