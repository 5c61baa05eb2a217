//! Where ledgers are.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A directory that is removed with the value, unless it is to be kept.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// Whether it stays.
    pub keep: bool,
}

impl Folder {
    pub(super) fn new() -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("ergate-chaos-{}", uuid::Uuid::new_v4().simple()));
        fs::create_dir(&path)?;
        Ok(Self { path, keep: false })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.keep {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}
