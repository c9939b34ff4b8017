//! The ONNX file: protobuf types, external data, limits, lossless load and save.
