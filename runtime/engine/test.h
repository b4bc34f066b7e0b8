#pragma once
// The tests of definitions: given rows through the real engine, and what came out of it compared
// with what was expected. Without `at` the functions run over the given rows in order
// (engine/try.h); with it the given rows are the view's source, and each expected row asks for its
// keys at that time, as a training set does (engine/history.h).

#include "base/arena.h"
#include "engine/engine.h"
#include "host/functions.h"

typedef struct {
  const Catalog *catalog;    // what the definitions declare (engine/declared.h)
  Functions *functions;      // of that catalog; NULL where it has none
  Slice tests;               // msgpack list, host/host.h: HostDefinitions.tests
  const char *const *names;  // of tests, views or files that are wanted
  size_t name_count;         // 0: all
} TestRequest;

// One thing that is not as expected.
typedef struct {
  size_t row;         // from 1; 0: it is about no row
  const char *field;  // NULL: about the whole row, or all of them
  Slice expected;     // msgpack; empty where `message` says it all
  Slice got;
  bool time;            // they are microseconds, or lists of them
  const char *message;  // NULL: the two values differ
} TestDifference;

typedef struct {
  const char *name;
  const char *at;  // "definitions/driver.lua:40"
  const char *view;
  TestDifference *differences;
  size_t count;  // 0: passed
} TestOutcome;

typedef struct {
  TestOutcome *items;  // in the order they stand in the files
  size_t count;
  size_t failed;
} TestResult;  // in the arena

// A test that fails, or makes no sense, is a result. An error is what keeps all of them from
// running. The engine works on request->catalog from here on.
bool engine_test(Engine *engine, const TestRequest *request, TestResult *result, Arena *arena,
                 Error *err);
