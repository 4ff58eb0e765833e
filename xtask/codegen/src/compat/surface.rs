//! What other programs rely on: one line per type, field, method and enumerant of a set of schemas.

use std::collections::BTreeMap;

use anyhow::Context as _;
use capnp::message::ReaderOptions;
use capnp::schema_capnp::{code_generator_request, field, node, type_};

/// Element (`client.capnp:Session method @3`) to what must stay (`upload(…) -> (…)`).
#[derive(Debug)]
pub(crate) struct Surface(BTreeMap<String, String>);

impl Surface {
    /// Reads the compiler's description of the schemas.
    pub(crate) fn read(mut request: &[u8]) -> anyhow::Result<Self> {
        let mut options = ReaderOptions::new();
        // Our own compiler's output: the default limits are for strangers.
        options.traversal_limit_in_words(None);
        let message = capnp::serialize::read_message(&mut request, options)
            .context("could not read the compiler's output")?;
        let nodes = message.get_root::<code_generator_request::Reader<'_>>()?.get_nodes()?;
        let mut names = Names::default();
        for node in nodes {
            names.0.insert(node.get_id(), node.get_display_name()?.to_string()?);
        }
        let mut surface = Self(BTreeMap::new());
        for node in nodes {
            let name = node.get_display_name()?.to_string()?;
            // The standard schemas are not ours to promise.
            if !name.trim_start_matches('/').starts_with("capnp/") {
                surface.add_node(&names, &name, node)?;
            }
        }
        Ok(surface)
    }

    /// How many elements there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// One sentence per element of `before` that is gone or different here.
    pub(crate) fn breaks(&self, before: &Self) -> Vec<String> {
        before
            .0
            .iter()
            .filter_map(|(element, was)| match self.0.get(element) {
                None => Some(format!("removed: {element} `{was}`")),
                Some(is) if is != was => Some(format!("changed: {element} was `{was}`, is `{is}`")),
                Some(_) => None,
            })
            .collect()
    }

    fn add_node(&mut self, names: &Names, name: &str, node: node::Reader<'_>) -> anyhow::Result<()> {
        let kind = match node.which()? {
            node::Which::File(()) => "file",
            node::Which::Struct(structure) => {
                for field in structure.get_fields()? {
                    self.add_field(names, name, field)?;
                }
                if structure.get_is_group() { "group" } else { "struct" }
            }
            node::Which::Enum(enumeration) => {
                for (ordinal, enumerant) in (0_u16..).zip(enumeration.get_enumerants()?) {
                    let text = enumerant.get_name()?.to_string()?;
                    self.0.insert(format!("{name} enumerant @{ordinal}"), text);
                }
                "enum"
            }
            node::Which::Interface(interface) => {
                for parent in interface.get_superclasses()? {
                    let parent = names.of(parent.get_id());
                    self.0.insert(format!("{name} extends {parent}"), String::new());
                }
                for (ordinal, method) in (0_u16..).zip(interface.get_methods()?) {
                    let text = format!(
                        "{}({}) -> ({})",
                        method.get_name()?.to_str()?,
                        names.of(method.get_param_struct_type()),
                        names.of(method.get_result_struct_type()),
                    );
                    self.0.insert(format!("{name} method @{ordinal}"), text);
                }
                "interface"
            }
            node::Which::Const(constant) => {
                let text = format!("{} = {:?}", names.text(constant.get_type()?)?, constant.get_value()?);
                self.0.insert(format!("{name} value"), text);
                "const"
            }
            node::Which::Annotation(_) => "annotation",
        };
        // Parameter lists have no id that an author chose; a new field may move the derived one only with its method.
        self.0.insert(name.to_owned(), format!("{kind} @{:#018x}", node.get_id()));
        Ok(())
    }

    fn add_field(&mut self, names: &Names, owner: &str, field: field::Reader<'_>) -> anyhow::Result<()> {
        let name = field.get_name()?.to_string()?;
        let element = match field.get_ordinal().which()? {
            field::ordinal::Which::Explicit(ordinal) => format!("{owner} field @{ordinal}"),
            // A group has no ordinal, its name is what identifies it.
            field::ordinal::Which::Implicit(()) => format!("{owner} group {name}"),
        };
        let place = match field.which()? {
            field::Which::Slot(slot) => format!(
                "{} at {} default {:?}",
                names.text(slot.get_type()?)?,
                slot.get_offset(),
                slot.get_default_value()?
            ),
            field::Which::Group(group) => format!("group {}", names.of(group.get_type_id())),
        };
        let union = match field.get_discriminant_value() {
            field::NO_DISCRIMINANT => String::new(),
            discriminant => format!(" in the union as {discriminant}"),
        };
        self.0.insert(element, format!("{name} :{place}{union}"));
        Ok(())
    }
}

#[derive(Default)]
struct Names(BTreeMap<u64, String>);

impl Names {
    fn of(&self, id: u64) -> String {
        self.0.get(&id).cloned().unwrap_or_else(|| format!("@{id:#018x}"))
    }

    fn text(&self, reader: type_::Reader<'_>) -> anyhow::Result<String> {
        Ok(match reader.which()? {
            type_::Which::Void(()) => "Void".to_owned(),
            type_::Which::Bool(()) => "Bool".to_owned(),
            type_::Which::Int8(()) => "Int8".to_owned(),
            type_::Which::Int16(()) => "Int16".to_owned(),
            type_::Which::Int32(()) => "Int32".to_owned(),
            type_::Which::Int64(()) => "Int64".to_owned(),
            type_::Which::Uint8(()) => "UInt8".to_owned(),
            type_::Which::Uint16(()) => "UInt16".to_owned(),
            type_::Which::Uint32(()) => "UInt32".to_owned(),
            type_::Which::Uint64(()) => "UInt64".to_owned(),
            type_::Which::Float32(()) => "Float32".to_owned(),
            type_::Which::Float64(()) => "Float64".to_owned(),
            type_::Which::Text(()) => "Text".to_owned(),
            type_::Which::Data(()) => "Data".to_owned(),
            type_::Which::List(list) => format!("List({})", self.text(list.get_element_type()?)?),
            type_::Which::Enum(enumeration) => self.of(enumeration.get_type_id()),
            type_::Which::Struct(structure) => self.of(structure.get_type_id()),
            type_::Which::Interface(interface) => self.of(interface.get_type_id()),
            type_::Which::AnyPointer(_) => "AnyPointer".to_owned(),
        })
    }
}
