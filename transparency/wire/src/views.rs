//! What an asker has verified of the logs of those that it asks for.

use std::collections::BTreeMap;

use capnp::struct_list;
use qpq_core::{Address, limits};
use qpq_schemas::transparency_capnp::log_view;
use qpq_transparency_tree::lookup::View;

use crate::{
    Field, WireError,
    bounds::ADDRESS_BYTES,
    field::{count, few, parsed},
};

/// How far an asker has verified, for each user that it asks for and knows something of.
pub type Views = BTreeMap<Address, View>;

/// The most that a version on the wire can be: 1 more than itself.
const HIGHEST: u64 = 1 << 32;

/// Writes views into a list of their number.
pub fn write_views(views: &Views, mut list: struct_list::Builder<'_, log_view::Owned>) {
    for (index, (address, view)) in (0..list.len()).zip(views) {
        let mut builder = list.reborrow().get(index);
        builder.set_address(address.to_string());
        builder.set_size(view.size);
        builder.set_config(written(view.config));
        builder.set_version(written(view.version));
    }
}

/// Reads views, at most as many as a call may have items, and of each user one.
pub fn read_views(list: struct_list::Reader<'_, log_view::Owned>) -> Result<Views, WireError> {
    few(Field::new("views"), count(list.len()), limits::BATCH_ITEMS)?;
    let mut views = Views::new();
    for reader in list {
        let field = Field::of("views", "address");
        let address = parsed(field, reader.get_address(), ADDRESS_BYTES)?;
        let view = View {
            size: reader.get_size(),
            config: read(Field::of("views", "config"), reader.get_config())?,
            version: read(Field::of("views", "version"), reader.get_version())?,
        };
        if views.insert(address, view).is_some() {
            return Err(WireError::Twice { field });
        }
    }
    Ok(views)
}

/// 1 + the version; 0 for none.
fn written(version: Option<u32>) -> u64 {
    version.map_or(0, |version| u64::from(version) + 1)
}

fn read(field: Field, found: u64) -> Result<Option<u32>, WireError> {
    let version = found.checked_sub(1).map(u32::try_from).transpose();
    version.map_err(|_| WireError::TooLarge { field, found, most: HIGHEST })
}
