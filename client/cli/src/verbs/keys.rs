//! `keys show` and `keys accept`.

use qpq_client::{Client, KeyReport};

use crate::{args::KeysVerb, output::Format};

/// Shows both keys of a user, or accepts the one shown now.
pub(crate) async fn run(client: &Client, format: Format, verb: KeysVerb) -> anyhow::Result<()> {
    let report = match verb {
        KeysVerb::Show { address } => client.keys_show(&address).await?,
        KeysVerb::Accept { address } => client.keys_accept(&address).await?,
    };
    format.show(&report, text)
}

fn text(report: &KeyReport) -> String {
    let key =
        |key: Option<qpq_core::IdentityKey>| key.map_or_else(|| String::from("none"), |key| key.to_string());
    let verdict = if report.changed {
        "CHANGED: nothing is sent until you accept it (`qpq keys accept`)"
    } else {
        "the same"
    };
    format!(
        "{}\n  seen first  {}\n  shown now   {}\n  {verdict}",
        report.address,
        key(report.pinned),
        key(report.presented)
    )
}
