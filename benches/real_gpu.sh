#!/usr/bin/env bash
# Tests and measures a real GPU in one go: the adapters, every kernel against the CPU reference, the GPU
# tests on its driver, the benchmarks, whole runs, and PyTorch and JAX on the same card if python has them.
#
#   benches/real_gpu.sh [DEVICE] [FOLDER]      DEVICE: gpu, or a part of a name; results go to FOLDER, gpu-results
#
# BNGPU is a built program (target/release/bngpu), TESTS=0 leaves the tests out, SECONDS_EACH is the time per measurement,
# CASES are the networks. LIMIT is the total time in seconds, 720: the most important steps come first, and steps that no
# longer fit are left out. Steps that failed or were left out are listed at the end, and do not stop the rest.
set -uo pipefail
cd "$(dirname "$0")/.."
device=${1:-gpu}
out=${2:-gpu-results}
bngpu=${BNGPU:-target/release/bngpu}
seconds=${SECONDS_EACH:-1}
cases=${CASES:-a,b,c}
python=${PYTHON:-python3}
mkdir -p "$out"
failed=()
end=$((SECONDS + ${LIMIT:-720}))

# macOS has no timeout.
limited() { # SECONDS COMMAND...
    if command -v timeout >/dev/null; then timeout "$@"; else "${@:2}"; fi
}

step() { # NAME COMMAND...
    local name=$1
    shift
    local left=$((end - SECONDS))
    if [ "$left" -lt 5 ]; then
        echo "== $name: left out, out of time"
        failed+=("$name (left out)")
        return
    fi
    echo "== $name: $*"
    local rc=0
    limited "$left" "$@" >"$out/$name.txt" 2>"$out/$name.err" || rc=$?
    if [ "$rc" -eq 0 ]; then
        case $name in *-json) ;; *) tail -n 60 "$out/$name.txt" ;; esac
    else
        failed+=("$name")
        echo "   failed ($rc):" && tail -n 5 "$out/$name.err"
    fi
}

[ -x "$bngpu" ] || cargo build --locked --release || exit 1
step devices "$bngpu" devices
step self-test "$bngpu" devices --self-test --device "$device"
step digits "$bngpu" train --bn --lr 1e-3 --device "$device" --output "$out/digits"
step bench "$bngpu" bench --device "$device" --case "$cases" --seconds "$seconds"
step bench-json "$bngpu" bench --device "$device" --case "$cases" --seconds "$seconds" --json
if "$bngpu" devices --device "$device" | grep -q -- '--precision f16 *yes'; then
    step self-test-f16 "$bngpu" devices --self-test --device "$device" --precision f16
    step bench-f16 "$bngpu" bench --device "$device" --case "$cases" --seconds "$seconds" --precision f16
fi
# Times each layout and fusion of kernels (tune.err), with a separate cache folder; then runs the benchmark with the layouts found.
export BNGPU_CACHE="$out/cache"
step tune "$bngpu" bench --tune --device "$device" --case a --models 1,64 --seconds 0.3 --log info
unset BNGPU_CACHE
if [ "${TESTS:-1}" = 1 ]; then
    for suite in gpu_kernels gpu_invariance gpu_training gpu_recovery; do
        step "$suite" cargo test --locked --release --test all -- --include-ignored "$suite::"
    done
fi
on=cpu
"$python" -c 'import torch; raise SystemExit(not torch.cuda.is_available())' 2>/dev/null && on=cuda
for case in ${cases//,/ }; do
    for module in torch jax; do
        "$python" -c "import $module" 2>/dev/null || { echo "== no $module: no comparison with it" && continue; }
        case $module in
            torch) peers=torch-eager; [ "$on" = cuda ] && peers=torch-eager,torch-cudagraph,torch-compile ;;
            jax) peers=jax ;;
        esac
        step "$module-$case" "$python" benches/peers/compare.py --bngpu "$bngpu" --device "$device" --on "$on" \
            --case "$case" --peers "$peers" --rounds 3 --seconds "$seconds"
    done
done
if [ ${#failed[@]} -gt 0 ]; then
    echo "failed: ${failed[*]}"
    exit 1
fi
echo "all done: $out"
