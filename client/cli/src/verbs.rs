//! The verbs: open the home, act, close it again whatever happened.

mod account;
mod group;
mod keys;
mod messages;
mod proofs;
mod requests;

use std::path::Path;

use qpq_client::{Client, Options, store::Unlock};

use crate::{
    args::{Arguments, HomeVerb, Verb},
    output::Format,
    secrets,
};

/// Runs one command.
pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let format = if arguments.json { Format::Json } else { Format::Text };
    let (home, passphrase) = (arguments.home(), arguments.passphrase_file());
    let verb = match arguments.verb {
        Verb::VerifyProof { file } => return proofs::verify(format, &file),
        Verb::Home(verb) => verb,
    };
    let client = open(&home, passphrase.as_deref(), &verb).await?;
    let flushes = matches!(&verb, HomeVerb::Send { .. } | HomeVerb::Recv { .. } | HomeVerb::Group { .. });
    let outcome = act(&client, format, verb).await;
    // What is queued goes out with whichever command reaches the homeserver.
    if !flushes
        && client.session().is_ok()
        && let Err(error) = client.flush().await
    {
        tracing::debug!(%error, "what is queued waits");
    }
    client.close().await;
    outcome
}

async fn open(home: &Path, passphrase: Option<&Path>, verb: &HomeVerb) -> anyhow::Result<Client> {
    let passphrase = secrets::passphrase(passphrase)?;
    let unlock = Unlock::Passphrase(&passphrase);
    Ok(match verb {
        HomeVerb::Register { account, .. } | HomeVerb::Login { account } => {
            let options = Options { suite: account.suite.into(), ..Options::default() };
            Client::create(home, unlock, options).await?
        }
        _ => Client::open(home, unlock, Options::default()).await?,
    })
}

async fn act(client: &Client, format: Format, verb: HomeVerb) -> anyhow::Result<()> {
    match verb {
        HomeVerb::Register { account, registration_token } => {
            account::register(client, format, &account, registration_token.as_deref()).await
        }
        HomeVerb::Login { account } => account::login(client, format, &account).await,
        HomeVerb::Whoami => account::whoami(client, format).await,
        HomeVerb::Devices { verb } => account::devices(client, format, verb).await,
        HomeVerb::Keys { verb } => keys::run(client, format, verb).await,
        HomeVerb::Requests { verb } => requests::run(client, format, verb).await,
        HomeVerb::Send { target, text } => messages::send(client, format, &target, &text).await,
        HomeVerb::Recv { wait, max } => messages::recv(client, format, wait, max).await,
        HomeVerb::Proof { message, file } => proofs::write(client, format, &message, &file).await,
        HomeVerb::Group { verb } => group::run(client, format, verb).await,
    }
}
