//! Sorting a list of addresses by domain, asking all domains at once, and putting the answers back in order.

use std::collections::BTreeMap;

use futures::future::join_all;
use qpq_core::{Address, Domain, ErrorCode, limits};
use tokio::time::timeout;

use crate::{Answered, PeerCallError, Refusal};

/// What was asked of one domain, with each address's place in the list.
#[derive(Debug, Default)]
pub(crate) struct Share {
    pub(crate) places: Vec<usize>,
    pub(crate) addresses: Vec<Address>,
}

/// Each domain's share of a list.
pub(crate) fn shares(addresses: &[Address]) -> BTreeMap<Domain, Share> {
    let mut shares: BTreeMap<Domain, Share> = BTreeMap::new();
    for (place, address) in addresses.iter().enumerate() {
        let share = shares.entry(address.domain().clone()).or_default();
        share.places.push(place);
        share.addresses.push(address.clone());
    }
    shares
}

/// At most as many addresses as one call may name.
pub(crate) fn bounded(addresses: &[Address]) -> Answered<()> {
    if addresses.len() > limits::BATCH_ITEMS {
        let text = format!("{} addresses in one call, {} are allowed", addresses.len(), limits::BATCH_ITEMS);
        return Err(Refusal::new(ErrorCode::TooLarge, text));
    }
    Ok(())
}

/// An answer about one address, or why there is none.
pub(crate) type About<T> = Result<T, (Address, Refusal)>;

/// Asks every domain at once and puts the answers in the order asked. A domain that fails, is late, or answers about
/// others than it was asked fails its own addresses only.
pub(crate) async fn ask_all<T, F>(
    shares: BTreeMap<Domain, Share>,
    ask: impl Fn(Domain, Vec<Address>) -> F,
    whose: impl Fn(&T) -> &Address,
) -> Vec<About<T>>
where
    F: Future<Output = Result<Vec<About<T>>, PeerCallError>>,
{
    let asked = shares.into_iter().map(|(domain, share)| {
        // The deadline travels with the call; this one stands even if the way to the peer forgets it.
        let answer = timeout(limits::INTERACTIVE.to_duration(), ask(domain.clone(), share.addresses.clone()));
        async move { (domain, share, answer.await) }
    });
    let mut placed: BTreeMap<usize, About<T>> = BTreeMap::new();
    for (domain, share, answer) in join_all(asked).await {
        let answers = match answer {
            Ok(Ok(answers)) => Ok(answers),
            Ok(Err(error)) => Err(Refusal::from(error)),
            Err(_) => Err(Refusal::retry(
                ErrorCode::PeerUnreachable,
                format!("`{domain}` did not answer in time"),
                limits::INTERACTIVE,
            )),
        };
        let answers = answers.and_then(|answers| fitting(&domain, &share, answers, &whose));
        let answers = answers.unwrap_or_else(|refusal| {
            share.addresses.iter().map(|address| Err((address.clone(), refusal.clone()))).collect()
        });
        placed.extend(share.places.into_iter().zip(answers));
    }
    placed.into_values().collect()
}

/// A peer's list counts only if it speaks of exactly those that it was asked about, in that order.
fn fitting<T>(
    domain: &Domain,
    share: &Share,
    answers: Vec<About<T>>,
    whose: impl Fn(&T) -> &Address,
) -> Answered<Vec<About<T>>> {
    let named = |answer: &About<T>| match answer {
        Ok(answer) => whose(answer).clone(),
        Err((address, _)) => address.clone(),
    };
    if answers.iter().map(named).eq(share.addresses.iter().cloned()) {
        return Ok(answers);
    }
    Err(Refusal::new(
        ErrorCode::Internal,
        format!("`{domain}` answered about others than it was asked about"),
    ))
}
