//! The table of codes. A code keeps its meaning for ever; a new one goes at the end of its letter.

use std::fmt;

macro_rules! codes {
    ($($code:ident $summary:literal $page:literal)*) => {
        /// Stable codes of messages. `L` load, `G` graph, `S` shape, `P` prune, `X` execute, `D` data, `T` target,
        /// `C` code, `Q` quantize.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code { $(#[doc = $summary] $code,)* }
        impl Code {
            /// Every code, in order.
            pub const ALL: &'static [Code] = &[$(Code::$code),*];
            /// The code's line in the list of errors.
            pub fn summary(self) -> &'static str { match self { $(Code::$code => $summary),* } }
            /// What it means and what to do, for `docs/errors.md`.
            pub fn page(self) -> &'static str { match self { $(Code::$code => $page),* } }
        }
        impl fmt::Display for Code {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Code::$code => stringify!($code)),* })
            }
        }
    };
}

codes! {
    L001 "the file cannot be read" "The file is missing, is a folder, or its permissions forbid reading."
    L002 "the file is not an ONNX model" "The bytes do not parse as an ONNX protobuf, or they end too early."
    L003 "the model has no graph" "An ONNX model must hold a graph with at least one node and one output."
    L004 "a tensor's data do not match its shape" "The byte count of an initializer differs from what its element type and dimensions ask for."
    L005 "external data cannot be read" "External data must be a regular file inside the model's own folder, and long enough for the stated offset and length."
    L006 "an absurd dimension" "A dimension is negative, or the product of a tensor's dimensions overflows."
    L007 "the file cannot be written" "The output's folder is missing, full or read-only, or the output would replace what the command reads. Nothing was left behind: the files of a command appear all or none."
    L008 "unsupported opset or IR version" "The model asks for an operator set that this version does not know."
    L009 "string tensors or an unknown element type" "The element type is not one that ONNX defines."
    L010 "standard output cannot be written" "It is full. The files that the command wrote are whole; only what it says of them is cut short. A reader that leaves early, such as `head`, is no error."
    G001 "the graph is cyclic" "A node needs, directly or not, its own output."
    G002 "a value has no source" "A node reads a name that no input, initializer or node defines."
    G003 "a name is defined twice" "Every value of a graph must have exactly one definition."
    G004 "the printed graph does not parse" "The text is not in the form that `docs/ir.md` describes."
    G005 "a rewrite broke the graph" "An internal check failed after a pass; please report it with the model."
    G006 "the model nests or names too much" "A limit that protects against hostile files was reached."
    S001 "shapes do not fit the operator" "The operator's inputs have shapes or ranks that its definition forbids."
    S002 "an attribute or operand is invalid" "An attribute is missing, of the wrong type, or out of range."
    S003 "inferred and expected shapes differ" "After surgery an operator produces another shape than was planned; an internal check."
    P001 "the budget cannot be met" "Even with every removable class at its minimum, the model stays above the budget."
    P002 "the budget needs a fixed dimension" "Costs depend on a symbolic dimension; give it a size with --dim NAME=SIZE."
    P003 "nothing matches a name or pattern" "A pattern of --pin, --only, --skip or --keep-float matches no value, node or initializer, or --dim names no dimension."
    P004 "an operator cannot follow the removal" "The operator's attributes or operands cannot express the smaller shape."
    P005 "invalid budget or option" "A budget or option is malformed or out of range."
    X001 "the model cannot be executed" "The executor does not support an operator or shape of this model."
    X002 "execution failed" "The executor reported an error while running the model."
    X003 "the fidelity is below the wanted one" "Two models were compared and differ by more than --min-fidelity allows."
    D001 "the data file cannot be read" "The file is not a .npy array of float32 or uint8, or it is truncated."
    D002 "the data do not fit the model's input" "Rank, channels or size of the samples differ from the input's shape."
    D003 "invalid preparation" "Scale, mean or std are malformed, zero or not one per channel."
    D004 "the data hold NaN or infinity" "Samples must be finite."
    D005 "the calibration data are few or poor" "Fewer samples than weights can be fitted to, samples that are constant or alike, or numbers that seem to be scaled twice. With few samples the result is damped towards the original weights."
    D006 "statistics cannot be read back" "Large networks' statistics wait in a temporary file, which cannot be read; the disk may have failed."
    T001 "unknown target" "The target's name is not in the list that `secateur targets` prints."
    T002 "invalid target file" "A target file is malformed or misses a field."
    C001 "no code can be made for an operator" "The code generator has no lowering for the operator, or not for this form of it. The model itself is fine: write only the .onnx, or run that part elsewhere."
    C002 "a size is not fixed" "Machine code needs every size but the batch as a number; give it with --dim NAME=SIZE."
    C003 "samples of a batch are not independent" "A dynamic batch is compiled as a loop over samples, but an operator reaches across them; compile for a fixed batch with --dim NAME=1."
    C004 "the object file cannot be made" "An internal check of the code generator failed; please report it with the model."
    Q001 "a range cannot be quantized" "A value's range on the calibration data is not finite or too wide for a scale."
    Q002 "the model is quantized already" "It holds QuantizeLinear, DequantizeLinear or integer operators. Quantize the float model it was made from, or give --requantize."
    Q003 "the model cannot be quantized" "Its type or operator set does not allow for it; the message says which."
}
