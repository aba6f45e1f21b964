"""How much memory the GPUs have that are really there."""

from __future__ import annotations

import ctypes
import logging

log = logging.getLogger("ipseg")

_WAIT_SECONDS = 20.0
_SLIVER = 0.001  # of a card: enough to be given one, too little to keep anybody else from it


def card_memory_gb() -> dict[str, float]:
    """Memory of a card on each machine of the Ray session that has GPUs.

    A task on each machine asks the driver about the card that Ray gives it. Machines that cannot
    tell (no NVIDIA driver: logical GPUs, other makers) or do not answer in time are left out.

    Returns:
        node id -> GB (10^9 bytes) of the smallest card that the task was given.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    with_gpus = [
        node["NodeID"]
        for node in ray.nodes()
        if node["Alive"] and node["Resources"].get("GPU", 0) > 0
    ]
    # max_retries=0: a machine that is going away is not waited for.
    ask = ray.remote(num_cpus=0, num_gpus=_SLIVER, max_retries=0)(visible_card_gb)
    there = (NodeAffinitySchedulingStrategy(node, soft=False) for node in with_gpus)
    asked = [ask.options(scheduling_strategy=each).remote() for each in there]
    nodes, found = dict(zip(asked, with_gpus, strict=True)), {}
    if not asked:
        return {}
    answered, late = ray.wait(asked, num_returns=len(asked), timeout=_WAIT_SECONDS)
    for reference in late:
        ray.cancel(reference, force=True)
        log.warning(
            "machine %s did not say in %.0f s how much memory its GPU has (are all of them "
            "taken?); set runtime.gpu_card_gb",
            *(nodes[reference][:8], _WAIT_SECONDS),
        )
    for reference in answered:
        try:
            memory = ray.get(reference)
        except ray.exceptions.RayError as error:
            log.warning(
                "machine %s could not be asked about its GPU: %s", nodes[reference][:8], error
            )
            continue
        if memory is not None:
            found[nodes[reference]] = memory
    return found


def visible_card_gb() -> float | None:
    """Memory in GB of the smallest card that CUDA shows this process; None without CUDA.

    Asks the driver itself: that takes milliseconds where importing torch takes seconds, and makes
    no context on the card. CUDA_VISIBLE_DEVICES and MIG slices count as for every CUDA program.
    """
    # Not NVML (nvidia-ml-py): it lists all cards whatever CUDA_VISIBLE_DEVICES and MIG give us.
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None
    count = ctypes.c_int()
    if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)):
        return None
    sizes = []
    for ordinal in range(count.value):
        device, size = ctypes.c_int(), ctypes.c_size_t()
        if driver.cuDeviceGet(ctypes.byref(device), ordinal):
            return None
        if driver.cuDeviceTotalMem_v2(ctypes.byref(size), device):
            return None
        sizes.append(size.value / 1e9)
    return min(sizes, default=None)
