audit-title = Protokoll
audit-lead = Jede Änderung, durch Prüfsummen verkettet, neueste zuerst.
audit-verify-link = Kette prüfen
audit-actor = Wer
audit-action = Aktion
audit-any = Jede Aktion
audit-target = Ziel
audit-from = Von (UTC)
audit-until = Vor (UTC)
audit-none-found = Keine Zeile passt.
audit-empty = Noch wurde nichts geändert.
audit-empty-hint = Die erste Zeile erscheint mit der ersten Änderung, hier oder auf der Befehlszeile.
audit-csv = Als CSV herunterladen
audit-jsonl = Als JSONL herunterladen
audit-seq = Nr.
audit-at = Wann
audit-request = Anfrage
audit-older = Ältere
verify-title = Die Kette des Protokolls
verify-ok = { $n ->
     [one] Die Kette aus 1 Zeile ist heil.
    *[other] Die Kette aus { $shown } Zeilen ist heil.
}
verify-broken = Die Kette ist bei Zeile { $shown } gebrochen.
verify-broken-do = Jemand hat die Datenbank von Hand geändert. Eine Kopie behalten und mit einem Export vergleichen.
verify-head = Neueste Prüfsumme
verify-hint = Diese Prüfsumme anderswo aufheben: Eine spätere Prüfung beweist damit, dass bis dahin keine Zeile geändert wurde.
