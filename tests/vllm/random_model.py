"""Models of random weights and a tokenizer of their own. Usage: random_model.py DESTINATION [FIELDS] [DESTINATION ...].

DESTINATION is an archive for model_artifact (.tar) or a folder; FIELDS is JSON, fields of the model's
``config.json`` where they differ from a small Llama of two layers. Runs in the environment that has transformers.
Heads are 64 wide: vLLM on CPU refuses 16 at the first request, after its /health said 200.
"""

import json
import sys
import tarfile
import tempfile
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

SMALL = {
    "model_type": "llama",
    "dtype": "bfloat16",
    "vocab_size": 512,
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "max_position_embeddings": 1024,
    "bos_token_id": 0,
    "eos_token_id": 1,
}


def write(directory: str, fields: dict) -> None:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = ["<s>", "</s>", *alphabet]
    tokenizer = Tokenizer(models.BPE(vocab={word: index for index, word in enumerate(words)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    given = {**SMALL, **fields}
    kind, dtype = given.pop("model_type"), getattr(torch, given.pop("dtype"))
    torch.manual_seed(1)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **given)).to(dtype)
    with torch.no_grad():
        # The end is never the likeliest token: answers are as long as was asked for.
        model.get_output_embeddings().weight[given["eos_token_id"]].zero_()
    model.save_pretrained(directory)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>").save_pretrained(directory)


def make(destination: Path, fields: dict) -> None:
    if destination.suffix != ".tar":
        write(str(destination), fields)
        return
    with tempfile.TemporaryDirectory() as directory:
        write(directory, fields)
        with tarfile.open(destination, "w") as archive:
            for path in sorted(Path(directory).iterdir()):
                archive.add(path, arcname=path.name)


if __name__ == "__main__":
    words = [*sys.argv[1:], "{}"]
    for place in range(0, len(words) - 1, 2):
        make(Path(words[place]), json.loads(words[place + 1]))
