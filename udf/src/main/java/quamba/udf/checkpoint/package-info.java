/**
 * Files of a model: {@code config.json}, safetensors, torch archives. Entry: {@link
 * quamba.udf.checkpoint.Checkpoint}. Nothing in a file is ever executed; every length in it is
 * checked before it is used. May import {@code quamba.kernels} (HostTensor, DType, Shape), Jackson,
 * and Commons Compress, which finds the entries of a zip archive.
 */
package quamba.udf.checkpoint;
