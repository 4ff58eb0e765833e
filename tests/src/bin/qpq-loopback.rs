//! A domain on loopback for a suite that is not written in Rust: alice, who gets a resumption token for a device of
//! hers, and bob, who talks to her.
//!
//! Prints one JSON object `{server, domain, pin, token_file}`. Then each line on standard input makes bob say it to
//! alice, and the end of the input ends the world.

#![expect(clippy::future_not_send, reason = "Cap'n Proto capabilities live on one thread")]

use std::time::Duration;

use qpq_tests::{Program, World, told};
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, BufReader};

const WHOLE: Duration = Duration::from_mins(5);

fn main() -> anyhow::Result<()> {
    told(WHOLE, serve)
}

async fn serve(world: &World) -> anyhow::Result<()> {
    let alpha = world.domain("alpha").await?;
    let alice = world.person("alice", &alpha).await?;
    let bob = world.person("bob", &alpha).await?;
    let token = Program::new("qpq-resumption-token")?
        .args([alice.address().to_string(), alpha.client_address(), alpha.pin().to_string()])
        .arg(alice.password_file())
        .arg(world.path().join("alices-python"))
        .succeed()
        .await?;
    let token_file = world.path().join("resumption-token");
    std::fs::write(&token_file, &token.stdout)?;
    print(&json!({
        "server": alpha.client_address(),
        "domain": alpha.name().as_str(),
        "pin": alpha.pin(),
        "token_file": token_file,
    }));
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let sent = bob.say(&alice.address().to_string(), &line).await?;
        print(&json!({ "message_id": sent.message_id }));
    }
    alpha.stop().await
}

#[expect(clippy::print_stdout, reason = "the result")]
fn print(line: &serde_json::Value) {
    println!("{line}");
}
