admins-title = Verwalter
admins-lead = Wer diese Konsole benutzen darf.
admins-empty = Keine Verwalter.
admins-empty-hint = Der Einrichtungslink, den der Server ausgegeben hat, macht den ersten.
admins-you = Du
admins-factors = Faktoren
admins-passkeys = { $n ->
     [one] 1 Passkey
    *[other] { $shown } Passkeys insgesamt
}
admins-password = Passwort
admins-totp = Einmalcodes
admins-codes = Übrige Wiederherstellungscodes
admins-last = Letzte Anmeldung
admins-name = Anmeldename
admins-role = Rolle
admins-role-do = Rolle ändern
admins-change-one = { $name } ändern
admins-recover = Wiederherstellungslink ausstellen
admins-recover-hint = Ein Link, um neue Faktoren zu setzen; er wird einmal gezeigt.
admins-remove = Entfernen
admins-add = Verwalter hinzufügen
admins-add-hint = Stellt einen Link aus, mit dem die neue Person ihre Faktoren setzt; er wird einmal gezeigt.
admins-add-do = Hinzufügen
role-owner = Inhaber
role-operator = Betreiber
role-auditor = Prüfer
admin-sessions-title = Sitzungen der Konsole
admin-sessions-empty = Keine Sitzungen.
admin-sessions-empty-hint = Eine Sitzung beginnt, wenn ein Verwalter sich anmeldet.
