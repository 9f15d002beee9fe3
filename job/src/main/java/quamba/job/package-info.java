/**
 * The Spark driver: commands, their flags, reading of inputs, the output's folder. Entry: {@link
 * quamba.job.Main}. Nothing here runs on executors but the readers of lines and rows.
 */
package quamba.job;
