#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a step of several processes costs on networks that are not at hand: a model, and how far it is from
what was measured.

    cost_model.py                          a table for 2 to 1,024 processes
    cost_model.py --plot OUT.svg           the same as a picture (needs matplotlib)
    cost_model.py --measured FILE.json...  of `detente bench parallel --json`: the model's time beside each

The model. A process sends and receives at B bytes a second, each message costs a seconds. Of n bytes among W
processes, with the algorithms that are used (Gloo's ring, pairwise exchange):

    sum      2 (W-1)/W n / B + 2 (W-1) a
    divide   (W-1)/W n / B + (W-1) a           (start_scatter_sum: everybody's columns to everybody)
    collect  (W-1)/W n / B + (W-1) a

Nothing of it is hidden behind computation. Not in it: what several
processes of one machine do to each other, full switches, how long the slowest process lets the others
wait, hierarchical algorithms (NCCL's trees), which need fewer than W-1 messages in a row.
"""
import argparse
import json

NETWORKS = {
    # bytes a second for each process and seconds for each message
    "10 Gbit/s Ethernet": (1.25e9, 30e-6),
    "100 Gbit/s Ethernet": (12.5e9, 15e-6),
    "InfiniBand NDR (400 Gbit/s)": (50e9, 3e-6),
    "NVLink 4 (450 GB/s)": (450e9, 2e-6),
}
# Numbers of all tasks in a bucket, and at least for each process (detente/autograd/column_shares.h).
BUCKET = 1 << 20
MESSAGE = 1 << 16
PLAIN_BUCKET = 4 << 20  # numbers in one sum of plain gradients, detente/tensor/group.cpp


def total(size, world, network, factor, messages):
    bandwidth, latency = network
    return factor * (world - 1) / world * size / bandwidth + messages * (world - 1) * latency


def exchange_seconds(mode, world, tasks, shared, own, network):
    """Of one step."""
    if world == 1 or mode == "alone":
        return 0.0
    sums = lambda numbers: total(4 * numbers, world, network, 2, 2 * max(1, -(-numbers // PLAIN_BUCKET)))
    small = 3 * total(8 * tasks * tasks, world, network, 2, 2)  # agreement, Gram matrix, stop
    if mode in ("ddp", "features"):
        return sums(shared + own) + small
    buckets = -(-tasks * shared // max(BUCKET, MESSAGE * world))
    if mode == "naive":
        return buckets * sums(tasks * shared / buckets) + sums(own) + small
    return (total(4 * tasks * shared, world, network, 1, buckets)
            + total(4 * shared, world, network, 1, buckets) + sums(own) + small)


def table(options):
    print(f"{options.tasks} tasks, {options.shared:,} shared parameters, {options.own:,} of their own; "
          f"milliseconds of exchange in a step\n")
    for name, network in NETWORKS.items():
        print(name)
        print(f"{'processes':>10}" + "".join(f"{mode:>10}" for mode in ("ddp", "sharded", "naive"))
              + f"{'sharded/naive':>15}")
        world = 2
        while world <= 1024:
            times = {mode: 1e3 * exchange_seconds(mode, world, options.tasks, options.shared, options.own,
                                                  network) for mode in ("ddp", "sharded", "naive")}
            print(f"{world:>10}" + "".join(f"{time:>10.2f}" for time in times.values())
                  + f"{times['sharded'] / times['naive']:>15.2f}")
            world *= 4 if world > 2 else 2
        print()


def plot(options, path):
    import matplotlib
    matplotlib.use("svg")
    import matplotlib.pyplot as pyplot
    figure, axes = pyplot.subplots(1, len(NETWORKS), figsize=(4 * len(NETWORKS), 3.4), sharey=True)
    worlds = [2 ** power for power in range(1, 11)]
    for axis, (name, network) in zip(axes, NETWORKS.items()):
        for mode, style in (("naive", "--"), ("sharded", "-"), ("ddp", ":")):
            axis.plot(worlds, [1e3 * exchange_seconds(mode, world, options.tasks, options.shared, options.own,
                                                      network) for world in worlds], style, label=mode)
        axis.set(xscale="log", yscale="log", title=name, xlabel="processes")
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("exchange in a step, ms")
    axes[0].legend()
    figure.tight_layout()
    figure.savefig(path)


def measured(options, files):
    print(f"{'processes':>10} {'mode':<10}{'waited, ms':>12}{'model, ms':>12}{'ratio':>8}")
    for file in files:
        with open(file, encoding="utf-8") as text:
            run = json.load(text)
        for row in run["rows"]:
            if row["mode"] == "alone":
                continue
            network = (options.bandwidth, options.latency)
            model = 1e3 * exchange_seconds(row["mode"], run["world"], run["tasks"], run["parameters"],
                                           run["own_parameters"], network)
            print(f"{run['world']:>10} {row['mode']:<10}{row['ms_wait']:>12.1f}{model:>12.1f}"
                  f"{row['ms_wait'] / model:>8.2f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=8)
    parser.add_argument("--shared", type=int, default=110_000_000, help="BERT-base has 110 million")
    parser.add_argument("--own", type=int, default=50_000)
    parser.add_argument("--plot", metavar="OUT.svg")
    parser.add_argument("--measured", nargs="+", metavar="FILE.json")
    parser.add_argument("--bandwidth", type=float, default=125e6, help="bytes a second, with --measured")
    parser.add_argument("--latency", type=float, default=1e-3, help="seconds a message, with --measured")
    options = parser.parse_args()
    if options.measured:
        measured(options, options.measured)
    elif options.plot:
        plot(options, options.plot)
    else:
        table(options)


if __name__ == "__main__":
    main()
