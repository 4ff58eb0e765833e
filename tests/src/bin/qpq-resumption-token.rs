//! Logs in through the client library and prints a resumption token: for a client that does not speak OPAQUE.
//!
//! The device that it enrols lives in `--home`; whoever uses the token *is* that device from then on.

use std::path::PathBuf;

use anyhow::Context as _;
use qpq_client::{Client, Options, Server, Trust, store::StoreKey, store::Unlock};
use qpq_core::{Address, Pin, Secret};

const USAGE: &str = "usage: qpq-resumption-token ADDRESS HOST:PORT PIN PASSWORD-FILE HOME";

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, server, pin, password_file, home] = arguments.as_slice() else { anyhow::bail!(USAGE) };
    let address: Address = address.parse()?;
    let server = Server { address: server.parse()?, trust: Trust::Pin(pin.parse::<Pin>()?) };
    let password =
        std::fs::read_to_string(password_file).with_context(|| format!("could not read {password_file}"))?;
    let password = Secret::new(password.trim_end_matches('\n').to_owned());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let token =
        tokio::task::LocalSet::new().block_on(&runtime, log_in(&address, &server, &password, home.into()))?;
    print(&token);
    Ok(())
}

#[expect(clippy::future_not_send, reason = "Cap'n Proto capabilities live on one thread")]
async fn log_in(
    address: &Address,
    server: &Server,
    password: &Secret<String>,
    home: PathBuf,
) -> anyhow::Result<String> {
    // The key of a store that nobody opens again.
    let key = StoreKey::from_raw([0; 32]);
    let client = Client::create(&home, Unlock::Key(&key), Options::default()).await?;
    client.login(address, server, password).await?;
    let token = client.resumption_token().await?;
    client.close().await;
    Ok(data_encoding::BASE64URL_NOPAD.encode(token.expose()))
}

#[expect(clippy::print_stdout, reason = "the result")]
fn print(token: &str) {
    println!("{token}");
}
