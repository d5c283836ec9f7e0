# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write a llama model of random weights that a real llama.cpp server loads and answers with.

    tiny_model.py --seed 1 --dest models/tiny.gguf

It says nothing sensible, but everything else about it is real: it is loaded, batched,
measured and drained like any other model, on one CPU core, in half a second. The same
seed gives the same bytes, so its checksum can be written into a catalogue.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys

import gguf
import numpy as np

LAYERS = 2
WIDTH = 64
FEED_FORWARD = 176
HEADS = 4
KEY_VALUE_HEADS = 2
HEAD_SIZE = WIDTH // HEADS
UNKNOWN, BEGIN, END = 0, 1, 2
FIRST_BYTE = 3
VOCABULARY = 512


def vocabulary() -> tuple[list[bytes], list[float], list[int]]:
    """Tokens, scores and types in the SentencePiece layout: 3 control tokens, 256 bytes, words of two letters."""
    letters = "etaoinshrdlcumwfgypb"
    pairs = [first + second for first in letters for second in letters]
    tokens = [b"<unk>", b"<s>", b"</s>"]
    types = [gguf.TokenType.UNKNOWN, gguf.TokenType.CONTROL, gguf.TokenType.CONTROL]
    tokens += [b"<0x%02X>" % value for value in range(256)]
    types += [gguf.TokenType.BYTE] * 256
    words = ["\u2581" + pair for pair in pairs][: VOCABULARY - len(tokens)]
    tokens += [word.encode("utf-8") for word in words]
    types += [gguf.TokenType.NORMAL] * len(words)
    return tokens, [-float(index) for index in range(VOCABULARY)], [int(kind) for kind in types]


def tensors(seed: int) -> dict[str, np.ndarray]:
    """Name to weights, in llama.cpp's names and the order of the layers; scale 1/sqrt(fan in)."""
    random = np.random.default_rng(seed)

    def matrix(rows: int, columns: int) -> np.ndarray:
        return (random.standard_normal((rows, columns)) / np.sqrt(columns)).astype(np.float32)

    found = {"token_embd.weight": matrix(VOCABULARY, WIDTH)}
    for layer in range(LAYERS):
        block = f"blk.{layer}."
        found[block + "attn_norm.weight"] = np.ones(WIDTH, np.float32)
        found[block + "attn_q.weight"] = matrix(WIDTH, WIDTH)
        found[block + "attn_k.weight"] = matrix(KEY_VALUE_HEADS * HEAD_SIZE, WIDTH)
        found[block + "attn_v.weight"] = matrix(KEY_VALUE_HEADS * HEAD_SIZE, WIDTH)
        found[block + "attn_output.weight"] = matrix(WIDTH, WIDTH)
        found[block + "ffn_norm.weight"] = np.ones(WIDTH, np.float32)
        found[block + "ffn_gate.weight"] = matrix(FEED_FORWARD, WIDTH)
        found[block + "ffn_up.weight"] = matrix(FEED_FORWARD, WIDTH)
        found[block + "ffn_down.weight"] = matrix(WIDTH, FEED_FORWARD)
    found["output_norm.weight"] = np.ones(WIDTH, np.float32)
    found["output.weight"] = matrix(VOCABULARY, WIDTH)
    # Control tokens are never chosen, so an answer has the length that was asked for.
    found["output.weight"][:FIRST_BYTE] = 0.0
    return found


def write(path: str, seed: int, context: int) -> str:
    """Write the model to ``path`` in one step and return the SHA-256 of its bytes."""
    temporary = f"{path}.part"
    writer = gguf.GGUFWriter(temporary, "llama")
    writer.add_name(f"tiny random model, seed {seed}")
    writer.add_context_length(context)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KEY_VALUE_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(HEAD_SIZE)
    writer.add_vocab_size(VOCABULARY)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    tokens, scores, types = vocabulary()
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores(scores)
    writer.add_token_types(types)
    writer.add_unk_token_id(UNKNOWN)
    writer.add_bos_token_id(BEGIN)
    writer.add_eos_token_id(END)
    for name, weights in tensors(seed).items():
        writer.add_tensor(name, weights)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    os.replace(temporary, path)
    with open(path, "rb") as stream:
        return hashlib.sha256(stream.read()).hexdigest()


def main() -> int:
    parser = argparse.ArgumentParser(description="Write a tiny llama model of random weights (GGUF).")
    parser.add_argument("--seed", type=int, default=1, help="same seed, same bytes (default 1)")
    parser.add_argument("--dest", required=True, metavar="PATH", help="the GGUF file to write")
    parser.add_argument("--context", type=int, default=512, metavar="TOKENS", help="context length (default 512)")
    options = parser.parse_args()
    folder = os.path.dirname(os.path.abspath(options.dest))
    if not os.path.isdir(folder):
        print(f"tiny_model.py: {folder}: no such directory. Make it first.", file=sys.stderr)
        return 1
    print(write(options.dest, options.seed, options.context))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
