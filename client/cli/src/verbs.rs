//! The verbs: open the home, act, close it again whatever happened.

mod account;
mod group;
mod keys;
mod messages;
mod proofs;
mod requests;

use qpq_client::{Client, Options, store::Unlock};

use crate::{
    args::{Arguments, Verb},
    output::Format,
    secrets,
};

/// Runs one command.
pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let format = if arguments.json { Format::Json } else { Format::Text };
    if let Verb::VerifyProof { file } = &arguments.verb {
        return proofs::verify(format, file);
    }
    let client = open(&arguments).await?;
    let flushes = matches!(&arguments.verb, Verb::Send { .. } | Verb::Recv { .. } | Verb::Group { .. });
    let outcome = act(&client, format, arguments.verb).await;
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

async fn open(arguments: &Arguments) -> anyhow::Result<Client> {
    let home = arguments.home();
    let passphrase = secrets::passphrase(arguments.passphrase_file().as_deref())?;
    let unlock = Unlock::Passphrase(&passphrase);
    Ok(match &arguments.verb {
        Verb::Register { account, .. } | Verb::Login { account } => {
            let options = Options { suite: account.suite.into(), ..Options::default() };
            Client::create(&home, unlock, options).await?
        }
        _ => Client::open(&home, unlock, Options::default()).await?,
    })
}

async fn act(client: &Client, format: Format, verb: Verb) -> anyhow::Result<()> {
    match verb {
        Verb::Register { account, registration_token } => {
            account::register(client, format, &account, registration_token.as_deref()).await
        }
        Verb::Login { account } => account::login(client, format, &account).await,
        Verb::Whoami => account::whoami(client, format).await,
        Verb::Devices { verb } => account::devices(client, format, verb).await,
        Verb::Keys { verb } => keys::run(client, format, verb).await,
        Verb::Requests { verb } => requests::run(client, format, verb).await,
        Verb::Send { target, text } => messages::send(client, format, &target, &text).await,
        Verb::Recv { wait, max } => messages::recv(client, format, wait, max).await,
        Verb::Proof { message, file } => proofs::write(client, format, &message, &file).await,
        // It needs no client: see `run`.
        Verb::VerifyProof { file } => proofs::verify(format, &file),
        Verb::Group { verb } => group::run(client, format, verb).await,
    }
}
