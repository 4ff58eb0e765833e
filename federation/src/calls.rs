//! The calls on a link, from values to values.

use std::time::Duration;

use qpq_core::{Address, DeviceAddress, GroupId};
use qpq_federation_proto::{Batch, SignedHeader, StreamAnswer, StreamId};
use qpq_schemas::{common_capnp::failure, federation_capnp::link};
use qpq_service::{
    ClaimedUser, CommitAnswer, CommitSubmit, GroupTree, UserAnswer, UserKeys, Views,
    relay::{self, NamedHead},
    wire::{
        bounded, length, read_claimed, read_commit_answer, read_failure, read_tree, read_user, unreadable,
        write_commit,
    },
};
use qpq_transparency_wire::write_views;

use crate::{
    link::{CallError, LinkHandle},
    link_server::HEADS,
    wire,
};

pub(crate) type Called<T> = Result<T, CallError>;

impl LinkHandle {
    /// Hands over rows.
    pub(crate) async fn relay(
        &self,
        deadline: Duration,
        header: SignedHeader,
        batches: Vec<Batch>,
    ) -> Called<Vec<(StreamId, StreamAnswer)>> {
        self.call("relayEnqueue", deadline, move |link, carried| async move {
            let mut request = link.relay_enqueue_request();
            let mut params = request.get();
            wire::write_header(&header, params.reborrow().init_header());
            wire::write_call(carried, params.reborrow().init_call());
            wire::write_batches(&batches, params.init_batches(length(batches.len())));
            drop(batches);
            let response = request.send().promise.await?;
            let results = response.get()?;
            refused(results.has_failure(), || results.get_failure())?;
            Ok(wire::read_answers(results.get_answers()?)?)
        })
        .await
    }

    /// The keys of its users.
    pub(crate) async fn resolve(
        &self,
        deadline: Duration,
        requester: Address,
        addresses: Vec<Address>,
        group: Option<GroupId>,
        views: Views,
    ) -> Called<Vec<UserAnswer>> {
        self.call("resolveUser", deadline, move |link, carried| async move {
            let mut request = link.resolve_user_request();
            let mut params = request.get();
            params.set_requester(requester.to_string());
            wire::write_call(carried, params.reborrow().init_call());
            if let Some(group) = &group {
                params.set_group(&group.to_bytes());
            }
            write_addresses(&addresses, params.reborrow().init_addresses(length(addresses.len())));
            write_views(&views, params.init_views(length(views.len())));
            let response = request.send().promise.await?;
            let results = response.get()?;
            refused(results.has_failure(), || results.get_failure())?;
            let users = results.get_users()?;
            bounded("users", users.len())?;
            let users = users.iter().map(read_user).collect::<Result<Vec<UserAnswer>, _>>()?;
            Ok(users.into_iter().map(|answer| answer.map(|keys| asked_for(&views, keys))).collect())
        })
        .await
    }

    /// KeyPackages of its users.
    pub(crate) async fn claim(
        &self,
        deadline: Duration,
        requester: Address,
        group: GroupId,
        nonce: [u8; 16],
        targets: Vec<Address>,
        views: Views,
    ) -> Called<Vec<ClaimedUser>> {
        self.call("proxyFetchKeyPackages", deadline, move |link, carried| async move {
            let mut request = link.proxy_fetch_key_packages_request();
            let mut params = request.get();
            params.set_requester(requester.to_string());
            wire::write_call(carried, params.reborrow().init_call());
            params.set_group(&group.to_bytes());
            params.set_nonce(&nonce);
            write_addresses(&targets, params.reborrow().init_targets(length(targets.len())));
            write_views(&views, params.init_views(length(views.len())));
            let response = request.send().promise.await?;
            let results = response.get()?;
            refused(results.has_failure(), || results.get_failure())?;
            let claimed = read_claimed(results.get_users()?)?;
            let asked = |(keys, packages)| (asked_for(&views, keys), packages);
            Ok(claimed.into_iter().map(|answer| answer.map(asked)).collect())
        })
        .await
    }

    /// Offers a commit to it as the hub.
    pub(crate) async fn commit(
        &self,
        deadline: Duration,
        sender: DeviceAddress,
        submit: CommitSubmit,
    ) -> Called<CommitAnswer> {
        self.call("groupCommit", deadline, move |link, carried| async move {
            let mut request = link.group_commit_request();
            let mut params = request.get();
            params.set_sender(sender.to_string());
            wire::write_call(carried, params.reborrow().init_call());
            write_commit(&submit, params.init_submit());
            let response = request.send().promise.await?;
            Ok(read_commit_answer(response.get()?.get_answer()?)?)
        })
        .await
    }

    /// Asks it as the hub for a tree.
    pub(crate) async fn tree(
        &self,
        deadline: Duration,
        requester: DeviceAddress,
        group: GroupId,
        epoch: u64,
    ) -> Called<GroupTree> {
        self.call("groupTree", deadline, move |link, carried| async move {
            let mut request = link.group_tree_request();
            let mut params = request.get();
            params.set_requester(requester.to_string());
            wire::write_call(carried, params.reborrow().init_call());
            params.set_group(&group.to_bytes());
            params.set_epoch(epoch);
            let response = request.send().promise.await?;
            let results = response.get()?;
            refused(results.has_failure(), || results.get_failure())?;
            Ok(read_tree(results.get_tree()?)?)
        })
        .await
    }

    /// A page of what it has applied of our streams.
    pub(crate) async fn heads_after(
        &self,
        deadline: Duration,
        after: Option<StreamId>,
    ) -> Called<Vec<NamedHead>> {
        self.call("streamHeads", deadline, move |link, _| async move {
            let mut request = link.stream_heads_request();
            let mut params = request.get();
            params.set_limit(u16::try_from(HEADS).unwrap_or(u16::MAX));
            if let Some(after) = &after {
                params.set_after(after.as_bytes());
            }
            let response = request.send().promise.await?;
            let results = response.get()?;
            refused(results.has_failure(), || results.get_failure())?;
            Ok(wire::read_heads(results.get_heads()?, HEADS)?)
        })
        .await
    }

    /// The headers that it holds of some of our streams.
    pub(crate) async fn evidence(
        &self,
        deadline: Duration,
        streams: Vec<StreamId>,
    ) -> Called<Vec<NamedHead>> {
        self.call("streamHeads", deadline, move |link, _| async move {
            let mut request = link.stream_heads_request();
            let mut named = request.get().init_named(length(streams.len()));
            for (index, stream) in (0..).zip(&streams) {
                named.set(index, stream.as_bytes());
            }
            let response = request.send().promise.await?;
            let results = response.get()?;
            refused(results.has_failure(), || results.get_failure())?;
            Ok(wire::read_heads(results.get_heads()?, relay::STREAMS_NAMED)?)
        })
        .await
    }

    /// Whether anybody is there.
    pub(crate) async fn answers(&self, deadline: Duration) -> bool {
        let asked = self.call("federationHealth", deadline, |link: link::Client, _| async move {
            link.federation_health_request().send().promise.await?;
            Ok(())
        });
        asked.await.is_ok()
    }
}

/// Without a proof that nobody asked for: it would be kept, and told on.
fn asked_for(views: &Views, keys: UserKeys) -> UserKeys {
    let lookup = keys.lookup.filter(|_| views.contains_key(&keys.address));
    UserKeys { lookup, ..keys }
}

/// What was answered instead of an answer.
pub(crate) fn refused<'a>(
    has: bool,
    failure: impl FnOnce() -> capnp::Result<failure::Reader<'a>>,
) -> Called<()> {
    if !has {
        return Ok(());
    }
    Err(CallError::Refused(read_failure(failure().map_err(unreadable)?)?))
}

fn write_addresses(addresses: &[Address], mut list: capnp::text_list::Builder<'_>) {
    for (index, address) in (0..).zip(addresses) {
        list.set(index, address.to_string());
    }
}
