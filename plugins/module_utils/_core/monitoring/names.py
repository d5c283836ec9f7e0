# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Jobs and labels: what a scraped series is called, in targets and in rules alike."""

from __future__ import annotations

NODE = "modelops-node"
ENGINE = "modelops-engine"
GATEWAY = "modelops-gateway"
ACCELERATOR = "modelops-accelerator"
PROMETHEUS = "modelops-prometheus"
ALERTMANAGER = "modelops-alertmanager"
JOBS = (NODE, ENGINE, GATEWAY, ACCELERATOR, PROMETHEUS, ALERTMANAGER)

# What a replica's series keep when they get our names; ``engine`` is the program, such as vllm.
REPLICA = "host, zone, model, slot, engine"
HOST = "host, zone"
