//! The HTTP API and its page: ask for exports, see how far they are, download them.

use std::collections::BTreeMap;

use anyhow::Context;
use axum::{
    Json, Router,
    body::Body,
    extract::{Path, State},
    http::{StatusCode, header},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use ergate::{Client, JobState, JobView};
use serde::Serialize;

use crate::{
    app::App,
    database::{Notification, Organization},
    job::{AuditLogExport, EXPORTS, Exported},
    producer::Producer,
};

pub(crate) mod problem;

use problem::Problem;

type Reply<T> = Result<T, Problem>;

/// The most exports in a list.
const LATEST: usize = 20;

#[derive(Clone)]
struct Api {
    app: App,
    client: Client,
    producer: Producer,
}

/// An export as users see it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ExportView {
    id: String,
    state: JobState,
    /// From 0 to 1.
    progress: f64,
    /// Attempts that failed so far, and what the last of them said.
    failures: u32,
    problem: Option<String>,
    rows: Option<u64>,
    download: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<AuditLogExport>,
}

pub(crate) fn routes(app: App, client: Client, producer: Producer) -> Router {
    Router::new()
        .route("/", get(|| async { Html(include_str!("api/page.html")) }))
        .route("/page.css", get(|| asset("text/css", include_str!("api/page.css"))))
        .route("/page.js", get(|| asset("text/javascript", include_str!("api/page.js"))))
        .route("/organizations", get(organizations))
        .route("/exports", get(list).post(ask))
        .route("/exports/{id}", get(show))
        .route("/exports/{id}/download", get(download))
        .route("/notifications", get(notifications))
        .with_state(Api { app, client, producer })
}

async fn asset(kind: &'static str, text: &'static str) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, kind)], text)
}

async fn organizations(State(api): State<Api>) -> Reply<Json<Vec<Organization>>> {
    Ok(Json(api.app.database.organizations().await?))
}

async fn notifications(State(api): State<Api>) -> Reply<Json<Vec<Notification>>> {
    Ok(Json(api.app.database.notifications(LATEST as u32).await?))
}

async fn ask(State(api): State<Api>, Json(export): Json<AuditLogExport>) -> Reply<impl IntoResponse> {
    check(&export)?;
    if api.app.database.organization(export.org_id).await?.is_none() {
        return Err(Problem::unprocessable(format!("there is no organization {}", export.org_id)));
    }
    let receipt = api.producer.audit_log_export(export).await?;
    let place = format!("/exports/{}", receipt.id);
    let reply = BTreeMap::from([("id", receipt.id.to_string()), ("status", place.clone())]);
    // The same export, asked for again while it is under way, is not made twice.
    let status = if receipt.duplicate { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok((status, [(header::LOCATION, place)], Json(reply)))
}

fn check(export: &AuditLogExport) -> Reply<()> {
    if export.end_date < export.start_date {
        return Err(Problem::unprocessable("the range ends before it starts: endDate is before startDate"));
    }
    if !export.user_email.contains('@') {
        return Err(Problem::unprocessable(format!("userEmail {:?} is no mail address", export.user_email)));
    }
    Ok(())
}

async fn list(State(api): State<Api>) -> Reply<Json<Vec<ExportView>>> {
    let queue = api.client.queue(EXPORTS)?;
    let mut exports = Vec::new();
    for state in JobState::ALL {
        let page = queue.list(state, None, LATEST).await?;
        exports.extend(page.items.into_iter().map(ExportView::from));
    }
    // Ids sort by the time at which they were made.
    exports.sort_by(|a, b| b.id.cmp(&a.id));
    exports.truncate(LATEST);
    Ok(Json(exports))
}

async fn show(State(api): State<Api>, Path(id): Path<String>) -> Reply<Json<ExportView>> {
    match api.client.job(EXPORTS, &id)?.get().await {
        Ok(job) => Ok(Json(job.into())),
        // Ergate forgets completed jobs after an hour; the notification stays.
        Err(error) if error.is_not_found() => match api.app.database.notification(&id).await? {
            Some(notification) => Ok(Json(notification.into())),
            None => Err(Problem::not_found(format!("there is no export {id}"))),
        },
        Err(error) => Err(error.into()),
    }
}

async fn download(State(api): State<Api>, Path(id): Path<String>) -> Reply<Response> {
    let Some(file) = api.app.storage.download(&id).await? else {
        return Err(Problem::not_found(format!("export {id} has no file, or none yet")));
    };
    Response::builder()
        .header(header::CONTENT_TYPE, "text/csv; charset=utf-8")
        .header(header::CONTENT_LENGTH, file.meta.size)
        .header(header::CONTENT_DISPOSITION, format!("attachment; filename=\"audit-log-{id}.csv\""))
        .body(Body::from_stream(file.into_stream()))
        .context("writing the answer")
        .map_err(Problem::from)
}

impl From<JobView> for ExportView {
    fn from(job: JobView) -> Self {
        let id = job.id.to_string();
        let completed = job.state == JobState::Completed;
        let exported = job.outcome.as_ref().filter(|_| completed);
        let exported: Option<Exported> =
            exported.and_then(|outcome| serde_json::from_str(&outcome.detail).ok());
        let progress = job.progress.as_deref().and_then(|text| text.parse().ok()).unwrap_or(0.0);
        Self {
            state: job.state,
            progress: if completed { 1.0 } else { progress },
            failures: job.tries.failures,
            problem: job.failure.filter(|_| !completed).map(|failure| failure.message),
            rows: exported.map(|exported| exported.rows),
            download: completed.then(|| format!("/exports/{id}/download")),
            request: job.record.ok().and_then(|record| serde_json::from_slice(&record.payload).ok()),
            id,
        }
    }
}

impl From<Notification> for ExportView {
    fn from(notification: Notification) -> Self {
        Self {
            state: JobState::Completed,
            progress: 1.0,
            failures: 0,
            problem: None,
            rows: Some(notification.rows),
            download: Some(format!("/exports/{}/download", notification.export_id)),
            request: None,
            id: notification.export_id,
        }
    }
}
