# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Settings of a host that a tuning may try: which there are, what they take, and where a winner belongs for good.

Nothing else is ever written, so that a parameter of a tuning cannot reach what makes a host unsafe. Three kinds: files
below /proc/sys and /sys and the profile of tuned belong to the host and are put back; pins belong to the unit of the
replica, which the role ``deploy`` writes, and go with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError

NUMBER, NUMBERS, WORD = r"[0-9]{1,12}", r"[0-9]{1,12}( [0-9]{1,12}){2}", r"[A-Za-z][A-Za-z0-9_.-]{0,63}"
WORDS = f"{WORD}( {WORD})*"
CPUS, NODE = r"all|[0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*", r"all|[0-9]+"
_SAYS = {
    **{NUMBER: "a whole number", NUMBERS: "three whole numbers", WORD: "a word", WORDS: "names of profiles"},
    **{CPUS: "a list such as 0-7,16 or all", NODE: "the number of a node or all"},
}
ALL = "all"
SYSCTL = "sysctl:"
TUNED = "tuned_profile"
# Without a profile of tuned.
NO_PROFILE = "none"

_NUMBERED = """
    kernel.numa_balancing kernel.sched_autogroup_enabled kernel.timer_migration
    net.core.busy_poll net.core.busy_read net.core.netdev_budget net.core.netdev_budget_usecs
    net.core.netdev_max_backlog net.core.rmem_default net.core.rmem_max net.core.somaxconn
    net.core.wmem_default net.core.wmem_max net.ipv4.tcp_autocorking net.ipv4.tcp_max_syn_backlog
    net.ipv4.tcp_mtu_probing net.ipv4.tcp_notsent_lowat net.ipv4.tcp_slow_start_after_idle
    vm.compaction_proactiveness vm.dirty_background_ratio vm.dirty_ratio vm.nr_hugepages vm.stat_interval
    vm.swappiness vm.zone_reclaim_mode
"""
SYSCTLS: dict[str, str] = {
    **dict.fromkeys(_NUMBERED.split(), NUMBER),
    **{"net.ipv4.tcp_rmem": NUMBERS, "net.ipv4.tcp_wmem": NUMBERS},
    **{"net.ipv4.tcp_congestion_control": WORD, "net.core.default_qdisc": WORD},
}
# Files that take one word, and beside each the name of the file that lists the words, where it does not itself.
SYSFS: dict[str, tuple[str, str]] = {
    "governor": ("/sys/devices/system/cpu/cpu*/cpufreq/scaling_governor", "scaling_available_governors"),
    "transparent_hugepage": ("/sys/kernel/mm/transparent_hugepage/enabled", ""),
    "transparent_hugepage_defrag": ("/sys/kernel/mm/transparent_hugepage/defrag", ""),
}
PINS = {"cpu_affinity": CPUS, "numa_node": NODE}


def pattern_of(setting: Any, *, where: str) -> str:
    """The form of its values, as a regular expression.

    Raises:
        InputError: it is none of those that may be tried.
    """
    name = str(setting or "")
    known = {
        **{SYSCTL + one: form for one, form in SYSCTLS.items()},
        **PINS,
        **dict.fromkeys(SYSFS, WORD),
        TUNED: WORDS,
    }
    if name not in known:
        raise InputError(
            f"{name!r} is no setting of a host that may be tuned",
            where=where,
            remedy=f"There are {', '.join(sorted(known))}",
        )
    return known[name]


def checked(setting: Any, value: Any, *, where: str) -> str:
    """The value as the host writes it.

    Raises:
        InputError: the setting is not on the list, or the value not of its form.
    """
    text = " ".join(str(value).split())
    form = pattern_of(setting, where=where)
    if not re.fullmatch(form, text):
        raise InputError(f"{setting} takes {_SAYS[form]}, not {value!r}", where=where)
    return text


def plain(value: Any) -> Any:
    """A whole number as such, so that 8192 of the inventory and "8192" of the kernel are the same choice."""
    text = " ".join(str(value).split())
    return int(text) if text.isdigit() else text


def pins_of(properties: Mapping[str, Any]) -> dict[str, str]:
    """The pins that ``deploy_service_properties`` say."""
    cpus, policy = (str(properties.get(name) or "") for name in ("CPUAffinity", "NUMAPolicy"))
    node = str(properties.get("NUMAMask", ALL)) if policy not in ("", "default") else ALL
    return {"cpu_affinity": cpus if cpus not in ("", "numa") else ALL, "numa_node": node}


def service_properties(values: Mapping[str, Any]) -> dict[str, str]:
    """Pins in the words of systemd.exec(5). A node without CPUs of its own choice takes those of the node."""
    properties: dict[str, str] = {}
    node, cpus = (str(values.get(name, "")) for name in ("numa_node", "cpu_affinity"))
    if node == ALL:
        properties = {"NUMAPolicy": "default", "CPUAffinity": ""}
    elif node:
        properties = {"NUMAPolicy": "bind", "NUMAMask": node, "CPUAffinity": "numa"}
    if cpus and (cpus != ALL or not node):
        properties["CPUAffinity"] = cpus if cpus != ALL else ""
    return properties


def inventory_of(values: Mapping[str, Any], changed: Iterable[str]) -> dict[str, Any]:
    """Variables of ``provision`` and ``deploy`` that make the changed settings last.

    Args:
        values: all that the winner says of the host, by setting.
        changed: settings in which it differs from what is in use.
    """
    lines: dict[str, Any] = {}
    for name in sorted(changed):
        if name.startswith(SYSCTL):
            lines.setdefault("provision_sysctl", {})[name[len(SYSCTL) :]] = values[name]
        elif name in SYSFS:
            lines.setdefault("provision_sysfs", {})[SYSFS[name][0]] = values[name]
        elif name == TUNED:
            lines["provision_tuned_profile"] = values[name]
        else:
            lines["deploy_service_properties"] = service_properties(values)
    return lines
