//! The handler: reads audit logs, writes a CSV, stores it, mails a link, leaves a notification.
//!
//! Every step may be done twice: the file and the notification have the job's id for their name and key, so that neither
//! doubles, and the mail has it for its message id. Only a crash between the mail and the notification sends the mail again,
//! under that same id. Whatever fails is returned, so that Ergate tries again.

use ergate::prelude::*;
use jiff::Timestamp;

use crate::{
    app::App,
    database::Selection,
    job::{AuditLogExport, Exported},
    mail::Letter,
};

/// Rows read and written at a time: between two pages the attempt can be cancelled and its progress seen.
const PAGE: u32 = 500;

pub(crate) async fn export_audit_log(
    export: AuditLogExport,
    State(app): State<App>,
    id: JobId,
    attempt: Attempt,
    progress: Progress,
    log: Log,
) -> Result<Exported> {
    tracing::info!(job.id = %id, job.attempt = attempt.number, org = %export.org_id, "export started");
    log.line(format!("attempt {} of {} started", attempt.number, attempt.of));
    let exported = perform(&app, &export, &id, |part| progress.set(part)).await?;
    tracing::info!(job.id = %id, rows = exported.rows, bytes = exported.bytes, "export completed");
    log.line(format!("{} rows, {} bytes", exported.rows, exported.bytes));
    Ok(exported)
}

/// The handler's work without Ergate, for tests.
async fn perform(app: &App, export: &AuditLogExport, id: &JobId, progress: impl Fn(f64)) -> Result<Exported> {
    let started_at = Timestamp::now();
    // Trying again would not help: the payload stays as it is.
    if export.end_date < export.start_date {
        let (end, start) = (export.end_date, export.start_date);
        return Err(Failure::fatal(format!("the range ends at {end}, before it starts at {start}")));
    }
    let Some(organization) = app.database.organization(export.org_id).await? else {
        return Err(Failure::fatal(format!("there is no organization {}", export.org_id)));
    };

    let (rows, bytes) = write_csv(app, &export.into(), id, progress).await?;

    let title = format!("Audit log of {}: {rows} rows", organization.name);
    // A rerun after a crash finds the user told already, unless the crash was between these two steps.
    if app.database.notification(id.as_str()).await?.is_none() {
        let text = format!(
            "Your export is ready.\n\n  from   {}\n  until  {}\n  rows   {rows}\n\nDownload it here:\n{}\n",
            export.start_date,
            export.end_date,
            app.link(id.as_str()),
        );
        let letter = Letter { id: id.as_str(), to: &export.user_email, subject: &title, text: &text };
        app.mailer.send(letter).await?;
        app.database.notify(id, export, title, rows).await?;
    }
    Ok(Exported { rows, bytes, started_at })
}

/// Never holds more than a page of rows and what the storage buffers.
async fn write_csv(
    app: &App,
    selection: &Selection,
    id: &JobId,
    progress: impl Fn(f64),
) -> Result<(u64, u64)> {
    let total = app.database.count(selection).await?;
    let mut upload = app.storage.upload(id);
    upload.write(b"id,at,actor,action,target,ip\n".to_vec()).await?;
    let (mut rows, mut last) = (0, None);
    loop {
        let page = app.database.page(selection, last.as_ref(), PAGE).await?;
        if page.is_empty() {
            return Ok((rows, upload.finish().await?));
        }
        let mut csv = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
        for row in &page {
            csv.serialize(row)?;
        }
        let written = csv.into_inner().map_err(|error| Failure::retry(error.error()))?;
        upload.write(written).await?;
        rows += page.len() as u64;
        progress(rows as f64 / total.max(rows) as f64);
        last = page.into_iter().last();
    }
}

#[cfg(test)]
mod tests;
