//! A one-time link: the first admin, one who was added, or one who lost what they signed in with, chooses a passkey or a
//! password with codes, and gets recovery codes.

use askama::Template;
use axum::response::{IntoResponse, Response};
use qpq_core::{ErrorCode, Secret};
use qpq_service::{Answered, LinkPurpose, LinkView, TotpOffer, Welcome};

use super::{
    entry::Posted,
    fields::{ANSWER, CEREMONY, CODE, PASSWORD},
    layout::Rotated,
    problem::Problem,
    prove, qr,
    scene::Scene,
    sign_in,
};
use crate::pages::Markup;

#[derive(Template)]
#[template(path = "frame/setup.html")]
struct Shown<'a> {
    s: &'a Scene,
    token: &'a str,
    link: &'a LinkView,
    name: &'a str,
    first: bool,
    recovery: bool,
    localhost: bool,
    wrong: Option<&'a Problem>,
}

/// Password and codes: also on one's own account.
#[derive(Template)]
#[template(path = "frame/password.html")]
pub(super) struct PasswordForm<'a> {
    pub(super) s: &'a Scene,
    /// Where the form goes.
    pub(super) path: String,
    pub(super) back: String,
    /// The name that goes along; none where it is known.
    pub(super) name: &'a str,
    pub(super) offer: &'a TotpOffer,
    pub(super) qr: Markup,
    pub(super) wrong: Option<&'a Problem>,
}

/// Recovery codes, shown once.
#[derive(Template)]
#[template(path = "frame/codes.html")]
pub(super) struct Codes<'a> {
    pub(super) s: &'a Scene,
    pub(super) list: &'a [String],
    pub(super) go: &'a str,
}

/// The page behind a link.
pub(super) async fn show(scene: Scene) -> Result<Response, Problem> {
    let token = token(&scene);
    let link = scene.console.admins.link(token).await?;
    choose(&scene, &link, link.name.as_deref().unwrap_or_default(), None)
}

fn choose(scene: &Scene, link: &LinkView, name: &str, wrong: Option<Problem>) -> Result<Response, Problem> {
    let view = Shown {
        s: scene,
        token: token(scene),
        link,
        name,
        first: link.purpose == LinkPurpose::First,
        recovery: link.purpose == LinkPurpose::Recovery,
        localhost: scene.console.admins.place().rp_id == "localhost",
        wrong: wrong.as_ref(),
    };
    let page = sign_in::page(scene, "setup-title", &view)?;
    Ok(match wrong {
        Some(problem) => problem.on(page),
        None => page.into_response(),
    })
}

/// The beginning of making a passkey, for the console's script.
pub(super) async fn begin_passkey(posted: Posted) -> Result<Response, Problem> {
    let (scene, name) = (&posted.scene, posted.fields.get("name").trim());
    Ok(sign_in::began(&scene.console.admins.begin_setup_passkey(token(scene), name).await?))
}

/// The passkey.
pub(super) async fn passkey(posted: Posted) -> Result<Response, Problem> {
    let (scene, fields) = (&posted.scene, &posted.fields);
    let answer = prove::answer(fields.get(ANSWER))?;
    let (name, ceremony) = (fields.get("name").trim(), fields.get(CEREMONY));
    let admins = &scene.console.admins;
    match admins.finish_setup_passkey(token(scene), name, ceremony, answer, &scene.visit).await {
        Ok(welcome) => welcomed(scene, welcome),
        // The link is still good unless it says otherwise itself: then its page says so.
        Err(refusal) => {
            let link = admins.link(token(scene)).await?;
            choose(scene, &link, name, Some(refusal.into()))
        }
    }
}

/// The QR code for a password with codes.
pub(super) async fn offer(posted: Posted) -> Result<Response, Problem> {
    let (scene, name) = (&posted.scene, posted.fields.get("name").trim());
    let admins = &scene.console.admins;
    let link = admins.link(token(scene)).await?;
    if name.is_empty() && link.name.is_none() {
        let missing = Problem::malformed("choose a name first");
        return choose(scene, &link, name, Some(missing));
    }
    let offer = admins.begin_setup_password(token(scene)).await?;
    password_page(scene, name, &offer, None)
}

/// Password and code.
pub(super) async fn password(posted: Posted) -> Result<Response, Problem> {
    let (scene, fields) = (&posted.scene, &posted.fields);
    let (name, offer, code) = (fields.get("name").trim(), fields.get("offer"), fields.get(CODE).trim());
    let password = Secret::new(fields.get(PASSWORD).to_owned());
    let admins = &scene.console.admins;
    let outcome: Answered<Welcome> =
        admins.finish_setup_password(token(scene), name, &password, offer, code, &scene.visit).await;
    match outcome {
        Ok(welcome) => welcomed(scene, welcome),
        Err(refusal) if refusal.code == ErrorCode::Gone => Err(refusal.into()),
        Err(refusal) => {
            let offer = admins.setup_offer(token(scene), offer).await?;
            password_page(scene, name, &offer, Some(refusal.into()))
        }
    }
}

fn password_page(
    scene: &Scene,
    name: &str,
    offer: &TotpOffer,
    wrong: Option<Problem>,
) -> Result<Response, Problem> {
    let path = format!("/setup/{}/password", token(scene));
    let back = format!("/setup/{}", token(scene));
    with_offer(scene, path, back, name, offer, wrong)
}

/// The page for a password with codes.
pub(super) fn with_offer(
    scene: &Scene,
    path: String,
    back: String,
    name: &str,
    offer: &TotpOffer,
    wrong: Option<Problem>,
) -> Result<Response, Problem> {
    let qr = qr::svg(&offer.uri, &scene.t("password-qr"));
    let view = PasswordForm { s: scene, path, back, name, offer, qr, wrong: wrong.as_ref() };
    let page = sign_in::page(scene, "password-title", &view)?;
    Ok(match wrong {
        Some(problem) => problem.on(page),
        None => page.into_response(),
    })
}

fn welcomed(scene: &Scene, welcome: Welcome) -> Result<Response, Problem> {
    let view = Codes { s: scene, list: &welcome.recovery_codes, go: "/" };
    let mut response = sign_in::page(scene, "codes-title", &view)?.into_response();
    response.extensions_mut().insert(Rotated(welcome.session));
    Ok(response)
}

/// The link's secret: `/setup/SECRET/…`.
fn token(scene: &Scene) -> &str {
    scene.path.split('/').nth(2).unwrap_or_default()
}
