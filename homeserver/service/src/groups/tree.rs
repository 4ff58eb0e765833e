//! The ratchet tree that a joiner needs: of exactly the epoch that its Welcome opens.

use qpq_core::{DeviceAddress, Domain, ErrorCode, GroupId};

use super::{Groups, check_member, check_origin, member_at};
use crate::{Answered, GroupTree, Refusal, SessionHandle};

impl Groups {
    /// The tree for a device of ours that was welcomed; asked of the hub if that is another domain.
    pub async fn tree(&self, session: &SessionHandle, group: &GroupId, epoch: u64) -> Answered<GroupTree> {
        session.check(self.ground().now())?;
        let device = session.device();
        if self.is_hub_of(group) {
            return self.kept_tree(device, group, epoch).await;
        }
        let member = self.ground().read().await?.member(group, &device.device).await?;
        check_member(member.as_ref(), device)?;
        let deadline = self.ground().interactive_deadline();
        let tree = self.ground().peers().group_tree(group.hub(), device, group, epoch, deadline).await?;
        if tree.epoch == epoch {
            return Ok(tree);
        }
        Err(Refusal::new(
            ErrorCode::Internal,
            format!("`{}` answered with another epoch's tree", group.hub()),
        ))
    }

    /// The tree for a device of a peer.
    pub async fn tree_for_peer(
        &self,
        origin: &Domain,
        requester: &DeviceAddress,
        group: &GroupId,
        epoch: u64,
    ) -> Answered<GroupTree> {
        check_origin(origin, requester)?;
        self.kept_tree(requester, group, epoch).await
    }

    async fn kept_tree(&self, device: &DeviceAddress, group: &GroupId, epoch: u64) -> Answered<GroupTree> {
        let mut tx = self.ground().read().await?;
        check_member(member_at(tx.as_mut(), group, device).await?.as_ref(), device)?;
        match tx.group_tree(group, epoch).await? {
            Some(ratchet_tree) => Ok(GroupTree { epoch, ratchet_tree }),
            None => Err(Refusal::new(
                ErrorCode::NotFound,
                format!("the tree of epoch {epoch} is not kept any more"),
            )),
        }
    }
}
