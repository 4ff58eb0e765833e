@0x968a769fd9d9c8cf;
# The admin socket (run/admin.sock, mode 0600, the peer's uid checked): every verb of the command line that
# acts on the running server. One method, because the verbs are one list that the console shares.

using import "common.capnp".Failure;

interface Admin {
  # The bootstrap capability of the admin socket.
  perform @0 (verb :Text, arguments :Text) -> (result :Text, failure :Failure);
  # Performs an action of the list in homeserver/service. `arguments` and `result` are JSON objects whose
  # fields the action documents. Failures: 100, 102, and the action's own.
}
