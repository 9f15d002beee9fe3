"""What a GPU reaches, as options of BenchmarkEngine on one line; for people on standard error. Needs torch.

Bytes read plus bytes written by a copy of 4 GiB; int8 and bf16 products of square matrices of random numbers, of which the
fastest size counts. Medians of times by the device's clock.
"""

import statistics
import sys

import torch

COPIED = 4 << 30
WARM, RUNS = 5, 25


def seconds(work):
    """The median time of a call."""
    times = []
    for run in range(WARM + RUNS):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        work()
        end.record()
        end.synchronize()
        if run >= WARM:
            times.append(begin.elapsed_time(end) / 1e3)
    return statistics.median(times)


def codes(n):
    return torch.randint(-127, 128, (n, n), dtype=torch.int8, device="cuda")


def int8_operations(n):
    a, b = codes(n), codes(n).t()
    return 2 * n**3 / seconds(lambda: torch._int_mm(a, b))


def bf16_operations(n):
    a, b = (torch.randn(n, n, dtype=torch.bfloat16, device="cuda") for _ in range(2))
    return 2 * n**3 / seconds(lambda: torch.matmul(a, b.t()))


def main():
    source = torch.randint(0, 256, (COPIED,), dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    copy = 2 * COPIED / seconds(lambda: target.copy_(source)) / 1e9
    del source, target
    int8 = {n: int8_operations(n) / 1e12 for n in (4096, 8192)}
    bf16 = bf16_operations(8192) / 1e12
    sizes = ", ".join(f"{n}³ {rate:.0f}" for n, rate in int8.items())
    print(
        f"{torch.cuda.get_device_name()}: copy {copy:.0f} GB/s, int8 TOPS {sizes}, bf16 TFLOP/s 8192³ {bf16:.0f}",
        file=sys.stderr,
    )
    print(f"--copy-gbs {copy:.1f} --int8-tops {max(int8.values()):.1f} --bf16-tflops {bf16:.1f}")


main()
