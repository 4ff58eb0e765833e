//! Both TCP listeners: `admin` (console, metrics, health) and `public` (log tiles, witness, ACME challenges).
//!
//! Empty until the appliance issue. The console is never mounted on `public`, which has no cookies and is off by
//! default; `admin` is on loopback by default. Today the program opens no TCP port at all.
