//! Contacts and asks.

use qpq_core::{AccountId, Address};

use super::{
    Failure, Outcome, Subject, conflicts,
    fixtures::{account, at, enrol, foreign_device},
    read, same, write,
};
use crate::{Ask, AskNoted, Contact, ContactRequest, Crowd};

const ALICE: AccountId = AccountId::from_bytes([1; 16]);
const BOB: AccountId = AccountId::from_bytes([2; 16]);

fn other(name: &str) -> Result<Address, Failure> {
    Ok(foreign_device(name, 9)?.user)
}

fn requested(since: u64, until: u64) -> Contact {
    Contact::Requested { since: at(since), until: at(until) }
}

async fn people(subject: &dyn Subject) -> Outcome {
    enrol(subject, "alice", 1).await?;
    enrol(subject, "bob", 2).await?;
    Ok(())
}

async fn stored(subject: &dyn Subject, contacts: &[(AccountId, &str, Contact)]) -> Outcome {
    let mut tx = write(subject).await?;
    for (account, name, contact) in contacts {
        tx.contact_store(account, &other(name)?, contact).await?;
    }
    Ok(tx.commit().await?)
}

/// Every state comes back, each in the place of the one before; nobody's contact is a contradiction.
pub async fn a_contact_reads_back(subject: &mut dyn Subject) -> Outcome {
    people(subject).await?;
    for contact in [
        requested(1, 9),
        Contact::Accepted { since: at(2) },
        Contact::Declined { until: at(7) },
        requested(3, 8),
    ] {
        stored(subject, &[(ALICE, "eve", contact)]).await?;
        subject.reopen().await?;
        let mut tx = read(subject).await?;
        same("the contact", tx.contact(&ALICE, &other("eve")?).await?, Some(contact))?;
        same("another's", tx.contact(&BOB, &other("eve")?).await?, None)?;
        same("with another", tx.contact(&ALICE, &other("mallory")?).await?, None)?;
    }
    let nobody = AccountId::from_bytes([7; 16]);
    let mut tx = write(subject).await?;
    conflicts("nobody's contact", tx.contact_store(&nobody, &other("eve")?, &requested(1, 2)).await)
}

/// The list is what waits now, the oldest first; answers are counted apart.
pub async fn requests_are_listed_while_they_wait(subject: &mut dyn Subject) -> Outcome {
    people(subject).await?;
    let contacts = [
        (ALICE, "young", requested(5, 20)),
        (ALICE, "old", requested(1, 20)),
        (ALICE, "over", requested(1, 10)),
        (ALICE, "friend", Contact::Accepted { since: at(1) }),
        (ALICE, "pest", Contact::Declined { until: at(20) }),
        (BOB, "old", requested(1, 20)),
    ];
    stored(subject, &contacts).await?;
    let mut tx = read(subject).await?;
    let waits = |name: &str, since| -> Result<ContactRequest, Failure> {
        Ok(ContactRequest { from: other(name)?, since: at(since) })
    };
    let both = vec![waits("old", 1)?, waits("young", 5)?];
    same("now", tx.contact_requests(&ALICE, at(10), 9).await?, both)?;
    same("a page", tx.contact_requests(&ALICE, at(10), 1).await?, vec![waits("old", 1)?])?;
    same("later", tx.contact_requests(&ALICE, at(20), 9).await?, vec![])?;
    same("answers", tx.contacts_held(&ALICE).await?, 2)
}

/// Crowds count what waits: for the target, of the requester, of its domain.
pub async fn crowds_are_counted(subject: &mut dyn Subject) -> Outcome {
    people(subject).await?;
    let contacts = [
        (ALICE, "eve", requested(1, 20)),
        (ALICE, "mallory", requested(1, 20)),
        (ALICE, "over", requested(1, 5)),
        (BOB, "eve", requested(1, 20)),
        (BOB, "friend", Contact::Accepted { since: at(1) }),
    ];
    stored(subject, &contacts).await?;
    let stranger: Address = "eve@gamma.test".parse()?;
    let mut tx = write(subject).await?;
    tx.contact_store(&ALICE, &stranger, &requested(1, 20)).await?;
    let crowd = Crowd { of_target: 3, of_requester: 2, of_domain: 3 };
    same("of eve for alice", tx.contact_crowd(&ALICE, &other("eve")?, at(5)).await?, crowd)?;
    let crowd = Crowd { of_target: 1, of_requester: 1, of_domain: 1 };
    same("of the stranger for bob", tx.contact_crowd(&BOB, &stranger, at(5)).await?, crowd)?;
    same("later", tx.contact_crowd(&ALICE, &stranger, at(20)).await?, Crowd::default())
}

/// A question counts once while it is remembered, whether its target exists or not; both bounds hold.
pub async fn asks_are_noted_once_and_bounded(subject: &mut dyn Subject) -> Outcome {
    people(subject).await?;
    let (eve, mallory) = (other("eve")?, other("mallory")?);
    let stranger: Address = "eve@gamma.test".parse()?;
    let targets: Vec<Address> = ["alice@alpha.test", "nobody@alpha.test", "bob@alpha.test"]
        .iter()
        .map(|address| address.parse())
        .collect::<Result<_, _>>()?;
    let [alice, nobody, bob] = targets.as_slice() else { return Ok(()) };
    let cases = [
        ("the first", &eve, alice, 1, AskNoted::New),
        ("a repeat", &eve, alice, 9, AskNoted::Repeated),
        ("for nobody", &eve, nobody, 2, AskNoted::New),
        ("a third", &eve, bob, 3, AskNoted::TooMany),
        ("a neighbour", &mallory, bob, 3, AskNoted::New),
        ("too many of the domain", &mallory, alice, 3, AskNoted::TooMany),
        ("another domain", &stranger, alice, 3, AskNoted::New),
        ("when one is forgotten", &eve, bob, 11, AskNoted::New),
    ];
    for (what, requester, target, now, expected) in cases {
        let ask =
            Ask { requester, target, now: at(now), until: at(now + 10), per_requester: 2, per_domain: 3 };
        let mut tx = write(subject).await?;
        same(what, tx.contact_ask(&ask).await?, expected)?;
        tx.commit().await?;
    }
    Ok(())
}

/// Requests, declines and asks go with their time; what was accepted stays.
pub async fn what_is_over_is_forgotten(subject: &mut dyn Subject) -> Outcome {
    people(subject).await?;
    let contacts = [
        (ALICE, "eve", requested(1, 10)),
        (ALICE, "pest", Contact::Declined { until: at(11) }),
        (ALICE, "friend", Contact::Accepted { since: at(1) }),
    ];
    stored(subject, &contacts).await?;
    let (eve, target) = (other("eve")?, "nobody@alpha.test".parse()?);
    let ask =
        Ask { requester: &eve, target: &target, now: at(1), until: at(10), per_requester: 1, per_domain: 1 };
    let mut tx = write(subject).await?;
    same("asked", tx.contact_ask(&ask).await?, AskNoted::New)?;
    same("early", tx.contacts_expire(at(9)).await?, 0)?;
    same("the request and the ask", tx.contacts_expire(at(10)).await?, 2)?;
    same("the decline", tx.contacts_expire(at(99)).await?, 1)?;
    same("gone", tx.contact(&ALICE, &other("pest")?).await?, None)?;
    same("kept", tx.contact(&ALICE, &other("friend")?).await?, Some(Contact::Accepted { since: at(1) }))
}

/// Contacts go with their account.
pub async fn deleting_an_account_takes_its_contacts(subject: &mut dyn Subject) -> Outcome {
    people(subject).await?;
    stored(subject, &[(ALICE, "eve", requested(1, 20)), (BOB, "eve", requested(1, 20))]).await?;
    let mut tx = write(subject).await?;
    tx.account_delete(&account("alice", 1)?.id).await?;
    same("gone", tx.contact(&ALICE, &other("eve")?).await?, None)?;
    same("kept", tx.contact(&BOB, &other("eve")?).await?, Some(requested(1, 20)))
}
