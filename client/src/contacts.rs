//! Contacts: whom of other domains this account accepts, who asks for it, and whom it has asked itself.
//!
//! Who writes first accepts: before a user of another domain is asked for anything, the own homeserver is told, so that
//! they can answer wherever they like. If they must accept this account first, that is remembered, and they are asked
//! again now and then: the notice that they have accepted only makes it faster.

use qpq_core::{Address, ErrorCode, Millis};

use crate::{Client, ClientError, error::Refusal, session::ContactRequest};

/// When to ask again if the domain doesn't say.
const AGAIN: Millis = Millis::from_secs(600);

impl Client {
    /// Who asks to be accepted by this account, the oldest first.
    pub async fn requests(&self) -> Result<Vec<ContactRequest>, ClientError> {
        self.connect().await?;
        self.session()?.contact_requests().await
    }

    /// Accepts a user of another domain; says whether they had asked.
    pub async fn accept_request(&self, address: &Address) -> Result<bool, ClientError> {
        self.not_me(address)?;
        self.connect().await?;
        let asked = self.session()?.contacts_accept(std::slice::from_ref(address)).await?;
        Ok(asked.contains(address))
    }

    /// Declines a user of another domain, or takes an earlier acceptance back. They are not told.
    pub async fn decline_request(&self, address: &Address) -> Result<(), ClientError> {
        self.not_me(address)?;
        self.connect().await?;
        self.session()?.contact_decline(address).await
    }

    /// Who has accepted this account since they were asked, until [`Client::mark_accepted_told`].
    pub async fn accepted(&self) -> Result<Vec<Address>, ClientError> {
        let mut tx = self.inner.store.begin().await?;
        Ok(tx.accepted().await?.into_iter().map(|contact| contact.address).collect())
    }

    /// The user knows that they have accepted.
    pub async fn mark_accepted_told(&self, address: &Address) -> Result<(), ClientError> {
        let mut tx = self.inner.store.begin().await?;
        tx.forget_requested(address).await?;
        Ok(tx.commit().await?)
    }

    /// Before these users are asked for anything: they may ask back.
    pub(crate) async fn accept_contacts(&self, users: &[Address]) -> Result<(), ClientError> {
        let me = self.me()?;
        let own = me.address().domain();
        let others: Vec<Address> = users.iter().filter(|user| user.domain() != own).cloned().collect();
        if !others.is_empty() {
            self.session()?.contacts_accept(&others).await?;
        }
        Ok(())
    }

    /// These users have to accept this account first.
    pub(crate) async fn note_requested(
        &self,
        users: &[Address],
        refusal: &Refusal,
    ) -> Result<ClientError, ClientError> {
        let now = self.now();
        let again = now.after(refusal.retry_after.unwrap_or(AGAIN));
        let mut tx = self.inner.store.begin().await?;
        for user in users {
            tx.note_requested(user, now, again).await?;
        }
        tx.commit().await?;
        Ok(ClientError::Requested { users: users.to_vec() })
    }

    /// Why a user of another domain is not told about: noted if they have to accept first.
    pub(crate) async fn not_told(
        &self,
        user: &Address,
        refusal: Refusal,
    ) -> Result<ClientError, ClientError> {
        if refusal.is(ErrorCode::Requested) {
            return self.note_requested(std::slice::from_ref(user), &refusal).await;
        }
        Ok(ClientError::User { address: user.clone(), refusal })
    }

    /// A conversation with this user could be made, so they have accepted if they had to.
    pub(crate) async fn has_accepted(&self, user: &Address) -> Result<(), ClientError> {
        let mut tx = self.inner.store.begin().await?;
        tx.note_accepted(user, self.now()).await?;
        Ok(tx.commit().await?)
    }

    fn not_me(&self, address: &Address) -> Result<(), ClientError> {
        if *address == self.address()? {
            return Err(ClientError::Yourself { address: address.clone() });
        }
        Ok(())
    }
}
