"""Deployment: a trained model made smaller, counted before it runs, and carried to where there is no PyTorch.

Weights as int8 (`quantize_model`), the smallest of them gone (`prune_model`), layers cut in two thin ones
(`factorize_model`), a large model taught to a small one (`distillation_loss`), parameters, bytes and operations
(`count_operations`), and a file for other programs (`export_onnx`, `OnnxModel`).
"""

from mmcourse.deploy.counting import Operations, count_bytes, count_operations, count_parameters
from mmcourse.deploy.distillation import Distilled, distillation_loss, soft_loss
from mmcourse.deploy.low_rank import Factors, factorize_model, input_moments, thin_factors
from mmcourse.deploy.onnx import Exported, OnnxExportError, export_onnx
from mmcourse.deploy.pruning import apply_masks, global_masks, magnitude_mask, prune_model, sparsity
from mmcourse.deploy.quantization import Grid, dequantize, fit_grid, quantize
from mmcourse.deploy.quantized import (
    QuantizedConv2d,
    QuantizedEmbedding,
    QuantizedLinear,
    QuantizedWeight,
    quantize_model,
)
from mmcourse.deploy.runner import OnnxFileError, OnnxMissingError, OnnxModel
from mmcourse.deploy.saving import QuantizedFileError, load_quantized, save_quantized

__all__ = [
    "Distilled",
    "Exported",
    "Factors",
    "Grid",
    "OnnxExportError",
    "OnnxFileError",
    "OnnxMissingError",
    "OnnxModel",
    "Operations",
    "QuantizedConv2d",
    "QuantizedEmbedding",
    "QuantizedFileError",
    "QuantizedLinear",
    "QuantizedWeight",
    "apply_masks",
    "count_bytes",
    "count_operations",
    "count_parameters",
    "dequantize",
    "distillation_loss",
    "export_onnx",
    "factorize_model",
    "fit_grid",
    "global_masks",
    "input_moments",
    "load_quantized",
    "magnitude_mask",
    "prune_model",
    "quantize",
    "quantize_model",
    "save_quantized",
    "soft_loss",
    "sparsity",
    "thin_factors",
]
