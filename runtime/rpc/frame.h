#pragma once
// msgpack-RPC frames from a stream of bytes: where one ends, and what it says. Nothing is decoded
// that is not needed and nothing is copied; every bound is checked while the bytes come in, each
// byte once however small the pieces are.
//
//    request       [0, id, method, params]
//    response      [1, id, error, result]
//    notification  [2, method, params]

#include "data/msgpack.h"

enum {
  FRAME_DEPTH_MAX = 64,      // the greatest FrameLimits.depth
  FRAME_ELEMENTS = 4 << 20,  // default of FrameLimits.elements
};

typedef struct {
  uint64_t size;      // bytes of one frame
  uint32_t depth;     // nesting of arrays and maps, the frame's own array included
  uint32_t elements;  // values in one frame, all levels
} FrameLimits;

typedef enum { FRAME_REQUEST, FRAME_RESPONSE, FRAME_NOTIFICATION } FrameKind;

// Slices point into the bytes that were scanned.
typedef struct {
  FrameKind kind;
  bool has_id;  // set for a bad request too, when its id could be read: it deserves an answer
  uint32_t id;
  Slice method;  // requests and notifications
  Slice params;  // one msgpack value
  Slice rest;    // both: what follows the id
  Slice error;   // responses: one msgpack value each
  Slice result;
} Frame;

// How far a frame that is not complete was looked at. The zero value starts a frame.
typedef struct {
  size_t scanned;                  // bytes
  uint32_t depth;                  // open arrays and maps
  uint32_t elements;               // declared so far
  uint32_t left[FRAME_DEPTH_MAX];  // values that each of them still wants
} FrameScan;

typedef enum {
  FRAME_OK,    // *frame is there, *size bytes long
  FRAME_MORE,  // the bytes end inside it
  FRAME_BAD,   // err says why; the stream cannot be read any further
} FrameStatus;

// `bytes` starts where the frame does and holds what has come so far; with the same `scan`, a later
// call may pass more of it. After FRAME_OK the scan is ready for the next frame.
FrameStatus frame_next(FrameScan *scan, Slice bytes, const FrameLimits *limits, Frame *frame,
                       size_t *size, Error *err);

// The one map that params hold: [map], or the map itself. Nothing, nil and an empty array, which is
// how some languages write an empty map, are an empty one.
bool frame_params(const Frame *frame, Slice *map, Error *err);
