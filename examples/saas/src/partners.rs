//! The services of others that Acme works with, as a local server: a payment provider and a CRM.

use std::{
    collections::HashMap,
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Context;
use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use tokio::{net::TcpListener, task::JoinHandle};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A client of them: cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Partners {
    url: String,
    http: reqwest::Client,
}

/// Somebody in the CRM of an organization.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Contact {
    pub(crate) id: String,
    pub(crate) name: String,
}

impl Partners {
    /// Of the server at this address.
    pub(crate) fn at(url: &str) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().timeout(PATIENCE).no_proxy().build()?;
        Ok(Self { url: url.to_owned(), http })
    }

    /// Whether payments can be made.
    pub(crate) async fn payments(&self) -> anyhow::Result<()> {
        self.get("/payments/health").await.map(drop)
    }

    /// The state of each subscription by id, as the payment provider has it.
    pub(crate) async fn subscriptions(&self) -> anyhow::Result<HashMap<String, String>> {
        Ok(self.get("/payments/subscriptions").await?.json().await?)
    }

    /// The contacts of an organization.
    pub(crate) async fn contacts(&self, organization: &str) -> anyhow::Result<Vec<Contact>> {
        Ok(self.get(&format!("/crm/{organization}/contacts")).await?.json().await?)
    }

    async fn get(&self, path: &str) -> anyhow::Result<reqwest::Response> {
        let answer = self.http.get(format!("{}{path}", self.url)).send().await;
        answer.and_then(reqwest::Response::error_for_status).with_context(|| format!("asking for {path}"))
    }
}

/// The running server. Dropped, it ends.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) url: String,
    payments_are_down: Arc<AtomicBool>,
    serving: JoinHandle<()>,
}

impl Server {
    /// Starts it on a port that is free.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let payments_are_down = Arc::new(AtomicBool::new(false));
        let routes = routes(Arc::clone(&payments_are_down));
        let serving = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, routes).await {
                tracing::error!("partners: {error}");
            }
        });
        Ok(Self { url, payments_are_down, serving })
    }

    /// Lets the payment provider answer with errors, or well again.
    pub(crate) fn payments_are_down(&self, down: bool) {
        self.payments_are_down.store(down, Ordering::SeqCst);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn routes(down: Arc<AtomicBool>) -> Router {
    Router::new()
        .route("/payments/health", get(health))
        .route("/payments/{state}", post(switch))
        .route("/payments/subscriptions", get(subscriptions))
        .route("/crm/{organization}/contacts", get(contacts))
        .with_state(down)
}

async fn health(State(down): State<Arc<AtomicBool>>) -> StatusCode {
    if down.load(Ordering::SeqCst) { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK }
}

/// For those who play: `POST /payments/down`, `POST /payments/up`.
async fn switch(State(down): State<Arc<AtomicBool>>, Path(state): Path<String>) -> StatusCode {
    down.store(state == "down", Ordering::SeqCst);
    StatusCode::NO_CONTENT
}

async fn subscriptions() -> Json<HashMap<String, String>> {
    let states = [("sub-1", "active"), ("sub-2", "active"), ("sub-3", "active"), ("sub-4", "cancelled")];
    Json(states.map(|(id, state)| (id.to_owned(), state.to_owned())).into())
}

/// Three people for whoever asks.
async fn contacts(Path(organization): Path<String>) -> Json<Vec<Contact>> {
    let contact = |name: &str| Contact { id: format!("{organization}-{name}"), name: name.to_owned() };
    Json(["Ada", "Grace", "Edsger"].map(contact).into())
}
