//! What is asked of a server without Flight: is it alive, is it ready, and its figures.
//!
//! | path | who | answer |
//! | --- | --- | --- |
//! | `/livez` | anyone | 200 while the process answers |
//! | `/readyz` | anyone | 200 while it takes statements, else 503 with the reason |
//! | `/metrics` | the user of `[metrics]`, by password | figures for Prometheus |
//!
//! They are on the port of the Flight service, behind the same TLS.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::metrics::MEDIA_TYPE;
use crate::service::{Shared, basic_credentials};

/// What the paths need.
#[derive(Clone)]
pub(crate) struct Http {
    pub(crate) shared: Arc<Shared>,
    /// Who may read the figures.
    pub(crate) metrics_user: Option<String>,
}

/// The paths of this file.
pub(crate) fn routes(http: Http) -> Router {
    Router::new()
        .route("/livez", get(async || "alive\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(http)
}

async fn ready(State(http): State<Http>) -> Response {
    match http.shared.not_ready().await {
        None => "ready\n".into_response(),
        Some(reason) => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}\n")).into_response()
        }
    }
}

async fn metrics(State(http): State<Http>, headers: HeaderMap) -> Response {
    if !http.may_read(&headers).await {
        let challenge = [(WWW_AUTHENTICATE, "Basic realm=\"hedgerow\"")];
        let words = "name and password of the user in `[metrics]` of the server's configuration\n";
        return (StatusCode::UNAUTHORIZED, challenge, words).into_response();
    }
    let nodes = http.shared.coordinator.nodes_up().await;
    match http.shared.metrics.text(nodes, http.shared.coordinator.plan_counts()) {
        Ok(text) => ([(CONTENT_TYPE, MEDIA_TYPE)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

impl Http {
    async fn may_read(&self, headers: &HeaderMap) -> bool {
        let Some(user) = &self.metrics_user else { return false };
        let header = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let Some(given) = header.and_then(basic_credentials) else { return false };
        if given.user != *user {
            return false;
        }
        self.shared.users.verify(&given.user, &given.password).await.unwrap_or(false)
    }
}
