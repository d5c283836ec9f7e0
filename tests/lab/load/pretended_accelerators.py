# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The metrics that NVIDIA's exporter shows of four devices at rest.

pretended_accelerators.py PORT
"""

from __future__ import annotations

import http.server
import sys
from typing import Any

FIGURES = {
    "DCGM_FI_DEV_GPU_TEMP": 45,
    "DCGM_FI_DEV_FB_USED": 20_000,
    "DCGM_FI_DEV_FB_FREE": 28_000,
    "DCGM_FI_DEV_ECC_DBE_VOL_TOTAL": 0,
}
TEXT = "".join(f'{name}{{gpu="{device}"}} {value}\n' for name, value in FIGURES.items() for device in range(4)).encode()


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(TEXT)))
        self.end_headers()
        self.wfile.write(TEXT)

    def log_message(self, *_words: Any) -> None:
        pass


if __name__ == "__main__":
    http.server.ThreadingHTTPServer(("", int(sys.argv[1])), Answer).serve_forever()
