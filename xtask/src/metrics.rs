//! `cargo xtask metrics`: what is said about metrics outside the program is generated from their registry
//! (`homeserver/metrics`): the dashboard, the alert rules, an example of a scrape, the reference.

mod dashboard;
mod reference;
mod rules;

use std::{fs, path::Path};

use anyhow::{Context as _, bail};

use crate::{say, tree};

pub(crate) fn run(check: bool) -> anyhow::Result<()> {
    let files = files();
    if check {
        let differ = differing(tree::root(), &files);
        if !differ.is_empty() {
            bail!("not what the registry says: {}; run `cargo xtask metrics`", differ.join(", "));
        }
        say(&format!("metrics: {} files follow the registry", files.len()));
        return Ok(());
    }
    for (path, text) in &files {
        let path = tree::root().join(path);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(|| format!("could not make `{}`", folder.display()))?;
        }
        fs::write(&path, text).with_context(|| format!("could not write `{}`", path.display()))?;
    }
    say(&format!("metrics: wrote {} files", files.len()));
    Ok(())
}

/// What is generated, by path.
fn files() -> [(&'static str, String); 4] {
    [
        ("compose/monitoring/grafana-dashboard.json", dashboard::text()),
        ("compose/monitoring/alerts.yml", rules::alerts()),
        ("compose/monitoring/prometheus.yml", rules::scrape()),
        ("docs/reference/metrics.md", reference::text()),
    ]
}

fn differing(root: &Path, files: &[(&'static str, String)]) -> Vec<&'static str> {
    let differs = |(path, text): &&(&'static str, String)| {
        fs::read_to_string(root.join(path)).map_or(true, |found| found != *text)
    };
    files.iter().filter(differs).map(|(path, _)| *path).collect()
}

#[cfg(test)]
mod tests {
    use qpq_metrics::ALERTS;

    use super::*;

    #[test]
    fn an_edited_and_a_missing_file_are_noticed() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("same"), "a").unwrap();
        fs::write(root.path().join("edited"), "b").unwrap();
        let files = [("same", "a".to_owned()), ("edited", "a".to_owned()), ("missing", "a".to_owned())];
        assert_eq!(differing(root.path(), &files), ["edited", "missing"]);
    }

    #[test]
    fn every_alert_has_a_test_in_which_it_fires() {
        let tests = fs::read_to_string(tree::root().join("compose/monitoring/alerts.test.yml")).unwrap();
        for alert in ALERTS {
            let asked = format!("alertname: {}\n", alert.name);
            let fires = tests.split(&asked).skip(1).any(|rest| {
                let expected = rest.split("alertname:").next().unwrap_or_default();
                expected.contains("exp_labels:")
            });
            assert!(fires, "{} never fires in compose/monitoring/alerts.test.yml", alert.name);
        }
    }
}
