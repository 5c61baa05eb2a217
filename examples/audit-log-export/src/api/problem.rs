//! What goes wrong in a request, as an answer.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};

/// A status and a sentence.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    sentence: String,
}

impl Problem {
    pub(crate) fn not_found(sentence: impl Into<String>) -> Self {
        Self { status: StatusCode::NOT_FOUND, sentence: sentence.into() }
    }

    pub(crate) fn unprocessable(sentence: impl Into<String>) -> Self {
        Self { status: StatusCode::UNPROCESSABLE_ENTITY, sentence: sentence.into() }
    }
}

impl From<ergate::Error> for Problem {
    fn from(error: ergate::Error) -> Self {
        if error.is_temporary() {
            tracing::warn!(%error, "no export can be taken or looked at now");
            let sentence = "exports cannot be reached at the moment; try again".to_owned();
            return Self { status: StatusCode::SERVICE_UNAVAILABLE, sentence };
        }
        anyhow::Error::new(error).into()
    }
}

impl From<anyhow::Error> for Problem {
    fn from(error: anyhow::Error) -> Self {
        tracing::error!(error = format!("{error:#}"), "request failed");
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, sentence: "something went wrong here".to_owned() }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        (self.status, Json(serde_json::json!({ "error": self.sentence }))).into_response()
    }
}
