use proptest::prelude::*;
use qpq_core::{Millis, SeededEntropy};

use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_000);

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn invite(bound_to: Option<&str>) -> Invite {
    let terms = InviteTerms {
        inviter: "alpha.test".parse().unwrap(),
        address: "127.0.0.1:7444".parse().ok(),
        ca_pin: Pin::of_spki(b"ca"),
        bound_to: bound_to.map(|domain| domain.parse().unwrap()),
        expires_at: NOW.after(Millis(10)),
    };
    Invite::issue(terms, &key(1), &mut SeededEntropy::new(1))
}

fn statement(invite: &Invite) -> AcceptStatement {
    let address = "beta.test:7444".parse().ok();
    AcceptStatement::sign(invite, "beta.test".parse().unwrap(), address, vec![0x30, 1, 2], &key(2))
}

#[test]
fn a_token_says_what_it_was_made_of() {
    let made = invite(Some("beta.test"));
    let read: Invite = made.to_token().parse().unwrap();
    assert!(made.to_token().starts_with("qpqinvite1."));
    assert_eq!(read.terms(), made.terms());
    assert_eq!(read.to_bytes(), made.to_bytes());
    assert_eq!(read.secret_digest(), made.secret_digest());
    assert!(!format!("{made:?}").contains(&BASE64URL_NOPAD.encode(made.secret.expose())));
}

#[test]
fn a_token_and_its_answer_can_leave_the_address_to_dns() {
    let terms = InviteTerms { address: None, ..invite(Some("beta.test")).terms };
    let made = Invite::issue(terms, &key(1), &mut SeededEntropy::new(1));
    let read: Invite = made.to_token().parse().unwrap();
    assert_eq!(read.terms().address, None);
    let signed = AcceptStatement::sign(&read, "beta.test".parse().unwrap(), None, vec![0x30, 1, 2], &key(2));
    let read = AcceptStatement::from_bytes(&signed.to_bytes(), &"alpha.test".parse().unwrap()).unwrap();
    assert_eq!(read.address, None);
}

#[test]
fn a_token_counts_for_its_domain_until_it_expires() {
    let (alpha, beta, gamma) = ("alpha.test", "beta.test", "gamma.test");
    let check = |invite: &Invite, domain: &str, now| invite.check(&domain.parse().unwrap(), now);
    let bound = invite(Some(beta));
    assert_eq!(check(&bound, beta, NOW), Ok(()));
    assert_eq!(check(&bound, gamma, NOW), Err(InviteError::OtherDomain));
    assert_eq!(check(&invite(None), gamma, NOW), Ok(()));
    assert_eq!(check(&invite(None), alpha, NOW), Err(InviteError::OtherDomain), "nobody peers with itself");
    let late = NOW.after(Millis(11));
    assert_eq!(check(&bound, beta, late), Err(InviteError::Expired(NOW.after(Millis(10)))));
}

#[test]
fn what_is_no_token_is_refused_in_words() {
    for text in ["", "qpqinvite1.", "qpqinvite2.AAAA", "qpqinvite1.!!!", "hello"] {
        assert!(text.parse::<Invite>().is_err(), "{text:?} was accepted");
    }
    let long = format!("{PREFIX}{}", "A".repeat(1 << 20));
    assert!(matches!(long.parse::<Invite>(), Err(InviteError::Damaged(CodecError::TooLarge(_)))));
}

#[test]
fn a_statement_counts_only_at_its_inviter() {
    let invite = invite(None);
    let bytes = statement(&invite).to_bytes();
    let read = AcceptStatement::from_bytes(&bytes, &"alpha.test".parse().unwrap()).unwrap();
    assert_eq!(read.to_bytes(), bytes);
    assert_eq!(read.secret_digest(), invite.secret_digest());
    assert_eq!(
        AcceptStatement::from_bytes(&bytes, &"gamma.test".parse().unwrap()).map(|_| ()),
        Err(InviteError::OtherDomain)
    );
}

#[test]
fn a_receipt_is_the_inviters_for_this_statement() {
    let invite = invite(None);
    let statement = statement(&invite);
    let receipt = AcceptReceipt { acceptance: Acceptance::AwaitingConfirmation, ca_certificate: vec![1, 2] };
    let bytes = receipt.sign(&statement, &key(1));
    assert_eq!(bytes, receipt.sign(&statement, &key(1)), "a repeat gets the same answer");
    assert_eq!(AcceptReceipt::from_bytes(&bytes, &statement, &invite), Ok(receipt.clone()));
    let forged = receipt.sign(&statement, &key(3));
    assert_eq!(AcceptReceipt::from_bytes(&forged, &statement, &invite), Err(InviteError::Signature));
    let other = AcceptStatement { address: "beta.test:1".parse().ok(), ..statement };
    assert_eq!(AcceptReceipt::from_bytes(&bytes, &other, &invite), Err(InviteError::Signature));
}

proptest! {
    #[test]
    fn any_damaged_byte_is_refused(at: prop::sample::Index, flip in 1u8..) {
        let invite = invite(Some("beta.test"));
        let mut bytes = invite.to_bytes();
        let place = at.index(bytes.len());
        bytes[place] ^= flip;
        prop_assert!(Invite::from_bytes(&bytes).is_err());
        let mut bytes = statement(&invite).to_bytes();
        let place = at.index(bytes.len());
        bytes[place] ^= flip;
        prop_assert!(AcceptStatement::from_bytes(&bytes, &"alpha.test".parse().unwrap()).is_err());
    }

    #[test]
    fn garbage_is_refused_without_panic(bytes: Vec<u8>, text in "\\PC{0,80}") {
        prop_assert!(Invite::from_bytes(&bytes).is_err());
        prop_assert!(AcceptStatement::from_bytes(&bytes, &"alpha.test".parse().unwrap()).is_err());
        let invite = invite(None);
        prop_assert!(AcceptReceipt::from_bytes(&bytes, &statement(&invite), &invite).is_err());
        prop_assert!(text.parse::<Invite>().is_err());
    }
}
