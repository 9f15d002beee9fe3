#!/usr/bin/env bash
# Compiles every .cu beside this script to OUT/NAME.fatbin: machine code for sm_80 and sm_90a, and PTX for what comes later;
# and early_launch.cpp to OUT/early_launch.so for the JDK in JAVA_HOME.
# Maven calls it; by hand: JAVA_HOME=... compile.sh OUT
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=${1:?usage: compile.sh OUT}

shopt -s nullglob
sources=("$here"/*.cu)
if [ ${#sources[@]} -eq 0 ]; then exit 0; fi
if ! command -v nvcc >/dev/null; then
  echo "fatbins: not built, there is no nvcc on the PATH; everything else is"
  exit 0
fi
mkdir -p "$out"
for source in "${sources[@]}"; do
  target=$out/$(basename "$source" .cu).fatbin
  newest=$(ls -t "$source" "$here"/*.cuh "${BASH_SOURCE[0]}" | head -n 1)
  [ "$target" -nt "$newest" ] && continue
  nvcc -std=c++17 -O3 --fatbin -Werror all-warnings \
    -gencode arch=compute_80,code=sm_80 -gencode arch=compute_90a,code=sm_90a -gencode arch=compute_80,code=compute_80 \
    -o "$target" "$source"
done

source=$here/early_launch.cpp
target=$out/early_launch.so
if [ ! "$target" -nt "$source" ]; then
  : "${JAVA_HOME:?the folder of a JDK 17}"
  nvcc -std=c++17 -O2 -shared --cudart none -Werror all-warnings -Xcompiler -fPIC,-Wall,-Wextra,-Werror \
    -I "$JAVA_HOME/include" -I "$JAVA_HOME/include/linux" -o "$target" "$source"
fi
