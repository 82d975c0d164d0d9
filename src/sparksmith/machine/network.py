"""Network interfaces, and which of them could join two Sparks.

A Spark's ConnectX-7 shows each cable socket as two interfaces on two PCIe domains (enp1s0f0np0 and enP2p1s0f0np0, RDMA
devices rocep1s0f0 and roceP2p1s0f0); NCCL reaches the full rate with both (tonyd2wild/DeepSeek-v4-Flash-Vision-Exp#35,
read 2026-11-21).
"""

from __future__ import annotations

from dataclasses import dataclass

from sparksmith.machine.distributions import printable
from sparksmith.machine.root import Root
from sparksmith.machine.subject import Subject, explained
from sparksmith.machine.system import parse_pairs

FOLDER = "sys/class/net"
RDMA_DRIVERS = ("mlx5_core", "mlx5_ib", "bnxt_en", "irdma", "ice")
MOST_INTERFACES = 256
MOST_CHARACTERS = 15  # IFNAMSIZ


@dataclass(frozen=True)
class Interface(Subject):
    """`state` is up, down or unknown, as the kernel says; `rdma` the names of its RDMA devices; `slot` its PCI address,
    whose domain and function tell the halves of one socket apart. No address of its own is read."""

    name: str
    driver: str | None
    state: str | None
    speed_megabits: int | None
    mtu: int | None
    slot: str | None
    rdma: tuple[str, ...]

    @property
    def can_join(self) -> bool:
        """Whether it is a network card that does RDMA."""
        return bool(self.rdma) or self.driver in RDMA_DRIVERS


@dataclass(frozen=True)
class NetworkFacts(Subject):
    """All interfaces but loopback and those that containers come and go with."""

    interfaces: tuple[Interface, ...]

    def joining(self) -> tuple[Interface, ...]:
        """Those that could join two Sparks."""
        return tuple(one for one in self.interfaces if one.can_join)


def read_network(root: Root) -> NetworkFacts:
    """Look below /sys/class/net."""
    names = [name for name in root.names(FOLDER) if _counts(name)]
    return NetworkFacts(tuple(_read_interface(root, name) for name in names[:MOST_INTERFACES]))


def _counts(name: str) -> bool:
    return name.isprintable() and name != "lo" and not name.startswith(("veth", "br-", "docker", "virbr", "bonding_"))


def _read_interface(root: Root, name: str) -> Interface:
    path = f"{FOLDER}/{name}"
    device = parse_pairs(root.text(f"{path}/device/uevent") or "")
    driver, slot = device.get("DRIVER"), device.get("PCI_SLOT_NAME")
    speed = root.number(f"{path}/speed")
    state = root.line(f"{path}/operstate")
    return explained(
        Interface(
            name=printable(name)[:MOST_CHARACTERS],
            driver=driver[:40] if driver else None,
            state=state[:20] if state else None,
            speed_megabits=speed if speed is not None and speed > 0 else None,  # -1 without a cable
            mtu=root.number(f"{path}/mtu"),
            slot=slot[:20] if slot else None,
            rdma=tuple(printable(one)[:40] for one in root.names(f"{path}/device/infiniband")[:8]),
        ),
        "it is no device of the machine's",
        state=root.why(f"{path}/operstate"),
        speed_megabits="no link, or its driver does not say",
        mtu=root.why(f"{path}/mtu"),
    )
