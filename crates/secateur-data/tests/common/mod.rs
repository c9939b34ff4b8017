//! Small `.npy` files, made on the spot.
#![allow(dead_code, reason = "each test file uses some of it")]

use secateur_data::*;

/// A version 1.0 file with this header text and these bytes of data.
pub fn npy_raw(header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16 + 1).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.push(b'\n');
    bytes.extend(data);
    bytes
}

/// `npy("<f4", "(2, 3)", ..)`
pub fn npy(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    npy_raw(&format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}"), data)
}

pub fn npy_file(descr: &str, shape: &str, data: &[u8]) -> NpyFile {
    NpyFile::from_bytes("x.npy", npy(descr, shape, data)).unwrap()
}

pub fn f32_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}
