//! Re-exports libsqlite3-sys 0.40 under the version range that sqlx 0.9 accepts.
//!
//! The newest libsqlite3-sys in sqlx' own range bundles an SQLite that can corrupt a WAL written by two
//! connections (fixed in SQLite 3.51.3); 0.40 bundles SQLCipher 4.20 on SQLite 3.54.1.

use std::{
    ffi::{c_int, c_void},
    ptr,
    sync::Once,
};

pub use real::*;

unsafe extern "C" {
    /// glibc: like `atexit`, and the handler gets the exit status.
    fn on_exit(handler: extern "C" fn(c_int, *mut c_void), argument: *mut c_void) -> c_int;
    /// Ends the process without running any handler.
    fn _exit(status: c_int) -> !;
    #[cfg(coverage)]
    fn __llvm_profile_write_file() -> c_int;
}

/// Lets a process end while connections are still open. To be called before the first database is opened.
///
/// SQLCipher and its OpenSSL free their state in exit handlers. sqlx has a thread for each connection; one that closes
/// or computes meanwhile crashes the process after all its work is done (seen: SIGSEGV, and so a wrong exit status).
/// Exit handlers run in reverse order of registration, so one that is registered after theirs, and ends the
/// process, comes before them. Nothing is lost: what was committed is durable, and the rest the kernel takes back.
pub fn leave_without_cleanup() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: `sqlite3_initialize` may be called at any time, from any thread; it registers SQLCipher's handler
        // now rather than with the first connection. `leave` is a plain function that needs no argument.
        unsafe {
            sqlite3_initialize();
            on_exit(leave, ptr::null_mut());
        }
    });
}

extern "C" fn leave(status: c_int, _: *mut c_void) {
    // SAFETY: neither takes anything from us, and the second does not return.
    unsafe {
        #[cfg(coverage)]
        __llvm_profile_write_file();
        _exit(status)
    }
}
