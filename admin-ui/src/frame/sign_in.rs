//! The door: signing in with a passkey, with password and code, or with a recovery code where a passkey was all there was;
//! and signing out.

use askama::Template;
use axum::{
    http::header,
    response::{IntoResponse, Redirect, Response},
};
use qpq_core::Secret;
use qpq_service::{Answered, Ceremony, NewSession};
use serde_json::json;

use super::{
    cookies,
    entry::{Posted, local},
    fields::{ANSWER, CEREMONY, CODE, PASSWORD},
    layout::Rotated,
    problem::Problem,
    prove, said,
    scene::Scene,
};
use crate::pages::{Page, ask::Ask};

#[derive(Template)]
#[template(path = "frame/sign-in.html")]
struct Shown<'a> {
    s: &'a Scene,
    back: String,
    name: &'a str,
    /// The recovery form is open: it was the one that was refused.
    recovery: bool,
    wrong: Option<&'a Problem>,
}

/// The page; who is signed in is led on.
pub(super) async fn show(scene: Scene, query: Ask) -> Result<Response, Problem> {
    let back = local(query.get("back"));
    if scene.signed_in.is_some() {
        return Ok(Redirect::to(&back).into_response());
    }
    let view = Shown { s: &scene, back, name: "", recovery: false, wrong: None };
    Ok(page(&scene, "sign-in-title", &view)?.into_response())
}

/// With password and code.
pub(super) async fn password(posted: Posted) -> Result<Response, Problem> {
    let fields = &posted.fields;
    let password = Secret::new(fields.get(PASSWORD).to_owned());
    let (name, code) = (fields.get("name").trim(), fields.get(CODE).trim());
    let outcome =
        posted.scene.console.admins.sign_in_password(name, &password, code, &posted.scene.visit).await;
    entered(&posted, outcome, false).await
}

/// With a recovery code alone.
pub(super) async fn recovery(posted: Posted) -> Result<Response, Problem> {
    let (name, code) = (posted.fields.get("name").trim(), posted.fields.get(CODE).trim());
    let outcome = posted.scene.console.admins.sign_in_recovery(name, code, &posted.scene.visit).await;
    entered(&posted, outcome, true).await
}

/// The beginning of a passkey's ceremony, for the console's script.
pub(super) async fn begin_passkey(posted: Posted) -> Result<Response, Problem> {
    Ok(began(&posted.scene.console.admins.begin_sign_in(&posted.scene.visit).await?))
}

/// With a passkey.
pub(super) async fn passkey(posted: Posted) -> Result<Response, Problem> {
    let answer = prove::answer(posted.fields.get(ANSWER))?;
    let ceremony = posted.fields.get(CEREMONY);
    let outcome = posted.scene.console.admins.sign_in_passkey(ceremony, answer, &posted.scene.visit).await;
    entered(&posted, outcome, false).await
}

/// Ends the session.
pub(super) async fn out(posted: Posted) -> Result<Response, Problem> {
    posted.scene.console.admins.sign_out(posted.signed_in()?).await?;
    let mut response = said::back("/sign-in", "signed-out", "");
    cookies::remove(response.headers_mut(), cookies::SESSION);
    Ok(response)
}

async fn entered(
    posted: &Posted,
    outcome: Answered<NewSession>,
    recovery: bool,
) -> Result<Response, Problem> {
    match outcome {
        Ok(session) => {
            // Signing in again ends what was there before.
            if let Some(before) = &posted.scene.signed_in {
                posted.scene.console.admins.sign_out(before).await?;
            }
            let mut response = Redirect::to(&posted.back()).into_response();
            response.extensions_mut().insert(Rotated(session));
            Ok(response)
        }
        Err(refusal) => {
            let problem = Problem::from(refusal);
            let name = posted.fields.get("name");
            let wrong = Some(&problem);
            let view = Shown { s: &posted.scene, back: posted.back(), name, recovery, wrong };
            Ok(problem.on(page(&posted.scene, "sign-in-title", &view)?))
        }
    }
}

/// A ceremony as the console's script takes it.
pub(super) fn began(ceremony: &Ceremony) -> Response {
    let body = json!({ "id": ceremony.id, "options": ceremony.options });
    ([(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

/// A page of the frame from its template.
pub(super) fn page(scene: &Scene, title: &str, template: &impl Template) -> Result<Page, Problem> {
    let content = template.render().map_err(|error| Problem::internal(error.to_string()))?;
    Ok(Page { title: scene.t(title), content })
}
