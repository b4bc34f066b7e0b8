// Methods for Lua, through the FFI: msgpack in, msgpack out, for a project in this process and for
// a server elsewhere. Errors are the flat struct of base/error.h; buffers are the caller's and are
// freed by tidemark_free. Also frames, for specs.

#include <stddef.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "rpc/call.h"
#include "rpc/client.h"
#include "rpc/frame.h"
#include "rpc/metrics.h"

#define EXPORT __attribute__((visibility("default")))

// What lua/tidemark/ffi.lua declares.
_Static_assert(offsetof(Error, where) == 4 && offsetof(Error, message) == 196, "Error in Lua");
_Static_assert(sizeof(Error) == 708 && sizeof(Buf) == 24, "Error and Buf in Lua");

static const MpLimits PARAMS = {.depth = FRAME_DEPTH_MAX, .elements = UINT32_MAX};

typedef struct {
  Engine *engine;
  CallContext *context;
} Project;

// The bytes come from outside: methods get them only as one whole map.
static bool check_params(Slice params, Error *err)
{
  const uint8_t *start = (const uint8_t *)params.data;
  MpReader reader = {start, start + params.size};
  MpReader first = reader;
  MpToken token;
  if (mp_skip(&reader, PARAMS) != MP_OK || reader.at != reader.end
      || mp_next(&first, &token) != MP_OK || token.kind != MP_MAP) {
    return error_set(err, ERR_PROTOCOL, "params are not one msgpack map");
  }
  return true;
}

EXPORT Project *tidemark_open(const char *folder, const char *store, Error *err);
EXPORT Project *tidemark_open(const char *folder, const char *store, Error *err)
{
  Engine *engine = engine_open(&(EngineOptions){.project = folder, .store = store}, err);
  if (!engine) {
    return NULL;
  }
  Project *project = mem_zalloc(1, sizeof(*project));
  project->engine = engine;
  project->context = call_context_new(engine, CALL_LOCAL);
  return project;
}

EXPORT void tidemark_close(Project *project);
EXPORT void tidemark_close(Project *project)
{
  if (project) {
    call_context_free(project->context);
    engine_close(project->engine);
    free(project);
  }
}

EXPORT bool tidemark_call(Project *project, const char *method, size_t method_size,
                          const char *params, size_t params_size, Buf *result, Error *err);
EXPORT bool tidemark_call(Project *project, const char *method, size_t method_size,
                          const char *params, size_t params_size, Buf *result, Error *err)
{
  Slice map = slice_of(params, params_size);
  return check_params(map, err)
         && call_method(project->context, slice_of(method, method_size), map, result, err);
}

EXPORT Client *tidemark_connect(const char *address, unsigned timeout_ms, Error *err);
EXPORT Client *tidemark_connect(const char *address, unsigned timeout_ms, Error *err)
{
  return client_open(address, timeout_ms, err);
}

EXPORT void tidemark_disconnect(Client *client);
EXPORT void tidemark_disconnect(Client *client)
{
  client_close(client);
}

EXPORT bool tidemark_client_call(Client *client, const char *method, size_t method_size,
                                 const char *params, size_t params_size, Buf *result, Error *err);
EXPORT bool tidemark_client_call(Client *client, const char *method, size_t method_size,
                                 const char *params, size_t params_size, Buf *result, Error *err)
{
  Slice map = slice_of(params, params_size);
  return check_params(map, err)
         && client_call(client, slice_of(method, method_size), map, result, err);
}

EXPORT void tidemark_free(Buf *result);
EXPORT void tidemark_free(Buf *result)
{
  buf_deinit(result);
}

EXPORT bool tidemark_time_parse(const char *text, size_t size, Time *time, Error *err);
EXPORT bool tidemark_time_parse(const char *text, size_t size, Time *time, Error *err)
{
  return clock_parse(slice_of(text, size), time, err);
}

// `out` holds CLOCK_TEXT_SIZE bytes.
EXPORT size_t tidemark_time_print(Time time, char *out);
EXPORT size_t tidemark_time_print(Time time, char *out)
{
  return clock_print(time, out);
}

// Frames, for specs -------------------------------------------------------------------------------

EXPORT size_t tidemark_frame_scan_size(void);
EXPORT size_t tidemark_frame_scan_size(void)
{
  return sizeof(FrameScan);
}

EXPORT int tidemark_frame_next(FrameScan *scan, const char *bytes, size_t count,
                               const FrameLimits *limits, Frame *frame, size_t *size, Error *err);
EXPORT int tidemark_frame_next(FrameScan *scan, const char *bytes, size_t count,
                               const FrameLimits *limits, Frame *frame, size_t *size, Error *err)
{
  return (int)frame_next(scan, slice_of(bytes, count), limits, frame, size, err);
}

EXPORT bool tidemark_frame_params(const Frame *frame, Slice *map, Error *err);
EXPORT bool tidemark_frame_params(const Frame *frame, Slice *map, Error *err)
{
  return frame_params(frame, map, err);
}

// Histograms, for specs: what becomes of some values
// ------------------------------------------------

EXPORT void tidemark_histogram(const uint64_t *values, size_t count, HistogramSum *sum);
EXPORT void tidemark_histogram(const uint64_t *values, size_t count, HistogramSum *sum)
{
  Histogram *histogram = mem_zalloc(1, sizeof(*histogram));
  for (size_t i = 0; i < count; i++) {
    histogram_add(histogram, values[i]);
  }
  histogram_sum(sum, histogram);
  free(histogram);
}

EXPORT size_t tidemark_histogram_size(void);
EXPORT size_t tidemark_histogram_size(void)
{
  return sizeof(HistogramSum);
}

EXPORT double tidemark_histogram_quantile(const HistogramSum *sum, double share);
EXPORT double tidemark_histogram_quantile(const HistogramSum *sum, double share)
{
  return (double)histogram_quantile(sum, share);
}

EXPORT double tidemark_histogram_below(const HistogramSum *sum, unsigned power);
EXPORT double tidemark_histogram_below(const HistogramSum *sum, unsigned power)
{
  return (double)histogram_below(sum, power);
}
