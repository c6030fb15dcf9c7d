#!/usr/bin/env python3
"""Times bngpu and other programs in turn, and prints the ratio of each program's time to bngpu's.

  python benches/peers/compare.py --case a --models 1 --peers jax,torch-eager
  python benches/peers/compare.py --device gpu --on cuda --case a --peers torch-cudagraph,jax   # the same card
  python benches/peers/compare.py --device gpu --on webgpu --case a --peers burn-wgpu,tinygrad --steps 30

One round runs bngpu and then each peer once; rounds are repeated, so that other load affects all programs alike.
All use the same network, optimiser, batch size, shape of the data and definition of a step (see `peers.py --help`). A
figure is the median of a program's rounds, a ratio the median of the rounds' ratios, with the smallest and the largest.
The peers start from the same weights and see the same rows: if their mean losses differ by more than 1 %, nothing is
printed. Needs: torch, jax or tinygrad, depending on --peers (pip install torch jax tinygrad),
numpy, and for burn-wgpu and burn-cpu: cargo build --release --locked --manifest-path benches/peers/burn/Cargo.toml
"""
import argparse, json, os, platform, statistics, subprocess, sys, tempfile

here = os.path.dirname(os.path.abspath(__file__))
parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument('--bngpu', default=os.path.join(here, '../../target/release/bngpu'), help='the program')
parser.add_argument('--device', default='cpu', help="bngpu's device: cpu, gpu, or a part of a name")
parser.add_argument('--on', default='cpu', choices=['cpu', 'cuda', 'webgpu'], help="the peers' device")
parser.add_argument('--case', default='a', choices=['a', 'b', 'c'])
parser.add_argument('--models', type=int, default=1)
parser.add_argument('--peers', default='jax,torch-eager', help='of peers.py, burn-wgpu and burn-cpu, separated by commas')
parser.add_argument('--burn', default=os.path.join(here, 'burn/target/release/burn-peer'), help="Burn's program")
parser.add_argument('--rounds', type=int, default=5)
parser.add_argument('--seconds', type=float, default=1.0, help='for each measurement of bngpu')
parser.add_argument('--steps', type=int, help='steps of a measurement of a peer [default: about a second]')
parser.add_argument('--threads', type=int, default=os.cpu_count(), help="the peers' threads")
parser.add_argument('--rows', type=int, help="the peers' rows [default: 60000; 40000 if one is on webgpu, whose bindings may be 128 MiB at most]")
parser.add_argument('--json', action='store_true')
args = parser.parse_args()
peers = [name for name in args.peers.split(',') if name]
steps = args.steps or max(3, {'a': 1000, 'b': 120, 'c': 5}[args.case] // args.models)
rows = args.rows or (40000 if args.on == 'webgpu' or 'burn-wgpu' in peers else 60000)
common = ['--case', args.case, '--models', str(args.models), '--steps', str(steps), '--warmup', str(min(steps, 20))]
in_python = [sys.executable, os.path.join(here, 'peers.py'), '--device', args.on, '--rows', str(rows),
             '--threads', str(args.threads)] + common
inputs = tempfile.TemporaryDirectory()


def run(command):
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {'RAYON_NUM_THREADS': str(args.threads)})
    if done.returncode != 0:
        sys.exit(f'{" ".join(command)}: exit code {done.returncode}\n{done.stderr[-2000:]}')
    return json.loads(done.stdout[done.stdout.index('{'):])


def ours():
    found = run([args.bngpu, 'bench', '--device', args.device, '--case', args.case, '--models', str(args.models),
                 '--seconds', str(args.seconds), '--brief', '--json'])
    return found['steps'][0]['ms'], found['device']


def peer(name):
    if name.startswith('burn-'):
        backend = {'wgpu': 'wgpu', 'cpu': 'flex'}[name.removeprefix('burn-')]
        found = run([args.burn, '--backend', backend, '--inputs', inputs.name] + common)
    else:
        found = run(in_python + ['--peer', name])
    losses.append((name, found['loss_mean']))
    (first, expected), loss = losses[0], found['loss_mean']
    if not abs(loss - expected) <= 0.01 * expected:
        sys.exit(f'{name} has a mean loss of {loss}, {first} one of {expected}: they do not train the same')
    return found['ms_step'], found.get('dev', args.on)


if any(name.startswith('burn-') for name in peers):
    if not os.path.exists(args.burn):
        sys.exit(f'{args.burn} is missing: build it by\n  cargo build --release --locked --manifest-path '
                 f'{os.path.join(here, "burn/Cargo.toml")}\nor say by --burn where it is')
    run(in_python + ['--peer', 'inputs', '--out', inputs.name])
names = ['bngpu'] + peers
times, devices, losses = {name: [] for name in names}, {}, []
for at in range(args.rounds):
    for name in names:
        ms, devices[name] = ours() if name == 'bngpu' else peer(name)
        times[name].append(ms)
        print(f'round {at + 1}/{args.rounds}: {name} {ms:.3f} ms', file=sys.stderr)

result = {'case': args.case, 'models': args.models, 'machine': platform.processor() or platform.machine(),
          'threads': args.threads, 'programs': []}
for name in names:
    ratios = [theirs / own for theirs, own in zip(times[name], times['bngpu'])]
    result['programs'].append({'program': name, 'device': devices[name], 'ms': statistics.median(times[name]),
                               'ratio': statistics.median(ratios), 'ratios': [min(ratios), max(ratios)]})
if args.json:
    print(json.dumps(result, indent=1))
else:
    print(f'case {args.case}, {args.models} models, ms for a step of all; times as long as bngpu (smallest-largest)')
    for p in result['programs']:
        low, high = p['ratios']
        print(f'  {p["program"]:20} {p["ms"]:10.3f}   {p["ratio"]:6.2f} ({low:.2f}-{high:.2f})   {p["device"]}')
