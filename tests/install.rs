//! What `make install` installs is enough for a stranger, who has nothing else of switchmaster.

#[path = "installed/mod.rs"]
mod installed;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::OnceLock,
};

use installed::{Installation, Program, declared, folder, output, source, succeeded};
use serde_json::Value;
use switchmaster_sandbox::Cluster;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What these programs talk to.
fn url() -> String {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    let cluster = || Cluster::builder().replicas(0).sentinels(1).start().expect("a cluster starts");
    CLUSTER.get_or_init(cluster).url()
}

/// Asserts that a program does what it should.
fn assert_works(program: &Program) {
    let done = program.command().arg(url()).output().expect("the program starts");
    let printed = succeeded(&program.path().display().to_string(), &done);
    assert_eq!(printed, format!("hello from switchmaster {VERSION}\n"));
}

fn app(extension: &str) -> Vec<PathBuf> {
    vec![source(&format!("tests/install/app.{extension}"))]
}

/// The shared libraries that a file wants to be loaded.
fn needed(file: &Path) -> BTreeSet<String> {
    dynamic(file, "(NEEDED)")
}

/// The names that are in brackets in these entries of a file's dynamic section.
fn dynamic(file: &Path, tag: &str) -> BTreeSet<String> {
    let printed = output(Command::new("readelf").args(["--dynamic", "--wide"]).arg(file));
    let entries = printed.lines().filter(|line| line.contains(tag));
    let name =
        |line: &str| line.split_once('[')?.1.split_once(']').map(|(name, _)| name.to_owned());
    entries.map(|line| name(line).expect("a name in brackets")).collect()
}

/// Every file and link below a folder, with where links lead.
fn tree(root: &Path) -> BTreeMap<String, Option<String>> {
    fn walk(root: &Path, folder: &Path, found: &mut BTreeMap<String, Option<String>>) {
        for entry in fs::read_dir(folder).expect("the folder is there") {
            let path = entry.expect("the folder can be read").path();
            if path.is_dir() && !path.is_symlink() {
                walk(root, &path, found);
            } else {
                let name = path.strip_prefix(root).expect("it is below").display().to_string();
                let target = fs::read_link(&path).ok();
                found.insert(name, target.map(|target| target.display().to_string()));
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(root, root, &mut found);
    found
}

#[test]
fn the_libraries_the_headers_and_what_finds_them_are_installed() {
    let shared = format!("libswitchmaster.so.{VERSION}");
    let mut expected: BTreeMap<String, Option<String>> = [
        ("lib/libswitchmaster.a", None),
        ("lib/libswitchmaster.so", Some("libswitchmaster.so.0".to_owned())),
        ("lib/libswitchmaster.so.0", Some(shared.clone())),
        (&format!("lib/{shared}"), None),
        ("lib/pkgconfig/switchmaster.pc", None),
        ("lib/cmake/switchmaster/switchmaster-config.cmake", None),
        ("lib/cmake/switchmaster/switchmaster-config-version.cmake", None),
    ]
    .map(|(name, target)| (name.to_owned(), target))
    .into();
    for header in fs::read_dir(source("include")).unwrap() {
        let name = header.unwrap().file_name().into_string().unwrap();
        expected.insert(format!("include/{name}"), None);
    }
    assert_eq!(tree(&Installation::shared().root()), expected);
}

#[test]
fn a_c_program_is_built_with_what_pkg_config_says() {
    let installation = Installation::shared();
    let program = folder("pkg-config").join("app");
    let program = installation.compile("cc", &app("c"), &["-std=c99"], &program);
    assert!(needed(program.path()).contains("libswitchmaster.so.0"));
    assert_works(&program);
}

#[test]
fn a_cpp_program_is_built_with_what_pkg_config_says() {
    let installation = Installation::shared();
    let program = folder("pkg-config-cpp").join("app");
    let program = installation.compile("c++", &app("cpp"), &["-std=c++17"], &program);
    assert_works(&program);
}

#[test]
fn a_static_program_is_built_with_what_pkg_config_says() {
    let installation = Installation::shared();
    let program = folder("static").join("app");
    let libraries = installation.pkg_config(&["--static", "--cflags", "--libs"]);
    let program = installation.link("cc", &app("c"), &["-static"], &libraries, &program);
    assert_eq!(needed(program.path()), BTreeSet::new());
    assert_works(&program);
}

#[test]
fn a_program_can_have_the_library_in_itself_and_share_the_systems() {
    let installation = Installation::shared();
    let program = folder("half-static").join("app");
    let mut libraries = installation.pkg_config(&["--static", "--cflags", "--libs"]);
    for library in &mut libraries {
        if library == "-lswitchmaster" {
            "-l:libswitchmaster.a".clone_into(library);
        }
    }
    let program = installation.link("cc", &app("c"), &[], &libraries, &program);
    let needed = needed(program.path());
    assert!(needed.iter().all(|name| !name.contains("switchmaster")), "{needed:?}");
    assert!(needed.contains("libc.so.6"), "{needed:?}");
    assert_works(&program);
}

/// Has CMake build the project of this test, for which it asks for a version.
fn cmake(installation: &Installation, build: &Path, wanted: &str) -> Output {
    installation.cmake(&source("tests/install"), build, &[&format!("-DWANTED={wanted}")])
}

#[test]
fn a_cmake_project_finds_the_package() {
    let installation = Installation::shared();
    let build = folder("cmake");
    succeeded("cmake", &cmake(installation, &build, "0.1"));
    for (name, shared) in [("shared", true), ("static", false), ("plusplus", true)] {
        let program = installation.program(&build.join(name));
        let needed = needed(program.path());
        assert_eq!(needed.contains("libswitchmaster.so.0"), shared, "{name}: {needed:?}");
        assert_works(&program);
    }
}

#[test]
fn a_cmake_project_that_wants_a_later_version_is_told() {
    for wanted in ["99", "0.99"] {
        let configured = cmake(Installation::shared(), &folder(&format!("cmake-{wanted}")), wanted);
        assert!(!configured.status.success());
        let said = String::from_utf8_lossy(&configured.stderr);
        let said: Vec<_> = said.split_whitespace().collect();
        let expected = format!("requested version \"{wanted}\"");
        assert!(said.join(" ").contains(&expected), "{said:?}");
    }
}

#[test]
fn a_staged_installation_works_and_does_not_name_its_stage() {
    let stage = folder("stage");
    let installation = Installation::staged(&stage, "/opt/switchmaster");
    let found = tree(&stage);
    assert!(found.keys().all(|name| name.starts_with("opt/switchmaster/")), "{found:?}");
    for name in found.keys().filter(|name| name.ends_with(".pc") || name.ends_with(".cmake")) {
        let text = fs::read_to_string(stage.join(name)).unwrap();
        assert!(!text.contains(&*stage.to_string_lossy()), "{name}: {text}");
    }
    let work = folder("staged");
    assert_works(&installation.compile("cc", &app("c"), &["-std=c99"], &work.join("app")));
    succeeded("cmake", &cmake(&installation, &work.join("cmake"), ""));
    assert_works(&installation.program(&work.join("cmake/shared")));
}

#[test]
fn what_is_installed_can_be_read_by_others_whatever_the_umask() {
    // What is built keeps to itself; it is built before.
    Installation::shared();
    let prefix = folder("umask");
    // The prefix itself is the user's.
    let prefix = prefix.join("new");
    let root = Installation::with_umask(&prefix, "077").root();
    let mut files = vec![root.clone(), root.join("lib/cmake"), root.join("lib/pkgconfig")];
    files.extend([root.join("lib"), root.join("include"), root.join("lib/cmake/switchmaster")]);
    files.extend(tree(&root).into_keys().map(|name| root.join(name)));
    for file in files {
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        let needed = if file.is_dir() { 0o055 } else { 0o044 };
        assert_eq!(mode & needed, needed, "{}: {mode:o}", file.display());
    }
}

#[test]
fn nothing_is_left_after_uninstall() {
    let prefix = folder("uninstall");
    let installation = Installation::at(&prefix);
    let others = ["lib/libother.so", "lib/pkgconfig/other.pc", "include/other.h"];
    for other in others {
        fs::write(prefix.join(other), "").unwrap();
    }
    installation.uninstall();
    assert_eq!(
        tree(&prefix).into_keys().collect::<BTreeSet<_>>(),
        others.map(str::to_owned).into()
    );
    assert!(!prefix.join("lib/cmake/switchmaster").exists());
    // A second time there is nothing to remove, and that is no failure.
    installation.uninstall();
}

#[test]
fn a_prefix_that_is_not_absolute_is_refused() {
    let refused = Command::new("make")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["--no-print-directory", "uninstall", "PREFIX=somewhere"])
        .env_remove("MAKEFLAGS")
        .output()
        .unwrap();
    assert!(!refused.status.success());
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("somewhere is not absolute"), "{said}");
}

#[test]
fn the_shared_library_is_known_by_its_soname() {
    let library = Installation::shared().lib().join("libswitchmaster.so");
    assert_eq!(dynamic(&library, "(SONAME)"), ["libswitchmaster.so.0".to_owned()].into());
}

#[test]
fn the_shared_library_exports_what_is_in_the_header_and_nothing_else() {
    let library = Installation::shared().lib().join("libswitchmaster.so");
    let printed = output(
        Command::new("nm").args(["--dynamic", "--defined-only", "--format=posix"]).arg(library),
    );
    let exported = printed.lines().filter_map(|line| line.split_whitespace().next());
    let declared = declared();
    assert!(declared.len() > 40, "{declared:?}");
    assert_eq!(exported.map(str::to_owned).collect::<BTreeSet<_>>(), declared);
}

/// The platform that the installed Rust compiles for.
fn host() -> String {
    let printed = output(Command::new("rustc").arg("-vV"));
    let host = printed.lines().find_map(|line| line.strip_prefix("host: "));
    host.expect("rustc names its host").to_owned()
}

#[test]
fn a_rust_program_that_depends_on_switchmaster_builds_none_of_it() {
    let dependant = folder("dependant");
    fs::create_dir(dependant.join("src")).unwrap();
    fs::write(dependant.join("src/main.rs"), "fn main() {}\n").unwrap();
    let manifest = format!(
        "[package]\nname = \"dependant\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n\
         [dependencies]\nswitchmaster = {{ path = {:?} }}\n\n[workspace]\n",
        env!("CARGO_MANIFEST_DIR")
    );
    fs::write(dependant.join("Cargo.toml"), manifest).unwrap();
    // The versions of this workspace, which are there.
    fs::copy(source("Cargo.lock"), dependant.join("Cargo.lock")).unwrap();
    let cargo = |arguments: &[&str]| {
        let mut cargo = Command::new(env!("CARGO"));
        output(cargo.args(arguments).arg("--offline").current_dir(&dependant))
    };

    let tree = cargo(&["tree", "--prefix", "none", "--edges", "normal,build"]);
    let packages: BTreeSet<&str> =
        tree.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert!(packages.contains("switchmaster") && packages.contains("r2d2"), "{packages:?}");
    for only_for_c in ["cbindgen", "serde_json", "cc", "clap"] {
        assert!(!packages.contains(only_for_c), "{only_for_c} in {tree}");
    }

    // For this platform alone: the packages of others need not have been downloaded.
    let platform = host();
    let metadata = cargo(&["metadata", "--format-version", "1", "--filter-platform", &platform]);
    let metadata: Value = serde_json::from_str(&metadata).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let ours = packages.iter().find(|package| package["name"] == "switchmaster").unwrap();
    let targets = ours["targets"].as_array().unwrap();
    let library = targets.iter().find(|target| target["name"] == "switchmaster").unwrap();
    assert_eq!(library["crate_types"], serde_json::json!(["lib"]), "{library}");
}
