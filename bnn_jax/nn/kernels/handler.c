/* The entry that XLA calls: results and, where asked for, sums. */
#include "overflow.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "xla/ffi/api/c_api.h"

#if defined(_WIN32)
#define EXPORT __declspec(dllexport)
#else
#define EXPORT __attribute__((visibility("default")))
#include <sched.h>
#endif

/* One pass over all images: a way to cut rows, packed weights, outputs. */
typedef struct {
  Layout layout;
  Kernel *kernel;
  void *weights;
  float *result, *exact;
} Pass;

/* Shared by the threads of one call; the last one to leave frees it. Helpers
 * that start after the work is done find no image left and touch nothing. */
typedef struct {
  Problem problem;
  const float *x;
  const int32_t *start;
  Pass pass[2];
  int passes;
  atomic_llong next, done;
  atomic_int users, failed;
} Work;

/* Runs one image; returns 0 or -1 where there is no memory. */
static int run_image(const Work *work, const Pass *pass, int64_t b) {
  const Problem *p = &work->problem;
  const Layout *layout = &pass->layout;
  const int64_t rows = p->out[0] * p->out[1];
  const int64_t outputs = p->outputs / p->groups;
  const int lanes = 512 / layout->width;
  const int64_t weights =
      (outputs + lanes - 1) / lanes * layout->chunks * 64;
  const int64_t step = layout->tap_chunks ? layout->tap_chunks : layout->chunks;
  const size_t chunk_bytes =
      (size_t)(row_chunks(p, layout) * layout->width / 8 + 64);
  const size_t bits_at = (chunk_bytes + 63) / 64 * 64;
  const size_t rows_at = bits_at + (size_t)(bit_bytes(p) + 63) / 64 * 64;
  uint8_t *memory = malloc(rows_at + (size_t)rows * sizeof(int64_t));
  if (!memory) return -1;
  int64_t *row = (int64_t *)(memory + rows_at);
  pack_image(p, layout,
             work->x + b * p->size[0] * p->size[1] * p->channels,
             memory + bits_at, memory, row);
  for (int64_t g = 0; g < p->groups; ++g) {
    const int64_t at = b * rows * p->outputs + g * outputs;
    const Job job = {
        .layout = layout,
        .x = memory + g * step * (layout->width / 8),
        .row = row,
        .rows = rows,
        .w = (const uint8_t *)pass->weights + g * weights,
        .start = work->start + g * outputs,
        .outputs = outputs,
        .result = pass->result + at,
        .exact = pass->exact ? pass->exact + at : NULL,
        .stride = p->outputs,
    };
    pass->kernel(&job);
  }
  free(memory);
  return 0;
}

static void leave(Work *work) {
  if (atomic_fetch_sub(&work->users, 1) != 1) return;
  for (int i = 0; i < work->passes; ++i) {
    free_layout(&work->pass[i].layout);
    free(work->pass[i].weights);
  }
  free(work);
}

static void run_images(Work *work) {
  for (;;) {
    const int64_t b = atomic_fetch_add(&work->next, 1);
    if (b >= work->problem.batch) return;
    for (int i = 0; i < work->passes; ++i) {
      if (run_image(work, &work->pass[i], b)) atomic_store(&work->failed, 1);
    }
    atomic_fetch_add(&work->done, 1);
  }
}

static void help(void *data) {
  run_images(data);
  leave(data);
}

static int add_pass(Work *work, int want_exact, float *result, float *exact,
                    const float *w) {
  Pass *pass = &work->pass[work->passes++];
  if (make_layout(&work->problem, want_exact, &pass->layout)) return -1;
  pass->kernel = choose_kernel(&pass->layout, work->problem.level);
  pass->weights = pack_weights(&work->problem, &pass->layout, w);
  pass->result = result;
  pass->exact = pass->layout.exact ? exact : NULL;
  return pass->weights ? 0 : -1;
}

/* Adds what the results need, and a second pass where the first has no sums. */
static int prepare(Work *work, const float *w, float *result, float *exact) {
  if (add_pass(work, exact != NULL, result, exact, w)) return -1;
  if (!exact || work->pass[0].exact) return 0;
  const int64_t mode = work->problem.mode;
  work->problem.mode = EXACT;
  const int failed = add_pass(work, 0, exact, NULL, w);
  work->problem.mode = mode;
  return failed;
}

static void start_helpers(const XLA_FFI_CallFrame *frame, Work *work) {
  int64_t threads = 1;
  XLA_FFI_ThreadPool_NumThreads_Args count = {
      XLA_FFI_ThreadPool_NumThreads_Args_STRUCT_SIZE, NULL, frame->ctx,
      &threads};
  XLA_FFI_Error *error = frame->api->XLA_FFI_ThreadPool_NumThreads(&count);
  if (error) {
    XLA_FFI_Error_Destroy_Args destroy = {
        XLA_FFI_Error_Destroy_Args_STRUCT_SIZE, NULL, error};
    frame->api->XLA_FFI_Error_Destroy(&destroy);
    return;
  }
  if (threads > work->problem.batch) threads = work->problem.batch;
  for (int64_t i = 1; i < threads; ++i) {
    XLA_FFI_ThreadPool_Schedule_Args task = {
        XLA_FFI_ThreadPool_Schedule_Args_STRUCT_SIZE, NULL, frame->ctx, help,
        work};
    atomic_fetch_add(&work->users, 1);
    error = frame->api->XLA_FFI_ThreadPool_Schedule(&task);
    if (error) {
      XLA_FFI_Error_Destroy_Args destroy = {
          XLA_FFI_Error_Destroy_Args_STRUCT_SIZE, NULL, error};
      frame->api->XLA_FFI_Error_Destroy(&destroy);
      atomic_fetch_sub(&work->users, 1);
      return;
    }
  }
}

/* Waits for images that helpers have begun; they end on their own. */
static void wait_for_helpers(Work *work) {
  while (atomic_load(&work->done) < work->problem.batch) {
#if !defined(_WIN32)
    sched_yield();
#endif
  }
}

static XLA_FFI_Error *refuse(const XLA_FFI_CallFrame *frame,
                             const char *message) {
  XLA_FFI_Error_Create_Args args = {XLA_FFI_Error_Create_Args_STRUCT_SIZE,
                                    NULL, message,
                                    XLA_FFI_Error_Code_INVALID_ARGUMENT};
  return frame->api->XLA_FFI_Error_Create(&args);
}

/* The numbers of the attribute `plan`, or NULL. */
static const int64_t *plan_of(const XLA_FFI_CallFrame *frame, size_t count) {
  const XLA_FFI_Attrs *attrs = &frame->attrs;
  for (int64_t i = 0; i < attrs->size; ++i) {
    const XLA_FFI_ByteSpan *name = attrs->names[i];
    if (name->len != 4 || memcmp(name->ptr, "plan", 4)) continue;
    if (attrs->types[i] != XLA_FFI_AttrType_ARRAY) return NULL;
    const XLA_FFI_Array *array = attrs->attrs[i];
    return array->size == count && array->dtype == XLA_FFI_DataType_S64
               ? array->data
               : NULL;
  }
  return NULL;
}

enum { PLAN = 16 };

static void read_problem(const XLA_FFI_Buffer *x, const XLA_FFI_Buffer *w,
                         const XLA_FFI_Buffer *y, const int64_t *plan,
                         Problem *p) {
  p->batch = x->dims[0];
  p->channels = x->dims[3];
  p->own = w->dims[2];
  p->outputs = w->dims[3];
  for (int axis = 0; axis < 2; ++axis) {
    p->size[axis] = x->dims[1 + axis];
    p->kernel[axis] = w->dims[axis];
    p->out[axis] = y->dims[1 + axis];
    p->stride[axis] = plan[axis];
    p->dilation[axis] = plan[2 + axis];
    p->before[axis] = plan[4 + 2 * axis];
    p->after[axis] = plan[5 + 2 * axis];
  }
  p->groups = plan[8];
  p->bits = plan[9];
  p->mode = plan[10];
  p->unit = plan[11];
  p->simd = plan[12];
  p->preloaded = plan[13];
  p->level = plan[14];
}

/* True where a buffer has an element type and dimensions; -1 is any. */
static int has(const XLA_FFI_Buffer *buffer, XLA_FFI_DataType type,
               int64_t rank, const int64_t *dims) {
  if (buffer->dtype != type || buffer->rank != rank) return 0;
  for (int64_t i = 0; i < rank; ++i) {
    if (dims[i] >= 0 && buffer->dims[i] != dims[i]) return 0;
  }
  return 1;
}

/* True where no number of the problem leads out of a buffer. */
static int is_possible(const Problem *p) {
  for (int axis = 0; axis < 2; ++axis) {
    if (p->stride[axis] < 1 || p->dilation[axis] < 1 || p->kernel[axis] < 1 ||
        p->before[axis] < 0 || p->after[axis] < 0) {
      return 0;
    }
    const int64_t reach = p->size[axis] + p->before[axis] + p->after[axis] -
                          (p->kernel[axis] - 1) * p->dilation[axis];
    if (reach < 1 || p->out[axis] != (reach - 1) / p->stride[axis] + 1) {
      return 0;
    }
  }
  return p->own > 0 && p->simd > 0 && p->groups > 0 &&
         p->channels == p->groups * p->own && p->outputs % p->groups == 0;
}

/* True where buffers are those that `read_problem` and the kernels read. */
static int fits(const XLA_FFI_CallFrame *frame, const int64_t *plan) {
  static const int64_t any[4] = {-1, -1, -1, -1};
  XLA_FFI_Buffer *const *args = (XLA_FFI_Buffer *const *)frame->args.args;
  XLA_FFI_Buffer *const *rets = (XLA_FFI_Buffer *const *)frame->rets.rets;
  if (!has(args[0], XLA_FFI_DataType_F32, 4, any) ||
      !has(args[1], XLA_FFI_DataType_F32, 4, any) ||
      !has(args[2], XLA_FFI_DataType_S32, 1, &args[1]->dims[3])) {
    return 0;
  }
  const int64_t result[4] = {args[0]->dims[0], -1, -1, args[1]->dims[3]};
  if (!has(rets[0], XLA_FFI_DataType_F32, 4, result)) return 0;
  if (plan[15] && !has(rets[1], XLA_FFI_DataType_F32, 4, rets[0]->dims)) {
    return 0;
  }
  Problem problem;
  read_problem(args[0], args[1], rets[0], plan, &problem);
  return is_possible(&problem);
}

static XLA_FFI_Error *execute(const XLA_FFI_CallFrame *frame) {
  const int64_t *plan = plan_of(frame, PLAN);
  const int with_exact = plan && plan[15];
  if (!plan || frame->args.size != 3 ||
      frame->rets.size != 1 + with_exact || !fits(frame, plan)) {
    return refuse(frame, "the overflow kernel was called with other arguments "
                         "than it knows; install the package again.");
  }
  const XLA_FFI_Buffer *x = frame->args.args[0];
  const XLA_FFI_Buffer *w = frame->args.args[1];
  const XLA_FFI_Buffer *start = frame->args.args[2];
  const XLA_FFI_Buffer *y = frame->rets.rets[0];
  Work *work = calloc(1, sizeof(Work));
  if (!work) return refuse(frame, "the overflow kernel is out of memory.");
  atomic_store(&work->users, 1);
  read_problem(x, w, y, plan, &work->problem);
  work->x = x->data;
  work->start = start->data;
  float *exact =
      with_exact ? ((XLA_FFI_Buffer *)frame->rets.rets[1])->data : NULL;
  int failed = prepare(work, w->data, y->data, exact);
  if (!failed) {
    start_helpers(frame, work);
    run_images(work);
    wait_for_helpers(work);
    failed = atomic_load(&work->failed);
  }
  leave(work);
  return failed ? refuse(frame, "the overflow kernel is out of memory.") : NULL;
}

EXPORT XLA_FFI_Error *bnn_jax_overflow(XLA_FFI_CallFrame *frame) {
  XLA_FFI_Extension_Base *extension = frame->extension_start;
  if (extension && extension->type == XLA_FFI_Extension_Metadata) {
    XLA_FFI_Metadata *metadata =
        ((XLA_FFI_Metadata_Extension *)extension)->metadata;
    metadata->api_version.major_version = XLA_FFI_API_MAJOR;
    metadata->api_version.minor_version = XLA_FFI_API_MINOR;
    metadata->traits = 0;
    return NULL;
  }
  return execute(frame);
}

/* The best of the levels that this processor has. */
EXPORT int bnn_jax_overflow_level(void) {
#ifdef __x86_64__
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512vbmi") &&
      __builtin_cpu_supports("avx512bitalg") &&
      __builtin_cpu_supports("avx512vpopcntdq")) {
    return AVX512;
  }
  if (__builtin_cpu_supports("avx2")) return AVX2;
#endif
  return PORTABLE;
}
