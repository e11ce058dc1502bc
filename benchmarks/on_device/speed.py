"""How quick is it? Stacks of all sizes, the textbook loop beside one network, several processes at once."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from itertools import islice

import torch
from torch.utils.data import DataLoader, TensorDataset

from benchmarks import ours
from benchmarks.on_device.agreement import Found, synchronize, told
from benchmarks.rivals import textbook
from benchmarks.workloads import LEARNING_RATE, W1, W2, W3, Workload
from models.stacks import Stack
from models.training import Training

MANY = 10**6
"""Epochs, of which no end is seen."""


def begun(workload: Workload, members: int, device: str) -> Stack:
    """A stack that has taken a few steps: kernels loaded, memory made."""
    variants = ours.variants(workload, members)
    prepared = workload.prepared
    stack = Stack(
        [Training(each.spec(MANY, seed), prepared, device=device) for seed, each in enumerate(variants)]
    )
    for _ in islice(stack.work(), 3):
        pass
    synchronize(device)
    return stack


def pace(stack: Stack, device: str, seconds: float) -> float:
    """Steps a second, the measuring of epochs included."""
    steps, work, start = 0, stack.work(), time.perf_counter()
    while time.perf_counter() - start < seconds:
        done = stack.batches.done
        next(work)
        steps += stack.batches.done > done  # and not what is yielded while an epoch is measured
    synchronize(device)
    return steps / (time.perf_counter() - start)


def speed(device: str, quick: bool) -> Iterator[Found]:
    plan = (
        [(W3, k) for k in (1, 16, 64, 256, 1000)]
        + [(W1, k) for k in (1, 4, 64, 256)]
        + [(W2, k) for k in (1, 16)]
    )
    for workload, members in plan[: 2 if quick else None]:
        named: Found = {"what": workload.name, "members": members}
        try:
            stack = begun(workload, members, device)
            samples = pace(stack, device, 1 if quick else 4) * workload.batch * members
            yield {**named, "samples": samples, **counted(stack, device)}
            del stack
            if device != "cpu":
                torch.cuda.empty_cache()
        except Exception as error:
            yield {**named, "error": told(error)}


def counted(stack: Stack, device: str) -> Found:
    """Of a step: kernels, how long they keep the GPU, and warnings that the host waits for it."""
    if device == "cpu":
        return {}
    steps = min(5, stack.batches.left)
    if not steps:
        return {}
    on_gpu = [torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=on_gpu) as profile:
        take_steps(stack, steps)
        synchronize(device)
    events = profile.key_averages()
    kernels = sum(each.count for each in events if each.device_type == torch.autograd.DeviceType.CUDA)
    found: Found = {
        "kernels": kernels / steps,
        "gpu_us": sum(each.self_device_time_total for each in events) / steps,
        "bytes": torch.cuda.max_memory_allocated(),
    }
    if steps := min(5, stack.batches.left):
        torch.cuda.set_sync_debug_mode("warn")
        with warnings.catch_warnings(record=True) as heard:
            warnings.simplefilter("always")
            take_steps(stack, steps)
        torch.cuda.set_sync_debug_mode("default")
        found["waits"] = len(heard) / steps
    return found


def take_steps(stack: Stack, steps: int) -> None:
    done = stack.batches.done
    work = stack.work()
    while stack.batches.done < done + steps:
        next(work)


def textbook_loop(device: str, quick: bool) -> Iterator[Found]:
    """One network by the loop that textbooks teach: rows from a DataLoader, and, kinder, resident."""
    for workload in (W3,) if quick else (W3, W1, W2):
        try:
            seconds = 1.0 if quick else 4.0
            own = pace(begun(workload, 1, device), device, seconds) * workload.batch
            for where in ("from a DataLoader", "its rows resident"):
                samples = textbook_pace(workload, device, seconds, resident="resident" in where)
                yield {"what": workload.name, "data": where, "samples": samples, "ours": own}
        except Exception as error:
            yield {"what": workload.name, "error": told(error)}


def textbook_pace(workload: Workload, device: str, seconds: float, *, resident: bool) -> float:
    """Samples a second, with the held-out rows measured once an epoch."""
    x, y, x_held_out, y_held_out = (each.to(device) if resident else each for each in workload.splits)
    model, criterion = textbook.network(workload).to(device), textbook.criterion_for(workload)
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)

    def epoch() -> int:
        model.train()
        count = 0
        for rows, targets in batches(x, y, workload.batch, resident=resident):
            optimizer.zero_grad()
            outputs, wanted = model(rows.to(device)), targets.to(device)
            loss = criterion(outputs, wanted) + textbook.penalty(model, workload)
            loss.backward()
            optimizer.step()
            count += len(rows)
        model.eval()
        with torch.no_grad():
            held_out = zip(x_held_out.split(1024), y_held_out.split(1024), strict=True)
            sum(textbook.hits(model(a.to(device)), b.to(device)).item() for a, b in held_out)
        return count

    epoch()
    synchronize(device)
    samples, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        samples += epoch()
    synchronize(device)
    return samples / (time.perf_counter() - start)


def batches(
    x: torch.Tensor, y: torch.Tensor, size: int, *, resident: bool
) -> Iterator[Sequence[torch.Tensor]]:
    """Shuffled; a last batch of one row is left out, since batch norm cannot norm it."""
    if resident:
        order = torch.randperm(len(x), device=x.device)
        parts: Iterator[Sequence[torch.Tensor]] = zip(x[order].split(size), y[order].split(size), strict=True)
    else:
        parts = iter(DataLoader(TensorDataset(x, y), batch_size=size, shuffle=True))
    return (part for part in parts if len(part[0]) > 1)


def crowd(device: str, quick: bool) -> Iterator[Found]:
    """Several processes on one device at once, and what they do together."""
    members, seconds = 16, 1 if quick else 4
    command = [sys.executable, "-m", "benchmarks.on_device", "one_of_a_crowd", "--device", device]
    command += ["--quick"] if quick else []

    def together(count: int) -> list[float]:
        begun = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(count)]
        return [json.loads(each.communicate()[0])["samples"] for each in begun]

    (alone,) = together(1)
    several = together(2 if quick else 4)
    yield {"what": W3.name, "members": members, "seconds": seconds, "alone": alone, "together": several}


def one_of_a_crowd(device: str, quick: bool) -> Iterator[Found]:
    """One of a crowd."""
    samples = pace(begun(W3, 16, device), device, 1 if quick else 4) * W3.batch * 16
    yield {"samples": samples}
