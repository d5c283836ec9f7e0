# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Does the gateway of this host answer? Exit status 0 when it does; keepalived asks.

gateway_healthy.py http://127.0.0.1:8080/gateway/healthy
"""

from __future__ import annotations

import ssl
import sys
import urllib.request


def main() -> int:
    # On the loopback address no name fits the certificate.
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with urllib.request.urlopen(sys.argv[1], timeout=2, context=context):
            return 0
    except OSError as error:
        print(f"{sys.argv[1]}: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
