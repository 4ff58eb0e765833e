//! Performing an action that a form asks for: its fields become arguments, what can't be undone must have been typed, a
//! proof that is too old is asked for and the form then done in one step, and the page it was on says what happened.

use axum::response::Response;
use qpq_core::ErrorCode;
use qpq_service::{Action, Guard, Refusal};
use serde_json::Value;

use super::{again::Again, arguments, entry::Posted, once, problem::Problem, prove, said};

/// Does what the form asks for.
pub(super) async fn perform(action: &'static Action, mut posted: Posted) -> Result<Response, Problem> {
    if posted.signed_in()?.role < action.role {
        let text = format!("`{}` needs the role {}", action.verb, action.role);
        return Err(Problem {
            back: Some(posted.back()),
            ..Refusal::new(ErrorCode::RoleRefused, text).into()
        });
    }
    if let Some(asked) = prove::in_form(&mut posted, action.route).await? {
        return Ok(asked);
    }
    let outcome = attempt(action, &posted).await;
    let response = match outcome {
        Ok((arguments, answer)) => done(action, &posted, &arguments, &answer),
        Err(refusal) if refusal.code == ErrorCode::ReauthenticationNeeded => {
            prove::ask(&posted, action.route, None).await
        }
        Err(refusal) => Err(refused(action, &posted, refusal)),
    };
    // Also a refusal keeps the session that the proof began.
    Ok(posted.with_cookie(response))
}

async fn attempt(action: &'static Action, posted: &Posted) -> Result<(Value, Value), Refusal> {
    let arguments = arguments::of(action, &posted.fields)?;
    if let Guard::Typed(name) = action.guard
        && !arguments::typed(name, &arguments, &posted.fields)
    {
        return Err(Refusal::malformed("what was typed to confirm it is not the name: nothing was done"));
    }
    let caller = posted.caller()?;
    let answer = posted.scene.console.actions.perform_value(&caller, action.verb, arguments.clone()).await?;
    Ok((arguments, answer))
}

fn done(action: &Action, posted: &Posted, arguments: &Value, answer: &Value) -> Result<Response, Problem> {
    let back = posted.back();
    if let Some(page) = once::page(&posted.scene, action.verb, answer, &back)? {
        return Ok(page);
    }
    // What is gone has no page to lead back to.
    let back = match action.verb {
        "user.delete" => "/users",
        "peer.remove" => "/federation",
        _ => &back,
    };
    Ok(said::back(back, action.verb, &about(action, arguments, answer)))
}

/// Whom or what the action was about.
fn about(action: &Action, arguments: &Value, answer: &Value) -> String {
    let first = match action.verb {
        // What was given is a secret.
        "peer.accept" => answer.get("domain"),
        _ => action.arguments.first().and_then(|argument| arguments.get(argument.name)),
    };
    match first {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(texts)) => texts.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "),
        _ => String::new(),
    }
}

fn refused(action: &Action, posted: &Posted, refusal: Refusal) -> Problem {
    // Only what can be corrected is worth a form.
    let mend = !matches!(refusal.code, ErrorCode::RoleRefused | ErrorCode::Internal);
    let again = mend.then(|| Box::new(Again::of(&posted.scene, action, &posted.fields, posted.back())));
    Problem { back: Some(posted.back()), again, ..refusal.into() }
}
