#include "rpc/frame.h"

#include <assert.h>
#include <inttypes.h>

static const MpLimits CHECKED = {.depth = FRAME_DEPTH_MAX, .elements = UINT64_MAX};

static uint64_t values_inside(const MpToken *token)
{
  switch (token->kind) {
  case MP_ARRAY:
    return token->count;
  case MP_MAP:
    return (uint64_t)token->count * 2;
  default:
    return 0;
  }
}

// A value has ended: it may have been the last of what is open around it.
static void scan_value(FrameScan *scan)
{
  while (scan->depth && --scan->left[scan->depth - 1] == 0) {
    scan->depth--;
  }
}

static bool scan_token(FrameScan *scan, const MpToken *token, const FrameLimits *limits, Error *err)
{
  uint64_t values = values_inside(token);
  bool nested = token->kind == MP_ARRAY || token->kind == MP_MAP;
  if (nested && scan->depth == limits->depth) {
    return error_set(err, ERR_LIMIT, "the frame is nested deeper than %" PRIu32 " levels",
                     limits->depth);
  }
  if (values > limits->elements - scan->elements) {
    return error_set(err, ERR_LIMIT, "the frame has more than %" PRIu32 " values",
                     limits->elements);
  }
  if (values == 0) {
    scan_value(scan);
    return true;
  }
  scan->elements += (uint32_t)values;
  scan->left[scan->depth++] = (uint32_t)values;
  return true;
}

// Every frame is an array of three or four: anything else, such as HTTP, is refused at its first
// byte.
static bool check_first(const MpToken *token, Error *err)
{
  if (token->kind == MP_ARRAY && (token->count == 3 || token->count == 4)) {
    return true;
  }
  return error_set(err, ERR_PROTOCOL, "expected a msgpack-RPC message: an array of 3 or 4 values");
}

// Goes on to the end of the frame or of the bytes. *least: of how many bytes the frame is, as far
// as that is known; a text says how long it is going to be.
static FrameStatus scan_bytes(FrameScan *scan, Slice bytes, const FrameLimits *limits,
                              uint64_t *least, Error *err)
{
  const uint8_t *start = (const uint8_t *)bytes.data;
  MpReader reader = {start + scan->scanned, start + bytes.size};
  do {
    MpToken token;
    MpStatus status = mp_next(&reader, &token);
    if (status == MP_MORE) {
      uint64_t announced = scan->scanned + (uint64_t)token.bytes.size;
      *least = announced > bytes.size ? announced : bytes.size;
      return FRAME_MORE;
    }
    if (status != MP_OK) {
      error_set(err, ERR_PROTOCOL, "byte %zu of the frame is not msgpack",
                (size_t)(reader.at - start));
      return FRAME_BAD;
    }
    if (scan->scanned == 0 && !check_first(&token, err)) {
      return FRAME_BAD;
    }
    if (!scan_token(scan, &token, limits, err)) {
      return FRAME_BAD;
    }
    scan->scanned = (size_t)(reader.at - start);
  } while (scan->depth);
  *least = scan->scanned;
  return FRAME_OK;
}

static bool take_id(MpReader *reader, Frame *frame)
{
  MpToken token;
  if (mp_next(reader, &token) != MP_OK || token.kind != MP_INT || token.integer < 0
      || token.integer > UINT32_MAX) {
    return false;
  }
  frame->has_id = true;
  frame->id = (uint32_t)token.integer;
  return true;
}

// Of a request that cannot be read to its end: its id, if that much is there.
static void peek_id(Slice bytes, Frame *frame)
{
  const uint8_t *start = (const uint8_t *)bytes.data;
  MpReader reader = {start, start + bytes.size};
  MpToken array, kind;
  if (mp_next(&reader, &array) == MP_OK && array.kind == MP_ARRAY && array.count == 4
      && mp_next(&reader, &kind) == MP_OK && kind.kind == MP_INT && kind.integer == 0) {
    frame->kind = FRAME_REQUEST;
    take_id(&reader, frame);
  }
}

static Slice take_value(MpReader *reader)
{
  const uint8_t *start = reader->at;
  MpStatus status = mp_skip(reader, CHECKED);
  assert(status == MP_OK);
  (void)status;
  return slice_of(start, (size_t)(reader->at - start));
}

static bool take_method(MpReader *reader, Frame *frame, Error *err)
{
  MpToken token;
  frame->rest = slice_of(reader->at, (size_t)(reader->end - reader->at));
  if (mp_next(reader, &token) != MP_OK || (token.kind != MP_STR && token.kind != MP_BIN)) {
    return error_set(err, ERR_PROTOCOL, "the method's name is not a string");
  }
  frame->method = token.bytes;
  frame->params = take_value(reader);
  return true;
}

// Takes a complete frame apart.
static bool parse_frame(Slice bytes, Frame *frame, Error *err)
{
  const uint8_t *start = (const uint8_t *)bytes.data;
  MpReader reader = {start, start + bytes.size};
  MpToken array = mp_take(&reader);
  MpToken kind;
  if (mp_next(&reader, &kind) != MP_OK || kind.kind != MP_INT || kind.integer < 0
      || kind.integer > FRAME_NOTIFICATION) {
    return error_set(err, ERR_PROTOCOL, "expected a message of type 0, 1 or 2");
  }
  frame->kind = (FrameKind)kind.integer;
  if (array.count != (frame->kind == FRAME_NOTIFICATION ? 3 : 4)) {
    return error_set(err, ERR_PROTOCOL, "a message of type %d has %" PRIu32 " values",
                     (int)frame->kind, array.count);
  }
  if (frame->kind == FRAME_NOTIFICATION) {
    return take_method(&reader, frame, err);
  }
  if (!take_id(&reader, frame)) {
    return error_set(err, ERR_PROTOCOL, "the id of a message has to be an integer of 32 bits");
  }
  if (frame->kind == FRAME_REQUEST) {
    return take_method(&reader, frame, err);
  }
  frame->error = take_value(&reader);
  frame->result = take_value(&reader);
  return true;
}

FrameStatus frame_next(FrameScan *scan, Slice bytes, const FrameLimits *limits, Frame *frame,
                       size_t *size, Error *err)
{
  assert(limits->depth <= FRAME_DEPTH_MAX);
  assert(scan->scanned <= bytes.size);
  *frame = (Frame){0};

  uint64_t least = 0;
  FrameStatus status = scan_bytes(scan, bytes, limits, &least, err);
  if (status != FRAME_BAD && least > limits->size) {
    error_set(err, ERR_LIMIT, "the frame is larger than %" PRIu64 " bytes", limits->size);
    status = FRAME_BAD;
  }
  if (status == FRAME_BAD) {
    peek_id(bytes, frame);
  }
  if (status != FRAME_OK) {
    return status;
  }
  *size = scan->scanned;
  *scan = (FrameScan){0};
  return parse_frame(slice_of(bytes.data, *size), frame, err) ? FRAME_OK : FRAME_BAD;
}

bool frame_params(const Frame *frame, Slice *map, Error *err)
{
  const uint8_t *start = (const uint8_t *)frame->params.data;
  MpReader reader = {start, start + frame->params.size};
  MpReader value = reader;
  MpToken token = mp_take(&reader);
  if (token.kind == MP_ARRAY && token.count == 1) {
    value = reader;
    token = mp_take(&reader);
  }
  if (token.kind == MP_NIL || (token.kind == MP_ARRAY && token.count == 0)) {
    *map = slice_of("\x80", 1);
    return true;
  }
  if (token.kind != MP_MAP) {
    return error_set(err, ERR_INVALID, "params have to be an array with one map");
  }
  *map = take_value(&value);
  return true;
}
