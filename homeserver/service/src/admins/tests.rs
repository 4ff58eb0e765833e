//! Admins as they come, sign in, prove themselves, change what they sign in with, and go.

mod accounts;
mod authenticator;
mod links;
mod own;
mod sign_in;

use qpq_core::{ErrorCode, Millis, RequestId, Secret};
use serde_json::{Value, json};

use super::{SignedIn, Visit, Welcome, secrets, totp::TotpSecret};
use crate::{Answered, Caller, SourceNetwork, fixture::Home};
use authenticator::Authenticator;

const PASSWORD: &str = "correct horse battery";

fn request() -> RequestId {
    RequestId::from_bytes([7; 16])
}

fn visit_from(network: &str) -> Visit {
    Visit {
        network: SourceNetwork::new(network),
        address: network.to_owned(),
        agent: "Browser\n<script>".to_owned(),
        request: request(),
    }
}

fn visit() -> Visit {
    visit_from("192.0.2.1")
}

fn secret(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

fn code<T>(answer: Answered<T>) -> ErrorCode {
    match answer {
        Ok(_) => panic!("it was not refused"),
        Err(refusal) => refusal.code,
    }
}

/// The token at the end of a link.
fn token(url: &str) -> String {
    url.rsplit('/').next().unwrap().to_owned()
}

async fn perform(home: &Home, caller: &Caller, verb: &str, arguments: Value) -> Answered<Value> {
    home.actions.perform_value(caller, verb, arguments).await
}

/// On the admin socket.
async fn socket(home: &Home, verb: &str, arguments: Value) -> Answered<Value> {
    perform(home, &Caller::uid(0, request()), verb, arguments).await
}

/// Who an admin is, and what their device knows.
struct Someone {
    name: String,
    key: Authenticator,
    totp: Option<TotpSecret>,
    welcome: Welcome,
}

impl Someone {
    fn signed_in(&self) -> &SignedIn {
        &self.welcome.session.signed_in
    }

    fn caller(&self) -> Caller {
        self.signed_in().caller(request())
    }

    fn code_now(&self, home: &Home) -> String {
        self.totp.as_ref().unwrap().code_at(home.now())
    }
}

/// Uses a link up with a passkey.
async fn with_passkey(home: &Home, url: &str, name: &str) -> Answered<Someone> {
    let (token, mut key) = (token(url), Authenticator::new());
    let begun = home.admins.begin_setup_passkey(&token, name).await?;
    let answer = key.create(&begun.options);
    let welcome = home.admins.finish_setup_passkey(&token, name, &begun.id, answer, &visit()).await?;
    Ok(Someone { name: welcome.session.signed_in.name.clone(), key, totp: None, welcome })
}

/// Uses a link up with a password.
async fn with_password(home: &Home, url: &str, name: &str) -> Answered<Someone> {
    let token = token(url);
    let offer = home.admins.begin_setup_password(&token).await?;
    let bytes = data_encoding::BASE32_NOPAD.decode(offer.secret.replace(' ', "").as_bytes()).unwrap();
    let totp = TotpSecret::from_bytes(&bytes).unwrap();
    let code = totp.code_at(home.now());
    let password = secret(PASSWORD);
    let welcome =
        home.admins.finish_setup_password(&token, name, &password, &offer.id, &code, &visit()).await?;
    let name = welcome.session.signed_in.name.clone();
    Ok(Someone { name, key: Authenticator::new(), totp: Some(totp), welcome })
}

/// The first admin, ann, with a passkey.
async fn first(home: &Home) -> Someone {
    let link = home.admins.first_run().await.unwrap().unwrap();
    with_passkey(home, &link.url, "ann").await.unwrap()
}

/// Another one, with a password.
async fn added(home: &Home, name: &str, role: &str) -> Someone {
    let made = socket(home, "admin.add", json!({ "name": name, "role": role })).await.unwrap();
    let someone = with_password(home, made["url"].as_str().unwrap(), "").await.unwrap();
    // The next code is another one.
    home.wait(Millis::from_secs(30));
    someone
}
