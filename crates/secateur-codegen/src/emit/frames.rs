//! `.eh_frame`: how to unwind through every function (Linux Standard Base, 10.6; DWARF 5, 6.4; DWARF for the Arm 64-bit
//! Architecture).

use super::Image;

// DW_CFA_*.
const DEF_CFA: u8 = 0x0c;
const DEF_CFA_OFFSET: u8 = 0x0e;
const ADVANCE_LOC4: u8 = 0x04;
const OFFSET: u8 = 0x80;
const OFFSET_EXTENDED: u8 = 0x05;
/// Offsets are counted in these units.
const DATA_ALIGN: i32 = -8;
/// Distances are counted in instructions.
const CODE_ALIGN: u32 = 4;

fn uleb(out: &mut Vec<u8>, mut v: u64) {
    loop {
        let byte = (v & 0x7f) as u8;
        v >>= 7;
        if v == 0 {
            return out.push(byte);
        }
        out.push(byte | 0x80);
    }
}

fn record(out: &mut Vec<u8>, mut body: Vec<u8>) {
    while !(body.len() + 4).is_multiple_of(8) {
        // DW_CFA_nop
        body.push(0);
    }
    out.extend((body.len() as u32).to_le_bytes());
    out.extend(body);
}

/// The section, and where it is to be filled in: offset of a 32-bit distance to the code section plus an addend.
pub fn section(image: &Image, starts: &[u64]) -> (Vec<u8>, Vec<(u64, i64)>) {
    let mut out = Vec::new();
    let mut cie = vec![0, 0, 0, 0, 1];
    cie.extend(b"zR\0");
    uleb(&mut cie, CODE_ALIGN.into());
    cie.push((DATA_ALIGN & 0x7f) as u8);
    // The return address is in x30.
    uleb(&mut cie, 30);
    uleb(&mut cie, 1);
    // DW_EH_PE_pcrel | DW_EH_PE_sdata4
    cie.push(0x1b);
    cie.push(DEF_CFA);
    uleb(&mut cie, 31);
    uleb(&mut cie, 0);
    record(&mut out, cie);
    let mut places = Vec::new();
    for (f, &start) in image.functions.iter().zip(starts) {
        let at = out.len();
        let mut fde = ((at + 4) as u32).to_le_bytes().to_vec();
        places.push(((at + 8) as u64, start as i64));
        fde.extend([0; 4]);
        fde.extend((f.code.bytes.len() as u32).to_le_bytes());
        uleb(&mut fde, 0);
        let frame = &f.code.frame;
        if frame.size != 0 {
            fde.push(ADVANCE_LOC4);
            fde.extend((frame.prologue / CODE_ALIGN).to_le_bytes());
            fde.push(DEF_CFA_OFFSET);
            uleb(&mut fde, frame.size.into());
            for s in &frame.saved {
                let units = (s.offset / DATA_ALIGN) as u64;
                if s.dwarf < 64 {
                    fde.push(OFFSET | s.dwarf);
                } else {
                    fde.push(OFFSET_EXTENDED);
                    uleb(&mut fde, s.dwarf.into());
                }
                uleb(&mut fde, units);
            }
        }
        record(&mut out, fde);
    }
    out.extend([0; 4]);
    (out, places)
}
