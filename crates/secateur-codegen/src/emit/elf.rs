//! The relocatable ELF object (ELF for the Arm 64-bit Architecture).

use object::write::{Object, Relocation, SectionId, StandardSection, Symbol, SymbolId, SymbolSection};
use object::{
    Architecture, BinaryFormat, Endianness, RelocationFlags, SectionKind, SymbolFlags, SymbolKind,
    SymbolScope, elf,
};
use rustc_hash::FxHashMap;
use secateur_diag::{Code, Result, diag};
use secateur_neon::RelocationKind;

use super::{Image, frames};

/// Functions start at a multiple of this many bytes, so that loops keep their alignment wherever they are linked.
const CODE_ALIGN: u64 = 64;

fn broken(e: impl std::fmt::Display) -> Box<secateur_diag::Diagnostic> {
    diag(Code::C004, format!("the object file cannot be made: {e}"))
}

/// The bytes of the object file.
///
/// # Errors
/// [`Code::C004`] for a relocation to a symbol that is not there; an internal check.
pub fn object(image: &Image) -> Result<Vec<u8>> {
    let mut o = Object::new(BinaryFormat::Elf, Architecture::Aarch64, Endianness::Little);
    let text = o.section_id(StandardSection::Text);
    let rodata = o.section_id(StandardSection::ReadOnlyData);
    let mut symbols: FxHashMap<&str, SymbolId> = FxHashMap::default();
    let data = |o: &mut Object, name: &str, bytes: &[u8]| {
        let value = o.append_section_data(rodata, bytes, CODE_ALIGN);
        o.add_symbol(symbol(name, value, bytes.len(), SymbolKind::Data, false, rodata))
    };
    if !image.constants.is_empty() {
        symbols.insert(&image.constants_symbol, data(&mut o, &image.constants_symbol, &image.constants));
    }
    for (name, bytes) in &image.texts {
        symbols.insert(name, data(&mut o, name, bytes));
    }
    let mut starts = Vec::with_capacity(image.functions.len());
    for f in &image.functions {
        let at = o.append_section_data(text, &f.code.bytes, CODE_ALIGN);
        let size = f.code.bytes.len();
        let inside = symbol(&f.code.symbol, at, size, SymbolKind::Text, false, text);
        symbols.insert(&f.code.symbol, o.add_symbol(inside));
        if let Some(name) = &f.global {
            o.add_symbol(symbol(name, at, size, SymbolKind::Text, true, text));
        }
        starts.push(at);
    }
    for (f, start) in image.functions.iter().zip(&starts) {
        for r in &f.code.relocations {
            let target =
                symbols.get(r.symbol.as_str()).ok_or_else(|| broken(format!("no symbol {}", r.symbol)))?;
            let r_type = match r.kind {
                RelocationKind::Call => elf::R_AARCH64_CALL26,
                RelocationKind::AdrPage => elf::R_AARCH64_ADR_PREL_PG_HI21,
                RelocationKind::AddLow => elf::R_AARCH64_ADD_ABS_LO12_NC,
            };
            let offset = start + r.offset as u64;
            let flags = RelocationFlags::Elf { r_type };
            o.add_relocation(text, Relocation { offset, symbol: *target, addend: r.addend, flags })
                .map_err(broken)?;
        }
    }
    let (frames, places) = frames::section(image, &starts);
    let section = o.add_section(vec![], b".eh_frame".to_vec(), SectionKind::ReadOnlyData);
    o.append_section_data(section, &frames, 8);
    let base = o.section_symbol(text);
    for (offset, addend) in places {
        let flags = RelocationFlags::Elf { r_type: elf::R_AARCH64_PREL32 };
        o.add_relocation(section, Relocation { offset, symbol: base, addend, flags }).map_err(broken)?;
    }
    // An executable stack is not needed (an empty section of this name says so to every linker).
    o.add_section(vec![], b".note.GNU-stack".to_vec(), SectionKind::Other);
    // Every function begins with a landing pad: GNU_PROPERTY_AARCH64_FEATURE_1_BTI.
    let note = o.add_section(vec![], b".note.gnu.property".to_vec(), SectionKind::Note);
    let words: [u32; 8] = [4, 16, 5, u32::from_le_bytes(*b"GNU\0"), 0xc000_0000, 4, 1, 0];
    let note_bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
    o.append_section_data(note, &note_bytes, 8);
    o.section_mut(note).flags =
        object::SectionFlags::Elf { sh_type: elf::SHT_NOTE, sh_flags: elf::SHF_ALLOC };
    o.write().map_err(broken)
}

fn symbol(name: &str, value: u64, size: usize, kind: SymbolKind, global: bool, section: SectionId) -> Symbol {
    Symbol {
        name: name.as_bytes().to_vec(),
        value,
        size: size as u64,
        kind,
        scope: if global { SymbolScope::Dynamic } else { SymbolScope::Compilation },
        weak: false,
        section: SymbolSection::Section(section),
        flags: SymbolFlags::None,
    }
}
