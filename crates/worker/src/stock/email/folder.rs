//! Mail as files, where there is no mail server: for development, and to look at what would be sent.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use uuid::Uuid;

use super::message::Identity;
use crate::{Result, Verdict};

/// Keeps a message as `<job id>.<queue>.eml`: whole or not at all, and once however often it is sent.
pub(super) async fn keep(folder: &Path, identity: Identity<'_>, message: Vec<u8>) -> Result<PathBuf> {
    let file = folder.join(format!("{}.eml", identity.plain()));
    let what = format!("mail cannot be kept as {}", file.display());
    let (folder, kept) = (folder.to_owned(), file.clone());
    tokio::task::spawn_blocking(move || write(&folder, &file, &message)).await?.context(what)?;
    Ok(kept)
}

fn write(folder: &Path, file: &Path, message: &[u8]) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    // A name of its own, since another attempt may be writing the same mail.
    let draft = folder.join(format!(".{}.draft", Uuid::new_v4().simple()));
    let written = File::create_new(&draft).and_then(|mut draft| {
        draft.write_all(message)?;
        draft.sync_all()
    });
    let moved = written.and_then(|()| fs::rename(&draft, file));
    if moved.is_err() {
        let _ = fs::remove_file(&draft);
    }
    moved
}
