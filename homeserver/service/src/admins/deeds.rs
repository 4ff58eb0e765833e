//! What admins do to their own accounts, for the audit log: no actions, because nobody can do them for another one.

/// Used a link up, and is an admin from then on.
pub(super) const SETUP: &str = "admin.setup";
/// Came in, or proved who they are, with a recovery code.
pub(super) const RECOVERY_CODE: &str = "admin.recovery-code";
/// Added a passkey.
pub(super) const PASSKEY_ADD: &str = "admin.passkey-add";
/// Removed a passkey.
pub(super) const PASSKEY_REMOVE: &str = "admin.passkey-remove";
/// Set a password with its second factor.
pub(super) const PASSWORD_SET: &str = "admin.password-set";
/// Made new recovery codes.
pub(super) const RECOVERY_CODES: &str = "admin.recovery-codes";

/// What the audit log says of it, as actions do.
pub(crate) fn text(deed: &str) -> Option<&'static str> {
    Some(match deed {
        SETUP => "used a one-time link to set up an admin account",
        RECOVERY_CODE => "used a recovery code",
        PASSKEY_ADD => "added a passkey",
        PASSKEY_REMOVE => "removed a passkey",
        PASSWORD_SET => "set a password",
        RECOVERY_CODES => "made new recovery codes",
        _ => return None,
    })
}
