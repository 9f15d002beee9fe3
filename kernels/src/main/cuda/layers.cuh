// Layers of Mamba2 with 4-bit weights, for one token of one row: what layers.cu knows of each. Holds no entry point.
#pragma once

// Pointers as in linear_codes_few.cu (in_proj, its tail and out_proj), linear_conv.cuh, scan_decode.cu, gate_rotate.cu
// and norm.cu; rows are the first of their tensors. CudaLayerField has the fields in this order, pointers of 8 bytes
// first, then numbers of 4.
struct Layer {
  const float* norm_weight;

  const float* in_x_scale;
  const signed char* in_weight;
  const float* in_row_scale;
  signed char* in_out;
  const float* in_out_scale;
  const signed char* tail_weight;
  const float* tail_row_scale;
  float* tail_out;

  const float* conv_weight;
  const float* conv_bias;
  const float* conv_in_scale;
  signed char* conv_state;
  const float* conv_out_scale;

  const float* a;
  const float* dt_bias;
  const float* skip;
  const signed char* x;
  const float* x_scale;
  const void* dt;
  const float* dt_scale;
  const signed char* b;
  const float* b_scale;
  const signed char* c;
  const float* c_scale;
  signed char* state;
  const float* state_scale;
  float* y;

  const signed char* z;
  const float* z_scale;
  const float* gate_weight;

  const float* out_x_scale;
  const signed char* out_weight;
  const float* out_row_scale;

  float norm_epsilon;

  int in_out_scale_step;
  int in_out_dim;
  int tail_dim;

  int conv_in_scale_step;
  int conv_state_stride;
  int conv_out_scale_step;
  int conv_first;
  int channels;

  int heads;
  int heads_per_group;
  int x_scale_step;
  int dt_scale_step;
  int b_scale_step;
  int c_scale_step;
  int state_stride;
  int state_format;  // as below
  float dt_min;
  float dt_max;

  int z_scale_step;
  int groups;
  float gate_epsilon;
  float factor;

  int unused;
};

constexpr int ROW_SCALED = 0;
constexpr int STATIC_SCALED = 1;
constexpr int HALF = 2;
