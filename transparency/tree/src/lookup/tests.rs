use qpq_core::Millis;

use super::*;
use crate::{
    config::DomainKey,
    sample::{Client, Person, SampleLog, device},
    vrf::VrfSecret,
};

mod honest;
mod lies;

const HOUR: Millis = FRESH;
const DAY: Millis = TOO_OLD;

fn keys(verified: &Verified) -> &AccountValue {
    match &verified.binding {
        Binding::Keys(value) => value,
        none @ (Binding::Absent | Binding::Closed) => panic!("no keys but {none:?}"),
    }
}
