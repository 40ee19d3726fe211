//! Chromium without a screen, which `tests/setup browser` installs.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// How long it may take to show a page, in seconds.
const PATIENCE: &str = "60";

/// A directory for it that is gone after the test.
pub(crate) struct Browser {
    directory: PathBuf,
}

impl Browser {
    pub(crate) fn new(name: &str) -> Browser {
        let directory =
            std::env::temp_dir().join(format!("switchmaster-{}-{name}", std::process::id()));
        fs::create_dir_all(&directory).expect("a directory");
        Browser { directory }
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn open(&self, page: &Path, width: u32, arguments: &[&str]) -> Output {
        // Containers have little room for memory that is shared.
        let output = Command::new("timeout")
            .args([PATIENCE, "chromium", "--headless", "--no-sandbox", "--disable-gpu"])
            .args(["--disable-dev-shm-usage", "--hide-scrollbars"])
            .arg("--enable-logging=stderr")
            .arg(format!("--user-data-dir={}", self.file("profile").display()))
            .arg(format!("--window-size={width},1200"))
            .args(arguments)
            .arg(format!("file://{}", page.display()))
            .output()
            .expect("`make setup` brings Chromium");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {said}", output.status);
        let errors: Vec<&str> = said.lines().filter(|line| line.contains("CONSOLE")).collect();
        assert!(errors.is_empty(), "{errors:#?}");
        output
    }

    /// The page as it is when its scripts have run.
    pub(crate) fn document(&self, page: &Path, width: u32) -> String {
        let output = self.open(page, width, &["--dump-dom"]);
        String::from_utf8(output.stdout).expect("a page in UTF-8")
    }

    /// A picture of it, as PNG.
    pub(crate) fn picture(&self, page: &Path, width: u32) -> Vec<u8> {
        let file = self.file("picture.png");
        self.open(page, width, &[&format!("--screenshot={}", file.display())]);
        fs::read(file).expect("a picture")
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Its last process may still be writing.
        let _ = fs::remove_dir_all(&self.directory);
    }
}
