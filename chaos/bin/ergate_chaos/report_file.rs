//! Files for what came out of hours of playing: that they can be written is seen before anything is played.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use anyhow::Context as _;

/// A file that stays as it is until there is something to write, and is never half of it.
pub(super) struct ReportFile {
    pub(super) path: PathBuf,
    /// What is written first and then takes the name. None if something else than a plain file has the name, such as a pipe,
    /// whose place no file may take.
    draft: Option<PathBuf>,
}

impl ReportFile {
    /// Sees that it can be written.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let draft = draft_of(path)
            .with_context(|| format!("{} cannot be written, nothing is played", path.display()))?;
        Ok(Self { path: path.to_owned(), draft })
    }

    /// Writes this in place of what was there.
    pub(super) fn write(&self, text: &str) -> anyhow::Result<()> {
        let written = match &self.draft {
            Some(draft) => fs::write(draft, text).and_then(|()| fs::rename(draft, &self.path)),
            None => fs::write(&self.path, text),
        };
        written.with_context(|| format!("{} cannot be written", self.path.display()))
    }

    /// Writes this while there is more to come, unless it would stay beside that, as in a pipe.
    pub(super) fn write_so_far(&self, text: &str) -> anyhow::Result<()> {
        if self.draft.is_some() { self.write(text) } else { Ok(()) }
    }
}

fn draft_of(path: &Path) -> io::Result<Option<PathBuf>> {
    match fs::symlink_metadata(path) {
        Ok(found) => {
            OpenOptions::new().write(true).open(path)?;
            if !found.is_file() {
                return Ok(None);
            }
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut draft = path.as_os_str().to_owned();
    draft.push(".part");
    File::create(&draft)?;
    fs::remove_file(&draft)?;
    Ok(Some(draft.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_cannot_be_written_is_refused_before_anything_is_played() {
        let folder = std::env::temp_dir();

        assert!(ReportFile::open(&folder).is_err(), "a folder");
        assert!(ReportFile::open(&folder.join("no-such-folder-of-ergate/file")).is_err());
        assert!(ReportFile::open(Path::new("/dev/null")).unwrap().draft.is_none(), "no file takes its place");
    }

    #[test]
    fn what_was_there_stays_until_something_is_written() {
        let path = std::env::temp_dir().join(format!("ergate-report-{}", uuid::Uuid::new_v4().simple()));
        let file = ReportFile::open(&path).unwrap();
        assert!(!path.exists());

        file.write_so_far("a longer text").unwrap();
        let again = ReportFile::open(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "a longer text");
        again.write("a text").unwrap();

        assert_eq!(fs::read_to_string(&path).unwrap(), "a text");
        assert!(!again.draft.unwrap().exists());
        fs::remove_file(&path).unwrap();
    }
}
