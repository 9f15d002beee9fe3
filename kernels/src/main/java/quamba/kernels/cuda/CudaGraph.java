package quamba.kernels.cuda;

import static jcuda.driver.JCudaDriver.cuGraphDestroy;
import static jcuda.driver.JCudaDriver.cuGraphExecDestroy;
import static jcuda.driver.JCudaDriver.cuGraphInstantiate;
import static jcuda.driver.JCudaDriver.cuGraphLaunch;
import static jcuda.driver.JCudaDriver.cuStreamBeginCapture;
import static jcuda.driver.JCudaDriver.cuStreamEndCapture;
import static jcuda.driver.JCudaDriver.cuStreamSynchronize;

import jcuda.driver.CUgraph;
import jcuda.driver.CUgraphExec;
import jcuda.driver.CUresult;
import jcuda.driver.CUstreamCaptureMode;
import quamba.kernels.Recording;

/** Launches that were captured from the stream, and are launched as one. */
final class CudaGraph implements Recording {
  private final CudaContext context;
  private final CUgraphExec graph = new CUgraphExec();
  private boolean closed;

  private CudaGraph(CudaContext context) {
    this.context = context;
  }

  /** Captures what {@code operations} launches; none of it runs yet. */
  static CudaGraph capture(CudaContext context, Runnable operations) {
    context.enter();
    CudaGraph recorded = new CudaGraph(context);
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
    int result = cuGraphInstantiate(recorded.graph, captured, 0);
    cuGraphDestroy(captured);
    CudaFaults.check(result, "cuGraphInstantiate");
    return recorded;
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
      cuGraphExecDestroy(graph);
    }
    closed = true;
  }
}
