//! The forms in which the audit log leaves the house: JSON lines and CSV. Both hold every field that the hash covers.

use qpq_storage::AuditRecord;
use serde_json::json;

/// One JSON object and a line feed.
pub(crate) fn line(record: &AuditRecord) -> String {
    let AuditRecord { seq, entry, hash } = record;
    let mut text = json!({
        "seq": seq.0,
        "at": entry.at,
        "actor": entry.actor,
        "action": entry.action,
        "target": entry.target,
        "reason": entry.reason,
        "request": entry.request,
        "hash": hash.to_string(),
    })
    .to_string();
    text.push('\n');
    text
}

/// RFC 4180, with a head line before the first piece. A field that a spreadsheet would take for a formula begins with an
/// apostrophe, so the JSON lines are the form to verify from.
pub(crate) fn csv(records: &[AuditRecord], with_head: bool) -> String {
    let mut text = String::new();
    if with_head {
        text.push_str("seq,at,actor,action,target,reason,request,hash\r\n");
    }
    for AuditRecord { seq, entry, hash } in records {
        let fields = [
            seq.0.to_string(),
            entry.at.to_string(),
            entry.actor.clone(),
            entry.action.clone(),
            entry.target.clone(),
            entry.reason.clone(),
            entry.request.to_string(),
            hash.to_string(),
        ];
        text.push_str(&fields.map(|field| quoted(&field)).join(","));
        text.push_str("\r\n");
    }
    text
}

fn quoted(field: &str) -> String {
    let field = if field.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        format!("'{field}")
    } else {
        field.to_owned()
    };
    if field.contains([',', '"', '\r', '\n']) { format!("\"{}\"", field.replace('"', "\"\"")) } else { field }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn fields_stay_fields_and_never_become_formulas() {
        for (field, written) in [
            ("plain", "plain"),
            ("a,b", "\"a,b\""),
            ("say \"no\"", "\"say \"\"no\"\"\""),
            ("=HYPERLINK(1)", "'=HYPERLINK(1)"),
            ("@SUM(1,2)", "\"'@SUM(1,2)\""),
        ] {
            assert_eq!(quoted(field), written);
        }
    }
}
