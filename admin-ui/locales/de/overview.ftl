overview-title = Überblick
overview-health = Zustand
overview-now = Gerade jetzt
overview-day = Die letzten 24 Stunden
overview-no-charts = Die ersten Messwerte kommen in ein paar Minuten.
tile-health = Schlimmster Befund
tile-findings = { $n ->
     [0] nichts gefunden
     [one] 1 Befund
    *[other] { $shown } Befunde
}
tile-queue = Wartet auf Partner
tile-oldest = ältestes:
tile-users = Nutzer
tile-sessions = { $n ->
     [one] 1 offene Sitzung
    *[other] { $shown } offene Sitzungen
}
tile-certificate = Zertifikat
tile-days = Tage
tile-database = Datenbank
tile-peers = Partner
chart-latest = Zuletzt
chart-lowest = niedrigster Wert
chart-highest = höchster Wert
chart-gaps = { $n ->
     [0] Ohne Lücken.
     [one] 1 Lücke.
    *[other] { $shown } Lücken.
}
chart-now = jetzt
chart-empty = Keine Messwerte in den letzten 24 Stunden.
chart-queue_rows = Nachrichten, die auf Partner warten
chart-queue_oldest = Alter der ältesten wartenden Nachricht
chart-sessions_live = Offene Sitzungen
chart-database_bytes = Größe der Datenbank
about-title = Über diesen Homeserver
about-version = Programmversion
about-clients = Clients wählen
about-client-pin = Pin für Clients
about-federation = Andere Domains wählen
about-federation-key = Schlüssel, der für diese Domain unterschreibt
about-console = Diese Konsole
about-since = Läuft seit
