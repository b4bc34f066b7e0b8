// Bytes from the network: whole and in pieces they have to give the same frames, and whatever is in
// them may only be refused.

#include <stdlib.h>

#include "rpc/frame.h"

static const FrameLimits LIMITS = {.size = 4096, .depth = 16, .elements = 4096};

static void require(bool condition)
{
  if (!condition) {
    abort();
  }
}

// The frame at the start of `bytes`, shown to the scanner in pieces of `step` bytes.
static FrameStatus next_in_pieces(Slice bytes, size_t step, Frame *frame, size_t *size)
{
  FrameScan scan = {0};
  FrameStatus status = FRAME_MORE;
  size_t shown = 0;
  while (status == FRAME_MORE && shown < bytes.size) {
    shown = bytes.size - shown < step ? bytes.size : shown + step;
    Error err = {0};
    status = frame_next(&scan, slice_of(bytes.data, shown), &LIMITS, frame, size, &err);
    require((status == FRAME_BAD) == (err.code != ERR_NONE));
  }
  return status;
}

static void compare(Slice bytes, size_t step, FrameStatus status, const Frame *whole, size_t size)
{
  Frame pieces;
  size_t pieces_size = 0;
  FrameStatus pieces_status = next_in_pieces(bytes, step, &pieces, &pieces_size);
  require(pieces_status == status);
  if (status == FRAME_OK) {
    require(pieces_size == size && pieces.kind == whole->kind && pieces.id == whole->id);
    require(slice_equal(pieces.method, whole->method) && slice_equal(pieces.params, whole->params));
    require(slice_equal(pieces.error, whole->error) && slice_equal(pieces.result, whole->result));
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  size_t step = size ? 1 + data[0] % 7 : 1;
  Slice rest = slice_of(data + (size > 0), size - (size > 0));
  while (rest.size) {
    Frame frame;
    size_t used = 0;
    FrameStatus status = next_in_pieces(rest, rest.size, &frame, &used);
    compare(rest, step, status, &frame, used);
    if (status != FRAME_OK) {
      break;
    }
    require(used > 0 && used <= rest.size);
    Slice map;
    Error err = {0};
    if (frame.kind != FRAME_RESPONSE && frame_params(&frame, &map, &err)) {
      MpReader reader = {(const uint8_t *)map.data, (const uint8_t *)map.data + map.size};
      require(mp_next(&reader, &(MpToken){0}) == MP_OK);
    }
    rest = slice_of(rest.data + used, rest.size - used);
  }
  return 0;
}
