//! Contacts: how a user of another domain stands with a user of ours who must accept them first.
//!
//! The rules are one table: what becomes of a contact when the other asks, and when our user answers. What the *other*
//! hears is none of it: whoever isn't accepted gets the same answer in every state, and for users who don't exist.

use qpq_core::{Timestamp, limits};

/// How a user of another domain stands with a user of ours. None at all is `Option::None`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contact {
    /// They asked, and nobody has answered.
    Requested {
        /// When they asked first.
        since: Timestamp,
        /// When the request is forgotten, unless they ask again.
        until: Timestamp,
    },
    /// Our user has accepted them.
    Accepted {
        /// Since when.
        since: Timestamp,
    },
    /// Our user has declined: they can't ask.
    Declined {
        /// Until then.
        until: Timestamp,
    },
}

/// How many requests wait already, each counted with those that have not been forgotten.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Crowd {
    /// For the one who is asked.
    pub of_target: u64,
    /// Of the one who asks.
    pub of_requester: u64,
    /// Of all users of the asking domain.
    pub of_domain: u64,
}

impl Crowd {
    /// Whether there is room for one more.
    const fn has_room(self) -> bool {
        self.of_target < limits::CONTACT_REQUESTS_PER_TARGET
            && self.of_requester < limits::CONTACT_REQUESTS_PER_REQUESTER
            && self.of_domain < limits::CONTACT_REQUESTS_PER_DOMAIN
    }
}

/// What asking leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// They were accepted: there is nothing to ask.
    Accepted,
    /// A new request, of which our user shall hear.
    New(Contact),
    /// A request that waits already, and from now on for longer.
    Again(Contact),
    /// They were declined, and not long ago.
    Declined,
    /// Too many wait already.
    Full,
}

/// Whether the other's domain must be told that they were accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tell {
    /// They had asked, so something of theirs may wait for it.
    Them,
    /// They know, or never asked.
    Nobody,
}

impl Contact {
    /// They ask.
    pub fn ask(known: Option<Self>, crowd: Crowd, now: Timestamp) -> Asked {
        let until = now.after(limits::CONTACT_REQUEST);
        match known {
            Some(Self::Accepted { .. }) => Asked::Accepted,
            Some(Self::Declined { until }) if now < until => Asked::Declined,
            Some(Self::Requested { since, until: waits }) if now < waits => {
                Asked::Again(Self::Requested { since, until: until.max(waits) })
            }
            Some(Self::Declined { .. } | Self::Requested { .. }) | None if crowd.has_room() => {
                Asked::New(Self::Requested { since: now, until })
            }
            Some(Self::Declined { .. } | Self::Requested { .. }) | None => Asked::Full,
        }
    }

    /// Our user accepts, or writes to them first. A request that was declined counts, and one whose time is over as long as
    /// it is still known: what its sender kept waits all the same.
    pub const fn accept(known: Option<Self>, now: Timestamp) -> (Self, Tell) {
        match known {
            Some(accepted @ Self::Accepted { .. }) => (accepted, Tell::Nobody),
            Some(Self::Requested { .. } | Self::Declined { .. }) => {
                (Self::Accepted { since: now }, Tell::Them)
            }
            None => (Self::Accepted { since: now }, Tell::Nobody),
        }
    }

    /// Our user declines a request or takes an acceptance back; `None`: there is nothing to decline.
    pub fn decline(known: Option<Self>, now: Timestamp) -> Option<Self> {
        known.map(|_| Self::Declined { until: now.after(limits::CONTACT_DECLINED) })
    }

    /// Whether they may see our user's keys.
    pub const fn is_accepted(self) -> bool {
        matches!(self, Self::Accepted { .. })
    }

    /// Whether our user should be asked for an answer.
    pub fn waits(self, now: Timestamp) -> bool {
        matches!(self, Self::Requested { until, .. } if now < until)
    }

    /// When it is forgotten; `None`: never.
    pub const fn ends(self) -> Option<Timestamp> {
        match self {
            Self::Accepted { .. } => None,
            Self::Requested { until, .. } | Self::Declined { until } => Some(until),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use qpq_core::Millis;

    use super::*;

    const EMPTY: Crowd = Crowd { of_target: 0, of_requester: 0, of_domain: 0 };

    fn at(day: u64) -> Timestamp {
        Timestamp::from_millis(Millis::from_days(day).0)
    }

    #[test]
    fn a_request_waits_for_a_month_after_it_was_last_asked() {
        let Asked::New(first) = Contact::ask(None, EMPTY, at(1)) else { panic!("no request") };
        assert!(first.waits(at(30)) && !first.waits(at(31)));
        let Asked::Again(second) = Contact::ask(Some(first), EMPTY, at(20)) else { panic!("not the same") };
        assert_eq!(second, Contact::Requested { since: at(1), until: at(50) });
        assert!(matches!(Contact::ask(Some(second), EMPTY, at(50)), Asked::New(_)));
    }

    #[test]
    fn who_was_declined_asks_in_vain_for_a_month_and_can_be_accepted_all_the_same() {
        let asked = Contact::Requested { since: at(1), until: at(31) };
        let declined = Contact::decline(Some(asked), at(2));
        assert_eq!(Contact::ask(declined, EMPTY, at(31)), Asked::Declined);
        assert!(matches!(Contact::ask(declined, EMPTY, at(32)), Asked::New(_)));
        assert_eq!(Contact::accept(declined, at(5)), (Contact::Accepted { since: at(5) }, Tell::Them));
        assert_eq!(Contact::decline(None, at(1)), None);
    }

    #[test]
    fn every_crowd_is_bounded() {
        for full in [
            Crowd { of_target: limits::CONTACT_REQUESTS_PER_TARGET, ..EMPTY },
            Crowd { of_requester: limits::CONTACT_REQUESTS_PER_REQUESTER, ..EMPTY },
            Crowd { of_domain: limits::CONTACT_REQUESTS_PER_DOMAIN, ..EMPTY },
        ] {
            assert_eq!(Contact::ask(None, full, at(1)), Asked::Full);
            let waiting = Contact::Requested { since: at(1), until: at(31) };
            assert!(matches!(Contact::ask(Some(waiting), full, at(2)), Asked::Again(_)), "it counts already");
        }
    }

    /// What can happen to a contact.
    #[derive(Clone, Copy, Debug)]
    enum Event {
        Ask(bool),
        Accept,
        Decline,
        /// The store forgets what is over.
        Sweep,
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            4 => any::<bool>().prop_map(Event::Ask),
            1 => Just(Event::Accept),
            1 => Just(Event::Decline),
            1 => Just(Event::Sweep),
        ]
    }

    proptest! {
        #[test]
        fn only_our_user_accepts_and_nobody_is_asked_within_a_month_of_declining(
            events in proptest::collection::vec((event(), 0_u64..20), 1..80),
        ) {
            let (mut contact, mut now): (Option<Contact>, u64) = (None, 100);
            let (mut accepted, mut declined_on, mut asked_since_told) = (false, None, false);
            for (event, days) in events {
                now += days;
                let before = contact;
                match event {
                    Event::Ask(crowded) => {
                        let of_target = if crowded { u64::MAX } else { 0 };
                        match Contact::ask(contact, Crowd { of_target, ..EMPTY }, at(now)) {
                            Asked::New(request) => {
                                prop_assert!(!crowded && before.is_none_or(|before| !before.waits(at(now))));
                                prop_assert!(declined_on.is_none_or(|day| now >= day + 30));
                                contact = Some(request);
                                asked_since_told = true;
                            }
                            Asked::Again(request) => {
                                prop_assert!(before.is_some_and(|before| before.waits(at(now))));
                                contact = Some(request);
                            }
                            Asked::Accepted => prop_assert!(accepted),
                            Asked::Declined => prop_assert!(declined_on.is_some_and(|day| now < day + 30)),
                            Asked::Full => prop_assert!(crowded),
                        }
                    }
                    Event::Accept => {
                        let (after, tell) = Contact::accept(contact, at(now));
                        prop_assert!(after.is_accepted());
                        // Nobody who waits is forgotten: whoever asked and is still known is told.
                        prop_assert!(tell == Tell::Them || !(asked_since_told && before.is_some_and(|b| b.waits(at(now)))));
                        (contact, accepted, declined_on, asked_since_told) = (Some(after), true, None, false);
                    }
                    Event::Decline => {
                        contact = Contact::decline(contact, at(now));
                        if contact.is_some() {
                            (accepted, declined_on) = (false, Some(now));
                        }
                    }
                    Event::Sweep => {
                        contact = contact.filter(|contact| contact.ends().is_none_or(|end| at(now) < end));
                    }
                }
                prop_assert_eq!(contact.is_some_and(Contact::is_accepted), accepted);
            }
        }
    }
}
