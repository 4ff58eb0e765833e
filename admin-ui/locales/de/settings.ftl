settings-title = Einstellungen
settings-lead = Was jetzt gilt und woher jeder Wert kommt. Änderungen kommen in die Konfigurationsdatei.
settings-pending-n = { $n ->
     [one] 1 geänderte Einstellung wartet auf einen Neustart.
    *[other] { $shown } geänderte Einstellungen warten auf einen Neustart.
}
settings-empty = Keine Einstellungen.
settings-empty-hint = Dieser Homeserver läuft ohne Konfigurationsdatei.
settings-key = Einstellung
settings-value = Wert
settings-origin = Herkunft
settings-save = Speichern
settings-save-one = { $name } speichern
settings-pending = Nach Neustart
settings-restart = Braucht Neustart
origin-default = Vorgabe
origin-file = Datei
origin-environment = Umgebung
origin-flag = Schalter
origin-unset = Nicht gesetzt
