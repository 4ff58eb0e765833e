//! `keys verify`: the number that two people compare, beside what the log proves of the other's keys.

use qpq_core::Address;

use crate::{Client, ClientError, KeyReport, SafetyNumber, identity::Identity};

/// What two people compare, and what is known without that.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct KeyComparison {
    /// The account's keys as `keys show` reports them.
    #[serde(flatten)]
    pub keys: KeyReport,
    /// Of this account and that one, by the key that is shown now.
    pub safety_number: SafetyNumber,
}

impl Client {
    /// Asks for the account's key now, and gives the safety number of both accounts. Of a changed key that nobody has accepted yet,
    /// it is the new one's: that is what there is to compare before it is accepted. Where it can't be asked for, or something is
    /// wrong with one's own key, there is no number: another one than the other side's would look like an attack.
    pub async fn keys_verify(&self, address: &Address) -> Result<KeyComparison, ClientError> {
        let me = self.me()?;
        if me.address() == address {
            return Err(ClientError::Yourself { address: address.clone() });
        }
        match self.ask_for(address).await {
            Ok(()) | Err(ClientError::IdentityChanged { .. }) => {}
            Err(error) => return Err(error),
        }
        self.may_send().await?;
        let keys = self.key_report(address).await?;
        let shown = keys.presented.ok_or_else(|| ClientError::protocol("no key is shown"))?;
        let ours = Identity::from_bytes(*me.account.identity.expose()).public();
        let safety_number = SafetyNumber::of((me.address(), &ours), (address, &shown));
        Ok(KeyComparison { keys, safety_number })
    }
}
