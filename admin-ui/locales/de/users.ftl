users-title = Nutzer
users-lead = Alle, die auf dieser Domain ein Konto haben.
users-bans-link = Wer gesperrt ist
users-search = Name oder Adresse
users-state = Stand
users-state-any = Jeder Stand
users-state-all = Alle
users-state-active = Aktiv
users-state-banned = Gesperrt
users-sort = Reihenfolge
users-sort-any = Wie üblich
users-sort-name = Nach Namen
users-sort-created = Neueste zuerst
users-sort-seen = Zuletzt gesehene zuerst
users-none-found = Kein Nutzer passt.
users-empty = Noch hat niemand ein Konto.
users-empty-hint = Ein Registrierungs-Token ausstellen und der ersten Person geben.
users-empty-do = Registrierungs-Token ausstellen
users-pick = Auswählen
users-pick-one = { $name } auswählen
users-address = Adresse
users-devices = Geräte
users-seen = Zuletzt gesehen
users-created = Angelegt
users-bulk = Ausgewählte Nutzer sperren
users-bulk-hint = Ihre Sitzungen enden sofort; Anmeldungen und Nachrichten werden mit dem Grund abgelehnt. Ihre Daten bleiben.
users-bulk-do = Sperren
user-title = Nutzer im Einzelnen
user-banned = Gesperrt:
user-banned-until = Bis:
user-account = Konto
user-identity = Identitätsschlüssel
user-devices = Geräte
user-no-devices = Keine Geräte.
user-no-devices-hint = Ein Gerät erscheint hier, sobald es sich zum ersten Mal anmeldet.
user-device = Gerät
user-signature-key = Signaturschlüssel
user-enrolled = Aufgenommen
user-key-packages = Vorrat an KeyPackages
user-revoked = Widerrufen
user-revoke = Widerrufen
user-revoke-one = Das Gerät { $name } endgültig widerrufen
user-sessions = Sitzungen
user-no-sessions = Keine Sitzungen.
user-no-sessions-hint = Eine Sitzung beginnt, wenn ein Gerät sich anmeldet.
user-opened = Begonnen
user-resumed = Fortgesetzt
user-resumable = Fortsetzbar bis
user-live = Offen
user-resting = Ruht
user-end = Beenden
user-end-one = Die Sitzung { $name } beenden
user-end-all = Alle Sitzungen beenden
ban-title = Diesen Nutzer sperren
ban-effects = Eine Sperre beendet oder hält zurück:
ban-reason = Grund (die gesperrte Person liest ihn)
ban-expires = Wie lange
ban-do = Sperren
unban-title = Sperre aufheben
unban-do = Aufheben
delete-title = Dieses Konto löschen
delete-effects = Das ist endgültig. Verloren gingen:
delete-do = Endgültig löschen
preview-title = Was geschehen würde
preview-ban = eine Sperre beträfe
preview-delete = das Löschen des Kontos entfernte
preview-back = Zum Nutzer
effect-sessions = { $n ->
     [one] 1 Sitzung,
    *[other] { $shown } Sitzungen,
}
effect-live = { $n ->
     [one] 1 davon offen
    *[other] { $shown } davon offen
}
effect-devices = { $n ->
     [one] 1 Gerät
    *[other] { $shown } Geräte
}
effect-groups = { $n ->
     [one] Mitgliedschaft in 1 Gruppe
    *[other] Mitgliedschaften in { $shown } Gruppen
}
effect-waiting = { $n ->
     [one] 1 wartende Nachricht
    *[other] { $shown } wartende Nachrichten
}
effect-key-packages = { $n ->
     [one] Ein KeyPackage
    *[other] { $shown } KeyPackages insgesamt
}
bans-title = Gesperrt und blockiert
bans-lead = Nutzer dieser und anderer Domains und ganze Domains, die zurzeit ausgesperrt sind.
bans-search = Nutzer oder Domain
bans-kind = Art
bans-kind-any = Nutzer und Domains
bans-kind-user = Nutzer
bans-kind-domain = Ganze Domain
bans-none-found = Keine Sperre passt.
bans-empty = Niemand ist gesperrt.
bans-empty-hint = Wer die Domain missbraucht, kann unten oder auf der eigenen Seite gesperrt werden.
bans-subject = Wer
bans-reason = Grund
bans-by = Durch
bans-since = Seit
bans-until = Bis
bans-lift = Aufheben
bans-lift-one = Sperre von { $name } aufheben
bans-add = Einen Nutzer sperren
bans-add-hint = Auch Nutzer anderer Domains: Was sie hierher senden, wird abgelehnt.
bans-address = Adresse (nutzer@domain)
