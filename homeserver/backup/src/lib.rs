//! Backups that are proven by restoring them.
//!
//! Empty until the appliance issue. What will live here: a pure `RetentionPlan`; the consistent, still encrypted image
//! of the database; the repository in restic's format; the sealed keys and the emergency kit; the weekly drill that
//! restores from what the kit contains; and `restore`, which takes a new incarnation.
