"""What takes memory from CUDA where it is the machine's own, and what makes running out of it worse."""

from __future__ import annotations

from collections.abc import Iterator

from sparksmith.base.units import GIB, format_bytes, plural
from sparksmith.doctor.finding import Check, Examined, Seen
from sparksmith.doctor.hardware import shares_memory
from sparksmith.machine.subject import UNLIMITED

MEMINFO = "/proc/meminfo"
# Page cache is what a healthy machine's memory is full of, and is given back on demand; but vLLM and others refuse to
# start by cudaMemGetInfo's free, which is MemFree (vllm-project/vllm#48140, unslothai/unsloth#10705, read 2026-11-21).
# It counts where hardly any memory is free and most could be: after a file of 60 GiB was written, 41 GiB still are.
LITTLE_FREE, MOSTLY_CACHE = 1 / 10, 1 / 2
# 12 GiB of a Spark: what a run that needs the whole machine would miss. Ordinary use of /dev/shm (loaders' batches,
# NCCL's buffers) is far below 1 GiB.
MUCH_SHARED = 1 / 10
# Of the memory, for nobody sets huge pages aside by accident in small numbers: 1.2 GiB of a Spark.
MUCH_HUGE = 1 / 100
# A launcher for GB10s wants 6.4 GiB in large blocks where 96 GiB are free, a fifteenth; a Spark just started has 47 GiB
# of them, fragmented ones had 0.1 to 0.4 (FujitsuPolycom/sparkring#173 and #202, read 2026-11-21). Where little memory
# is free, its blocks are small on every machine: then this says nothing.
FEW_LARGE, MUCH_FREE = 1 / 10, 1 / 8
# Less is a desktop's or a notebook's that was left open.
MUCH_HELD = GIB
WSL_COMMAND = "echo -e '[wsl2]\\nkernelCommandLine = cgroup_no_v1=all' >> /mnt/c/Users/NAME/.wslconfig"
# It stands in no fstab: a service makes it anew at every start.
ZRAM_UNITS = "dev-zram0.swap zramswap.service zram-config.service systemd-zram-setup@zram0.service"
ZRAM_COMMAND = f"sudo swapoff -a && sudo systemctl mask {ZRAM_UNITS}"
MOST_LINES = 8  # of one command, each option on its own
ALLOCATOR = ("PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF")
CAPPED = "per_process_memory_fraction"


def check_swap(examined: Examined) -> Iterator[Seen]:
    """Any swap, in use or not."""
    memory = examined.machine.memory
    total = memory.swap_total_bytes or 0
    if shares_memory(examined.machine) and (total > 0 or memory.swap_devices):
        kinds = " and ".join(sorted({f"a {kind}" if kind != "zram" else kind for kind in memory.swap_devices}))
        used = total - memory.swap_free_bytes if memory.swap_free_bytes is not None else None
        size = f": {format_bytes(total)}" if total > 0 else ""
        yield Seen(
            "swap-on",
            f"swap is on{size}{f' in {kinds}' if kinds else ''}"
            + (f", {format_bytes(used)} of it used" if used and used > 0 else ", none of it used" if used == 0 else ""),
            ("/proc/swaps", MEMINFO),
            ZRAM_COMMAND if "zram" in memory.swap_devices else None,
        )


def check_page_cache(examined: Examined) -> Iterator[Seen]:
    """Hardly any memory free, and most of it could be."""
    memory = examined.machine.memory
    total, free, available = memory.total_bytes, memory.free_bytes, memory.available_bytes
    if not shares_memory(examined.machine) or total is None or free is None or available is None:
        return
    if free < LITTLE_FREE * total and available - free > MOSTLY_CACHE * total:
        yield Seen(
            "page-cache-full",
            f"{format_bytes(free)} of {format_bytes(total)} are free, {format_bytes(available - free)} more are cache",
            (MEMINFO,),
        )


def check_held(examined: Examined) -> Iterator[Seen]:
    """Memory that is set aside or lies in files: CMA, huge pages, /dev/shm."""
    memory = examined.machine.memory
    if not shares_memory(examined.machine):
        return
    cma, cma_free = memory.cma_total_bytes, memory.cma_free_bytes
    if cma is not None and cma_free is not None and cma_free > cma:
        kernel = f" (kernel {examined.machine.system.kernel})" if examined.machine.system.kernel else ""
        yield Seen("cma-held", f"CmaFree is {format_bytes(cma_free)}, CmaTotal {format_bytes(cma)}{kernel}", (MEMINFO,))
    total = memory.total_bytes or 0
    pages = memory.huge_pages_free if memory.huge_pages_free is not None else memory.huge_pages
    huge = (pages or 0) * (memory.huge_page_bytes or 0)
    if total > 0 and huge > MUCH_HUGE * total:
        yield Seen(
            "huge-pages-held",
            f"{format_bytes(huge)} in {plural(pages or 0, 'huge page')} that nothing uses",
            (MEMINFO,),
        )
    shared = memory.shared_bytes or 0
    if total > 0 and shared > MUCH_SHARED * total:
        yield Seen(
            "shm-held",
            f"{format_bytes(shared)} of {format_bytes(total)} are shared memory: files in /dev/shm and the like",
            (MEMINFO,),
        )


def check_fragments(examined: Examined) -> Iterator[Seen]:
    """Much free memory, and next to nothing of it in blocks of 2 MiB and more."""
    memory = examined.machine.memory
    total, free, large = memory.total_bytes, memory.free_bytes, memory.free_large_bytes
    if not shares_memory(examined.machine) or total is None or free is None or large is None or total <= 0:
        return
    if free > MUCH_FREE * total and large < FEW_LARGE * free:
        yield Seen(
            "memory-fragmented",
            f"{format_bytes(free)} are free, {format_bytes(large)} of them in blocks of 2 MiB and more",
            ("/proc/buddyinfo", MEMINFO),
        )


def check_leftovers(examined: Examined) -> Iterator[Seen]:
    """Orphans that hold memory of a GPU that computes nothing. A server that waits is none, nor is a detached job that
    works."""
    gpu = examined.machine.gpu
    if any(one.utilization_percent != 0 for one in gpu.gpus):
        return
    for one in gpu.processes or ():
        held = one.memory_bytes or 0
        if one.pid in (gpu.orphans or ()) and "C" in one.kind and held >= MUCH_HELD:
            yield Seen(
                "leftover-process",
                f"process {one.pid} ({one.name}) holds {format_bytes(held)} and is idle, and what started it is gone",
                ("nvidia-smi -q", f"/proc/{one.pid}/stat"),
                f"kill {one.pid}",
            )


def check_killers(examined: Examined) -> Iterator[Seen]:
    """Who is killed when memory ends: scores that are inherited, and earlyoom, which does not see CUDA's memory."""
    machine = examined.machine
    score = machine.process.oom_score_adj
    # Kubernetes gives containers whose memory is guaranteed -997.
    if score is not None and score < 0 and machine.container.kind != "kubernetes":
        ssh = machine.ssh
        origin = f" (the ssh service has {ssh.service_score})" if (ssh.service_score or 0) < 0 else ""
        yield Seen("oom-score-inherited", f"oom_score_adj is {score}{origin}", ("/proc/self/oom_score_adj",))
    if machine.ssh.service_score is not None and machine.ssh.service_score >= 0:
        yield Seen(
            "ssh-not-protected", f"oom_score_adj of sshd is {machine.ssh.service_score}", ("oom_score_adj of sshd",)
        )
    if "earlyoom" in machine.system.services and shares_memory(machine):
        yield Seen("earlyoom-blind", "the service earlyoom runs", ("/sys/fs/cgroup/system.slice/earlyoom.service",))


def check_groups(examined: Examined) -> Iterator[Seen]:
    """Control groups that cannot limit memory, or limit it without seeing CUDA's."""
    machine = examined.machine
    group = machine.cgroup
    if group.version == 1 and not machine.container.is_container:
        yield Seen(
            "cgroup-v1",
            "the memory controller is that of control groups v1",
            ("/proc/self/cgroup",),
            WSL_COMMAND if machine.system.is_wsl else None,
        )
    elif group.version == 2 and group.delegated is False:
        yield Seen(
            "cgroup-no-delegation",
            "systemd hands the user's groups no memory controller",
            ("/sys/fs/cgroup/user.slice",),
        )
    limit, total = group.memory_limit, machine.memory.total_bytes
    settings = " ".join(machine.variables.values.get(name, "") for name in ALLOCATOR)
    if limit is None or limit == UNLIMITED or total is None or not shares_memory(machine):
        return
    if limit < total and CAPPED not in settings:
        yield Seen(
            "cgroup-limit-blind",
            f"this control group may use {format_bytes(limit)}; CUDA's memory is not counted, and torch has no limit",
            ("/sys/fs/cgroup", *ALLOCATOR),
        )


def check_scopes(examined: Examined) -> Iterator[Seen]:
    """Scripts that ask for a scope with a score, which systemd refuses; a service takes one."""
    asks = examined.project.of("a scope", "a score") if examined.project else []
    scope = None
    for ask in sorted(asks, key=lambda one: (one.file, one.line)):
        if ask.mark == "a scope":
            scope = ask
        elif scope and scope.file == ask.file and ask.line - scope.line <= MOST_LINES:
            yield Seen("scope-oom-score", f"systemd-run --scope is called with {ask.text}", (ask.place,))


def check_allocator(examined: Examined) -> Iterator[Seen]:
    """The two settings that let reserved memory grow when they are set together."""
    for name in ALLOCATOR:
        value = examined.machine.variables.values.get(name, "")
        settings = dict(one.strip().partition(":")[::2] for one in value.split(","))
        if settings.get("expandable_segments", "").lower() == "true" and "max_split_size_mb" in settings:
            yield Seen("allocator-grows", f"{name}={value:.200}", (name,), f"unset {name}")


CHECKS: tuple[Check, ...] = (
    check_swap, check_page_cache, check_held, check_fragments, check_leftovers, check_killers, check_groups,
    check_scopes, check_allocator,
)  # fmt: skip
