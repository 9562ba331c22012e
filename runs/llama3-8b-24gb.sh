#!/usr/bin/env bash
# Llama 3 8B on one GPU with 24 GB: from your rows to a specialist behind vLLM.
#
#   MEASURED ON A GPU: NOT YET. The steps ran on a CPU with the bundled base (BASE=metier/tiny);
#   what they take on a 24 GB card is a forecast until somebody has run this on one.
#
#   DATA=rows.csv PROMPT=question TARGET=answer bash runs/llama3-8b-24gb.sh
#   BASE=metier/tiny DATA=... bash runs/llama3-8b-24gb.sh     # the same road, small, on a CPU
#   DRY=1 bash runs/llama3-8b-24gb.sh                         # only print the commands
#
# It needs: pip install 'metier[quant,gguf]', about 60 GB of disk (16 for the base, 16 for the
# merged model, the rest for checkpoints), 32 GB of memory, and a GPU with 24 GB.
set -euo pipefail

BASE=${BASE:-meta-llama/Meta-Llama-3-8B-Instruct}
DATA=${DATA:-rows.csv}            # one row per example
PROMPT=${PROMPT:-question}        # its column with what users ask
TARGET=${TARGET:-answer}          # its column with the wanted reply or label
TASK=${TASK:-chat}                # classify, extract, answer, summarize, chat, ...
WORK=${WORK:-llama3-8b}           # the project's folder
OUT=${OUT:-$WORK/merged}          # the merged model
METIER=${METIER:-metier}
DRY=${DRY:-}

run() {  # print a command; run it unless DRY is set
  printf '\n$ %s\n' "$*"
  [ -n "$DRY" ] || "$@"
}

# 1. Log in to the hub: Llama 3 is gated, so accept its licence on its page first. The token stays
#    in your home folder; metier never reads it. Nothing to do for a base that is on this machine.
case "$BASE" in
  metier/tiny | /* | ./*) ;;
  *) run hf auth login ;;
esac

# 2. The project. On a GPU the base is held in 4 bits (QLoRA), with an adapter on all linear
#    layers; on a CPU, where bitsandbytes does not train, it is LoRA. A rank of 16 at 2e-4 is the
#    usual start for 8B (metier tune --explain says why); sweep the learning rate before anything.
METHOD='{ type = "qlora", r = 16, alpha = 32 }' LR=2e-4 BATCH=4096 LONGEST=4096
if [ "$BASE" = metier/tiny ]; then
  METHOD='{ type = "lora", r = 8, alpha = 16 }' LR='"auto"' BATCH=2048 LONGEST=1024
fi
printf '\n# %s/metier.toml: %s, %s\n' "$WORK" "$BASE" "$METHOD"
if [ -z "$DRY" ] && [ ! -f "$WORK/metier.toml" ]; then
  mkdir -p "$WORK"
  cat > "$WORK/metier.toml" <<TOML
[project]
name = "llama3-8b"
base = "$BASE"
[objective]
task = "$TASK"
[data]
sources = [{ path = "$(realpath "$DATA")", prompt = "$PROMPT", target = "$TARGET" }]
[tune]
method = $METHOD
lr = $LR
epochs = ${EPOCHS:-3}
batch_tokens = $BATCH
max_tokens = $LONGEST
TOML
fi

# 3. A frozen data version: cleaned, de-identified, split so that nothing leaks.
run "$METIER" data build --project "$WORK"

# 4. What it will take, before it is spent: memory, time and money. Where it does not fit, the
#    forecast says what would; read it before going on.
run "$METIER" forecast --project "$WORK"

# 5. The examples as the model sees them. Refused here is what would train on the wrong tokens.
run "$METIER" inspect --project "$WORK"

# 6. The tune. Interrupted or killed, the same command goes on from the newest checkpoint.
run "$METIER" tune --project "$WORK"

# 7. On the sealed test set, beside the untuned base (one baseline is enough for a first look).
run "$METIER" baseline --project "$WORK" --rung zero_shot
run "$METIER" evaluate --project "$WORK"
run "$METIER" compare zero_shot tuned --project "$WORK"

# 8. One model out of base and adapter, and the proof that it is the model that was tuned: single
#    tokens' log-probabilities, greedy replies, the task's metric. It ends with code 1 on a miss.
run "$METIER" export latest "$OUT" --to merged --check --project "$WORK"

# 9. Serve it. vLLM wants an environment of its own; metier's gateway goes in front of it with
#    [[serve.upstream]], and the last line holds what vLLM answers to what was tuned.
cat <<TEXT

# now, where vLLM is installed:
vllm serve $OUT --max-model-len $LONGEST --gpu-memory-utilization 0.9
# and beside it (needs [[privacy.egress]] host = "localhost", purpose = "parity"):
$METIER parity latest --url http://localhost:8000/v1 --model $OUT --plain --project $WORK
TEXT
