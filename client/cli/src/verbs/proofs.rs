//! `proof` and `verify-proof`.

use std::{fs, io::Read as _, path::Path};

use anyhow::{Context as _, anyhow, bail};
use qpq_client::Client;
use qpq_core::{MessageId, Timestamp};
use qpq_proof::{FILE_BYTES, Judged, ProofFile};
use serde::Serialize;

use crate::output::{Format, name, note};

/// One domain's word, as it is printed.
#[derive(Serialize)]
struct Line {
    message: MessageId,
    ciphertext_sha256: String,
    valid: bool,
    domain: Option<String>,
    role: Option<&'static str>,
    at: Option<Timestamp>,
    recipient: String,
    key: Option<String>,
    pin: Option<String>,
    vouched_by: Option<String>,
    error: Option<String>,
}

/// Writes what is proven of a message into a file.
pub(crate) async fn write(
    client: &Client,
    format: Format,
    id: &MessageId,
    file: &Path,
) -> anyhow::Result<()> {
    if let Err(error) = client.sync().await {
        note(&format!("what has come since can't be asked for now: {error}"));
    }
    let proofs = client.proofs(id).await?;
    fs::write(file, proofs.to_text()? + "\n")
        .with_context(|| format!("could not write `{}`", file.display()))?;
    show(format, &proofs).map(drop)
}

/// Checks a file of anybody's, without a home and without a network.
pub(crate) fn verify(format: Format, file: &Path) -> anyhow::Result<()> {
    // What the file says must not move the cursor.
    let proofs = ProofFile::from_bytes(&read(file)?)
        .map_err(|error| anyhow!("`{}` can't be checked: {}", file.display(), name(&error.to_string())))?;
    let (valid, all) = show(format, &proofs)?;
    if valid < all {
        bail!("{} of {all} proofs don't hold", all - valid);
    }
    if format == Format::Text {
        note(
            "each proof holds under the key that it names. That the key is the domain's is not proven by the file: compare \
             it with what `qpq-server info` prints there, or `qpq-server peer show` at one of its peers",
        );
    }
    Ok(())
}

/// Prints each proof; returns how many hold, and of how many.
fn show(format: Format, proofs: &ProofFile) -> anyhow::Result<(usize, usize)> {
    let (message, ciphertext, judged) = proofs.judge()?;
    let lines: Vec<Line> =
        judged.iter().map(|judged| line(message, ciphertext.to_string(), judged)).collect();
    format.each(&lines, text)?;
    Ok((lines.iter().filter(|line| line.valid).count(), lines.len()))
}

fn line(message: MessageId, ciphertext_sha256: String, judged: &Judged) -> Line {
    let statement = judged.statement.as_ref();
    Line {
        message,
        ciphertext_sha256,
        valid: judged.outcome.is_ok(),
        domain: statement.map(|statement| statement.terms.domain.to_string()),
        role: statement.map(|statement| statement.terms.role.word()),
        at: statement.map(|statement| statement.terms.at),
        recipient: judged.recipient.to_string(),
        key: statement.map(|statement| statement.key.to_string()),
        pin: judged.pin.map(|pin| pin.to_string()),
        vouched_by: judged.vouched_by.as_ref().map(ToString::to_string),
        error: judged.outcome.err().map(|error| error.to_string()),
    }
}

fn text(line: &Line) -> String {
    if let Some(error) = &line.error {
        return format!("INVALID  {}: {error}", line.domain.as_deref().unwrap_or("a statement"));
    }
    let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let vouched = match (&line.pin, &line.vouched_by) {
        (Some(pin), Some(vouches)) => {
            format!(
                "\n         not signed: {vouches} is said to know the key as the domain's, whose CA has the pin {pin}"
            )
        }
        (_, _) => String::new(),
    };
    format!(
        "valid    {} {} {} for {} on {}\n         ciphertext sha256 {}\n         signed by the key {}{vouched}",
        or_dash(&line.domain),
        line.role.unwrap_or("-"),
        line.message,
        line.recipient,
        line.at.map_or_else(|| "-".to_owned(), |at| at.to_string()),
        line.ciphertext_sha256,
        or_dash(&line.key),
    )
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    let context = || format!("could not read `{}`", file.display());
    let mut bytes = Vec::new();
    // One byte more than is allowed shows that there is more.
    let most = u64::try_from(FILE_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    fs::File::open(file).with_context(context)?.take(most).read_to_end(&mut bytes).with_context(context)?;
    Ok(bytes)
}
