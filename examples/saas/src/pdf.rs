//! Reports as PDF, written by hand: a title, and a line for each figure.

use std::{fs, path::PathBuf};

use anyhow::Context;
use pdf_writer::{Content, Finish, Name, Pdf, Rect, Ref, Str};

/// A4, in points.
const PAGE: Rect = Rect { x1: 0.0, y1: 0.0, x2: 595.0, y2: 842.0 };
const FONT: Name<'static> = Name(b"F1");
/// What fits under the title.
const MOST_LINES: usize = 40;

/// Files that users are given: cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    folder: PathBuf,
}

impl Files {
    pub(crate) fn folder(folder: PathBuf) -> anyhow::Result<Self> {
        fs::create_dir_all(&folder).with_context(|| format!("files in the folder {}", folder.display()))?;
        Ok(Self { folder })
    }

    /// Keeps a file under a name, in place of one that was there, and returns where it is. Half a file is never seen.
    pub(crate) async fn keep(&self, name: &str, bytes: Vec<u8>) -> anyhow::Result<String> {
        let (draft, path) = (self.folder.join(format!(".{name}")), self.folder.join(name));
        tokio::fs::write(&draft, bytes).await?;
        tokio::fs::rename(&draft, &path).await.with_context(|| format!("file {}", path.display()))?;
        Ok(self.url(name))
    }

    /// Where a file of this name is.
    pub(crate) fn url(&self, name: &str) -> String {
        format!("file://{}", self.folder.join(name).display())
    }
}

/// One page with these lines.
pub(crate) fn page(title: &str, lines: &[String]) -> Vec<u8> {
    let [catalog, pages, page, font, text] = [1, 2, 3, 4, 5].map(Ref::new);
    let mut pdf = Pdf::new();
    pdf.catalog(catalog).pages(pages);
    pdf.pages(pages).kids([page]).count(1);
    let mut sheet = pdf.page(page);
    sheet.media_box(PAGE).parent(pages).contents(text);
    sheet.resources().fonts().pair(FONT, font);
    sheet.finish();
    pdf.type1_font(font).base_font(Name(b"Helvetica"));

    let mut content = Content::new();
    content.begin_text();
    content.set_font(FONT, 18.0).next_line(72.0, 760.0).show(Str(title.as_bytes()));
    content.set_font(FONT, 11.0).next_line(0.0, -16.0);
    for line in lines.iter().take(MOST_LINES) {
        content.next_line(0.0, -16.0).show(Str(line.as_bytes()));
    }
    content.end_text();
    pdf.stream(text, &content.finish());
    pdf.finish()
}
