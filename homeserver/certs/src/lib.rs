//! Certificates from elsewhere, and their rotation.
//!
//! Empty until the appliance issue. What will live here: a pure `RotationPlan` (issue, switch, retire: always one valid
//! certificate), ACME, and bring-your-own. The internal CA that `init` makes, which is all that peering and clients
//! need, is in `qpq-transport`.
