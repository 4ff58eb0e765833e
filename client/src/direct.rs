//! Conversations of two users: made when the first message goes out.
//!
//! Both may make one at the same time. Then both are read, and sending uses the one with the smaller group id, so
//! that the two agree without a word.

use qpq_core::{Address, GroupId};

use crate::{
    Client, ClientError,
    store::{GroupState, Tx},
};

impl Client {
    /// The conversation with a user that messages go to: the smallest group id of those with the user in it.
    pub(crate) async fn direct_group(
        &self,
        tx: &mut Tx<'_>,
        user: &Address,
    ) -> Result<Option<GroupId>, ClientError> {
        for record in tx.groups_with(user).await? {
            let joined = tx.members(&record.id).await?.iter().any(|member| member.device.user == *user);
            if record.state == GroupState::Active && joined {
                return Ok(Some(record.id));
            }
        }
        Ok(None)
    }

    /// Makes the conversation with a user, or goes on making it.
    pub(crate) async fn open_direct(&self, user: &Address) -> Result<(), ClientError> {
        let me = self.me()?;
        if user == me.address() {
            return Err(ClientError::Yourself { address: user.clone() });
        }
        let mut tx = self.inner.store.begin().await?;
        let begun = tx.groups_with(user).await?.into_iter().next();
        drop(tx);
        // Whom it is for is asked first: a group is not made for somebody who does not exist.
        let group = if let Some(record) = begun {
            if record.state == GroupState::Creating {
                self.offer_group(&record.id).await?;
            }
            record.id
        } else {
            self.accept_contacts(std::slice::from_ref(user)).await?;
            self.ask_whether_there_is(user).await?;
            self.make_group(None, Some(user)).await?
        };
        self.add_users(&group, &[user.clone(), me.address().clone()]).await?;
        self.has_accepted(user).await
    }

    async fn ask_whether_there_is(&self, user: &Address) -> Result<(), ClientError> {
        let asked = self.asking(std::slice::from_ref(user)).await?;
        let answers = self.session()?.resolve(std::slice::from_ref(user), None, asked.views()).await?;
        match answers.into_iter().next() {
            Some(Ok(keys)) => self.judge(&asked, &[(user.clone(), &keys)]).await,
            Some(Err(refusal)) => Err(self.not_told(user, refusal).await?),
            None => Err(ClientError::protocol("no answer about the user")),
        }
    }
}
