admins-title = Admins
admins-lead = Who may use this console.
admins-empty = No admins.
admins-empty-hint = The setup link that the server printed makes the first one.
admins-you = You
admins-factors = Factors
admins-passkeys = { $n ->
     [one] 1 passkey
    *[other] { $shown } passkeys
}
admins-password = password
admins-totp = one-time codes
admins-codes = Recovery codes left
admins-last = Last sign-in
admins-name = Name
admins-role = Role
admins-role-do = Change the role
admins-change-one = Change { $name }
admins-recover = Make a recovery link
admins-recover-hint = A link to set new factors, shown once.
admins-remove = Remove
admins-add = Add an admin
admins-add-hint = Makes a link, shown once, with which the new admin sets their factors.
admins-add-do = Add
role-owner = Owner
role-operator = Operator
role-auditor = Auditor
admin-sessions-title = Console sessions
admin-sessions-empty = No sessions.
admin-sessions-empty-hint = A session begins when an admin signs in.
