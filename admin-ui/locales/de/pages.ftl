actions = Aktionen
filter = Anzeigen
none-found-hint = Andere Filter versuchen oder alle leeren.
pager = Seiten
pager-total = { $n ->
     [one] 1 Zeile
    *[other] { $shown } Zeilen
}
pager-previous = Zurück
pager-next = Weiter
span-1h = 1 Stunde
span-1d = 1 Tag
span-7d = 7 Tage
span-30d = 30 Tage
span-90d = 90 Tage
span-never = Unbefristet
typed = Zur Bestätigung { $name } eintippen
why-optional = Warum (fürs Protokoll, freiwillig)
sessions-title = Sitzungen der Nutzer
devices-title = Geräte der Nutzer
places-ask = Von wem?
places-ask-hint = Die Adresse eines Nutzers angeben, etwa alice@deine.domain.
