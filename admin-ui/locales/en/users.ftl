users-title = Users
users-lead = Everybody who has an account on this domain.
users-bans-link = Who is banned
users-search = Name or address
users-state = State
users-state-any = Any state
users-state-all = All
users-state-active = Active
users-state-banned = Banned
users-sort = Order
users-sort-any = By default
users-sort-name = By name
users-sort-created = Newest first
users-sort-seen = Last seen first
users-none-found = No user matches.
users-empty = Nobody has an account yet.
users-empty-hint = Make a registration token and give it to the first person.
users-empty-do = Make a registration token
users-pick = Choose
users-pick-one = Choose { $name }
users-address = Address
users-devices = Devices
users-seen = Last seen
users-created = Created
users-bulk = Ban the chosen users
users-bulk-hint = Their live sessions end at once; logins and messages are refused with the reason. Their data stays.
users-bulk-do = Ban them
user-title = User
user-banned = Banned:
user-banned-until = Until:
user-account = Account
user-identity = Identity key
user-devices = Devices
user-no-devices = No devices.
user-no-devices-hint = A device shows up here when it logs in for the first time.
user-device = Device
user-signature-key = Signature key
user-enrolled = Enrolled
user-key-packages = KeyPackages in stock
user-revoked = Revoked
user-revoke = Revoke
user-revoke-one = Revoke the device { $name } for good
user-sessions = Sessions
user-no-sessions = No sessions.
user-no-sessions-hint = A session begins when a device logs in.
user-opened = Opened
user-resumed = Resumed
user-resumable = Can be resumed until
user-live = Live
user-resting = Resting
user-end = End
user-end-one = End the session { $name }
user-end-all = End all sessions
ban-title = Ban this user
ban-effects = A ban would end or hold back:
ban-reason = Reason (the banned user reads it)
ban-expires = For how long
ban-do = Ban
unban-title = Lift the ban
unban-do = Lift it
delete-title = Delete this account
delete-effects = This can’t be undone. These would be gone:
delete-do = Delete for good
preview-title = What would happen
preview-ban = a ban would affect
preview-delete = deleting the account would remove
preview-back = To the user
effect-sessions = { $n ->
     [one] 1 session,
    *[other] { $shown } sessions,
}
effect-live = { $n ->
     [one] 1 of them live
    *[other] { $shown } of them live
}
effect-devices = { $n ->
     [one] 1 device
    *[other] { $shown } devices
}
effect-groups = { $n ->
     [one] membership in 1 group
    *[other] memberships in { $shown } groups
}
effect-waiting = { $n ->
     [one] 1 waiting message
    *[other] { $shown } waiting messages
}
effect-key-packages = { $n ->
     [one] 1 KeyPackage
    *[other] { $shown } KeyPackages
}
bans-title = Banned and blocked
bans-lead = Users of this and other domains, and whole domains, that are kept out at present.
bans-search = User or domain
bans-kind = Kind
bans-kind-any = Users and domains
bans-kind-user = User
bans-kind-domain = Domain
bans-none-found = No ban matches.
bans-empty = Nobody is banned.
bans-empty-hint = If somebody abuses your domain, ban them below or on their own page.
bans-subject = Who
bans-reason = Reason
bans-by = By
bans-since = Since
bans-until = Until
bans-lift = Lift
bans-lift-one = Lift the ban of { $name }
bans-add = Ban a user
bans-add-hint = Also users of other domains: what they send to yours is refused.
bans-address = Address (user@domain)
