overview-title = Overview
overview-health = Health
overview-now = Right now
overview-day = The last 24 hours
overview-no-charts = The first samples arrive within some minutes.
tile-health = Worst finding
tile-findings = { $n ->
     [0] nothing found
     [one] 1 finding
    *[other] { $shown } findings
}
tile-queue = Waiting for peers
tile-oldest = oldest:
tile-users = Users
tile-sessions = { $n ->
     [one] 1 live session
    *[other] { $shown } live sessions
}
tile-certificate = Certificate
tile-days = days
tile-database = Database
tile-peers = Peers
chart-latest = Latest
chart-lowest = lowest
chart-highest = highest
chart-gaps = { $n ->
     [0] Without gaps.
     [one] 1 gap.
    *[other] { $shown } gaps.
}
chart-now = now
chart-empty = No samples in the last 24 hours.
chart-queue_rows = Messages waiting for peers
chart-queue_oldest = Age of the oldest waiting message
chart-sessions_live = Live sessions
chart-database_bytes = Size of the database
about-title = About this homeserver
about-version = Version
about-clients = Clients dial
about-client-pin = Pin for clients
about-federation = Other domains dial
about-federation-key = Key that signs for this domain
about-console = This console
about-since = Running since
