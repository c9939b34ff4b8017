//! Constants of quantization: types, numbers, weights made float.

use secateur_diag::{Code, Diagnostic, Result};
use tract_onnx::pb::{NodeProto, TensorProto};

/// The least and the greatest number of a quantized type.
#[derive(Clone, Copy)]
pub(crate) struct Grid {
    pub least: f32,
    pub most: f32,
}

/// By ONNX's code of the element type; `None` for types that are no grid of small integers.
pub(crate) fn grid(code: i32) -> Option<Grid> {
    let (bits, signed): (u32, bool) = match code {
        2 => (8, false),
        3 => (8, true),
        4 => (16, false),
        5 => (16, true),
        21 => (4, false),
        22 => (4, true),
        _ => return None,
    };
    let span = (1i32 << bits) as f32;
    let least = if signed { -span / 2.0 } else { 0.0 };
    Some(Grid { least, most: least + span - 1.0 })
}

/// An f32 tensor without a name.
pub(crate) fn values(dims: &[i64], values: &[f32]) -> TensorProto {
    let raw_data = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    TensorProto { dims: dims.to_vec(), data_type: 1, raw_data, ..Default::default() }
}

fn wrong(node: &NodeProto, title: &str) -> Box<Diagnostic> {
    let name = if node.name.is_empty() { node.output.first() } else { Some(&node.name) };
    let name = name.map_or("", String::as_str);
    Diagnostic::new(Code::S002, title).at("node", format!("{name:?} ({})", node.op_type))
}

fn count(t: &TensorProto) -> Option<usize> {
    t.dims.iter().try_fold(1usize, |n, &d| n.checked_mul(usize::try_from(d).ok()?))
}

fn floats(t: &TensorProto) -> Option<Vec<f32>> {
    let n = count(t).filter(|_| t.data_type == 1)?;
    let raw = t.raw_data.chunks_exact(4).map(|c| f32::from_le_bytes([c[0], c[1], c[2], c[3]]));
    let out: Vec<f32> = if t.raw_data.is_empty() { t.float_data.clone() } else { raw.collect() };
    (out.len() == n).then_some(out)
}

/// The elements of a small integer type, or of i32; `None` for data that are elsewhere or do not fit.
fn integers(t: &TensorProto) -> Option<Vec<i32>> {
    let n = count(t)?;
    let nibble = |b: u8, signed: bool| match signed && b > 7 {
        true => i32::from(b) - 16,
        false => i32::from(b),
    };
    let nibbles = |bytes: &[u8]| -> Vec<i32> {
        let both = bytes.iter().flat_map(|b| [b & 15, b >> 4]);
        both.map(|b| nibble(b, t.data_type == 22)).take(n).collect()
    };
    let raw = &t.raw_data;
    let out = match (t.data_type, raw.is_empty()) {
        (21 | 22, false) => nibbles(raw),
        (21 | 22, true) => nibbles(&t.int32_data.iter().map(|&v| v as u8).collect::<Vec<_>>()),
        (_, true) => t.int32_data.clone(),
        (2, false) => raw.iter().map(|&b| b.into()).collect(),
        (3, false) => raw.iter().map(|&b| i32::from(b as i8)).collect(),
        (4, false) => raw.chunks_exact(2).map(|c| u16::from_le_bytes([c[0], c[1]]).into()).collect(),
        (5, false) => raw.chunks_exact(2).map(|c| i16::from_le_bytes([c[0], c[1]]).into()).collect(),
        (6, false) => raw.chunks_exact(4).map(|c| i32::from_le_bytes([c[0], c[1], c[2], c[3]])).collect(),
        _ => return None,
    };
    (out.len() == n).then_some(out)
}

fn scales(node: &NodeProto, scale: &TensorProto) -> Result<Option<Vec<f32>>> {
    let Some(s) = floats(scale) else { return Ok(None) };
    match s.iter().all(|s| *s > 0.0 && s.is_finite()) {
        true => Ok(Some(s)),
        false => Err(wrong(node, "a scale must be positive and finite").at("tensor", scale.name.clone())),
    }
}

/// Scale and zero point where each is one number.
///
/// # Errors
/// `S002` for a scale that is not positive and finite.
pub(crate) fn scalar(
    node: &NodeProto,
    scale: &TensorProto,
    zero: Option<&TensorProto>,
) -> Result<Option<(f32, f32)>> {
    let Some(s) = scales(node, scale)? else { return Ok(None) };
    let z = match zero.map(integers) {
        None => vec![0],
        Some(Some(z)) => z,
        Some(None) => return Ok(None),
    };
    Ok((s.len() == 1 && z.len() == 1).then(|| (s[0], z[0] as f32)))
}

/// A weight as f32: `(q - z) * s`, with one scale for all, for each element of `axis`, or for each block of it.
/// `None` where the data are not at hand or of another type.
///
/// # Errors
/// `S002` where scale or zero point do not fit the weight.
pub(crate) fn dequantize(
    node: &NodeProto,
    weight: &TensorProto,
    scale: &TensorProto,
    zero: Option<&TensorProto>,
) -> Result<Option<TensorProto>> {
    let (Some(q), Some(s)) = (integers(weight), scales(node, scale)?) else { return Ok(None) };
    let z = match zero.map(integers) {
        None => None,
        Some(Some(z)) => Some(z),
        Some(None) => return Ok(None),
    };
    let attribute =
        |name: &str, default| node.attribute.iter().find(|a| a.name == name).map_or(default, |a| a.i);
    let rank = weight.dims.len() as i64;
    let fits = |ok: bool, title: &str| match ok {
        true => Ok(()),
        false => Err(wrong(node, title).at("tensor", weight.name.clone())),
    };
    fits(z.as_ref().is_none_or(|z| z.len() == s.len()), "scale and zero point differ in number")?;
    let at: Box<dyn Fn(usize) -> usize> = if s.len() == 1 {
        Box::new(|_| 0)
    } else {
        let axis = attribute("axis", 1);
        let axis = if axis < 0 { axis + rank } else { axis };
        fits((0..rank).contains(&axis), "the axis of quantization is out of range")?;
        let axis = axis as usize;
        let length = weight.dims[axis].max(1) as usize;
        let inner = weight.dims[axis + 1..].iter().product::<i64>().max(1) as usize;
        match attribute("block_size", 0) {
            0 => {
                fits(s.len() == length, "there must be one scale for each element of the axis")?;
                Box::new(move |i| i / inner % length)
            }
            block => {
                fits(block > 0, "the size of a block must be positive")?;
                let block = block as usize;
                let blocks = length.div_ceil(block);
                let mut dims = weight.dims.clone();
                dims[axis] = blocks as i64;
                fits(scale.dims == dims, "there must be one scale for each block")?;
                Box::new(move |i| {
                    let (outer, k, rest) = (i / (inner * length), i / inner % length, i % inner);
                    (outer * blocks + k / block) * inner + rest
                })
            }
        }
    };
    let one = |(i, &q): (usize, &i32)| {
        let k = at(i);
        // Biases are wider than f32: the difference is taken in integers first.
        q.wrapping_sub(z.as_ref().map_or(0, |z| z[k])) as f32 * s[k]
    };
    let floats: Vec<f32> = q.iter().enumerate().map(one).collect();
    Ok(Some(values(&weight.dims, &floats)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_and_nibbles() {
        // [2, 4] of i4 in blocks of two along axis 1: 1 -2 | 3 -4 // 5 -6 | 7 -8.
        let packed = vec![0xe1, 0xc3, 0xa5, 0x87];
        let w = TensorProto { dims: vec![2, 4], data_type: 22, raw_data: packed, ..Default::default() };
        let s = values(&[2, 2], &[1.0, 10.0, 0.5, 2.0]);
        let attribute = |name: &str, i| tract_onnx::pb::AttributeProto {
            name: name.into(),
            i,
            r#type: 2,
            ..Default::default()
        };
        let node = NodeProto {
            attribute: vec![attribute("axis", 1), attribute("block_size", 2)],
            ..Default::default()
        };
        let out = dequantize(&node, &w, &s, None).unwrap().unwrap();
        assert_eq!(floats(&out).unwrap(), [1.0, -2.0, 30.0, -40.0, 2.5, -3.0, 14.0, -16.0]);
        let one = values(&[2], &[1.0, 2.0]);
        assert!(dequantize(&node, &w, &one, None).is_err());
        assert!(scalar(&node, &values(&[], &[0.0]), None).is_err());
    }
}
