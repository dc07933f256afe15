#!/usr/bin/env bash
# Runs the job over and over, disturbs it, and compares every result with that of an undisturbed run.
#
#   job/src/test/soak/soak.sh SECONDS [SEED]
#   job/src/test/soak/soak.sh summary
#
# One application, on a cluster of two executors on this machine, runs one job after the other; sizes, quantization, dispatch and
# faults are drawn from SEED (1). Faults: an executor is killed or stands still for some seconds; shuffle files are lost or cut
# short; all jobs of Spark are cancelled; and, in processes of their own, drivers are killed or asked to end. Unfinished runs are
# gone on with by --resume. All rows of outputs/ and routes/ are compared with those of an undisturbed run, bit by bit. Ends with 1
# at the first mismatch, and at the first run that fails for good; what it wrote is kept then.
#
# SCRATCH is the folder for models, tables and runs (a new one in /tmp, removed at the end). RECORD is a file to which each run
# adds a line, so that several slices count together; `summary` adds it up. MOE is the command that runs the job.
set -euo pipefail

here=$(cd -P "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd -P "$here/../../../.." && pwd)

# Adds up a record: date, slice, tokens, scheme, dispatch, fault, times it happened, result, resident MiB of the application and of
# all its executors, both after the run.
summary() {
  awk -F'\t' '
    { runs++; tokens += $3; if ($7 > 0) { disturbed++; kinds[$6]++; faults[$6] += $7 } if ($8 != "equal") mismatches++ }
    $2 != slice { slice = $2; slices++ }
    { first[slices] = first[slices] ? first[slices] : $9; last[slices] = $9; if ($9 > most[slices]) most[slices] = $9; count[slices]++
      series[slices] = series[slices] (count[slices] % 10 == 1 ? " " $9 "+" $10 : "") }
    END {
      printf "%d runs, %d of them disturbed, %d tokens, %d mismatches\n", runs, disturbed, tokens, mismatches
      for (kind in faults) printf "  %-14s %3d runs, %3d faults\n", kind, kinds[kind], faults[kind] | "sort"
      close("sort")
      for (i = 1; i <= slices; i++)
        printf "slice %d, %d runs: resident MiB of the application and its executors at every tenth run:%s; of the application at the end %d, at most %d\n", i, count[i], series[i], last[i], most[i]
    }' "$1"
}

if [[ ${1:-} == summary ]]; then
  summary "${RECORD:?name the file with RECORD=FILE}"
  exit
fi
[[ ${1:-} =~ ^[0-9]+$ ]] || { sed -n '2,15s/^# \{0,1\}//p' "$0" >&2; exit 2; }

moe=${MOE:-$root/job/bin/moe}
"$moe" --version >/dev/null # builds what is missing
target=$(cd -P "$(dirname "$moe")/../target" && pwd)
jar=$(printf '%s\n' "$target"/spark-moe-*.jar | head -n 1)
scratch=${SCRATCH:-$(mktemp -d /tmp/moe-soak.XXXXXX)}
mkdir -p "$scratch"
record=${RECORD:-$scratch/record.tsv}
export JAVA_HOME=${MOE_JAVA_HOME:-${JAVA_HOME:?set JAVA_HOME to a JDK 25}}
export SPARK_HOME=$target/spark-home SPARK_SCALA_VERSION=2.13 SPARK_LOCAL_IP=127.0.0.1 SPARK_LOCAL_DIRS=$scratch/local
mkdir -p "$SPARK_HOME/work"

java() {
  "$JAVA_HOME/bin/java" "@$root/conf/jvm.options" -Xmx1g -cp "$root/conf:$jar:$SPARK_HOME/jars/*" "$@"
}

for tokens in 1000 3000 6000; do
  folder=$scratch/$tokens
  [[ ! -f $folder/tokens/_SUCCESS ]] || continue
  rm -rf "$folder"
  mkdir -p "$folder"
  java "$root/job/src/test/scale/ScaleInput.java" "$folder" "$tokens" 64 64 16 4 even f32 >"$folder.log" 2>&1 ||
    { cat "$folder.log" >&2; exit 1; }
done

code=0
java -Dsoak.conf="$root/conf/spark-defaults.conf" -Dsoak.jar="$jar" -Dsoak.moe="$moe" "$here/Soak.java" \
  "$scratch" "$record" "$1" "${2:-1}" >"$scratch/out.log" 2>"$scratch/err.log" || code=$?
if [[ $code -ne 0 ]]; then
  grep '^soak:' "$scratch/err.log" >&2 || tail -n 20 "$scratch/err.log" >&2
  printf 'left in %s\n' "$scratch" >&2
elif [[ -z ${SCRATCH:-} ]]; then
  trap 'rm -rf "$scratch"' EXIT
fi
[[ ! -f $record ]] || summary "$record"
exit "$code"
