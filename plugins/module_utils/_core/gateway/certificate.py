# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Another certificate for a running gateway, without a reload.

HAProxy keeps certificates in memory under the names of their files. What is on disk is compared with what the worker serves,
by the SHA-1 that it prints (it tells two certificates apart here; nothing rests on its strength), and handed over through the
runtime API in one transaction. Connections that are open keep theirs; the next handshake gets the new one.
"""

from __future__ import annotations

import hashlib
import re
import ssl

from ansible_collections.modelops.datacenter.plugins.module_utils._core.gateway.master_socket import (
    MasterSocket,
    Worker,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.tls.certificate import (
    first_certificate,
    read_pem,
)

FINGERPRINT = re.compile(r"^SHA1 FingerPrint: ([0-9A-F]+)", re.MULTILINE)


def is_served(socket: MasterSocket, worker: Worker, path: str) -> bool:
    """Whether the worker serves the certificate that is on disk.

    Raises:
        InputError: the file cannot be read, or holds no certificate.
    """
    served = FINGERPRINT.search(socket.ask_worker(worker, f"show ssl cert {path}"))
    return served is not None and served.group(1) == _fingerprint(read_pem(path, what="certificate"))


def hand_over(socket: MasterSocket, worker: Worker, path: str) -> str:
    """Give the worker what is on disk. Returns why that failed, empty when it did not."""
    # An empty line would end what is handed over.
    text = "\n".join(line for line in read_pem(path, what="certificate").splitlines() if line.strip())
    answer = socket.ask_worker(worker, f"set ssl cert {path} <<\n{text}\n")
    if "ransaction" not in answer:  # "Transaction created" or "updated"
        return _first_line(answer)
    answer = socket.ask_worker(worker, f"commit ssl cert {path}")
    if "Success" in answer:
        return ""
    socket.ask_worker(worker, f"abort ssl cert {path}")
    return _first_line(answer)


def _fingerprint(text: str) -> str:
    try:
        der = ssl.PEM_cert_to_DER_cert(first_certificate(text))
    except ValueError:
        return ""
    return hashlib.sha1(der, usedforsecurity=False).hexdigest().upper()


def _first_line(answer: str) -> str:
    return next((line.strip() for line in answer.splitlines() if line.strip()), "no answer")
