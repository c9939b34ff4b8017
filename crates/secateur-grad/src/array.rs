//! Dense f32 tensors.

use std::sync::Arc;

/// A shape and the elements in C order.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    /// Axis lengths; empty for a scalar.
    pub shape: Vec<usize>,
    /// As many elements as the shape has; shared, so that a reshaped copy costs nothing.
    pub data: Arc<Vec<f32>>,
}

impl Array {
    /// `shape` must multiply to the number of elements.
    pub fn new(shape: &[usize], data: Vec<f32>) -> Self {
        debug_assert_eq!(shape.iter().product::<usize>(), data.len());
        Self { shape: shape.to_vec(), data: Arc::new(data) }
    }

    /// The elements; copied where another array shares them.
    pub fn into_data(self) -> Vec<f32> {
        Arc::unwrap_or_clone(self.data)
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.data.len()
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// The same elements under another shape of as many.
    pub(crate) fn reshaped(&self, shape: &[usize]) -> Self {
        debug_assert_eq!(shape.iter().product::<usize>(), self.len());
        Self { shape: shape.to_vec(), data: self.data.clone() }
    }

    /// Adds another of the same shape.
    pub fn add(&mut self, other: &Array) {
        let to = Arc::make_mut(&mut self.data);
        to.iter_mut().zip(other.data.iter()).for_each(|(a, b)| *a += b);
    }
}

pub(crate) use secateur_tensor::Broadcast;
