//! Requests and answers.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, delete, get, post};
use axum::{Json, Router};
use delivery_core::rollout::{Command, Order};
use http_body_util::LengthLimitError;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::ledger::{Change, Gate, Ledger};
use super::name::{Rollout, check_word};
use super::{Checks, Failure, GateServer, now};

/// The largest body that is read.
const LARGEST: usize = 64 * 1024;

/// How long a body may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many changes the audit shows.
pub(super) const AUDITED: usize = 1_000;

pub(super) fn router(server: GateServer) -> Router {
    let gate = |gate: Gate| {
        Router::new()
            .route("/check", post(move |State(it), request| check(it, gate, request)))
            .route(
                "/open",
                post(move |State(it), request| set(it, Change::Open { gate }, request)),
            )
            .route(
                "/close",
                post(move |State(it), request| set(it, Change::Close { gate }, request)),
            )
    };
    let always = |status: StatusCode, says: &'static str| any(async move || (status, says));
    Router::new()
        .route("/healthz", always(StatusCode::OK, "OK"))
        .route("/gate/approve", always(StatusCode::OK, "OK"))
        .route("/gate/halt", always(StatusCode::FORBIDDEN, "Forbidden"))
        .nest("/gate", gate(Gate::Gate))
        .nest("/rollback", gate(Gate::Rollback))
        .route("/gates", get(gates))
        .route("/audit", get(audit))
        .route("/commands/{namespace}/{name}", get(waiting).post(order))
        .route("/commands/{namespace}/{name}/{id}", delete(done))
        .with_state(server)
}

async fn check(server: GateServer, gate: Gate, request: Request) -> Result<Response, Refusal> {
    if server.0.checks == Checks::WithToken {
        who(&server, request.headers())?;
    }
    let rollout = asked(request.into_body()).await?;
    let open = server.read(|it| it.is_open(gate, &rollout));
    tracing::debug!(%rollout, ?gate, open, "checked");
    Ok(if open {
        (StatusCode::OK, "Approved").into_response()
    } else {
        (StatusCode::FORBIDDEN, "Forbidden").into_response()
    })
}

async fn set(server: GateServer, change: Change, request: Request) -> Result<Response, Refusal> {
    let who = who(&server, request.headers())?;
    let rollout = asked(request.into_body()).await?;
    make(server, who, rollout, change).await?;
    Ok(StatusCode::ACCEPTED.into_response())
}

async fn gates(State(server): State<GateServer>, headers: HeaderMap) -> Result<Response, Refusal> {
    who(&server, &headers)?;
    Ok(Json(server.read(Ledger::open)).into_response())
}

async fn audit(State(server): State<GateServer>, headers: HeaderMap) -> Result<Response, Refusal> {
    who(&server, &headers)?;
    let text = blocking(move || server.audit()).await?;
    Ok(([(header::CONTENT_TYPE, "application/jsonl")], text).into_response())
}

/// The path of a rollout's commands.
type Named = Path<(String, String)>;

async fn waiting(
    State(server): State<GateServer>,
    path: Named,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    who(&server, &headers)?;
    let rollout = rollout(&path)?;
    Ok(Json(server.read(|it| it.waiting(&rollout))).into_response())
}

/// A command as it is given.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    order: Order,
    id: Option<String>,
}

async fn order(State(server): State<GateServer>, path: Named, request: Request) -> Result<Response, Refusal> {
    let who = who(&server, request.headers())?;
    let rollout = rollout(&path)?;
    let Given { order, id } = read(request.into_body()).await?;
    let id = match id {
        Some(id) => {
            check_word("id", &id).map_err(|it| Refusal::unusable(&it))?;
            id
        }
        None => fresh(),
    };
    let command = Command {
        id: id.clone(),
        actor: who.clone(),
        order,
    };
    make(server, who, rollout, Change::Order { id, order }).await?;
    Ok((StatusCode::ACCEPTED, Json(command)).into_response())
}

/// An id that no command of this rollout had, also not before the file was thrown away.
fn fresh() -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let (process, count) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    format!("{}-{process}-{count}", now().as_millis())
}

async fn done(
    State(server): State<GateServer>,
    Path((namespace, name, id)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let who = who(&server, &headers)?;
    let rollout = rollout(&Path((namespace, name)))?;
    check_word("id", &id).map_err(|it| Refusal::unusable(&it))?;
    make(server, who, rollout, Change::Done { id }).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn make(server: GateServer, who: String, rollout: Rollout, change: Change) -> Result<(), Refusal> {
    blocking(move || server.change(&who, &rollout, change)).await
}

/// Runs what waits for the disk where that holds nobody.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Refusal> {
    let failed = |why: String| Refusal(StatusCode::INTERNAL_SERVER_ERROR, why);
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(made)) => Ok(made),
        Ok(Err(Failure::Conflict(conflict))) => Err(Refusal(StatusCode::CONFLICT, conflict.to_string())),
        Ok(Err(Failure::Disk(error))) => {
            tracing::error!(error = &error as &dyn std::error::Error, "nothing was changed");
            Err(failed(format!(
                "nothing was changed, because it could not be written down: {error}"
            )))
        }
        Err(error) => Err(failed(error.to_string())),
    }
}

/// Whose token a request has.
fn who(server: &GateServer, headers: &HeaderMap) -> Result<String, Refusal> {
    let sender = server.0.tokens.sender(headers);
    sender
        .map(str::to_owned)
        .map_err(|it| Refusal(StatusCode::UNAUTHORIZED, it.to_string()))
}

fn rollout(Path((namespace, name)): &Named) -> Result<Rollout, Refusal> {
    Rollout::new(name, namespace).map_err(|it| Refusal::unusable(&it))
}

/// What a webhook sends, as far as it counts.
#[derive(Deserialize)]
struct Asked {
    name: String,
    namespace: String,
}

async fn asked(body: Body) -> Result<Rollout, Refusal> {
    let Asked { name, namespace } = read(body).await?;
    Rollout::new(&name, &namespace).map_err(|it| Refusal::unusable(&it))
}

/// Reads JSON, whatever the content type says: curl says something else.
async fn read<T: DeserializeOwned>(body: Body) -> Result<T, Refusal> {
    let read = tokio::time::timeout(PATIENCE, to_bytes(body, LARGEST)).await;
    let body = read
        .map_err(|_| {
            Refusal(
                StatusCode::REQUEST_TIMEOUT,
                format!("the body did not come within {PATIENCE:?}"),
            )
        })?
        .map_err(|it| {
            if is_too_long(&it) {
                let why = format!("expected a body of at most {LARGEST} bytes");
                Refusal(StatusCode::PAYLOAD_TOO_LARGE, why)
            } else {
                Refusal::unusable(&"the body broke off")
            }
        })?;
    serde_json::from_slice(&body).map_err(|it| Refusal::unusable(&it))
}

/// Whether a body is longer than what is read of it, and not just broken.
fn is_too_long(error: &axum::Error) -> bool {
    let mut causes = std::iter::successors(std::error::Error::source(error), |it| it.source());
    causes.any(<dyn std::error::Error>::is::<LengthLimitError>)
}

/// Why a request is not carried out.
struct Refusal(StatusCode, String);

impl Refusal {
    fn unusable(why: &impl ToString) -> Self {
        Self(StatusCode::BAD_REQUEST, why.to_string())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self(status, why) = self;
        let mut response = (status, why + "\n").into_response();
        if status == StatusCode::UNAUTHORIZED {
            let scheme = header::HeaderValue::from_static("Bearer");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
        }
        response
    }
}
