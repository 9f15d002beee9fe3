package quamba.udf.model;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import quamba.kernels.Backend;
import quamba.kernels.DType;
import quamba.kernels.Sample;
import quamba.kernels.Shape;
import quamba.kernels.Tensor;

/** How each slot samples, on the host and on the device; copied before a step, if it changed. */
final class SlotSampling {
  private static final int KEY_WORDS = 4;

  private final Backend backend;
  private final Sample sample;
  private final ByteBuffer options; // (slots, OPTIONS) f32
  private final ByteBuffer keys; // (slots, KEY_WORDS) i32
  private boolean changed;

  SlotSampling(Backend backend, int slots, int vocab) {
    this.backend = backend;
    Tensor deviceOptions = backend.allocate(DType.F32, Shape.of(slots, Sample.OPTIONS));
    Tensor deviceKeys = backend.allocate(DType.I32, Shape.of(slots, KEY_WORDS));
    Tensor seen = backend.allocate(DType.I8, Shape.of(slots, vocab));
    sample = new Sample(deviceOptions, deviceKeys, seen);
    options = direct(slots * Sample.OPTIONS * Float.BYTES);
    keys = direct(slots * KEY_WORDS * Integer.BYTES);
    for (int slot = 0; slot < slots; slot++) {
      start(slot, Sampling.GREEDY, 0);
    }
  }

  private static ByteBuffer direct(int bytes) {
    return ByteBuffer.allocateDirect(bytes).order(ByteOrder.LITTLE_ENDIAN);
  }

  void start(int slot, Sampling sampling, long key) {
    putOption(slot, Sample.TEMPERATURE, sampling.temperature());
    putOption(slot, Sample.TOP_K, sampling.topK());
    putOption(slot, Sample.TOP_P, sampling.topP());
    putOption(slot, Sample.MIN_P, sampling.minP());
    putOption(slot, Sample.REPETITION_PENALTY, sampling.repetitionPenalty());
    int at = slot * KEY_WORDS * Integer.BYTES;
    putKey(at, sampling.seed());
    putKey(at + Long.BYTES, key);
  }

  private void putOption(int slot, int option, float value) {
    int at = (slot * Sample.OPTIONS + option) * Float.BYTES;
    changed |= options.getFloat(at) != value;
    options.putFloat(at, value);
  }

  /** Little-endian, so that the low word comes first. */
  private void putKey(int at, long value) {
    changed |= keys.getLong(at) != value;
    keys.putLong(at, value);
  }

  /** The device's tables, up to date. */
  Sample current() {
    if (changed) {
      backend.write(sample.options(), options.slice(0, options.capacity()));
      backend.write(sample.keys(), keys.slice(0, keys.capacity()));
      changed = false;
    }
    return sample;
  }
}
