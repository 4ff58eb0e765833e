settings-title = Settings
settings-lead = What is effective now, and where each value comes from. Changes go into the configuration file.
settings-pending-n = { $n ->
     [one] 1 changed setting waits for a restart.
    *[other] { $shown } changed settings wait for a restart.
}
settings-empty = No settings.
settings-empty-hint = This homeserver runs without a configuration file.
settings-key = Setting
settings-value = Value
settings-origin = Origin
settings-save = Save
settings-save-one = Save { $name }
settings-pending = After a restart
settings-restart = Takes a restart
origin-default = Default
origin-file = File
origin-environment = Environment
origin-flag = Flag
origin-unset = Not set
