#!/usr/bin/env python3
"""A sweep on a Ray cluster: one Ray task trains one shard, a whole population of models at once; then they are merged.

    python sweep.py --shards 4 --output runs/ray -- --data digits --lr 1e-4..1e-1:log --trials 64 --epochs 5

After `--`, give the flags of `bngpu sweep`. Without `--address`, Ray starts a cluster on this machine. With several
machines, `--output` must be a shared folder, and `bngpu` must be installed on each. A shard whose process or machine
dies is restarted and resumes. Needs `pip install ray`.
"""

import argparse
import ctypes
import json
import signal
import subprocess
import sys
from pathlib import Path

import ray


class ShardDied(Exception):
    """The process of a shard was killed or failed, and can be retried."""


def die_with_parent():
    """Kills bngpu together with its Ray worker; otherwise it would keep the shard's folder locked in the next try."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def train_shard(bngpu, index, count, folder, flags):
    """Trains shard `index` of `count` in `folder`; returns the result of `bngpu sweep --json`."""
    if (folder / "config.toml").exists():
        command = [bngpu, "resume", str(folder)]
    else:
        command = [bngpu, "sweep", "--shard", f"{index}/{count}", "--output", str(folder), *flags]
    # Ray shows bngpu's progress on stderr.
    done = subprocess.run([*command, "--json"], stdout=subprocess.PIPE, text=True, preexec_fn=die_with_parent)
    if done.returncode == 2:  # wrong usage: the same every time
        raise ValueError(f"{' '.join(command)}: see its message above")
    if done.returncode not in (0, 3, 4):  # 3: some trials failed, the others are done; 4: all diverged
        raise ShardDied(f"shard {index}/{count} ended with {done.returncode}")
    return json.loads(done.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument("--output", type=Path, default=Path("runs/ray"))
    parser.add_argument("--address", help="a running cluster, for example auto [default: a new local one]")
    parser.add_argument("--cpus", type=float, default=1, help="of each shard")
    parser.add_argument("--gpus", type=float, default=0, help="of each shard; 0.5 puts two on one GPU")
    parser.add_argument("--retries", type=int, default=3, help="of each shard")
    parser.add_argument("--bngpu", default="bngpu", help="the program")
    # Arguments after -- are for bngpu.
    at = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    args, flags = parser.parse_args(sys.argv[1:at]), sys.argv[at + 1 :]

    ray.init(address=args.address, include_dashboard=False)
    task = ray.remote(train_shard).options(
        num_cpus=args.cpus, num_gpus=args.gpus, max_retries=args.retries, retry_exceptions=[ShardDied]
    )
    output = args.output.absolute()
    folders = [output / f"shard-{index}" for index in range(args.shards)]
    waiting = {
        task.remote(args.bngpu, index, args.shards, folder, flags): index for index, folder in enumerate(folders)
    }
    while waiting:
        [done], _ = ray.wait(list(waiting))
        index, result = waiting.pop(done), ray.get(done)
        ends = ", ".join(f"{result[end]} {end}" for end in ["completed", "stopped", "diverged", "failed"])
        print(f"shard {index}/{args.shards}: {result['trials']} trials ({ends}) in {result['wall_s']:.1f} s", flush=True)
    subprocess.run([args.bngpu, "merge", *map(str, folders), "-o", str(output / "merged")], check=True)


if __name__ == "__main__":
    main()
