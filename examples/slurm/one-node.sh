#!/usr/bin/env bash
# A Slurm cluster of one node, this machine, to try job arrays without a cluster. It does not change the system, and
# needs neither root nor cgroups. Debian: apt-get install slurm-wlm munge
#
#     one-node.sh start DIR     starts it; then: export SLURM_CONF=DIR/slurm.conf
#     one-node.sh stop DIR      ends it, jobs included
set -euo pipefail

usage() { sed -n '2,6s/^# \?//p' "$0" >&2; exit 2; }
[ $# -eq 2 ] || usage
command=$1
mkdir -p "$2"
dir=$(cd "$2" && pwd)
export SLURM_CONF=$dir/slurm.conf PATH=$PATH:/usr/sbin:/sbin

wait_until() { # SECONDS COMMAND...
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$end" ] || return 1
        sleep 0.2
    done
}

gone() { ! kill -0 "$1" 2>/dev/null; }

# Ends the daemon that wrote its process id to FILE, and waits for it.
end() {
    [ -s "$1" ] || return 0
    local pid
    pid=$(cat "$1")
    kill "$pid" 2>/dev/null || return 0
    wait_until 20 gone "$pid" || { echo "process $pid does not end; see the logs in $dir" >&2; exit 1; }
}

idle() { sinfo --noheader --format=%T 2>/dev/null | grep -qx idle; }

case $command in
start)
    host=$(hostname -s)
    user=$(id -un)
    memory=$(awk '/MemTotal/ { print int($2 / 1024 * 0.9) }' /proc/meminfo)
    mkdir -p "$dir"/{munge,state,spool,log}
    chmod 755 "$dir/munge"
    [ -s "$dir/munge/key" ] || (umask 077 && head -c 1024 /dev/urandom > "$dir/munge/key")
    # Munge authenticates jobs; cgroups, accounting and MPI are left out.
    cat > "$SLURM_CONF" <<CONF
ClusterName=one
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=${SLURMCTLD_PORT:-16817}
SlurmdPort=${SLURMD_PORT:-16818}
SlurmUser=$user
SlurmdUser=$user
AuthType=auth/munge
AuthInfo=socket=$dir/munge/socket
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.pid
SlurmctldLogFile=$dir/log/slurmctld.log
SlurmdLogFile=$dir/log/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
SchedulerParameters=sched_interval=5
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) RealMemory=$memory State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
CONF
    munged --key-file="$dir/munge/key" --socket="$dir/munge/socket" --pid-file="$dir/munge/pid" \
        --log-file="$dir/munge/log" --seed-file="$dir/munge/seed"
    slurmctld
    slurmd
    wait_until 30 idle || { echo "the node does not become idle; see the logs in $dir/log" >&2; exit 1; }
    sinfo
    echo "export SLURM_CONF=$SLURM_CONF"
    ;;
stop)
    scancel --user="$(id -un)" 2>/dev/null || true
    end "$dir/slurmd.pid"
    end "$dir/slurmctld.pid"
    end "$dir/munge/pid"
    ;;
*)
    usage
    ;;
esac
