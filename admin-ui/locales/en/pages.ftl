actions = Actions
filter = Show
none-found-hint = Try other filters, or clear them.
pager = Pages
pager-total = { $n ->
     [one] 1 row
    *[other] { $shown } rows
}
pager-previous = Previous
pager-next = Next
span-1h = 1 hour
span-1d = 1 day
span-7d = 7 days
span-30d = 30 days
span-90d = 90 days
span-never = Without end
typed = Type { $name } to confirm
why-optional = Why (for the audit log, optional)
sessions-title = Users’ sessions
devices-title = Users’ devices
places-ask = Whose?
places-ask-hint = Give a user’s address, such as alice@your.domain.
