//! Typed access to a node's attributes.

use secateur_diag::{Code, Result, diag};
use secateur_onnx::proto::{AttributeProto, attribute_proto::AttributeType};

use crate::graph::Node;

fn wrong(name: &str, want: &str) -> Box<secateur_diag::Diagnostic> {
    diag(Code::S002, format!("attribute {name} must be {want}")).at("attr", name)
}

impl Node {
    /// The attribute's message.
    pub fn attr(&self, name: &str) -> Option<&AttributeProto> {
        self.proto.attribute.iter().find(|a| a.name() == name)
    }

    fn typed(&self, name: &str, ty: AttributeType, want: &str) -> Result<Option<&AttributeProto>> {
        match self.attr(name) {
            // Files from before IR version 2 leave the type out.
            Some(a) if a.r#type.is_none() || a.r#type == Some(ty as i32) => Ok(Some(a)),
            Some(_) => Err(wrong(name, want)),
            None => Ok(None),
        }
    }

    /// An integer, `None` where it is left out; [`Code::S002`] where it has another type.
    pub fn int(&self, name: &str) -> Result<Option<i64>> {
        Ok(self.typed(name, AttributeType::Int, "an integer")?.map(|a| a.i()))
    }

    /// An integer with its default.
    pub fn int_or(&self, name: &str, default: i64) -> Result<i64> {
        Ok(self.int(name)?.unwrap_or(default))
    }

    /// A float, `None` where it is left out; [`Code::S002`] where it has another type.
    pub fn float(&self, name: &str) -> Result<Option<f32>> {
        Ok(self.typed(name, AttributeType::Float, "a float")?.map(|a| a.f()))
    }

    /// Integers, `None` where they are left out; [`Code::S002`] where it has another type.
    pub fn ints(&self, name: &str) -> Result<Option<&[i64]>> {
        Ok(self.typed(name, AttributeType::Ints, "a list of integers")?.map(|a| a.ints.as_slice()))
    }

    /// Text, `None` where it is left out; [`Code::S002`] where it has another type or is not UTF-8.
    pub fn string(&self, name: &str) -> Result<Option<&str>> {
        match self.typed(name, AttributeType::String, "text")? {
            Some(a) => std::str::from_utf8(a.s()).map(Some).map_err(|_| wrong(name, "text in UTF-8")),
            None => Ok(None),
        }
    }

    fn slot(&mut self, name: &str, ty: AttributeType) -> &mut AttributeProto {
        let at = match self.proto.attribute.iter().position(|a| a.name() == name) {
            Some(at) => at,
            None => {
                self.proto.attribute.push(AttributeProto { name: Some(name.into()), ..Default::default() });
                self.proto.attribute.len() - 1
            }
        };
        let a = &mut self.proto.attribute[at];
        a.r#type = Some(ty as i32);
        a
    }

    /// Sets or adds an integer.
    pub fn set_int(&mut self, name: &str, value: i64) {
        self.slot(name, AttributeType::Int).i = Some(value);
    }

    /// Sets or adds a float.
    pub fn set_float(&mut self, name: &str, value: f32) {
        self.slot(name, AttributeType::Float).f = Some(value);
    }

    /// Sets or adds a list of integers.
    pub fn set_ints(&mut self, name: &str, value: Vec<i64>) {
        self.slot(name, AttributeType::Ints).ints = value;
    }

    /// Sets or adds text.
    pub fn set_string(&mut self, name: &str, value: &str) {
        self.slot(name, AttributeType::String).s = Some(value.as_bytes().to_vec().into());
    }

    /// Takes an attribute away.
    pub fn remove_attr(&mut self, name: &str) {
        self.proto.attribute.retain(|a| a.name() != name);
    }

    /// An axis attribute or operand, counted from the front; [`Code::S002`] where it is out of range.
    pub fn axis_or(&self, name: &str, default: i64, rank: usize) -> Result<usize> {
        norm_axis(self.int_or(name, default)?, rank)
    }
}

/// An axis counted from the front; [`Code::S002`] where it is not in `-rank..rank`.
pub fn norm_axis(axis: i64, rank: usize) -> Result<usize> {
    let r = rank as i64;
    if (-r..r).contains(&axis) {
        Ok((if axis < 0 { axis + r } else { axis }) as usize)
    } else {
        Err(diag(Code::S002, format!("axis {axis} is out of range for rank {rank}")))
    }
}
