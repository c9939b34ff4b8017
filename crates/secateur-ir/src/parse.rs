//! The parser of the printed form.

use secateur_diag::{Code, Diagnostic, Result, diag};
use secateur_onnx::ElemType;
use secateur_onnx::proto::{AttributeProto, attribute_proto::AttributeType};

use crate::dim::Dim;
use crate::graph::{Graph, Node, TensorType, ValueId};
use secateur_tensor::{Data, Tensor};

/// Reads a printed graph. Large tensors come back as their digests.
///
/// # Errors
/// [`Code::G004`] with line and column; [`Code::G003`] for a name defined twice.
pub fn graph(text: &str) -> Result<Graph> {
    let mut p = Parser { text, at: 0, graph: Graph::default() };
    p.graph_body().map_err(|e| {
        let before = &text[..p.at.min(text.len())];
        let line = before.matches('\n').count() + 1;
        let column = before.len() - before.rfind('\n').map_or(0, |n| n + 1) + 1;
        e.at("at", format!("line {line}, column {column}"))
    })?;
    Ok(p.graph)
}

/// Elements that `rand` makes at most, so that a short text never asks for much memory.
const MAX_RAND: usize = 1 << 20;

struct Parser<'a> {
    text: &'a str,
    at: usize,
    graph: Graph,
}

type Token = String;

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn space(&mut self) {
        loop {
            let trimmed = self.rest().trim_start();
            self.at = self.text.len() - trimmed.len();
            // A comment runs to the end of its line.
            match trimmed.strip_prefix("//") {
                Some(c) => self.at += 2 + c.find('\n').unwrap_or(c.len()),
                None => return,
            }
        }
    }

    fn fail(&self, want: &str) -> Box<Diagnostic> {
        let got: String = self.rest().chars().take(12).collect();
        diag(Code::G004, format!("expected {want}, found {got:?}"))
    }

    fn eat(&mut self, s: &str) -> bool {
        self.space();
        let found = self.rest().starts_with(s);
        if found {
            self.at += s.len();
        }
        found
    }

    fn want(&mut self, s: &str) -> Result<()> {
        if self.eat(s) { Ok(()) } else { Err(self.fail(&format!("`{s}`"))) }
    }

    /// A bare or quoted name.
    fn word(&mut self) -> Result<Token> {
        self.space();
        if self.rest().starts_with('"') {
            return self.quoted();
        }
        let len =
            self.rest().bytes().take_while(|b| b.is_ascii_alphanumeric() || b"_./:-?$".contains(b)).count();
        // `name:` before a type and `domain::Op` are not part of the name.
        let word = self.rest()[..len].trim_end_matches(':');
        if word.is_empty() {
            return Err(self.fail("a name"));
        }
        let word = word.to_owned();
        self.at += word.len();
        Ok(word)
    }

    /// Text in quotes, with the escapes of Rust's debug form.
    fn quoted(&mut self) -> Result<String> {
        self.want("\"")?;
        let mut out = String::new();
        let mut chars = self.text[self.at..].char_indices();
        while let Some((i, c)) = chars.next() {
            match c {
                '"' => {
                    self.at += i + 1;
                    return Ok(out);
                }
                '\\' => match chars.next().map(|(_, c)| c) {
                    Some('n') => out.push('\n'),
                    Some('t') => out.push('\t'),
                    Some('r') => out.push('\r'),
                    Some('0') => out.push('\0'),
                    Some('u') => {
                        let hex: String = chars.by_ref().map(|(_, c)| c).take_while(|c| *c != '}').collect();
                        let c = u32::from_str_radix(hex.trim_start_matches('{'), 16)
                            .ok()
                            .and_then(char::from_u32);
                        out.push(c.ok_or_else(|| self.fail("an escape"))?);
                    }
                    Some(c @ ('"' | '\\' | '\'')) => out.push(c),
                    _ => return Err(self.fail("an escape")),
                },
                c => out.push(c),
            }
        }
        Err(self.fail("a closing quote"))
    }

    fn number<T: std::str::FromStr>(&mut self, what: &str) -> Result<T> {
        self.space();
        let len = self.rest().bytes().take_while(|b| b.is_ascii_alphanumeric() || b"+-.".contains(b)).count();
        let value = self.rest()[..len].parse().map_err(|_| self.fail(what))?;
        self.at += len;
        Ok(value)
    }

    fn float(&mut self) -> Result<f32> {
        if self.eat("nan:") {
            self.space();
            let hex = self.rest().get(..8).and_then(|h| u32::from_str_radix(h, 16).ok());
            let bits = hex.ok_or_else(|| self.fail("eight hexadecimal digits"))?;
            self.at += 8;
            return Ok(f32::from_bits(bits));
        }
        self.number("a float")
    }

    fn digest(&mut self) -> Result<u64> {
        self.want("#")?;
        let hex = self.rest().get(..16).and_then(|h| u64::from_str_radix(h, 16).ok());
        let digest = hex.ok_or_else(|| self.fail("sixteen hexadecimal digits"))?;
        self.at += 16;
        Ok(digest)
    }

    /// Items with commas between them, up to `end`.
    fn list<T>(&mut self, end: &str, mut item: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let mut out = Vec::new();
        if self.eat(end) {
            return Ok(out);
        }
        loop {
            out.push(item(self)?);
            if self.eat(end) {
                return Ok(out);
            }
            self.want(",")?;
        }
    }

    fn dim(&mut self) -> Result<Dim> {
        let mut d = Dim::fixed(1);
        loop {
            self.space();
            let digit = self.rest().starts_with(|c: char| c.is_ascii_digit() || c == '-');
            let f =
                if digit { Dim::fixed(self.number::<i64>("a size")?) } else { Dim::symbol(&self.word()?) };
            d = d.mul(&f).ok_or_else(|| self.fail("a size that does not overflow"))?;
            if !self.eat("*") {
                return Ok(d);
            }
        }
    }

    fn ty(&mut self) -> Result<Option<TensorType>> {
        if self.eat("?") {
            return Ok(None);
        }
        let name = self.word()?;
        let elem = ElemType::from_name(&name).ok_or_else(|| self.fail("an element type"))?;
        self.want("[")?;
        if self.eat("..") {
            self.want("]")?;
            return Ok(Some(TensorType { elem, shape: None }));
        }
        let shape = self.list("]", Self::dim)?;
        Ok(Some(TensorType { elem, shape: Some(shape) }))
    }

    fn existing(&mut self) -> Result<ValueId> {
        if !self.eat("%") {
            self.want("@")?;
        }
        let name = self.word()?;
        self.graph.find(&name).ok_or_else(|| diag(Code::G002, format!("{name:?} has no source")))
    }

    fn graph_body(&mut self) -> Result<()> {
        self.want("graph")?;
        self.graph.name = self.word()?;
        self.want("opset")?;
        self.want("(")?;
        self.graph.opsets = self.list(")", |p| {
            let domain = p.word()?;
            p.want("=")?;
            Ok((domain, p.number("a version")?))
        })?;
        self.want("(")?;
        self.graph.inputs = self.list(")", |p| {
            if !p.eat("%") {
                p.want("@")?;
            }
            let name = p.word()?;
            p.want(":")?;
            let ty = p.ty()?;
            p.graph.add_value(&name, ty)
        })?;
        self.want("->")?;
        self.want("(")?;
        // Outputs are named before they are defined.
        let outputs = self.list(")", |p| {
            if !p.eat("%") {
                p.want("@")?;
            }
            p.word()
        })?;
        self.want("{")?;
        while !self.eat("}") {
            if self.rest().starts_with('@') { self.init()? } else { self.node()? }
        }
        self.space();
        if !self.rest().is_empty() {
            return Err(self.fail("the end"));
        }
        for name in outputs {
            let v =
                self.graph.find(&name).ok_or_else(|| diag(Code::G002, format!("{name:?} has no source")))?;
            self.graph.outputs.push(v);
        }
        Ok(())
    }

    fn init(&mut self) -> Result<()> {
        self.want("@")?;
        let name = self.word()?;
        self.want(":")?;
        let Some(TensorType { elem, shape: Some(shape) }) = self.ty()? else {
            return Err(self.fail("a shape"));
        };
        let dims: Option<Vec<usize>> = shape.iter().map(Dim::size).collect();
        let dims = dims.ok_or_else(|| self.fail("fixed sizes"))?;
        let count = secateur_onnx::element_count(&dims.iter().map(|&d| d as i64).collect::<Vec<_>>())?;
        self.want("=")?;
        let data = if self.eat("[") {
            let bytes = match elem {
                ElemType::F32 => self.list("]", |p| Ok(p.float()?.to_le_bytes().to_vec()))?.concat(),
                _ => {
                    let width = elem.bits() / 8;
                    let items = self.list("]", |p| Ok(p.number::<i64>("an integer")?.to_le_bytes()))?;
                    items.iter().flat_map(|i| i[..width.min(8)].to_vec()).collect()
                }
            };
            if Some(bytes.len() * 8) != count.checked_mul(elem.bits()) {
                return Err(self.fail(&format!("{count} elements")));
            }
            Data::Bytes(bytes.into())
        } else if self.eat("rand(") {
            if elem != ElemType::F32 || count > MAX_RAND {
                return Err(self.fail(&format!("numbers: rand is for up to {MAX_RAND} of f32")));
            }
            let seed = self.number("a seed")?;
            self.want(")")?;
            Tensor::uniform(&dims, seed).data
        } else {
            Data::Elided(self.digest()?)
        };
        let v = match self.graph.find(&name).filter(|v| self.graph.inputs.contains(v)) {
            Some(v) => v,
            None => self.graph.add_value(&name, None)?,
        };
        self.graph.set_init(v, Tensor { elem, dims, data });
        Ok(())
    }

    fn node(&mut self) -> Result<()> {
        let mut outputs = Vec::new();
        loop {
            if self.eat("_") {
                outputs.push(None);
            } else {
                self.want("%")?;
                let name = self.word()?;
                self.want(":")?;
                let ty = self.ty()?;
                outputs.push(Some(self.graph.add_value(&name, ty)?));
            }
            if !self.eat(",") {
                break;
            }
        }
        self.want("=")?;
        self.space();
        let quoted = self.rest().starts_with('"');
        let (mut domain, mut op) = (String::new(), self.word()?);
        if self.eat("::") {
            domain = std::mem::replace(&mut op, self.word()?);
        } else if let Some((d, o)) = op.rsplit_once("::").filter(|_| !quoted) {
            (domain, op) = (d.to_owned(), o.to_owned());
        }
        self.want("(")?;
        let inputs = self.list(")", |p| {
            if p.eat("_") {
                return Ok(None);
            }
            let v = p.existing()?;
            // An initializer's sizes are repeated where it is used, for the reader.
            if p.eat("[") {
                p.list("]", |p| p.number::<usize>("a size"))?;
            }
            Ok(Some(v))
        })?;
        let mut node = Node::new(&domain, &op, "", inputs, outputs);
        if self.eat("{") {
            node.proto.attribute = self.list("}", Self::attr)?;
        }
        if self.eat("captures") {
            self.want("(")?;
            node.captures = self.list(")", Self::existing)?;
        }
        if self.eat("as ") {
            node.proto.name = Some(self.word()?);
        }
        self.graph.nodes.push(node);
        Ok(())
    }

    fn bytes(&mut self) -> Result<bytes::Bytes> {
        if !self.eat("bytes ") {
            return Ok(self.quoted()?.into_bytes().into());
        }
        let hex = self.quoted()?;
        let byte = |i: usize| hex.get(i..i + 2).and_then(|h| u8::from_str_radix(h, 16).ok());
        let bytes: Option<Vec<u8>> = (0..hex.len()).step_by(2).map(byte).collect();
        Ok(bytes.ok_or_else(|| self.fail("hexadecimal digits"))?.into())
    }

    fn attr(&mut self) -> Result<AttributeProto> {
        let mut a = AttributeProto { name: Some(self.word()?), ..Default::default() };
        self.want("=")?;
        self.space();
        let mut set = |t: AttributeType| a.r#type = Some(t as i32);
        let is_float = |s: &str| {
            let number = &s[..s.find([',', ']', '}']).unwrap_or(s.len())];
            number.contains(['.', 'n', 'e'])
        };
        if self.eat("ints[]") {
            set(AttributeType::Ints);
        } else if self.eat("floats[]") {
            set(AttributeType::Floats);
        } else if self.eat("strings[]") {
            set(AttributeType::Strings);
        } else if self.eat("opaque") {
            a.doc_string = Some(format!("#{:016x}", self.digest()?));
        } else if self.eat("[") {
            self.space();
            if self.rest().starts_with(['"', 'b']) {
                set(AttributeType::Strings);
                a.strings = self.list("]", Self::bytes)?;
            } else if is_float(self.rest()) {
                set(AttributeType::Floats);
                a.floats = self.list("]", Self::float)?;
            } else {
                set(AttributeType::Ints);
                a.ints = self.list("]", |p| p.number("an integer"))?;
            }
        } else if self.rest().starts_with(['"', 'b']) {
            set(AttributeType::String);
            a.s = Some(self.bytes()?);
        } else if is_float(self.rest()) {
            set(AttributeType::Float);
            a.f = Some(self.float()?);
        } else {
            set(AttributeType::Int);
            a.i = Some(self.number("an integer")?);
        }
        Ok(a)
    }
}
