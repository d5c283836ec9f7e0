"""A Llama of random weights and a tokenizer of its own, packed for model_artifact. Usage: tiny_llama.py ARCHIVE.

Runs in the environment that has transformers. Heads are 64 wide: vLLM on CPU refuses 16 at
the first request, after its /health said 200.
"""

import sys
import tarfile
import tempfile
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

SIZE = 512

alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
words = ["<s>", "</s>", *alphabet]
tokenizer = Tokenizer(models.BPE(vocab={word: index for index, word in enumerate(words)}, merges=[]))
tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
tokenizer.decoder = decoders.ByteLevel()

torch.manual_seed(1)
model = LlamaForCausalLM(
    LlamaConfig(
        vocab_size=SIZE,
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        bos_token_id=0,
        eos_token_id=1,
    )
).to(torch.bfloat16)
with tempfile.TemporaryDirectory() as directory:
    model.save_pretrained(directory)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>").save_pretrained(directory)
    with tarfile.open(sys.argv[1], "w") as archive:
        for path in sorted(Path(directory).iterdir()):
            archive.add(path, arcname=path.name)
