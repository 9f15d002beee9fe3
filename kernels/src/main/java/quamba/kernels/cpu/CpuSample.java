package quamba.kernels.cpu;

import java.util.Arrays;
import quamba.kernels.Sample;

/** Marks what each row has seen and chooses next ids, a row a part. */
final class CpuSample {
  private final CpuThreads threads;
  private final Candidates[] candidates; // (threads)
  private int vocab = -1;

  CpuSample(CpuThreads threads) {
    this.threads = threads;
    this.candidates = new Candidates[threads.count()];
  }

  void run(Sample p, CpuBatch batch, CpuTensor ids, CpuTensor logits, CpuTensor out) {
    CpuTensor seen = (CpuTensor) p.seen();
    if (vocab != seen.shape().dim(1)) {
      vocab = seen.shape().dim(1);
      Arrays.setAll(candidates, thread -> new Candidates(vocab));
    }
    int chosen = logits.shape().dim(0);
    threads.run(
        batch.rows(),
        (row, thread) -> {
          mark(batch, row, ids, seen);
          if (row < chosen) {
            out.ints()[out.offset() + row * out.stride()] =
                choose(p, batch, row, logits, candidates[thread]);
          }
        });
  }

  private void mark(CpuBatch batch, int row, CpuTensor ids, CpuTensor seen) {
    int at = seen.offset() + batch.slot(row) * seen.stride();
    if (batch.position(row) == 0) {
      Arrays.fill(seen.bytes(), at, at + vocab, (byte) 0);
    }
    for (int token = batch.start(row); token < batch.start(row + 1); token++) {
      int id = ids.ints()[ids.offset() + token * ids.stride()];
      if (id < vocab) {
        seen.bytes()[at + id] = 1;
      }
    }
  }

  private int choose(Sample p, CpuBatch batch, int row, CpuTensor logits, Candidates candidates) {
    int slot = batch.slot(row);
    CpuTensor options = (CpuTensor) p.options();
    float[] option = options.floats();
    int optionsAt = options.offset() + slot * options.stride();
    float temperature = option[optionsAt + Sample.TEMPERATURE];
    float penalty = option[optionsAt + Sample.REPETITION_PENALTY];
    int logitsAt = logits.offset() + row * logits.stride();
    if (temperature == 0 && penalty == 1) {
      return Candidates.greatest(logits.floats(), logitsAt, vocab);
    }
    candidates.fill(logits.floats(), logitsAt);
    if (penalty != 1) {
      CpuTensor seen = (CpuTensor) p.seen();
      candidates.penalize(seen.bytes(), seen.offset() + slot * seen.stride(), penalty);
    }
    if (temperature == 0) {
      return candidates.greatest();
    }
    int topK = (int) option[optionsAt + Sample.TOP_K];
    if (topK > 0) {
      candidates.keepCount(topK);
    }
    candidates.weigh(temperature);
    float topP = option[optionsAt + Sample.TOP_P];
    if (topP < 1) {
      candidates.keepShare(topP);
    }
    float minP = option[optionsAt + Sample.MIN_P];
    if (minP > 0) {
      candidates.keepWeight(minP);
    }
    return candidates.choose(uniform(p, batch, row, slot));
  }

  /** The random number of a row at the index of the id to be chosen. */
  private static double uniform(Sample p, CpuBatch batch, int row, int slot) {
    CpuTensor keys = (CpuTensor) p.keys();
    int[] key = keys.ints();
    int at = keys.offset() + slot * keys.stride();
    int index = batch.position(row) + batch.start(row + 1) - batch.start(row);
    int[] counter = {key[at + 2], key[at + 3], index, 0};
    Philox.apply(counter, key[at], key[at + 1]);
    return Philox.uniform(counter[0]);
  }
}
