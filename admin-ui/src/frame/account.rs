//! One's own account: passkeys, password with codes, recovery codes, and where one is signed in. Changing what one signs in
//! with wants a fresh proof like every change.

use askama::Template;
use axum::response::{IntoResponse, Response};
use qpq_core::{ErrorCode, PasskeyId, Secret};
use qpq_service::{Actions, Answered, OwnAccount, Refusal};
use serde::Deserialize;
use serde_json::json;

use super::{
    entry::Posted,
    fields::{ANSWER, CEREMONY, CODE, PASSWORD},
    problem::Problem,
    prove, said,
    scene::Scene,
    setup, sign_in,
};
use crate::pages::{Desk, Page, moment};

const HERE: &str = "/account";

#[derive(Template)]
#[template(path = "frame/account.html")]
struct Shown<'a> {
    s: &'a Scene,
    own: OwnAccount,
    sessions: Vec<Session>,
    /// The session that this page is in.
    mine: String,
    /// Where sessions are ended, if this admin may.
    end: Option<&'static str>,
    localhost: bool,
    /// A passkey was made for another name.
    strays: bool,
}

#[derive(Debug, Deserialize)]
struct Sessions {
    sessions: Vec<Session>,
}

#[derive(Debug, Deserialize)]
struct Session {
    id: String,
    opened: Option<String>,
    last_seen: Option<String>,
    address: Option<String>,
    agent: Option<String>,
}

impl Session {
    fn seen(&self) -> crate::pages::Markup {
        moment(self.last_seen.as_deref().or(self.opened.as_deref()).unwrap_or_default())
    }
}

/// The page.
pub(super) async fn show(scene: Scene, desk: Desk) -> Result<Page, Problem> {
    let Some(signed_in) = &scene.signed_in else { return Err(Problem::no_session(HERE.to_owned())) };
    let console = &scene.console;
    let own = console.admins.own(signed_in).await?;
    let action = |verb: &str| Actions::all().find(|action| action.verb == verb);
    let sessions = match action("admin.session-list") {
        Some(action) => {
            let arguments = json!({ "name": signed_in.name });
            let answer = console.actions.perform_value(&desk.caller, action.verb, arguments).await?;
            let read: Result<Sessions, _> = serde_json::from_value(answer);
            read.map_err(|error| Problem::internal(error.to_string()))?.sessions
        }
        None => Vec::new(),
    };
    let end = action("admin.session-revoke").filter(|action| signed_in.role >= action.role);
    let view = Shown {
        s: &scene,
        strays: own.passkeys.iter().any(|passkey| !passkey.usable_here),
        own,
        sessions,
        mine: signed_in.session.to_string(),
        end: end.map(|action| action.route),
        localhost: console.admins.place().rp_id == "localhost",
    };
    sign_in::page(&scene, "account-title", &view)
}

/// The beginning of making a passkey, for the console's script.
pub(super) async fn begin_passkey(posted: Posted) -> Result<Response, Problem> {
    let begun = posted.scene.console.admins.begin_add_passkey(posted.signed_in()?).await;
    Ok(sign_in::began(&begun.map_err(here)?))
}

/// Another passkey.
pub(super) async fn add_passkey(posted: Posted) -> Result<Response, Problem> {
    let (scene, fields) = (&posted.scene, &posted.fields);
    let answer = prove::answer(fields.get(ANSWER))?;
    let (label, ceremony) = (fields.get("label").trim(), fields.get(CEREMONY));
    let admins = &scene.console.admins;
    admins.add_passkey(posted.signed_in()?, label, ceremony, answer, scene.request).await.map_err(here)?;
    Ok(said::back(HERE, "passkey-added", label))
}

/// One passkey less.
pub(super) async fn remove_passkey(mut posted: Posted) -> Result<Response, Problem> {
    const PATH: &str = "/account/passkeys/remove";
    if let Some(asked) = prove::in_form(&mut posted, PATH).await? {
        return Ok(asked);
    }
    let id: Result<PasskeyId, _> = posted.fields.get("id").parse();
    let outcome = match id {
        Ok(id) => {
            let admins = &posted.scene.console.admins;
            admins.remove_passkey(posted.signed_in()?, id, posted.scene.request).await
        }
        Err(error) => Err(Refusal::malformed(error.to_string())),
    };
    answered(&posted, PATH, outcome, |()| Ok(said::back(HERE, "passkey-removed", ""))).await
}

/// The QR code for a new password with codes.
pub(super) async fn offer(mut posted: Posted) -> Result<Response, Problem> {
    const PATH: &str = "/account/password/offer";
    if let Some(asked) = prove::in_form(&mut posted, PATH).await? {
        return Ok(asked);
    }
    let offer = posted.scene.console.admins.begin_set_password(posted.signed_in()?).await;
    answered(&posted, PATH, offer, |offer| {
        setup::with_offer(&posted.scene, "/account/password".to_owned(), HERE.to_owned(), "", &offer, None)
    })
    .await
}

/// A new password with codes. What was typed is not kept if the proof has grown too old meanwhile.
pub(super) async fn set_password(posted: Posted) -> Result<Response, Problem> {
    let (scene, fields) = (&posted.scene, &posted.fields);
    let (offer, code) = (fields.get("offer"), fields.get(CODE).trim());
    let password = Secret::new(fields.get(PASSWORD).to_owned());
    let (admins, signed_in) = (&scene.console.admins, posted.signed_in()?);
    match admins.set_password(signed_in, &password, offer, code, scene.request).await {
        Ok(()) => Ok(said::back(HERE, "password-set", "")),
        Err(refusal) if matches!(refusal.code, ErrorCode::Gone | ErrorCode::ReauthenticationNeeded) => {
            Err(here(refusal))
        }
        Err(refusal) => {
            let offer = admins.own_offer(signed_in, offer).await.map_err(here)?;
            let (path, back) = ("/account/password".to_owned(), HERE.to_owned());
            setup::with_offer(scene, path, back, "", &offer, Some(refusal.into()))
        }
    }
}

/// New recovery codes.
pub(super) async fn new_codes(mut posted: Posted) -> Result<Response, Problem> {
    const PATH: &str = "/account/codes";
    if let Some(asked) = prove::in_form(&mut posted, PATH).await? {
        return Ok(asked);
    }
    let codes =
        posted.scene.console.admins.new_recovery_codes(posted.signed_in()?, posted.scene.request).await;
    answered(&posted, PATH, codes, |codes| {
        let view = setup::Codes { s: &posted.scene, list: &codes, go: HERE };
        Ok(sign_in::page(&posted.scene, "codes-title", &view)?.into_response())
    })
    .await
}

/// The page for what came out; a proof that is too old is asked for with the form kept.
async fn answered<T>(
    posted: &Posted,
    path: &str,
    outcome: Answered<T>,
    page: impl FnOnce(T) -> Result<Response, Problem>,
) -> Result<Response, Problem> {
    let answer = match outcome {
        Ok(value) => page(value),
        Err(refusal) if refusal.code == ErrorCode::ReauthenticationNeeded => {
            prove::ask(posted, path, None).await
        }
        Err(refusal) => Err(here(refusal)),
    };
    Ok(posted.with_cookie(answer))
}

/// A refusal that leads back to the account.
fn here(refusal: Refusal) -> Problem {
    Problem { back: Some(HERE.to_owned()), ..refusal.into() }
}
