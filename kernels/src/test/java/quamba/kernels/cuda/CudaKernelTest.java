package quamba.kernels.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import quamba.kernels.Hadamard;
import quamba.kernels.ScanState;

/** Holds the table of entry points against the text of the .cu files. */
final class CudaKernelTest {
  private static final Path SOURCES = Path.of("src", "main", "cuda");

  private static final Pattern ENTRY =
      Pattern.compile(
          "extern \"C\" __global__ void __launch_bounds__\\((\\w+)(?:, \\w+)?\\)(?: IN_CLUSTERS\\w*)?"
              + "\\s+(\\w+)\\(([^)]*)\\)");

  /** An entry point as the sources have it. */
  private record Entry(String file, int threads, String parameters) {}

  @Test
  void everyEntryPointStandsInTheTableAsInItsFile() throws IOException {
    Map<String, Entry> expected = new TreeMap<>();
    for (CudaKernel kernel : CudaKernel.values()) {
      expected.put(
          kernel.entry(), new Entry(kernel.file() + ".cu", kernel.threads(), kernel.signature()));
    }
    Map<String, Entry> found = new TreeMap<>();
    for (String file : files()) {
      String text = Files.readString(SOURCES.resolve(file));
      Matcher matcher = ENTRY.matcher(text);
      while (matcher.find()) {
        String parameters = matcher.group(3).replace(" __restrict__", "").replaceAll("\\s+", " ");
        int threads = constant(text, matcher.group(1));
        found.put(matcher.group(2), new Entry(file, threads, parameters));
      }
    }
    assertEquals(expected, found);
  }

  @Test
  void everyGlobalFunctionIsAnEntryPoint() throws IOException {
    for (String file : files()) {
      String text = Files.readString(SOURCES.resolve(file));
      long globals = Pattern.compile("__global__").matcher(text).results().count();
      assertEquals(globals, ENTRY.matcher(text).results().count(), file);
    }
  }

  /** A block's, or a warp's. */
  @Test
  void everyFileTellsItsDynamicSharedMemory() throws IOException {
    for (CudaKernel kernel : CudaKernel.values()) {
      String text = Files.readString(SOURCES.resolve(kernel.file() + ".cu"));
      String block = "%,d".formatted(kernel.sharedBytes());
      String warp = "%,d".formatted(kernel.sharedBytes() / (kernel.threads() / 32));
      boolean told = text.contains(block) || text.contains(warp);
      assertTrue(kernel.sharedBytes() == 0 || told, kernel.entry() + ": " + block);
    }
  }

  @Test
  void parametersAreTypedInOrder() {
    assertEquals(
        List.of(
            CudaKernel.Parameter.READS_I32,
            CudaKernel.Parameter.READS_F32,
            CudaKernel.Parameter.WRITES_F32,
            CudaKernel.Parameter.INT,
            CudaKernel.Parameter.INT),
        CudaKernel.EMBED_PACKED_F32_F32.parameters());
  }

  @Test
  void sharedNumbersAgree() throws IOException {
    assertNumber(CudaPacking.PANEL, "device.cuh", "PANEL");
    assertNumber(CudaPacking.GROUP_BYTES, "device.cuh", "GROUP_BYTES");
    assertNumber(CudaLinear.LINEAR_ROWS, "linear.cu", "LINEAR_ROWS");
    assertNumber(CudaLinear.LINEAR_FEW_ROWS, "linear_codes.cu", "LINEAR_FEW_ROWS");
    assertNumber(CudaLinear.LINEAR_CODES_ROWS, "linear_codes.cu", "LINEAR_CODES_ROWS");
    assertNumber(CudaWidePacking.CHUNK, "matrix.cuh", "CHUNK");
    assertNumber(CudaWidePacking.PIECE, "matrix.cuh", "PIECE");
    assertNumber(CudaTilePacking.CHUNK, "matrix.cuh", "CHUNK");
    assertNumber(CudaTilePacking.TILE, "int4.cuh", "TILE");
    assertNumber(CudaConv.TAPS, "linear_conv.cuh", "TAPS");
    assertNumber(CudaLinearForm.MOST_SLOTS_8, "linear_codes_few.cu", "MOST_SLOTS_8");
    assertNumber(CudaLinearForm.MOST_SLOTS_PAIR, "linear_codes_few.cu", "MOST_SLOTS_PAIR");
    assertNumber(CudaLinearForm.BLOCKS_8, "linear_codes_few.cu", "BLOCKS_8");
    assertNumber(CudaLinearForm.BLOCKS_HELD, "linear_codes_few.cu", "BLOCKS_HELD");
    assertNumber(CudaGate.SHARERS, "gate_rotate_few.cu", "SHARERS");
    assertNumber(CudaLinearForm.MOST_SLOTS_16, "linear_codes_few.cu", "MOST_SLOTS_16");
    assertNumber(CudaLinearForm.FOUR, "linear_codes_sliced.cu", "FOUR");
    assertNumber(CudaLinearForm.PAIR, "linear_codes_sliced.cu", "PAIR");
    assertNumber(CudaLinearForm.SLICE, "linear_codes_sliced.cu", "SLICE");
    assertNumber(CudaLinearForm.WIDE_ROWS, "linear_wide.cuh", "TILE_ROWS");
    assertNumber(CudaLinearForm.TAIL_COLUMNS, "linear_wide.cuh", "TAIL_COLUMNS");
    assertNumber(CudaLinearForm.PAIR, "linear_codes_wide.cu", "PAIR");
    assertNumber(CudaConv.CONV_WIDEST, "conv.cu", "CONV_WIDEST");
    assertNumber(CudaConv.TAPS, "conv.cuh", "TAPS");
    assertNumber(CudaTensor.FOUR, "fours.cuh", "FOUR");
    assertNumber(CudaConv.LANES, "conv_prefill.cu", "LANES");
    assertNumber(CudaRotate.ROTATE_WIDEST, "rotate.cu", "ROTATE_WIDEST");
    assertNumber(CudaScan.BLOCK_CHANNELS, "scan.cu", "BLOCK_CHANNELS");
    assertNumber(CudaScan.HEADS_STATES, "scan.cu", "HEADS_STATES");
    assertNumber(CudaScan.HEADS_WIDE_STATES, "scan.cu", "HEADS_WIDE_STATES");
    assertNumber(CudaScan.CHANNELS_STATES, "scan_channels.cu", "CHANNELS_STATES");
    assertNumber(CudaScan.CHANNELS_WIDE_STATES, "scan_channels.cu", "CHANNELS_WIDE_STATES");
    assertNumber(ScanState.INTERVAL, "scan.cuh", "INTERVAL");
    assertNumber(ScanState.INTERVAL, "scan_ring.cuh", "INTERVAL");
    assertNumber(CudaSlot.HEAD_DIM, "scan_ring.cuh", "HEAD_DIM");
    assertNumber(CudaSlot.STATE_DIM, "scan_ring.cuh", "STATE_DIM");
    assertNumber(CudaState.ROUND_NEVER, "scan.cuh", "ROUND_NEVER");
    assertNumber(CudaState.ROUND_HALF, "scan.cuh", "ROUND_HALF");
    assertNumber(CudaState.ROUND_ROW_SCALED, "scan.cuh", "ROUND_ROW_SCALED");
    assertNumber(CudaState.ROUND_STATIC_SCALED, "scan.cuh", "ROUND_STATIC_SCALED");
  }

  /** The tables of hadamard.cuh, bit by bit, against what Hadamard does to unit vectors. */
  @ParameterizedTest
  @ValueSource(ints = {12, 20, 28})
  void tablesAreThoseOfHadamard(int order) throws IOException {
    String text = Files.readString(SOURCES.resolve("hadamard.cuh"));
    Matcher table =
        Pattern.compile("H%d\\[%d\\] = \\{([^}]*)\\};".formatted(order, order)).matcher(text);
    assertTrue(table.find(), "table of order " + order);
    List<Integer> rows =
        Pattern.compile("0x\\w+")
            .matcher(table.group(1))
            .results()
            .map(row -> Integer.decode(row.group()))
            .toList();
    assertEquals(order, rows.size());
    for (int column = 0; column < order; column++) {
      double[] x = new double[order];
      x[column] = 1;
      Hadamard.of(order).apply(x, 0);
      for (int row = 0; row < order; row++) {
        boolean positive = (rows.get(row) >> column & 1) == 1;
        assertEquals(x[row] > 0, positive, "row " + row + ", column " + column);
      }
    }
  }

  private static void assertNumber(int java, String file, String name) throws IOException {
    assertEquals(java, constant(Files.readString(SOURCES.resolve(file)), name), name);
  }

  private static int constant(String text, String name) {
    Matcher matcher = Pattern.compile("constexpr int " + name + " = (\\d+);").matcher(text);
    assertTrue(matcher.find(), name);
    return Integer.parseInt(matcher.group(1));
  }

  private static List<String> files() throws IOException {
    List<String> names = new ArrayList<>();
    try (var paths = Files.newDirectoryStream(SOURCES, "*.cu")) {
      paths.forEach(path -> names.add(path.getFileName().toString()));
    }
    assertTrue(names.contains("linear.cu"), "sources in " + SOURCES.toAbsolutePath());
    return names;
  }
}
