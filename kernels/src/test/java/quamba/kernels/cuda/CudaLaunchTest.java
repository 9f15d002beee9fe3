package quamba.kernels.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import quamba.kernels.Batch;
import quamba.kernels.DType;
import quamba.kernels.Gate;
import quamba.kernels.Scan;
import quamba.kernels.ScanState;
import quamba.kernels.Shape;

/**
 * How kernels are launched, in a process of its own whose driver says so and does nothing else
 * ({@code driver_stand_in.cpp}); needs nvcc.
 */
final class CudaLaunchTest {
  @TempDir private Path folder;

  @Test
  void kernelsBeginEarlyAndSpreadRowsAreSplitAndSmallCopiesAreKernels() throws Exception {
    boolean compiles =
        Stream.of(System.getenv("PATH").split(File.pathSeparator))
            .anyMatch(path -> Files.isExecutable(Path.of(path, "nvcc")));
    assumeTrue(compiles, "skipped: there is no nvcc on the PATH");
    Path source = Path.of("src", "test", "cuda", "driver_stand_in.cpp");
    Path driver = folder.resolve("libcuda.so.1");
    assertEquals(
        "",
        run(
            new ProcessBuilder(
                "nvcc",
                "-std=c++17",
                "-shared",
                "--cudart",
                "none",
                "-Xcompiler",
                "-fPIC",
                "-o",
                driver.toString(),
                source.toString())));
    ProcessBuilder child =
        new ProcessBuilder(
            Path.of(System.getProperty("java.home"), "bin", "java").toString(),
            "-cp",
            System.getProperty("java.class.path"),
            Child.class.getName());
    child.environment().put("LD_LIBRARY_PATH", folder.toString());
    // 64 rows of norm: a multiprocessor has room for one. Scan: a block has 4 of 80 heads, with 16
    // rows 8; below 128 rows, one in eight may have a block for 2; behind a product of few rows it
    // begins early. Gates: up to 16 rows, 4 blocks each. Copies: of few whole numbers, a kernel.
    assertEquals(
        """
        early norm_f32_f32 1 1 1, 256, 0, 8
        early norm_f32_f32 64 1 1, 256, 231424, 8
        plain rotate_f32_f32 64 1 1, 256, 0, 8
        plain scan_decode_f32_row_f32 20 1 2, 128, 0, 0
        plain scan_decode_f32_row_f32 20 1 17, 128, 0, 0
        plain scan_decode_f32_row_f32 10 1 22, 128, 0, 0
        plain scan_decode_f32_row_f32 10 1 88, 128, 0, 0
        plain scan_decode_f32_row_f32 10 1 128, 128, 0, 0
        early linear_few8_i4_i8_i8 3 1 1, 256, 9472, 0
        early scan_decode_f32_row_f32 20 1 2, 128, 0, 0
        plain scan_decode_f32_row_f32 20 1 2, 128, 0, 0
        early gate_rotate_few_f32_f32 4 1 1, 512, 0, 1536
        early gate_rotate_few_f32_f32 64 1 1, 512, 0, 1536
        early gate_rotate_f32_f32 17 1 1, 1024, 0, 1536
        early gate_rotate_f32_f32 132 1 1, 1024, 0, 1536
        plain copy_i32 64 1 1, 128, 0, 0
        copied 32772 bytes
        copied 6 bytes
        """,
        run(child));
  }

  /** What a process says; it must end well. */
  private static String run(ProcessBuilder builder) throws IOException, InterruptedException {
    Process process = builder.redirectErrorStream(true).start();
    String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertEquals(0, process.waitFor(), said);
    return said;
  }

  /** Launches with tensors whose addresses are none. */
  static final class Child {
    private Child() {}

    public static void main(String[] args) {
      try (CudaContext context = CudaContext.open(0);
          CudaModules modules = new CudaModules(context.hasWarpgroups())) {
        assertTrue(context.hasWarpgroups());
        CudaLaunch launch = new CudaLaunch(context, modules);
        List.of(1, 64).forEach(rows -> norm(launch, rows));
        new CudaRotate(launch).run(floats(64, 8), floats(64, 8));
        List.of(1, 15, 16, 64, 128).forEach(rows -> scan(launch, rows));
        product(launch);
        List.of(1, 1).forEach(rows -> scan(launch, rows));
        CudaGate gate = new CudaGate(launch, context.hasWarpgroups(), context.multiprocessors());
        List.of(1, 16, 17, 200).forEach(rows -> gate(gate, rows));
        List.of(32 << 10, (32 << 10) + 4, 6).forEach(bytes -> copy(context, launch, bytes));
      }
    }

    private static void norm(CudaLaunch launch, int rows) {
      CudaTensor x = floats(rows, 8);
      launch
          .of(CudaKernel.NORM_F32_F32)
          .strided(x)
          .strided(x)
          .dense(floats(8))
          .values(x)
          .number(8)
          .number(1e-5f)
          .over(rows, 1, 1);
    }

    /** Of one row. */
    private static void product(CudaLaunch launch) {
      CudaKernel kernel = CudaKernel.LINEAR_FEW8_I4_I8_I8;
      CudaLinearForm.Size size = new CudaLinearForm.Size(1, 128, 40);
      launch.of(kernel).shared(CudaLinearForm.FEW8.sharedBytes(kernel, size));
      for (int i = 0; i < kernel.parameters().size(); i++) {
        switch (kernel.parameters().get(i)) {
          case INT -> launch.number(0);
          case FLOAT -> launch.number(0f);
          default -> launch.nothing();
        }
      }
      launch.over(CudaLinearForm.FEW8.across(size, 1, 132), CudaLinearForm.FEW8.down(size), 1);
    }

    private static void scan(CudaLaunch launch, int rows) {
      Scan.Dims dims = new Scan.Dims(80, CudaSlot.HEAD_DIM, CudaSlot.STATE_DIM, 1);
      ScanState format = new ScanState.RowScaled();
      CudaTensor x = floats(rows, dims.innerDim());
      CudaTensor states = floats(rows, dims.stateDim());
      new CudaReplay(launch)
          .run(
              new Scan(floats(80), floats(80), floats(80), dims, Scan.Limit.NONE),
              new Batch(rows, rows, rows, ints(rows), ints(rows + 1), ints(rows)),
              new CudaReplay.Inputs(x, floats(rows, 80), states, states),
              CudaState.replayed(
                  format,
                  Shape.of(rows, 80, dims.headDim(), dims.stateDim()),
                  none(DType.I8, Shape.of(rows, new CudaSlot(format, DType.F32, dims).bytes()))),
              x);
    }

    private static void gate(CudaGate gate, int rows) {
      CudaTensor x = floats(rows, 1536);
      gate.runRotated(new Gate.Plain(), x, x, x);
    }

    private static void copy(CudaContext context, CudaLaunch launch, int bytes) {
      try (CudaPinned memory = new CudaPinned(bytes)) {
        new CudaCopies(context, launch).toDevice(new CudaAddress(), memory, 0, bytes);
      }
    }

    private static CudaTensor floats(int... dims) {
      return none(DType.F32, Shape.of(dims));
    }

    private static CudaTensor ints(int count) {
      return none(DType.I32, Shape.of(count));
    }

    private static CudaTensor none(DType dtype, Shape shape) {
      return CudaTensor.dense(dtype, shape, new CudaAddress());
    }
  }
}
