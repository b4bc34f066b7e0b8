// push: rows into the log and online.

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/mem.h"
#include "engine/push.h"
#include "rpc/methods.h"
#include "rpc/pack.h"

enum { ROW_SPACE = 256 };  // what a row takes beside the values of the request, for most views

// A push under way, with what its answer needs.
typedef struct {
  Later later;
  Push push;
  PushRejections rejections;
  Arena arena;  // of these
} Pushing;

static void pushing_free(Pushing *pushing)
{
  push_deinit(&pushing->push);
  arena_deinit(&pushing->arena);
  free(pushing);
}

static void pack_pushed(Buf *out, Pushing *pushing)
{
  push_reject_large(&pushing->push, &pushing->rejections, &pushing->arena);
  PackMap map = pack_map_begin(out);
  pack_count(&map, "written", pushing->push.written);
  pack_count(&map, "stale", pushing->push.stale);
  pack_count(&map, "filtered", pushing->rejections.filtered);
  pack_key(&map, "rejected");
  pack_array(out, pushing->rejections.count);
  for (size_t i = 0; i < pushing->rejections.count; i++) {
    const PushRejection *rejection = &pushing->rejections.items[i];
    PackMap fields = pack_map_begin(out);
    pack_count(&fields, "index", rejection->row);
    pack_text(&fields, "field", *rejection->field ? rejection->field : NULL);
    pack_text(&fields, "reason", rejection->reason);
    pack_map_end(&fields);
  }
  pack_map_end(&map);
}

// On the writer's thread. All of them are of one thread.
static void on_done(Push *first)
{
  for (Push *push = first; push->next; push = push->next) {
    Pushing *pushing = push->context;
    Pushing *next = push->next->context;
    later_chain(&pushing->later, &next->later);
  }
  Pushing *pushing = first->context;
  later_ready(&pushing->later);
}

// On the thread of the call again.
static bool finish(Later *later, Buf *result, Error *err)
{
  Pushing *pushing = (Pushing *)later;
  bool ok = pushing->push.ok;
  if (ok) {
    pack_pushed(result, pushing);
  } else {
    error_set(err, pushing->push.err.code, "%s", pushing->push.err.message);
  }
  pushing_free(pushing);
  return ok;
}

static uint8_t target_of(Slice to)
{
  return !to.data || slice_is(to, "both") ? PUSH_ONLINE | PUSH_OFFLINE
         : slice_is(to, "online")         ? PUSH_ONLINE
                                          : PUSH_OFFLINE;
}

static bool encode(Call *call, const PushParams *params, Pushing *pushing, Error *err)
{
  CallContext *context = call->context;
  if (!context_catalog(context, err)) {
    return false;
  }
  const View *view = catalog_find_view(context->catalog, params->view, err);
  if (!view) {
    return error_at(err, "view");
  }
  Functions *functions = NULL;
  if (view->filter.at || view->transform.at) {
    functions = context_functions(context, err);
    if (!functions) {
      return false;
    }
  }
  const uint8_t *start = (const uint8_t *)params->rows.raw.data;
  PushRequest request = {
      .view = view,
      .rows = {start, start + params->rows.raw.size},
      .to = target_of(params->to),
      .now = params->now,
      .arrived = clock_now(),
      .functions = functions,
  };
  size_t rows = push_count(request.rows);
  if (rows > context->limits.max_rows) {
    error_set(err, ERR_LIMIT,
              "%zu rows in one request, at most %" PRIu32 " are allowed: send several", rows,
              context->limits.max_rows);
    return error_at(err, "rows");
  }
  return push_encode(&request, &pushing->push, &pushing->rejections, &pushing->arena, err)
         || error_at(err, "rows");
}

// Hands the push over; *later tells whether the answer comes when it is done. Without that, waits.
static bool submit(Call *call, Pushing *pushing, bool *later, Error *err)
{
  CallContext *context = call->context;
  Writer *writer = engine_writer(context->engine, err);
  *later = false;
  if (!writer) {
    return false;
  }
  if (!call_can_defer(context)) {
    context_end_read(context);  // no snapshot is kept over a wait
    return writer_push(writer, &pushing->push, err);
  }
  *later = true;
  pushing->later.finish = finish;
  pushing->push.done = on_done;
  pushing->push.owner = context;
  pushing->push.context = pushing;
  call_defer(context, &pushing->later);
  context_add_push(context, writer, &pushing->push);
  return true;
}

bool method_push(Call *call, const void *params, Error *err)
{
  Pushing *pushing = mem_zalloc(1, sizeof(*pushing));
  bool later = false;
  bool ok = encode(call, params, pushing, err);
  if (ok && pushing->push.count) {
    ok = submit(call, pushing, &later, err);
  }
  if (later) {
    return true;
  }
  if (ok) {
    pack_pushed(call->result, pushing);
  }
  pushing_free(pushing);
  return ok;
}
