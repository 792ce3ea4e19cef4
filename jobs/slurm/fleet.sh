#!/bin/sh
# The nightly job on many databases, on a cluster with SLURM: task number n works on line n of a list of files.
#
#   sbatch --array=1-"$(wc -l < shops.txt)" fleet.sh shops.txt [settings.toml]
#
# The files must lie on a disk whose locks work on the node, and nobody else may write to them from another node: so not on
# NFS while the application is at work. Afterwards `nightshelf runs --db …` shows them all, the worst first.

#SBATCH --job-name=nightshelf
#SBATCH --cpus-per-task=2
# From `nightshelf run --dry-run` on the largest of them, and a quarter more; its cgroup is what max_memory follows.
#SBATCH --mem=1G
#SBATCH --time=06:00:00
#SBATCH --requeue
# What a run said before it was put back stays.
#SBATCH --open-mode=append
#SBATCH --output=nightshelf-%A_%a.log

set -u

if [ $# -lt 1 ] || [ $# -gt 2 ]; then
    echo "usage: sbatch --array=1-N $0 LIST [SETTINGS]" >&2
    exit 2
fi
db=$(sed -n "${SLURM_ARRAY_TASK_ID:?is set by sbatch --array}p" "$1")
if [ -z "$db" ]; then
    echo "$1 has no line $SLURM_ARRAY_TASK_ID" >&2
    exit 78
fi

NIGHTSHELF_THREADS=${SLURM_CPUS_PER_TASK:-2} nightshelf run --db "$db" ${2:+--config "$2"}
code=$?
# Another job is at work on it, or it stayed locked: later, then. All other codes are for a person.
if [ "$code" -eq 75 ] && [ "${SLURM_RESTART_COUNT:-0}" -lt 5 ]; then
    scontrol requeue "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID"
fi
exit "$code"
