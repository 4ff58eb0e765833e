audit-title = Audit log
audit-lead = Every change, chained by hashes, newest first.
audit-verify-link = Check the chain
audit-actor = Who
audit-action = Action
audit-any = Any action
audit-target = Target
audit-from = From (UTC)
audit-until = Before (UTC)
audit-none-found = No row matches.
audit-empty = Nothing has been changed yet.
audit-empty-hint = The first row appears with the first change, here or on the command line.
audit-csv = Download as CSV
audit-jsonl = Download as JSONL
audit-seq = No.
audit-at = When
audit-request = Request
audit-older = Older
verify-title = The audit chain
verify-ok = { $n ->
     [one] The chain of 1 row is whole.
    *[other] The chain of { $shown } rows is whole.
}
verify-broken = The chain is broken at row { $shown }.
verify-broken-do = Somebody changed the database by hand. Keep a copy, and compare with an export.
verify-head = Newest hash
verify-hint = Keep this hash elsewhere: a later check proves that no row up to it was changed.
