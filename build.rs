//! With the feature `capi`: generates the C header from `src/ffi`, into `OUT_DIR`. What is committed
//! in `include/` is compared with it by `tests/header.rs`.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    #[cfg(feature = "capi")]
    header::generate();
}

#[cfg(feature = "capi")]
mod header {
    use std::{env, fs, path::PathBuf};

    /// The chapters of the header, and the files of `src/ffi` that they are made from.
    const CHAPTERS: [(&str, &str); 9] = [
        ("version", "Versions"),
        ("status", "How calls end"),
        ("options", "Options"),
        ("factory", "Factories"),
        ("stats", "Statistics"),
        ("handle", "Handles and their commands"),
        ("reply", "Replies"),
        ("event", "Events"),
        ("subscription", "Subscriptions"),
    ];

    pub(super) fn generate() {
        let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
        let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
        let file = root.join("src/ffi/cbindgen.toml");
        println!("cargo::rerun-if-changed={}", file.display());
        let mut config = cbindgen::Config::from_file(&file).expect("src/ffi/cbindgen.toml");
        config.after_includes = config.after_includes.map(|text| filled_in(&text));

        let sources = CHAPTERS.map(|(source, _)| root.join(format!("src/ffi/{source}.rs")));
        for source in &sources {
            println!("cargo::rerun-if-changed={}", source.display());
        }
        // First every type, since some are used before their chapter; then the functions, chapter by
        // chapter.
        let mut types = config.clone();
        types.export.item_types.retain(|item| *item != cbindgen::ItemType::Functions);
        types.trailer = None;
        let head = generated(types, &sources);
        let (head, end) = head.rsplit_once("#endif").expect("an include guard");
        let mut header = head.to_owned();
        header.push_str("#ifdef __cplusplus\nextern \"C\" {\n#endif\n");
        for (source, (_, title)) in sources.iter().zip(CHAPTERS) {
            let functions = cbindgen::Config {
                header: None,
                autogen_warning: None,
                after_includes: None,
                include_guard: None,
                sys_includes: Vec::new(),
                cpp_compat: false,
                export: cbindgen::ExportConfig {
                    item_types: vec![cbindgen::ItemType::Functions],
                    ..config.export.clone()
                },
                ..config.clone()
            };
            let functions = generated(functions, std::slice::from_ref(source));
            if !functions.trim().is_empty() {
                let line = "-".repeat(86_usize.saturating_sub(title.len()));
                header.push_str(&format!("\n/* ---- {title} {line} */\n\n{}\n", functions.trim()));
            }
        }
        header.push_str("\n#ifdef __cplusplus\n} /* extern \"C\" */\n#endif\n\n#endif");
        header.push_str(end);
        let folder = out.join("include");
        fs::create_dir_all(&folder).expect("OUT_DIR can be written to");
        fs::write(folder.join("switchmaster.h"), header).expect("OUT_DIR can be written to");
    }

    fn generated(config: cbindgen::Config, sources: &[PathBuf]) -> String {
        let builder = cbindgen::Builder::new().with_config(config);
        let builder = sources.iter().fold(builder, |builder, source| builder.with_src(source));
        let mut header = Vec::new();
        builder.generate().expect("src/ffi can be read").write(&mut header);
        String::from_utf8(header).expect("cbindgen writes text")
    }

    /// The version of the package, where the template asks for its parts.
    fn filled_in(template: &str) -> String {
        ["MAJOR", "MINOR", "PATCH"].iter().fold(template.to_owned(), |text, part| {
            let number = env::var(format!("CARGO_PKG_VERSION_{part}")).expect("cargo sets it");
            text.replace(&format!("@{part}@"), &number)
        })
    }
}
