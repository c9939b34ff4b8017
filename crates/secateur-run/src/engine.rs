//! What runs a model by the names of its inputs.

use secateur_data::ValueInfo;
use secateur_diag::Result;
use secateur_tensor::Tensor;

/// A model ready to run, on any thread.
pub trait Engine: Sync {
    /// The inputs to feed (those without an initializer), in the model's order.
    fn inputs(&self) -> &[ValueInfo];

    /// The outputs, in the model's order.
    fn outputs(&self) -> &[ValueInfo];

    /// Runs the model. `inputs` are matched by name, in any order; outputs come in the model's order.
    ///
    /// # Errors
    /// `D002` when an input is missing or of another type than declared, `X001` and `X002` where the model cannot be run on
    /// these inputs.
    fn run(&self, inputs: &[(String, Tensor)]) -> Result<Vec<(String, Tensor)>>;

    /// The batch size the model insists on: the first fixed length of an input's first axis.
    fn fixed_batch(&self) -> Option<usize> {
        self.inputs().iter().find_map(ValueInfo::fixed_batch)
    }
}
