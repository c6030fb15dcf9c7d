#!/usr/bin/env bash
# A sweep as a Slurm job array, and a job that merges its shards when all are done.
#
#     [SWEEP=runs/mine] [BNGPU=/path/to/bngpu] [SBATCH_ARGS="--array=0-15 --gres=gpu:1"] submit.sh FLAGS OF SWEEP...
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
export SWEEP=${SWEEP:-runs/slurm} BNGPU=${BNGPU:-bngpu}

# shellcheck disable=SC2086 # several arguments on purpose
array=$(sbatch --parsable ${SBATCH_ARGS:-} "$here/sweep.sbatch" "$@")
merge=$(sbatch --parsable --dependency="afterok:$array" --kill-on-invalid-dep=yes --job-name=bngpu-merge \
    --output=%x-%j.log --wrap='"$BNGPU" merge "$SWEEP"/shard-* -o "$SWEEP"/merged')
echo "shards: job $array; merge: job $merge, into $SWEEP/merged"
