//! What forms can post to, as one list: the router is made of it, and so is the test that tries to get past its guards.

use axum::response::Response;
use futures::future::BoxFuture;
use qpq_service::{Action, Actions};

use super::{account, change, entry::Posted, language, problem::Problem, prove, setup, sign_in};

/// Who may post.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    /// Also who isn't signed in.
    Anybody,
    /// Who is signed in; what they may change is judged by the service.
    Admin,
}

type Own = fn(Posted) -> BoxFuture<'static, Result<Response, Problem>>;

#[derive(Clone, Copy)]
enum Run {
    Action(&'static Action),
    Own(Own),
}

/// The target of a form.
#[derive(Clone, Copy)]
pub(super) struct Target {
    /// Where it is.
    pub(super) path: &'static str,
    /// Who may post there.
    pub(super) who: Who,
    run: Run,
}

const fn own(path: &'static str, who: Who, run: Own) -> Target {
    Target { path, who, run: Run::Own(run) }
}

const OWN: &[Target] = &[
    own("/language", Who::Anybody, |posted| Box::pin(async move { language::switch(&posted) })),
    own("/sign-in", Who::Anybody, |posted| Box::pin(sign_in::password(posted))),
    own("/sign-in/recovery", Who::Anybody, |posted| Box::pin(sign_in::recovery(posted))),
    own("/sign-in/passkey/begin", Who::Anybody, |posted| Box::pin(sign_in::begin_passkey(posted))),
    own("/sign-in/passkey", Who::Anybody, |posted| Box::pin(sign_in::passkey(posted))),
    own("/sign-out", Who::Admin, |posted| Box::pin(sign_in::out(posted))),
    own("/setup/{token}/passkey/begin", Who::Anybody, |posted| Box::pin(setup::begin_passkey(posted))),
    own("/setup/{token}/passkey", Who::Anybody, |posted| Box::pin(setup::passkey(posted))),
    own("/setup/{token}/password/offer", Who::Anybody, |posted| Box::pin(setup::offer(posted))),
    own("/setup/{token}/password", Who::Anybody, |posted| Box::pin(setup::password(posted))),
    own("/prove", Who::Admin, |posted| Box::pin(prove::posted(posted))),
    own("/prove/passkey/begin", Who::Admin, |posted| Box::pin(prove::begin_passkey(posted))),
    own("/account/passkeys/begin", Who::Admin, |posted| Box::pin(account::begin_passkey(posted))),
    own("/account/passkeys/add", Who::Admin, |posted| Box::pin(account::add_passkey(posted))),
    own("/account/passkeys/remove", Who::Admin, |posted| Box::pin(account::remove_passkey(posted))),
    own("/account/password/offer", Who::Admin, |posted| Box::pin(account::offer(posted))),
    own("/account/password", Who::Admin, |posted| Box::pin(account::set_password(posted))),
    own("/account/codes", Who::Admin, |posted| Box::pin(account::new_codes(posted))),
];

/// Every target.
pub(super) fn all() -> impl Iterator<Item = Target> {
    let changing = Actions::all().filter(|action| action.audit.is_some());
    let actions =
        changing.map(|action| Target { path: action.route, who: Who::Admin, run: Run::Action(action) });
    OWN.iter().copied().chain(actions)
}

impl Target {
    /// The action behind it; `None`: it belongs to the frame.
    #[cfg(test)]
    pub(super) const fn action(&self) -> Option<&'static Action> {
        match self.run {
            Run::Action(action) => Some(action),
            Run::Own(_) => None,
        }
    }

    /// Does what the form asks for.
    pub(super) async fn run(self, posted: Posted) -> Result<Response, Problem> {
        match self.run {
            Run::Action(action) => change::perform(action, posted).await,
            Run::Own(own) => own(posted).await,
        }
    }
}
