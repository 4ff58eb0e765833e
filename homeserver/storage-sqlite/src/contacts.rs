//! Contacts: which users of other domains an account has accepted or declined, and who waits for an answer.

use async_trait::async_trait;
use qpq_core::{AccountId, Address, Timestamp};
use qpq_storage::{Ask, AskNoted, Contact, ContactRequest, ContactsRead, ContactsWrite, Crowd, Stored};

use crate::{
    fields::{Fields, each, one},
    transaction::{Statement, Transaction, size, sql, time},
};

/// `contacts.state` of each state.
const REQUESTED: i64 = 0;
const ACCEPTED: i64 = 1;
const DECLINED: i64 = 2;

fn contact(row: Fields<'_>) -> Stored<Contact> {
    Ok(match row.int("state")? {
        REQUESTED => Contact::Requested { since: row.time("since")?, until: row.time("until")? },
        ACCEPTED => Contact::Accepted { since: row.time("since")? },
        DECLINED => Contact::Declined { until: row.time("until")? },
        other => return Err(row.corrupt("state", &other)),
    })
}

impl Transaction {
    async fn count(&mut self, what: &'static str, query: Statement) -> Stored<u64> {
        let row = self.row(what, query).await?;
        Ok(one("contacts", row.as_ref(), |row| row.number("count"))?.unwrap_or(0))
    }
}

#[async_trait]
impl ContactsRead for Transaction {
    async fn contact(&mut self, account: &AccountId, other: &Address) -> Stored<Option<Contact>> {
        let query = sql("SELECT state, since, until FROM contacts WHERE account = ? AND other = ?")
            .bind(account.as_bytes().to_vec())
            .bind(other.to_string());
        let row = self.row("contact", query).await?;
        one("contacts", row.as_ref(), contact)
    }

    async fn contact_requests(
        &mut self,
        account: &AccountId,
        now: Timestamp,
        limit: usize,
    ) -> Stored<Vec<ContactRequest>> {
        let query = sql("SELECT other, since FROM contacts WHERE state = 0 AND account = ? AND until > ?
                         ORDER BY since, other LIMIT ?")
        .bind(account.as_bytes().to_vec())
        .bind(time(now))
        .bind(size(limit));
        each("contacts", &self.rows("contact_requests", query).await?, |row| {
            Ok(ContactRequest { from: row.parsed("other")?, since: row.time("since")? })
        })
    }

    async fn contact_crowd(
        &mut self,
        account: &AccountId,
        requester: &Address,
        now: Timestamp,
    ) -> Stored<Crowd> {
        let what = "contact_crowd";
        let target =
            sql("SELECT COUNT(*) AS count FROM contacts WHERE state = 0 AND account = ? AND until > ?")
                .bind(account.as_bytes().to_vec())
                .bind(time(now));
        let own = sql("SELECT COUNT(*) AS count FROM contacts WHERE state = 0 AND other = ? AND until > ?")
            .bind(requester.to_string())
            .bind(time(now));
        let domain =
            sql("SELECT COUNT(*) AS count FROM contacts WHERE state = 0 AND domain = ? AND until > ?")
                .bind(requester.domain().to_string())
                .bind(time(now));
        Ok(Crowd {
            of_target: self.count(what, target).await?,
            of_requester: self.count(what, own).await?,
            of_domain: self.count(what, domain).await?,
        })
    }

    async fn contacts_held(&mut self, account: &AccountId) -> Stored<u64> {
        let query = sql("SELECT COUNT(*) AS count FROM contacts WHERE account = ? AND state <> 0")
            .bind(account.as_bytes().to_vec());
        self.count("contacts_held", query).await
    }
}

#[async_trait]
impl ContactsWrite for Transaction {
    async fn contact_ask(&mut self, ask: &Ask<'_>) -> Stored<AskNoted> {
        let what = "contact_ask";
        let known = sql("SELECT 1 FROM contact_asks WHERE requester = ? AND target = ? AND until > ?")
            .bind(ask.requester.to_string())
            .bind(ask.target.to_string())
            .bind(time(ask.now));
        if self.row(what, known).await?.is_some() {
            return Ok(AskNoted::Repeated);
        }
        let own = sql("SELECT COUNT(*) AS count FROM contact_asks WHERE requester = ? AND until > ?")
            .bind(ask.requester.to_string())
            .bind(time(ask.now));
        let domain = sql("SELECT COUNT(*) AS count FROM contact_asks WHERE domain = ? AND until > ?")
            .bind(ask.requester.domain().to_string())
            .bind(time(ask.now));
        if self.count(what, own).await? >= ask.per_requester
            || self.count(what, domain).await? >= ask.per_domain
        {
            return Ok(AskNoted::TooMany);
        }
        let note = sql("REPLACE INTO contact_asks (requester, target, domain, until) VALUES (?, ?, ?, ?)")
            .bind(ask.requester.to_string())
            .bind(ask.target.to_string())
            .bind(ask.requester.domain().to_string())
            .bind(time(ask.until));
        self.run(what, note).await?;
        Ok(AskNoted::New)
    }

    async fn contact_store(&mut self, account: &AccountId, other: &Address, contact: &Contact) -> Stored<()> {
        let (state, since) = match contact {
            Contact::Requested { since, .. } => (REQUESTED, Some(*since)),
            Contact::Accepted { since } => (ACCEPTED, Some(*since)),
            Contact::Declined { .. } => (DECLINED, None),
        };
        let replace = sql("REPLACE INTO contacts (account, other, domain, state, since, until)
                           VALUES (?, ?, ?, ?, ?, ?)")
        .bind(account.as_bytes().to_vec())
        .bind(other.to_string())
        .bind(other.domain().to_string())
        .bind(state)
        .bind(since.map(time))
        .bind(contact.ends().map(time));
        self.run("contact_store", replace).await.map(drop)
    }

    async fn contacts_expire(&mut self, now: Timestamp) -> Stored<u64> {
        let what = "contacts_expire";
        let contacts = sql("DELETE FROM contacts WHERE until IS NOT NULL AND until <= ?").bind(time(now));
        let asks = sql("DELETE FROM contact_asks WHERE until <= ?").bind(time(now));
        Ok(self.run_job(what, contacts).await?.saturating_add(self.run_job(what, asks).await?))
    }
}
