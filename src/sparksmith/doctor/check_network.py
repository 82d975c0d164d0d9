"""More than one process on one GPU, and more than one Spark."""

from __future__ import annotations

from collections.abc import Iterator

from sparksmith.doctor.finding import Check, Examined, Seen
from sparksmith.doctor.hardware import is_gb10

VARIABLE = "NCCL_SOCKET_IFNAME"


def check_interface(examined: Examined) -> Iterator[Seen]:
    """A cable between two Sparks, and NCCL told nothing of it, or of interfaces that are all down."""
    machine = examined.machine
    joined = [one for one in machine.network.joining() if one.state == "up"]
    if not is_gb10(machine) or not joined:
        return
    value = machine.variables.values.get(VARIABLE, "")
    up = [one.name for one in machine.network.interfaces if one.state == "up"]
    if value and any(matches(value, name) for name in up):
        return
    # Both halves of a socket are up; the one on the first PCIe domain is the one that the guides name.
    joined.sort(key=lambda one: (one.slot or "~", one.name))
    name, names = joined[0].name, " and ".join(one.name for one in joined)
    rdma = ",".join(device for one in joined for device in one.rdma)
    yield Seen(
        "nccl-interface-unset",
        f"{names} {'are' if len(joined) > 1 else 'is'} up; {VARIABLE} "
        + (f"names {value:.100}, of which none is" if value else "is not set"),
        ("/sys/class/net", VARIABLE),
        f"export {VARIABLE}={name} GLOO_SOCKET_IFNAME={name}" + (f" NCCL_IB_HCA={rdma}" if rdma else ""),
    )


def check_one_gpu(examined: Examined) -> Iterator[Seen]:
    """Scripts that hand weights through NCCL to a vLLM on the very GPU that trains."""
    project, gpus = examined.project, examined.machine.gpu.gpus
    if project is None or len(gpus) != 1:
        return
    elsewhere, single = ({ask.file for ask in project.of(mark)} for mark in ("vLLM elsewhere", "single GPU"))
    for ask in project.of("vLLM as a server", "weights through NCCL"):
        if ask.file in single if ask.mark == "weights through NCCL" else ask.file not in elsewhere:
            yield Seen("duplicate-gpu", f"{ask.text}, and this machine has one GPU", (ask.place,))


def matches(value: str, name: str) -> bool:
    """Whether NCCL takes an interface for one of `value`: prefixes, or whole names after "=", all others after "^"."""
    other, value = value.startswith("^"), value.removeprefix("^")
    whole, value = value.startswith("="), value.removeprefix("=")
    listed = [one.partition(":")[0].strip() for one in value.split(",")]
    return other != any(name == one if whole else bool(one) and name.startswith(one) for one in listed)


CHECKS: tuple[Check, ...] = (check_interface, check_one_gpu)
