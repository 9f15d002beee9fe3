package quamba.kernels.cuda;

import static jcuda.driver.JCudaDriver.cuGraphDestroy;
import static jcuda.driver.JCudaDriver.cuGraphExecDestroy;
import static jcuda.driver.JCudaDriver.cuGraphGetNodes;
import static jcuda.driver.JCudaDriver.cuGraphInstantiate;
import static jcuda.driver.JCudaDriver.cuGraphLaunch;
import static jcuda.driver.JCudaDriver.cuStreamBeginCapture;
import static jcuda.driver.JCudaDriver.cuStreamEndCapture;
import static jcuda.driver.JCudaDriver.cuStreamSynchronize;

import java.util.Optional;
import jcuda.driver.CUgraph;
import jcuda.driver.CUgraphExec;
import jcuda.driver.CUresult;
import jcuda.driver.CUstreamCaptureMode;
import quamba.kernels.Recording;

/** Launches that were captured from the stream, and are launched as one. */
final class CudaGraph implements Recording {
  private final CudaContext context;
  private final CUgraphExec graph = new CUgraphExec();
  private final Optional<CudaRecordingBytes> beside;
  private final long[] launches = new long[1];
  private boolean instantiated;
  private boolean closed;

  private CudaGraph(CudaContext context, Optional<CudaRecordingBytes> beside) {
    this.context = context;
    this.beside = beside;
  }

  /**
   * Captures what {@code operations} launches; none of it runs yet.
   *
   * @param beside what the operations add to while they are captured; the graph's from now on
   */
  static CudaGraph capture(
      CudaContext context, Optional<CudaRecordingBytes> beside, Runnable operations) {
    CudaGraph recorded = new CudaGraph(context, beside);
    try {
      recorded.capture(operations);
      beside.ifPresent(CudaRecordingBytes::upload);
      return recorded;
    } catch (RuntimeException | Error e) {
      recorded.close();
      throw e;
    }
  }

  private void capture(Runnable operations) {
    context.enter();
    CUgraph captured = new CUgraph();
    CudaFaults.check(
        cuStreamBeginCapture(
            context.stream(), CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL),
        "cuStreamBeginCapture");
    try {
      operations.run();
    } catch (RuntimeException | Error e) {
      if (cuStreamEndCapture(context.stream(), captured) == CUresult.CUDA_SUCCESS) {
        cuGraphDestroy(captured);
      }
      throw e;
    }
    CudaFaults.check(cuStreamEndCapture(context.stream(), captured), "cuStreamEndCapture");
    CudaFaults.check(cuGraphGetNodes(captured, null, launches), "cuGraphGetNodes");
    int result = cuGraphInstantiate(graph, captured, 0);
    cuGraphDestroy(captured);
    CudaFaults.check(result, "cuGraphInstantiate");
    instantiated = true;
  }

  /** How many launches were captured. */
  long launches() {
    return launches[0];
  }

  @Override
  public void run() {
    context.enter();
    CudaFaults.check(cuGraphLaunch(graph, context.stream()), "cuGraphLaunch");
  }

  /**
   * Waits for the device, as the graph may be running; results are not looked at, as after a fault.
   */
  @Override
  public void close() {
    if (!closed && context.enterToClose()) {
      cuStreamSynchronize(context.stream());
      if (instantiated) {
        cuGraphExecDestroy(graph);
      }
      beside.ifPresent(CudaRecordingBytes::close);
    }
    closed = true;
  }
}
