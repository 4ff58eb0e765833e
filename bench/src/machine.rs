//! What the machine itself can do, beside which the product's figures are read: flushes, group commits, a QUIC echo.

pub(crate) mod commit;
pub(crate) mod echo;
pub(crate) mod flush;
