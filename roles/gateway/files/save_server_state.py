# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep the states of HAProxy's servers in a file, so that the next worker knows who is drained.

    save_server_state.py /run/modelops-gateway/admin.sock /var/lib/modelops-gateway/servers.state

Run before every reload and stop. Without an answer the file stays as it is.
"""

from __future__ import annotations

import os
import socket
import sys


def main() -> int:
    admin, destination = sys.argv[1:3]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(5.0)
            connection.connect(admin)
            connection.sendall(b"show servers state\n")
            printed = b"".join(iter(lambda: connection.recv(65536), b""))
    except OSError as error:
        print(f"{admin}: {error}; {destination} stays as it is", file=sys.stderr)
        return 0
    # Its version alone, or its version and a table.
    if not printed.lstrip().startswith(b"1\n# be_id"):
        print(f"{admin}: no table of servers; {destination} stays as it is", file=sys.stderr)
        return 0
    part = f"{destination}.part"
    with open(part, "wb") as stream:
        stream.write(printed.strip() + b"\n")
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(part, destination)
    return 0


if __name__ == "__main__":
    sys.exit(main())
