//! Key files: there, readable, and closed to others.

use super::{Check, Facts, FileFact, FileState, Finding, Severity};

pub(super) const CHECK: Check = Check {
    id: "keys",
    about: "Key files, configuration and database are there and closed to others.",
    judge,
};

fn judge(facts: &Facts, findings: &mut Vec<Finding>) {
    findings.extend(facts.machine.files.iter().filter_map(finding));
}

fn finding(FileFact { path, state }: &FileFact) -> Option<Finding> {
    let critical = |id| Finding::new(id, Severity::Critical, path);
    Some(match state {
        FileState::Fine => return None,
        FileState::Missing => critical("keys.missing")
            .because(format!("`{path}` is not there: the homeserver can't start without it"))
            .remedy(
                "restore it from a copy before the next stop: clients and peers know this domain by its keys",
            ),
        FileState::Loose { mode, wanted } => critical("keys.loose")
            .because(format!(
                "`{path}` has mode {mode:04o}, so others may open it, and the next start is refused"
            ))
            .remedy(format!("run `chmod {wanted:04o} {path}`, and find out who could read it meanwhile")),
        FileState::Foreign { owner, own } => critical("keys.foreign")
            .because(format!("`{path}` belongs to uid {owner}, and the homeserver runs as uid {own}"))
            .remedy(format!("run `chown {own} {path}`, or run the homeserver as the user whose it is")),
        FileState::Malformed(why) => critical("keys.malformed")
            .because(format!("`{path}` can't be used: {why}"))
            .remedy("restore it from a copy before the next stop"),
    })
}
