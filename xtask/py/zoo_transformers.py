"""Networks of the transformers library at tiny sizes: the graphs that its users export, not our idea of them."""

import torch
import transformers as hf
from torch import nn
from zoo_structures import Case

TRANSFORMERS = {}


class Call(nn.Module):
    """Calls a model by keyword and returns the named outputs only."""

    def __init__(self, inner, names, outputs):
        super().__init__()
        self.inner, self.names, self.outputs = inner, names, outputs

    def forward(self, *inputs):
        result = self.inner(**dict(zip(self.names, inputs)), return_dict=True)
        return tuple(result[name] for name in self.outputs)


def register(name, model, config, inputs, outputs, sizes=None, fixed=False, cache=False):
    """`inputs` makes the tensors; ids and masks have a dynamic length unless it is `fixed`."""

    def make():
        options = {"attn_implementation": "eager", **(sizes or {})}
        if cache:
            options["use_cache"] = False
        settings = getattr(hf, config)(**options)
        tensors = inputs()
        dynamic = {} if fixed else {key: {1: "T"} for key, value in tensors.items() if value.dtype == torch.int64}
        module = getattr(hf, model)(settings)
        return Case(Call(module, list(tensors), outputs), tensors, outputs, dynamic)

    TRANSFORMERS[name] = make


def text(kinds=False):
    def make():
        tensors = {"input_ids": torch.randint(1, 90, (2, 12)), "attention_mask": torch.ones(2, 12, dtype=torch.int64)}
        tensors["attention_mask"][1, 9:] = 0
        if kinds:
            tensors["token_type_ids"] = torch.randint(0, 2, (2, 12))
        return tensors

    return make


def pixels(side=32):
    return lambda: {"pixel_values": torch.randn(2, 3, side, side)}


SMALL = {"vocab_size": 100, "hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
         "intermediate_size": 88, "max_position_embeddings": 64}  # fmt: skip
KEYED = {**SMALL, "num_key_value_heads": 2}
VISION = {"image_size": 32, "patch_size": 8, "hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
          "intermediate_size": 88}  # fmt: skip

register("hf_bert", "BertForSequenceClassification", "BertConfig", text(True), ["logits"], SMALL)
register("hf_distilbert", "DistilBertForMaskedLM", "DistilBertConfig", text(), ["logits"],
         {"vocab_size": 100, "dim": 48, "n_layers": 2, "n_heads": 4, "hidden_dim": 88, "max_position_embeddings": 64})
register("hf_albert", "AlbertModel", "AlbertConfig", text(True), ["last_hidden_state", "pooler_output"],
         {**SMALL, "embedding_size": 20, "num_hidden_layers": 3})
register("hf_mobilebert", "MobileBertModel", "MobileBertConfig", text(True), ["last_hidden_state"],
         {**SMALL, "embedding_size": 24, "intra_bottleneck_size": 32, "num_feedforward_networks": 2})
register("hf_deberta_v2", "DebertaV2Model", "DebertaV2Config", text(), ["last_hidden_state"],
         {**SMALL, "relative_attention": True, "position_buckets": 16, "pos_att_type": ["p2c", "c2p"],
          "share_att_key": True, "norm_rel_ebd": "layer_norm", "position_biased_input": False})
register("hf_gpt2", "GPT2LMHeadModel", "GPT2Config", text(), ["logits"],
         {"vocab_size": 100, "n_embd": 48, "n_layer": 2, "n_head": 4, "n_positions": 64}, cache=True)
register("hf_opt", "OPTForCausalLM", "OPTConfig", text(), ["logits"],
         {"vocab_size": 100, "hidden_size": 48, "ffn_dim": 88, "num_hidden_layers": 2, "num_attention_heads": 4,
          "word_embed_proj_dim": 48, "max_position_embeddings": 64}, cache=True)
register("hf_llama", "LlamaForCausalLM", "LlamaConfig", text(), ["logits"], KEYED, cache=True)
register("hf_qwen2", "Qwen2ForCausalLM", "Qwen2Config", text(), ["logits"], KEYED, cache=True)
register("hf_gemma", "GemmaForCausalLM", "GemmaConfig", text(), ["logits"], {**KEYED, "head_dim": 16}, cache=True)
register("hf_t5_encoder", "T5EncoderModel", "T5Config", text(), ["last_hidden_state"],
         {"vocab_size": 100, "d_model": 48, "d_kv": 14, "d_ff": 88, "num_layers": 2, "num_heads": 3}, cache=True)
register("hf_vit", "ViTForImageClassification", "ViTConfig", pixels(), ["logits"], VISION)
register("hf_deit", "DeiTForImageClassification", "DeiTConfig", pixels(), ["logits"], VISION)
register("hf_swin", "SwinForImageClassification", "SwinConfig", pixels(64), ["logits"],
         {"image_size": 64, "patch_size": 4, "embed_dim": 24, "depths": [2, 2], "num_heads": [2, 4], "window_size": 4})
register("hf_segformer", "SegformerForSemanticSegmentation", "SegformerConfig", pixels(64), ["logits"],
         {"hidden_sizes": [16, 24, 32, 48], "depths": [1, 1, 1, 1], "decoder_hidden_size": 40,
          "num_attention_heads": [1, 2, 4, 8]})
register("hf_mobilevit", "MobileViTForImageClassification", "MobileViTConfig", pixels(64), ["logits"],
         {"image_size": 64, "hidden_sizes": [24, 32, 40], "neck_hidden_sizes": [8, 12, 16, 20, 24, 28, 48]})
register("hf_convnextv2", "ConvNextV2ForImageClassification", "ConvNextV2Config", pixels(64), ["logits"],
         {"hidden_sizes": [16, 24, 32, 40], "depths": [1, 1, 2, 1]})
register("hf_resnet", "ResNetForImageClassification", "ResNetConfig", pixels(64), ["logits"],
         {"embedding_size": 12, "hidden_sizes": [20, 28, 36, 44], "depths": [1, 1, 2, 1]})
register("hf_clip", "CLIPModel", "CLIPConfig", lambda: {**text()(), **pixels()()},
         ["logits_per_image", "text_embeds", "image_embeds"],
         {"text_config": {**SMALL, "eos_token_id": 99}, "vision_config": VISION, "projection_dim": 28}, fixed=True)
register("hf_whisper_encoder", "WhisperForAudioClassification", "WhisperConfig",
         lambda: {"input_features": torch.randn(2, 20, 60)}, ["logits"],
         {"vocab_size": 100, "num_mel_bins": 20, "encoder_layers": 2, "encoder_attention_heads": 4, "d_model": 48,
          "encoder_ffn_dim": 88, "max_source_positions": 30, "decoder_layers": 1, "decoder_attention_heads": 4,
          "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2})
register("hf_wav2vec2", "Wav2Vec2ForCTC", "Wav2Vec2Config", lambda: {"input_values": torch.randn(2, 4000)}, ["logits"],
         {**{k: v for k, v in SMALL.items() if k != "max_position_embeddings"}, "conv_dim": [24] * 7,
          "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 4})
