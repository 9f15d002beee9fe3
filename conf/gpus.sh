#!/usr/bin/env bash
# A discovery script of Spark: the GPUs of this host by the numbers that CUDA has for them, with CUDA_DEVICE_ORDER=PCI_BUS_ID.
set -euo pipefail
if [ -n "${CUDA_VISIBLE_DEVICES+set}" ]; then # CUDA numbers anew what it is allowed to see
  shown=$(tr -s ', ' '\n' <<< "$CUDA_VISIBLE_DEVICES" | grep -cvE '^(-1|NoDevFiles)?$' || true)
  addresses=$(seq 0 $((shown - 1)))
else
  addresses=$(nvidia-smi --query-gpu=index --format=csv,noheader)
fi
quoted=$(sed 's/.*/"&"/' <<< "$addresses" | paste -sd,)
[ -n "$addresses" ] || quoted=
echo "{\"name\":\"gpu\",\"addresses\":[$quoted]}"
