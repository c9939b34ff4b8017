//! Square matrices of which only so many bytes stay in memory; the others wait in a temporary file.

use std::borrow::Cow;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::sync::{Arc, Mutex};

use faer::Mat;
use secateur_diag::{Code, Result, diag};

/// Bytes of matrices that stay in memory.
const IN_MEMORY: usize = 512 << 20;

/// A place for matrices.
pub struct Store {
    /// Bytes that may still stay in memory.
    left: usize,
    file: Option<Arc<Mutex<File>>>,
    end: u64,
}

impl Default for Store {
    fn default() -> Self {
        Self::with_memory(IN_MEMORY)
    }
}

/// A square matrix in memory or in a file.
#[derive(Clone)]
pub struct Square {
    n: usize,
    at: Place,
}

#[derive(Clone)]
enum Place {
    Memory(Mat<f64>),
    File(Arc<Mutex<File>>, u64),
}

impl Store {
    /// Keeps at most `bytes` in memory.
    pub fn with_memory(bytes: usize) -> Self {
        Self { left: bytes, file: None, end: 0 }
    }

    /// Puts a matrix away. Where no file can be made or written it stays in memory.
    pub fn put(&mut self, m: Mat<f64>) -> Square {
        let (n, bytes) = (m.nrows(), 8 * m.nrows() * m.nrows());
        if bytes <= self.left {
            self.left -= bytes;
            return Square { n, at: Place::Memory(m) };
        }
        if self.file.is_none() {
            self.file = tempfile::tempfile().ok().map(|f| Arc::new(Mutex::new(f)));
        }
        match self.file.clone().filter(|f| write(f, self.end, &m).is_some()) {
            Some(file) => {
                let at = Place::File(file, self.end);
                self.end += bytes as u64;
                Square { n, at }
            }
            None => Square { n, at: Place::Memory(m) },
        }
    }
}

fn write(file: &Mutex<File>, at: u64, m: &Mat<f64>) -> Option<()> {
    let mut file = file.lock().ok()?;
    file.seek(SeekFrom::Start(at)).ok()?;
    for c in 0..m.ncols() {
        let bytes: Vec<u8> = m.col_as_slice(c).iter().flat_map(|x| x.to_le_bytes()).collect();
        file.write_all(&bytes).ok()?;
    }
    Some(())
}

impl Square {
    /// Number of rows.
    pub fn nrows(&self) -> usize {
        self.n
    }

    /// The matrix.
    ///
    /// # Errors
    /// `D006` where the temporary file cannot be read.
    pub fn get(&self) -> Result<Cow<'_, Mat<f64>>> {
        let (file, at) = match &self.at {
            Place::Memory(m) => return Ok(Cow::Borrowed(m)),
            Place::File(file, at) => (file, *at),
        };
        let read = || -> std::io::Result<Mat<f64>> {
            let mut file = file.lock().map_err(|_| std::io::Error::other("a thread has failed"))?;
            file.seek(SeekFrom::Start(at))?;
            let mut out = Mat::zeros(self.n, self.n);
            let mut bytes = vec![0; 8 * self.n];
            for c in 0..self.n {
                file.read_exact(&mut bytes)?;
                let numbers =
                    bytes.chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().unwrap_or_default()));
                out.col_as_slice_mut(c).iter_mut().zip(numbers).for_each(|(a, b)| *a = b);
            }
            Ok(out)
        };
        let failed = |e: std::io::Error| {
            diag(Code::D006, "statistics in a temporary file cannot be read back").at("reason", e.to_string())
        };
        read().map(Cow::Owned).map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_away_comes_back() {
        let matrix = |k: usize| Mat::from_fn(30, 30, |i, j| (k * 1000 + i * 31 + j) as f64 * 0.1 - 7.0);
        // Two fit, three do not.
        let mut store = Store::with_memory(2 * 8 * 900 + 10);
        let all: Vec<Square> = (0..5).map(|k| store.put(matrix(k))).collect();
        let filed = all.iter().filter(|s| matches!(s.at, Place::File(..))).count();
        assert_eq!(filed, 3);
        for k in [4, 0, 2, 3, 1, 4] {
            assert_eq!(*all[k].get().unwrap(), matrix(k));
        }
    }
}
