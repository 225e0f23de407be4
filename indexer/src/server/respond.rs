//! One request: faults, who asks, the model, the answer.

use super::authentication::{self, Verdict};
use super::body::{self, Read};
use super::connection::{Cut, Peer};
use super::{Shared, World, admin};
use crate::model::api;
use crate::model::engine::Refusal;
use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, HeaderName, HeaderValue, WWW_AUTHENTICATE};
use axum::http::{Request, Response, StatusCode};
use std::sync::Arc;
use std::time::Duration;

const JSON: &str = "application/json; charset=UTF-8";
const TEXT: &str = "text/plain; charset=UTF-8";

/// An answer, still without HTTP.
struct Reply {
    status: u16,
    content_type: &'static str,
    header: Option<(HeaderName, &'static str)>,
    body: Vec<u8>,
}

impl Reply {
    fn json(status: u16, body: Vec<u8>) -> Reply {
        Reply {
            status,
            content_type: JSON,
            header: None,
            body,
        }
    }

    fn text(status: u16, body: &str) -> Reply {
        Reply {
            status,
            content_type: TEXT,
            header: None,
            body: body.as_bytes().to_vec(),
        }
    }

    fn refusal(refusal: &Refusal) -> Reply {
        Reply::json(refusal.status, refusal.body().to_bytes())
    }

    fn http(self) -> Response<Body> {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        // Like the real one, an empty 413 has no type.
        if self.status != 413 {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        }
        if let Some((name, value)) = self.header {
            headers.insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

/// What of a request is needed after its body was read.
struct Asked {
    method: String,
    path: String,
    query: String,
    body: Vec<u8>,
}

impl Asked {
    /// Lets the model do it; the faults of single operations apply.
    fn apply(&self, world: &mut World, now_ms: u64) -> api::Response {
        admin::keep_shards_missing(world);
        let request = api::Request {
            method: &self.method,
            path: &self.path,
            query: &self.query,
            body: &self.body,
        };
        let World {
            engine,
            faults,
            stats,
        } = world;
        let response = engine.handle(now_ms, &request, &mut |index, _| {
            let refusal = faults.item(&self.path, index);
            stats.faults_injected += u64::from(refusal.is_some());
            refusal
        });
        stats.items_applied += response.written.applied;
        stats.items_refused += response.written.refused;
        response
    }
}

fn length(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

/// Answers one request; the connection may be cut instead.
pub async fn respond(
    shared: Arc<Shared>,
    peer: Peer,
    cut: Cut,
    request: Request<Body>,
) -> Response<Body> {
    let (head, body) = request.into_parts();
    let read = body::read(body, shared.options.content_length_max).await;
    let (body, too_large) = match read {
        Read::Whole(body) => (body, false),
        Read::TooLarge => (Vec::new(), true),
        Read::Broken => {
            cut.now();
            return Response::new(Body::empty());
        }
    };
    let asked = Asked {
        method: head.method.as_str().to_owned(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        body,
    };
    let verdict = authentication::judge(&shared.options, &peer, &head.headers);
    if asked.path.starts_with("/_inventory/") {
        let reply = unauthorized(&verdict).unwrap_or_else(|| {
            let (status, body) =
                admin::answer(&mut shared.world(), &asked.method, &asked.path, &asked.body);
            Reply::json(status, body.to_bytes())
        });
        return reply.http();
    }
    let shown = format!("{} {}", asked.method, asked.path);
    let reply = judged(&shared, asked, &verdict, too_large, &cut).await;
    let mut world = shared.world();
    let status = reply.as_ref().map_or(0, |reply| reply.status);
    *world.stats.answers.entry(status).or_default() += 1;
    tracing::debug!(request = shown, status, "answered");
    match reply {
        Some(reply) => {
            world.stats.answer_bytes += length(reply.body.len());
            reply.http()
        }
        None => {
            cut.now();
            Response::new(Body::empty())
        }
    }
}

/// The answer to who may not ask.
fn unauthorized(verdict: &Verdict) -> Option<Reply> {
    match verdict {
        Verdict::User => None,
        Verdict::Unauthorized => {
            let mut reply = Reply::text(401, "Unauthorized");
            reply.header = Some((WWW_AUTHENTICATE, "Basic realm=\"OpenSearch Security\""));
            Some(reply)
        }
        Verdict::UnknownCertificate(name) => Some(Reply::refusal(&Refusal::new(
            403,
            "security_exception",
            format!("no permissions for [any action] and User [name=CN={name}]"),
        ))),
    }
}

/// The answer, or nothing when the connection is cut without one.
async fn judged(
    shared: &Arc<Shared>,
    asked: Asked,
    verdict: &Verdict,
    too_large: bool,
    cut: &Cut,
) -> Option<Reply> {
    let plan = {
        let mut world = shared.world();
        world
            .stats
            .count(&asked.method, &asked.path, length(asked.body.len()));
        let plan = world.faults.plan(&asked.path, asked.body.len());
        world.stats.faults_injected += plan.struck;
        plan
    };
    if plan.down {
        return None;
    }
    if plan.starting {
        return Some(Reply::text(503, "OpenSearch Security not initialized."));
    }
    if let Some(reply) = unauthorized(verdict) {
        return Some(reply);
    }
    if too_large {
        return Some(Reply::text(413, ""));
    }
    wait(plan.slow_ms).await;
    if let Some(refusal) = &plan.refuse {
        return Some(Reply::refusal(refusal));
    }
    if let Some(delay_ms) = plan.delay_apply_ms {
        let shared = shared.clone();
        tokio::spawn(async move {
            wait(delay_ms).await;
            let now_ms = shared.now_ms();
            asked.apply(&mut shared.world(), now_ms);
        });
        return None;
    }
    let now_ms = shared.now_ms();
    let response = asked.apply(&mut shared.world(), now_ms);
    wait(response.wait_ms).await;
    if plan.drop_answer {
        return None;
    }
    if plan.truncate_answer {
        cut.in_body_after(response.body.len() / 2);
    }
    Some(Reply {
        status: response.status,
        content_type: response.content_type,
        header: None,
        body: response.body,
    })
}

async fn wait(ms: u64) {
    if ms > 0 {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
}
