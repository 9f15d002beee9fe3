#!/usr/bin/env bash
# One spark-submit: profile + command + flags. Builds the jar when it is missing or older than the sources; uses the Spark
# that Maven brought when there is no SPARK_HOME.
#   ./submit.sh [--profile NAME-or-FILE] [--dry-run] COMMAND [flags] [-- arguments of spark-submit]
set -euo pipefail

root=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)
jar=$root/job/target/quamba.jar
profile=local dry_run=no
# Java reads its arguments by the locale, and a scheduler often has none.
case ${LC_ALL:-${LC_CTYPE:-${LANG:-}}} in *[Uu][Tt][Ff]-8 | *[Uu][Tt][Ff]8) ;; *) export LC_ALL=C.UTF-8 ;; esac
die() { echo "submit.sh: $*" >&2; exit 2; }

while [ $# -gt 0 ]; do
  case $1 in
    --profile) [ $# -gt 1 ] || die "--profile needs a name of conf/*.conf or a file"; profile=$2; shift 2 ;;
    --profile=*) profile=${1#*=}; shift ;;
    --dry-run) dry_run=yes; shift ;;
    *) break ;;
  esac
done
[ -f "$profile" ] || profile=$root/conf/$profile.conf
[ -f "$profile" ] || die "no profile $profile; there are: $(cd "$root/conf" && ls ./*.conf | tr '\n' ' ')"

command=() spark=()
while [ $# -gt 0 ]; do
  if [ "$1" = -- ]; then shift; spark=("$@"); break; fi
  command+=("$1"); shift
done
[ ${#command[@]} -gt 0 ] || command=(--help)
if [ "${command[0]}" = demo ]; then
  command=(demo --assets "$root/job/src/demo" "${command[@]:1}")
fi

build() {
  command -v mvn >/dev/null || die "$jar is not built and mvn is not on the PATH: install Maven 3.8.7 or later and a JDK 17"
  echo "submit.sh: building $jar" >&2
  (cd "$root" && mvn -q -DskipTests package) || die "the build failed, see above"
}
newer=$(find "$root"/{kernels,udf,job}/src/main "$root"/{,kernels/,udf/,job/}pom.xml -newer "$jar" -print -quit 2>/dev/null || true)
if [ ! -f "$jar" ] || [ -n "$newer" ]; then build; fi

if [ -z "${SPARK_HOME:-}" ]; then
  # A Spark home of links to the jars in Maven's repository, for spark-submit and for the executors that Spark starts.
  export SPARK_HOME=$root/job/target/spark SPARK_SCALA_VERSION=2.13
  list=$root/job/target/spark.classpath
  if [ ! "$SPARK_HOME/jars" -nt "$list" ]; then
    rm -rf "$SPARK_HOME" && mkdir -p "$SPARK_HOME/jars"
    tr ':' '\0' < "$list" | xargs -0 ln -st "$SPARK_HOME/jars"
    touch "$SPARK_HOME/jars"
  fi
fi

if grep -q '^spark\.executor\.resource\.gpu\.amount' "$profile" \
    && ! grep -q '^spark\.executor\.resource\.gpu\.discoveryScript' "$profile"; then
  spark=(--conf "spark.executor.resource.gpu.discoveryScript=$root/conf/gpus.sh" "${spark[@]+"${spark[@]}"}")
fi
arguments=(--properties-file "$profile" --class quamba.job.Main "${spark[@]+"${spark[@]}"}" "$jar" "${command[@]}")
export SPARK_CONF_DIR=${SPARK_CONF_DIR:-$root/conf}
if [ "$dry_run" = yes ]; then
  printf 'spark-submit'; printf ' %q' "${arguments[@]}"; echo
  exit 0
fi
if [ -x "$SPARK_HOME/bin/spark-submit" ]; then
  exec "$SPARK_HOME/bin/spark-submit" "${arguments[@]}"
fi
# What bin/spark-submit does: Spark's launcher prints an empty word, a newline, then the words of one java command, each ended
# by NUL.
java=${JAVA_HOME:+$JAVA_HOME/bin/}java
words=()
while IFS= read -r -d '' word; do words+=("$word"); done < <(
  "$java" -cp "$SPARK_HOME/jars/*" org.apache.spark.launcher.Main org.apache.spark.deploy.SparkSubmit "${arguments[@]}")
words=("${words[@]:1}")
words[0]=${words[0]#$'\n'}
[ ${#words[@]} -gt 1 ] || die "Spark's launcher gave no command, see above"
exec "${words[@]}"
