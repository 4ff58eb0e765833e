//! Proving again who one is: changes want a proof that is not older than ten minutes. A form that came too late is kept and
//! done together with the proof.

use askama::Template;
use axum::response::{IntoResponse, Response};
use qpq_core::Secret;
use qpq_service::{NewSession, Refusal};
use serde_json::Value;

use super::{
    entry::{Posted, local},
    fields::{ANSWER, BACK, CEREMONY, CODE, PASSWORD},
    problem::Problem,
    said,
    scene::Scene,
    sign_in,
};
use crate::pages::{Page, ask::Ask};

#[derive(Template)]
#[template(path = "frame/prove.html")]
struct Shown<'a> {
    s: &'a Scene,
    /// Where the form goes with its proof.
    path: &'a str,
    kept: Vec<(&'a str, &'a str)>,
    passkey: bool,
    password: bool,
    wrong: Option<&'a Problem>,
}

/// The page that asks for a proof and leads on to where one came from.
pub(super) async fn show(scene: Scene, query: Ask) -> Result<Response, Problem> {
    let back = local(query.get("back"));
    let kept = vec![(BACK, back.as_str())];
    Ok(page(&scene, "/prove", kept, None).await?.into_response())
}

/// The proof alone.
pub(super) async fn posted(mut posted: Posted) -> Result<Response, Problem> {
    if let Some(asked) = in_form(&mut posted, "/prove").await? {
        return Ok(asked);
    }
    let answer = match posted.rotated {
        Some(_) => Ok(said::back(&posted.back(), "proved", "")),
        None => ask(&posted, "/prove", None).await,
    };
    Ok(posted.with_cookie(answer))
}

/// The beginning of a passkey's ceremony, for the console's script.
pub(super) async fn begin_passkey(posted: Posted) -> Result<Response, Problem> {
    let ceremony = posted.scene.console.admins.begin_proof(posted.signed_in()?).await?;
    Ok(sign_in::began(&ceremony))
}

/// Takes the proof that a form carries, if it carries one: the session gets a new id, and the form is dealt with under it.
/// A wrong proof asks again, with the form kept.
pub(super) async fn in_form(posted: &mut Posted, path: &str) -> Result<Option<Response>, Problem> {
    let Some(outcome) = proved(posted).await? else { return Ok(None) };
    match outcome {
        Ok(session) => {
            posted.scene.signed_in = Some(session.signed_in.clone());
            posted.rotated = Some(session);
            Ok(None)
        }
        Err(refusal) => Ok(Some(ask(posted, path, Some(refusal)).await?)),
    }
}

async fn proved(posted: &Posted) -> Result<Option<Result<NewSession, Refusal>>, Problem> {
    let (admins, fields, visit) = (&posted.scene.console.admins, &posted.fields, &posted.scene.visit);
    let signed_in = posted.signed_in()?;
    if !fields.get(ANSWER).is_empty() {
        let answer = answer(fields.get(ANSWER))?;
        return Ok(Some(admins.prove_passkey(signed_in, fields.get(CEREMONY), answer, visit).await));
    }
    if fields.get(PASSWORD).is_empty() {
        return Ok(None);
    }
    let password = Secret::new(fields.get(PASSWORD).to_owned());
    Ok(Some(admins.prove_password(signed_in, &password, fields.get(CODE).trim(), visit).await))
}

/// The page that asks for a proof, with the form kept.
pub(super) async fn ask(posted: &Posted, path: &str, wrong: Option<Refusal>) -> Result<Response, Problem> {
    let problem = wrong.map(Problem::from);
    let page = page(&posted.scene, path, posted.fields.kept(), problem.as_ref()).await?;
    Ok(match problem {
        Some(problem) => problem.on(page),
        None => (axum::http::StatusCode::FORBIDDEN, page).into_response(),
    })
}

async fn page(
    scene: &Scene,
    path: &str,
    kept: Vec<(&str, &str)>,
    wrong: Option<&Problem>,
) -> Result<Page, Problem> {
    let Some(signed_in) = &scene.signed_in else { return Err(Problem::no_session(scene.here.clone())) };
    let own = scene.console.admins.own(signed_in).await?;
    let passkey = own.passkeys.iter().any(|passkey| passkey.usable_here);
    let view = Shown { s: scene, path, kept, passkey, password: own.password, wrong };
    sign_in::page(scene, "prove-title", &view)
}

/// What the browser says a passkey answered.
pub(super) fn answer(text: &str) -> Result<Value, Problem> {
    serde_json::from_str(text).map_err(|_| Problem::malformed("the passkey's answer can't be read"))
}
