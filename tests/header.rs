//! `include/switchmaster.h`: it is what the sources say, every compiler takes it, and the library has
//! what it declares.

#[path = "capi/declarations.rs"]
mod declarations;
#[path = "capi/library.rs"]
mod library;

use std::{collections::BTreeSet, env, fs, process::Command};

use declarations::functions;
use library::*;

/// What the build script made from `src/ffi`.
const GENERATED: &str = include_str!(concat!(env!("OUT_DIR"), "/include/switchmaster.h"));

fn committed() -> String {
    let path = root().join("include/switchmaster.h");
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

mod in_c {
    use super::*;

    #[test]
    fn the_header_is_what_the_sources_say() {
        if env::var_os("UPDATE_HEADER").is_some() {
            let path = root().join("include/switchmaster.h");
            fs::write(path, GENERATED).expect("the header can be written");
        }
        let committed = committed();
        let (mut old, mut new) = (committed.lines(), GENERATED.lines());
        for line in 1.. {
            match (old.next(), new.next()) {
                (None, None) => break,
                (old, new) => assert_eq!(
                    old, new,
                    "line {line} of include/switchmaster.h (left) is not what src/ffi says (right); \
                     `UPDATE_HEADER=1 cargo test --features capi --test header` writes it anew"
                ),
            }
        }
        assert_eq!(committed, GENERATED);
    }

    /// Compiles a file that has nothing but the header in it, twice.
    fn compiles_alone(variable: &str, default: &str, standard: &str, extension: &str) {
        let source = scratch(&format!("alone-{standard}.{extension}"));
        replace(&source, |new| {
            fs::write(new, "#include <switchmaster.h>\n#include <switchmaster.h>\n")
        });
        let mut compiler = compiler(variable, default);
        compiler.arg(format!("-std={standard}")).args(STRICT).arg("-fsyntax-only").arg(&source);
        finish(&mut compiler);
    }

    #[test]
    fn it_is_c99() {
        compiles_alone("CC", "cc", "c99", "c");
    }

    #[test]
    fn it_is_cpp11() {
        compiles_alone("CXX", "c++", "c++11", "cpp");
    }

    #[test]
    fn it_is_cpp17() {
        compiles_alone("CXX", "c++", "c++17", "cpp");
    }

    #[test]
    fn its_versions_are_those_of_the_package_and_of_the_library() {
        let source = scratch("versions.c");
        let code = r#"#include <stdio.h>
            #include <switchmaster.h>
            int main(void)
            {
                printf("%d.%d.%d %d\n", SWM_VERSION_MAJOR, SWM_VERSION_MINOR, SWM_VERSION_PATCH,
                       SWM_ABI_VERSION);
                printf("%s %d\n", swm_version(), swm_abi_version());
                return 0;
            }"#;
        replace(&source, |new| fs::write(new, code));
        let printed = finish(&mut Command::new(program("versions", &[source])));
        let lines: Vec<&str> = printed.lines().collect();
        assert_eq!(lines.len(), 2, "{printed}");
        assert_eq!(lines[0], lines[1]);
        assert_eq!(lines[0].split(' ').next(), Some(env!("CARGO_PKG_VERSION")));
    }

    #[test]
    fn the_library_exports_what_it_declares_and_nothing_else() {
        let library = libraries().join("libswitchmaster.so");
        let symbols = finish(Command::new("nm").args(["-D", "--defined-only"]).arg(library));
        let exported: BTreeSet<&str> =
            symbols.lines().filter_map(|line| line.split_whitespace().nth(2)).collect();
        let functions = functions(&committed());
        let declared: BTreeSet<&str> =
            functions.iter().map(|function| function.name.as_str()).collect();
        assert_eq!(declared.len(), functions.len(), "one is declared twice");
        let missing: Vec<_> = declared.difference(&exported).collect();
        assert!(missing.is_empty(), "declared, and not in the library: {missing:?}");
        let extra: Vec<_> = exported.difference(&declared).collect();
        assert!(extra.is_empty(), "in the library, and not declared: {extra:?}");
    }
}
